"""What a pure function has said of a JSON value, remembered by the value's bytes.

For work that is done again and again on equal values: a thousand pods of one template decode to the same spec, and the same rules find
nothing wrong with it. Bounded: the entry that was put in first goes first, and long keys are not kept. Never for secrets.
"""

from __future__ import annotations

from typing import Any, Final, Generic, TypeVar

import orjson

ENTRIES_MAX: Final = 256
KEY_BYTES_MAX: Final = 16 * 1024

V = TypeVar("V")


def bytes_of(value: Any) -> bytes | None:
    """The value as a key: equal bytes, equal JSON, down to the kinds of numbers. None for what has no JSON form, or a long one."""
    try:
        key = orjson.dumps(value)
    except TypeError:
        return None
    return key if len(key) <= KEY_BYTES_MAX else None


class Memo(Generic[V]):
    """Values by key, at most `entries_max`."""

    __slots__ = ("_entries_max", "_known", "get")

    def __init__(self, entries_max: int = ENTRIES_MAX) -> None:
        self._entries_max = entries_max
        self._known: dict[Any, V] = {}
        self.get = self._known.get

    def put(self, key: Any, value: V) -> None:
        known = self._known
        if len(known) >= self._entries_max and key not in known:
            del known[next(iter(known))]
        known[key] = value

    def __len__(self) -> int:
        return len(self._known)
