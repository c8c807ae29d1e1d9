"""PodResizeValidator: what a node cannot hold is refused before its kubelet is asked."""

from __future__ import annotations

from typing import Any

import pytest

from apiserver.admission.pod_resize import NODE_CAPACITY, UNSUPPORTED_PLATFORM, refusal
from kube.objects import Object
from tests.component.served import MERGE, PODS, STRATEGIC, served

GI = 1 << 30
TOO_LITTLE = "node didn't have enough allocatable resources: "


def sized(cpu: str = "1", memory: str = "1Gi") -> Object:
    return {"resources": {"requests": {"cpu": cpu, "memory": memory}}}


def spec(*containers: Object, **rest: Any) -> Object:
    return {"containers": list(containers) or [sized()], **rest}


def node(cpu: str = "4", memory: str = "8Gi", **labels: str) -> Object:
    return {"metadata": {"name": "n", "labels": labels}, "status": {"allocatable": {"cpu": cpu, "memory": memory}}}


CPU = (NODE_CAPACITY, f"{TOO_LITTLE}cpu, requested: 4001, allocatable: 4000")
MEMORY = (NODE_CAPACITY, f"{TOO_LITTLE}memory, requested: {9 * GI}, allocatable: {8 * GI}")
BOTH = (NODE_CAPACITY, f"{CPU[1]}; {MEMORY[1].removeprefix(TOO_LITTLE)}")
WINDOWS = (UNSUPPORTED_PLATFORM, 'pod resize is only supported on linux nodes, node "n" is "windows"')


@pytest.mark.parametrize(
    ("wanted", "on", "expected"),
    [
        pytest.param(spec(sized("4", "8Gi")), node(), None, id="all that the node has is fine"),
        pytest.param(spec(sized("4001m")), node(), CPU, id="more CPU than there is"),
        pytest.param(spec(sized("1", "9Gi")), node(), MEMORY, id="more memory than there is"),
        pytest.param(spec(sized("4001m", "9Gi")), node(), BOTH, id="more of both"),
        pytest.param(spec(sized("2"), sized("2001m")), node(), CPU, id="containers count together"),
        pytest.param(spec(initContainers=[sized("4001m")]), node(), CPU, id="init containers count"),
        pytest.param(spec(sized("2"), initContainers=[sized("4")]), node(), None, id="they and the others are never there at once"),
        pytest.param(
            spec(sized("2"), initContainers=[{**sized("2001m"), "restartPolicy": "Always"}]), node(), CPU, id="sidecars are there with them"
        ),
        pytest.param(spec(**sized("4001m")), node(), CPU, id="what the pod as a whole asks for"),
        pytest.param(spec(sized("9"), **sized("4")), node(), None, id="that counts instead of what its containers ask for"),
        pytest.param(spec(sized("4"), overhead={"cpu": "1m"}), node(), CPU, id="with the overhead"),
        pytest.param(spec({"name": "c"}), {"metadata": {"name": "n"}}, None, id="who asks for nothing fits where nothing is told"),
        pytest.param(spec(), node(**{"kubernetes.io/os": "linux"}), None, id="a Linux node"),
        pytest.param(spec(sized("5")), node(**{"kubernetes.io/os": "windows"}), WINDOWS, id="no other system, whatever is asked for"),
    ],
)
def test_what_a_node_can_hold(wanted: Object, on: Object, expected: tuple[str, str] | None) -> None:
    assert refusal(wanted, on) == expected


async def test_a_resize_beyond_the_node_is_refused() -> None:
    async with served() as api:
        await api.ok("POST", "/api/v1/nodes", {"metadata": {"name": "n"}})
        await api.ok("PATCH", "/api/v1/nodes/n/status", {"status": node()["status"]}, content_type=MERGE)
        for name, where in (("bound", {"nodeName": "n"}), ("free", {}), ("lost", {"nodeName": "gone"})):
            await api.ok("POST", PODS, {"metadata": {"name": name}, "spec": {**spec({"name": "c", "image": "i", **sized()}), **where}})

        async def resized(name: str, cpu: str) -> Any:
            change = {"spec": {"containers": [{"name": "c", **sized(cpu)}]}}
            return await api.call("PATCH", f"{PODS}/{name}/resize", change, content_type=STRATEGIC)

        reply = await resized("bound", "4001m")
        assert (reply.status, reply.body["reason"], reply.message) == (403, "Forbidden", f'pods "bound" is forbidden: {CPU[1]}')
        assert reply.body["details"] == {"name": "bound", "kind": "pods", "causes": [{"reason": NODE_CAPACITY}]}
        assert (await resized("bound", "4")).status == 200
        assert (await resized("free", "4001m")).status == 200, "it has no node yet"
        reply = await resized("lost", "2")
        assert (reply.status, reply.message) == (403, 'pods "lost" is forbidden: node "gone" not found')
        await api.ok("PATCH", "/api/v1/nodes/n/status", {"status": {"allocatable": {"cpu": "2"}}}, content_type=MERGE)
        assert (await resized("bound", "4")).status == 200, "what changes nothing is not asked about"
