"""How a node describes a pod: `kubelet/status.py`, as tables."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from kube.objects import Object
from kubelet.observed import RuntimeState, Waiting
from kubelet.runtime.base import ContainerState, ContainerStatus, SandboxStatus
from kubelet.status import phase_of, rejected_status, status_of

T0 = datetime(2026, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 1, 1, 0, 1, tzinfo=UTC)
SANDBOX = SandboxStatus("s1", "u1", 0, True, T0, ("10.244.0.2",))


def pod(*, init: list[Object] | None = None, status: Object | None = None, names: tuple[str, ...] = ("web",), **spec: Any) -> Object:
    containers = [{"name": name, "image": "nginx"} for name in names]
    return {
        "metadata": {"name": "p", "namespace": "default", "uid": "u1", "generation": 3},
        "spec": {"containers": containers, **({"initContainers": init} if init else {}), **spec},
        "status": {"phase": "Pending", **(status or {})},
    }


def ran(name: str, state: ContainerState = ContainerState.RUNNING, *, code: int = 0, attempt: int = 0, **rest: Any) -> ContainerStatus:
    finished = NOW if state is ContainerState.EXITED else None
    ref = "docker.io/library/nginx@sha256:1"
    return ContainerStatus(
        f"{name}{attempt}", name, attempt, "s1", "u1", "docker.io/library/nginx:latest", ref, state, T0, T0, finished, code, **rest
    )


def seen(*containers: ContainerStatus, **rest: Any) -> RuntimeState:
    return RuntimeState(**{"sandbox": SANDBOX, "containers": {each.name: each for each in containers}, **rest})


def described(given: Object, observed: RuntimeState, *, ended: bool = False) -> Object:
    return status_of(given, observed, NOW, runtime_name="test", host_ips=["192.0.2.1"], ended=ended)


def conditions(status: Object) -> dict[str, tuple[str, str]]:
    return {each["type"]: (each["status"], each.get("reason", "")) for each in status["conditions"]}


def test_a_new_pod_is_pending_and_creating() -> None:
    status = described(pod(), seen(sandbox=None))
    assert status == {
        "phase": "Pending",
        "observedGeneration": 3,
        "hostIP": "192.0.2.1",
        "hostIPs": [{"ip": "192.0.2.1"}],
        "startTime": "2026-01-01T00:01:00Z",
        "containerStatuses": [
            {
                "name": "web",
                "image": "nginx",
                "imageID": "",
                "restartCount": 0,
                "ready": False,
                "started": False,
                "state": {"waiting": {"reason": "ContainerCreating"}},
                "lastState": {},
            }
        ],
        "resources": {},
        "conditions": [
            _condition("PodReadyToStartContainers", "False"),
            _condition("Initialized", "True"),
            _condition("Ready", "False", "ContainersNotReady", "containers with unready status: [web]"),
            _condition("ContainersReady", "False", "ContainersNotReady", "containers with unready status: [web]"),
            _condition("PodScheduled", "True"),
        ],
    }


def _condition(kind: str, status: str, reason: str = "", message: str = "") -> Object:
    told = {key: value for key, value in (("reason", reason), ("message", message)) if value}
    return {"type": kind, "status": status, "observedGeneration": 3, "lastTransitionTime": "2026-01-01T00:01:00Z", **told}


def test_a_running_pod_is_ready_and_has_an_address() -> None:
    status = described(pod(), seen(ran("web")))
    assert (status["phase"], status["podIP"], status["podIPs"]) == ("Running", "10.244.0.2", [{"ip": "10.244.0.2"}])
    assert status["containerStatuses"] == [
        {
            "name": "web",
            "image": "docker.io/library/nginx:latest",
            "imageID": "docker.io/library/nginx@sha256:1",
            "containerID": "test://web0",
            "restartCount": 0,
            "ready": True,
            "started": True,
            "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
            "lastState": {},
            "resources": {},
        }
    ]
    assert all(answer == ("True", "") for answer in conditions(status).values())


def test_resources_and_mounts_of_a_running_container_are_told() -> None:
    given = pod()
    given["spec"]["containers"][0] |= {
        "resources": {"requests": {"cpu": "1", "example.com/gpu": "1"}, "limits": {"memory": "1Gi"}},
        "volumeMounts": [{"name": "token", "mountPath": "/t", "readOnly": True}, {"name": "data", "mountPath": "/d"}],
    }
    found = described(given, seen(ran("web")))["containerStatuses"][0]
    assert found["resources"] == {"limits": {"memory": "1Gi"}, "requests": {"cpu": "1", "example.com/gpu": "1"}}
    assert found["allocatedResources"] == {"cpu": "1", "example.com/gpu": "1"}
    assert found["volumeMounts"] == [
        {"name": "token", "mountPath": "/t", "readOnly": True, "recursiveReadOnly": "Disabled"},
        {"name": "data", "mountPath": "/d"},
    ]


def test_a_host_network_pod_has_its_nodes_address() -> None:
    assert described(pod(hostNetwork=True), seen(ran("web")))["podIPs"] == [{"ip": "192.0.2.1"}]


def test_a_crashing_container_waits_and_tells_of_its_last_end() -> None:
    observed = seen(ran("web", ContainerState.EXITED, code=1, attempt=2), waiting={"web": Waiting("CrashLoopBackOff", "back-off 20s")})
    status = described(pod(), observed)
    found = status["containerStatuses"][0]
    assert found["state"] == {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 20s"}}
    assert found["lastState"]["terminated"]["exitCode"] == 1
    assert found["lastState"]["terminated"]["reason"] == "Error"
    assert (found["restartCount"], found["ready"], found["started"]) == (2, False, False)
    assert status["phase"] == "Running"


def test_a_restarted_container_tells_of_the_one_before() -> None:
    observed = seen(ran("web", attempt=1), previous={"web": ran("web", ContainerState.EXITED, code=137, reason="OOMKilled")})
    found = described(pod(), observed)["containerStatuses"][0]
    assert found["lastState"]["terminated"] == {
        "exitCode": 137,
        "reason": "OOMKilled",
        "startedAt": "2026-01-01T00:00:00Z",
        "finishedAt": "2026-01-01T00:01:00Z",
        "containerID": "test://web0",
    }


def test_container_statuses_are_in_order_of_name_and_init_ones_as_in_the_spec() -> None:
    status = described(pod(names=("b", "a"), init=[{"name": "z"}, {"name": "y"}]), seen())
    assert [each["name"] for each in status["containerStatuses"]] == ["a", "b"]
    assert [each["name"] for each in status["initContainerStatuses"]] == ["z", "y"]


def test_a_terminal_phase_is_never_left() -> None:
    assert described(pod(status={"phase": "Succeeded"}), seen(ran("web")))["phase"] == "Succeeded"


def test_the_phase_is_not_terminal_before_everything_has_ended() -> None:
    given = pod(restartPolicy="Never", status={"phase": "Running"})
    done = seen(ran("web", ContainerState.EXITED))
    assert described(given, done)["phase"] == "Running"
    assert described(given, done, ended=True)["phase"] == "Succeeded"


def test_a_pod_past_its_deadline_fails_with_that_reason() -> None:
    given = pod(restartPolicy="Never", status={"phase": "Running"})
    status = described(given, seen(ran("web", ContainerState.EXITED), reason="DeadlineExceeded", message="too long"), ended=True)
    assert (status["phase"], status["reason"], status["message"]) == ("Failed", "DeadlineExceeded", "too long")


def test_a_pod_that_ends_before_its_container_ran_has_failed() -> None:
    status = described(pod(), seen(sandbox=None), ended=True)
    assert status["phase"] == "Failed"
    found = status["containerStatuses"][0]["state"]["terminated"]
    assert (found["exitCode"], found["reason"]) == (137, "ContainerStatusUnknown")


def test_addresses_stay_when_the_sandbox_has_gone() -> None:
    given = pod(status={"phase": "Running", "podIPs": [{"ip": "10.244.0.9"}]})
    assert described(given, seen(sandbox=None), ended=True)["podIP"] == "10.244.0.9"


def test_a_condition_keeps_its_time_while_its_status_stays() -> None:
    old = [{"type": "Ready", "status": "True", "lastTransitionTime": "2025-01-01T00:00:00Z"}]
    found = {
        each["type"]: each["lastTransitionTime"] for each in described(pod(status={"conditions": old}), seen(ran("web")))["conditions"]
    }
    assert found["Ready"] == "2025-01-01T00:00:00Z"
    assert found["ContainersReady"] == "2026-01-01T00:01:00Z"


def test_pod_scheduled_is_left_to_the_scheduler() -> None:
    old = [{"type": "PodScheduled", "status": "True"}]
    assert "PodScheduled" not in conditions(described(pod(status={"conditions": old}), seen()))


GATE = [{"conditionType": "example.com/lb"}]
READY_CASES: dict[str, tuple[Object, RuntimeState, tuple[str, str]]] = {
    "a readiness probe that says no": (
        {**pod(), "spec": {"containers": [{"name": "web", "readinessProbe": {}}]}},
        seen(ran("web"), ready={"web": False}),
        ("False", "ContainersNotReady"),
    ),
    "a readiness probe that says yes": (
        {**pod(), "spec": {"containers": [{"name": "web", "readinessProbe": {}}]}},
        seen(ran("web"), ready={"web": True}),
        ("True", ""),
    ),
    "a startup probe that has not passed": (
        {**pod(), "spec": {"containers": [{"name": "web", "startupProbe": {}}]}},
        seen(ran("web"), started={"web": False}),
        ("False", "ContainersNotReady"),
    ),
    "a gate whose condition is missing": (pod(readinessGates=GATE), seen(ran("web")), ("False", "ReadinessGatesNotReady")),
    "a gate that is open": (
        pod(readinessGates=GATE, status={"conditions": [{"type": "example.com/lb", "status": "True"}]}),
        seen(ran("web")),
        ("True", ""),
    ),
    "a pod that has succeeded": (pod(status={"phase": "Succeeded"}), seen(ran("web", ContainerState.EXITED)), ("False", "PodCompleted")),
    "a pod that has failed": (pod(status={"phase": "Failed"}), seen(ran("web", ContainerState.EXITED, code=1)), ("False", "PodFailed")),
    "an unready sidecar": (
        pod(init=[{"name": "side", "restartPolicy": "Always"}]),
        seen(ran("web")),
        ("False", "ContainersNotReady"),
    ),
}


@pytest.mark.parametrize(("given", "observed", "expected"), READY_CASES.values(), ids=READY_CASES.keys())
def test_readiness(given: Object, observed: RuntimeState, expected: tuple[str, str]) -> None:
    assert conditions(described(given, observed))["Ready"] == expected


RUNNING: Object = {"state": {"running": {}}, "started": True}
WAITING: Object = {"state": {"waiting": {}}}
DONE: Object = {"state": {"terminated": {"exitCode": 0}}}
FAILED: Object = {"state": {"terminated": {"exitCode": 1}}}
CRASHED: Object = {"state": {"waiting": {}}, "lastState": {"terminated": {"exitCode": 1}}}
REMOVED: Object = {"state": {"waiting": {}}, "lastState": {"terminated": {"exitCode": 137, "reason": "RestartingAllContainers"}}}
PHASES: dict[str, tuple[str, list[Object], list[Object], bool, str]] = {
    "waiting containers make it Pending": ("Always", [], [RUNNING, WAITING], False, "Pending"),
    "running containers make it Running": ("Always", [], [RUNNING, RUNNING], False, "Running"),
    "one that restarts does not make it Pending": ("Always", [], [RUNNING, CRASHED], False, "Running"),
    "with Always it keeps Running when all have ended": ("Always", [], [DONE], False, "Running"),
    "with Always it is final when the pod ends": ("Always", [], [DONE], True, "Succeeded"),
    "with Always and a failure it has Failed when the pod ends": ("Always", [], [FAILED], True, "Failed"),
    "with Never all good is Succeeded": ("Never", [], [DONE, DONE], False, "Succeeded"),
    "with Never one failure is Failed": ("Never", [], [DONE, FAILED], False, "Failed"),
    "with OnFailure a failure is still Running": ("OnFailure", [], [DONE, FAILED], False, "Running"),
    "an init container that runs makes it Pending": ("Always", [RUNNING], [WAITING], False, "Pending"),
    "an init container that failed for good makes it Failed": ("Never", [FAILED], [WAITING], False, "Failed"),
    "one that was removed to restart all did not": ("Never", [REMOVED], [WAITING], False, "Pending"),
    "one that runs again makes it Pending again": ("Never", [RUNNING], [REMOVED], False, "Pending"),
    "init containers that are done do not count": ("Always", [DONE], [RUNNING], False, "Running"),
}


@pytest.mark.parametrize(("policy", "init", "regular", "ended", "expected"), PHASES.values(), ids=PHASES.keys())
def test_phase(policy: str, init: list[Object], regular: list[Object], ended: bool, expected: str) -> None:
    inits = [{"name": f"i{at}", **each} for at, each in enumerate(init)]
    regulars = [{"name": f"c{at}", **each} for at, each in enumerate(regular)]
    spec = {
        "restartPolicy": policy,
        "initContainers": [{"name": each["name"]} for each in inits],
        "containers": [{"name": each["name"]} for each in regulars],
    }
    assert phase_of({"spec": spec}, inits, regulars, ended=ended) == expected


def test_a_sidecar_that_has_not_started_makes_it_pending() -> None:
    spec = {"initContainers": [{"name": "side", "restartPolicy": "Always"}], "containers": [{"name": "web"}]}
    side = {"name": "side", "state": {"running": {}}, "started": False}
    assert phase_of({"spec": spec}, [side], [{"name": "web", **WAITING}]) == "Pending"


def test_an_ephemeral_container_has_a_status_of_its_own_and_no_say_in_the_phase() -> None:
    given = pod(ephemeralContainers=[{"name": "debug", "image": "busybox"}])
    status = described(given, seen(ran("web")))
    assert status["phase"] == "Running"
    assert status["ephemeralContainerStatuses"][0]["state"] == {"waiting": {"reason": "ContainerCreating"}}
    assert conditions(status)["Ready"] == ("True", "")


def restarting(state: Object, **rest: Any) -> Object:
    """The status of a pod that begins again, whose init container is as `state` says."""
    rules = [{"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [42]}}]
    init = [{"name": "i", "image": "nginx", "restartPolicy": "Never", "restartPolicyRules": rules}]
    given = pod(init=init, status={"phase": "Running", "conditions": [{"type": "Initialized", "status": "True"}]})
    return described(given, seen(**{"restarts": {"i": 1, "web": 3}, **state, **rest}))


def test_a_container_that_was_removed_to_restart_all_is_counted_and_waits() -> None:
    status = restarting({}, restarting_all=True)
    (found,) = status["containerStatuses"]
    assert (found["restartCount"], found["state"]["waiting"]["reason"]) == (3, "RestartingAllContainers")
    assert (found["lastState"]["terminated"]["reason"], found["lastState"]["terminated"]["exitCode"]) == ("RestartingAllContainers", 137)
    assert status["phase"] == "Running"
    assert conditions(status)["AllContainersRestarting"] == ("True", "RestartAllContainersStarted")


def test_a_pod_that_begins_again_has_been_initialized() -> None:
    status = restarting({"containers": {"i": ran("i", attempt=1)}}, restarts={"i": 1})
    (init,), (web,) = status["initContainerStatuses"], status["containerStatuses"]
    assert (init["restartCount"], init["lastState"]["terminated"]["reason"]) == (1, "RestartingAllContainers")
    assert (web["restartCount"], web["state"]["waiting"]["reason"]) == (0, "PodInitializing"), "its turn had not come"
    assert status["phase"] == "Pending"
    assert (conditions(status)["Initialized"], conditions(status)["AllContainersRestarting"]) == (("True", ""), ("False", ""))


def test_a_rejected_pod_says_why() -> None:
    assert rejected_status(pod(), "OutOfcpu", "Node didn't have enough resource: cpu", NOW) == {
        "phase": "Failed",
        "reason": "OutOfcpu",
        "message": "Pod was rejected: Node didn't have enough resource: cpu",
        "startTime": "2026-01-01T00:01:00Z",
    }
