"""The agent is started again, and the API fails it."""

from __future__ import annotations

import asyncio

from kube.clock import LoopClock
from kube.objects import Object
from tests.unit.kubelet_world import Api, ready, start, until, world
from tests.virtual import virtual


@virtual
async def test_a_restarted_agent_leaves_its_pods_as_they_are() -> None:
    api = Api(LoopClock())
    first = start(api)
    api.pod("web", container={"readinessProbe": {"httpGet": {"port": 80}}})
    api.pod("talks", container={"image": "busybox:1", "command": ["sh", "-c", "echo a; sleep 500; exit 3"]}, restartPolicy="Never")
    await ready(api, "web")
    await ready(api, "talks")
    before = {name: api.status(name) for name in ("web", "talks")}
    await first.stop()
    await asyncio.sleep(100)
    api.calls.clear()

    again = start(api, seed=2)
    await asyncio.sleep(60)
    assert {name: api.status(name) for name in ("web", "talks")} == before
    assert [each for each in api.calls if each[1] == "pods"] == []
    assert again.events.reasons() == []
    await until(lambda: api.status("talks")["phase"] == "Failed", within_s=600)
    assert api.status("talks")["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 3
    api.begin_delete("web")
    await until(lambda: api.get_pod("web") is None)
    await again.stop()


@virtual
async def test_a_restarted_agent_ends_what_was_deleted_meanwhile() -> None:
    api = Api(LoopClock())
    first = start(api)
    api.pod()
    await ready(api)
    await first.stop()
    api.begin_delete("web")
    again = start(api, seed=2)
    await until(lambda: api.get_pod() is None)
    await again.stop()


@virtual
async def test_a_restarted_agent_goes_on_with_a_crash_loop() -> None:
    api = Api(LoopClock())
    first = start(api)
    api.pod(container={"image": "busybox:1", "command": ["false"]})
    await until(lambda: api.status().get("containerStatuses", [{"restartCount": 0}])[0]["restartCount"] == 2)
    await first.stop()
    again = start(api, seed=2)
    await until(lambda: api.status()["containerStatuses"][0]["restartCount"] == 4)
    assert api.status()["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 1
    await again.stop()


@virtual
async def test_a_write_without_an_answer_is_tried_again() -> None:
    async with world() as w:
        await asyncio.sleep(5)
        w.api.fails = 3
        w.api.pod()
        await ready(w.api)
        w.api.fails = 3
        w.api.begin_delete("web")
        await until(lambda: w.api.get_pod() is None)


@virtual
async def test_a_status_that_somebody_overwrites_is_put_right() -> None:
    async with world() as w:
        w.api.pod()
        await ready(w.api)
        w.api.change("web", lambda pod: pod["status"].update(podIP="6.6.6.6", phase="Pending"))
        await until(lambda: w.api.status()["podIP"] == "10.244.0.2")
        assert w.api.status()["phase"] == "Running"


@virtual
async def test_a_ready_condition_that_somebody_overwrites_is_put_right_even_while_it_is_written() -> None:
    async with world() as w:
        w.api.pod()
        await ready(w.api)

        def unready(pod: Object) -> None:
            for each in pod["status"]["conditions"]:
                each["status"] = "False" if each["type"] == "Ready" else each["status"]

        w.api.change("web", unready)
        await ready(w.api)
        w.api.change("web", lambda pod: pod["metadata"].update(generation=2))
        await until(lambda: bool(w.api.writes("patch", "pods", "web")[-1]["status"].get("observedGeneration") == 2))
        w.api.change("web", unready)
        await ready(w.api)
        writes = len(w.api.writes("patch", "pods", "web"))
        await asyncio.sleep(60)
        assert len(w.api.writes("patch", "pods", "web")) == writes, "once is enough"
