"""Pruning: fields that the schema does not name are dropped, and so are nulls where none may be.

`clean_check` compiles a schema into a test of "there is nothing to prune", which is nearly always so; `Pruner` does the pruning, in place,
and remembers the paths of what it dropped. The metadata of the object itself is somebody else's business; that of objects embedded
in it is coerced here. Source: apiextensions-apiserver `schema/pruning`, `schema/objectmeta`, `schema/defaulting/prunenulls.go`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from apiserver.validation.custom.schema import (
    META_FIELDS,
    Node,
    additional,
    has_additional,
    is_embedded,
    items,
    preserves,
    properties,
    takes_null,
)
from kube.errors import FieldError, invalid
from kube.schema import strict
from kube.schema.strict import DecodeError
from kube.schema.types import StructType

Check = Callable[[Any], bool]


class CoerceError(ValueError):
    """An embedded object whose metadata cannot be read; the text is a field error's, which is `error`."""

    def __init__(self, error: FieldError) -> None:
        super().__init__(str(error))
        self.error = error


def clean_check(node: Node) -> Check:
    """Whether a value would stay as it is; False may be a false alarm. The node is that of a whole object."""
    return _check(node, root=True)


def _check(node: Node, *, root: bool = False) -> Check:
    known = {name: (_check(each), takes_null(each)) for name, each in properties(node).items() if not (root and name in META_FIELDS)}
    rest = additional(node)
    others = (_check(rest), takes_null(rest)) if rest is not None else None
    inner = items(node)
    item = _check(inner) if inner is not None else None
    if is_embedded(node) and not root:
        return _never_clean  # its metadata must be looked at
    if not known and others is None and item is None:
        return _anything if preserves(node) and not has_additional(node) else _scalar if not root else _only_meta
    return _container(known, others, item, keeps=preserves(node), skipped=META_FIELDS if root else frozenset())


def _container(
    known: dict[str, tuple[Check, bool]], others: tuple[Check, bool] | None, item: Check | None, *, keeps: bool, skipped: frozenset[str]
) -> Check:
    known_of = known.get

    def check(value: Any) -> bool:
        if type(value) is dict:
            for name, each in value.items():
                found = known_of(name) or others
                if found is None:
                    if not keeps and name not in skipped:
                        return False
                elif name in skipped:
                    continue
                elif each is None:
                    if not found[1]:
                        return False
                elif not found[0](each):
                    return False
            return True
        if type(value) is list:
            if item is None:
                return keeps or all(map(_scalar, value))
            return all(map(item, value))
        return True

    return check


def _anything(_value: Any) -> bool:
    return True


def _never_clean(value: Any) -> bool:
    return type(value) is not dict


def _scalar(value: Any) -> bool:
    return type(value) is not dict and type(value) is not list


def _only_meta(value: Any) -> bool:
    return type(value) is dict and value.keys() <= META_FIELDS


class Pruner:
    """One pruning. `meta` is the type of ObjectMeta."""

    def __init__(self, meta: StructType) -> None:
        self._meta = meta
        self._unknown: list[str] = []

    def whole(self, node: Node | None, obj: dict[str, Any]) -> list[str]:
        """Prune a whole object, in place (None: a version without schema). The paths of what was dropped, sorted as upstream tells
        them. Raises CoerceError."""
        self._prune({**(node or {}), "x-kubernetes-embedded-resource": True}, obj, "")
        found = sorted(self._unknown)
        if node is None:
            return found
        _drop_nulls(node, obj)
        return found + sorted(self._coerce(node, obj, "", root=True))

    def value(self, node: Node, value: Any) -> Any:
        """Prune a value of a field (a default), in place; the value itself."""
        self._prune(node, value, "-")
        return value

    def coerced(self, node: Node, value: Any, path: str) -> FieldError | None:
        """Read the metadata of an object and of those in it, in place; why that cannot be."""
        try:
            self._coerce(node, value, path)
        except CoerceError as refused:
            return refused.error
        return None

    def _prune(self, node: Node | None, value: Any, path: str) -> None:
        if isinstance(value, dict):
            self._prune_fields(node, value, path)
        elif isinstance(value, list):
            inner = items(node) if node is not None else None
            if inner is None and node is not None and preserves(node):
                return
            for index, each in enumerate(value):
                self._prune_item(node, inner, each, f"{path}[{index}]")

    def _prune_item(self, node: Node | None, inner: Node | None, value: Any, path: str) -> None:
        """Where unknown fields are preserved, a list's items are looked at as if they were, too."""
        if node is not None and preserves(node) and inner is not None:
            inner = {**inner, "x-kubernetes-preserve-unknown-fields": True}
        self._prune(inner, value, path)

    def _prune_fields(self, node: Node | None, value: dict[str, Any], path: str) -> None:
        known = properties(node) if node is not None else {}
        for name in list(value):
            if node is not None and is_embedded(node) and name in META_FIELDS:
                continue
            where = f"{path}.{name}" if path else name
            if name in known:
                self._prune(known[name], value[name], where)
            elif node is not None and has_additional(node):
                self._prune(additional(node), value[name], where)
            elif node is None or not preserves(node):
                if path or name not in META_FIELDS:
                    self._unknown.append(where)
                del value[name]

    # --- objects in objects

    def _coerce(self, node: Node | None, value: Any, path: str, *, root: bool = False) -> list[str]:
        unknown: list[str] = []
        if node is None:
            return unknown
        if isinstance(value, list):
            for index, each in enumerate(value):
                unknown += self._coerce(items(node), each, f"{path}[{index}]")
        elif isinstance(value, dict):
            if is_embedded(node) and not root:
                unknown += self._coerce_meta(value, path)
            for name, each in value.items():
                if name in properties(node):
                    unknown += self._coerce(properties(node)[name], each, f"{path}.{name}" if path else name)
                elif additional(node) is not None:
                    unknown += self._coerce(additional(node), each, f"{path}[{name}]")
        return unknown

    def _coerce_meta(self, value: dict[str, Any], path: str) -> list[str]:
        for name in ("apiVersion", "kind"):
            if name in value and not isinstance(value[name], str):
                raise CoerceError(invalid(f"{path}.{name}", value[name], "must be a string"))
        if "metadata" not in value:
            return []
        try:
            value["metadata"], found = strict.walk(self._meta, value["metadata"])
        except DecodeError as error:
            raise CoerceError(invalid(f"{path}.metadata", value["metadata"], str(error))) from None
        return [f"{path}.metadata.{_path_in(each)}" for each in found]


def _path_in(strict_error: str) -> str:
    """The path that `unknown field "labels.x"` names."""
    return strict_error.partition('"')[2][:-1]


def _drop_nulls(node: Node | None, value: Any) -> None:
    """Nulls that are not allowed and that no default will replace are as if they were not there."""
    if node is None:
        return
    if isinstance(value, list):
        inner = items(node)
        for each in value:
            _drop_nulls(inner, each)
    elif isinstance(value, dict):
        known, rest = properties(node), additional(node)
        for name in list(value):
            of = known.get(name, rest)
            if of is None:
                continue
            if value[name] is None and not takes_null(of):
                del value[name]
            else:
                _drop_nulls(of, value[name])
