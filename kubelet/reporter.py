"""Tells the API server how pods are: status patches, as few and small as possible, and the last DELETE of a pod that has ended.

`patch_of` is pure. `Reporter` keeps one newest status a pod; a status that is overtaken before it was sent is never sent. A bounded
number of writers work on all pods of the process; failed writes are tried again with growing pauses, and nothing here ever fails a
worker. Upstream: `pkg/kubelet/status/status_manager.go`.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kube.client.base import ConnectionFailed
from kube.client.client import Client
from kube.errors import ApiError, Conflict, NotFound
from kube.objects import Object, name_of, namespace_of, resource_version_of, uid_of
from kube.resources import PODS
from kubelet.conditions import PASSING
from kubelet.observed import has_ended

log = logging.getLogger(__name__)

WRITERS_MAX = 24
RETRY_S = (0.5, 30.0)
OWNED = (
    "phase",
    "observedGeneration",
    "reason",
    "message",
    "hostIP",
    "hostIPs",
    "podIP",
    "podIPs",
    "startTime",
    "initContainerStatuses",
    "containerStatuses",
    "ephemeralContainerStatuses",
    "resources",
    "allocatedResources",
)
"""Top-level status fields that the kubelet writes. Conditions are merged by type."""
_REPLACED = ("hostIPs", "podIPs", "resources", "allocatedResources")
"""What would be merged otherwise."""
_CONDITION_FIELDS = ("reason", "message")


def patch_of(sent: Mapping[str, Any], wanted: Mapping[str, Any]) -> Object:
    """The strategic merge patch of `status` that makes `sent` into `wanted`; {} when there is nothing to say."""
    patch: Object = {}
    for key in OWNED:
        if key in wanted and wanted[key] != sent.get(key):
            patch[key] = _replacing(wanted[key]) if key in _REPLACED and sent.get(key) else wanted[key]
        elif key not in wanted and sent.get(key) and key in ("reason", "message", "resources", "allocatedResources"):
            patch[key] = None
    if conditions := _changed_conditions(sent.get("conditions") or [], wanted.get("conditions") or []):
        gone = {each["type"] for each in conditions if "$patch" in each}
        known = [each["type"] for each in sent.get("conditions") or [] if each["type"] not in gone]
        order = known + [each["type"] for each in wanted["conditions"] if each["type"] not in known]
        listed = sorted((each for each in conditions if "$patch" not in each), key=lambda each: order.index(each["type"]))
        patch["conditions"] = [*listed, *(each for each in conditions if "$patch" in each)]  # in order, or the server refuses the patch
        patch["$setElementOrder/conditions"] = [{"type": each} for each in order]
    return patch


def _replacing(value: Any) -> Any:
    return {"$patch": "replace", **value} if isinstance(value, dict) else [{"$patch": "replace"}, *value]


def _changed_conditions(sent: list[Object], wanted: list[Object]) -> list[Object]:
    old = {each["type"]: each for each in sent}
    changed = []
    for condition in wanted:
        before = old.get(condition["type"])
        if before is None or any(before.get(key) != value for key, value in condition.items()):
            gone = {key: None for key in _CONDITION_FIELDS if before and before.get(key) and key not in condition}
            changed.append(condition | gone)
        elif any(before.get(key) and key not in condition for key in _CONDITION_FIELDS):
            changed.append(condition | {key: None for key in _CONDITION_FIELDS if key not in condition})
    told = {each["type"] for each in wanted}
    passed = [kind for kind in PASSING if kind in old and kind not in told] if wanted else []
    return changed + [{"type": kind, "$patch": "delete"} for kind in passed]


def _as_held(wanted: Mapping[str, Any], status: Mapping[str, Any]) -> Object:
    """`wanted`, made of the parts of a `status` that says all of it."""
    found = {key: status.get(key, value) for key, value in wanted.items()}
    if conditions := wanted.get("conditions"):
        held = {each["type"]: each for each in status["conditions"]}
        found["conditions"] = [held[each["type"]] for each in conditions]
    return found


def _version(obj: Object) -> int:
    """Its resourceVersion as the number that it is (KEP-5504)."""
    version = resource_version_of(obj)
    return int(version) if version.isdecimal() else 0


@dataclass(slots=True)
class _Entry:
    """One pod. `sent` is what the server is believed to have, `answered` is what it last answered: version and
    status."""

    pod: Object
    sent: Mapping[str, Any]
    wanted: Mapping[str, Any] | None = None
    answered: Object | None = None
    finishes: bool = False
    is_queued: bool = False
    is_busy: bool = False
    is_doubted: bool = False
    """Somebody else has written to the pod since what is believed of the server."""
    pause_s: float = 0.0


class Reporter:
    """One for all nodes of a process. `on_written(pod)` is told what the server answered to a status."""

    def __init__(self, client: Client, *, rng: random.Random, on_written: Callable[[Object], None] = lambda pod: None) -> None:
        self._client, self._rng, self._on_written = client, rng, on_written
        self._entries: dict[str, _Entry] = {}
        self._queue: deque[str] = deque()
        self._writers: set[asyncio.Task[None]] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._closed = False

    def report(self, pod: Object, status: Mapping[str, Any], *, finish: bool = False) -> None:
        """The pod's status is now this; with `finish` the pod is deleted for good once the server knows it."""
        entry = self._entry(pod)
        entry.wanted, entry.finishes = status, entry.finishes or finish
        self._queue_up(entry)

    def observed(self, pod: Object) -> bool:
        """The server has this version of the pod. Answers whether it is our own last write coming back."""
        entry = self._entries.get(uid_of(pod))
        if entry is None:
            return False
        entry.pod = pod
        if entry.answered is not None and resource_version_of(entry.answered) == resource_version_of(pod):
            entry.answered = pod  # the same, and held by the cache anyway
            self._settle(entry)
            return True
        if has_ended(pod) and not has_ended({"status": entry.wanted or {}}):
            entry.sent, entry.wanted = pod.get("status", {}), None  # ended by somebody else: what we had to say is void
        elif entry.answered is not None and entry.wanted is not None:
            entry.is_doubted = True
            if not entry.is_busy and self._to_say(entry):
                self._queue_up(entry)
        return False

    def forget(self, uid: str) -> None:
        """The pod is gone."""
        self._entries.pop(uid, None)

    @property
    def backlog(self) -> int:
        """Statuses that wait to be sent or are on their way."""
        return len(self._queue) + len(self._writers)

    async def close(self) -> None:
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        for task in list(self._writers):
            task.cancel()
        await asyncio.gather(*self._writers, return_exceptions=True)

    # --- inside --------------------------------------------------------------------------------------------------------

    def _entry(self, pod: Object) -> _Entry:
        entry = self._entries.get(uid_of(pod))
        if entry is None:
            entry = self._entries[uid_of(pod)] = _Entry(pod, pod.get("status") or {})
        return entry

    @staticmethod
    def _to_say(entry: _Entry) -> Object:
        """The patch that makes the server's status the one that is wanted; {} where it is. Where somebody else has written, what the
        server has is not what was sent, but the newest that is known of it."""
        if entry.wanted is None:
            return {}
        if entry.is_doubted:
            entry.is_doubted = False
            newest = entry.answered if entry.answered and _version(entry.answered) > _version(entry.pod) else entry.pod
            entry.sent = newest.get("status") or {}
        return patch_of(entry.sent, entry.wanted)

    @staticmethod
    def _settle(entry: _Entry) -> None:
        """Where the cache has what we said, and there is nothing to add, hold that instead of a second one like it."""
        status = entry.pod.get("status") or {}
        if entry.answered is entry.pod and entry.wanted is not None and not patch_of(status, entry.wanted):
            entry.sent, entry.wanted = status, _as_held(entry.wanted, status)

    def _queue_up(self, entry: _Entry) -> None:
        if entry.is_queued or entry.is_busy or self._closed:
            return
        entry.is_queued = True
        self._queue.append(uid_of(entry.pod))
        if len(self._writers) < WRITERS_MAX:
            task = asyncio.get_running_loop().create_task(self._write_all(), name="pod status writer")
            self._writers.add(task)
            task.add_done_callback(self._writers.discard)

    async def _write_all(self) -> None:
        while self._queue:
            entry = self._entries.get(self._queue.popleft())
            if entry is None:
                continue
            entry.is_queued, entry.is_busy = False, True
            try:
                await self._write(entry)
            finally:
                entry.is_busy = False

    async def _write(self, entry: _Entry) -> None:
        try:
            while patch := self._to_say(entry):
                wanted = entry.wanted or {}
                await self._patch(entry, patch)
                entry.sent = {**entry.sent, **wanted}
                self._settle(entry)
            if entry.finishes:
                await self._delete(entry)
            entry.pause_s = 0.0
        except NotFound:
            self.forget(uid_of(entry.pod))
        except Conflict as error:
            await self._look_again(entry, error)
        except (ApiError, ConnectionFailed, TimeoutError) as error:
            log.warning("cannot write the status of pod %s/%s: %s", namespace_of(entry.pod), name_of(entry.pod), error)
            self._again(entry)

    async def _look_again(self, entry: _Entry, error: Conflict) -> None:
        """A conflict: another pod has the name now, or somebody wrote at the same moment and it is worth another try."""
        try:
            found = await self._client.get(PODS, name_of(entry.pod), namespace=namespace_of(entry.pod))
        except NotFound:
            self.forget(uid_of(entry.pod))
        except (ApiError, ConnectionFailed, TimeoutError):
            self._again(entry)
        else:
            if uid_of(found) != uid_of(entry.pod):
                log.info("pod %s/%s was replaced: %s", namespace_of(entry.pod), name_of(entry.pod), error)
                self.forget(uid_of(entry.pod))
            else:
                self._again(entry)

    async def _patch(self, entry: _Entry, patch: Object) -> None:
        body = {"metadata": {"uid": uid_of(entry.pod)}, "status": patch}
        name, namespace = name_of(entry.pod), namespace_of(entry.pod)
        answer = await self._client.patch(PODS, name, body, namespace=namespace, subresource="status")
        version = resource_version_of(answer)
        is_known = version == resource_version_of(entry.pod)  # the watch was quicker
        entry.answered = entry.pod if is_known else {"metadata": {"resourceVersion": version}, "status": answer.get("status", {})}
        self._on_written(answer)

    async def _delete(self, entry: _Entry) -> None:
        name, namespace = name_of(entry.pod), namespace_of(entry.pod)
        await self._client.delete(PODS, name, namespace=namespace, grace_period_s=0, uid=uid_of(entry.pod))
        entry.finishes = False

    def _again(self, entry: _Entry) -> None:
        low, high = RETRY_S
        entry.pause_s = min(max(entry.pause_s * 2, low), high)
        uid, pause_s = uid_of(entry.pod), entry.pause_s * (1 + self._rng.random() / 2)
        self._timers[uid] = asyncio.get_running_loop().call_later(pause_s, self._retry, entry)

    def _retry(self, entry: _Entry) -> None:
        self._timers.pop(uid_of(entry.pod), None)
        if uid_of(entry.pod) in self._entries:
            self._queue_up(entry)
