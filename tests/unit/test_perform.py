"""Carrying out plans: order, slow start, what is fine and what is raised."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from kube.client.client import Client, PatchKind
from kube.client.transport import AsgiTransport
from kube.errors import AlreadyExists, Conflict, Forbidden, NotFound
from kube.objects import Object
from kube.resources import PODS
from kube.runtime.perform import Action, Create, Delete, Patch, Record, Update, perform
from tests.fake_api import FakeApi
from tests.virtual import virtual

OWNER: Object = {"kind": "ReplicaSet", "apiVersion": "apps/v1", "metadata": {"name": "web", "namespace": "default"}}


def pod(name: str, **metadata: str) -> Object:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default", **metadata}}


def path(name: str) -> str:
    return f"/api/v1/namespaces/default/pods/{name}"


class Told:
    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []

    def record(self, obj: Object, type: str, reason: str, message: str) -> None:
        self.events.append((reason, message))


class Gate:
    """In front of the fake: takes a second for each request and counts those under way; refuses the names it is told to, sooner."""

    def __init__(self, api: FakeApi) -> None:
        self.api, self.under_way, self.waves = api, 0, [0]
        self.refused: dict[str, Object] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.under_way += 1
        self.waves[-1] = max(self.waves[-1], self.under_way)
        message = await receive()
        await asyncio.sleep(0.1 if any(name.encode() in message["body"] for name in self.refused) else 1)
        self.under_way -= 1
        if self.under_way == 0:
            self.waves.append(0)
        for name, status in self.refused.items():
            if name.encode() in message["body"]:
                await send({"type": "http.response.start", "status": status["code"], "headers": []})
                await send({"type": "http.response.body", "body": str(status).replace("'", '"').encode()})
                return

        async def again() -> Any:
            return message

        await self.api(scope, again, send)


@asynccontextmanager
async def world() -> AsyncIterator[tuple[FakeApi, Gate, Told, Any]]:
    api = FakeApi(random.Random(0))
    gate, told = Gate(api), Told()
    transport = AsgiTransport(gate)
    client = Client(transport, user_agent="test")

    async def go(*actions: Action) -> list[Object | None]:
        return await perform(actions, client=client, events=told)

    yield api, gate, told, go
    await transport.close()


@virtual
async def test_actions_are_carried_out_in_order_and_answered_in_order() -> None:
    async with world() as (api, _, told, go):
        api.put(path("b"), pod("b"))
        answers = await go(
            Create(PODS, pod("a")),
            Patch(PODS, "default", "a", {"metadata": {"labels": {"x": "1"}}}, PatchKind.MERGE),
            Record(OWNER, "Normal", "Changed", "it changed"),
            Delete(PODS, "default", "b"),
        )
        assert [answer and answer["metadata"]["name"] for answer in answers] == ["a", "a", None, "b"]
        assert [method for method, _ in api.requests] == ["POST", "PATCH", "DELETE"]
        assert told.events == [("Changed", "it changed")]


@virtual
async def test_creates_are_slow_started_and_deletes_go_side_by_side() -> None:
    async with world() as (api, gate, _, go):
        await go(*(Create(PODS, pod(f"web-{number}")) for number in range(20)))
        assert gate.waves[:-1] == [1, 2, 4, 8, 5]
        gate.waves[:] = [0]
        await go(*(Delete(PODS, "default", f"web-{number}") for number in range(20)))
        assert gate.waves[:-1] == [20]
        assert api.objects == {}


@virtual
async def test_never_more_than_the_most_at_once() -> None:
    async with world() as (_, gate, _, go):
        await go(*(Create(PODS, pod(f"web-{number}")) for number in range(300)))
        assert max(gate.waves) == 64


@virtual
async def test_the_batch_that_fails_is_the_last_and_its_error_is_raised() -> None:
    async with world() as (api, gate, told, go):
        gate.refused["web-2"] = {"kind": "Status", "code": 403, "reason": "Forbidden", "message": "exceeded quota"}
        failed = Record(OWNER, "Warning", "FailedCreate", "Error creating: {error}")
        done = Record(OWNER, "Normal", "SuccessfulCreate", "Created pod: {name}")
        with pytest.raises(Forbidden):
            await go(*(Create(PODS, pod(f"web-{number}"), done, failed) for number in range(20)))
        assert sorted(each["metadata"]["name"] for each in api.objects.values()) == ["web-0", "web-1"]
        assert told.events == [
            ("SuccessfulCreate", "Created pod: web-0"),
            ("FailedCreate", "Error creating: exceeded quota"),
            ("SuccessfulCreate", "Created pod: web-1"),
        ]


@virtual
async def test_what_was_begun_with_a_failure_has_ended_when_it_is_raised() -> None:
    async with world() as (api, gate, _, go):
        gate.refused["web-1"] = {"kind": "Status", "code": 403, "reason": "Forbidden", "message": "no"}
        with pytest.raises(Forbidden):
            await go(*(Create(PODS, pod(f"web-{number}")) for number in range(3)))
        assert gate.under_way == 0
        assert sorted(each["metadata"]["name"] for each in api.objects.values()) == ["web-0", "web-2"]


@virtual
async def test_a_delete_of_what_is_gone_is_fine_and_not_told() -> None:
    async with world() as (api, _, told, go):
        api.put(path("b"), pod("b"))
        done = Record(OWNER, "Normal", "SuccessfulDelete", "Deleted pod: {name}")
        answers = await go(Delete(PODS, "default", "a", done=done), Delete(PODS, "default", "b", done=done))
        assert answers[0] is None
        assert told.events == [("SuccessfulDelete", "Deleted pod: b")]


@virtual
async def test_a_create_in_a_namespace_that_is_going_away_is_let_be() -> None:
    async with world() as (_, gate, told, go):
        causes = [{"reason": "NamespaceTerminating", "message": "x"}]
        gate.refused["web"] = {"kind": "Status", "code": 403, "reason": "Forbidden", "message": "no", "details": {"causes": causes}}
        assert await go(Create(PODS, pod("web"), failed=Record(OWNER, "Warning", "FailedCreate", "x"))) == [None]
        assert told.events == []


@virtual
async def test_conflicts_and_names_that_are_taken_are_raised() -> None:
    async with world() as (api, _, _, go):
        api.put(path("a"), pod("a"))
        with pytest.raises(AlreadyExists):
            await go(Create(PODS, pod("a")))
        with pytest.raises(Conflict):
            await go(Update(PODS, pod("a", resourceVersion="1")))
        with pytest.raises(NotFound):
            await go(Patch(PODS, "default", "none", {}))
        answers = await go(Update(PODS, api.objects[path("a")]))
        assert answers[0] is not None


@virtual
async def test_nothing_to_do_is_nothing_done() -> None:
    async with world() as (api, _, _, go):
        assert await go() == []
        assert api.requests == []
