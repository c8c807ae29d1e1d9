"""kill -9 of one component in the middle of a rolling update: the update finishes, no acknowledged write is lost, and no watcher misses an
event or sees one twice. No supervisor: the test starts the component again with the same command.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from kube.client.client import Client
from kube.client.config import load_kubeconfig
from kube.errors import ApiError
from kube.objects import Object
from kube.resources import CONFIG_MAPS, DEPLOYMENTS, NAMESPACES, PODS, REPLICA_SETS
from tests.system.components import running_components
from tests.system.running import Processes, free_port
from tests.system.witness import Watcher, Writer, lost_writes, missed_events
from wherry.plan import Options, processes

REPLICAS = 16
SURGE = 4
LIMIT_S = 90.0
DEAD_S = 0.7
"""How long the component is dead; with minReadySeconds of 1 s, an update takes two seconds or more."""
OLD, NEW = "nginx:1.26", "nginx:1.27"


@pytest.fixture(scope="module")
def components(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Processes, Options]]:
    """The processes of `wherry up`, without it."""
    options = Options(data_dir=tmp_path_factory.mktemp("kill") / "data", secure_port=free_port())
    with running_components(options, processes(options)) as running:
        yield running, options


def deployment(namespace: str) -> Object:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "main", "image": OLD}]}}
    spec = {"replicas": REPLICAS, "minReadySeconds": 1, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": namespace}, "spec": spec}


@asynccontextmanager
async def in_background(*runs: Coroutine[Any, Any, None]) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Run these until the end of the block."""
    tasks = [asyncio.create_task(each) for each in runs]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(true: Callable[[], Coroutine[Any, Any, bool]], what: str) -> None:
    """Raises AssertionError, naming `what`, when it takes too long; asks on while the server is away."""
    try:
        async with asyncio.timeout(LIMIT_S):
            while True:
                try:
                    if await true():
                        return
                except (ApiError, OSError):
                    pass
                await asyncio.sleep(0.03)
    except TimeoutError:
        raise AssertionError(f"not within {LIMIT_S:.0f} s: {what}") from None


def status_of(found: Object) -> Object:
    """The status, once the controller has seen the spec."""
    status: Object = found.get("status", {})
    return status if status.get("observedGeneration") == found["metadata"]["generation"] else {}


def is_done(found: Object) -> bool:
    status = status_of(found)
    return all(status.get(key) == REPLICAS for key in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"))


class Rollout:
    """One Deployment and how far it is."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client, self._namespace = client, namespace

    async def _now(self) -> Object:
        return await self._client.get(DEPLOYMENTS, "web", namespace=self._namespace)

    async def is_half_way(self) -> bool:
        updated: int = status_of(await self._now()).get("updatedReplicas", 0)
        return 3 <= updated <= REPLICAS - 3

    async def is_done(self) -> bool:
        return is_done(await self._now())

    async def pods(self) -> list[tuple[str, str]]:
        """Image and phase of each pod that is there to stay."""
        found = (await self._client.list(PODS, namespace=self._namespace))["items"]
        return [
            (pod["spec"]["containers"][0]["image"], pod["status"]["phase"]) for pod in found if "deletionTimestamp" not in pod["metadata"]
        ]


@pytest.mark.parametrize("victim", ["apiserver", "controller-manager", "scheduler", "kubelet wherry-2"])
async def test_a_rolling_update_survives_the_death_of(components: tuple[Processes, Options], victim: str) -> None:
    running, options = components
    namespace = f"kill-{victim.replace(' ', '-')}"
    client = Client.from_config(load_kubeconfig(options.data_dir / "kubeconfig"), user_agent="witness")
    try:
        await client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        await client.create(DEPLOYMENTS, deployment(namespace))
        rollout = Rollout(client, namespace)
        await until(rollout.is_done, "all replicas are available")
        writer = Writer(client, namespace)
        watchers = [Watcher(client, resource, namespace) for resource in (CONFIG_MAPS, PODS, REPLICA_SETS, DEPLOYMENTS)]
        for watcher in watchers:
            await watcher.start()
        async with in_background(*(watcher.run() for watcher in watchers)) as watching:
            async with in_background(writer.run()):
                image = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": NEW}]}}}}
                await client.patch(DEPLOYMENTS, "web", image, namespace=namespace)
                await until(rollout.is_half_way, "the update is half way")
                running.kill(victim)
                written = len(writer.acknowledged)
                await asyncio.sleep(DEAD_S)
                half_way = watchers[-1].state["web"]
                running.start(victim)
                assert not is_done(half_way), "the update was over before the component was dead"
                await until(rollout.is_done, "the update is done")
                await until(lambda: writer.has_written(written + 20), "the writer goes on")
            for watcher in watchers:
                await until(watcher.agrees, f"the watcher of {watcher.resource.plural} has seen everything")
            assert not [task for task in watching if task.done()]
        assert await rollout.pods() == [(NEW, "Running")] * REPLICAS
        assert written > 0
        assert await lost_writes(writer, client, namespace) == []
        assert missed_events(writer, watchers[0]) == []
        assert {watcher.resource.plural: watcher.complaints for watcher in watchers if watcher.complaints} == {}
        if victim == "apiserver":
            assert all(watcher.resumed for watcher in watchers)
        else:  # (a create whose answer was lost may be repeated, so a dying server can mean a pod too many for a moment)
            assert watchers[1].most <= REPLICAS + SURGE
        assert running.ended() == {}
    finally:
        await client.close()
