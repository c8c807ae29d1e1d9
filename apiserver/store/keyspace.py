"""Keys in order: what both the memory and the SQLite backend answer `list` and `count` from. Knows no values and no revisions."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable

_LAST_BEFORE_SURROGATES, _FIRST_AFTER_SURROGATES = 0xD7FF, 0xE000
_LAST_CODE_POINT = 0x10FFFF


def end_of(prefix: str) -> str | None:
    """The smallest string greater than every string that begins with `prefix`; None when there is none (`prefix` is "")."""
    for at in range(len(prefix) - 1, -1, -1):
        code = ord(prefix[at])
        if code == _LAST_CODE_POINT:
            continue
        following = _FIRST_AFTER_SURROGATES if code == _LAST_BEFORE_SURROGATES else code + 1
        return prefix[:at] + chr(following)
    return None


class SortedKeys:
    """A set of keys that is always sorted. One flat list: inserting moves memory (5 us among 100,000 keys), ranges are slices."""

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._keys = sorted(keys)

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, key: str) -> None:
        """Add a key that is not there."""
        insort(self._keys, key)

    def remove(self, key: str) -> None:
        """Remove a key that is there."""
        del self._keys[bisect_left(self._keys, key)]

    def count(self, prefix: str) -> int:
        low, high = self._bounds(prefix, "")
        return high - low

    def page(self, prefix: str, start: str, limit: int) -> tuple[list[str], int]:
        """The first `limit` (0: all) keys under `prefix` from `start` on, and how many come after them."""
        low, high = self._bounds(prefix, start)
        stop = min(high, low + limit) if limit > 0 else high
        return self._keys[low:stop], high - stop

    def _bounds(self, prefix: str, start: str) -> tuple[int, int]:
        end = end_of(prefix)
        high = len(self._keys) if end is None else bisect_left(self._keys, end)
        return min(bisect_left(self._keys, max(prefix, start)), high), high
