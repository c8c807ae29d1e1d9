"""What belongs to which node: node <- pod <- secret, configmap, claim, account; claim <- volume <- secret.

Nothing is kept while objects are written. At the first question the pods are put in order by node, from the server's own cache; at later
ones, what has changed since is read from that cache's history. So an answer is as new as the last write that was answered. What a pod
refers to is read when its node first asks for such a thing, and equal sets are held once. Volumes, attachments and slices are looked up.

Source: kubernetes `plugin/pkg/auth/authorizer/node/graph.go` and `graph_populator.go`, of which this keeps what they say, not how.
"""

from __future__ import annotations

from typing import Final

from apiserver.registry.cache import DELETED, Change, Entry, ResourceCache
from apiserver.registry.pod_references import Reference, references_of, secrets_of_volume
from apiserver.registry.registry import Registries
from kube.memo import Memo
from kube.objects import Object
from kube.resources import PERSISTENT_VOLUMES, PODS, VOLUME_ATTACHMENTS, Resource

RESOURCE_SLICES: Final = Resource("resource.k8s.io", "v1", "resourceslices", "ResourceSlice", namespaced=False)
SETS_MAX: Final = 1024
"""How many sets of references are known at a time, so that equal ones are one."""
_MAY_GROW: Final = (b'"ephemeralContainers"', b'"resourceClaimStatuses"', b'"extendedResourceClaimStatus"')
"""What a pod on a node may get more references by: without these, what it refers to is settled."""

References = frozenset[Reference]


class NodeGraph:
    """See the module. `start` before use."""

    def __init__(self, registries: Registries) -> None:
        self._pods = _PodsByNode(registries.get(PODS).cache)
        self._volumes = _VolumeSecrets(registries.get(PERSISTENT_VOLUMES).cache)
        self._attachments = registries.get(VOLUME_ATTACHMENTS).cache
        self._slices = registries.get(RESOURCE_SLICES).cache

    async def start(self) -> None:
        """Load what is looked at."""
        for each in (self._pods.cache, self._volumes.cache, self._attachments, self._slices):
            await each.start()

    def belongs(self, node: str, plural: str, namespace: str, name: str) -> bool:
        """Whether an object belongs to a node. Objects of resources that no pod refers to belong to none."""
        if plural == "pods":
            return _has_field(self._pods.cache, namespace, name, node)
        if plural == "resourceslices":
            return _has_field(self._slices, "", name, node)
        if plural == "volumeattachments":
            entry = self._attachments.get("", name)
            return entry is not None and self._attachments.object_of(entry)["spec"].get("nodeName") == node
        if plural == "persistentvolumes":
            claim = self._volumes.claim_of(name)
            return claim is not None and self._pods.refer(node, claim)
        if self._pods.refer(node, (plural, namespace, name)):
            return True
        return plural == "secrets" and any(self._pods.refer(node, claim) for claim in self._volumes.claims_with(namespace, name))


def _has_field(cache: ResourceCache, namespace: str, name: str, node: str) -> bool:
    entry = cache.get(namespace, name)
    return entry is not None and cache.field(entry, "spec.nodeName") == node


class _PodsByNode:
    """The pods of each node, and what they refer to."""

    def __init__(self, cache: ResourceCache) -> None:
        self.cache = cache
        self._at = cache.field_index["spec.nodeName"]
        self._of: dict[str, dict[str, Entry | References]] = {}
        """By node and storage key: what the pod refers to, or, before anybody has asked, the pod."""
        self._seen = 0
        self._as_of = -1
        self._known: Memo[References] = Memo(SETS_MAX)

    def refer(self, node: str, reference: Reference) -> bool:
        """Whether a pod of the node refers to that."""
        if self.cache.changes != self._seen:
            self._catch_up()
        pods = self._of.get(node)
        if pods is None:
            return False
        for key, each in pods.items():
            if isinstance(each, Entry):
                each = pods[key] = self._read(each)
            if reference in each:
                return True
        return False

    def _read(self, pod: Entry) -> References:
        found = references_of(self.cache.object_of(pod))
        known = self._known.get(found)
        if known is None:
            self._known.put(found, found)
            return found
        return known

    def _catch_up(self) -> None:
        changes = self.cache.since(self._as_of)
        if changes is None:
            self._of.clear()
            for entry in self.cache.entries():
                if entry.fields[self._at]:
                    self._of.setdefault(entry.fields[self._at], {})[entry.key] = entry
        else:
            for change in changes:
                self._apply(change)
        self._as_of, self._seen = self.cache.revision, self.cache.changes

    def _apply(self, change: Change) -> None:
        entry = change.entry
        node = entry.fields[self._at]
        if not node:
            return
        if change.type == DELETED:
            pods = self._of.get(node, {})
            pods.pop(entry.key, None)
            if not pods:
                self._of.pop(node, None)
            return
        pods = self._of.setdefault(node, {})
        before = pods.pop(entry.key, None)  # put in again with this key: so it is the cache's own, not one text more
        is_settled = isinstance(before, frozenset) and not any(each in entry.value for each in _MAY_GROW)
        pods[entry.key] = before if before is not None and is_settled else entry


class _VolumeSecrets:
    """PersistentVolumes: the claim that each is for, and for which claims a secret is needed."""

    def __init__(self, cache: ResourceCache) -> None:
        self.cache = cache
        self._seen = -1
        self._claims: dict[tuple[str, str], list[Reference]] = {}

    def claim_of(self, name: str) -> Reference | None:
        entry = self.cache.get("", name)
        return None if entry is None else _claim(self.cache.object_of(entry))

    def claims_with(self, namespace: str, secret: str) -> list[Reference]:
        """The claims whose volumes need the secret. Few volumes need any, and the others are not read."""
        if self.cache.changes != self._seen:
            self._claims.clear()
            for entry in self.cache.entries():
                if b"ecretRef" in entry.value or b'"secretName"' in entry.value:
                    self._note(self.cache.object_of(entry))
            self._seen = self.cache.changes
        return self._claims.get((namespace, secret), [])

    def _note(self, volume: Object) -> None:
        claim = _claim(volume)
        if claim is not None:
            for each in secrets_of_volume(volume):
                self._claims.setdefault(each, []).append(claim)


def _claim(volume: Object) -> Reference | None:
    reference = (volume.get("spec") or {}).get("claimRef")
    return ("persistentvolumeclaims", reference.get("namespace", ""), reference.get("name", "")) if reference else None
