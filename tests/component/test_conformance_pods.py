"""Upstream's conformance tests of the life of pods: phases, restarts, probes, hooks, init containers, deletion. On simulated pods."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest

from kube.objects import Object, is_condition_true
from tests.component.conformance import ALL, NAMESPACE, condition, names, pod, script, world
from tests.component.served import MERGE, STRATEGIC
from tests.virtual import virtual

PODS = f"{NAMESPACE}/pods"
FOREVER = "sleep 999999"


def container(found: Object, name: str = "c") -> Object:
    """The status of a container."""
    statuses = (*found["status"].get("containerStatuses", ()), *found["status"].get("initContainerStatuses", ()))
    return next((each for each in statuses if each["name"] == name), {"restartCount": 0, "state": {}, "ready": False})


def restarted(times: int) -> Any:
    return lambda found: container(found)["restartCount"] >= times


@virtual
async def test_a_pod_comes_runs_and_goes_while_it_is_watched() -> None:
    async with world(nodes=1) as api:
        start = (await api.ok("GET", PODS))["metadata"]["resourceVersion"]
        await api.ok("POST", PODS, pod("p", labels={"time": "1"}))
        found = await api.ready("p")
        assert names(await api.items(f"{PODS}?labelSelector=time%3D1")) == ["p"]
        assert (found["status"]["phase"], found["status"]["hostIP"]) == ("Running", found["status"]["hostIPs"][0]["ip"])
        await api.ok("PATCH", f"{PODS}/p", {"metadata": {"labels": {"time": "2"}}}, content_type=MERGE)
        assert names(await api.items(f"{PODS}?labelSelector=time%3D2")) == ["p"]
        deleted = await api.ok("DELETE", f"{PODS}/p?gracePeriodSeconds=30")
        assert deleted["metadata"]["deletionTimestamp"]
        await api.gone(f"{PODS}/p")
        events = await api.events(f"{PODS}?watch=1&resourceVersion={start}", ALL)
        assert (events[0]["type"], events[-1]["type"]) == ("ADDED", "DELETED")
        assert events[-1]["object"]["metadata"]["deletionTimestamp"]
        assert [each for each in events if each["object"]["status"]["phase"] == "Running"]
        assert await api.items(f"{PODS}?labelSelector=time") == []


@virtual
async def test_pods_are_deleted_by_their_label() -> None:
    async with world(nodes=1) as api:
        for each in range(3):
            await api.ok("POST", PODS, pod(f"p{each}", labels={"type": "many"}, terminationGracePeriodSeconds=1))
            await api.ready(f"p{each}")
        await api.ok("DELETE", f"{PODS}?labelSelector=type%3Dmany")
        await api.items(f"{PODS}?labelSelector=type%3Dmany", lambda found: not found)


@virtual
async def test_a_deadline_that_is_set_later_ends_the_pod() -> None:
    async with world(nodes=1) as api:
        await api.ok("POST", PODS, pod("p"))
        await api.ready("p")
        await api.ok("PATCH", f"{PODS}/p", {"spec": {"activeDeadlineSeconds": 5}}, content_type=MERGE)
        found = await api.where(f"{PODS}/p", lambda found: found["status"]["phase"] == "Failed", within_s=20)
        assert found["status"]["reason"] == "DeadlineExceeded"


@virtual
async def test_a_pods_status_is_patched_and_replaced() -> None:
    async with world(nodes=1) as api:
        await api.ok("POST", PODS, pod("p", labels={"e2e": "1"}))
        await api.ready("p")
        fake = {"type": "example.com/fake", "status": "True", "message": "Set from a test"}
        await api.ok("PATCH", f"{PODS}/p/status", {"status": {"conditions": [fake]}}, content_type=STRATEGIC)
        change = {"metadata": {"labels": {"e2e": "2"}}, "spec": {"containers": [{"name": "c", "image": "pause:4"}]}}
        await api.ok("PATCH", f"{PODS}/p", change, content_type=STRATEGIC)
        while True:
            current = await api.ok("GET", f"{PODS}/p")
            assert (current["spec"]["containers"][0]["image"], condition(current, "example.com/fake")[0]) == ("pause:4", "True")
            for each in current["status"]["conditions"]:
                each["status"] = "False" if each["type"] == "example.com/fake" else each["status"]
            if (await api.call("PUT", f"{PODS}/p/status", current)).status == 200:
                break
        await asyncio.sleep(60)
        read = await api.ok("GET", f"{PODS}/p/status")
        assert condition(read, "example.com/fake")[0] == "False", "the kubelet leaves the conditions of others alone"


@virtual
async def test_generations_count_changes_of_the_spec() -> None:
    async with world(nodes=1) as api:
        made = await api.ok("POST", PODS, pod("p", tolerations=[{"key": "a", "operator": "Exists"}]))
        assert made["metadata"]["generation"] == 1
        await api.ready("p")

        async def change(body: Object) -> int:
            return int((await api.ok("PATCH", f"{PODS}/p", body, content_type=STRATEGIC))["metadata"]["generation"])

        assert await change({"metadata": {"labels": {"a": "b"}}}) == 1
        assert await change({"spec": {"containers": [{"name": "c", "image": "pause:4"}]}}) == 2
        assert await change({"spec": {"activeDeadlineSeconds": 100_000}}) == 3
        for each in range(497):
            await change({"spec": {"activeDeadlineSeconds": 99_999 - each}})
        found = await api.where(f"{PODS}/p", lambda found: found["status"]["observedGeneration"] == 500)
        assert found["metadata"]["generation"] == 500
        assert all(each["observedGeneration"] == 500 for each in found["status"]["conditions"] if each["type"] == "Ready")


@virtual
async def test_a_graceful_delete_is_a_new_generation() -> None:
    async with world(nodes=1) as api:
        await api.ok("POST", PODS, {**pod("p"), "metadata": {"name": "p", "finalizers": ["example.com/held"]}})
        await api.ready("p")
        deleted = await api.ok("DELETE", f"{PODS}/p")
        assert deleted["metadata"]["generation"] == 2
        await api.where(f"{PODS}/p", lambda found: found["status"]["observedGeneration"] >= 2)
        await api.ok("PATCH", f"{PODS}/p", {"metadata": {"finalizers": None}}, content_type=MERGE)
        await api.gone(f"{PODS}/p")


@virtual
async def test_the_quality_of_service_follows_from_requests_and_limits() -> None:
    async with world(nodes=1) as api:
        amounts = {"cpu": "100m", "memory": "100Mi"}
        kinds: dict[str, Object] = {
            "Guaranteed": {"requests": amounts, "limits": amounts},
            "Burstable": {"requests": amounts},
            "BestEffort": {},
        }
        for kind, resources in kinds.items():
            made = await api.ok("POST", PODS, pod(kind.lower(), {"name": "c", "image": "c", "resources": resources}))
            assert made["status"]["qosClass"] == kind


# --- ends and restarts -----------------------------------------------------------------------------------------------------------


@virtual
async def test_containers_are_restarted_as_the_policy_says() -> None:
    async with world(nodes=1) as api:
        for policy, code in (("Always", 0), ("OnFailure", 1), ("OnFailure", 0), ("Never", 1)):
            await api.ok("POST", PODS, pod(f"{policy.lower()}-{code}", script(f"exit {code}"), restartPolicy=policy))
        for name in ("always-0", "onfailure-1"):
            found = await api.where(f"{PODS}/{name}", restarted(2))
            assert (found["status"]["phase"], container(found)["lastState"]["terminated"]["exitCode"]) == ("Running", int(name[-1]))
        for name, phase in (("onfailure-0", "Succeeded"), ("never-1", "Failed")):
            found = await api.ended(name)
            assert (found["status"]["phase"], container(found)["restartCount"]) == (phase, 0)
            assert container(found)["state"]["terminated"]["exitCode"] == int(name[-1])


@virtual
async def test_what_always_fails_says_why_and_can_be_deleted() -> None:
    async with world(nodes=1) as api:
        await api.ok("POST", PODS, pod("p", script("false"), restartPolicy="Never"))
        state = container(await api.ended("p"))["state"]["terminated"]
        assert (state["reason"], state["exitCode"]) == ("Error", 1)
        await api.ok("DELETE", f"{PODS}/p")
        await api.gone(f"{PODS}/p")


@virtual
async def test_what_a_container_prints_is_its_log() -> None:
    async with world(nodes=1) as api:
        await api.ok("POST", PODS, pod("p", script("echo Hello World; echo to stderr >&2"), restartPolicy="Never"))
        await api.ended("p")
        assert await api.log("p") == "Hello World\nto stderr\n"


@pytest.mark.parametrize(
    ("text", "rest", "message"),
    [
        pytest.param("echo DONE > /dev/termination-log", {}, "DONE", id="of a file"),
        pytest.param("printf OK > /custom", {"terminationMessagePath": "/custom"}, "OK", id="of a file at another place"),
        pytest.param("echo DONE; exit 1", {"terminationMessagePolicy": "FallbackToLogsOnError"}, "DONE\n", id="of the log of a failure"),
        pytest.param("echo DONE", {"terminationMessagePolicy": "FallbackToLogsOnError"}, None, id="none of the log of a success"),
        pytest.param(
            "printf OK > /dev/termination-log; echo no",
            {"terminationMessagePolicy": "FallbackToLogsOnError"},
            "OK",
            id="of a file before the log",
        ),
    ],
)
@virtual
async def test_the_termination_message(text: str, rest: Object, message: str | None) -> None:
    async with world(nodes=1) as api:
        await api.ok("POST", PODS, pod("p", script(text, **rest), restartPolicy="Never"))
        found = container(await api.ended("p"))["state"]["terminated"].get("message")
        assert (found or "").strip() == (message or "").strip()


# --- init and ephemeral containers -------------------------------------------------------------------------------------------------


def with_init(name: str, policy: str, *texts: str, then: str = "true") -> Object:
    inits = [{"name": f"init{each}", "image": "busybox:1", "command": ["sh", "-c", text]} for each, text in enumerate(texts, 1)]
    return pod(name, script(then), initContainers=inits, restartPolicy=policy)


@virtual
async def test_init_containers_run_to_their_end_first() -> None:
    async with world(nodes=1) as api:
        await api.ok("POST", PODS, with_init("never", "Never", "true", "true"))
        await api.ok("POST", PODS, with_init("always", "Always", "true", "true", then=FOREVER))
        for found in (await api.ended("never"), await api.ready("always")):
            assert condition(found, "Initialized")[0] == "True"
            ends = [each["state"]["terminated"] for each in found["status"]["initContainerStatuses"]]
            assert [(each["reason"], each["exitCode"]) for each in ends] == [("Completed", 0)] * 2
            assert all(each["ready"] for each in found["status"]["initContainerStatuses"])
        assert (await api.ok("GET", f"{PODS}/never"))["status"]["phase"] == "Succeeded"


@virtual
async def test_without_its_init_containers_a_pod_does_not_start() -> None:
    async with world(nodes=1) as api:
        await api.ok("POST", PODS, with_init("never", "Never", "true", "false"))
        failed = await api.ended("never")
        assert (failed["status"]["phase"], condition(failed, "Initialized")) == ("Failed", ("False", "ContainersNotInitialized"))
        assert "waiting" in container(failed)["state"], "it never got its turn"
        assert container(failed)["restartCount"] == 0
        await api.ok("POST", PODS, with_init("always", "Always", "false", "true"))
        found = await api.where(f"{PODS}/always", lambda found: container(found, "init1")["restartCount"] >= 3)
        assert (found["status"]["phase"], condition(found, "Initialized")) == ("Pending", ("False", "ContainersNotInitialized"))
        for name in ("init2", "c"):
            assert container(found, name)["state"]["waiting"]["reason"] == "PodInitializing"


@virtual
async def test_ephemeral_containers_are_added_to_a_running_pod() -> None:
    async with world(nodes=1) as api:
        await api.ok("POST", PODS, pod("p"))
        await api.ready("p")
        debuggers = [{"name": f"debugger{each}", "image": "busybox:1", "command": ["sh", "-c", "echo polo; sleep 9999"]} for each in (1, 2)]
        for count in (1, 2):
            change = {"spec": {"ephemeralContainers": debuggers[:count]}}
            await api.ok("PATCH", f"{PODS}/p/ephemeralcontainers", change, content_type=STRATEGIC)
            await api.where(f"{PODS}/p", partial(has_debuggers, count))
            assert "polo" in await api.log("p", f"debugger{count}")
        assert len((await api.ok("GET", f"{PODS}/p"))["spec"]["ephemeralContainers"]) == 2


def has_debuggers(count: int, found: Object) -> bool:
    return len([each for each in found["status"].get("ephemeralContainerStatuses", []) if "running" in each["state"]]) == count


# --- probes and hooks ---------------------------------------------------------------------------------------------------------------


def probed(kind: str, command: list[str], **rest: Any) -> Object:
    return {f"{kind}Probe": {"exec": {"command": command}, "periodSeconds": 5, "failureThreshold": 1, **rest}}


@virtual
async def test_a_liveness_probe_restarts_what_has_become_ill() -> None:
    async with world(nodes=1) as api:
        ill = "echo ok > /tmp/health; sleep 10; rm -f /tmp/health; sleep 600"
        await api.ok("POST", PODS, pod("ill", script(ill, **probed("liveness", ["cat", "/tmp/health"], initialDelaySeconds=5))))
        well = script(f"echo ok > /tmp/health; {FOREVER}", **probed("liveness", ["cat", "/tmp/health"], initialDelaySeconds=5))
        await api.ok("POST", PODS, pod("well", well))
        await api.where(f"{PODS}/ill", restarted(1), within_s=120)
        await asyncio.sleep(240)
        assert container(await api.ok("GET", f"{PODS}/well"))["restartCount"] == 0


@virtual
async def test_a_pod_is_ready_when_its_readiness_probe_says_so() -> None:
    async with world(nodes=1) as api:
        await api.ok("POST", PODS, pod("late", script(FOREVER, **probed("readiness", ["true"], initialDelaySeconds=30))))
        await api.ok("POST", PODS, pod("never", script(FOREVER, **probed("readiness", ["/bin/false"], initialDelaySeconds=5))))
        await api.where(f"{PODS}/late", lambda found: "running" in container(found)["state"])
        await asyncio.sleep(25)
        assert not is_condition_true(await api.ok("GET", f"{PODS}/late"), "Ready")
        await asyncio.sleep(10)
        late = await api.ok("GET", f"{PODS}/late")
        assert (is_condition_true(late, "Ready"), container(late)["restartCount"]) == (True, 0)
        await asyncio.sleep(60)
        never = await api.ok("GET", f"{PODS}/never")
        assert (is_condition_true(never, "Ready"), container(never)["ready"], container(never)["restartCount"]) == (False, False, 0)


@virtual
async def test_hooks_run_after_the_start_and_before_the_end() -> None:
    async with world(nodes=1) as api:
        hooks = {
            "postStart": {"exec": {"command": ["sh", "-c", "echo started > /tmp/hook"]}},
            "preStop": {"exec": {"command": ["sh", "-c", "echo stopping > /tmp/hook; sleep 5"]}},
        }
        await api.ok("POST", PODS, pod("p", script("while true; do cat /tmp/hook; sleep 1; done", lifecycle=hooks)))
        await api.ready("p")
        await asyncio.sleep(2)
        assert "started\n" in await api.log("p")
        await api.ok("DELETE", f"{PODS}/p")
        await asyncio.sleep(3)
        assert (await api.log("p")).endswith("stopping\n"), "the container still runs while its hook does"
        await api.gone(f"{PODS}/p")
