"""The whole kubelet against an API in memory, on virtual time: pods from bound to gone, nodes, restarts."""

from __future__ import annotations

import asyncio
import itertools
from functools import partial
from typing import Any

import pytest

from kube.objects import Object, condition_of, is_condition_true
from kube.resources import CONFIG_MAPS, PODS
from kubelet.runtime.base import SandboxConfig
from kubelet.runtime.simulated import SimulatedRuntime
from tests.unit.kubelet_world import ready, until, world
from tests.virtual import virtual

# --- pods ----------------------------------------------------------------------------------------------------


@virtual
async def test_a_pod_becomes_ready_in_two_writes_and_upstreams_events() -> None:
    async with world() as w:
        w.api.pod()
        await ready(w.api)
        patches = w.api.writes("patch", "pods", "web")
        assert len(patches) == 2
        assert patches[0]["metadata"] == {"uid": "uid-web"}
        assert patches[0]["status"]["containerStatuses"][0]["state"] == {"waiting": {"reason": "ContainerCreating"}}
        status = w.api.status()
        assert (status["phase"], status["podIP"], status["hostIP"]) == ("Running", "10.244.0.2", "127.0.0.1")
        assert [(each[1], each[3]) for each in w.events.seen if each[3]] == [
            ("Pulling", "spec.containers{c}"),
            ("Pulled", "spec.containers{c}"),
            ("Created", "spec.containers{c}"),
            ("Started", "spec.containers{c}"),
        ]
        texts = [each[2] for each in w.events.seen if each[3]]
        assert texts[0] == 'Pulling image "nginx:1.27"'
        assert texts[1].startswith('Successfully pulled image "nginx:1.27" in ')
        assert texts[1].endswith(" bytes.")
        await asyncio.sleep(600)
        assert len(w.api.writes("patch", "pods", "web")) == 2


@virtual
async def test_a_deleted_pod_is_stopped_described_and_deleted_for_good() -> None:
    async with world() as w:
        w.api.pod()
        await ready(w.api)
        w.api.begin_delete("web")
        await until(lambda: w.api.get_pod() is None)
        assert w.api.writes("delete", "pods", "web") == [{"grace": 0, "uid": "uid-web"}]
        last = w.api.writes("patch", "pods", "web")[-1]["status"]
        assert last["phase"] == "Succeeded"
        assert last["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 0
        assert ("Normal", "Killing", "Stopping container c", "spec.containers{c}") in w.events.seen
        await until(lambda: not w.agents.nodes["n1"].workers)
        assert list(await w.agents.nodes["n1"].host.runtime.list_pod_sandboxes()) == []


@virtual
async def test_a_pod_that_does_not_stop_is_killed_when_its_grace_is_over() -> None:
    async with world() as w:
        w.api.pod(meta={"annotations": {"wherry.dev/stop-s": "3600"}})
        await ready(w.api)
        before = asyncio.get_running_loop().time()
        w.api.begin_delete("web", 20)
        await until(lambda: w.api.get_pod() is None)
        assert 20 <= asyncio.get_running_loop().time() - before < 22
        last = w.api.writes("patch", "pods", "web")[-1]["status"]
        assert (last["phase"], last["containerStatuses"][0]["state"]["terminated"]["exitCode"]) == ("Failed", 137)


@virtual
async def test_a_second_deletion_hurries_the_first() -> None:
    async with world() as w:
        w.api.pod(meta={"annotations": {"wherry.dev/stop-s": "3600"}})
        await ready(w.api)
        before = asyncio.get_running_loop().time()
        w.api.begin_delete("web", 600)
        await asyncio.sleep(5)
        w.api.begin_delete("web", 2)
        await until(lambda: w.api.get_pod() is None)
        assert asyncio.get_running_loop().time() - before < 9
        assert w.events.reasons().count("Killing") == 1


@virtual
async def test_a_pod_that_is_deleted_while_its_image_is_pulled_goes_at_once() -> None:
    async with world() as w:
        w.api.pod(meta={"annotations": {"wherry.dev/image-pull-delay-s": "3600"}})
        await until(lambda: w.api.status().get("podIP"))
        w.api.begin_delete("web")
        await until(lambda: w.api.get_pod() is None, within_s=5)
        assert w.api.writes("patch", "pods", "web")[-1]["status"]["phase"] == "Failed"


@virtual
async def test_a_pod_that_vanishes_leaves_nothing_behind() -> None:
    async with world() as w:
        w.api.pod()
        await ready(w.api)
        w.api.set(PODS, None, "default/web")
        await until(lambda: not w.agents.nodes["n1"].workers)
        assert list(await w.agents.nodes["n1"].host.runtime.list_containers()) == []


@virtual
async def test_a_pod_of_the_same_name_is_another_pod() -> None:
    async with world() as w:
        w.api.pod(uid="first")
        await ready(w.api)
        w.api.set(PODS, None, "default/web")
        w.api.pod(uid="second")
        await ready(w.api)
        await until(lambda: list(w.agents.nodes["n1"].workers) == ["second"])
        assert w.api.status()["podIP"] != "10.244.0.2"


@virtual
async def test_a_pod_with_a_finalizer_is_asked_to_go_only_once() -> None:
    async with world() as w:
        w.api.pod(meta={"finalizers": ["example.com/hold"]})
        await ready(w.api)
        w.api.begin_delete("web")
        await until(lambda: w.api.writes("delete", "pods", "web"))
        await asyncio.sleep(600)
        assert len(w.api.writes("delete", "pods", "web")) == 1
        assert w.api.status()["phase"] == "Succeeded"


@virtual
async def test_a_jobs_pod_succeeds() -> None:
    async with world() as w:
        w.api.pod(meta={"ownerReferences": [{"kind": "Job", "name": "j", "uid": "j"}]}, restartPolicy="Never")
        await until(lambda: w.api.status()["phase"] == "Succeeded")
        status = w.api.status()
        assert status["containerStatuses"][0]["state"]["terminated"]["reason"] == "Completed"
        ready_now = condition_of(w.api.get_pod() or {}, "Ready")
        assert ready_now is not None
        assert (ready_now["status"], ready_now["reason"]) == ("False", "PodCompleted")
        assert not w.agents.nodes["n1"].allocations.usage.pods


@virtual
async def test_a_crashing_container_backs_off_longer_and_longer() -> None:
    async with world() as w:
        w.api.pod(container={"image": "busybox", "command": ["sh", "-c", "exit 1"], "imagePullPolicy": "IfNotPresent"})
        starts: list[float] = []
        while len(starts) < 5:
            before = len(starts)
            await until(lambda count=before: w.events.reasons().count("Started") > count, within_s=700)  # type: ignore[misc]
            starts.append(asyncio.get_running_loop().time())
        gaps = [round(later - earlier) for earlier, later in itertools.pairwise(starts)]
        assert gaps == [0, 10, 20, 40]
        await until(lambda: "waiting" in w.api.status()["containerStatuses"][0]["state"])
        found = w.api.status()["containerStatuses"][0]
        assert found["restartCount"] == 4
        assert found["state"]["waiting"]["reason"] == "CrashLoopBackOff"
        assert found["state"]["waiting"]["message"] == "back-off 1m20s restarting failed container=c pod=web_default(uid-web)"
        assert found["lastState"]["terminated"]["exitCode"] == 1
        assert w.api.status()["phase"] == "Running"


@virtual
async def test_an_image_that_does_not_exist() -> None:
    async with world() as w:
        w.api.pod(container={"image": "nginx:doesnotexist"})

        def waiting() -> Any:
            return w.api.status().get("containerStatuses", [{"state": {}}])[0]["state"].get("waiting", {})

        await until(lambda: waiting().get("reason") == "ErrImagePull")
        assert "docker.io/library/nginx:doesnotexist: not found" in waiting()["message"]
        await until(lambda: waiting().get("reason") == "ImagePullBackOff")
        assert waiting()["message"].startswith('Back-off pulling image "nginx:doesnotexist": ErrImagePull: failed to pull')
        assert w.events.reasons()[:5] == ["Pulling", "Failed", "Failed", "BackOff", "Failed"]
        await asyncio.sleep(100)
        assert w.events.reasons().count("Pulling") == 4
        w.api.change("web", lambda pod: pod["spec"]["containers"][0].update(image="nginx:1.27") or pod["metadata"].update(generation=2))
        await ready(w.api)
        assert w.api.status()["observedGeneration"] == 2


@virtual
async def test_an_image_name_that_is_none() -> None:
    async with world() as w:
        w.api.pod(container={"image": "NGINX"})
        await until(lambda: w.api.status().get("containerStatuses"))
        await asyncio.sleep(1)
        assert w.api.status()["containerStatuses"][0]["state"]["waiting"]["reason"] == "InvalidImageName"
        assert w.events.reasons() == ["InspectFailed", "Failed"]


@virtual
async def test_a_container_waits_for_its_config_map() -> None:
    async with world() as w:
        env = [{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "x"}}}]
        w.api.pod(container={"env": env, "image": "busybox", "command": ["sh", "-c", "echo X is $X; sleep 3600"]})
        await until(lambda: w.api.status().get("containerStatuses", [{"state": {}}])[0]["state"].get("waiting", {}).get("message"))
        state = w.api.status()["containerStatuses"][0]["state"]["waiting"]
        assert state == {"reason": "CreateContainerConfigError", "message": 'configmap "cm" not found'}
        await w.api.create(CONFIG_MAPS, {"metadata": {"name": "cm", "namespace": "default"}, "data": {"x": "42"}})
        await ready(w.api)
        runtime = w.agents.nodes["n1"].host.runtime
        (container,) = await runtime.list_containers("uid-web")
        result = await runtime.exec_sync(container.id, ["printenv", "X"], timeout_s=5)
        assert result.stdout == b"42\n"


@virtual
async def test_init_containers_and_sidecars_start_in_order_and_a_sidecar_ends_last() -> None:
    async with world() as w:
        init = [
            {"name": "side", "image": "proxy:1", "restartPolicy": "Always"},
            {"name": "setup", "image": "busybox:1", "command": ["sleep", "5"]},
        ]
        w.api.pod(initContainers=init, restartPolicy="Never", container={"image": "busybox:1", "command": ["sleep", "10"]})
        await ready(w.api)
        started = [path for _, reason, _, path in w.events.seen if reason == "Started"]
        assert started == ["spec.initContainers{side}", "spec.initContainers{setup}", "spec.containers{c}"]
        await until(lambda: w.api.status()["phase"] == "Succeeded")
        ends = {each["name"]: each["state"]["terminated"] for each in w.api.status()["initContainerStatuses"]}
        assert ends["side"]["finishedAt"] >= w.api.status()["containerStatuses"][0]["state"]["terminated"]["finishedAt"]


@virtual
async def test_a_failing_liveness_probe_restarts_the_container() -> None:
    async with world() as w:
        script = "touch /tmp/healthy; sleep 30; rm -f /tmp/healthy; sleep 600"
        probe = {"exec": {"command": ["cat", "/tmp/healthy"]}, "initialDelaySeconds": 5, "periodSeconds": 5, "failureThreshold": 3}
        w.api.pod(
            container={"image": "busybox:1", "args": ["/bin/sh", "-c", script], "livenessProbe": probe}, terminationGracePeriodSeconds=1
        )
        await ready(w.api)
        await until(lambda: w.api.status()["containerStatuses"][0]["restartCount"] == 1)
        assert ("Normal", "Killing", "Container c failed liveness probe, will be restarted", "spec.containers{c}") in w.events.seen
        unhealthy = [message for _, reason, message, _ in w.events.seen if reason == "Unhealthy"]
        assert unhealthy[0] == "Liveness probe failed: cat: /tmp/healthy: No such file or directory\n"
        assert len(unhealthy) == 3


@virtual
async def test_readiness_follows_an_annotation() -> None:
    async with world() as w:
        w.api.pod(
            container={"readinessProbe": {"httpGet": {"port": 80}, "periodSeconds": 1, "failureThreshold": 1, "initialDelaySeconds": 7}}
        )
        await until(lambda: w.api.status()["phase"] == "Running")
        assert w.api.status()["containerStatuses"][0]["ready"] is False
        await ready(w.api)

        def set_annotation(value: str) -> None:
            w.api.change("web", lambda pod: pod["metadata"].update(annotations={"wherry.dev/readiness": value}))

        set_annotation("false")
        await until(lambda: not is_condition_true(w.api.get_pod() or {}, "Ready"))
        set_annotation("true")
        await ready(w.api)


@virtual
async def test_readiness_gates_are_others_to_open() -> None:
    async with world() as w:
        w.api.pod(readinessGates=[{"conditionType": "example.com/lb"}])
        await until(lambda: is_condition_true(w.api.get_pod() or {}, "ContainersReady"))
        assert not is_condition_true(w.api.get_pod() or {}, "Ready")
        w.api.change("web", lambda pod: pod["status"]["conditions"].append({"type": "example.com/lb", "status": "True"}))
        await ready(w.api)
        assert is_condition_true(w.api.get_pod() or {}, "example.com/lb")


@virtual
async def test_a_deadline_fails_the_pod() -> None:
    async with world() as w:
        w.api.pod(activeDeadlineSeconds=30, restartPolicy="Never")
        await until(lambda: w.api.status()["phase"] == "Failed")
        status = w.api.status()
        assert (status["reason"], status["message"]) == (
            "DeadlineExceeded",
            "Pod was active on the node longer than the specified deadline",
        )


@virtual
async def test_a_hook_runs_before_a_container_is_stopped() -> None:
    async with world() as w:
        hooks = {"postStart": {"exec": {"command": ["touch", "/ready"]}}, "preStop": {"exec": {"command": ["sleep", "8"]}}}
        w.api.pod(container={"lifecycle": hooks})
        await ready(w.api)
        before = asyncio.get_running_loop().time()
        w.api.begin_delete("web")
        await until(lambda: w.api.get_pod() is None)
        assert 8 <= asyncio.get_running_loop().time() - before < 10


@virtual
async def test_a_failing_post_start_hook_ends_the_container() -> None:
    async with world() as w:
        w.api.pod(container={"lifecycle": {"postStart": {"exec": {"command": ["false"]}}}})
        await until(lambda: "FailedPostStartHook" in w.events.reasons())
        await until(lambda: w.api.status()["containerStatuses"][0]["restartCount"] > 0)


@virtual
async def test_an_ephemeral_container_joins_a_running_pod() -> None:
    async with world() as w:
        w.api.pod()
        await ready(w.api)
        debug = [{"name": "debug", "image": "busybox:1", "command": ["sleep", "3600"]}]
        w.api.change("web", lambda pod: pod["spec"].update(ephemeralContainers=debug) or pod["metadata"].update(generation=2))
        await until(lambda: w.api.status().get("ephemeralContainerStatuses", [{}])[0].get("state", {}).get("running"))
        assert w.events.seen[-1][3] == "spec.ephemeralContainers{debug}"
        assert is_condition_true(w.api.get_pod() or {}, "Ready")


@virtual
async def test_a_changed_image_restarts_the_container() -> None:
    async with world() as w:
        w.api.pod()
        await ready(w.api)
        w.api.change("web", lambda pod: pod["spec"]["containers"][0].update(image="nginx:1.28") or pod["metadata"].update(generation=2))
        await until(lambda: w.api.status()["containerStatuses"][0]["image"].endswith(":1.28"))
        assert ("Normal", "Killing", "Container c definition changed, will be restarted", "spec.containers{c}") in w.events.seen
        await ready(w.api)
        assert w.api.status()["containerStatuses"][0]["restartCount"] == 1


@virtual
async def test_a_change_while_the_runtime_is_told_of_another_reaches_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    update = SimulatedRuntime.update_pod_sandbox

    async def slow(self: SimulatedRuntime, sandbox_id: str, config: SandboxConfig) -> None:
        await asyncio.sleep(1)
        told.append(config.pod["metadata"]["annotations"]["turn"])
        await update(self, sandbox_id, config)

    monkeypatch.setattr(SimulatedRuntime, "update_pod_sandbox", slow)
    async with world() as w:
        w.api.pod()
        await ready(w.api)
        for turn in ("1", "2"):
            w.api.change("web", partial(_annotate, turn))
            await asyncio.sleep(0.5)
        await asyncio.sleep(10)
        assert told == ["1", "2"]


def _annotate(turn: str, pod: Object) -> None:
    pod["metadata"]["annotations"] = {"turn": turn}


# --- admission ----------------------------------------------------------------------------------------------------


@virtual
async def test_pods_that_do_not_fit_are_failed_and_room_is_given_back() -> None:
    async with world(capacity={"cpu": "1"}) as w:
        half = {"resources": {"requests": {"cpu": "600m"}}}
        w.api.pod("first", container=half)
        await ready(w.api, "first")
        w.api.pod("second", container=half)
        await until(lambda: w.api.status("second")["phase"] == "Failed")
        assert w.api.status("second")["reason"] == "OutOfcpu"
        assert w.api.status("second")["message"].startswith("Pod was rejected: Node didn't have enough resource: cpu, requested: 600")
        w.api.begin_delete("second")
        await until(lambda: w.api.get_pod("second") is None)
        w.api.begin_delete("first")
        await until(lambda: w.api.get_pod("first") is None)
        w.api.pod("third", container=half)
        await ready(w.api, "third")
