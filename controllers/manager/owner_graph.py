"""Who owns whom: every object of the cluster by uid, and for each owner its dependents. Pure bookkeeping for the garbage collector.

An owner need not be there for its dependents to be known: references may point at what was never seen, or is gone.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kube.objects import Object, is_deleting, name_of, namespace_of, owners_of, uid_of
from kube.resources import Resource

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
GONE_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Node:
    """One object that exists, as far as the cache knows."""

    resource: Resource
    namespace: str
    name: str

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name

    def is_meant_by(self, ref: Mapping[str, Any], namespace: str) -> bool:
        """Whether an owner reference in an object of `namespace` names this very object, and not only its uid."""
        group = ref.get("apiVersion", "").rpartition("/")[0]
        same_kind = (self.resource.group, self.resource.kind) == (group, ref.get("kind"))
        return same_kind and self.name == ref.get("name") and self.namespace in ("", namespace)


def finalizers_of(obj: Mapping[str, Any]) -> list[str]:
    return obj.get("metadata", {}).get("finalizers") or []


def waits_for_dependents(obj: Mapping[str, Any]) -> bool:
    """Being deleted in the foreground: it goes after its dependents."""
    return is_deleting(obj) and FOREGROUND in finalizers_of(obj)


def orphans_dependents(obj: Mapping[str, Any]) -> bool:
    """Being deleted, and its dependents shall stay."""
    return is_deleting(obj) and ORPHAN in finalizers_of(obj)


def is_same_to_us(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether nothing changed that matters to ownership."""
    before, after = old["metadata"], new["metadata"]
    return all(before.get(field) == after.get(field) for field in ("ownerReferences", "deletionTimestamp", "finalizers"))


class OwnerGraph:
    """See the module. `observe` takes in changes and answers whom they concern."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self._waiting: set[str] = set()
        self._dependents: dict[str, dict[str, None]] = {}
        self._gone: OrderedDict[str, None] = OrderedDict()

    def dependents(self, uid: str) -> list[str]:
        """The uids of everything that names this owner."""
        return [*self._dependents.get(uid, ())]

    def is_waiting(self, uid: str) -> bool:
        """Whether that object is being deleted in the foreground."""
        return uid in self._waiting

    def is_known_gone(self, uid: str) -> bool:
        return uid in self._gone

    def note_gone(self, uid: str) -> None:
        """That uid does not exist any more: uids never come back."""
        self._gone[uid] = None
        if len(self._gone) > GONE_MAX:
            self._gone.popitem(last=False)

    def observe(self, resource: Resource, old: Object | None, new: Object | None) -> set[str]:
        """Take a change in (old, new as informers tell it); the uids of the objects to look at because of it."""
        if new is None:
            return self._removed(old) if old is not None else set()
        if old is not None and is_same_to_us(old, new):
            return set()
        uid = uid_of(new)
        self.nodes[uid] = Node(resource, namespace_of(new), name_of(new))
        self._gone.pop(uid, None)
        before = {ref["uid"]: bool(ref.get("blockOwnerDeletion")) for ref in owners_of(old or {})}
        after = {ref["uid"]: bool(ref.get("blockOwnerDeletion")) for ref in owners_of(new)}
        for owner in before.keys() - after.keys():
            self._unlink(owner, uid)
        for owner in after:
            self._dependents.setdefault(owner, {})[uid] = None
        unblocked = {owner for owner, blocks in before.items() if blocks and not after.get(owner)}
        return {owner for owner in unblocked if owner in self._waiting} | self._concerned(new)

    def _concerned(self, obj: Object) -> set[str]:
        uid = uid_of(obj)
        concerned = set()
        if orphans_dependents(obj) or any(not self._is_solid(ref, namespace_of(obj)) for ref in owners_of(obj)):
            concerned.add(uid)
        if waits_for_dependents(obj):
            self._waiting.add(uid)
            concerned |= {uid, *self.dependents(uid)}
        else:
            self._waiting.discard(uid)
        return concerned

    def _is_solid(self, ref: Mapping[str, Any], namespace: str) -> bool:
        node = self.nodes.get(ref["uid"])
        return node is not None and ref["uid"] not in self._waiting and node.is_meant_by(ref, namespace)

    def _removed(self, old: Object) -> set[str]:
        uid = uid_of(old)
        self.nodes.pop(uid, None)
        self._waiting.discard(uid)
        self.note_gone(uid)
        concerned = set(self.dependents(uid))
        for ref in owners_of(old):
            self._unlink(ref["uid"], uid)
            if ref["uid"] in self._waiting:
                concerned.add(ref["uid"])
        return concerned

    def _unlink(self, owner: str, dependent: str) -> None:
        dependents = self._dependents.get(owner)
        if dependents is not None:
            dependents.pop(dependent, None)
            if not dependents:
                del self._dependents[owner]
