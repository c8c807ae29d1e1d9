"""Volumes that have to be attached to the node before a pod can have them: which of them its pods use, and which are attached.

Attaching is the attach/detach controller's: it says in the node's `status.volumesAttached` what is there, and waits until a volume is not
in `status.volumesInUse` any more before it takes it away. Names are those of both lists. Source: `pkg/kubelet/volumemanager`.
"""

from __future__ import annotations

from collections.abc import Collection

from kube.objects import Object

_NONE: frozenset[str] = frozenset()


class Attachments:
    """One node's."""

    def __init__(self) -> None:
        self._attached = _NONE
        self._used: dict[str, frozenset[str]] = {}

    def observed(self, node: Object) -> bool:
        """The API has this version of the Node; whether other volumes are attached than before."""
        listed = (node.get("status") or {}).get("volumesAttached") or ()
        before, self._attached = self._attached, frozenset(each["name"] for each in listed) if listed else _NONE
        return before != self._attached

    def missing(self, names: Collection[str]) -> frozenset[str]:
        """Those of the volumes that are not attached."""
        return frozenset(names) - self._attached

    def use(self, pod_uid: str, names: Collection[str]) -> None:
        """The pod has these volumes, or is going to."""
        if names:
            self._used[pod_uid] = frozenset(names)

    def release(self, pod_uid: str) -> None:
        """The pod has none any more."""
        self._used.pop(pod_uid, None)

    def users(self) -> list[str]:
        """The uids of the pods that have such volumes."""
        return [*self._used]

    def in_use(self) -> list[str]:
        """The volumes that pods have."""
        return sorted(frozenset().union(*self._used.values()))
