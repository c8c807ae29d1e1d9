"""What an agent holds of a pod that runs and changes no more: the cache's own object, not copies of it or what it was before."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from kubelet.runtime.base import LogOptions
from kubelet.runtime.log import LogLine, MemoryLog
from kubelet.runtime.simulated import SimulatedRuntime
from tests.unit.kubelet_world import World, ready, world
from tests.virtual import virtual


async def settled(w: World) -> Any:
    """The agent, the simulated pod and the reporter's entry of a pod that has been ready for a while."""
    w.api.pod(container={"env": [{"name": "A", "value": "b"}], "resources": {"requests": {"cpu": "1"}}})
    await ready(w.api)
    await asyncio.sleep(5)
    node = w.agents.nodes["n1"]
    runtime = node.host.runtime
    assert isinstance(runtime, SimulatedRuntime)
    return node.workers["uid-web"], runtime._pods["uid-web"], w.agents.reporter._entries["uid-web"]


@virtual
async def test_worker_runtime_and_reporter_hold_the_newest_version_that_the_cache_has() -> None:
    async with world() as w:
        worker, simulated, entry = await settled(w)
        for _ in range(2):
            newest = w.api.get_pod()
            assert newest is not None
            assert worker.pod is simulated.pod is entry.pod is newest
            assert next(each.spec for each in simulated.containers.values()) is newest["spec"]["containers"][0]
            assert next(each.status().resources for each in simulated.containers.values()) is newest["spec"]["containers"][0]["resources"]
            w.api.change("web", lambda pod: pod["status"]["conditions"].append({"type": "theirs", "status": "True"}))
            await asyncio.sleep(1)


@virtual
async def test_a_status_that_the_server_has_is_held_once() -> None:
    async with world() as w:
        _, _, entry = await settled(w)
        newest = w.api.status()
        assert entry.sent == newest
        assert entry.wanted["containerStatuses"] is newest["containerStatuses"]
        assert {id(each) for each in entry.wanted["conditions"]} <= {id(each) for each in newest["conditions"]}


@virtual
async def test_what_is_changed_while_a_change_waits_is_told_to_the_runtime() -> None:
    async with world() as w:
        worker, simulated, _ = await settled(w)
        w.api.change("web", lambda pod: pod["metadata"].update(annotations={"wherry.dev/readiness": "false"}))
        w.api.change("web", lambda pod: pod["status"].update(message="x"))
        await asyncio.sleep(1)
        assert simulated.pod is worker.pod
        assert simulated.pod["metadata"]["annotations"] == {"wherry.dev/readiness": "false"}


def test_a_log_keeps_its_newest_lines_and_little_more() -> None:
    log = MemoryLog(lines_max=100)
    lines = [LogLine(datetime(2026, 1, 1, tzinfo=UTC), "stdout", str(number)) for number in range(1000)]
    for count, line in enumerate(lines, 1):
        log.append(line)
        assert log.lines() == lines[max(count - 100, 0) : count]
        assert len(log._lines) <= 125


@virtual
async def test_who_follows_a_log_gets_every_line_once() -> None:
    log, now = MemoryLog(lines_max=100), datetime(2026, 1, 1, tzinfo=UTC)

    async def write() -> None:
        for number in range(1000):
            log.append(LogLine(now, "stdout", str(number)))
            if number % 7 == 0:
                await asyncio.sleep(1)
        log.close()

    writing = asyncio.ensure_future(write())
    read = [data async for data in log.read(LogOptions(follow=True))]
    assert read == [f"{number}\n".encode() for number in range(1000)]
    await writing
