"""NodeDeclaredFeatureValidator: which changes of a pod need which features, and who is asked."""

from __future__ import annotations

from typing import Any

import pytest

from apiserver.admission.node_declared_features import INIT_CONTAINER_RESIZE, POD_LEVEL_RESIZE, required_features
from kube.objects import Object
from tests.component.served import MERGE, PODS, STRATEGIC, Api, served

ONE, TWO = {"requests": {"cpu": "1"}}, {"requests": {"cpu": "2"}}


def spec(own: Object | None = None, container: Object = ONE, init: Object = ONE, **rest: Any) -> Object:
    found: Object = {"containers": [{"name": "c", "resources": container}], "initContainers": [{"name": "i", "resources": init, **rest}]}
    return found if own is None else {**found, "resources": own}


@pytest.mark.parametrize(
    ("old", "new", "needed"),
    [
        pytest.param(spec(), spec(), [], id="nothing changes"),
        pytest.param(spec(), spec(container=TWO), [], id="a container is resized: every node can"),
        pytest.param(spec(), spec(init=TWO), [INIT_CONTAINER_RESIZE], id="an init container is resized"),
        pytest.param(spec(restartPolicy="Always"), spec(init=TWO, restartPolicy="Always"), [], id="a sidecar is resized"),
        pytest.param(spec(own=ONE), spec(own=TWO), [POD_LEVEL_RESIZE], id="the pod as a whole is resized"),
        pytest.param(spec(), spec(own=ONE), [POD_LEVEL_RESIZE], id="the pod as a whole gets resources"),
        pytest.param(spec(), spec(own={}), [], id="nothing is as if absent"),
        pytest.param(spec(own=ONE), spec(own=TWO, init=TWO), [POD_LEVEL_RESIZE, INIT_CONTAINER_RESIZE], id="both, in order"),
    ],
)
def test_what_a_change_needs(old: Object, new: Object, needed: list[str]) -> None:
    assert required_features(new, old) == needed


async def bound(api: Api, name: str, node: str) -> None:
    body = {"metadata": {"name": name}, "spec": {**spec(init=ONE), "nodeName": node}}
    for each in (*body["spec"]["containers"], *body["spec"]["initContainers"]):
        each["image"] = "i"
    await api.ok("POST", PODS, body)


async def resized(api: Api, name: str, part: str, container: str) -> Any:
    change = {"spec": {part: [{"name": container, "resources": TWO}]}}
    return await api.call("PATCH", f"{PODS}/{name}/resize", change, content_type=STRATEGIC)


async def test_the_node_is_asked() -> None:
    async with served() as api:
        await api.ok("POST", "/api/v1/nodes", {"metadata": {"name": "n"}, "status": {"allocatable": {"cpu": "8"}}})
        await bound(api, "p", "n")
        reply = await resized(api, "p", "initContainers", "i")
        why = f'pods "p" is forbidden: pod update requires features {INIT_CONTAINER_RESIZE} which are not available on node "n"'
        assert (reply.status, reply.message) == (403, why)
        assert (await resized(api, "p", "containers", "c")).status == 200
        status = {"status": {"declaredFeatures": [INIT_CONTAINER_RESIZE]}}
        await api.ok("PATCH", "/api/v1/nodes/n/status", status, content_type=MERGE)
        assert (await resized(api, "p", "initContainers", "i")).status == 200
        assert (await resized(api, "p", "initContainers", "i")).status == 200, "what changes nothing needs nothing"


async def test_a_node_that_is_not_there_can_nothing() -> None:
    async with served() as api:
        await bound(api, "p", "gone")
        reply = await resized(api, "p", "initContainers", "i")
        assert (reply.status, reply.message) == (403, 'pods "p" is forbidden: node "gone" not found')
