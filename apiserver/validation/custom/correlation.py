"""Which old value a new one replaces: what was wrong before and has not changed may stay (ratcheting).

Fields correlate by name where the schema names them, items of list maps by their keys; items of other lists do not, and neither do
fields that are only preserved. Source: apiserver `pkg/cel/common/{equality,maplist}.go`.
"""

from __future__ import annotations

from typing import Any, Final

from apiserver.validation.custom.schema import Node, additional, items, properties

_SCALARS: Final = (str, int, float, bool)


class Correlation:
    """A value, the one that it replaces, and the schema of both."""

    __slots__ = ("_equal", "new", "node", "old")

    def __init__(self, new: Any, old: Any, node: Node) -> None:
        self.new, self.old, self.node = new, old, node
        self._equal: bool | None = None

    def key(self, name: str) -> Correlation | None:
        """That of a field; None where there is nothing to compare with."""
        if not isinstance(self.old, dict) or not isinstance(self.new, dict) or name not in self.old or name not in self.new:
            return None
        node = properties(self.node).get(name, additional(self.node))
        return Correlation(self.new[name], self.old[name], node) if node is not None else None

    def index(self, at: int) -> Correlation | None:
        """That of an item."""
        node = items(self.node)
        if node is None or not isinstance(self.old, list) or not isinstance(self.new, list) or not self._is_list_map():
            return None
        key = _key(self.new[at], self._keys())
        old = next((each for each in self.old if key is not None and _key(each, self._keys()) == key), None)
        return Correlation(self.new[at], old, node) if old is not None else None

    def _keys(self) -> list[str]:
        return self.node.get("x-kubernetes-list-map-keys") or []

    def _is_list_map(self) -> bool:
        return self.node.get("x-kubernetes-list-type") == "map"

    def is_equal(self) -> bool:
        """Whether nothing has changed. The order of list maps does not matter; what does not correlate counts as changed."""
        if self._equal is None:
            self._equal = self._compared()
        return self._equal

    def _compared(self) -> bool:
        new, old = self.new, self.old
        if isinstance(new, dict) and isinstance(old, dict):
            return len(new) == len(old) and all(_is_equal(self.key(name)) for name in new)
        if not isinstance(new, list) or not isinstance(old, list):
            return type(new) is type(old) and bool(new == old)
        if len(new) != len(old):
            return False
        if not self._is_list_map() or items(self.node) is None:
            return same(new, old)
        return all(_is_equal(self.index(at)) for at in range(len(new)))


def _is_equal(child: Correlation | None) -> bool:
    return child is not None and child.is_equal()


def _key(item: Any, keys: list[str]) -> tuple[tuple[type, Any], ...] | None:
    """What tells an item of a list map from others; None where it does not have it all."""
    if not isinstance(item, dict) or not keys or not all(type(item.get(key)) in _SCALARS for key in keys):
        return None
    return tuple((type(item[key]), item[key]) for key in keys)


def same(a: Any, b: Any) -> bool:
    """Equal to Go: 1 is neither 1.0 nor true."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[name], b[name]) for name in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(same(one, other) for one, other in zip(a, b, strict=True))
    return bool(a == b)
