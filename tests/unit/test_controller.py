"""The shape of control loops: keys in, reconciles out, failures again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from kube.client.client import Client
from kube.client.informer import Informers
from kube.client.transport import AsgiTransport, ConnectionFailed
from kube.clock import LoopClock
from kube.errors import Conflict, Forbidden
from kube.objects import Object, key_of
from kube.resources import NODES, PODS
from kube.runtime import metrics
from kube.runtime.controller import Run, run_controller
from kube.runtime.events import EventRecorder
from tests.fake_api import FakeApi
from tests.virtual import virtual


class Labeller:
    """Labels every pod, does what it is told to first."""

    name = "labeller"

    def __init__(self) -> None:
        self.answers: list[float | Exception | None] = []
        self.keys: list[tuple[float, str]] = []
        self.run: Run | None = None

    def start(self, run: Run) -> None:
        self.run = run
        self.pods = run.informers.of(PODS)
        self.pods.add_handler(lambda old, new: run.queue.add(key_of(new or old or {})))

    async def reconcile(self, key: str) -> float | None:
        self.keys.append((asyncio.get_running_loop().time(), key))
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        return answer


class Sweeper(Labeller):
    name = "sweeper"
    tick_s = 60.0
    ticks = 0

    async def tick(self) -> None:
        self.ticks += 1
        if self.ticks == 2:
            raise RuntimeError("dust")


@asynccontextmanager
async def running(api: FakeApi, controller: Labeller) -> AsyncIterator[None]:
    transport = AsgiTransport(api)
    client, clock, rng = Client(transport, user_agent="test"), LoopClock(), random.Random(0)
    informers = Informers(client, rng=rng)
    informers.of(NODES)
    events = EventRecorder(client, component="test", clock=clock, rng=rng)
    tasks = [
        asyncio.create_task(informers.run()),
        asyncio.create_task(run_controller(controller, client=client, informers=informers, clock=clock, rng=rng, events=events)),
    ]
    await asyncio.sleep(1)
    yield
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert all(task.cancelled() for task in tasks)
    await transport.close()


def pod(name: str) -> Object:
    return {"metadata": {"name": name, "namespace": "default"}}


PATH = "/api/v1/namespaces/default/pods/"


@virtual
async def test_what_there_is_and_what_changes_is_reconciled_by_key() -> None:
    api, controller = FakeApi(random.Random(0)), Labeller()
    api.put(f"{PATH}a", pod("a"))
    async with running(api, controller):
        assert [key for _, key in controller.keys] == ["default/a"]
        api.put(f"{PATH}b", pod("b"))
        api.remove(f"{PATH}a")
        await asyncio.sleep(1)
        assert [key for _, key in controller.keys[1:]] == ["default/b", "default/a"]


@virtual
async def test_it_is_called_again_when_it_asked_for_that() -> None:
    api, controller = FakeApi(random.Random(0)), Labeller()
    controller.answers = [30.0]
    api.put(f"{PATH}a", pod("a"))
    async with running(api, controller):
        await asyncio.sleep(1000)
        assert [round(at) for at, _ in controller.keys] == [0, 30]


@virtual
async def test_failures_are_tried_again_and_only_some_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    api, controller = FakeApi(random.Random(0)), Labeller()
    controller.answers = [Conflict("look again"), Forbidden("you may not"), ValueError("a mistake"), None]
    before = metrics.RECONCILE_ERRORS.labels("labeller").value
    api.put(f"{PATH}a", pod("a"))
    async with running(api, controller):
        await asyncio.sleep(1000)
        assert len(controller.keys) == 4
        assert metrics.RECONCILE_ERRORS.labels("labeller").value - before == 3
        assert "look again" not in caplog.text
        assert [(record.getMessage(), bool(record.exc_info)) for record in caplog.records] == [
            ("reconciling 'default/a' failed: you may not", False),
            ("reconciling 'default/a' failed: a mistake", True),
        ]


@virtual
async def test_sweeps_come_every_so_often_even_after_one_that_failed(caplog: pytest.LogCaptureFixture) -> None:
    controller = Sweeper()
    async with running(FakeApi(random.Random(0)), controller):
        await asyncio.sleep(301)
        assert controller.ticks == 5
        assert "dust" in caplog.text


class Stubborn(Labeller):
    """Tidies up when it is told to end, and fails at that."""

    async def reconcile(self, key: str) -> float | None:
        try:
            await asyncio.sleep(1000)
        finally:
            raise ConnectionFailed("no route to host")


@virtual
async def test_an_error_on_the_way_out_does_not_keep_it_from_ending() -> None:
    api, controller = FakeApi(random.Random(0)), Stubborn()
    api.put("/api/v1/namespaces/ns/pods/a", {"metadata": {"name": "a", "namespace": "ns"}})
    async with asyncio.timeout(100), running(api, controller):
        pass
