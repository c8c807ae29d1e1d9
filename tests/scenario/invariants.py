"""What must hold at every moment, whatever goes wrong, and what must hold in the end. Fed by a watch straight from the store."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from apiserver.store.base import Event, Store
from kube.objects import Object, controller_of, is_condition_true


class Witness:
    """Sees every write to the store, in order, and notes each broken promise in `broken`."""

    def __init__(self, store: Store, *, after: int) -> None:
        self.pods: dict[str, Object] = {}
        self.broken: list[str] = []
        self.most_pods: dict[str, int] = {}
        self._revision = after
        self._subscription = store.subscribe("/registry/pods/", after=after, deliver=self._deliver)

    def close(self) -> None:
        self._subscription.cancel()

    def _deliver(self, events: Sequence[Event]) -> None:
        for event in events:
            if event.kv.mod_revision <= self._revision:
                self.broken.append(f"revision {event.kv.mod_revision} came after {self._revision}")
            self._revision = event.kv.mod_revision
            if event.deleted:
                self.pods.pop(event.kv.key, None)
                continue
            pod = orjson.loads(event.kv.value)
            before = self.pods.get(event.kv.key)
            if before is not None and before["metadata"]["uid"] == pod["metadata"]["uid"]:
                self._compare(before, pod)
            self.pods[event.kv.key] = pod
            owner = controller_of(pod)
            if owner is not None:
                count = sum(1 for each in self.pods.values() if _is_of(each, owner["uid"]))
                self.most_pods[owner["uid"]] = max(self.most_pods.get(owner["uid"], 0), count)

    def _compare(self, before: Object, pod: Object) -> None:
        name, node = pod["metadata"]["name"], before["spec"].get("nodeName")
        if node and pod["spec"].get("nodeName") != node:
            self.broken.append(f"pod {name} moved from {node} to {pod['spec'].get('nodeName')}")
        if before["status"].get("phase") in ("Succeeded", "Failed") and pod["status"].get("phase") != before["status"]["phase"]:
            self.broken.append(f"pod {name} came back from {before['status']['phase']}")
        if before["status"].get("podIP") and pod["status"].get("podIP") not in (before["status"]["podIP"], None):
            self.broken.append(f"pod {name} changed its address")

    def ready(self, owner_uids: set[str]) -> int:
        return sum(1 for pod in self.pods.values() if is_condition_true(pod, "Ready") and any(_is_of(pod, uid) for uid in owner_uids))


def _is_of(pod: Object, owner_uid: str) -> bool:
    owner = controller_of(pod)
    return owner is not None and owner["uid"] == owner_uid and not pod["metadata"].get("deletionTimestamp")
