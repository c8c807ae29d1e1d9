"""What server-side apply does to values along their type: check a configuration, merge it in, take fields out, say which fields it has.

A configuration is what a client applies: raw JSON, only the fields it has an opinion on, nulls included. All functions leave their
arguments as they are; results share what did not change with them.

Source: structured-merge-diff `typed/validate.go`, `merge.go`, `remove.go`, `tofieldset.go`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kube.patch.elements import ElementError, element_of, element_text, in_order
from kube.patch.fieldset import EMPTY, LEAF, SELF, FieldSet, is_member
from kube.patch.golang import as_numbers, go_type, plain, source
from kube.patch.shapes import Shape, child_of, is_any, is_atomic, is_declared, list_of, shape_of
from kube.schema.types import ListType, Scalar, ScalarType, Type

_ABSENT: Any = object()


class SchemaError(ValueError):
    """A configuration that does not fit its type. `errors` are (path, message) pairs; the text is upstream's."""

    def __init__(self, errors: Sequence[tuple[str, str]]) -> None:
        self.errors = list(errors)
        texts = [f"{path}: {message}" if path else message for path, message in errors]
        super().__init__(texts[0] if len(texts) == 1 else "\n".join(["errors:", *(f"  {text}" for text in texts)]))


# --- check -----------------------------------------------------------------------------------------------------------------------


def check(of: Type, config: Any) -> None:
    """Raises SchemaError when the configuration has unknown fields, values of the wrong kind, or a list item twice."""
    errors: list[tuple[str, str]] = []
    _check(of, config, "", errors)
    if errors:
        raise SchemaError(errors)


def _check(of: Type, value: Any, path: str, errors: list[tuple[str, str]]) -> None:
    if value is None or is_any(of):
        return
    shape = shape_of(of, value)
    if shape is Shape.MAP:
        _check_map(of, value, path, errors)
    elif shape is Shape.LIST:
        _check_list(list_of(of), value, path, errors)
    elif isinstance(of, ScalarType):
        wrong = _scalar_error(of, value)
        if wrong:
            errors.append((path, wrong))


def _check_map(of: Type, value: Any, path: str, errors: list[tuple[str, str]]) -> None:
    if not isinstance(value, dict):
        errors.append((path, f"expected map, got &{{{plain(as_numbers(value))}}}"))
        return
    for name, each in value.items():
        child = child_of(of, name)
        if child is None:
            errors.append((f"{path}.{name}", "field not declared in schema"))
            return  # one unknown field ends the walk of its map, upstream too
        _check(child, each, f"{path}.{name}", errors)


def _check_list(of: ListType, value: Any, path: str, errors: list[tuple[str, str]]) -> None:
    if not isinstance(value, list):
        errors.append((path, f"expected list, got &{{{plain(as_numbers(value))}}}"))
        return
    element = None if of.kind == "atomic" else element_of(of)
    seen: set[str] = set()
    for index, each in enumerate(value):
        step = f"[{index}]"
        if element is not None:
            try:
                key = element(each)
            except ElementError as error:
                errors.append((path, f"element {index}: {error}"))
                return
            step = element_text(key)
            if key in seen:
                errors.append((path, f"duplicate entries for key {step}"))
            seen.add(key)
        _check(of.item, each, path + step, errors)


_TEXTS = frozenset({Scalar.STRING, Scalar.BYTES})
_NUMBERS = frozenset({Scalar.INT32, Scalar.INT64, Scalar.FLOAT})


def _scalar_error(of: ScalarType, value: Any) -> str:
    """What is wrong with the value, "" when it fits. Times, quantities and their like are any scalar here; decoding looks closer."""
    if of.scalar in _TEXTS:
        return "" if isinstance(value, str) else f"expected string, got &value.valueUnstructured{{Value:{source(as_numbers(value))}}}"
    if of.scalar in _NUMBERS:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return "" if number else f"expected numeric (int or float), got {go_type(value)}"
    if of.scalar is Scalar.BOOL:
        return "" if isinstance(value, bool) else f"expected boolean, got &{{{plain(as_numbers(value))}}}"
    return f"expected any scalar, got &{{{plain(as_numbers(value))}}}" if isinstance(value, dict | list) else ""


# --- the fields of a configuration ------------------------------------------------------------------------------------------------


def fields_of(of: Type, config: Any) -> FieldSet:
    """The fields that a configuration has: its leaves, list items, keys of maps, and what is empty or null; not the structs on the way."""
    return _below(of, config)


def _below(of: Type, value: Any) -> FieldSet:
    shape = shape_of(of, value)
    if shape is Shape.MAP and isinstance(value, dict) and not is_atomic(of):
        return _below_map(of, value)
    if shape is Shape.LIST and isinstance(value, list):
        items = list_of(of)
        return EMPTY if items.kind == "atomic" else _below_list(items, value)
    return EMPTY


def _below_map(of: Type, value: dict[str, Any]) -> FieldSet:
    out: FieldSet = {}
    for name in sorted(value):
        child = child_of(of, name)
        if child is None:
            continue
        below = _below(child, value[name])
        if _is_field(of, name, child, value[name]):
            out[f"f:{name}"] = {SELF: LEAF, **below} if below else LEAF
        elif below:
            out[f"f:{name}"] = below
    return out


def _is_field(of: Type, name: str, child: Type, value: Any) -> bool:
    """True for what is in the set itself: leaves, nulls, empty maps, keys of maps; not a struct field that only leads to others."""
    if value is None or value == {} or not is_declared(of, name):
        return True
    shape = shape_of(child, value)
    return shape is Shape.SCALAR or is_atomic(list_of(child) if shape is Shape.LIST else child)


def _below_list(of: ListType, value: list[Any]) -> FieldSet:
    element = element_of(of)
    out: FieldSet = {}
    twice: set[str] = set()
    for each in value:
        key = element(each)
        if key in out:
            twice.add(key)
            continue
        below = _below(of.item, each)
        out[key] = {SELF: LEAF, **below} if below else LEAF
    return {key: LEAF if key in twice else out[key] for key in in_order(out)}


# --- merge -----------------------------------------------------------------------------------------------------------------------


def merged(of: Type, live: Any, config: Any) -> Any:
    """The live value with the configuration in it. Nothing is removed; where both have a leaf, the configuration's counts."""
    live_shape, shape = shape_of(of, live), shape_of(of, config)
    if shape is Shape.MAP and not is_atomic(of):
        olds = live if isinstance(live, dict) else {}
        news = config if isinstance(config, dict) else {}
        return _merged_maps(of, olds, news) if olds or news else config
    if shape is Shape.LIST and live_shape is Shape.LIST:
        items = list_of(of)
        if items.kind != "atomic" and (live or config):
            return _merged_lists(items, live or [], config or [])
    return config


def _merged_maps(of: Type, live: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    out = dict(live)
    for name, value in config.items():
        child = child_of(of, name)
        known = name in live and child is not None
        out[name] = merged(child, live[name], value) if known and child is not None else value
    return out


def _merged_lists(of: ListType, live: list[Any], config: list[Any]) -> list[Any]:
    """Items of both lists. Those in the configuration are in its order; the others stay near where they were."""
    element = element_of(of)
    olds = [element(each) for each in live]
    news = [element(each) for each in config]
    old_items: dict[str, Any] = {}
    for key, each in zip(olds, live, strict=True):
        old_items[key] = None if key in old_items else each  # what is there twice is not merged with
    new_items = dict(zip(news, config, strict=True))

    out: list[Any] = []
    done: set[str] = set()
    shared = iter([key for key in news if key in old_items])
    next_shared = next(shared, None)

    def take(key: str) -> None:
        done.add(key)
        out.append(merged(of.item, old_items[key], new_items[key]) if key in old_items else new_items[key])

    at_old = at_new = 0
    while at_old < len(olds) or at_new < len(news):
        if at_old < len(olds) and at_new < len(news):
            key = olds[at_old]
            if key == news[at_new]:
                take(key)
                at_old, at_new = at_old + 1, at_new + 1
                next_shared = next(shared, None)
                continue
            if key in new_items and next_shared is not None and next_shared != key:
                at_old += 1  # in both, but its turn comes later
                continue
        if at_old < len(olds):
            key = olds[at_old]
            if key not in new_items:
                out.append(live[at_old])
                at_old += 1
                continue
            if key in done:
                at_old += 1
        if at_new < len(news):
            key = news[at_new]
            take(key)
            at_new += 1
            if key == next_shared:
                next_shared = next(shared, None)
    return out


# --- remove ----------------------------------------------------------------------------------------------------------------------


def without(of: Type, value: Any, fields: FieldSet) -> Any:
    """The value without the members of `fields`. A map or list that loses everything stays, empty."""
    if not fields or not value:
        return value
    shape = shape_of(of, value)
    if shape is Shape.SCALAR:
        return value
    whole = is_atomic(list_of(of) if shape is Shape.LIST else of)
    if isinstance(value, list):
        return [] if whole else _list_without(list_of(of), value, fields)
    if isinstance(value, dict):
        return {} if whole else _map_without(of, value, fields)
    return value


def _map_without(of: Type, value: dict[str, Any], fields: FieldSet) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, each in value.items():
        node = fields.get(f"f:{name}")
        if node is None:
            out[name] = each
        elif not is_member(node):
            child = child_of(of, name)
            out[name] = each if child is None else without(child, each, node)
    return out


def _list_without(of: ListType, value: list[Any], fields: FieldSet) -> list[Any]:
    element = element_of(of)
    out: list[Any] = []
    for each in value:
        node = fields.get(element(each))
        if node is None:
            out.append(each)
        elif not is_member(node):
            out.append(without(of.item, each, node))
    return out
