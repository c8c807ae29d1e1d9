"""Recording Events: what a component did to an object, for people to read.

`record` never blocks and never fails: it puts the event in a bounded queue, which `run` empties into the API. Repeats become counts
(`correlator.py`). What is lost, because the queue is full, the correlator calls it spam or the server refuses it, is counted in the metric
`event_recorder_dropped_total`; a full queue is also logged, once a minute. Source: client-go `tools/record/event.go`.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kube.client.base import ConnectionFailed
from kube.client.client import Client
from kube.clock import Clock, rfc3339
from kube.errors import AlreadyExists, ApiError, NotFound
from kube.objects import Object
from kube.resources import EVENTS
from kube.runtime import metrics
from kube.runtime.correlator import Correlator

QUEUE_MAX = 50_000
"""Ten thousand pods may start at once, with four or five events each; a waiting event is about 1 KiB."""
DROPS_LOGGED_S = 60.0
TRIES_MAX = 12
RETRY_S = 10.0

_log = logging.getLogger(__name__)
_REFERENCE = ("kind", "name", "namespace", "uid", "apiVersion", "resourceVersion", "fieldPath")


@dataclass(frozen=True, slots=True)
class _Told:
    """What waits to be sent: an event, in less memory."""

    reference: tuple[str, ...]
    """The values of _REFERENCE, "" for what is not there."""
    type: str
    reason: str
    message: str
    host: str
    time: datetime


class EventRecorder:
    """Records the events of one component (on one host, unless each event names its own). `run` it, or `flush` it now and then."""

    def __init__(self, client: Client, *, component: str, host: str = "", clock: Clock, rng: random.Random) -> None:
        self._client, self._clock, self._rng = client, clock, rng
        self._component, self._host = component, host
        self._queue: deque[_Told] = deque()
        self._wake = asyncio.Event()
        self._sending = asyncio.Lock()
        self._correlator = Correlator()
        self._last_name = 0
        self._dropped = {reason: metrics.EVENTS_DROPPED.labels(reason) for reason in ("full", "spam", "failed")}
        self._drops_not_logged = 0
        self._drops_logged_at_s = float("-inf")

    def record(self, obj: Object, type: str, reason: str, message: str, *, field_path: str = "", host: str = "") -> None:
        """Tell of `obj`, an object with its kind and apiVersion, or an ObjectReference. `type` is Normal or Warning;
        `field_path` names a part of it (`spec.containers{web}`); `host` is the source's, where it is not the recorder's."""
        if len(self._queue) >= QUEUE_MAX:
            self._dropped["full"].inc()
            self._drops_not_logged += 1
            self._log_drops()
            return
        reference = _reference(obj, field_path)
        if not all(reference[:2]):
            _log.error("cannot record %s: %r: the object has no kind or no name", reason, message)
            return
        self._queue.append(_Told(reference, type, reason, message, host or self._host, self._clock.now()))
        self._wake.set()

    async def run(self) -> None:
        """Send what is recorded, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self.flush()

    async def flush(self) -> None:
        """Send what has been recorded so far; return when it is sent or given up."""
        async with self._sending:
            while self._queue:
                await self._send(self._event(self._queue.popleft()))
                self._log_drops()

    def _log_drops(self) -> None:
        """Say how many found the queue full since this was said last, at most once a minute."""
        now_s = self._clock.monotonic()
        if self._drops_not_logged and now_s - self._drops_logged_at_s >= DROPS_LOGGED_S:
            _log.warning("%d events were dropped: %d are waiting to be sent already", self._drops_not_logged, QUEUE_MAX)
            self._drops_not_logged, self._drops_logged_at_s = 0, now_s

    def _event(self, told: _Told) -> Object:
        time = rfc3339(told.time)
        reference = {key: value for key, value in zip(_REFERENCE, told.reference, strict=True) if value}
        source = {"component": self._component}
        if told.host:
            source["host"] = told.host
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": self._name(reference["name"], told.time), "namespace": reference.get("namespace") or "default"},
            "involvedObject": reference,
            "reason": told.reason,
            "message": told.message,
            "source": source,
            "firstTimestamp": time,
            "lastTimestamp": time,
            "count": 1,
            "type": told.type,
            "reportingComponent": self._component,
            "reportingInstance": told.host,
        }

    def _name(self, about: str, time: datetime) -> str:
        """`<object>.<hex>`, of the time in nanoseconds; never the same twice, and hardly the same as another component's."""
        nanoseconds = int(time.timestamp() * 1_000_000) * 1000 + self._rng.randrange(1000)
        self._last_name = max(nanoseconds, self._last_name + 1)
        return f"{about}.{self._last_name:x}"

    # --- sending ------------------------------------------------------------------------------------------------------

    async def _send(self, event: Object) -> None:
        decided = self._correlator.correlate(event, self._clock.monotonic())
        if decided is None:
            self._dropped["spam"].inc()
            return
        event, is_known = decided
        for attempt in range(1, TRIES_MAX + 1):
            try:
                await self._write(event, is_known=is_known)
                return
            except ApiError as error:
                self._refused(event, error)
                return
            except ConnectionFailed as error:
                if attempt == TRIES_MAX:
                    self._refused(event, error)
                    return
            await asyncio.sleep(RETRY_S * (self._rng.random() if attempt == 1 else 1))

    async def _write(self, event: Object, *, is_known: bool) -> None:
        metadata = event["metadata"]
        if is_known:
            patch = {key: event[key] for key in ("count", "lastTimestamp", "message")}
            try:
                await self._client.patch(EVENTS, metadata["name"], patch, namespace=metadata["namespace"])
                return
            except NotFound:
                pass  # it has expired meanwhile
        await self._client.create(EVENTS, event)

    def _refused(self, event: Object, error: Exception) -> None:
        self._dropped["failed"].inc()
        causes: Any = (getattr(error, "details", None) or {}).get("causes") or ()
        quiet = isinstance(error, AlreadyExists) or any(each.get("reason") == "NamespaceTerminating" for each in causes)
        _log.log(logging.DEBUG if quiet else logging.WARNING, "event %s was not recorded: %s", event["metadata"]["name"], error)


def _reference(obj: Object, field_path: str) -> tuple[str, ...]:
    """An ObjectReference to `obj`, which may be one."""
    metadata = obj.get("metadata", obj)
    *found, own_path = (metadata.get(key) or obj.get(key) or "" for key in _REFERENCE)
    return (*found, field_path or own_path)
