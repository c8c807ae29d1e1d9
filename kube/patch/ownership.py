"""Which fields an update changes and which it removes: one walk along the type, over the live and the new object at once.

This is the hot path of every create, update and status patch, so types are compiled once into walkers (`_Struct`, `_Map`, ...), and
equal subtrees are left out by `is` and `==` before anything is built. Rules, all upstream's:

- a field that appears is owned with everything below it, parents included; one that disappears is lost the same way;
- atomic lists, maps and structs, and scalars, are one field; a list map's items are known by their keys, a set's by their values;
- an object that is created is compared with the empty Go struct: fields that Go writes even when empty are not news (`Field.always`);
- a list map's or set's element that is there twice is owned as a whole.

Lists that must not have an item of that kind raise ElementError. Source: structured-merge-diff `typed/compare.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from kube.patch.elements import element_of, in_order
from kube.patch.fieldset import LEAF, SELF, FieldSet
from kube.patch.shapes import is_any, is_opaque
from kube.schema.types import Field, ListType, MapType, StructType, Type

_MISSING: Any = object()


class Changes(NamedTuple):
    """`owned`: what was added or modified; `removed`: what is gone. No field is in both."""

    owned: FieldSet
    removed: FieldSet


def changes(of: StructType, live: Mapping[str, Any] | None, new: Mapping[str, Any]) -> Changes:
    """What becomes of the fields when `live` (None: there was nothing) turns into `new`. Both are of type `of`, in canonical form."""
    walker = _walker_of(of)
    assert isinstance(walker, _Struct)
    owned: FieldSet = {}
    removed: FieldSet = {}
    if live is None:
        live = walker.empty()
    if live is not new:
        walker.differ(live, new, owned, removed)
    return Changes(owned, removed)


class _Walker(Protocol):
    def whole(self, value: Any) -> FieldSet:
        """The node of a field that appears (or disappears) with this value: itself and everything below."""

    def differ(self, live: Any, new: Any, owned: FieldSet, removed: FieldSet) -> bool:
        """Puts what differs below two unequal values into `owned` and `removed`. True when the field itself is modified as a whole."""


def _put(key: str, walker: _Walker | None, live: Any, new: Any, owned: FieldSet, removed: FieldSet) -> None:
    """Compares two unequal values of one field, into its parent's sets. `walker` is None for a field owned as a whole."""
    if walker is None:
        owned[key] = LEAF
        return
    below: FieldSet = {}
    gone: FieldSet = {}
    if walker.differ(live, new, below, gone):
        owned[key] = {SELF: LEAF, **below} if below else LEAF
    elif below:
        owned[key] = below
    if gone:
        removed[key] = gone


class _Struct:
    """A struct. Its table is filled on first use: types are recursive."""

    __slots__ = ("_of", "_table", "_zeroes")

    def __init__(self, of: StructType) -> None:
        self._of = of
        self._table: dict[str, tuple[str, _Walker | None]] | None = None
        self._zeroes: dict[str, Any] = {}

    def _fields(self) -> dict[str, tuple[str, _Walker | None]]:
        if self._table is None:
            fields = self._of.fields
            self._table = {name: (f"f:{name}", _walker_of(field.type)) for name, field in fields.items()}
            self._zeroes = {name: _zero(field) for name, field in fields.items() if field.always}
        return self._table

    def empty(self) -> dict[str, Any]:
        """What Go writes for the empty struct."""
        self._fields()
        return self._zeroes

    def _unknown(self, name: str) -> tuple[str, _Walker | None]:
        """A field that the type does not declare: kept as it is by custom resources, and then walked by what it holds."""
        return f"f:{name}", _DEDUCED

    def whole(self, value: Any) -> FieldSet:
        if not value:
            return LEAF
        table = self._table or self._fields()
        node: FieldSet = {SELF: LEAF}
        for name in sorted(value):
            key, walker = table.get(name) or self._unknown(name)
            node[key] = LEAF if walker is None else walker.whole(value[name])
        return node

    def differ(self, live: Any, new: Any, owned: FieldSet, removed: FieldSet) -> bool:
        if not live and not new:
            return True
        live, new = live or {}, new or {}
        table = self._table or self._fields()
        zeroes = self._zeroes
        for name in sorted(new):
            value = new[name]
            old = live.get(name, _MISSING)
            if old is value:
                continue
            key, walker = table.get(name) or self._unknown(name)
            if old is _MISSING:
                old = zeroes.get(name, _MISSING)
                if old is _MISSING:
                    owned[key] = LEAF if walker is None else walker.whole(value)
                    continue
            if old != value:
                _put(key, walker, old, value, owned, removed)
        if not live.keys() <= new.keys():
            self._gone(live, new, owned, removed)
        return False

    def _gone(self, live: Any, new: Any, owned: FieldSet, removed: FieldSet) -> None:
        for name in sorted(live.keys() - new.keys()):
            key, walker = self._fields().get(name) or self._unknown(name)
            zero = self._zeroes.get(name, _MISSING)
            if zero is _MISSING:
                removed[key] = LEAF if walker is None else walker.whole(live[name])
            elif live[name] != zero:
                _put(key, walker, live[name], zero, owned, removed)


class _Map:
    """A map that is owned key by key."""

    __slots__ = ("_item",)

    def __init__(self, item: _Walker | None) -> None:
        self._item = item

    def whole(self, value: Any) -> FieldSet:
        if not value:
            return LEAF
        item = self._item
        node: FieldSet = {SELF: LEAF}
        if item is None:
            for name in sorted(value):
                node[f"f:{name}"] = LEAF
        else:
            for name in sorted(value):
                node[f"f:{name}"] = item.whole(value[name])
        return node

    def differ(self, live: Any, new: Any, owned: FieldSet, removed: FieldSet) -> bool:
        if not live and not new:
            return True
        live, new = live or {}, new or {}
        item = self._item
        for name in sorted(new):
            value = new[name]
            old = live.get(name, _MISSING)
            if old is _MISSING:
                owned[f"f:{name}"] = LEAF if item is None else item.whole(value)
            elif old is not value and old != value:
                _put(f"f:{name}", item, old, value, owned, removed)
        for name in sorted(live.keys() - new.keys()):
            removed[f"f:{name}"] = LEAF if item is None else item.whole(live[name])
        return False


class _List:
    """A set or a list map. An element that occurs more than once is owned as a whole."""

    __slots__ = ("_element", "_item")

    def __init__(self, element: Callable[[Any], str], item: _Walker | None) -> None:
        self._element = element
        self._item = item

    def whole(self, value: Any) -> FieldSet:
        if not value:
            return LEAF
        element, item = self._element, self._item
        below: FieldSet = {}
        twice: list[str] = []
        for each in value:
            key = element(each)
            if key in below:
                twice.append(key)
            below[key] = LEAF if item is None else item.whole(each)
        for key in twice:
            below[key] = LEAF
        if len(below) == 1:
            return {SELF: LEAF, **below}
        return {SELF: LEAF, **{key: below[key] for key in in_order(below)}}

    def _indexed(self, value: Any) -> dict[str, list[Any]]:
        index: dict[str, list[Any]] = {}
        for each in value or ():
            index.setdefault(self._element(each), []).append(each)
        return index

    def differ(self, live: Any, new: Any, owned: FieldSet, removed: FieldSet) -> bool:
        if not live and not new:
            return True
        olds, news = self._indexed(live), self._indexed(new)
        for key in in_order(news.keys() | olds.keys()):
            self._differ_at(key, olds.get(key, []), news.get(key, []), owned, removed)
        return False

    def _differ_at(self, key: str, olds: list[Any], news: list[Any], owned: FieldSet, removed: FieldSet) -> None:
        if len(olds) <= 1 and len(news) <= 1:
            if not olds:
                owned[key] = self._item.whole(news[0]) if self._item else LEAF
            elif not news:
                removed[key] = self._item.whole(olds[0]) if self._item else LEAF
            elif olds[0] is not news[0] and olds[0] != news[0]:
                _put(key, self._item, olds[0], news[0], owned, removed)
        elif len(olds) > 1 and len(news) > 1:
            if olds != news:
                owned[key] = LEAF
        elif len(olds) > 1:
            if news:
                owned[key] = self._item.whole(news[0]) if self._item else LEAF
            removed[key] = LEAF
        else:
            if olds:
                removed[key] = self._item.whole(olds[0]) if self._item else LEAF
            owned[key] = LEAF


class _Deduced:
    """A value of which the type says nothing: maps are walked, all else is owned as a whole."""

    __slots__ = ()

    def whole(self, value: Any) -> FieldSet:
        if not isinstance(value, dict) or not value:
            return LEAF
        return {SELF: LEAF, **{f"f:{name}": self.whole(value[name]) for name in sorted(value)}}

    def differ(self, live: Any, new: Any, owned: FieldSet, removed: FieldSet) -> bool:
        maps = [value for value in (live, new) if isinstance(value, dict)]
        if not any(maps):
            return True
        olds = live if isinstance(live, dict) else {}
        news = new if isinstance(new, dict) else {}
        _Map(self).differ(olds, news, owned, removed)
        return not all(value is None or isinstance(value, dict) for value in (live, new))


_DEDUCED = _Deduced()
_STRUCTS: dict[StructType, _Struct] = {}
"""One walker a definition. Custom resources come and go with their types, so this is emptied when it has grown too big."""
_STRUCTS_MAX = 8192


def _walker_of(of: Type) -> _Walker | None:
    """The walker of a type; None when its values are owned as a whole."""
    if isinstance(of, StructType):
        if of.atomic:
            return None
        found = _STRUCTS.get(of)
        if found is None:
            if len(_STRUCTS) >= _STRUCTS_MAX:
                _STRUCTS.clear()
            found = _STRUCTS[of] = _Struct(of)
        return found
    if isinstance(of, MapType):
        return None if of.atomic else _Map(_walker_of(of.value))
    if isinstance(of, ListType):
        return None if of.kind == "atomic" else _List(element_of(of), _walker_of(of.item))
    return _DEDUCED if is_any(of) and not is_opaque(of) else None


def _zero(field: Field) -> Any:
    """What Go writes for an empty field that it always writes; structs by value are written as their own empty form."""
    if isinstance(field.type, StructType) and field.zero == {}:
        return {each.name: _zero(each) for each in field.type.fields.values() if each.always}
    return field.zero
