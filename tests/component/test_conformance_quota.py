"""Upstream's conformance tests of ResourceQuota and LimitRange."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from kube.objects import Object
from tests.component.conformance import APPS, NAMESPACE, World, names, pod, workload, world
from tests.component.served import MERGE, served
from tests.virtual import virtual

QUOTAS, PODS, RANGES = f"{NAMESPACE}/resourcequotas", f"{NAMESPACE}/pods", f"{NAMESPACE}/limitranges"


async def quota(api: World, name: str, hard: Mapping[str, str], scope: str = "") -> None:
    """A quota that has been counted."""
    spec: Object = {"hard": dict(hard)} | ({"scopes": [scope]} if scope else {})
    await api.ok("POST", QUOTAS, {"metadata": {"name": name}, "spec": spec})
    await api.where(f"{QUOTAS}/{name}", lambda found: found.get("status", {}).get("hard") == hard)


async def used(api: World, name: str, **wanted: str) -> None:
    """Wait until the quota's use is told to be that; underscores stand for what identifiers cannot have."""
    texts = {key.replace("__", "/").replace("_", "."): value for key, value in wanted.items()}

    def told(found: Object) -> bool:
        counts = found["status"]["used"]
        return all(counts.get(key) == value for key, value in texts.items())

    await api.where(f"{QUOTAS}/{name}", told)


def asking(name: str, requests: Mapping[str, str], limits: Mapping[str, str] | None = None, **spec: Any) -> Object:
    return pod(name, {"name": "c", "image": "pause:3", "resources": {"requests": dict(requests), "limits": dict(limits or {})}}, **spec)


REPLICAS: Object = workload("w", 0)
LEGACY: Object = {"metadata": {"name": "w"}, "spec": {**REPLICAS["spec"], "selector": {"app": "w"}}}


@pytest.mark.parametrize(
    ("counted", "path", "body"),
    [
        pytest.param("configmaps", f"{NAMESPACE}/configmaps", {"metadata": {"name": "w"}}, id="configmap"),
        pytest.param("secrets", f"{NAMESPACE}/secrets", {"metadata": {"name": "w"}}, id="secret"),
        pytest.param("services", f"{NAMESPACE}/services", {"metadata": {"name": "w"}, "spec": {"ports": [{"port": 80}]}}, id="service"),
        pytest.param("count/replicasets.apps", f"{APPS}/replicasets", REPLICAS, id="replicaset"),
        pytest.param("replicationcontrollers", f"{NAMESPACE}/replicationcontrollers", LEGACY, id="replicationcontroller"),
    ],
)
@virtual
async def test_objects_are_counted_and_given_back(counted: str, path: str, body: Object) -> None:
    async with world(nodes=0) as api:
        before = str(len(await api.items(path)))
        after = str(int(before) + 1)
        await quota(api, "q", {counted: "5", "resourcequotas": "3"})
        found = await api.where(f"{QUOTAS}/q", lambda found: found["status"]["used"] == {counted: before, "resourcequotas": "1"})
        assert found["status"]["hard"] == found["spec"]["hard"]
        await api.ok("POST", path, body)
        await api.where(f"{QUOTAS}/q", lambda found: found["status"]["used"][counted] == after)
        await api.ok("DELETE", f"{path}/w", {"propagationPolicy": "Background"})
        await api.where(f"{QUOTAS}/q", lambda found: found["status"]["used"][counted] == before)


@virtual
async def test_a_service_quota_limits_each_type() -> None:
    async with world(nodes=0) as api:
        await quota(api, "q", {"services": "4", "services.nodeports": "1", "services.loadbalancers": "1"})

        async def make(name: str, kind: str) -> int:
            body = {"metadata": {"name": name}, "spec": {"type": kind, "ports": [{"port": 80}], "allocateLoadBalancerNodePorts": None}}
            return (await api.call("POST", f"{NAMESPACE}/services", body)).status

        assert await make("cluster", "ClusterIP") == 201
        assert await make("port", "NodePort") == 201
        assert await make("port-too-many", "NodePort") == 403
        await used(api, "q", services_nodeports="1")
        await api.ok("DELETE", f"{NAMESPACE}/services/port")
        await used(api, "q", services_nodeports="0")


@virtual
async def test_what_pods_ask_for_is_counted_and_bounded() -> None:
    async with world(nodes=1) as api:
        asked = {"cpu": "500m", "memory": "252Mi", "ephemeral-storage": "30Gi", "example.com/dongle": "2"}
        hard = {"pods": "5", "cpu": "1", "memory": "500Mi", "ephemeral-storage": "50Gi", "requests.example.com/dongle": "3"}
        await quota(api, "q", hard)
        dongles = {"example.com/dongle": "2"}
        await api.ok("POST", PODS, asking("first", asked, dongles))
        await used(api, "q", pods="1", cpu="500m", memory="252Mi", requests_example_com__dongle="2")
        refused = await api.call("POST", PODS, asking("second", {"cpu": "600m", "memory": "100Mi", "ephemeral-storage": "1Gi"}))
        assert (refused.status, "exceeded quota: q, requested: cpu=600m" in refused.message) == (403, True)
        more = {"cpu": "100m", "memory": "100Mi", "ephemeral-storage": "1Gi", "example.com/dongle": "2"}
        refused = await api.call("POST", PODS, asking("third", more, dongles))
        assert (refused.status, "requests.example.com/dongle=2" in refused.message) == (403, True)
        change = {
            "spec": {
                "containers": [{"name": "c", "image": "pause:3", "resources": {"requests": {**asked, "cpu": "100m"}, "limits": dongles}}]
            }
        }
        assert (await api.call("PATCH", f"{PODS}/first", change, content_type=MERGE)).status == 422
        await used(api, "q", cpu="500m")
        await api.ok("DELETE", f"{PODS}/first?gracePeriodSeconds=0")
        await used(api, "q", pods="0", cpu="0", memory="0", requests_example_com__dongle="0")


@virtual
async def test_scopes_say_whose_quota_it_is() -> None:
    async with world(nodes=1) as api:
        for scope in ("BestEffort", "NotBestEffort", "Terminating", "NotTerminating"):
            await quota(api, scope.lower(), {"pods": "5"}, scope)
        bounded = {"cpu": "500m", "memory": "200Mi"}
        bodies = {
            "besteffort": (pod("p"), {"besteffort": "1", "notbesteffort": "0"}),
            "notbesteffort": (asking("p", bounded, {"cpu": "1", "memory": "400Mi"}), {"besteffort": "0", "notbesteffort": "1"}),
            "terminating": (asking("p", bounded, activeDeadlineSeconds=3600), {"terminating": "1", "notterminating": "0"}),
            "notterminating": (asking("p", bounded), {"terminating": "0", "notterminating": "1"}),
        }
        for body, wanted in bodies.values():
            await api.ok("POST", PODS, body)
            for name, count in wanted.items():
                await used(api, name, pods=count)
            await api.ok("DELETE", f"{PODS}/p?gracePeriodSeconds=0")
            for name in wanted:
                await used(api, name, pods="0")


@virtual
async def test_a_quota_is_changed_and_told_of() -> None:
    async with world(nodes=0) as api:
        await quota(api, "q", {"cpu": "1", "memory": "500Mi"})
        current = await api.ok("GET", f"{QUOTAS}/q")
        current["spec"]["hard"] = {"cpu": "2", "memory": "1Gi"}
        await api.ok("PUT", f"{QUOTAS}/q", current)
        found = await api.where(f"{QUOTAS}/q", lambda found: found["status"]["hard"] == {"cpu": "2", "memory": "1Gi"})
        assert found["status"]["used"] == {"cpu": "0", "memory": "0"}
        raised = await api.ok("PATCH", f"{QUOTAS}/q/status", {"status": {"hard": {"cpu": "9"}}}, content_type=MERGE)
        assert (raised["status"]["hard"]["cpu"], raised["spec"]["hard"]["cpu"]) == ("9", "2"), "the spec is not touched"
        await api.where(f"{QUOTAS}/q", lambda found: found["status"]["hard"]["cpu"] == "2", within_s=700)
        await api.ok("DELETE", f"{QUOTAS}/q")
        await api.gone(f"{QUOTAS}/q")


@virtual
async def test_a_controller_cannot_make_more_pods_than_its_quota_allows() -> None:
    async with world(nodes=1) as api:
        await quota(api, "q", {"pods": "2"})
        path = f"{NAMESPACE}/replicationcontrollers/w"
        await api.ok("POST", f"{NAMESPACE}/replicationcontrollers", {**LEGACY, "spec": {**LEGACY["spec"], "replicas": 3}})

        def failing(found: Object) -> bool:
            return any(each["type"] == "ReplicaFailure" for each in found["status"].get("conditions", []))

        await api.where(path, failing)
        await api.ok("PATCH", path, {"spec": {"replicas": 2}}, content_type=MERGE)
        await api.where(path, lambda found: not failing(found) and found["status"]["replicas"] == 2)


# --- limit ranges ---------------------------------------------------------------------------------------------------------------


@virtual
async def test_a_limit_range_gives_defaults_and_bounds() -> None:
    async with served() as api:
        item: Object = {
            "type": "Container",
            "min": {"cpu": "50m", "memory": "100Mi"},
            "max": {"cpu": "500m", "memory": "500Mi"},
            "default": {"cpu": "500m", "memory": "500Mi"},
            "defaultRequest": {"cpu": "100m", "memory": "200Mi"},
        }
        await api.ok("POST", RANGES, {"metadata": {"name": "l"}, "spec": {"limits": [item]}})

        async def resources(name: str, **given: Any) -> Object:
            made = await api.ok("POST", PODS, pod(name, {"name": "c", "image": "i", "resources": given}))
            return dict(made["spec"]["containers"][0]["resources"])

        assert await resources("none") == {"requests": item["defaultRequest"], "limits": item["default"]}
        partial = await resources("some", requests={"cpu": "140m", "memory": "150Mi"}, limits={"memory": "300Mi"})
        assert partial == {"requests": {"cpu": "140m", "memory": "150Mi"}, "limits": {"cpu": "500m", "memory": "300Mi"}}
        for name, bad in (("low", {"requests": {"cpu": "10m"}}), ("high", {"limits": {"memory": "600Mi"}})):
            assert (await api.call("POST", PODS, pod(name, {"name": "c", "image": "i", "resources": bad}))).status == 403
        current = await api.ok("GET", f"{RANGES}/l")
        current["spec"]["limits"][0]["min"] = {"cpu": "9m", "memory": "49Mi"}
        await api.ok("PUT", f"{RANGES}/l", current)
        assert (await resources("now", requests={"cpu": "10m", "memory": "50Mi"}))["requests"] == {"cpu": "10m", "memory": "50Mi"}
        await api.ok("DELETE", f"{RANGES}/l")
        assert await resources("free") == {}


async def test_limit_ranges_of_two_namespaces() -> None:
    async with served() as api:
        await api.ok("POST", "/api/v1/namespaces", {"metadata": {"name": "other"}})
        body = {"metadata": {"name": "l", "labels": {"e2e": "l"}}, "spec": {"limits": [{"type": "Container", "min": {"cpu": "50m"}}]}}
        for path in (RANGES, RANGES.replace("default", "other")):
            await api.ok("POST", path, body)
        listed = await api.ok("GET", "/api/v1/limitranges?labelSelector=e2e%3Dl")
        assert names(listed["items"]) == ["l", "l"]
        change = {"metadata": {"labels": {"e2e": "patched"}}, "spec": {"limits": [{"type": "Container", "min": {"cpu": "40m"}}]}}
        patched = await api.ok("PATCH", f"{RANGES}/l", change, content_type=MERGE)
        assert (patched["metadata"]["labels"], patched["spec"]["limits"][0]["min"]) == ({"e2e": "patched"}, {"cpu": "40m"})
        await api.ok("DELETE", f"{RANGES}?labelSelector=e2e%3Dpatched")
        left = (await api.ok("GET", "/api/v1/limitranges"))["items"]
        assert [each["metadata"]["namespace"] for each in left] == ["other"]
