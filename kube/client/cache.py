"""The objects an informer holds, by key, by namespace and by index. Pure bookkeeping."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from kube.objects import Object, namespace_of

IndexFn = Callable[[Object], Iterable[str]]

Objects = list[Object]
Keys = list[str]

_Index = dict[str, dict[str, Object]]  # value -> key -> object


class Cache:
    """Objects by key. What it hands out is shared and must not be changed; the lists are the caller's own."""

    def __init__(self, indexes: Mapping[str, IndexFn]) -> None:
        self._objects: dict[str, Object] = {}
        self._by_namespace: _Index = {}
        self._indexes: dict[str, tuple[IndexFn, _Index]] = {}
        for name, fn in indexes.items():
            self.add_index(name, fn)

    def __len__(self) -> int:
        return len(self._objects)

    def get(self, key: str) -> Object | None:
        return self._objects.get(key)

    def keys(self) -> Keys:
        return [*self._objects]

    def list(self, namespace: str | None) -> Objects:
        """Everything, or what is in one namespace."""
        found = self._objects if namespace is None else self._by_namespace.get(namespace, {})
        return [*found.values()]

    def by_index(self, index: str, value: str) -> Objects:
        return [*self._indexes[index][1].get(value, {}).values()]

    def add_index(self, name: str, fn: IndexFn) -> None:
        """Index what is there and what will be. Another function under a name that is taken is a ValueError."""
        if name in self._indexes:
            if self._indexes[name][0] is not fn:
                raise ValueError(f"there is another index {name!r} already")
            return
        index: _Index = {}
        self._indexes[name] = (fn, index)
        for key, obj in self._objects.items():
            _insert(index, fn(obj), key, obj)

    def set(self, key: str, new: Object | None) -> None:
        """Put `new` in the key's place; None takes it away."""
        old = self._objects.get(key)
        if old is not None:
            _remove(self._by_namespace, (namespace_of(old),), key)
            for fn, index in self._indexes.values():
                _remove(index, fn(old), key)
        if new is None:
            self._objects.pop(key, None)
            return
        self._objects[key] = new
        _insert(self._by_namespace, (namespace_of(new),), key, new)
        for fn, index in self._indexes.values():
            _insert(index, fn(new), key, new)


def _insert(index: _Index, values: Iterable[str], key: str, obj: Object) -> None:
    for value in values:
        index.setdefault(value, {})[key] = obj


def _remove(index: _Index, values: Iterable[str], key: str) -> None:
    for value in values:
        held = index.get(value)
        if held is not None:
            held.pop(key, None)
            if not held:
                del index[value]
