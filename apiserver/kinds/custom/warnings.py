"""What a client is warned of that writes a definition: formats nobody checks, sets of objects, and what this server does not do. Pure.

Source: apiextensions-apiserver `pkg/registry/customresourcedefinition/strategy.go` (WarningsOnCreate, WarningsOnUpdate).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from apiserver.validation.custom.formats import format_of
from kube.objects import Object
from kube.schema.goquote import quote

_RULES = "x-kubernetes-validations are not evaluated by this server: custom resources are not checked against these rules"
_WEBHOOK = "conversion webhooks are not called by this server: only the storage version is served"


def warnings_of(new: Object, old: Object | None) -> list[str]:
    """The warnings of a write; what was there before is not warned of again."""
    before = set(_found(old)) if old is not None else set()
    return [each for each in dict.fromkeys(_found(new)) if each not in before]


def _found(definition: Object) -> Iterator[str]:
    spec = definition.get("spec") or {}
    nodes = [node for version in spec.get("versions") or () for node in _nodes((version.get("schema") or {}).get("openAPIV3Schema"))]
    for node in nodes:
        if node.get("format") and not format_of(node):
            yield f"unrecognized format {quote(node['format'])}"
    yield from sorted({text for node in nodes if (text := _odd_set(node))})
    if any(node.get("x-kubernetes-validations") for node in nodes):
        yield _RULES
    if (spec.get("conversion") or {}).get("strategy") == "Webhook" and sum(
        bool(each.get("served")) for each in spec.get("versions") or ()
    ) > 1:
        yield _WEBHOOK


def _odd_set(node: Mapping[str, Any]) -> str:
    items = node.get("items")
    kind = items.get("type") if isinstance(items, Mapping) else ""
    if node.get("x-kubernetes-list-type") != "set" or kind not in ("object", "array"):
        return ""
    return f"x-kubernetes-list-type: set for items of type {quote(str(kind))} is not supported by server-side apply or CEL validation rules"


def _nodes(schema: Any) -> Iterator[Mapping[str, Any]]:
    """A schema and all schemas in it."""
    if not isinstance(schema, Mapping):
        return
    yield schema
    for name in ("items", "additionalProperties", "not"):
        yield from _nodes(schema.get(name))
    for name in ("allOf", "anyOf", "oneOf"):
        for each in schema.get(name) or ():
            yield from _nodes(each)
    for _, each in sorted((schema.get("properties") or {}).items()):
        yield from _nodes(each)
