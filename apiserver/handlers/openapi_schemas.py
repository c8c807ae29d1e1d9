"""The definitions as OpenAPI publishes them, in two dialects: without what the package added (`null` types, `enum`s of apiVersion, kind).

v2 refers to `#/definitions/...` and knows no `oneOf`; v3 refers to `#/components/schemas/...`, and a reference with anything beside it goes
into `allOf`. Schemas of custom resources are handed in as they are (OpenAPI v3). Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Schema = dict[str, Any]

V2, V3 = "#/definitions/", "#/components/schemas/"
_SOURCE = "#/$defs/"
_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"

_LEAVES: dict[str, dict[str, Schema]] = {
    V2: {
        _QUANTITY: {"description": "An amount, such as 500m or 1.5Gi.", "type": "string"},
        _INT_OR_STRING: {"description": "An int32 or a string.", "type": "string", "format": "int-or-string"},
    },
    V3: {
        _QUANTITY: {"description": "An amount, such as 500m or 1.5Gi.", "oneOf": [{"type": "string"}, {"type": "number"}]},
        _INT_OR_STRING: {
            "description": "An int32 or a string.",
            "format": "int-or-string",
            "oneOf": [{"type": "integer"}, {"type": "string"}],
        },
    },
}
_ONLY_V3 = frozenset({"oneOf", "anyOf", "allOf", "not", "nullable"})


def published(name: str, raw: Mapping[str, Any], dialect: str) -> Schema:
    """A built-in definition in one dialect (V2 or V3)."""
    leaf = _LEAVES[dialect].get(name)
    return leaf if leaf is not None else _converted(raw, dialect)


def _converted(raw: Mapping[str, Any], dialect: str) -> Schema:
    out: Schema = {}
    for key, value in raw.items():
        if key == "type" and isinstance(value, list):
            out[key] = next(each for each in value if each != "null")
        elif key == "$ref":
            out[key] = dialect + value.removeprefix(_SOURCE)
        elif key == "properties":
            out[key] = {name: _converted(each, dialect) for name, each in value.items()}
        elif key in ("items", "additionalProperties") and isinstance(value, dict):
            out[key] = _converted(value, dialect)
        elif key != "enum":
            out[key] = value
    if dialect == V3 and "$ref" in out and len(out) > 1:
        out["allOf"] = [{"$ref": out.pop("$ref")}]
    return out


def custom_for_v2(schema: Any) -> Any:
    """A custom resource's schema for v2, which has no words for alternatives and nulls.

    Source: apiextensions `openapi/v2/conversion.go`."""
    if isinstance(schema, list):
        return [custom_for_v2(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    out = {key: custom_for_v2(value) for key, value in schema.items() if key not in _ONLY_V3}
    if isinstance(out.get("$ref"), str):
        out["$ref"] = V2 + out["$ref"].removeprefix(V3)
    if schema.get("x-kubernetes-int-or-string") or schema.get("nullable"):
        out.pop("type", None)
    if schema.get("x-kubernetes-preserve-unknown-fields") and isinstance(schema.get("type"), str):
        out.pop("properties", None)
        out.pop("items", None)
    return out


class Kept(dict[str, Any]):
    """A part of the v2 document that stays the same when others change: what was made of it once is kept with it."""

    __slots__ = ("references", "wire")

    def __init__(self, content: Schema) -> None:
        super().__init__(content)
        self.wire: bytes | None = None
        self.references = frozenset(references(content, V2))


def references(schema: Any, prefix: str) -> Iterator[str]:
    """The names of the definitions that a schema (or any document) refers to, repeated as they come."""
    stack = [schema]
    while stack:
        here = stack.pop()
        if isinstance(here, dict):
            ref = here.get("$ref")
            if isinstance(ref, str) and ref.startswith(prefix):
                yield ref.removeprefix(prefix)
            stack.extend(here.values())
        elif isinstance(here, list):
            stack.extend(here)
