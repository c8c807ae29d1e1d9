"""Runs the promises of `runtime_contract.py` over each runtime, and what only one of them promises."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from kube.clock import LoopClock
from kube.objects import Object
from kubelet.observed import RuntimeState, newest_first
from kubelet.runtime.base import ContainerConfig, ContainerState, SandboxConfig
from kubelet.runtime.simulated import SimulatedRuntime
from kubelet.stages.stage import StageSet, compiled, defaults
from kubelet.status import status_of
from tests.contract.runtime_contract import SCENARIOS, Node, Scenario, log_of
from tests.virtual import run_virtual, virtual

Open = Callable[[Path], Awaitable[Node]]


async def _simulated(_: Path) -> Node:
    runtime = SimulatedRuntime(clock=LoopClock(), rng=random.Random(1), node_name="n1")
    await runtime.start()
    return Node(runtime)


RUNTIMES: dict[str, Open] = {"simulated": _simulated}


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("promise", SCENARIOS)
def test_runtime(promise: str, runtime: str, tmp_path: Path) -> None:
    run_virtual(lambda: _keeps(SCENARIOS[promise], RUNTIMES[runtime], tmp_path))


async def _keeps(scenario: Scenario, open_runtime: Open, folder: Path) -> None:
    node = await open_runtime(folder)
    try:
        await scenario(node)
    finally:
        await node.runtime.close()


# --- the simulated runtime only -------------------------------------------------------------------------------------------------


async def started(
    node: Node, *, annotations: dict[str, str] | None = None, container: Object | None = None, **spec: Any
) -> tuple[Object, str]:
    container = container or {"name": "c", "image": "nginx:1.27"}
    pod = node.pod(container, **spec)
    pod["metadata"]["annotations"] = annotations or {}
    sandbox = await node.runtime.run_pod_sandbox(SandboxConfig(pod))
    return pod, await node.start(sandbox.id, container, pod)


async def node_of(stages: StageSet | None = None) -> Node:
    return Node(SimulatedRuntime(clock=LoopClock(), rng=random.Random(1), stages=stages))


@virtual
async def test_an_image_nobody_knows_runs_until_it_is_stopped_and_says_what_it_is() -> None:
    node = await node_of()
    _, container_id = await started(node)
    await asyncio.sleep(86400)
    assert (await node.runtime.container_status(container_id)).state is ContainerState.RUNNING
    assert (await log_of(node, container_id)).startswith("Wherry simulates this container: image nginx:1.27 started at 2026-01-01T")


@virtual
async def test_annotations_say_how_long_a_container_runs_and_how_it_ends() -> None:
    node = await node_of()
    annotations = {"wherry.dev/run-for-s": "30", "wherry.dev/exit-code": "137", "wherry.dev/exit-reason": "OOMKilled"}
    _, container_id = await started(node, annotations=annotations)
    status = await node.ended(container_id)
    assert (status.exit_code, status.reason) == (137, "OOMKilled")
    assert status.finished_at is not None
    assert status.started_at is not None
    assert (status.finished_at - status.started_at).total_seconds() == pytest.approx(30, abs=1)


@virtual
async def test_an_annotation_may_be_for_one_container_only() -> None:
    node = await node_of()
    one, other = {"name": "one", "image": "a"}, {"name": "other", "image": "b"}
    pod = node.pod(one, other)
    pod["metadata"]["annotations"] = {"one.wherry.dev/run-for-s": "1"}
    sandbox = await node.runtime.run_pod_sandbox(SandboxConfig(pod))
    first, second = await node.start(sandbox.id, one, pod), await node.start(sandbox.id, other, pod)
    await node.ended(first)
    await asyncio.sleep(100)
    assert (await node.runtime.container_status(second)).state is ContainerState.RUNNING


STOPS = {
    "in time": ({}, "Always", 30.0, 0, 1.0),
    "in time, in a pod that is not restarted": ({}, "Never", 30.0, 143, 1.0),
    "late, but within its grace": ({"wherry.dev/stop-s": "10"}, "Always", 30.0, 0, 11.0),
    "too late": ({"wherry.dev/stop-s": "60"}, "Always", 30.0, 137, 31.0),
}


@pytest.mark.parametrize(("annotations", "policy", "grace_s", "code", "within_s"), STOPS.values(), ids=STOPS.keys())
@virtual
async def test_sigterm_is_honoured(annotations: dict[str, str], policy: str, grace_s: float, code: int, within_s: float) -> None:
    node = await node_of()
    _, container_id = await started(node, annotations=annotations, restartPolicy=policy)
    before = asyncio.get_running_loop().time()
    await node.runtime.stop_container(container_id, timeout_s=grace_s)
    assert (await node.runtime.container_status(container_id)).exit_code == code
    assert asyncio.get_running_loop().time() - before <= within_s


@virtual
async def test_probes_follow_annotations() -> None:
    node = await node_of()
    pod, container_id = await started(node)
    probe = {"httpGet": {"port": 80}}
    first = await node.runtime.probe(container_id, probe, kind="readiness")
    assert (first.success, first.steady) == (True, True)
    (sandbox,) = await node.runtime.list_pod_sandboxes(pod["metadata"]["uid"])
    pod = {**pod, "metadata": {**pod["metadata"], "annotations": {"wherry.dev/readiness": "false"}}}
    await node.runtime.update_pod_sandbox(sandbox.id, SandboxConfig(pod))
    second = await node.runtime.probe(container_id, probe, kind="readiness")
    assert not second.success
    assert second.output == "HTTP probe failed with statuscode: 503 (annotation wherry.dev/readiness)"
    assert (await node.runtime.probe(container_id, probe, kind="liveness")).success


@virtual
async def test_a_probe_may_fail_after_some_time() -> None:
    node = await node_of()
    _, container_id = await started(node, annotations={"wherry.dev/liveness-fails-after-s": "30"})
    assert (await node.runtime.probe(container_id, {}, kind="liveness")).success
    await asyncio.sleep(31)
    assert not (await node.runtime.probe(container_id, {}, kind="liveness")).success


@virtual
async def test_an_unknown_command_is_refused_in_words() -> None:
    node = await node_of()
    _, container_id = await started(node)
    result = await node.runtime.exec_sync(container_id, ["nginx", "-t"], timeout_s=5)
    assert result.exit_code == 126
    assert b"Wherry simulates this container" in result.stderr


@virtual
async def test_containers_see_their_environment() -> None:
    node = await node_of()
    container = {"name": "c", "image": "busybox", "command": ["sh", "-c", "echo $GREETING from $(HOSTNAME); echo $(WHO)"]}
    pod = node.pod(container)
    sandbox = await node.runtime.run_pod_sandbox(SandboxConfig(pod))
    config = ContainerConfig(container, "ref", envs={"GREETING": "hello", "WHO": "$NAME", "HOSTNAME": "h"})
    container_id = await node.runtime.create_container(sandbox.id, config)
    await node.runtime.start_container(container_id)
    await node.ended(container_id)
    assert (await log_of(node, container_id)).splitlines()[0] == "hello from h"


class Connection:
    """One forwarded connection: what the client sends, and what it got."""

    def __init__(self, *sent: bytes) -> None:
        self._sent, self.got = list(sent), b""

    async def read(self) -> bytes:
        return self._sent.pop(0) if self._sent else b""

    async def write(self, data: bytes) -> None:
        self.got += data


@virtual
async def test_a_forwarded_port_answers_http_with_a_page_that_says_what_it_is() -> None:
    node = await node_of()
    pod, _ = await started(node)
    (sandbox,) = await node.runtime.list_pod_sandboxes(pod["metadata"]["uid"])
    stream = Connection(b"GET / HTTP/1.1\r\nHost: x\r\n", b"\r\n")
    await node.runtime.port_forward(sandbox.id, 8080, stream)
    head, _, body = stream.got.decode().partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 200 OK")
    assert "Wherry simulates this pod" in body
    assert "port:   8080" in body


@virtual
async def test_a_kwok_pod_stage_ends_a_container() -> None:
    text = """
      containerStatuses:
      {{ range .spec.containers }}
      - name: {{ .name | Quote }}
        state: {terminated: {exitCode: 9, reason: chaos}}
      {{ end }}
    """
    chaos = {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": "chaos"},
        "spec": {
            "resourceRef": {"apiGroup": "v1", "kind": "Pod"},
            "selector": {"matchExpressions": [{"key": ".status.phase", "operator": "In", "values": ["Running"]}]},
            "delay": {"durationMilliseconds": 5000},
            "next": {"statusTemplate": text},
        },
    }
    node = await node_of(StageSet([*defaults(), compiled(chaos)]))
    _, container_id = await started(node)
    status = await node.ended(container_id)
    assert (status.exit_code, status.reason) == (9, "chaos")


async def _described(node: Node, pod: Object, clock: LoopClock) -> Object:
    uid = pod["metadata"]["uid"]
    (sandbox,) = await node.runtime.list_pod_sandboxes(uid)
    newest, previous, older = newest_first(await node.runtime.list_containers(uid))
    observed = RuntimeState(sandbox=sandbox, containers=newest, previous=previous, older=older)
    return status_of(pod, observed, clock.now(), runtime_name=node.runtime.name, host_ips=["192.0.2.1"])


@virtual
async def test_pods_are_rebuilt_from_their_status() -> None:
    clock = LoopClock()
    first = Node(SimulatedRuntime(clock=clock, rng=random.Random(1)))
    container = {"name": "c", "image": "busybox", "command": ["sh", "-c", "echo begun; sleep 100; echo over; exit 4"]}
    pod, container_id = await started(first, container=container)
    await asyncio.sleep(60)
    before = await _described(first, pod, clock)
    await first.runtime.close()

    pod = {**pod, "status": before}
    again = Node(SimulatedRuntime(clock=clock, rng=random.Random(2)))
    await again.runtime.restore(pod)
    await again.runtime.restore(pod)
    after = await _described(again, pod, clock)
    for kept in ("phase", "podIP", "startTime", "containerStatuses"):
        assert after[kept] == before[kept]
    assert await log_of(again, container_id) == "begun\n"
    other = await again.runtime.run_pod_sandbox(SandboxConfig(again.pod(container)))
    assert other.ips[0] != before["podIP"]

    status = await again.ended(container_id)
    assert status.exit_code == 4
    assert status.started_at is not None
    assert status.finished_at is not None
    assert (status.finished_at - status.started_at).total_seconds() == pytest.approx(100, abs=1)
    assert await log_of(again, container_id) == "begun\nover\n"
    await again.runtime.close()


@virtual
async def test_a_container_that_ended_while_nobody_looked_has_ended_when_the_agent_is_back() -> None:
    clock = LoopClock()
    first = Node(SimulatedRuntime(clock=clock, rng=random.Random(1)))
    container = {"name": "c", "image": "busybox", "command": ["sleep", "10"]}
    pod, container_id = await started(first, container=container)
    pod = {**pod, "status": await _described(first, pod, clock)}
    await first.runtime.close()
    await asyncio.sleep(1000)
    again = Node(SimulatedRuntime(clock=clock, rng=random.Random(2)))
    await again.runtime.restore(pod)
    assert (await again.ended(container_id)).exit_code == 0


@virtual
async def test_usage_is_what_the_annotations_say() -> None:
    node = await node_of()
    pod, _ = await started(node, annotations={"wherry.dev/usage-cpu": "250m", "wherry.dev/usage-memory": "64Mi"})
    await asyncio.sleep(10)
    (stats,) = await node.runtime.container_stats(pod["metadata"]["uid"])
    assert (stats.cpu_usage_nano_cores, stats.memory_working_set_bytes) == (250_000_000, 64 << 20)
    assert stats.cpu_usage_core_nanos == pytest.approx(2.5e9, rel=0.01)
