"""What the SQLite store knows of its keys without asking SQLite: the committed keys in order, and the writes under way.

Every write is checked against the newest state there is, committed or not, and numbered at once; so the writer thread only
appends. `applied` moves a write to the committed side; `roll_back` forgets all that is under way. No values of committed keys here.
"""

from __future__ import annotations

from typing import NamedTuple

from apiserver.store.keyspace import SortedKeys
from apiserver.store.sqlite_schema import Entry


class Pending(NamedTuple):
    """A key's newest write that is not committed yet; `entry` is None when it deletes the key."""

    revision: int
    entry: Entry | None
    value: bytes


class Index:
    """`revision` is the newest committed one. All on the event loop."""

    def __init__(self, keys: dict[str, Entry], revision: int) -> None:
        self.revision = revision
        self.committed = keys
        self.keys = SortedKeys(keys)
        self.pending: dict[str, Pending] = {}
        self._last = revision

    def newest(self, key: str) -> Entry | None:
        """The key as it will be when all that is under way is committed."""
        pending = self.pending.get(key)
        return pending.entry if pending is not None else self.committed.get(key)

    def next_revision(self) -> int:
        self._last += 1
        return self._last

    def applied(self, key: str, revision: int, entry: Entry | None) -> Entry | None:
        """The write of `revision` is committed (`entry` None: it deleted). Returns what it replaced on the committed side."""
        self.revision = revision
        pending = self.pending.get(key)
        if pending is not None and pending.revision == revision:
            del self.pending[key]
        old = self.committed.get(key)
        if entry is None:
            if old is not None:
                del self.committed[key]
                self.keys.remove(key)
            return old
        if old is None:
            self.keys.add(key)
        self.committed[key] = entry
        return old

    def roll_back(self) -> None:
        """Nothing that was under way has happened; its revisions are given out again."""
        self.pending.clear()
        self._last = self.revision
