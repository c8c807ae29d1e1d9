"""Who is told of a resource's changes: its watchers, found by what they ask for, and woken in rounds when they are many.

A change is offered to those whom it may concern: who watches everything, its namespace, its name, or the value of one of its fields
before or after (thousands of kubelets each watch the pods of one node). Selectors are the watchers' own business.

Waking a thousand watchers takes tens of milliseconds, in which nobody's write gets on. So after each round there is a pause in proportion;
what happens in it reaches each watcher together, as one write to its connection. A few watchers are woken at once, always.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from apiserver.registry.cache import Change
    from apiserver.store.base import Subscription

WATCHER_CHANGES_MAX: Final = 10_000
PAUSE_PER_WATCHER_S: Final = 200e-6
"""Serving one watcher takes about 75 us and 1 us for each kB: the pause is about twice the round, so that rounds are worth their while."""
PAUSE_MIN_S: Final = 0.002
"""What is shorter is left out: fewer than ten watchers never wait."""
PAUSE_MAX_S: Final = 0.05
SHARED_BYTES_MAX: Final = 1 << 20

Scope = tuple[str, str]
"""The narrowest that a watcher asks for: everything, what is in a namespace, what has a name, or (a selectable field, its value)."""
EVERYTHING: Final[Scope] = ("", "")
_NAMESPACE, _NAME = "@namespace", "@name"  # no field is called so


class Watcher:
    """One watch: the changes not yet sent. `ready` is set while there are some to be sent now, or when it has ended."""

    __slots__ = ("_all", "after", "changes", "cut_off", "ended", "name", "namespace", "ready", "scope", "subscription")

    def __init__(self, everyone: Watchers, namespace: str, name: str, after: int = 0, field: Scope | None = None) -> None:
        self._all, self.namespace, self.name, self.after = everyone, namespace, name, after
        self.scope: Scope = (_NAME, name) if name else field or ((_NAMESPACE, namespace) if namespace else EVERYTHING)
        self.changes: list[Change] = []
        self.ready = asyncio.Event()
        self.cut_off = False
        self.ended = False
        """Nothing more will come: the resource is not served any more, or the server stops."""
        self.subscription: Subscription | None = None
        """While it reads the store's log itself, being older than the history."""

    @property
    def is_lost(self) -> bool:
        """The log has ended under it: nothing more will come."""
        return self.subscription is not None and self.subscription.failed is not None

    def offer(self, changes: Sequence[Change]) -> bool:
        """Take what of `changes` (in the order of revisions) is for it. Whether it has something to send now, and had nothing before."""
        after, namespace, name = self.after, self.namespace, self.name
        if changes[0].revision <= after or namespace or name:
            changes = [
                each
                for each in changes
                if each.revision > after and namespace in ("", each.entry.namespace) and name in ("", each.entry.name)
            ]
            if not changes:
                return False
        waiting = self.changes
        if len(waiting) + len(changes) > WATCHER_CHANGES_MAX:
            self.cut_off = True
            waiting.clear()
            self._all.drop(self)
            self.ready.set()
            return False
        was_idle = not waiting
        waiting.extend(changes)
        return was_idle

    def take(self) -> list[Change]:
        """All waiting changes, oldest first."""
        taken, self.changes = self.changes, []
        self.ready.clear()
        return taken

    def close(self) -> None:
        self._all.drop(self)


class Watchers:
    """Those of one resource. On the event loop."""

    def __init__(self) -> None:
        self.late: set[Watcher] = set()
        """Those who still read the store's log."""
        self._of: dict[Scope, dict[Watcher, None]] = {}
        self._kinds: dict[str, int] = {}  # what scopes there are of each kind, so that only those are looked for
        self._woken = 0
        self._due: list[Watcher] = []
        self._pause: asyncio.TimerHandle | None = None
        self._shared: dict[Any, tuple[Change, Change, int, bytes]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._of.values())) + len(self.late)

    def __iter__(self) -> Iterator[Watcher]:
        for each in self._of.values():
            yield from each
        yield from self.late

    def add(self, watcher: Watcher) -> None:
        of = self._of.get(watcher.scope)
        if of is None:
            of = self._of[watcher.scope] = {}
            self._kinds[watcher.scope[0]] = self._kinds.get(watcher.scope[0], 0) + 1
        of[watcher] = None

    def drop(self, watcher: Watcher) -> None:
        """Tell it nothing more."""
        self.late.discard(watcher)
        if watcher.subscription is not None:
            watcher.subscription.cancel()
        of = self._of.get(watcher.scope)
        if of is None or watcher not in of:
            return
        del of[watcher]
        if not of:
            kind = watcher.scope[0]
            del self._of[watcher.scope]
            self._kinds[kind] -= 1
            if not self._kinds[kind]:
                del self._kinds[kind]
        if not self._of:
            self._shared.clear()

    def cut_off_all(self) -> None:
        """All must begin anew: what happened meanwhile is not known. (Those who still read the log know.)"""
        for of in self._of.values():
            for watcher in of:
                watcher.cut_off = True
                watcher.ready.set()
        self._of.clear()
        self._kinds.clear()
        self._shared.clear()

    def end(self) -> None:
        """Nothing more comes."""
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        self._due.clear()
        for watcher in self:
            watcher.ended = True
            watcher.ready.set()

    # --- telling ------------------------------------------------------------------------------------------------------

    def tell(self, changes: Sequence[Change], field_index: dict[str, int]) -> None:
        """Offer the next changes to those whom they may concern. `field_index`: where a field is among an entry's."""
        self._shared.clear()
        for kind in list(self._kinds):
            for scope, those in _by_scope(kind, changes, field_index).items():
                for watcher in list(self._of.get(scope, ())):
                    if watcher.offer(those):
                        self._wake(watcher)

    def _wake(self, watcher: Watcher) -> None:
        if self._pause is not None:
            self._due.append(watcher)
            return
        watcher.ready.set()
        self._woken += 1
        if self._woken == 1:
            asyncio.get_running_loop().call_soon(self._round_begins)

    def _round_begins(self) -> None:
        """All are woken; what is called next runs after what they do now."""
        asyncio.get_running_loop().call_soon(self._round_ends)

    def _round_ends(self) -> None:
        loop = asyncio.get_running_loop()
        pause_s, self._woken = self._woken * PAUSE_PER_WATCHER_S, 0
        if pause_s >= PAUSE_MIN_S and not hasattr(loop, "threads_busy"):  # a virtual loop's time may stand still
            self._pause = loop.call_later(min(pause_s, PAUSE_MAX_S), self._pause_ends)

    def _pause_ends(self) -> None:
        self._pause = None
        due, self._due = self._due, []
        for watcher in due:
            if watcher.changes:
                self._wake(watcher)

    # --- what they share ----------------------------------------------------------------------------------------------

    def shared(self, key: Any, changes: Sequence[Change]) -> bytes | None:
        """What another watcher with this key sent for the very same changes, if it was the last thing that such a one sent."""
        found = self._shared.get(key)
        if found is not None and found[0] is changes[0] and found[1] is changes[-1] and found[2] == len(changes):
            return found[3]
        return None

    def share(self, key: Any, changes: Sequence[Change], chunk: bytes) -> None:
        """Keep a chunk for the next watcher with this key; all such watchers must be offered the same changes."""
        if len(chunk) <= SHARED_BYTES_MAX:
            self._shared[key] = (changes[0], changes[-1], len(changes), chunk)


def _by_scope(kind: str, changes: Sequence[Change], field_index: dict[str, int]) -> Mapping[Scope, Sequence[Change]]:
    """The changes by the scopes of one kind that they are in: a field's, where its value was or is that."""
    if kind == "":
        return {EVERYTHING: changes}
    found: dict[Scope, list[Change]] = {}
    if kind == _NAMESPACE:
        for change in changes:
            found.setdefault((kind, change.entry.namespace), []).append(change)
    elif kind == _NAME:
        for change in changes:
            found.setdefault((kind, change.entry.name), []).append(change)
    else:
        at = field_index[kind]
        for change in changes:
            now = change.entry.fields[at]
            found.setdefault((kind, now), []).append(change)
            if change.previous is not None and (before := change.previous.fields[at]) != now:
                found.setdefault((kind, before), []).append(change)
    return found
