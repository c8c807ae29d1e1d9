"""What a client is warned of that writes a definition: formats nobody checks. Pure.

Source: apiextensions-apiserver `pkg/registry/customresourcedefinition/strategy.go` (WarningsOnCreate, WarningsOnUpdate).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from apiserver.validation.custom.formats import format_of
from kube.objects import Object
from kube.schema.goquote import quote


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
