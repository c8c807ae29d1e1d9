"""Leader election: of several replicas one leads, as the holder of a Lease.

`lead` waits until it holds the lease, runs the work and renews; whoever cannot renew in time stops its work before anyone else may begin
(the deadline is shorter than the lease). Expiry is judged by how long the lease has looked the same on our own clock, never by the times
written in it, so clocks need not agree. Source: client-go `tools/leaderelection/leaderelection.go`.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from kube.client.base import ConnectionFailed
from kube.client.client import Client
from kube.clock import Clock, rfc3339_micro
from kube.errors import ApiError, Conflict, NotFound
from kube.objects import Object
from kube.resources import LEASES
from kube.runtime import metrics
from kube.runtime.perform import Recorder

LEASE_DURATION_S = 15
RENEW_DEADLINE_S = 10.0
RETRY_PERIOD_S = 2.0
JITTER = 1.2
"""Of how much more of a retry period whoever waits adds up to that, by chance."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Which Lease is held, and how it is kept. `name` "": the component's own."""

    name: str = ""
    namespace: str = "kube-system"
    lease_duration_s: int = LEASE_DURATION_S
    renew_deadline_s: float = RENEW_DEADLINE_S
    retry_period_s: float = RETRY_PERIOD_S


class LeadershipLost(Exception):
    """The lease could not be renewed in time. The work has been stopped; the process had better end and begin anew."""


async def lead(
    client: Client,
    *,
    name: str,
    namespace: str = "kube-system",
    identity: str,
    clock: Clock,
    rng: random.Random,
    on_started: Callable[[], Coroutine[Any, Any, None]],
    on_new_leader: Callable[[str], None] | None = None,
    events: Recorder | None = None,
    lease_duration_s: int = LEASE_DURATION_S,
    renew_deadline_s: float = RENEW_DEADLINE_S,
    retry_period_s: float = RETRY_PERIOD_S,
) -> None:
    """Wait to become the leader, then run `on_started()` while leading; return when it does, and release the lease.

    Raises LeadershipLost, or what the work raised. Cancelling stops the work, then releases the lease."""
    if not lease_duration_s > renew_deadline_s > retry_period_s * JITTER:
        raise ValueError("it takes lease_duration_s > renew_deadline_s > 1.2 * retry_period_s")
    lease = _Lease(client, name, namespace, identity, clock, lease_duration_s, on_new_leader)
    metric = metrics.LEADER.labels(name)
    metric.set(0)
    while True:
        if await _in_time(lease.acquire_or_renew(), renew_deadline_s):
            break
        await asyncio.sleep(retry_period_s * (1 + rng.random() * JITTER))
    metric.set(1)
    lease.say(events, "became leader")
    work = asyncio.create_task(on_started(), name=f"leader of {name}")
    try:
        await _renew(lease, work, renew_deadline_s, retry_period_s)
    finally:
        was_told = await _stopped(work)
        metric.set(0)
        lease.say(events, "stopped leading")
        with suppress(TimeoutError):
            async with asyncio.timeout(renew_deadline_s):
                await lease.release()
        if was_told:
            raise asyncio.CancelledError
    work.result()


async def _renew(lease: _Lease, work: asyncio.Task[None], renew_deadline_s: float, retry_period_s: float) -> None:
    """Renew until the work is done. Raises LeadershipLost when the deadline passes without success."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + renew_deadline_s
    while True:
        done, _ = await asyncio.wait([work], timeout=min(retry_period_s, max(0.0, deadline - loop.time())))
        if done:
            return
        asked = loop.time()
        if await _in_time(lease.acquire_or_renew(), deadline - asked):
            deadline = asked + renew_deadline_s
        elif loop.time() >= deadline:
            raise LeadershipLost(f"{lease.identity} could not renew the lease {lease.namespace}/{lease.name} in time")


async def _in_time(attempt: Coroutine[Any, Any, bool], seconds: float) -> bool:
    try:
        async with asyncio.timeout(max(seconds, 0.0)):
            return await attempt
    except TimeoutError:
        return False


async def _stopped(work: asyncio.Task[None]) -> bool:
    """Cancel the work and wait for its end, however often we are told to end ourselves; whether we were."""
    was_told = False
    while not work.done():
        work.cancel()
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError:
            was_told = True
    return was_told


@dataclass(slots=True)
class _Lease:
    """The lease as we last saw it, and since when it has looked like that."""

    client: Client
    name: str
    namespace: str
    identity: str
    clock: Clock
    duration_s: int
    on_new_leader: Callable[[str], None] | None
    seen: Object | None = None
    seen_at: float = 0.0
    reported: str = ""
    spec: Object = field(default_factory=dict)

    @property
    def is_held(self) -> bool:
        """Whether it is ours, as far as we know."""
        return bool(self.spec.get("holderIdentity")) and self.spec.get("holderIdentity") == self.identity

    @property
    def is_valid(self) -> bool:
        return self.clock.monotonic() < self.seen_at + int(self.spec.get("leaseDurationSeconds") or 0)

    async def acquire_or_renew(self) -> bool:
        """Try once to hold the lease from now on; whether we do."""
        try:
            return (self.is_held and self.is_valid and await self._renew_unseen()) or await self._look_and_take()
        except (ApiError, ConnectionFailed) as error:
            _log.warning("lease %s/%s: %s", self.namespace, self.name, error)
            return False

    async def _renew_unseen(self) -> bool:
        """The usual case: nobody has touched it since we last wrote it."""
        try:
            await self._write(self._ours())
        except (ApiError, ConnectionFailed):
            return False
        return True

    async def _look_and_take(self) -> bool:
        try:
            self._see(await self.client.get(LEASES, self.name, namespace=self.namespace))
        except NotFound:
            metadata = {"name": self.name, "namespace": self.namespace}
            spec = {**self._ours(), "leaseTransitions": 0}
            self._see(await self.client.create(LEASES, {**_HEAD, "metadata": metadata, "spec": spec}))
            return True
        if self.spec.get("holderIdentity") and self.is_valid and not self.is_held:
            return False
        await self._write(self._ours())
        return True

    def _ours(self) -> Object:
        """The spec that says we hold it, from now or still."""
        now = rfc3339_micro(self.clock.now())
        ours = {"holderIdentity": self.identity, "leaseDurationSeconds": self.duration_s, "acquireTime": now, "renewTime": now}
        transitions = int(self.spec.get("leaseTransitions") or 0)
        if self.is_held:
            return {**ours, "acquireTime": self.spec.get("acquireTime", now), "leaseTransitions": transitions}
        return {**ours, "leaseTransitions": transitions + 1}

    async def release(self) -> None:
        """Give it up if it is ours, so that the next one need not wait."""
        if not self.is_held:
            return
        try:
            try:
                await self._write(self._free())
            except Conflict:  # a renewal of ours was cut short, and done for all that
                self._see(await self.client.get(LEASES, self.name, namespace=self.namespace))
                if self.is_held:
                    await self._write(self._free())
        except (ApiError, ConnectionFailed) as error:
            _log.warning("lease %s/%s: cannot release it: %s", self.namespace, self.name, error)

    def _free(self) -> Object:
        """The spec that says nobody holds it."""
        now = rfc3339_micro(self.clock.now())
        transitions = int(self.spec.get("leaseTransitions") or 0)
        return {"holderIdentity": "", "leaseDurationSeconds": 1, "acquireTime": now, "renewTime": now, "leaseTransitions": transitions}

    async def _write(self, spec: Object) -> None:
        """Write over what we saw, and only over that: its resourceVersion is the precondition."""
        assert self.seen is not None
        self._see(await self.client.update(LEASES, {**self.seen, "spec": {**self.spec, **spec}}))

    def _see(self, lease: Object) -> None:
        spec = lease.get("spec") or {}
        if self.seen is None or spec != self.spec:
            self.seen_at = self.clock.monotonic()
        self.seen, self.spec = lease, spec
        holder = spec.get("holderIdentity") or ""
        if holder != self.reported:
            self.reported = holder
            if self.on_new_leader is not None:
                self.on_new_leader(holder)

    def say(self, events: Recorder | None, what: str) -> None:
        _log.info("%s %s (lease %s/%s)", self.identity, what, self.namespace, self.name)
        if events is not None and self.seen is not None:
            events.record({**_HEAD, "metadata": self.seen["metadata"]}, "Normal", "LeaderElection", f"{self.identity} {what}")


_HEAD = {"apiVersion": LEASES.api_version, "kind": LEASES.kind}
