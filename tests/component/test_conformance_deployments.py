"""Upstream's conformance tests of Deployments, ReplicaSets and ReplicationControllers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kube.objects import Object, is_condition_true
from tests.component.conformance import APPS, NAMESPACE, World, condition, names, pod, workload, world
from tests.component.served import MERGE, STRATEGIC
from tests.virtual import virtual

DEPLOYMENTS, SETS, PODS = f"{APPS}/deployments", f"{APPS}/replicasets", f"{NAMESPACE}/pods"
REVISION = "deployment.kubernetes.io/revision"
MISSING = "registry.example.com/app:missing"


def is_complete(found: Object) -> bool:
    status, wanted = found.get("status", {}), found["spec"]["replicas"]
    counts = [status.get(key, 0) for key in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")]
    return status.get("observedGeneration") == found["metadata"]["generation"] and counts == [wanted] * 4


def image(name: str) -> Object:
    return {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": name}]}}}}


async def rolled_out(api: World, name: str) -> Object:
    return await api.where(f"{DEPLOYMENTS}/{name}", is_complete)


async def sets_of(api: World, name: str) -> list[Object]:
    """Its ReplicaSets by revision."""
    found = await api.items(f"{SETS}?labelSelector=app%3D{name}")
    return sorted(found, key=lambda each: int(each["metadata"].get("annotations", {}).get(REVISION, 0)))


def running(image_name: str, count: int) -> Any:
    def holds(found: list[Object]) -> bool:
        return [each["spec"]["containers"][0]["image"] for each in found if is_condition_true(each, "Ready")] == [image_name] * count

    return holds


@virtual
async def test_a_rolling_update_adopts_what_is_there_and_replaces_it() -> None:
    async with world() as api:
        labels = {"app": "web"}
        first = workload("web", 1, {"name": "c", "image": "old:1"})
        first["metadata"]["annotations"] = {REVISION: "3546343826724305832"}
        await api.ok("POST", SETS, first)
        await api.where(f"{SETS}/web", lambda found: found["status"].get("readyReplicas") == 1)
        await api.ok("POST", DEPLOYMENTS, workload("web", 1, {"name": "c", "image": "new:1"}))
        done = await rolled_out(api, "web")
        assert done["metadata"]["annotations"][REVISION] == "3546343826724305833"
        old, new = await sets_of(api, "web")
        assert (old["metadata"]["name"], old["spec"]["replicas"], new["spec"]["replicas"]) == ("web", 0, 1)
        assert old["metadata"]["ownerReferences"][0]["uid"] == done["metadata"]["uid"]
        assert new["spec"]["selector"]["matchLabels"] == labels | {"pod-template-hash": new["metadata"]["labels"]["pod-template-hash"]}
        await api.items(PODS, running("new:1", 1))


@virtual
async def test_recreate_never_runs_old_and_new_pods_together() -> None:
    async with world() as api:
        await api.ok("POST", DEPLOYMENTS, workload("web", 2, {"name": "c", "image": "app:1"}, strategy={"type": "Recreate"}))
        await rolled_out(api, "web")
        start = (await api.ok("GET", PODS))["metadata"]["resourceVersion"]
        await api.ok("PATCH", f"{DEPLOYMENTS}/web", image("app:2"), content_type=STRATEGIC)
        await rolled_out(api, "web")
        alive: dict[str, str] = {each["metadata"]["name"]: "app:1" for each in await api.items(PODS) if "app:1" in str(each["spec"])}
        for event in await api.events(f"{PODS}?watch=1&resourceVersion={start}", 1000):
            found = event["object"]
            if event["type"] == "DELETED" or found["status"]["phase"] in ("Succeeded", "Failed"):
                alive.pop(found["metadata"]["name"], None)
            else:
                alive[found["metadata"]["name"]] = found["spec"]["containers"][0]["image"]
            assert len(set(alive.values())) < 2
        assert list(alive.values()) == ["app:2", "app:2"]


@virtual
async def test_old_replica_sets_go_beyond_the_history_limit() -> None:
    async with world() as api:
        await api.ok("POST", SETS, workload("web", 1, {"name": "c", "image": "old:1"}))
        await api.where(f"{SETS}/web", lambda found: found["status"].get("readyReplicas") == 1)
        await api.ok("POST", DEPLOYMENTS, workload("web", 1, {"name": "c", "image": "new:1"}, revisionHistoryLimit=0))
        await rolled_out(api, "web")
        (left,) = await api.items(SETS, lambda found: len(found) == 1)
        assert left["spec"]["template"]["spec"]["containers"][0]["image"] == "new:1"


@virtual
async def test_a_rollout_takes_over_from_one_that_stands_still() -> None:
    async with world() as api:
        await api.ok("POST", SETS, workload("web", 1, {"name": "c", "image": "old:1"}))
        await api.where(f"{SETS}/web", lambda found: found["status"].get("readyReplicas") == 1)
        strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
        await api.ok("POST", DEPLOYMENTS, workload("web", 1, {"name": "c", "image": MISSING}, strategy=strategy, minReadySeconds=10))
        await api.where(f"{DEPLOYMENTS}/web", lambda found: found["status"].get("updatedReplicas") == 1)
        await api.ok("PATCH", f"{DEPLOYMENTS}/web", image("new:1"), content_type=STRATEGIC)
        await rolled_out(api, "web")
        assert [each["spec"]["replicas"] for each in await sets_of(api, "web")] == [0, 0, 1]


@virtual
async def test_replica_sets_grow_in_proportion() -> None:
    async with world(nodes=4) as api:
        strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 3, "maxUnavailable": 2}}
        await api.ok("POST", DEPLOYMENTS, workload("web", 10, {"name": "c", "image": "app:1"}, strategy=strategy))
        await rolled_out(api, "web")
        await api.ok("PATCH", f"{DEPLOYMENTS}/web", image(MISSING), content_type=STRATEGIC)

        async def sizes() -> list[int]:
            return [each["spec"]["replicas"] for each in await sets_of(api, "web")]

        async def stuck() -> bool:
            return await sizes() == [8, 5]

        await api.until(stuck)
        await api.ok("PATCH", f"{DEPLOYMENTS}/web/scale", {"spec": {"replicas": 30}}, content_type=MERGE)

        async def grown() -> bool:
            return await sizes() == [20, 13]

        await api.until(grown)


@virtual
async def test_the_life_of_a_deployment_with_its_pods() -> None:
    async with world() as api:
        path = f"{DEPLOYMENTS}/web"
        await api.ok("POST", DEPLOYMENTS, workload("web", 2, {"name": "c", "image": "app:1"}))
        await rolled_out(api, "web")
        patch = image("app:2") | {"metadata": {"labels": {"e2e": "patched"}}}
        await api.ok("PATCH", path, patch, content_type=STRATEGIC)
        assert (await rolled_out(api, "web"))["metadata"]["labels"]["e2e"] == "patched"
        scale = await api.ok("GET", f"{path}/scale")
        assert (scale["spec"]["replicas"], scale["status"]["replicas"]) == (2, 2)
        await api.ok("PUT", f"{path}/scale", {**scale, "spec": {"replicas": 3}})
        await rolled_out(api, "web")
        await api.ok("PATCH", f"{path}/scale", {"spec": {"replicas": 1}}, content_type=MERGE)
        await rolled_out(api, "web")
        status = await api.ok("PATCH", f"{path}/status", {"status": {"readyReplicas": 0, "availableReplicas": 0}}, content_type=MERGE)
        assert status["status"].get("readyReplicas", 0) == 0
        await rolled_out(api, "web")
        await api.ok("DELETE", f"{DEPLOYMENTS}?labelSelector=e2e%3Dpatched")
        await api.items(PODS, lambda found: not found)


# --- ReplicaSets and ReplicationControllers -------------------------------------------------------------------------------------


def legacy(name: str, replicas: int) -> Object:
    made = workload(name, replicas)
    return {**made, "spec": {**made["spec"], "selector": {"app": name}}}


BOTH = [
    pytest.param(SETS, workload, id="ReplicaSet"),
    pytest.param(f"{NAMESPACE}/replicationcontrollers", legacy, id="ReplicationController"),
]


@pytest.mark.parametrize(("path", "make"), BOTH)
@virtual
async def test_pods_are_adopted_and_released(path: str, make: Any) -> None:
    async with world() as api:
        await api.ok("POST", PODS, pod("orphan", labels={"app": "w"}))
        made = await api.ok("POST", path, make("w", 1))

        def controllers(found: Object) -> list[str]:
            return [each["uid"] for each in found["metadata"].get("ownerReferences", []) if each.get("controller")]

        await api.where(f"{PODS}/orphan", lambda found: controllers(found) == [made["metadata"]["uid"]])
        await api.ok("PATCH", f"{PODS}/orphan", {"metadata": {"labels": {"app": "free"}}}, content_type=MERGE)
        await api.where(f"{PODS}/orphan", lambda found: controllers(found) == [])
        (replacement,) = await api.items(f"{PODS}?labelSelector=app%3Dw", lambda found: len(found) == 1)
        assert controllers(replacement) == [made["metadata"]["uid"]]


@pytest.mark.parametrize(("path", "make"), BOTH)
@virtual
async def test_it_scales_and_is_changed(path: str, make: Any) -> None:
    async with world() as api:
        await api.ok("POST", path, make("w", 1))
        await api.where(f"{path}/w", lambda found: found["status"].get("readyReplicas") == 1)
        scale = await api.ok("GET", f"{path}/w/scale")
        assert (scale["spec"]["replicas"], scale["status"]["replicas"]) == (1, 1)
        await api.ok("PUT", f"{path}/w/scale", {**scale, "spec": {"replicas": 2}})
        await api.where(f"{path}/w", lambda found: found["status"].get("readyReplicas") == 2)
        await api.ok("PATCH", f"{path}/w/scale", {"spec": {"replicas": 4}}, content_type=MERGE)
        await api.where(f"{path}/w", lambda found: found["status"].get("readyReplicas") == 4)
        changed = image("new:1") | {"metadata": {"labels": {"e2e": "patched"}}}
        changed["spec"]["replicas"] = 3
        await api.ok("PATCH", f"{path}/w", changed, content_type=STRATEGIC)
        found = await api.where(f"{path}/w", lambda found: found["status"].get("readyReplicas") == 3)
        assert (found["metadata"]["labels"]["e2e"], found["spec"]["template"]["spec"]["containers"][0]["image"]) == ("patched", "new:1")
        await api.ok("DELETE", f"{path}?labelSelector=e2e%3Dpatched", {"propagationPolicy": "Background"})
        await api.items(PODS, lambda found: not found)


# --- disruption budgets ----------------------------------------------------------------------------------------------------------


@virtual
async def test_an_eviction_waits_until_the_budget_allows_it() -> None:
    budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
    async with world() as api:
        await api.ok("POST", budgets, {"metadata": {"name": "b"}, "spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "web"}}}})
        await api.ok("POST", SETS, workload("web", 2))
        found = await api.where(f"{budgets}/b", lambda found: found["status"].get("currentHealthy") == 2)
        assert [found["status"][key] for key in ("disruptionsAllowed", "desiredHealthy", "expectedPods")] == [0, 2, 2]
        assert condition(found, "DisruptionAllowed") == ("False", "InsufficientPods")
        victim = names(await api.items(PODS))[0]
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": victim}}
        refused = await api.call("POST", f"{PODS}/{victim}/eviction", eviction)
        assert (refused.status, refused.body["details"]["causes"][0]["reason"]) == (429, "DisruptionBudget")
        await api.ok("PATCH", f"{budgets}/b", {"spec": {"minAvailable": 1}}, content_type=MERGE)
        await api.where(f"{budgets}/b", lambda found: found["status"]["disruptionsAllowed"] == 1)
        await api.ok("POST", f"{PODS}/{victim}/eviction", eviction)
        await api.where(f"{PODS}/{victim}", lambda found: found["metadata"].get("deletionTimestamp"), within_s=5)
        await api.gone(f"{PODS}/{victim}")
        await api.where(f"{budgets}/b", lambda found: found["status"]["disruptionsAllowed"] == 1)
        await asyncio.sleep(60)
        assert len(await api.items(PODS)) == 2
