"""A container whose restart rule says RestartAllContainers has the whole pod begin again in its place (KEP-5532)."""

from __future__ import annotations

from typing import Any

from kube.objects import Object, condition_of
from tests.component.conformance import NAMESPACE, World, condition, pod, script, world
from tests.virtual import virtual

PODS = f"{NAMESPACE}/pods"
RULES = [{"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [42]}}]
MOUNT = {"volumeMounts": [{"name": "work", "mountPath": "/mnt"}]}
VOLUMES = [{"name": "work", "emptyDir": {}}]
ONCE = "if [ -f /mnt/done ]; then sleep 10000; else touch /mnt/done; sleep 5; exit 42; fi"
"""Ends with 42 the first time, and not again."""


def source(text: str = ONCE, **rest: Any) -> Object:
    return script(text, name="source", restartPolicy="Never", restartPolicyRules=RULES, **MOUNT, **rest)


def restarts(found: Object) -> dict[str, int]:
    statuses = (*(found["status"].get("initContainerStatuses") or ()), *(found["status"].get("containerStatuses") or ()))
    return {each["name"]: each["restartCount"] for each in statuses}


async def restarted(api: World, name: str, times: int = 1) -> Object:
    """The pod, once all its containers have been restarted so often and it runs."""
    path = f"{PODS}/{name}"
    await api.where(path, lambda found: set(restarts(found).values()) == {times})
    return await api.ready(name)


@virtual
async def test_the_end_of_a_container_restarts_all() -> None:
    async with world(nodes=1) as api:
        inits = [script("exit 0", name="init"), script("sleep 10000", name="sidecar", restartPolicy="Always")]
        containers = [source(), script("sleep 10000", name="regular")]
        await api.ok("POST", PODS, pod("p", *containers, initContainers=inits, restartPolicy="Never", volumes=VOLUMES))
        before = await api.ready("p")
        assert condition(before, "AllContainersRestarting") == ("False", "")
        during = await api.where(f"{PODS}/p", lambda found: condition(found, "AllContainersRestarting")[0] == "True", poll_s=0.0001)
        told = condition_of(during, "AllContainersRestarting") or {}
        assert (told["reason"], told["message"]) == ("RestartAllContainersStarted", "container exited with restart policy rule")
        assert during["status"]["phase"] == "Running"
        found = await restarted(api, "p")
        assert found["status"]["phase"] == "Running"
        assert (condition(found, "AllContainersRestarting"), condition(found, "Initialized")) == (("False", ""), ("True", ""))
        assert found["status"]["podIP"] == before["status"]["podIP"], "the pod stays where it is"
        for status in (*found["status"]["initContainerStatuses"], *found["status"]["containerStatuses"]):
            last = status["lastState"]["terminated"]
            assert (last["reason"], last["exitCode"]) == ("RestartingAllContainers", 137), status["name"]


@virtual
async def test_the_end_of_a_sidecar_or_init_container_restarts_all() -> None:
    async with world(nodes=1) as api:
        sidecar = {**source(), "restartPolicy": "Always"}
        init = source("if [ -f /mnt/done ]; then exit 0; else touch /mnt/done; exit 42; fi")
        for name, each in (("by-sidecar", sidecar), ("by-init", init)):
            first = script("exit 0", name="first")
            spec: dict[str, Any] = {"initContainers": [first, each], "restartPolicy": "Never", "volumes": VOLUMES}
            await api.ok("POST", PODS, pod(name, script("sleep 10000", name="regular"), **spec))
        await restarted(api, "by-sidecar")
        found = await api.ready("by-init")
        assert restarts(found) == {"first": 1, "source": 1, "regular": 0}, "its turn had not come"


@virtual
async def test_other_ends_restart_nothing_but_what_they_did() -> None:
    async with world(nodes=1) as api:
        await api.ok("POST", PODS, pod("p", source("exit 1"), script("sleep 20", name="regular"), restartPolicy="Never", volumes=VOLUMES))
        found = await api.ended("p")
        assert (found["status"]["phase"], restarts(found)) == ("Failed", {"source": 0, "regular": 0})
        assert condition(found, "AllContainersRestarting") == ("False", "PodFailed")


@virtual
async def test_it_can_come_again_and_again_without_back_off() -> None:
    async with world(nodes=1) as api:
        await api.ok("POST", PODS, pod("p", source("sleep 1; exit 42"), script("sleep 10000", name="regular"), volumes=VOLUMES))
        found = await api.where(f"{PODS}/p", lambda found: min(restarts(found).values(), default=0) >= 10, within_s=40)
        assert "CrashLoopBackOff" not in str(found["status"])
        await api.ok("DELETE", f"{PODS}/p?gracePeriodSeconds=1")
        await api.gone(f"{PODS}/p")


@virtual
async def test_what_crashes_later_tells_of_that_crash() -> None:
    async with world(nodes=1) as api:
        third = "elif [ -f /mnt/once ]; then touch /mnt/twice; exit 3; else touch /mnt/once; sleep 10000; fi"
        text = f"if [ -f /mnt/twice ]; then sleep 10000; {third}"
        crashing = script(text, name="crashing", restartPolicy="OnFailure", **MOUNT)
        await api.ok("POST", PODS, pod("p", source(), crashing, restartPolicy="Never", volumes=VOLUMES))
        found = await api.where(f"{PODS}/p", lambda found: restarts(found).get("crashing") == 2)
        (status,) = (each for each in found["status"]["containerStatuses"] if each["name"] == "crashing")
        assert status["lastState"]["terminated"]["exitCode"] == 3
