"""Extenders: what they are asked, what their answers do, and what happens when they have none."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import orjson
import pytest

from controllers.scheduler.config.file import SchedulerConfigError
from controllers.scheduler.config.models import Extender as Told
from controllers.scheduler.config.reading import read
from controllers.scheduler.extender import Extender, extenders_of, resources_ignored
from controllers.scheduler.pod_info import PodInfo
from controllers.scheduler.scheduler import Scheduler
from kube.client.base import Answer, ConnectionFailed, StreamAnswer
from kube.client.transport import HttpTransport
from kube.resources import NODES, PODS
from tests.unit.scheduler_api import scheduling
from tests.unit.scheduler_cluster import make_node, make_pod
from tests.unit.test_scheduler_profiles import configured
from tests.virtual import virtual


class Outside:
    """The other side of an extender's connection. `answers` by verb: what is said, or a function of what was asked."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[tuple[str, Any]] = []
        self.status = 200
        self.timeouts: set[float | None] = set()

    async def request(
        self, method: str, target: str, *, headers: Mapping[str, str], body: bytes | None = None, timeout_s: float | None = 60
    ) -> Answer:
        assert (method, headers["Content-Type"]) == ("POST", "application/json")
        verb, about = target.removeprefix("/"), orjson.loads(body or b"")
        self.asked.append((verb, about))
        self.timeouts.add(timeout_s)
        answer = self.answers.get(verb)
        if answer is None:
            raise ConnectionFailed("nobody there")
        return Answer(self.status, {}, orjson.dumps(answer(about) if callable(answer) else answer))

    def stream(self, method: str, target: str, *, headers: Mapping[str, str]) -> AbstractAsyncContextManager[StreamAnswer]:
        raise NotImplementedError

    async def close(self) -> None:
        pass


def extender(outside: Outside, **told: Any) -> Extender:
    return Extender(read(Told, {"urlPrefix": "http://x/y/", **told}), outside)


def extend(scheduler: Scheduler, *extenders: Extender) -> None:
    scheduler.extenders[:] = extenders


def only(*names: str) -> Callable[[Any], Any]:
    """A filter that lets these nodes pass."""

    def answer(about: Any) -> Any:
        if about["NodeNames"] is not None:
            return {"NodeNames": [each for each in about["NodeNames"] if each in names], "FailedNodes": {}}
        nodes = about["Nodes"]["items"]
        left = [each for each in nodes if each["metadata"]["name"] in names]
        failed = {each["metadata"]["name"]: "too loud" for each in nodes if each not in left}
        return {"nodes": {"items": left}, "failedNodes": failed}

    return answer


@virtual
async def test_a_filter_is_sent_the_nodes_and_lets_some_pass() -> None:
    outside = Outside(filter=only("b"))
    async with scheduling(make_node("a"), make_node("b"), make_node("c", cpu="0")) as (api, scheduler):
        extend(scheduler, extender(outside, filterVerb="filter"))
        api.put(PODS, make_pod("p", cpu="1"))
        await asyncio.sleep(1)
        assert api.pod("p")["spec"]["nodeName"] == "b"
        (verb, about), *_ = outside.asked
        assert verb == "filter"
        assert about["Pod"]["metadata"]["name"] == "p"
        assert sorted(each["metadata"]["name"] for each in about["Nodes"]["items"]) == ["a", "b"], "c has been filtered out before"


@virtual
async def test_who_caches_nodes_is_sent_their_names() -> None:
    outside = Outside(filter=only("a"))
    async with scheduling(make_node("a"), make_node("b")) as (api, scheduler):
        extend(scheduler, extender(outside, filterVerb="filter", nodeCacheCapable=True, httpTimeout="2s"))
        api.put(PODS, make_pod("p"))
        await asyncio.sleep(1)
        assert api.pod("p")["spec"]["nodeName"] == "a"
        assert outside.asked[0][1]["Nodes"] is None
        assert outside.timeouts == {2.0}


@virtual
async def test_what_extenders_say_against_nodes_is_told() -> None:
    outside = Outside(filter=only())
    async with scheduling(make_node("a"), make_node("b"), make_node("c", cpu="0")) as (api, scheduler):
        extend(scheduler, extender(outside, filterVerb="filter"))
        api.put(PODS, make_pod("p", cpu="1"))
        await asyncio.sleep(1)
        assert api.events[0][3].startswith("0/3 nodes are available: 1 Insufficient cpu, 2 too loud.")
        api.put(NODES, make_node("c", labels={"any": "change"}))
        await asyncio.sleep(20)
        assert len(outside.asked) > 1, "any event may change an extender's mind"


@pytest.mark.parametrize(
    ("is_ignorable", "expected"), [pytest.param(True, "a", id="one that is ignorable"), pytest.param(False, "", id="one that is not")]
)
@virtual
async def test_an_extender_that_does_not_answer(is_ignorable: bool, expected: str) -> None:
    async with scheduling(make_node("a")) as (api, scheduler):
        extend(scheduler, extender(Outside(), filterVerb="filter", ignorable=is_ignorable))
        api.put(PODS, make_pod("p"))
        await asyncio.sleep(0.5)
        assert api.pod("p")["spec"].get("nodeName", "") == expected
        if not is_ignorable:
            assert api.events == [("p", "Warning", "FailedScheduling", "extender http://x/y/: nobody there")]


@virtual
async def test_points_are_added_by_weight() -> None:
    first = Outside(rank=[{"Host": "a", "Score": 1}, {"Host": "b", "Score": 10}])
    second = Outside(rank=[{"host": "a", "score": 6}])
    async with scheduling(make_node("a"), make_node("b")) as (api, scheduler):
        extend(scheduler, extender(first, prioritizeVerb="rank", weight=1), extender(second, prioritizeVerb="rank", weight=3))
        api.put(PODS, make_pod("p"))
        await asyncio.sleep(1)
        assert api.pod("p")["spec"]["nodeName"] == "a", "190 to 100 points"
        extend(scheduler, extender(first, prioritizeVerb="rank", weight=2), extender(Outside(), prioritizeVerb="rank", weight=9))
        api.put(PODS, make_pod("q"))
        await asyncio.sleep(1)
        assert api.pod("q")["spec"]["nodeName"] == "b", "who does not answer gives no points"


@virtual
async def test_an_extender_binds_the_pods_that_it_is_interested_in() -> None:
    outside = Outside(bind={})
    async with scheduling(make_node("a", allocatable={"example.com/gpu": "4"})) as (api, scheduler):
        extend(scheduler, extender(outside, bindVerb="bind", managedResources=[{"name": "example.com/gpu"}]))
        api.put(PODS, make_pod("mine", requests={"example.com/gpu": "1"}))
        api.put(PODS, make_pod("other"))
        await asyncio.sleep(0.5)
        assert api.binds == ["other"]
        about = {"PodName": "mine", "PodNamespace": "default", "PodUID": "uid-mine", "Node": "a"}
        assert outside.asked == [("bind", about)]


@virtual
async def test_an_extender_that_cannot_bind_says_why() -> None:
    async with scheduling(make_node("a")) as (api, scheduler):
        extend(scheduler, extender(Outside(bind={"Error": "no such pod"}), bindVerb="bind"))
        api.put(PODS, make_pod("p"))
        await asyncio.sleep(0.5)
        assert api.events == [("p", "Warning", "FailedScheduling", "binding rejected: no such pod")]
        assert not scheduler.snapshot.assumed


@virtual
async def test_an_extender_has_its_say_on_who_is_preempted() -> None:
    def keep_b(about: Any) -> Any:
        return {"NodeNameToMetaVictims": {"b": about["NodeNameToMetaVictims"]["b"]}}

    outside = Outside(preempt=keep_b)
    async with scheduling(make_node("a", cpu="1"), make_node("b", cpu="1")) as (api, scheduler):
        api.put(PODS, make_pod("low-a", node="a", cpu="1", priority=1))
        api.put(PODS, make_pod("low-b", node="b", cpu="1", priority=2))
        await asyncio.sleep(0.1)
        extend(scheduler, extender(outside, preemptVerb="preempt", nodeCacheCapable=True))
        api.put(PODS, make_pod("high", cpu="1", priority=10))
        await asyncio.sleep(1)
        assert sorted(api.objects[PODS]) == ["default/high", "default/low-a"], "without it low-a would have gone"
        victims = outside.asked[0][1]["NodeNameToMetaVictims"]
        assert victims["a"] == {"Pods": [{"UID": "uid-low-a"}], "NumPDBViolations": 0}


@virtual
async def test_a_node_that_is_gone_when_the_extender_answers_is_not_taken() -> None:
    async with scheduling(make_node("a")) as (api, scheduler):

        class Slow(Outside):
            async def request(self, *args: Any, **rest: Any) -> Answer:
                await asyncio.sleep(1)
                return await super().request(*args, **rest)

        extend(scheduler, extender(Slow(filter=only("a")), filterVerb="filter"))
        api.put(PODS, make_pod("p"))
        await asyncio.sleep(0.5)
        api.remove(NODES, "a")
        await asyncio.sleep(1)
        assert api.pod("p")["spec"].get("nodeName", "") == ""
        assert not scheduler.snapshot.assumed
        api.put(NODES, make_node("a"))
        await asyncio.sleep(15)
        assert api.pod("p")["spec"]["nodeName"] == "a"


@pytest.mark.parametrize(
    ("answer", "status", "problem"),
    [
        pytest.param({}, 500, "failed filter with extender at URL http://x/y/filter, code 500", id="an error of HTTP"),
        pytest.param({"error": "I am ill"}, 200, "I am ill", id="an error in the answer"),
        pytest.param([], 200, "extender http://x/y/ has answered filter with no object", id="no object"),
        pytest.param(
            {"Nodes": {"items": [{"metadata": {"name": "z"}}]}},
            200,
            'extender "http://x/y/" claims a filtered node "z" which is not found in the input node list',
            id="a node that it was not asked about",
        ),
    ],
)
@virtual
async def test_answers_that_are_none(answer: Any, status: int, problem: str) -> None:
    outside = Outside(filter=answer)
    outside.status = status
    async with scheduling(make_node("a")) as (api, scheduler):
        extend(scheduler, extender(outside, filterVerb="filter"))
        api.put(PODS, make_pod("p"))
        await asyncio.sleep(0.5)
        assert api.events == [("p", "Warning", "FailedScheduling", problem)]


def test_extenders_are_interested_in_those_who_ask_for_their_resources() -> None:
    mine = extender(Outside(), managedResources=[{"name": "example.com/gpu"}])
    assert not mine.is_interested(PodInfo(make_pod("p", cpu="1")))
    assert mine.is_interested(PodInfo(make_pod("p", container={"resources": {"limits": {"example.com/gpu": "1"}}})))
    assert extender(Outside()).is_interested(PodInfo(make_pod("p")))


def test_resources_that_only_extenders_look_at() -> None:
    managed = [{"name": "example.com/gpu", "ignoredByScheduler": True}, {"name": "example.com/b"}]
    config = configured({}, extenders=[{"urlPrefix": "http://x", "managedResources": managed}])
    assert resources_ignored(config.extenders) == {"example.com/gpu"}


@pytest.mark.parametrize(
    ("told", "mode"),
    [
        pytest.param({}, ssl.CERT_REQUIRED, id="by the system's CAs"),
        pytest.param({"tlsConfig": {"insecure": True}}, ssl.CERT_NONE, id="not where that is insecure"),
        pytest.param({"enableHTTPS": True}, ssl.CERT_NONE, id="nor with enableHTTPS and no CA, as upstream"),
    ],
)
def test_certificates_are_verified_unless_told_otherwise(told: dict[str, Any], mode: ssl.VerifyMode) -> None:
    [extender] = extenders_of(configured({}, extenders=[{"urlPrefix": "https://x", **told}]))
    transport = extender._transport
    assert isinstance(transport, HttpTransport)
    assert transport._ssl is not None
    assert transport._ssl.verify_mode == mode


def test_a_ca_that_cannot_be_read_is_named() -> None:
    with pytest.raises(SchedulerConfigError, match=r"extenders\[0\]\.tlsConfig: .*No such file"):
        extenders_of(configured({}, extenders=[{"urlPrefix": "https://x", "tlsConfig": {"caFile": "/nowhere/ca.crt"}}]))
