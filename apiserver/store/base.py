"""The store: a revisioned key-value protocol with etcd's semantics. This page is the one to read first.

Keys are upstream's (`/registry/pods/default/web-1`), values are bytes that the store never looks into. Every write gets the
next revision; the store remembers each of them until `compact`. Backends: `memory.py` (tests), `sqlite.py` (default) and,
later, etcd; `tests/contract/store_contract.py` holds all of them to this page. Source: etcd's `rpc.proto`, kine's `server/types.go`.

What every backend promises:

- **Durable.** `create`, `update` and `delete` return only after the write would survive `kill -9` (memory excepted).
- **Ordered.** A subscriber sees each event of its prefix exactly once, in revision order, from the revision it asked for.
- **Told first.** Where writer and subscriber share a process, `deliver` has run for a write before that write returns, so a
  cache fed by `subscribe` never answers older than what its own process has acknowledged.
- **Bounded.** History before the compacted revision is gone: reading there, or subscribing from there, raises `Compacted`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol


class StoreError(Exception):
    """Something the store could not do. Its subclasses below are part of the protocol."""


class KeyExists(StoreError):
    """`create` of a key that is there."""


class RevisionMismatch(StoreError):
    """`update` or `delete` of a key that is not at the expected revision; `current` is what is there (None: no such key)."""

    def __init__(self, key: str, current: KeyValue | None) -> None:
        super().__init__(f"{key} is at revision {current.mod_revision if current else None}")
        self.key, self.current = key, current


class Compacted(StoreError):
    """That revision is no longer kept; `oldest` is the compacted revision: reads need `revision >= oldest`."""

    def __init__(self, oldest: int) -> None:
        super().__init__(f"revisions before {oldest} have been compacted")
        self.oldest = oldest


class FutureRevision(StoreError):
    """That revision has not happened yet; `current` is the newest."""

    def __init__(self, current: int) -> None:
        super().__init__(f"the newest revision is {current}")
        self.current = current


class StoreUnavailable(StoreError):
    """The store cannot write now (disk full, I/O error, closed). Nothing of the failed write was kept."""


class StoreUnusable(StoreError):
    """The data cannot be opened at all: of a newer version, of another user, or corrupt. The text says what to do."""


class KeyValue(NamedTuple):
    """A key as it was at `mod_revision`. `hint` is what the writer in this process attached (see `Store.create`), else None."""

    key: str
    value: bytes
    create_revision: int
    mod_revision: int
    lease: int = 0
    hint: Any = None


class Event(NamedTuple):
    """One write. `kv` is the key after it (for a delete: its last value, with `mod_revision` of the delete)."""

    kv: KeyValue
    deleted: bool
    previous: KeyValue | None
    """The key before this write; None for a create."""


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a listing, in key order, all of it as of `revision`; `remaining` counts the keys of the range after it."""

    items: list[KeyValue]
    revision: int
    remaining: int


Deliver = Callable[[Sequence[Event]], None]
"""Called on the event loop with one or more events, oldest first. It must not block and must not raise."""


class Subscription(Protocol):
    """A running delivery. `failed`, when set, says why it ended (Compacted, StoreUnavailable)."""

    @property
    def failed(self) -> StoreError | None: ...

    def cancel(self) -> None: ...


class Store(Protocol):
    """See the module. All methods are called on one event loop."""

    @property
    def newest(self) -> int | None:
        """What `revision` would answer, where this process alone writes and so knows; None where it has to be asked for."""
        ...

    async def get(self, key: str, *, revision: int = 0) -> KeyValue | None:
        """The key now, or as it was at `revision`. Raises Compacted, FutureRevision."""
        ...

    async def list(self, prefix: str, *, start: str = "", limit: int = 0, revision: int = 0) -> Page:
        """The keys that begin with `prefix` and are >= `start`, at most `limit` (0: all), now or as of `revision`.

        Raises Compacted, FutureRevision."""
        ...

    async def count(self, prefix: str) -> int:
        """How many keys begin with `prefix`, now."""
        ...

    async def create(self, key: str, value: bytes, *, lease: int = 0, hint: Any = None) -> int:
        """Write a key that is not there; its revision. Raises KeyExists, StoreUnavailable.

        `hint` is handed back with the events and reads of this process (the decoded form of `value`, say) and is never stored."""
        ...

    async def update(
        self, key: str, value: bytes, *, expected: int, lease: int = 0, hint: Any = None, previous: bytes | None = None
    ) -> int:
        """Write a key whose mod_revision is `expected`; its new revision. Raises RevisionMismatch, StoreUnavailable.

        `previous`, if the caller has it at hand, is the value at `expected`: it saves the store from reading it for the event."""
        ...

    async def delete(self, key: str, *, expected: int) -> int:
        """Remove a key whose mod_revision is `expected`; the revision of the removal. Raises RevisionMismatch, StoreUnavailable."""
        ...

    async def revision(self) -> int:
        """The newest revision there is (of any key, from any writer). Starts at 1 in an empty store."""
        ...

    def subscribe(self, prefix: str, *, after: int, deliver: Deliver) -> Subscription:
        """Deliver every event under `prefix` with a revision greater than `after`, those of the past first. Raises Compacted."""
        ...

    async def compact(self, revision: int) -> None:
        """Forget what was overwritten or deleted at or before `revision`. Raises Compacted (already past it), FutureRevision."""
        ...

    async def grant_lease(self, ttl_s: int) -> int:
        """A lease: the keys written with it are deleted (each with an event) when its time is up. Survives a restart."""
        ...

    async def close(self) -> None:
        """Finish what is being written, refuse the rest with StoreUnavailable, release files and threads."""
        ...
