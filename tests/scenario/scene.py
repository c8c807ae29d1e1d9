"""What all scenarios begin with: a small cluster whose components meet faults, a witness of what is written, and a maker of trouble."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from kube.client.transport import Transport
from kube.errors import AlreadyExists, ApiError, NotFound
from kube.objects import Object, owners_of, uid_of
from kube.resources import DEPLOYMENTS, JOBS, PERSISTENT_VOLUME_CLAIMS, PODS, REPLICA_SETS, STATEFUL_SETS, Resource
from kubelet.agent import RuntimeFactory
from kubelet.runtime.simulated import SimulatedRuntime
from tests.scenario.faults import FaultyTransport, JumpingClock, Rates
from tests.scenario.invariants import Promise, Witness
from tests.scenario.trouble import SERVER, Tormentor
from wherry.in_process import InProcessCluster, in_process_cluster

PARTS = (SERVER, "kube-controller-manager", "kube-scheduler", "kubelet")
NODE_CONTROLLERS = ("node-lifecycle-controller", "node-ipam-controller", "serviceaccount-controller", "taint-eviction-controller")
"""What every scenario with nodes needs."""
SETTLED_S = 1800.0
_OWNERS = (DEPLOYMENTS, REPLICA_SETS, STATEFUL_SETS, JOBS)


@dataclass(slots=True)
class Scene:
    """A running cluster in trouble."""

    cluster: InProcessCluster
    rng: random.Random
    faults: FaultyTransport
    witness: Witness
    tormentor: Tormentor

    async def trouble(self, parts: Sequence[str] = PARTS) -> None:
        """Some, of whatever kind."""
        await self.tormentor.some(parts)

    async def until(self, true: Callable[[], Coroutine[Any, Any, bool]], *, within_s: float = SETTLED_S) -> None:
        """Wait until `true()`, which may fail while the server is away. Raises TimeoutError."""

        async def calmly() -> bool:
            try:
                return await true()
            except OSError:
                return False

        try:
            await self.cluster.until(calmly, within_s=within_s, poll_s=1)
        except TimeoutError:
            raise AssertionError(f"not within {within_s:.0f} s: {true!r}; {self.tormentor.log}") from None

    async def listed(self, resource: Resource) -> list[Object]:
        """What there is, of all namespaces."""
        found: list[Object] = (await self.cluster.client.list(resource))["items"]
        return found

    def calm(self) -> None:
        """No more faults."""
        self.faults.calm = True

    def check(self) -> None:
        """No promise was broken until now."""
        assert self.witness.broken == [], (self.witness.broken, self.tormentor.log)

    async def check_owners(self) -> None:
        """Nothing belongs to somebody who is not there."""
        uids = {uid_of(each) for resource in _OWNERS for each in await self.listed(resource)}
        for resource in (PODS, REPLICA_SETS, JOBS, PERSISTENT_VOLUME_CLAIMS):
            for each in await self.listed(resource):
                lost = [owner for owner in owners_of(each) if owner["kind"] in {kind.kind for kind in _OWNERS} and owner["uid"] not in uids]
                assert not lost, f"{resource.plural} {each['metadata']['name']} is an orphan of {lost}"


@asynccontextmanager
async def scene(
    seed: int,
    *,
    nodes: int = 3,
    controllers: Sequence[str] | None = ("*",),
    promises: Sequence[Promise] = (),
    rates: Rates | None = None,
    clock: JumpingClock | None = None,
    clock_jumps: bool = False,
    runtime_factory: RuntimeFactory = SimulatedRuntime,
) -> AsyncIterator[Scene]:
    """The cluster of that seed, with faults from the start. At the end no promise may be broken. `controllers=None`: neither these nor a
    scheduler run in it; the test starts its own."""
    rng = random.Random(seed)
    faults: list[FaultyTransport] = []

    def wrap(inner: Transport) -> Transport:
        faults.append(FaultyTransport(inner, random.Random(rng.getrandbits(64)), rates))
        return faults[-1]

    clock = clock or JumpingClock()
    async with in_process_cluster(
        nodes=nodes,
        controllers=_chosen(controllers),
        scheduler=controllers is not None,
        seed=seed,
        wrap=wrap,
        clock=clock,
        runtime_factory=runtime_factory,
    ) as cluster:
        witness = Witness(cluster.built.store, after=await cluster.built.store.revision(), promises=promises)
        tormentor = Tormentor(cluster, cluster, {part: part for part in PARTS if part != SERVER}, faults[0], rng)
        tormentor.clock = clock if clock_jumps else None
        try:
            stage = Scene(cluster, rng, faults[0], witness, tormentor)
            yield stage
            stage.check()
        finally:
            witness.close()


def _chosen(controllers: Sequence[str] | None) -> list[str] | None:
    if controllers is None or "*" in controllers:
        return None if controllers is None else list(controllers)
    return [*NODE_CONTROLLERS, *controllers]


async def insist(work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
    """Do it, whatever is down at the moment; done already is fine."""
    while True:
        try:
            await work()
            return
        except (AlreadyExists, NotFound):
            return
        except (ApiError, OSError):
            await asyncio.sleep(0.2)
