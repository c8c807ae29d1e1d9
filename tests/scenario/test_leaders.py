"""Two replicas of every loop, whose leaders are killed, stopped and cut off under load, by seeds: the other takes over within the lease's
duration, never do two lead at once, nothing is done twice, and nothing is lost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from functools import partial

import pytest

from kube.objects import Object, is_condition_true, name_of
from kube.resources import DEPLOYMENTS, JOBS, SERVICES, STATEFUL_SETS
from kube.runtime.election import LEASE_DURATION_S, RENEW_DEADLINE_S, RETRY_PERIOD_S
from kubelet.node import DEFAULT_CAPACITY
from tests.component.test_cluster import deployment, is_rolled_out
from tests.scenario.faults import Rates
from tests.scenario.invariants import AskedFor, AtMost, Fits, InOrder, OneRun, Promise, Room
from tests.scenario.replicas import Replicas, loops
from tests.scenario.runtimes import Runtimes
from tests.scenario.scene import NODE_CONTROLLERS, Scene, insist, scene
from tests.scenario.seeds import seeds
from tests.scenario.test_jobs import COMPLETIONS, PARALLELISM, job
from tests.scenario.test_rollout import update_image
from tests.scenario.test_stateful import change, is_settled, stateful_set
from tests.scenario.trouble import Tormentor
from tests.virtual import run_virtual
from wherry.access import grant

REPLICAS, ORDERED = 4, 3
SURGE = UNAVAILABLE = 1
UPDATES = 3
NODE_CPUS = int(DEFAULT_CAPACITY["cpu"])
STANDING_BY_S = RETRY_PERIOD_S * 2.2 + 1
"""After so long, a replica has seen the lease."""
TAKEN_OVER_S = LEASE_DURATION_S + RENEW_DEADLINE_S
"""Within the lease's duration, and the time that a few attempts take of which faults may spoil the first."""
CONTROLLERS = (
    *NODE_CONTROLLERS,
    "deployment-controller",
    "replicaset-controller",
    "statefulset-controller",
    "job-controller",
    "endpointslice-controller",
    "garbage-collector-controller",
)
FEW = Rates(lost_request=0.01, lost_answer=0.01, conflict=0.01, refused=0.01, failed=0.01, slow=0.02)


def load_balancer(number: int) -> Object:
    spec = {"type": "LoadBalancer", "selector": {"app": "web"}, "ports": [{"port": 80}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": f"lb-{number}", "namespace": "default"}, "spec": spec}


def large(workload: Object) -> Object:
    """The same, of pods of which one node has room for four: not all that is wanted fits at once."""
    pod = workload["spec"]["template"]["spec"]
    containers = [{**each, "resources": {"requests": {"cpu": str(NODE_CPUS // 4)}}} for each in pod["containers"]]
    template = {**workload["spec"]["template"], "spec": {**pod, "containers": containers}}
    return {**workload, "spec": {**workload["spec"], "template": template}}


async def end_leaders(replicas: Replicas, rng: random.Random, tormentor: Tormentor) -> None:
    """End leaders one after the other, each in some way, while the other replica stands by."""
    for _ in range(rng.randrange(3, 6)):
        await asyncio.sleep(STANDING_BY_S + rng.uniform(0, 5))
        tormentor.jump()
        leading = sorted(each for names in replicas.leaders.of.values() for each in names)
        if leading:
            await end(rng.choice(leading), replicas, rng, tormentor)


async def end(leader: str, replicas: Replicas, rng: random.Random, tormentor: Tormentor) -> None:
    way = rng.choice(("is killed", "is killed in mid-request", "is stopped", "is cut off"))
    fuse = await tormentor.lit(leader) if way == "is killed in mid-request" else None
    tormentor.say(f"{leader} {way}")
    if way == "is cut off":
        replicas.cut(leader)  # it ends by itself, and is started again
        return
    await (replicas.stop(leader) if way == "is stopped" else replicas.kill(leader))
    if fuse is not None:
        fuse.over.set()
    await asyncio.sleep(rng.uniform(0, 3))
    replicas.start(leader)


async def load(stage: Scene) -> None:
    """Updates, a Job and load balancers, one after the other; each begins when it may."""
    client = stage.cluster.client
    await insist(partial(client.create, JOBS, large(job("indexed", "Indexed"))))
    for number in range(UPDATES):
        await insist(partial(update_image, stage.cluster, f"app:{number + 2}"))
        await insist(partial(change, stage, image=f"db:{number + 2}", replicas=ORDERED))
        await insist(partial(client.create, SERVICES, load_balancer(number)))
        await asyncio.sleep(stage.rng.uniform(5, 20))


async def scenario(seed: int) -> None:
    runtimes = Runtimes()
    promises: Sequence[Promise] = (
        AtMost(max(REPLICAS, COMPLETIONS)),
        AskedFor(REPLICAS + SURGE),
        Room({"app": "web"}, REPLICAS - UNAVAILABLE),
        Room({"app": "db"}, ORDERED - 1),
        InOrder("db", lambda: ORDERED),
        Fits(NODE_CPUS),
        OneRun(completions=COMPLETIONS, parallelism=PARALLELISM),
    )
    async with scene(
        seed, nodes=2, controllers=None, promises=promises, rates=FEW, clock_jumps=seed % 3 == 1, runtime_factory=runtimes
    ) as stage:
        replicas = Replicas(stage.cluster, stage.rng, loops(stage.cluster, ("*",) if seed % 5 == 0 else CONTROLLERS))
        await grant(stage.cluster.client)
        async with replicas.running():
            await insist(partial(stage.cluster.client.create, DEPLOYMENTS, large(deployment(REPLICAS))))
            await insist(partial(stage.cluster.client.create, STATEFUL_SETS, large(stateful_set())))
            await stage.until(lambda: is_rolled_out(stage.cluster, REPLICAS))
            ending = asyncio.create_task(end_leaders(replicas, stage.rng, stage.tormentor))
            await load(stage)
            await ending
            await stage.until(lambda: is_done(stage))
            stage.calm()
            await check_end(stage, replicas)
    assert runtimes.doubled == []


async def is_done(stage: Scene) -> bool:
    jobs, services = await stage.listed(JOBS), await stage.listed(SERVICES)
    done = all(is_condition_true(each, "Complete") for each in jobs) and await is_rolled_out(stage.cluster, REPLICAS)
    return done and len(addresses(services)) == UPDATES and await is_settled(stage, f"db:{UPDATES + 1}", ORDERED)


def addresses(services: Sequence[Object]) -> list[str]:
    found = [(each["status"].get("loadBalancer") or {}).get("ingress") or [] for each in services if name_of(each).startswith("lb-")]
    return [each[0]["ip"] for each in found if each]


async def check_end(stage: Scene, replicas: Replicas) -> None:
    [found] = await stage.listed(JOBS)
    assert (found["status"]["succeeded"], found["status"].get("failed", 0)) == (COMPLETIONS, 0)
    given = addresses(await stage.listed(SERVICES))
    assert len(set(given)) == UPDATES, f"load balancers share an address: {given}"
    await stage.check_owners()
    assert replicas.leaders.doubled == []
    assert replicas.leaders.vacant_s, "no leader was ended"
    late = [each for each in replicas.leaders.vacant_s if each > TAKEN_OVER_S]
    assert not late, f"nobody led for {late} s: {stage.tormentor.log}"


@pytest.mark.parametrize("seed", seeds(15))
def test_the_other_takes_over_and_nothing_is_done_twice_or_lost(seed: int) -> None:
    run_virtual(lambda: scenario(seed))
