"""Creating and deleting pods: slow start, events, and what happens when answers get lost."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from controllers.manager.own_writes import OwnWrites
from controllers.manager.pod_control import PodControl, is_namespace_terminating
from kube.client.transport import ConnectionFailed
from kube.errors import Conflict, Forbidden, NotFound
from kube.labels import Selector
from kube.objects import Object, name_of
from kube.runtime.controller import Run

OWNER: Object = {"kind": "ReplicaSet", "metadata": {"name": "web", "namespace": "ns", "uid": "rs"}}


class FakeClient:
    """Answers every request, except where `failures` has an error for that (verb, name)."""

    def __init__(self) -> None:
        self.failures: dict[tuple[str, str], Exception] = {}
        self.requests: list[tuple[str, str]] = []
        self.listed: list[Object] = []

    async def _answer(self, verb: str, name: str) -> Object:
        self.requests.append((verb, name))
        if (verb, name) in self.failures:
            raise self.failures[verb, name]
        return {"kind": "Pod", "metadata": {"name": name, "namespace": "ns", "uid": name}}

    async def create(self, resource: Any, obj: Object) -> Object:
        return await self._answer("create", name_of(obj))

    async def delete(self, resource: Any, name: str, **rest: Any) -> Object:
        return await self._answer("delete", name)

    async def patch(self, resource: Any, name: str, body: Any, **rest: Any) -> Object:
        return await self._answer("patch", name)

    async def list(self, resource: Any, **rest: Any) -> Object:
        self.requests.append(("list", rest["label_selector"]))
        return {"items": self.listed}


class Fakes:
    """A PodControl on fakes."""

    def __init__(self) -> None:
        self.client = FakeClient()
        self.events: list[tuple[str, str]] = []
        self.noted: list[str] = []
        informer = SimpleNamespace(add_handler=lambda each: None, get=lambda key: None, put=lambda obj: self.noted.append(name_of(obj)))
        events = SimpleNamespace(record=lambda obj, kind, reason, message: self.events.append((reason, message)))
        run = SimpleNamespace(client=self.client, events=events)
        self.control = PodControl(cast(Run, run), OwnWrites(cast(Any, informer)))


def pods(count: int) -> list[Object]:
    return [{"metadata": {"name": f"p{each}", "namespace": "ns", "uid": f"p{each}"}} for each in range(count)]


async def test_every_pod_is_created_noted_and_told() -> None:
    fakes = Fakes()
    assert len(await fakes.control.create(OWNER, pods(3))) == 3
    assert sorted(fakes.noted) == ["p0", "p1", "p2"]
    assert ("SuccessfulCreate", "Created pod: p1") in fakes.events


async def test_creation_stops_at_the_first_batch_with_a_failure_and_forgets_nothing() -> None:
    fakes = Fakes()
    fakes.client.failures["create", "p1"] = Forbidden("exceeded quota")
    with pytest.raises(Forbidden):
        await fakes.control.create(OWNER, pods(100))
    assert [name for _, name in fakes.client.requests] == ["p0", "p1", "p2"]  # a batch of one, then a batch of two
    assert fakes.noted == ["p0", "p2"]
    assert ("FailedCreate", "Error creating: exceeded quota") in fakes.events


async def test_a_namespace_going_away_is_not_worth_an_event() -> None:
    fakes = Fakes()
    gone = Forbidden("no", details={"causes": [{"reason": "NamespaceTerminating"}]})
    fakes.client.failures["create", "p0"] = gone
    with pytest.raises(Forbidden):
        await fakes.control.create(OWNER, pods(1))
    assert is_namespace_terminating(gone)
    assert fakes.events == []


@pytest.mark.parametrize(
    "error",
    [pytest.param(NotFound("gone"), id="a pod that is gone is fine"), pytest.param(Conflict("uid"), id="so is another one of its name")],
)
async def test_deleting_what_is_not_there_is_fine(error: Exception) -> None:
    fakes = Fakes()
    fakes.client.failures["delete", "p0"] = error
    await fakes.control.delete(OWNER, pods(2))
    assert fakes.events == [("SuccessfulDelete", "Deleted pod: p1")]


async def test_all_deletions_are_tried_before_the_first_failure_is_raised() -> None:
    fakes = Fakes()
    fakes.client.failures["delete", "p0"] = Forbidden("webhook")
    with pytest.raises(Forbidden):
        await fakes.control.delete(OWNER, pods(3))
    assert len(fakes.client.requests) == 3
    assert ("FailedDelete", "Error deleting: webhook") in fakes.events


async def test_patching_what_is_gone_is_fine() -> None:
    fakes = Fakes()
    fakes.client.failures["patch", "p0"] = NotFound("gone")
    await fakes.control.patch_all(pods(2), {})
    assert fakes.noted == ["p1"]


async def test_when_an_answer_got_lost_the_server_is_asked_what_there_is() -> None:
    fakes = Fakes()
    await fakes.control.settle(OWNER, Selector())
    assert fakes.client.requests == []
    fakes.client.failures["create", "p0"] = ConnectionFailed("lost")
    with pytest.raises(ConnectionFailed):
        await fakes.control.create(OWNER, pods(1))
    fakes.client.listed = pods(1)
    await fakes.control.settle(OWNER, Selector())
    assert fakes.noted == ["p0"]
    await fakes.control.settle(OWNER, Selector())
    assert [verb for verb, _ in fakes.client.requests] == ["create", "list"]


async def test_after_a_deletion_whose_answer_was_lost_the_server_is_asked_what_there_is() -> None:
    fakes = Fakes()
    fakes.client.failures["delete", "p0"] = ConnectionFailed("the answer was lost")
    with pytest.raises(ConnectionFailed):
        await fakes.control.delete(OWNER, pods(1))
    fakes.client.listed = [{**pods(1)[0], "metadata": {**pods(1)[0]["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}}]
    for _ in range(2):
        await fakes.control.settle(OWNER, Selector(()))
    assert [verb for verb, _ in fakes.client.requests] == ["delete", "list"]
    assert fakes.noted == ["p0"]
