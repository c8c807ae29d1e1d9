"""What every runtime promises (`kubelet/runtime/base.py`), as scenarios that are run over each implementation by `test_runtime.py`.

A scenario is a coroutine that is given a `Node`: a runtime that was started, and what is particular to it (an image it can run, commands
that end, that fail, that print). Scenarios wait for states, never for amounts of time.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import pytest

from kube.objects import Object
from kubelet import images
from kubelet.runtime.base import (
    ContainerConfig,
    ContainerEvent,
    ContainerState,
    ContainerStatus,
    CRIError,
    ImagePullError,
    InvalidState,
    LogOptions,
    NotFound,
    RuntimeService,
    SandboxConfig,
)

PATIENCE_S = 60


@dataclass
class Node:
    """A runtime under test. `image` can be pulled, `missing_image` cannot."""

    runtime: RuntimeService
    image: str = "busybox:1.36"
    missing_image: str = "busybox:doesnotexist"
    numbers: Any = field(default_factory=lambda: count(1))

    def pod(self, *containers: Object, **spec: Any) -> Object:
        number = next(self.numbers)
        metadata = {"name": f"p{number}", "namespace": "default", "uid": f"00000000-0000-0000-0000-{number:012d}"}
        return {"metadata": metadata, "spec": {"containers": list(containers), **spec}, "status": {}}

    def container(self, script: str = "sleep 3600", *, name: str = "c") -> Object:
        return {"name": name, "image": self.image, "command": ["sh", "-c", script]}

    async def started(self, script: str = "sleep 3600", **spec: Any) -> tuple[str, str]:
        """A new pod with one container that was started; (sandbox id, container id)."""
        container = self.container(script)
        pod = self.pod(container, **spec)
        sandbox = await self.runtime.run_pod_sandbox(SandboxConfig(pod))
        return sandbox.id, await self.start(sandbox.id, container, pod)

    async def start(self, sandbox_id: str, container: Object, pod: Object, *, attempt: int = 0) -> str:
        reference = str(images.parse(container["image"]))
        image = await self.runtime.pull_image(reference, pod=pod)
        container_id = await self.runtime.create_container(sandbox_id, ContainerConfig(container, image.ref, attempt))
        await self.runtime.start_container(container_id)
        return container_id

    async def ended(self, container_id: str) -> ContainerStatus:
        """Its status, once it has ended."""
        async with asyncio.timeout(PATIENCE_S):
            while (status := await self.runtime.container_status(container_id)).state is not ContainerState.EXITED:
                await asyncio.sleep(0.05)
        return status


Scenario = Callable[[Node], Awaitable[None]]
SCENARIOS: dict[str, Scenario] = {}


def promise(text: str) -> Callable[[Scenario], Scenario]:
    """Register a scenario under the sentence that it holds the runtime to."""

    def register(scenario: Scenario) -> Scenario:
        assert text not in SCENARIOS
        SCENARIOS[text] = scenario
        return scenario

    return register


class Streams:
    """ExecStreams in memory: `stdin` is what is typed, piece by piece; the rest is collected."""

    def __init__(self, *stdin: bytes, tty: bool = False, stays: bool = False) -> None:
        self._stdin, self.tty, self._stays = list(stdin), tty, stays
        self.has_stdin = bool(stdin) or stays
        self.stdout, self.stderr = b"", b""
        self.wrote = asyncio.Event()

    async def read_stdin(self) -> bytes:
        if self._stdin:
            return self._stdin.pop(0)
        if self._stays:
            await asyncio.sleep(math.inf)
        return b""

    async def write_stdout(self, data: bytes) -> None:
        self.stdout += data
        self.wrote.set()

    async def write_stderr(self, data: bytes) -> None:
        self.stderr += data

    async def next_resize(self) -> tuple[int, int]:
        await asyncio.sleep(math.inf)
        raise AssertionError


async def log_of(node: Node, container_id: str, **options: Any) -> str:
    """A log, as far as it goes."""
    parts = []
    async with asyncio.timeout(PATIENCE_S):
        async with aclosing(node.runtime.logs(container_id, LogOptions(**options))) as pieces:
            async for data in pieces:
                parts.append(data)
    return b"".join(parts).decode()


# --- sandboxes --------------------------------------------------------------------------------------------------------------


@promise("a sandbox is ready, has an address, and is listed with its pod")
async def _sandbox(node: Node) -> None:
    pod = node.pod(node.container())
    made = await node.runtime.run_pod_sandbox(SandboxConfig(pod, attempt=3))
    (listed,) = await node.runtime.list_pod_sandboxes(pod["metadata"]["uid"])
    assert listed == made
    assert (listed.is_ready, listed.attempt, len(listed.ips)) == (True, 3, 1)


@promise("sandboxes have addresses of their own")
async def _addresses(node: Node) -> None:
    made = [await node.runtime.run_pod_sandbox(SandboxConfig(node.pod(node.container()))) for _ in range(5)]
    assert len({each.ips for each in made}) == 5
    assert len({each.id for each in made}) == 5


@promise("stopping a sandbox kills what runs in it; doing so again is fine")
async def _stop_sandbox(node: Node) -> None:
    sandbox_id, container_id = await node.started()
    await node.runtime.stop_pod_sandbox(sandbox_id)
    assert (await node.ended(container_id)).exit_code == 137
    await node.runtime.stop_pod_sandbox(sandbox_id)
    status = await node.runtime.container_status(container_id)
    (sandbox,) = await node.runtime.list_pod_sandboxes(status.pod_uid)
    assert not sandbox.is_ready


@promise("removing a sandbox removes its containers; doing so again is fine")
async def _remove_sandbox(node: Node) -> None:
    sandbox_id, container_id = await node.started()
    uid = (await node.runtime.container_status(container_id)).pod_uid
    await node.runtime.remove_pod_sandbox(sandbox_id)
    await node.runtime.remove_pod_sandbox(sandbox_id)
    assert list(await node.runtime.list_pod_sandboxes(uid)) == []
    assert list(await node.runtime.list_containers(uid)) == []
    with pytest.raises(NotFound):
        await node.runtime.container_status(container_id)


@promise("a container cannot be made in a sandbox that is not there")
async def _no_sandbox(node: Node) -> None:
    with pytest.raises(CRIError):
        await node.runtime.create_container("nowhere", ContainerConfig(node.container(), "ref"))


# --- containers -------------------------------------------------------------------------------------------------------------


@promise("a container is created, then running, and knows since when")
async def _lifecycle(node: Node) -> None:
    container = node.container()
    pod = node.pod(container)
    sandbox = await node.runtime.run_pod_sandbox(SandboxConfig(pod))
    image = await node.runtime.pull_image(str(images.parse(node.image)), pod=pod)
    container_id = await node.runtime.create_container(sandbox.id, ContainerConfig(container, image.ref, 2))
    created = await node.runtime.container_status(container_id)
    assert (created.state, created.name, created.attempt, created.started_at) == (ContainerState.CREATED, "c", 2, None)
    await node.runtime.start_container(container_id)
    running = await node.runtime.container_status(container_id)
    assert running.state is ContainerState.RUNNING
    assert running.started_at is not None
    assert running.started_at >= running.created_at
    assert (running.image, running.image_ref, running.sandbox_id) == (str(images.parse(node.image)), image.ref, sandbox.id)
    assert list(await node.runtime.list_containers(pod["metadata"]["uid"])) == [running]


@promise("a container cannot be started twice")
async def _start_twice(node: Node) -> None:
    _, container_id = await node.started()
    with pytest.raises(InvalidState):
        await node.runtime.start_container(container_id)


@promise("a container that ends well has exit code 0 and reason Completed")
async def _completed(node: Node) -> None:
    _, container_id = await node.started("exit 0")
    status = await node.ended(container_id)
    assert (status.exit_code, status.reason) == (0, "Completed")
    assert status.finished_at is not None
    assert status.started_at is not None
    assert status.finished_at >= status.started_at


@promise("a container that fails has its exit code and reason Error")
async def _failed(node: Node) -> None:
    _, container_id = await node.started("exit 3")
    status = await node.ended(container_id)
    assert (status.exit_code, status.reason) == (3, "Error")


@promise("stopping a container ends it within its time; doing so again is fine")
async def _stop(node: Node) -> None:
    _, container_id = await node.started()
    await node.runtime.stop_container(container_id, timeout_s=5)
    first = await node.runtime.container_status(container_id)
    assert first.state is ContainerState.EXITED
    await node.runtime.stop_container(container_id, timeout_s=5)
    assert await node.runtime.container_status(container_id) == first


@promise("stopping a container without grace kills it")
async def _kill(node: Node) -> None:
    _, container_id = await node.started()
    await node.runtime.stop_container(container_id, timeout_s=0)
    assert (await node.runtime.container_status(container_id)).exit_code == 137


@promise("a removed container is gone; removing it again is fine")
async def _remove(node: Node) -> None:
    _, container_id = await node.started("exit 0")
    await node.ended(container_id)
    await node.runtime.remove_container(container_id)
    await node.runtime.remove_container(container_id)
    with pytest.raises(NotFound):
        await node.runtime.container_status(container_id)


@promise("a dead container stays, with its log, until it is removed")
async def _stays(node: Node) -> None:
    _, container_id = await node.started("echo last words; exit 1")
    await node.ended(container_id)
    assert "last words" in await log_of(node, container_id)


@promise("containers of one pod live side by side")
async def _two(node: Node) -> None:
    one, other = node.container("sleep 3600", name="one"), node.container("exit 0", name="other")
    pod = node.pod(one, other)
    sandbox = await node.runtime.run_pod_sandbox(SandboxConfig(pod))
    first, second = await node.start(sandbox.id, one, pod), await node.start(sandbox.id, other, pod)
    await node.ended(second)
    states = {each.name: each.state for each in await node.runtime.list_containers(pod["metadata"]["uid"])}
    assert states == {"one": ContainerState.RUNNING, "other": ContainerState.EXITED}
    assert first != second


@promise("the end of a container is told as an event of its pod")
async def _event(node: Node) -> None:
    events: list[ContainerEvent] = []
    node.runtime.subscribe(events.append)
    _, container_id = await node.started("exit 0")
    async with asyncio.timeout(PATIENCE_S):
        while "stopped" not in {each.kind for each in events}:
            await asyncio.sleep(0.01)
    status = await node.runtime.container_status(container_id)
    assert ContainerEvent(status.pod_uid, container_id, "stopped") in events


@promise("statistics name each running container")
async def _stats(node: Node) -> None:
    _, container_id = await node.started()
    uid = (await node.runtime.container_status(container_id)).pod_uid
    (stats,) = await node.runtime.container_stats(uid)
    assert (stats.container_id, stats.name, stats.pod_uid) == (container_id, "c", uid)
    assert stats.memory_working_set_bytes >= 0


# --- logs -------------------------------------------------------------------------------------------------------------------


@promise("a log has the lines that were written, in order")
async def _log(node: Node) -> None:
    _, container_id = await node.started("echo one; echo two; echo three")
    await node.ended(container_id)
    assert await log_of(node, container_id) == "one\ntwo\nthree\n"


LOG_OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"tail_lines": 1}, "three\n"),
    ({"tail_lines": 0}, ""),
    ({"tail_lines": 10}, "one\ntwo\nthree\n"),
    ({"limit_bytes": 6}, "one\ntw"),
    ({"stream": "stderr"}, ""),
]


@promise("a log is cut as the options say")
async def _log_options(node: Node) -> None:
    _, container_id = await node.started("echo one; echo two; echo three")
    status = await node.ended(container_id)
    for options, expected in LOG_OPTIONS:
        assert await log_of(node, container_id, **options) == expected
    assert await log_of(node, container_id, since_time=status.started_at) == "one\ntwo\nthree\n"


@promise("timestamps come first in a line")
async def _timestamps(node: Node) -> None:
    _, container_id = await node.started("echo one")
    await node.ended(container_id)
    stamp, _, text = (await log_of(node, container_id, timestamps=True)).partition(" ")
    assert text == "one\n"
    assert stamp.endswith("Z")
    assert len(stamp) == len("2026-01-01T00:00:00.000000000Z")


@promise("following a log gives what comes, until the container ends")
async def _follow(node: Node) -> None:
    _, container_id = await node.started("echo one; sleep 1; echo two; sleep 1; echo three")
    assert await log_of(node, container_id, follow=True) == "one\ntwo\nthree\n"
    assert await log_of(node, container_id, follow=True) == "one\ntwo\nthree\n"


# --- getting inside -----------------------------------------------------------------------------------------------------------


@promise("a command's output and exit code come back")
async def _exec_sync(node: Node) -> None:
    _, container_id = await node.started()
    result = await node.runtime.exec_sync(container_id, ["sh", "-c", "echo out; echo err >&2; exit 4"], timeout_s=10)
    assert (result.exit_code, result.stdout, result.stderr) == (4, b"out\n", b"err\n")


@promise("a command that takes too long is a CommandTimeout")
async def _exec_timeout(node: Node) -> None:
    _, container_id = await node.started()
    with pytest.raises(CRIError, match="timed out"):
        await node.runtime.exec_sync(container_id, ["sleep", "60"], timeout_s=1)


@promise("nothing can be run in a container that has ended")
async def _exec_dead(node: Node) -> None:
    _, container_id = await node.started("exit 0")
    await node.ended(container_id)
    with pytest.raises(CRIError):
        await node.runtime.exec_sync(container_id, ["true"], timeout_s=1)
    with pytest.raises(CRIError):
        await node.runtime.exec(container_id, ["true"], Streams())


@promise("a streaming command writes to both streams and answers its exit code")
async def _exec(node: Node) -> None:
    _, container_id = await node.started()
    streams = Streams()
    code = await node.runtime.exec(container_id, ["sh", "-c", "echo out; echo err >&2; exit 5"], streams)
    assert (code, streams.stdout, streams.stderr) == (5, b"out\n", b"err\n")


@promise("a streaming command reads its stdin to the end")
async def _exec_stdin(node: Node) -> None:
    _, container_id = await node.started()
    streams = Streams(b"hello ", b"there\n")
    assert await node.runtime.exec(container_id, ["cat"], streams) == 0
    assert streams.stdout == b"hello there\n"


@promise("a shell runs what is typed")
async def _shell(node: Node) -> None:
    _, container_id = await node.started()
    streams = Streams(b"echo a\nech", b"o b\nexit 7\n")
    assert await node.runtime.exec(container_id, ["sh"], streams) == 7
    assert streams.stdout == b"a\nb\n"


@promise("a command that is cancelled ends, and the container goes on")
async def _exec_cancelled(node: Node) -> None:
    _, container_id = await node.started()
    running = asyncio.ensure_future(node.runtime.exec(container_id, ["sleep", "3600"], Streams()))
    await asyncio.sleep(0.1)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert (await node.runtime.container_status(container_id)).state is ContainerState.RUNNING


@promise("a command ends with its container")
async def _exec_ends(node: Node) -> None:
    _, container_id = await node.started()
    running = asyncio.ensure_future(node.runtime.exec(container_id, ["sleep", "3600"], Streams()))
    await asyncio.sleep(0.1)
    await node.runtime.stop_container(container_id, timeout_s=0)
    async with asyncio.timeout(PATIENCE_S):
        assert await running != 0


@promise("attach gives what the container says, until it ends")
async def _attach(node: Node) -> None:
    _, container_id = await node.started("sleep 1; echo hello; sleep 1; exit 0")
    streams = Streams()
    async with asyncio.timeout(PATIENCE_S):
        await node.runtime.attach(container_id, streams)
    assert b"hello" in streams.stdout


@promise("a probe of a running container is answered; of one that has ended it fails")
async def _probe(node: Node) -> None:
    _, container_id = await node.started("touch /tmp/healthy; sleep 3600")
    await asyncio.sleep(0.1)
    probe = {"exec": {"command": ["cat", "/tmp/healthy"]}, "timeoutSeconds": 5}
    missing = {"exec": {"command": ["cat", "/tmp/nothing"]}, "timeoutSeconds": 5}
    assert (await node.runtime.probe(container_id, probe, kind="liveness")).success
    failed = await node.runtime.probe(container_id, missing, kind="liveness")
    assert (failed.success, "No such file" in failed.output) == (False, True)
    await node.runtime.stop_container(container_id, timeout_s=0)
    assert not (await node.runtime.probe(container_id, probe, kind="liveness")).success


# --- images -------------------------------------------------------------------------------------------------------------------


@promise("an image that was pulled is here, under one reference")
async def _pull(node: Node) -> None:
    reference, pod = str(images.parse(node.image)), node.pod(node.container())
    assert await node.runtime.image_status("docker.io/library/never-pulled:1") is None
    pulled = await node.runtime.pull_image(reference, pod=pod)
    assert await node.runtime.image_status(reference) == pulled
    assert await node.runtime.pull_image(reference, pod=pod) == pulled
    assert pulled in await node.runtime.list_images()
    assert "@sha256:" in pulled.ref
    assert pulled.size_bytes > 0


@promise("an image that nobody has cannot be pulled, with a reason")
async def _pull_missing(node: Node) -> None:
    pod = node.pod({"name": "c", "image": node.missing_image})
    with pytest.raises(ImagePullError) as caught:
        await node.runtime.pull_image(str(images.parse(node.missing_image)), pod=pod)
    assert caught.value.reason == "ErrImagePull"
    assert str(caught.value)


def names() -> Sequence[str]:
    return list(SCENARIOS)


@promise("a running container, and the pod as a whole, can get other requests and limits")
async def _sizes(node: Node) -> None:
    before, after = {"requests": {"cpu": "100m"}}, {"requests": {"cpu": "200m"}, "limits": {"memory": "64Mi"}}
    container = {**node.container(), "resources": before}
    pod = node.pod(container, resources=before)
    sandbox = await node.runtime.run_pod_sandbox(SandboxConfig(pod))
    assert sandbox.resources == before
    container_id = await node.start(sandbox.id, container, pod)
    began = await node.runtime.container_status(container_id)
    assert began.resources == before
    await node.runtime.update_container_resources(container_id, after)
    await node.runtime.update_pod_sandbox_resources(sandbox.id, after)
    assert await node.runtime.container_status(container_id) == replace(began, resources=after), "nothing else changes"
    assert [each.resources for each in await node.runtime.list_pod_sandboxes(pod["metadata"]["uid"])] == [after]
    await node.runtime.stop_container(container_id, timeout_s=0)
    with pytest.raises(InvalidState):
        await node.runtime.update_container_resources(container_id, before)
