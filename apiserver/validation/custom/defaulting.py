"""Defaulting: a schema compiled into a function that puts in, in place, what an object leaves out.

Source: apiextensions-apiserver `schema/defaulting/algorithm.go`. Defaults are pruned once, before (`pruning.py`): see `pruned_defaults`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from apiserver.validation.custom.pruning import Pruner
from apiserver.validation.custom.schema import Node, additional, items, properties
from kube.schema.types import StructType

Fill = Callable[[Any], None]


def compile_defaults(node: Node) -> Fill | None:
    """The function for a value of this node; None where there is nothing to put in."""
    known = {name: fill for name, each in properties(node).items() if (fill := compile_defaults(each)) is not None}
    missing = [(name, _copier(each["default"]), not each.get("nullable")) for name, each in properties(node).items() if _has_default(each)]
    rest, inner = additional(node), items(node)
    others = compile_defaults(rest) if rest is not None else None
    other_null = _copier(rest["default"]) if rest is not None and _has_default(rest) and not rest.get("nullable") else None
    item = compile_defaults(inner) if inner is not None else None
    item_null = _copier(inner["default"]) if inner is not None and _has_default(inner) and not inner.get("nullable") else None
    if known or missing or others or other_null:
        return _of_map(known, missing, others, other_null, frozenset(properties(node)))
    return _of_list(item, item_null) if item or item_null else None


def _has_default(node: Node) -> bool:
    return node.get("default") is not None


def _copier(value: Any) -> Callable[[], Any]:
    if isinstance(value, dict | list):
        return lambda: copy.deepcopy(value)
    return lambda: value


def _of_map(
    known: dict[str, Fill],
    missing: list[tuple[str, Callable[[], Any], bool]],
    others: Fill | None,
    other_null: Callable[[], Any] | None,
    declared: frozenset[str],
) -> Fill:
    def fill(value: Any) -> None:
        if type(value) is not dict:
            return
        for name, default, not_null in missing:
            if name not in value or (not_null and value[name] is None):
                value[name] = default()
        for name, each in known.items():
            if name in value:
                each(value[name])
        if others is not None or other_null is not None:
            for name in value.keys() - declared:
                if other_null is not None and value[name] is None:
                    value[name] = other_null()
                if others is not None:
                    others(value[name])

    return fill


def _of_list(item: Fill | None, item_null: Callable[[], Any] | None) -> Fill:
    def fill(value: Any) -> None:
        if type(value) is not list:
            return
        for index, each in enumerate(value):
            if item_null is not None and each is None:
                each = value[index] = item_null()
            if item is not None:
                item(each)

    return fill


def pruned_defaults(node: Node, meta: StructType) -> Node:
    """A copy of a schema whose defaults say nothing that the schema itself would drop."""
    out = dict(node)
    if _has_default(node) and isinstance(node["default"], dict | list):
        out["default"] = Pruner(meta).value(node, copy.deepcopy(node["default"]))
    if properties(node):
        out["properties"] = {name: pruned_defaults(each, meta) for name, each in properties(node).items()}
    for name, below in (("additionalProperties", additional(node)), ("items", items(node))):
        if below is not None:
            out[name] = pruned_defaults(below, meta)
    return out
