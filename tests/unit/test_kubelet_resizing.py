"""Resizes and restarts of all containers as the node agent goes about them: its plan, its restarts, what the runtime refuses."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from kube.clock import LoopClock
from kube.objects import Object, condition_of
from kubelet.observed import RuntimeState
from kubelet.plan import ResetContainer, ResizeContainer, ResizeSandbox, RestartAll, StartContainer, StopContainer, Wait, plan
from kubelet.reporter import patch_of
from kubelet.resizing import message_of
from kubelet.runtime.base import ContainerStatus, CRIError
from kubelet.runtime.simulated import SimulatedRuntime
from tests.unit.kubelet_world import Api, ready, start, until, world
from tests.unit.test_kubelet_plan import NOW, SANDBOX, dead, pod, ran, seen
from tests.virtual import virtual

ONE, TWO = {"requests": {"cpu": "1"}}, {"requests": {"cpu": "2"}}
LIMIT: Object = {"limits": {"cpu": "4"}}
RESTART = [{"resourceName": "cpu", "restartPolicy": "RestartContainer"}]
RULES = [{"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [42]}}]


# --- the plan -------------------------------------------------------------------------------------------------------------


def asking(resources: Object, *, init: list[Object] | None = None, whole: Object | None = None, **container: Any) -> Object:
    rest: dict[str, Any] = {} if whole is None else {"resources": whole}
    found = pod(init=init, **rest)
    found["spec"]["containers"][0] |= {"resources": resources, **container}
    return found


def running(name: str, resources: Object | None) -> ContainerStatus:
    return replace(ran(name), resources=resources)


STOP = StopContainer("web-0", "web", 30.0, "Container web resize requires restart")
INIT: list[Object] = [{"name": "i", "image": "i", "resources": TWO}]
SIDECAR = [{**INIT[0], "restartPolicy": "Always"}]

RESIZES: dict[str, tuple[Object, RuntimeState, list[Any]]] = {
    "what has its size is left alone": (asking(ONE), seen(running("web", ONE)), []),
    "a running container gets its new size": (asking(TWO), seen(running("web", ONE)), [ResizeContainer("web-0", "web", TWO)]),
    "by a restart where its policy says so": (asking(TWO, resizePolicy=RESTART), seen(running("web", ONE)), [STOP]),
    "not while it is being stopped": (asking(TWO), seen(running("web", ONE), stopping={"web-0": NOW + 5}), []),
    "not where the runtime does not know": (asking(TWO), seen(running("web", None)), []),
    "an init container gets it while it runs": (asking(ONE, init=INIT), seen(running("i", ONE)), [ResizeContainer("i-0", "i", TWO)]),
    "not when it is done": (asking(ONE, init=INIT), seen(dead("i"), running("web", ONE)), []),
    "a sidecar gets it": (
        asking(ONE, init=SIDECAR),
        seen(running("i", ONE), running("web", ONE)),
        [ResizeContainer("i-0", "i", TWO)],
    ),
    "a pod gets it as a whole": (
        asking(ONE, whole=TWO),
        seen(running("web", ONE), sandbox=replace(SANDBOX, resources=ONE)),
        [ResizeSandbox("s1", TWO)],
    ),
    "its limits are those of containers without any": (
        asking(ONE, whole=LIMIT),
        seen(running("web", ONE), sandbox=replace(SANDBOX, resources=LIMIT)),
        [ResizeContainer("web-0", "web", {**ONE, **LIMIT})],
    ),
}


def source(*others: str, init: list[Object] | None = None) -> Object:
    found = pod(names=("web", *others), init=init, restartPolicy="Never")
    found["spec"]["containers"][0] |= {"restartPolicy": "Never", "restartPolicyRules": RULES}
    return found


ENDED = dead("web", 42, attempt=1)
KILL_B = StopContainer("b-0", "b", 0.0, "killing")
RESTARTS: dict[str, tuple[Object, RuntimeState, list[Any]]] = {
    "an end that restarts all is heard of within a second": (source(), seen(dead("web", 42, ended=99.5)), [Wait(NOW + 0.5)]),
    "then all are restarted": (source("b"), seen(ENDED, ran("b")), [RestartAll()]),
    "another end restarts nothing": (source("b"), seen(dead("web", 41), ran("b")), []),
    "others are killed without grace, and the one that caused it waits": (
        source("b"),
        seen(ENDED, ran("b"), restarting_all=True),
        [KILL_B],
    ),
    "what is dead is removed, in order": (
        source("b", init=[{"name": "i", "image": "i"}]),
        seen(ENDED, dead("b", 137), dead("i"), restarting_all=True),
        [ResetContainer("b-0", "b", 1), ResetContainer("i-0", "i", 1)],
    ),
    "the one that caused it goes last": (source("b"), seen(ENDED, restarting_all=True), [ResetContainer("web-1", "web", 2)]),
    "with what is left of it from before": (
        source(),
        replace(seen(ENDED, restarting_all=True), previous={"web": dead("web", 1)}),
        [ResetContainer("web-0", "web", 1)],
    ),
    "when nothing is left it is over": (source(), seen(restarting_all=True), [RestartAll(is_over=True)]),
    "and the pod begins again": (source(), seen(restarts={"web": 2}), [StartContainer("web", 2)]),
    "a debugging container stays": (
        {**source(), "spec": {**source()["spec"], "ephemeralContainers": [{"name": "debug", "image": "x"}]}},
        seen(ran("debug"), restarting_all=True),
        [RestartAll(is_over=True)],
    ),
    "a pod that is deleted only ends": (
        {**source(), "metadata": {**source()["metadata"], "deletionTimestamp": "2026-01-01T00:02:10Z", "deletionGracePeriodSeconds": 30}},
        seen(ENDED, sandbox=replace(SANDBOX, is_ready=False), restarting_all=True),
        [],
    ),
}
CASES = RESIZES | RESTARTS


@pytest.mark.parametrize(("given", "observed", "expected"), CASES.values(), ids=CASES.keys())
def test_plan(given: Object, observed: RuntimeState, expected: list[Any]) -> None:
    assert plan(given, observed, NOW) == expected


# --- what is told ---------------------------------------------------------------------------------------------------------


def test_events_tell_the_resources_that_are_asked_for() -> None:
    found = asking({"requests": {"memory": "1Gi", "cpu": "1"}, "limits": {"cpu": "2"}}, init=[{"name": "i", "image": "i"}])
    resources = '{"limits":{"cpu":"2"},"requests":{"cpu":"1","memory":"1Gi"}}'
    containers = f'"initContainers":[{{"name":"i","resources":{{}}}}],"containers":[{{"name":"web","resources":{resources}}}]'
    assert message_of("started", found, 2) == f'Pod resize started: {{{containers},"generation":2}}'
    assert message_of("Deferred", found, 2, "no room") == f'Pod resize Deferred: {{{containers},"generation":2,"error":"no room"}}'


def test_a_condition_that_has_passed_is_taken_away() -> None:
    ready_now, pending = {"type": "Ready", "status": "True"}, {"type": "PodResizePending", "status": "True"}
    gone = {"type": "PodResizePending", "$patch": "delete"}
    patch = patch_of({"conditions": [pending, ready_now]}, {"conditions": [ready_now]})
    assert patch == {"conditions": [gone], "$setElementOrder/conditions": [{"type": "Ready"}]}
    assert patch_of({"conditions": [{"type": "example.com/others", "status": "True"}]}, {"conditions": []}) == {}


def test_resources_are_replaced_as_they_are() -> None:
    old, new = {"resources": {"requests": {"cpu": "1", "ephemeral-storage": "1Gi"}}}, {"resources": {"requests": {"cpu": "1"}}}
    assert patch_of(old, new) == {"resources": {"$patch": "replace", "requests": {"cpu": "1"}}}
    assert patch_of({}, new) == new


# --- the agent ------------------------------------------------------------------------------------------------------------


def resize(api: Api, name: str, resources: Object) -> None:
    def change(found: Object) -> None:
        found["metadata"]["generation"] += 1
        found["spec"]["containers"][0]["resources"] = resources

    api.change(name, change)


def has(api: Api, name: str, resources: Object) -> bool:
    return bool(api.status(name)["containerStatuses"][0].get("resources") == resources)


def pending(api: Api, name: str) -> Object | None:
    return condition_of(api.get_pod(name) or {}, "PodResizePending")


SEVEN = {"requests": {"cpu": "7"}}


@virtual
async def test_a_restarted_agent_knows_what_it_has_given() -> None:
    api = Api(LoopClock())
    first = start(api)
    api.pod("small", container={"resources": ONE})
    api.pod("large", container={"resources": {"requests": {"cpu": "6"}}})
    for name in ("small", "large"):
        await ready(api, name)
    resize(api, "small", SEVEN)
    await until(lambda: pending(api, "small"))
    before = api.status("small")
    await first.stop()
    again = start(api, seed=2)
    await asyncio.sleep(200)
    assert api.status("small") == before
    assert [each for each in again.events.seen if each[1].startswith("Resize")] == []
    api.begin_delete("large")
    await until(lambda: has(api, "small", SEVEN))
    assert pending(api, "small") is None
    await again.stop()


@virtual
async def test_a_resize_while_the_agent_was_away_waits_until_it_knows_all_pods() -> None:
    api = Api(LoopClock())
    first = start(api)
    api.pod("a", container={"resources": ONE})
    api.pod("b", container={"resources": {"requests": {"cpu": "6"}}})
    for name in ("a", "b"):
        await ready(api, name)
    await first.stop()
    resize(api, "a", SEVEN)
    again = start(api, seed=2)
    await until(lambda: pending(api, "a"))
    assert has(api, "a", ONE)
    assert api.status("b")["phase"] == "Running"
    await again.stop()


@virtual
async def test_a_restarted_agent_leaves_containers_with_limits_of_the_pod_alone() -> None:
    api = Api(LoopClock())
    first = start(api)
    api.pod(container={"resizePolicy": RESTART}, resources=LIMIT)
    await ready(api)
    before = api.status()
    await first.stop()
    again = start(api, seed=2)
    await asyncio.sleep(100)
    assert api.status() == before
    assert again.events.reasons() == []
    await again.stop()


@virtual
async def test_what_a_runtime_refuses_is_told_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    update, refused = SimulatedRuntime.update_container_resources, ["too busy", "too busy"]

    async def busy(self: SimulatedRuntime, container_id: str, resources: Object) -> None:
        if refused:
            raise CRIError(refused.pop())
        await update(self, container_id, resources)

    monkeypatch.setattr(SimulatedRuntime, "update_container_resources", busy)
    async with world() as w:
        w.api.pod(container={"resources": ONE})
        await ready(w.api)
        resize(w.api, "web", TWO)
        await until(lambda: condition_of(w.api.get_pod() or {}, "PodResizeInProgress"))
        found = condition_of(w.api.get_pod() or {}, "PodResizeInProgress") or {}
        assert (found["reason"], found["message"], found["observedGeneration"]) == ("Error", "too busy", 2)
        (status,) = w.api.status()["containerStatuses"]
        assert (status["resources"], status["allocatedResources"]) == (ONE, TWO["requests"])
        await until(lambda: has(w.api, "web", TWO))
        assert condition_of(w.api.get_pod() or {}, "PodResizeInProgress") is None
        told = [reason for _, reason, *_ in w.events.seen if reason.startswith("Resize")]
        assert told == ["ResizeStarted", "ResizeError", "ResizeCompleted"]


@virtual
async def test_a_restarted_agent_goes_on_restarting_all() -> None:
    api = Api(LoopClock())
    first = start(api)
    container = {"image": "busybox:1", "command": ["sleep", "10000"], "restartPolicy": "Never", "restartPolicyRules": RULES}
    made = api.pod(container=container, restartPolicy="Never")
    made["spec"]["containers"].append({"name": "other", "image": "pause:3"})
    await ready(api)
    await first.stop()

    def interrupt(found: Object) -> None:
        source = found["status"]["containerStatuses"][0]
        ended = {"exitCode": 42, "reason": "Error", "containerID": source["containerID"], "finishedAt": "2026-01-01T00:01:00Z"}
        source["state"] = {"terminated": ended}
        restarting = next(each for each in found["status"]["conditions"] if each["type"] == "AllContainersRestarting")
        restarting["status"] = "True"

    api.change("web", interrupt)
    again = start(api, seed=2)
    await until(lambda: {each["restartCount"] for each in api.status()["containerStatuses"]} == {1})
    await ready(api)
    await again.stop()
    before = api.status()
    assert {each["lastState"]["terminated"]["reason"] for each in before["containerStatuses"]} == {"RestartingAllContainers"}
    last = start(api, seed=3)
    await asyncio.sleep(100)
    assert api.status() == before, "what was removed is told, still"
    await last.stop()
