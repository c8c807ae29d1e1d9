"""Reading our own writes: what this process did must count at once, however late its cache is.

A controller that reads only its cache would create a pod twice: the cache learns of the first one a moment after the answer.
Upstream waits until its "expectations" are met; here every answer is put into the cache itself (`Informer.put`), and what was deleted
on the spot, of which there is no newer version to put, is remembered until the cache has lost it. Nothing waits, no count is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable

from kube.client.informer import Informer
from kube.objects import Object, is_deleting, key_of, uid_of


class OwnWrites:
    """The writes of one controller to what one informer holds."""

    def __init__(self, informer: Informer) -> None:
        self._informer = informer
        self._gone: set[str] = set()
        informer.add_handler(self._see)

    def note(self, answer: Object | None) -> None:
        """The server answered with this version."""
        if answer is not None and uid_of(answer):
            self._informer.put(answer)

    def note_deleted(self, obj: Object, answer: Object | None) -> None:
        """The server accepted to delete `obj`: it is being deleted (then the answer says so), or gone."""
        if answer is not None and uid_of(answer) == uid_of(obj) and is_deleting(answer):
            self._informer.put(answer)
            return
        cached = self._informer.get(key_of(obj))
        if cached is not None and uid_of(cached) == uid_of(obj):
            self._gone.add(uid_of(obj))

    def is_gone(self, obj: Object) -> bool:
        """Whether the object is known to be gone, though the cache may still have it."""
        return uid_of(obj) in self._gone

    def without_gone(self, cached: Iterable[Object]) -> list[Object]:
        """The cached objects, without those that we know to be gone."""
        if not self._gone:
            return list(cached)
        return [each for each in cached if uid_of(each) not in self._gone]

    def _see(self, old: Object | None, new: Object | None) -> None:
        if new is None and old is not None:
            self._gone.discard(uid_of(old))
