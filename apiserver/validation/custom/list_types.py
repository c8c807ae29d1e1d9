"""Lists that are sets or maps (x-kubernetes-list-type) must not hold anything twice.

`has_lists` says of a schema whether there is anything to look at. Source: apiextensions-apiserver `schema/listtype/validation.go`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from apiserver.validation.custom.schema import Node, additional, items, properties
from kube.errors import FieldError, duplicate, invalid


def has_lists(node: Node) -> bool:
    """Whether there is a set or a list map anywhere in the schema."""
    if node.get("x-kubernetes-list-type") in ("set", "map"):
        return True
    below = [*properties(node).values(), additional(node), items(node)]
    return any(each is not None and has_lists(each) for each in below)


def repeated_items(node: Node, value: Any, path: str = "") -> list[FieldError]:
    """A Duplicate for every item that is in its set or list map already."""
    if isinstance(value, list):
        return _in_list(node, value, path)
    if not isinstance(value, dict):
        return []
    found: list[FieldError] = []
    rest, known = additional(node), properties(node)
    for name, each in value.items():
        if name in known:
            found += repeated_items(known[name], each, f"{path}.{name}" if path else name)
        elif rest is not None:
            found += repeated_items(rest, each, f"{path}[{name}]")
    return found


def _in_list(node: Node, value: list[Any], path: str) -> list[FieldError]:
    found: list[FieldError] = []
    kind = node.get("x-kubernetes-list-type")
    if kind == "set":
        found += [duplicate(f"{path}[{index}]", value[index]) for index in _second_times(value)]
    elif kind == "map":
        found += _in_list_map(node, value, path)
    inner = items(node)
    if inner is not None:
        for index, each in enumerate(value):
            found += repeated_items(inner, each, f"{path}[{index}]")
    return found


def _in_list_map(node: Node, value: list[Any], path: str) -> list[FieldError]:
    for index, each in enumerate(value):
        if each is not None and not isinstance(each, dict):
            return [invalid(f"{path}[{index}]", each, "must be an object for an array of list-type map")]
    names = node.get("x-kubernetes-list-map-keys") or ()
    keys = [{name: each[name] for name in names if name in (each or {})} for each in value]
    return [duplicate(f"{path}[{index}]", keys[index]) for index in _second_times(keys)]


def _second_times(values: Sequence[Any]) -> list[int]:
    """Where each repeated value occurs for the second time."""
    seen: dict[str, int] = {}
    found = []
    for index, each in enumerate(values):
        text = json.dumps(each, sort_keys=True)
        seen[text] = seen.get(text, 0) + 1
        if seen[text] == 2:
            found.append(index)
    return found
