"""A custom resource's schemas as OpenAPI v3 publishes them: its own with the fields that every object has, and its list's.

Source: apiextensions-apiserver `pkg/controller/openapi/builder`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kube.objects import Object
from kube.resources import Resource

_REF: Final = "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1."
_TYPE_META: Final[Mapping[str, Any]] = {
    "apiVersion": {
        "description": "APIVersion defines the versioned schema of this representation of an object.",
        "type": "string",
    },
    "kind": {
        "description": "Kind is a string value representing the REST resource this object represents. In CamelCase.",
        "type": "string",
    },
}


def published_schema(version: Object, resource: Resource, name: str, list_kind: str) -> dict[str, Any]:
    """The schemas of one version by definition name: the kind's (`name`) and its list's (`name` and `List`)."""
    schema = (version.get("schema") or {}).get("openAPIV3Schema")
    own: dict[str, Any] = {"type": "object"} if schema is None else _with_meta(_embedding(schema))
    return {
        name: {**own, **_gvk(resource, resource.kind)},
        f"{name}List": {
            "description": f"{list_kind} is a list of {resource.kind}",
            "type": "object",
            "required": ["items"],
            "properties": {
                **_TYPE_META,
                "items": {"description": f"List of {resource.plural}.", "type": "array", "items": {"$ref": f"#/components/schemas/{name}"}},
                "metadata": {"$ref": f"{_REF}ListMeta"},
            },
            **_gvk(resource, list_kind),
        },
    }


def _gvk(resource: Resource, kind: str) -> dict[str, Any]:
    return {"x-kubernetes-group-version-kind": [{"group": resource.group, "version": resource.version, "kind": kind}]}


def _with_meta(schema: Mapping[str, Any]) -> dict[str, Any]:
    properties = {**(schema.get("properties") or {}), **_TYPE_META, "metadata": {"$ref": f"{_REF}ObjectMeta"}}
    return {**schema, "properties": properties}


def _embedding(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema with the fields that embedded objects have."""
    out = dict(schema)
    if schema.get("properties"):
        out["properties"] = {name: _embedding(each) for name, each in schema["properties"].items()}
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), Mapping):
            out[name] = _embedding(schema[name])
    if schema.get("x-kubernetes-embedded-resource"):
        out = _with_meta(out)
        out["required"] = [
            *(schema.get("required") or ()),
            *(each for each in ("kind", "apiVersion") if each not in (schema.get("required") or ())),
        ]
    return out
