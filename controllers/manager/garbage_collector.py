"""The garbage collector: what is owned goes when its last owner is gone.

Promises: background deletion (dependents go after their owner), foreground deletion (the owner waits for dependents that block it) and
orphaning (dependents lose their reference and stay); an owner counts as absent only when the server itself says so, or its deletion
was seen; every kind that discovery knows takes part, new ones as they appear. Events take no part: they own nothing and expire.
Read first: `owner_graph.py`. Source: upstream `pkg/controller/garbagecollector`, whose virtual nodes are not needed here, because the
graph knows the dependents of owners that it never saw.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

from kube.client.client import PatchKind
from kube.client.informer import Informer
from kube.errors import NotFound
from kube.objects import Object, is_deleting, name_of, namespace_of, owners_of, resource_version_of, uid_of
from kube.resources import Resource
from kube.runtime.controller import Run
from kube.runtime.perform import Action, Delete, Patch, perform

from .discovery import discover
from .owner_graph import FOREGROUND, ORPHAN, OwnerGraph, finalizers_of, orphans_dependents, waits_for_dependents

IGNORED = frozenset({("", "events"), ("events.k8s.io", "events")})
DISCOVERY = "discovery"
"""The one key that is not a uid: look which kinds there are."""
RESYNC_S = 30.0
FIRST_LISTS_S = 30.0
UNKNOWN_KIND_RETRY_S = 60.0
_CRDS = ("apiextensions.k8s.io", "customresourcedefinitions")


class Owner(Enum):
    """What a reference points at."""

    SOLID = auto()
    ABSENT = auto()
    WAITING = auto()
    """There, but being deleted in the foreground: it waits for its dependents."""
    UNKNOWN = auto()
    """Of a kind that the server does not have (now), or that cannot own this object: nothing may be concluded."""


@dataclass(frozen=True, slots=True)
class Dependent:
    resource: Resource
    obj: Object


def plan(desired: Dependent, owners: Mapping[str, Owner], dependents: Sequence[Dependent], now: datetime) -> list[Action]:
    """What to do about one object. `owners` says for each uid it refers to what is there; `dependents` are the objects that refer to it."""
    obj = desired.obj
    if orphans_dependents(obj):
        return [*(without_owners(each, {uid_of(obj)}) for each in dependents), without_finalizer(desired, ORPHAN)]
    if waits_for_dependents(obj):
        blocked = any(blocks(each.obj, uid_of(obj)) for each in dependents)
        return [] if blocked else [without_finalizer(desired, FOREGROUND)]
    if is_deleting(obj) or not owners or Owner.UNKNOWN in owners.values():
        return []
    leaving = {uid for uid, owner in owners.items() if owner is not Owner.SOLID}
    if len(leaving) < len(owners):
        return [without_owners(desired, leaving)] if leaving else []
    if Owner.WAITING in owners.values() and dependents:
        in_circle = any(waits_for_dependents(each.obj) for each in dependents)
        # A circle of owners that all wait for each other is cut here. The patch changes the version that deletion would ask for.
        return [unblocking(desired)] if in_circle and _blocks_any(obj) else [deletion(desired, "Foreground")]
    finalizers = finalizers_of(obj)
    policy = "Orphan" if ORPHAN in finalizers else "Foreground" if FOREGROUND in finalizers else "Background"
    return [deletion(desired, policy)]


def blocks(dependent: Object, owner_uid: str) -> bool:
    """Whether this dependent holds up the foreground deletion of its owner."""
    return any(ref["uid"] == owner_uid and ref.get("blockOwnerDeletion") for ref in owners_of(dependent))


def _blocks_any(obj: Object) -> bool:
    return any(ref.get("blockOwnerDeletion") for ref in owners_of(obj))


def deletion(of: Dependent, policy: str) -> Action:
    """Delete exactly the version that was judged: another one may have other owners."""
    obj = of.obj
    version = resource_version_of(obj)
    return Delete(of.resource, namespace_of(obj) or None, name_of(obj), uid=uid_of(obj), resource_version=version, propagation=policy)


def without_owners(of: Dependent, uids: set[str]) -> Action:
    return _metadata_patch(of, {"ownerReferences": [ref for ref in owners_of(of.obj) if ref["uid"] not in uids]})


def unblocking(of: Dependent) -> Action:
    return _metadata_patch(of, {"ownerReferences": [{**ref, "blockOwnerDeletion": False} for ref in owners_of(of.obj)]})


def without_finalizer(of: Dependent, finalizer: str) -> Action:
    return _metadata_patch(of, {"finalizers": [each for each in finalizers_of(of.obj) if each != finalizer]})


def _metadata_patch(of: Dependent, change: Object) -> Action:
    """A merge patch of exactly that version; strategic patches are not for custom resources."""
    metadata = {"uid": uid_of(of.obj), "resourceVersion": resource_version_of(of.obj), **change}
    return Patch(of.resource, namespace_of(of.obj) or None, name_of(of.obj), {"metadata": metadata}, PatchKind.MERGE)


class GarbageCollector:
    """Keeps the graph and looks at what a change concerns. Keys are uids, and DISCOVERY."""

    name = "garbagecollector"
    tick_s = RESYNC_S

    def start(self, run: Run) -> None:
        self.run = run
        self.graph = OwnerGraph()
        self._informers: dict[Resource, Informer] = {}
        self._by_kind: dict[tuple[str, str], Resource] = {}
        self._ready = asyncio.Event()
        self._told: set[tuple[str, str]] = set()
        run.queue.add(DISCOVERY)

    async def tick(self) -> None:
        self.run.queue.add(DISCOVERY)

    async def reconcile(self, key: str) -> float | None:
        if key == DISCOVERY:
            await self._discover()
            return None
        await self._ready.wait()
        found = self._found(key)
        if found is None:
            return None
        owners = {} if is_deleting(found.obj) else await self._owners(found)
        dependents = [each for uid in self.graph.dependents(key) if (each := self._found(uid)) is not None]
        if waits_for_dependents(found.obj):
            for each in dependents:
                if not is_deleting(each.obj):
                    self.run.queue.add(uid_of(each.obj))
        for answer in await perform(plan(found, owners, dependents, self.run.clock.now()), client=self.run.client, events=self.run.events):
            self._note(answer)
        return UNKNOWN_KIND_RETRY_S if Owner.UNKNOWN in owners.values() else None

    def _found(self, uid: str) -> Dependent | None:
        node = self.graph.nodes.get(uid)
        obj = self._informers[node.resource].get(node.key) if node is not None else None
        return Dependent(node.resource, obj) if node is not None and obj is not None and uid_of(obj) == uid else None

    def _note(self, answer: Object | None) -> None:
        """What a patch answered stands in for what the watch is about to bring."""
        node = self.graph.nodes.get(uid_of(answer)) if answer is not None else None
        if node is not None and answer is not None and (not is_deleting(answer) or finalizers_of(answer)):
            self._informers[node.resource].put(answer)

    # --- owners

    async def _owners(self, of: Dependent) -> dict[str, Owner]:
        return {ref["uid"]: await self._owner(of, ref) for ref in owners_of(of.obj)}

    async def _owner(self, of: Dependent, ref: Object) -> Owner:
        uid, namespace = ref["uid"], namespace_of(of.obj)
        node = self.graph.nodes.get(uid)
        if node is not None and node.is_meant_by(ref, namespace):
            return Owner.WAITING if self.graph.is_waiting(uid) else Owner.SOLID
        if node is not None and node.namespace and node.namespace != namespace:
            self._tell_wrong_namespace(of, ref, namespace)
        if node is None and self.graph.is_known_gone(uid):
            return Owner.ABSENT
        return await self._ask(ref, namespace)

    async def _ask(self, ref: Object, namespace: str) -> Owner:
        """Ask the server whether the owner exists where the reference says."""
        group = ref.get("apiVersion", "").rpartition("/")[0]
        resource = self._by_kind.get((group, ref.get("kind", "")))
        if resource is None or (resource.namespaced and not namespace):
            return Owner.UNKNOWN
        try:
            owner = await self.run.client.get(resource, ref["name"], namespace=namespace if resource.namespaced else None)
        except NotFound:
            owner = {}
        if uid_of(owner) != ref["uid"]:
            if ref["uid"] not in self.graph.nodes:
                self.graph.note_gone(ref["uid"])
            return Owner.ABSENT
        return Owner.WAITING if waits_for_dependents(owner) else Owner.SOLID

    def _tell_wrong_namespace(self, of: Dependent, ref: Object, namespace: str) -> None:
        """Owners in another namespace are not possible. People are told once."""
        identity = (uid_of(of.obj), ref["uid"])
        if identity in self._told or len(self._told) > 1000:
            return
        self._told.add(identity)
        owner = f"[{ref.get('apiVersion')}/{ref.get('kind')}, namespace: {namespace}, name: {ref.get('name')}, uid: {ref['uid']}]"
        message = f'ownerRef {owner} does not exist in namespace "{namespace}"'
        self.run.events.record(of.obj, "Warning", "OwnerRefInvalidNamespace", message)

    # --- kinds

    async def _discover(self) -> None:
        """Watch every kind that can be listed, watched and deleted; of those that vanished, forget the objects."""
        found = await discover(self.run.client)
        able = [each for each in found.able_to("list", "watch", "delete") if (each.group, each.plural) not in IGNORED]
        self._by_kind = {(each.group, each.kind): each for each in found.able_to("get")}
        new = [each for each in able if each not in self._informers]
        for resource in new:
            self._informers[resource] = informer = self.run.informers.of(resource)
            informer.add_handler(lambda old, new, resource=resource: self._changed(resource, old, new))  # type: ignore[misc]
        if not self._ready.is_set():
            await self._first_lists()
            self._ready.set()

    async def _first_lists(self) -> None:
        """Wait for the lists, so that owners are seen before they are asked for one by one; a list that fails holds up nobody for ever."""
        try:
            async with asyncio.timeout(FIRST_LISTS_S):
                await asyncio.gather(*(each.wait_synced() for each in self._informers.values()))
        except TimeoutError:
            missing = sorted(each.qualified for each, informer in self._informers.items() if not informer.synced.is_set())
            self.run.log.warning("going on without the lists of %s", ", ".join(missing))

    def _changed(self, resource: Resource, old: Object | None, new: Object | None) -> None:
        if (resource.group, resource.plural) == _CRDS:
            self.run.queue.add(DISCOVERY)
        for uid in self.graph.observe(resource, old, new):
            self.run.queue.add(uid)
