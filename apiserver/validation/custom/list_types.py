"""Lists that are sets or maps (x-kubernetes-list-type) must not hold anything twice.

`compile_unique` is the quick look, `repeated_items` the slow one with words. Source: apiextensions-apiserver
`schema/listtype/validation.go`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from apiserver.validation.custom.schema import Node, additional, items, properties
from kube.errors import FieldError, duplicate, invalid

Check = Callable[[Any], bool]


def compile_unique(node: Node) -> Check | None:
    """A schema compiled into: is nothing there twice? None where there is no set and no list map anywhere. A no may be a false alarm."""
    rest, inner = additional(node), items(node)
    known = [(name, check) for name, each in properties(node).items() if (check := compile_unique(each)) is not None]
    others = compile_unique(rest) if rest is not None else None
    item = compile_unique(inner) if inner is not None else None
    kind = node.get("x-kubernetes-list-type")
    unique = _is_set if kind == "set" else _list_map_check(node.get("x-kubernetes-list-map-keys") or ()) if kind == "map" else None
    if unique is not None or item is not None:
        return _of_list(unique, item)
    return _of_map(known, others) if known or others is not None else None


def _of_list(unique: Check | None, item: Check | None) -> Check:
    def check(value: Any) -> bool:
        if type(value) is not list:
            return True
        if unique is not None and (len(value) > 1 or (value and type(value[0]) is not dict)) and not unique(value):
            return False
        return item is None or all(map(item, value))

    return check


def _of_map(known: list[tuple[str, Check]], others: Check | None) -> Check:
    def check(value: Any) -> bool:
        if type(value) is not dict:
            return True
        if others is not None:
            return all(map(others, value.values()))
        return all(one(value[name]) for name, one in known if name in value)

    return check


def _is_set(value: Any) -> bool:
    try:
        return len(set(value)) == len(value)
    except TypeError:
        return False


def _list_map_check(keys: Sequence[str]) -> Check:
    def check(value: Any) -> bool:
        try:
            return len({tuple([item[key] for key in keys]) for item in value}) == len(value)
        except (TypeError, KeyError):
            return False

    return check


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
