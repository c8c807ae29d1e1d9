"""Two controller managers and two schedulers, as processes: the leader of each is killed in the middle of the work, the other takes over,
and nothing is done twice or lost. A replica that lost its lease ends, as upstream's do, and is started again by the test.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest

from kube.client.client import Client
from kube.client.config import load_kubeconfig
from kube.objects import Object, annotations_of, is_condition_true
from kube.resources import DEPLOYMENTS, JOBS, LEASES, NAMESPACES, PODS, REPLICA_SETS
from tests.system.components import running_components
from tests.system.running import Processes, free_port
from tests.system.test_kill import NEW, REPLICAS, Rollout, deployment, in_background, until
from wherry.plan import Options, Process, processes

TERMS = ("--leader-elect", "--leader-elect-lease-duration=5s", "--leader-elect-renew-deadline=4s", "--leader-elect-retry-period=500ms")
LOOPS = {"controller-manager": "kube-controller-manager", "scheduler": "kube-scheduler"}
"""By the process's name the Lease's."""
COMPLETIONS = 12
INDEX = "batch.kubernetes.io/job-completion-index"


def doubled(planned: list[Process]) -> list[Process]:
    """Two of each loop that is led, one of everything else that is needed."""
    out: list[Process] = []
    for each in planned:
        if each.name not in LOOPS:
            out += [each] if each.is_needed_first else []
            continue
        for number in (1, 2):
            name = f"{each.name} {number}"
            out.append(replace(each, name=name, command=(*each.command, *TERMS), log=each.log.with_name(f"{each.name}-{number}.log")))
    return out


@pytest.fixture(scope="module")
def components(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Processes, Options]]:
    options = Options(data_dir=tmp_path_factory.mktemp("leaders") / "data", secure_port=free_port(), nodes=2)
    with running_components(options, doubled(processes(options))) as running:
        yield running, options


def job() -> Object:
    container = {"name": "main", "image": "work:1", "command": ["sh", "-c", "sleep 1"]}
    pod = {"restartPolicy": "Never", "containers": [container]}
    spec = {"completions": COMPLETIONS, "parallelism": 3, "completionMode": "Indexed", "template": {"spec": pod}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "work", "namespace": "led"}, "spec": spec}


async def holder(client: Client, lease: str) -> str:
    found = await client.get(LEASES, lease, namespace="kube-system")
    return str(found["spec"].get("holderIdentity") or "")


async def leader(running: Processes, client: Client, loop: str) -> str:
    """The process that holds the Lease, by what the replicas say in their logs."""
    identity = await holder(client, LOOPS[loop])
    [found] = [each for each in (f"{loop} 1", f"{loop} 2") if identity and f"{identity} became leader" in running.log(each)]
    return found


async def keep(running: Processes) -> None:
    """Start again what ended because it lost its lease."""
    while True:
        for name, code in running.ended().items():
            assert code == 1, f"{name} ended with {code}"
            assert re.search("LeadershipLost", running.log(name)), running.log(name)[-2000:]
            running.start(name)
        await asyncio.sleep(0.2)


async def test_the_other_takes_over_when_a_leader_is_killed_in_the_middle_of_the_work(components: tuple[Processes, Options]) -> None:
    running, options = components
    client = Client.from_config(load_kubeconfig(options.data_dir / "kubeconfig"), user_agent="witness")
    try:
        await client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "led"}})
        await client.create(DEPLOYMENTS, deployment("led"))
        rollout = Rollout(client, "led")
        async with in_background(keep(running)) as keeping:
            await until(rollout.is_done, "all replicas are available")
            await client.create(JOBS, job())
            image = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": NEW}]}}}}
            await client.patch(DEPLOYMENTS, "web", image, namespace="led")
            await until(rollout.is_half_way, "the update is half way")
            for loop in LOOPS:
                await kill_leader(running, client, loop)
            await until(rollout.is_done, "the update is done")
            await until(lambda: is_complete(client), "the Job is complete")
            assert not [each for each in keeping if each.done()]
        await check(client, rollout)
    finally:
        await client.close()


async def kill_leader(running: Processes, client: Client, loop: str) -> None:
    """kill -9, and start it again when the other has taken over."""
    victim, before = await leader(running, client, loop), await holder(client, LOOPS[loop])
    running.kill(victim)

    async def has_another() -> bool:
        return await holder(client, LOOPS[loop]) not in ("", before)

    await until(has_another, f"another {loop} leads")
    running.start(victim)
    assert await leader(running, client, loop) != victim


async def is_complete(client: Client) -> bool:
    return is_condition_true(await client.get(JOBS, "work", namespace="led"), "Complete")


async def check(client: Client, rollout: Rollout) -> None:
    """Every index ran once, and the Deployment is what was asked for."""
    found = (await client.list(PODS, namespace="led"))["items"]
    runs = Counter(annotations_of(each)[INDEX] for each in found if INDEX in annotations_of(each))
    assert runs == {str(index): 1 for index in range(COMPLETIONS)}
    assert [each for each in await rollout.pods() if each[1] == "Running"] == [(NEW, "Running")] * REPLICAS
    sets = (await client.list(REPLICA_SETS, namespace="led"))["items"]
    assert sorted(each["spec"]["replicas"] for each in sets) == [0, REPLICAS]
