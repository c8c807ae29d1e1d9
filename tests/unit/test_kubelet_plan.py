"""What a node does about one pod: `kubelet/plan.py`, as a table."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from kube.objects import Object
from kubelet.backoff import BackOff
from kubelet.observed import RuntimeState
from kubelet.plan import (
    DEADLINE_MESSAGE,
    HoldBack,
    RemoveContainer,
    RunSandbox,
    StartContainer,
    StopContainer,
    StopSandbox,
    Terminate,
    Wait,
    plan,
)
from kubelet.runtime.base import ContainerState, ContainerStatus, SandboxStatus

T0 = datetime(2026, 1, 1, tzinfo=UTC)
NOW = T0.timestamp() + 100
SANDBOX = SandboxStatus("s1", "u1", 0, True, T0, ("10.244.0.2",))


def pod(*, init: list[Object] | None = None, names: tuple[str, ...] = ("web",), meta: Object | None = None, **spec: Any) -> Object:
    metadata = {"name": "p", "namespace": "default", "uid": "u1", **(meta or {})}
    containers = [{"name": name, "image": "nginx"} for name in names]
    return {"metadata": metadata, "spec": {"containers": containers, **({"initContainers": init} if init else {}), **spec}, "status": {}}


def ran(
    name: str, state: ContainerState = ContainerState.RUNNING, *, code: int = 0, attempt: int = 0, ended: float = 90, sandbox: str = "s1"
) -> ContainerStatus:
    finished = datetime.fromtimestamp(T0.timestamp() + ended, UTC) if state is ContainerState.EXITED else None
    return ContainerStatus(f"{name}-{attempt}", name, attempt, sandbox, "u1", "nginx", "nginx@x", state, T0, T0, finished, code)


def dead(name: str, code: int = 0, **rest: Any) -> ContainerStatus:
    return ran(name, ContainerState.EXITED, code=code, **rest)


def seen(*containers: ContainerStatus, sandbox: SandboxStatus | None = SANDBOX, **rest: Any) -> RuntimeState:
    return RuntimeState(sandbox=sandbox, containers={each.name: each for each in containers}, **rest)


INIT = [{"name": "i1", "image": "busybox"}, {"name": "i2", "image": "busybox"}]
SIDECAR = [{"name": "side", "image": "proxy", "restartPolicy": "Always"}]
DELETED = {"deletionTimestamp": "2026-01-01T00:02:10Z", "deletionGracePeriodSeconds": 30}
START_WEB = StartContainer("web", 0)
STOP_WEB = StopContainer("web-0", "web", 30.0, "Stopping container web")

CASES: dict[str, tuple[Object, RuntimeState, list[Any]]] = {
    "a new pod gets its sandbox first": (pod(), seen(sandbox=None), [RunSandbox(0)]),
    "with a sandbox its container is started": (pod(), seen(), [START_WEB]),
    "all regular containers start together": (pod(names=("a", "b")), seen(), [StartContainer("a", 0), StartContainer("b", 0)]),
    "a running pod is left alone": (pod(), seen(ran("web")), []),
    "a container whose image is being pulled is waited for": (pod(), seen(starting=frozenset({"web"})), []),
    "a refused image is tried again when its time has come": (pod(), seen(retry_at={"web": NOW - 1}), [START_WEB]),
    "a refused image is not tried before its time": (pod(), seen(retry_at={"web": NOW + 5}), [Wait(NOW + 5)]),
    "a sandbox that is gone is made anew": (pod(), seen(sandbox=replace(SANDBOX, is_ready=False)), [RunSandbox(1)]),
    "what runs in a dead sandbox is stopped before a new one is made": (
        pod(),
        seen(ran("web"), sandbox=replace(SANDBOX, is_ready=False)),
        [STOP_WEB],
    ),
    # restarts
    "a container that failed for the first time is started again at once": (
        pod(),
        seen(dead("web", 1)),
        [StartContainer("web", 1, failed_at_s=T0.timestamp() + 90)],
    ),
    "a container that failed again waits for its back-off": (
        pod(),
        seen(dead("web", 1, attempt=1, ended=95), back_off={"web": BackOff(10, T0.timestamp() + 80)}),
        [HoldBack("web", 10, T0.timestamp() + 105)],
    ),
    "after its back-off it is started": (
        pod(),
        seen(dead("web", 1, attempt=1, ended=80), back_off={"web": BackOff(10, T0.timestamp() + 70)}),
        [StartContainer("web", 2, failed_at_s=T0.timestamp() + 80)],
    ),
    "restartPolicy Always starts what succeeded, too": (
        pod(),
        seen(dead("web")),
        [StartContainer("web", 1, failed_at_s=T0.timestamp() + 90)],
    ),
    "restartPolicy OnFailure does not start what succeeded": (pod(restartPolicy="OnFailure"), seen(dead("web")), [Terminate()]),
    "restartPolicy OnFailure starts what failed": (
        pod(restartPolicy="OnFailure"),
        seen(dead("web", 1)),
        [StartContainer("web", 1, failed_at_s=T0.timestamp() + 90)],
    ),
    "restartPolicy Never ends the pod with its last container": (pod(restartPolicy="Never"), seen(dead("web", 1)), [Terminate()]),
    "with restartPolicy Never the others go on when one has ended": (
        pod(names=("a", "b"), restartPolicy="Never"),
        seen(dead("a", 1), ran("b")),
        [],
    ),
    "a container's own restart rule wins over the pod's policy": (
        {
            **pod(restartPolicy="Never"),
            "spec": {
                "restartPolicy": "Never",
                "containers": [
                    {
                        "name": "web",
                        "restartPolicy": "Never",
                        "restartPolicyRules": [{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}],
                    }
                ],
            },
        },
        seen(dead("web", 42)),
        [StartContainer("web", 1, failed_at_s=T0.timestamp() + 90)],
    ),
    "dead containers that nobody looks at are removed": (
        pod(),
        seen(ran("web", attempt=2), older=(dead("web", 1),)),
        [RemoveContainer("web-0")],
    ),
    # init containers
    "init containers run one after the other": (pod(init=INIT), seen(), [StartContainer("i1", 0, is_init=True)]),
    "the second one starts when the first has succeeded": (pod(init=INIT), seen(dead("i1")), [StartContainer("i2", 0, is_init=True)]),
    "while one runs nothing else starts": (pod(init=INIT), seen(dead("i1"), ran("i2")), []),
    "after the last one the regular ones start": (pod(init=INIT), seen(dead("i1"), dead("i2")), [START_WEB]),
    "a failed init container is started again": (
        pod(init=INIT),
        seen(dead("i1", 1)),
        [StartContainer("i1", 1, is_init=True, failed_at_s=T0.timestamp() + 90)],
    ),
    "a failed init container ends a pod that is never restarted": (
        pod(init=INIT, restartPolicy="Never"),
        seen(dead("i1", 1)),
        [Terminate()],
    ),
    "init containers of an earlier sandbox run again": (
        pod(init=INIT),
        seen(dead("i1", sandbox="s0"), dead("i2", sandbox="s0")),
        [StartContainer("i1", 1, is_init=True)],
    ),
    "init containers do not run again while the pod runs": (pod(init=INIT), seen(ran("web")), []),
    # sidecars
    "a sidecar starts before the regular ones": (pod(init=SIDECAR), seen(), [StartContainer("side", 0, is_init=True)]),
    "a running sidecar lets the others start": (pod(init=SIDECAR), seen(ran("side")), [START_WEB]),
    "a sidecar that has not passed its startup probe holds them up": (
        pod(init=[{**SIDECAR[0], "startupProbe": {}}]),
        seen(ran("side"), started={"side": False}),
        [],
    ),
    "a sidecar that ended is started again, even when nothing else is": (
        pod(init=SIDECAR, restartPolicy="Never"),
        seen(dead("side", 0), ran("web")),
        [StartContainer("side", 1, is_init=True, failed_at_s=T0.timestamp() + 90)],
    ),
    "a pod is over when its regular containers are, sidecars or not": (
        pod(init=SIDECAR, restartPolicy="Never"),
        seen(ran("side"), dead("web")),
        [Terminate()],
    ),
    "when the pod ends its sidecars are stopped": (
        pod(init=SIDECAR, restartPolicy="Never"),
        seen(ran("side"), dead("web"), terminating=True),
        [StopContainer("side-0", "side", 30.0, "Stopping container side")],
    ),
    # probes and changes
    "a container that fails its liveness probe is stopped": (
        pod(),
        seen(ran("web"), failing={"web": "liveness"}),
        [StopContainer("web-0", "web", 30.0, "Container web failed liveness probe, will be restarted")],
    ),
    "a probe's own grace period counts": (
        {
            **pod(),
            "spec": {"containers": [{"name": "web", "livenessProbe": {"terminationGracePeriodSeconds": 3}}]},
        },
        seen(ran("web"), failing={"web": "liveness"}),
        [StopContainer("web-0", "web", 3.0, "Container web failed liveness probe, will be restarted")],
    ),
    "one that is being stopped is not stopped again": (
        pod(),
        seen(ran("web"), failing={"web": "liveness"}, stopping={"web-0": NOW + 30}),
        [],
    ),
    "a container whose image was changed is stopped": (
        pod(),
        seen(ran("web"), changed=frozenset({"web"})),
        [StopContainer("web-0", "web", 30.0, "Container web definition changed, will be restarted")],
    ),
    # deadline
    "a pod past its deadline ends": (
        pod(activeDeadlineSeconds=50),
        seen(ran("web"), start_time="2026-01-01T00:00:00Z"),
        [Terminate("DeadlineExceeded", DEADLINE_MESSAGE)],
    ),
    "a pod with a deadline is looked at when that comes": (
        pod(activeDeadlineSeconds=500),
        seen(ran("web"), start_time="2026-01-01T00:00:00Z"),
        [Wait(T0.timestamp() + 500)],
    ),
    # ephemeral containers
    "an ephemeral container is started beside the others": (
        pod(ephemeralContainers=[{"name": "debug", "image": "busybox"}]),
        seen(ran("web")),
        [StartContainer("debug", 0)],
    ),
    "an ephemeral container is never started twice": (
        pod(ephemeralContainers=[{"name": "debug", "image": "busybox"}]),
        seen(ran("web"), dead("debug", 1)),
        [],
    ),
    # the end
    "a deleted pod's containers are stopped": (pod(meta=DELETED), seen(ran("web")), [STOP_WEB]),
    "a deletion with less grace hurries a stop that is under way": (
        pod(meta={**DELETED, "deletionGracePeriodSeconds": 1}),
        seen(ran("web"), stopping={"web-0": NOW + 25}),
        [StopContainer("web-0", "web", 1.0, "Stopping container web")],
    ),
    "sidecars are stopped after the regular ones": (
        pod(init=SIDECAR, meta=DELETED),
        seen(ran("side"), ran("web"), stopping={"web-0": NOW + 30}),
        [],
    ),
    "and get what is left of the grace period": (
        pod(init=SIDECAR, meta=DELETED),
        seen(ran("side"), dead("web")),
        [StopContainer("side-0", "side", 30.0, "Stopping container side")],
    ),
    "but never less than two seconds": (
        pod(init=SIDECAR, meta={**DELETED, "deletionTimestamp": "2026-01-01T00:01:40Z"}),
        seen(ran("side"), dead("web")),
        [StopContainer("side-0", "side", 2.0, "Stopping container side")],
    ),
    "nothing is started in a pod that ends": (pod(names=("a", "b"), meta=DELETED), seen(ran("a"), stopping={"a-0": NOW + 30}), []),
    "the sandbox goes last": (pod(meta=DELETED), seen(dead("web")), [StopSandbox("s1")]),
    "and then there is nothing left to do": (pod(meta=DELETED), seen(dead("web"), sandbox=replace(SANDBOX, is_ready=False)), []),
    "a pod that is deleted before it got anything needs nothing": (pod(meta=DELETED), seen(sandbox=None), []),
}


@pytest.mark.parametrize(("given", "observed", "expected"), CASES.values(), ids=CASES.keys())
def test_plan(given: Object, observed: RuntimeState, expected: list[Any]) -> None:
    assert plan(given, observed, NOW) == expected
