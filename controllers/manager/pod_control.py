"""Creating, deleting and patching the pods of a controller, with the events that `kubectl describe` shows.

Creations are slow-started (1, 2, 4, ... at once, stopping at the first batch with a failure), so that a full quota is not met with
thousands of requests. Every answer is noted in `OwnWrites` before anything else happens. This is not `kube.runtime.perform`
because each pod's outcome matters here: for its event, and because the pods made before a failure must not be forgotten.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from kube.client.base import ConnectionFailed
from kube.client.client import PatchKind
from kube.errors import ApiError, Conflict, NotFound
from kube.labels import Selector
from kube.objects import Object, name_of, namespace_of, uid_of
from kube.resources import PODS
from kube.runtime.controller import Run

from .own_writes import OwnWrites

BURST = 500
"""At most so many pods are created or deleted in one look at a controller."""
_PARALLEL_MAX = 100


def is_namespace_terminating(error: BaseException) -> bool:
    """Whether a creation failed because its namespace is going away: there is no point in telling, or in trying again."""
    if not isinstance(error, ApiError):
        return False
    causes = (error.details or {}).get("causes") or ()
    return any(cause.get("reason") == "NamespaceTerminating" for cause in causes)


class PodControl:
    """The hands of a controller of pods."""

    def __init__(self, run: Run, writes: OwnWrites) -> None:
        self._run = run
        self._writes = writes
        self._unsure: set[str] = set()

    async def settle(self, owner: Object, selector: Selector) -> None:
        """After a creation or deletion whose answer got lost: ask the server what there is, lest it be done again. Otherwise nothing."""
        if uid_of(owner) not in self._unsure:
            return
        page = await self._run.client.list(PODS, namespace=namespace_of(owner), label_selector=str(selector))
        for pod in page.get("items") or ():
            self._writes.note({"apiVersion": PODS.api_version, "kind": PODS.kind, **pod})
        self._unsure.discard(uid_of(owner))

    async def create(self, owner: Object, pods: Sequence[Object]) -> list[Object]:
        """Create the pods for `owner`; the ones created. Raises the first failure, after its whole batch is through."""
        created: list[Object] = []
        start, size = 0, 1
        while start < len(pods):
            batch = pods[start : start + min(size, _PARALLEL_MAX)]
            outcomes = await asyncio.gather(*(self._create(owner, pod) for pod in batch), return_exceptions=True)
            created += [each for each in outcomes if isinstance(each, dict)]
            for each in outcomes:
                if isinstance(each, BaseException):
                    raise each
            start += len(batch)
            size *= 2
        return created

    async def delete(self, owner: Object, pods: Sequence[Object]) -> None:
        """Delete the pods; those already gone are fine. Raises the first failure, after all were tried."""
        failure: BaseException | None = None
        for start in range(0, len(pods), _PARALLEL_MAX):
            batch = pods[start : start + _PARALLEL_MAX]
            outcomes = await asyncio.gather(*(self._delete(owner, pod) for pod in batch), return_exceptions=True)
            failure = failure or next((each for each in outcomes if isinstance(each, BaseException)), None)
        if failure is not None:
            raise failure

    async def patch(self, pod: Object, body: Any, *, kind: PatchKind = PatchKind.STRATEGIC) -> Object:
        answer = await self._run.client.patch(PODS, name_of(pod), body, namespace=namespace_of(pod), kind=kind)
        self._writes.note(answer)
        return answer

    async def patch_all(self, pods: Sequence[Object], body: Any) -> None:
        """The same patch for each pod; those gone are fine. Raises the first failure, after all were tried."""
        failure: BaseException | None = None
        for start in range(0, len(pods), _PARALLEL_MAX):
            batch = pods[start : start + _PARALLEL_MAX]
            outcomes = await asyncio.gather(*(self.patch(pod, body) for pod in batch), return_exceptions=True)
            failures = (each for each in outcomes if isinstance(each, BaseException) and not isinstance(each, NotFound))
            failure = failure or next(failures, None)
        if failure is not None:
            raise failure

    async def _create(self, owner: Object, pod: Object) -> Object:
        try:
            answer = await self._run.client.create(PODS, pod)
        except ConnectionFailed:
            self._unsure.add(uid_of(owner))
            raise
        except ApiError as error:
            if not is_namespace_terminating(error):
                self._run.events.record(owner, "Warning", "FailedCreate", f"Error creating: {error}")
            raise
        self._writes.note(answer)
        self._run.events.record(owner, "Normal", "SuccessfulCreate", f"Created pod: {name_of(answer)}")
        return answer

    async def _delete(self, owner: Object, pod: Object) -> None:
        try:
            answer = await self._run.client.delete(PODS, name_of(pod), namespace=namespace_of(pod), uid=uid_of(pod))
        except (NotFound, Conflict):
            return  # gone, or another pod of that name: what we meant to delete does not exist any more
        except ConnectionFailed:  # it may be on its way out: choosing another one then would be one too many
            self._unsure.add(uid_of(owner))
            raise
        except ApiError as error:
            self._run.events.record(owner, "Warning", "FailedDelete", f"Error deleting: {error}")
            raise
        self._writes.note_deleted(pod, answer)
        self._run.events.record(owner, "Normal", "SuccessfulDelete", f"Deleted pod: {name_of(pod)}")
