"""Writing what was decided into the status of pods: conditions and nominations, a few requests at a time, the latest per pod only."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from kube.client.client import Client
from kube.clock import Clock, rfc3339
from kube.errors import ApiError, NotFound
from kube.objects import Object, condition_of, key_of, name_of, namespace_of
from kube.resources import PODS

WRITERS = 8
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Report:
    """What the status of a pod is to say. `nominated_node` None: leave that as it is."""

    pod: Object
    reason: str = ""
    message: str = ""
    nominated_node: str | None = None


class Reporter:
    """`current(key)` gives the pod as last seen, or None. `run` does the writing."""

    def __init__(self, client: Client, clock: Clock, current: Callable[[str], Object | None]) -> None:
        self._client, self._clock, self._current = client, clock, current
        self._waiting: dict[str, Report] = {}
        self._wake = asyncio.Event()

    def report(self, report: Report) -> None:
        """Have it written soon. At most one report per pod waits, so this is bounded by the number of pods."""
        key = key_of(report.pod)
        before = self._waiting.pop(key, None)
        if before is not None and report.nominated_node is None:
            report.nominated_node = before.nominated_node
        self._waiting[key] = report
        self._wake.set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for number in range(WRITERS):
                tasks.create_task(self._write_all(), name=f"scheduler report writer {number}")

    async def _write_all(self) -> None:
        while True:
            while self._waiting:
                key = next(iter(self._waiting))
                await self._write(key, self._waiting.pop(key))
            self._wake.clear()
            await self._wake.wait()

    async def _write(self, key: str, report: Report) -> None:
        pod = self._current(key)
        if pod is None or pod["metadata"].get("uid") != report.pod["metadata"].get("uid"):
            return
        status = self._status(pod, report)
        if not status:
            return
        try:
            await self._client.patch(PODS, name_of(pod), {"status": status}, namespace=namespace_of(pod), subresource="status")
        except NotFound:
            pass
        except (ApiError, OSError) as error:
            _log.warning("the status of pod %s could not be written: %s", key, error)

    def _status(self, pod: Object, report: Report) -> Object:
        """The part of the status that has to change."""
        status: Object = {}
        if report.reason:
            condition = unscheduled(pod, report.reason, report.message, rfc3339(self._clock.now()))
            if condition is not None:
                status["conditions"] = [condition]
        nominated = (pod.get("status") or {}).get("nominatedNodeName") or ""
        if report.nominated_node is not None and report.nominated_node != nominated:
            status["nominatedNodeName"] = report.nominated_node or None
        return status


def unscheduled(pod: Object, reason: str, message: str, now: str) -> Object | None:
    """The condition PodScheduled=False, or None where the pod says so already. Its time changes only with its status."""
    new = {"type": "PodScheduled", "status": "False", "reason": reason, "message": message}
    generation = pod["metadata"].get("generation")
    if generation:
        new["observedGeneration"] = generation
    old = condition_of(pod, "PodScheduled")
    if old is not None and all(old.get(key) == value for key, value in new.items()):
        return None
    since = old.get("lastTransitionTime") if old is not None and old.get("status") == "False" else None
    return {**new, "lastProbeTime": None, "lastTransitionTime": since or now}
