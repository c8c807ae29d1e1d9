"""Upstream's conformance tests of StatefulSets and DaemonSets."""

from __future__ import annotations

import asyncio
from typing import Any

from kube.objects import Object, is_condition_true
from tests.component.conformance import ALL, APPS, NAMESPACE, World, names, pod, workload, world
from tests.component.served import MERGE, STRATEGIC
from tests.virtual import virtual

STATEFUL, DAEMONS, PODS, REVISIONS = f"{APPS}/statefulsets", f"{APPS}/daemonsets", f"{NAMESPACE}/pods", f"{APPS}/controllerrevisions"
UNREADY: Object = {"metadata": {"annotations": {"wherry.dev/readiness": "false"}}}
READY: Object = {"metadata": {"annotations": {"wherry.dev/readiness": None}}}
PROBED: Object = {"name": "c", "image": "app:1", "readinessProbe": {"httpGet": {"port": 80}, "periodSeconds": 1, "failureThreshold": 1}}


def image(name: str) -> Object:
    return {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": name}]}}}}


def image_of(found: Object) -> str:
    return str(found["spec"]["containers"][0]["image"])


async def ready(api: World, path: str, count: int) -> Object:
    return await api.where(path, lambda found: found["status"].get("readyReplicas", 0) == count == found["status"]["replicas"])


async def ordinals(api: World, selector: str = "app%3Dss") -> list[int]:
    return [int(each.rpartition("-")[2]) for each in names(await api.items(f"{PODS}?labelSelector={selector}"))]


async def comings_and_goings(api: World, since: str) -> list[tuple[str, str]]:
    seen = await api.events(f"{PODS}?watch=1&labelSelector=app%3Dss&resourceVersion={since}", ALL)
    return [(each["type"], each["object"]["metadata"]["name"]) for each in seen if each["type"] in ("ADDED", "DELETED")]


async def stateful(api: World, replicas: int, **spec: Any) -> str:
    """A StatefulSet `ss` whose pods have readiness probes; where watches of its pods begin."""
    await api.ok("POST", STATEFUL, workload("ss", replicas, PROBED, serviceName="svc", **spec))
    return str((await api.ok("GET", PODS))["metadata"]["resourceVersion"])


@virtual
async def test_pods_come_up_in_order_go_in_reverse_and_wait_for_the_unhealthy() -> None:
    async with world() as api:
        since = await stateful(api, 1)
        await ready(api, f"{STATEFUL}/ss", 1)
        await api.ok("PATCH", f"{PODS}/ss-0", UNREADY, content_type=MERGE)
        await api.where(f"{STATEFUL}/ss", lambda found: not found["status"].get("readyReplicas"))
        await api.ok("PATCH", f"{STATEFUL}/ss/scale", {"spec": {"replicas": 3}}, content_type=MERGE)
        await asyncio.sleep(60)
        assert await ordinals(api) == [0], "none comes while one is unhealthy"
        await api.ok("PATCH", f"{PODS}/ss-0", READY, content_type=MERGE)
        await ready(api, f"{STATEFUL}/ss", 3)
        for each in range(3):
            await api.ok("PATCH", f"{PODS}/ss-{each}", UNREADY, content_type=MERGE)
        await api.where(f"{STATEFUL}/ss", lambda found: not found["status"].get("readyReplicas"))
        await api.ok("PATCH", f"{STATEFUL}/ss/scale", {"spec": {"replicas": 0}}, content_type=MERGE)
        await asyncio.sleep(60)
        assert await ordinals(api) == [0, 1, 2], "none goes while one is unhealthy"
        for each in range(3):
            await api.ok("PATCH", f"{PODS}/ss-{each}", READY, content_type=MERGE)
        await api.items(PODS, lambda found: not found)
        assert await comings_and_goings(api, since) == [
            *(("ADDED", f"ss-{each}") for each in (0, 1, 2)),
            *(("DELETED", f"ss-{each}") for each in (2, 1, 0)),
        ]


@virtual
async def test_parallel_sets_wait_for_nobody() -> None:
    async with world() as api:
        await stateful(api, 1, podManagementPolicy="Parallel")
        await ready(api, f"{STATEFUL}/ss", 1)
        await api.ok("PATCH", f"{PODS}/ss-0", UNREADY, content_type=MERGE)
        await api.where(f"{STATEFUL}/ss", lambda found: not found["status"].get("readyReplicas"))
        await api.ok("PATCH", f"{STATEFUL}/ss/scale", {"spec": {"replicas": 3}}, content_type=MERGE)
        await api.where(f"{STATEFUL}/ss", lambda found: found["status"].get("readyReplicas") == 2)
        await api.ok("PATCH", f"{STATEFUL}/ss/scale", {"spec": {"replicas": 0}}, content_type=MERGE)
        await api.items(PODS, lambda found: not found)


@virtual
async def test_a_failed_pod_is_made_again() -> None:
    async with world(nodes=1) as api:
        ports = {"name": "c", "image": "app:1", "ports": [{"containerPort": 80, "hostPort": 2100}]}
        node = names(await api.items("/api/v1/nodes"))[0]
        await api.ok("POST", PODS, pod("blocker", ports, nodeName=node))
        await api.ready("blocker")
        start = (await api.ok("GET", PODS))["metadata"]["resourceVersion"]
        await api.ok("POST", STATEFUL, workload("ss", 1, ports, serviceName="svc", pod_spec={"nodeName": node}))
        seen = await api.events(f"{PODS}?watch=1&fieldSelector=metadata.name%3Dss-0&resourceVersion={start}", 8)
        assert "DELETED" in [each["type"] for each in seen]
        assert "Failed" in [each["object"]["status"]["phase"] for each in seen]
        await api.ok("DELETE", f"{PODS}/blocker?gracePeriodSeconds=0")
        await api.where(f"{PODS}/ss-0", lambda found: found["status"]["phase"] == "Running")


def under_way(found: Object) -> bool:
    return bool(found["status"]["updateRevision"] != found["status"]["currentRevision"])


@virtual
async def test_rolling_updates_and_rollbacks_go_from_the_highest_ordinal_down() -> None:
    async with world() as api:
        await stateful(api, 3)
        await ready(api, f"{STATEFUL}/ss", 3)
        before = (await api.ok("GET", f"{STATEFUL}/ss"))["status"]
        assert before["currentRevision"] == before["updateRevision"]
        for name, revisions in (("app:2", 2), ("app:1", 2)):
            since = (await api.ok("GET", PODS))["metadata"]["resourceVersion"]
            await api.ok("PATCH", f"{STATEFUL}/ss", image(name), content_type=STRATEGIC)
            wanted = (await api.where(f"{STATEFUL}/ss", under_way, poll_s=0.01))["status"]["updateRevision"]

            def done(found: Object, wanted: str = wanted) -> bool:
                status = found["status"]
                return bool(status["currentRevision"] == status["updateRevision"] == wanted and status["readyReplicas"] == 3)

            await api.where(f"{STATEFUL}/ss", done)
            assert [each for each in await comings_and_goings(api, since) if each[0] == "DELETED"] == [
                ("DELETED", f"ss-{each}") for each in (2, 1, 0)
            ]
            assert {image_of(each) for each in await api.items(PODS)} == {name}
            assert len(await api.items(REVISIONS)) == revisions, "a template that was there before is not a new revision"
        assert wanted == before["updateRevision"]


async def made_again(api: World, name: str, uid: str) -> None:
    await api.where(f"{PODS}/{name}", lambda found: found["metadata"]["uid"] != uid and is_condition_true(found, "Ready"))


@virtual
async def test_an_update_stops_at_its_partition() -> None:
    async with world() as api:
        rolling = {"type": "RollingUpdate", "rollingUpdate": {"partition": 3}}
        await stateful(api, 3, updateStrategy=rolling)
        await ready(api, f"{STATEFUL}/ss", 3)

        async def images() -> list[str]:
            return [image_of(each) for each in await api.items(f"{PODS}?labelSelector=app%3Dss")]

        async def partition(at: int) -> None:
            changed = {"spec": {"updateStrategy": {"rollingUpdate": {"partition": at}}}}
            await api.ok("PATCH", f"{STATEFUL}/ss", changed, content_type=MERGE)

        async def come_to(wanted: list[str]) -> None:
            async def there() -> bool:
                return await images() == wanted

            await api.until(there)
            await ready(api, f"{STATEFUL}/ss", 3)

        await api.ok("PATCH", f"{STATEFUL}/ss", image("app:2"), content_type=STRATEGIC)
        await asyncio.sleep(60)
        assert await images() == ["app:1"] * 3, "none is beyond the partition"
        await partition(2)
        await come_to(["app:1", "app:1", "app:2"])
        for name in ("ss-0", "ss-2"):
            uid = (await api.ok("GET", f"{PODS}/{name}"))["metadata"]["uid"]
            await api.ok("DELETE", f"{PODS}/{name}")
            await made_again(api, name, uid)
        assert await images() == ["app:1", "app:1", "app:2"], "each comes back as its side of the partition says"
        await partition(0)
        await come_to(["app:2"] * 3)


@virtual
async def test_a_stateful_set_is_scaled_patched_and_removed() -> None:
    async with world() as api:
        await stateful(api, 1)
        await ready(api, f"{STATEFUL}/ss", 1)
        scale = await api.ok("GET", f"{STATEFUL}/ss/scale")
        assert (scale["spec"]["replicas"], scale["status"]["replicas"]) == (1, 1)
        await api.ok("PUT", f"{STATEFUL}/ss/scale", {**scale, "spec": {"replicas": 2}})
        await ready(api, f"{STATEFUL}/ss", 2)
        await api.ok("PATCH", f"{STATEFUL}/ss/scale", {"spec": {"replicas": 4}}, content_type=MERGE)
        await ready(api, f"{STATEFUL}/ss", 4)
        changed = image("app:2") | {"metadata": {"labels": {"e2e": "patched"}}}
        changed["spec"]["replicas"] = 2
        await api.ok("PATCH", f"{STATEFUL}/ss", changed, content_type=STRATEGIC)
        await api.where(f"{STATEFUL}/ss", lambda found: found["status"].get("readyReplicas") == found["status"].get("updatedReplicas") == 2)
        assert names(await api.items(f"{STATEFUL}?labelSelector=e2e%3Dpatched")) == ["ss"]
        await api.ok("DELETE", f"{STATEFUL}?labelSelector=e2e%3Dpatched")
        await api.items(PODS, lambda found: not found)


# --- DaemonSets -----------------------------------------------------------------------------------------------------------------


async def on_each_node(api: World, count: int, *, image_name: str = "app:1") -> list[Object]:
    def one_each(found: list[Object]) -> bool:
        good = [each for each in found if is_condition_true(each, "Ready") and image_of(each) == image_name]
        return len(found) == len(good) == len({each["spec"]["nodeName"] for each in good}) == count

    return await api.items(f"{PODS}?labelSelector=app%3Dds", one_each)


@virtual
async def test_a_daemon_runs_on_each_node_and_comes_back() -> None:
    async with world(nodes=3) as api:
        await api.ok("POST", DAEMONS, workload("ds", None, {"name": "c", "image": "app:1"}))
        pods = await on_each_node(api, 3)
        await api.ok("DELETE", f"{PODS}/{pods[0]['metadata']['name']}")
        await api.gone(f"{PODS}/{pods[0]['metadata']['name']}")
        again = await on_each_node(api, 3)
        assert len(set(names(again)) & set(names(pods))) == 2
        failed = {"status": {"phase": "Failed"}}
        await api.ok("PATCH", f"{PODS}/{names(again)[0]}/status", failed, content_type=MERGE)
        await api.gone(f"{PODS}/{names(again)[0]}")
        await on_each_node(api, 3)
        found = await api.where(f"{DAEMONS}/ds", lambda found: found["status"]["numberReady"] == 3)
        counts = [found["status"][key] for key in ("desiredNumberScheduled", "currentNumberScheduled", "updatedNumberScheduled")]
        assert counts == [3, 3, 3]


@virtual
async def test_a_daemon_runs_where_its_selector_says() -> None:
    async with world(nodes=2) as api:
        node = names(await api.items("/api/v1/nodes"))[0]
        body = workload("ds", None, {"name": "c", "image": "app:1"}, pod_spec={"nodeSelector": {"color": "blue"}})
        await api.ok("POST", DAEMONS, body)
        await asyncio.sleep(30)
        assert await api.items(PODS) == []
        await api.ok("PATCH", f"/api/v1/nodes/{node}", {"metadata": {"labels": {"color": "blue"}}}, content_type=MERGE)
        assert (await on_each_node(api, 1))[0]["spec"]["nodeName"] == node
        await api.ok("PATCH", f"/api/v1/nodes/{node}", {"metadata": {"labels": {"color": "green"}}}, content_type=MERGE)
        await api.items(PODS, lambda found: not found)
        changed = {"spec": {"template": {"spec": {"nodeSelector": {"color": "green"}}}}}
        await api.ok("PATCH", f"{DAEMONS}/ds", changed, content_type=MERGE)
        assert (await on_each_node(api, 1))[0]["spec"]["nodeName"] == node


@virtual
async def test_a_daemon_is_updated_node_by_node_and_has_its_revisions() -> None:
    async with world(nodes=2) as api:
        await api.ok("POST", DAEMONS, workload("ds", None, {"name": "c", "image": "app:1"}))
        await on_each_node(api, 2)
        (first,) = await api.items(REVISIONS)
        assert (first["revision"], first["metadata"]["labels"]["app"]) == (1, "ds")
        await api.ok("PATCH", f"{DAEMONS}/ds", image("app:2"), content_type=STRATEGIC)
        pods = await on_each_node(api, 2, image_name="app:2")
        revisions = await api.items(REVISIONS)
        assert sorted(each["revision"] for each in revisions) == [1, 2]
        newest = next(each for each in revisions if each["revision"] == 2)
        hashes = {each["metadata"]["labels"]["controller-revision-hash"] for each in pods}
        assert hashes == {newest["metadata"]["labels"]["controller-revision-hash"]}


@virtual
async def test_a_rollback_leaves_daemons_that_never_changed_alone() -> None:
    async with world(nodes=3) as api:
        await api.ok("POST", DAEMONS, workload("ds", None, {"name": "c", "image": "app:1"}))
        before = await on_each_node(api, 3)
        await api.ok("PATCH", f"{DAEMONS}/ds", image("registry.example.com/app:missing"), content_type=STRATEGIC)
        await api.items(PODS, lambda found: any(image_of(each).endswith("missing") for each in found))
        await api.ok("PATCH", f"{DAEMONS}/ds", image("app:1"), content_type=STRATEGIC)
        after = await on_each_node(api, 3)
        assert len(set(names(after)) & set(names(before))) == 2
        statuses = [each["status"]["containerStatuses"][0]["restartCount"] for each in after]
        assert statuses == [0, 0, 0]


@virtual
async def test_revisions_of_a_daemon_are_changed_made_and_removed() -> None:
    async with world(nodes=1) as api:
        await api.ok("POST", DAEMONS, workload("ds", None, {"name": "c", "image": "app:1"}))
        await on_each_node(api, 1)
        (first,) = await api.items(REVISIONS)
        path, owner = f"{REVISIONS}/{first['metadata']['name']}", first["metadata"]["ownerReferences"]
        patched = await api.ok("PATCH", path, {"metadata": {"labels": {"e2e": "patched"}}}, content_type=MERGE)
        assert patched["metadata"]["labels"]["e2e"] == "patched"
        body = {"metadata": {"name": "made", "labels": {"app": "ds"}, "ownerReferences": owner}, "data": first["data"], "revision": 2}
        await api.ok("POST", REVISIONS, body)
        assert len(await api.items(f"{REVISIONS}?labelSelector=app%3Dds")) == 2
        await api.ok("DELETE", path)
        await api.items(REVISIONS, lambda found: len(found) == 1)
        current = await api.ok("GET", f"{REVISIONS}/made")
        current["metadata"]["labels"]["e2e"] = "updated"
        await api.ok("PUT", f"{REVISIONS}/made", current)
        await api.ok(
            "PATCH", f"{DAEMONS}/ds", {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 5}}}}, content_type=STRATEGIC
        )
        await api.items(REVISIONS, lambda found: len(found) == 2)
        await api.ok("DELETE", f"{REVISIONS}?labelSelector=e2e%3Dupdated")
        (left,) = await api.items(REVISIONS, lambda found: len(found) == 1)
        assert left["revision"] == 3
