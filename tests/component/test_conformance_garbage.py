"""Upstream's conformance tests of the garbage collector and of namespaces that go."""

from __future__ import annotations

import asyncio
from typing import Any

from kube.objects import Object
from tests.component.conformance import APPS, NAMESPACE, World, names, pod, workload, world
from tests.component.served import MERGE
from tests.virtual import virtual

CONTROLLERS, PODS = f"{NAMESPACE}/replicationcontrollers", f"{NAMESPACE}/pods"


async def controller_with_pods(api: World, name: str, replicas: int) -> list[Object]:
    """A ReplicationController; its pods, once all are there."""
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "c", "image": "c"}]}}
    await api.ok(
        "POST", CONTROLLERS, {"metadata": {"name": name}, "spec": {"replicas": replicas, "selector": {"app": name}, "template": template}}
    )
    return await api.items(f"{PODS}?labelSelector=app%3D{name}", lambda found: len(found) == replicas)


def policy(propagation: str) -> Object:
    return {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": propagation}


@virtual
async def test_pods_of_a_controller_go_in_the_background() -> None:
    async with world() as api:
        await controller_with_pods(api, "rc", 2)
        await api.ok("DELETE", f"{CONTROLLERS}/rc", policy("Background"))
        await api.gone(f"{CONTROLLERS}/rc", within_s=1)
        await api.items(PODS, lambda found: not found)


@virtual
async def test_pods_of_a_controller_become_orphans() -> None:
    async with world() as api:
        before = await controller_with_pods(api, "rc", 10)
        await api.ok("DELETE", f"{CONTROLLERS}/rc", policy("Orphan"))
        await api.gone(f"{CONTROLLERS}/rc")
        await asyncio.sleep(60)
        after = await api.items(PODS)
        assert names(after) == names(before)
        assert not any(each["metadata"].get("ownerReferences") or each["metadata"].get("deletionTimestamp") for each in after)


@virtual
async def test_a_controller_stays_until_its_pods_are_gone() -> None:
    async with world() as api:
        await controller_with_pods(api, "rc", 10)
        for each in await api.items(PODS):
            held = {"metadata": {"finalizers": ["example.com/held"]}}
            await api.ok("PATCH", f"{PODS}/{each['metadata']['name']}", held, content_type=MERGE)
        await api.ok("DELETE", f"{CONTROLLERS}/rc", policy("Foreground"))
        await asyncio.sleep(60)
        assert (await api.ok("GET", f"{CONTROLLERS}/rc"))["metadata"]["finalizers"] == ["foregroundDeletion"]
        for each in await api.items(PODS, lambda found: all(each["metadata"].get("deletionTimestamp") for each in found)):
            await api.ok("PATCH", f"{PODS}/{each['metadata']['name']}", {"metadata": {"finalizers": None}}, content_type=MERGE)
        await api.gone(f"{CONTROLLERS}/rc")
        assert await api.items(PODS) == []


@virtual
async def test_what_has_another_owner_stays() -> None:
    async with world() as api:
        pods = await controller_with_pods(api, "going", 10)
        await controller_with_pods(api, "staying", 0)
        owner = await api.ok("GET", f"{CONTROLLERS}/staying")
        reference = {"apiVersion": "v1", "kind": "ReplicationController", "name": "staying", "uid": owner["metadata"]["uid"]}
        shared = pods[:5]
        for each in shared:
            owners = [*each["metadata"]["ownerReferences"], reference]
            change = {"metadata": {"ownerReferences": owners}}
            await api.ok("PATCH", f"{PODS}/{each['metadata']['name']}", change, content_type=MERGE)
        await api.ok("DELETE", f"{CONTROLLERS}/going", policy("Foreground"))
        await api.gone(f"{CONTROLLERS}/going")
        left = await api.items(PODS)
        assert names(left) == names(shared)
        assert not any(each["metadata"].get("deletionTimestamp") for each in left)
        assert {owner["name"] for each in left for owner in each["metadata"]["ownerReferences"]} == {"staying"}


@virtual
async def test_owners_in_a_circle_do_not_block() -> None:
    async with world() as api:
        uids: dict[str, Any] = {}
        for name in ("pod1", "pod2", "pod3"):
            uids[name] = (await api.ok("POST", PODS, pod(name)))["metadata"]["uid"]
        for name, owner in (("pod1", "pod3"), ("pod2", "pod1"), ("pod3", "pod2")):
            reference = {
                "apiVersion": "v1",
                "kind": "Pod",
                "name": owner,
                "uid": uids[owner],
                "controller": True,
                "blockOwnerDeletion": True,
            }
            await api.ok("PATCH", f"{PODS}/{name}", {"metadata": {"ownerReferences": [reference]}}, content_type=MERGE)
        await api.ok("DELETE", f"{PODS}/pod1", policy("Foreground"))
        await api.items(PODS, lambda found: not found)


@virtual
async def test_what_belongs_to_a_deployment_goes_or_becomes_an_orphan() -> None:
    async with world() as api:
        for name in ("background", "orphan"):
            await api.ok("POST", f"{APPS}/deployments", workload(name, 2))
            await api.items(f"{PODS}?labelSelector=app%3D{name}", lambda found: len(found) == 2)
            await api.ok("DELETE", f"{APPS}/deployments/{name}", policy(name.capitalize()))
            await api.gone(f"{APPS}/deployments/{name}")
        await api.items(f"{APPS}/replicasets?labelSelector=app%3Dbackground", lambda found: not found)
        await api.items(f"{PODS}?labelSelector=app%3Dbackground", lambda found: not found)
        await asyncio.sleep(60)
        (left,) = await api.items(f"{APPS}/replicasets")
        assert (left["metadata"]["labels"]["app"], left["metadata"].get("ownerReferences")) == ("orphan", None)
        pods = await api.items(PODS)
        assert [each["metadata"]["ownerReferences"][0]["name"] for each in pods] == [left["metadata"]["name"]] * 2


# --- namespaces -----------------------------------------------------------------------------------------------------------------


@virtual
async def test_pods_and_services_go_with_their_namespace() -> None:
    async with world() as api:
        for name in ("gone", "kept"):
            await api.ok("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
            await api.where(f"/api/v1/namespaces/{name}/serviceaccounts/default", bool)
            await api.ok("POST", f"/api/v1/namespaces/{name}/pods", pod("p"))
            await api.ok("POST", f"/api/v1/namespaces/{name}/services", {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}})
            await api.ready("p", name)
        await api.ok("DELETE", "/api/v1/namespaces/gone")
        await api.gone("/api/v1/namespaces/gone")
        await api.ok("POST", "/api/v1/namespaces", {"metadata": {"name": "gone"}})
        for kind in ("pods", "services"):
            assert await api.items(f"/api/v1/namespaces/gone/{kind}") == []
            assert len(await api.items(f"/api/v1/namespaces/kept/{kind}")) == 1


@virtual
async def test_pods_go_before_everything_else_of_their_namespace() -> None:
    async with world() as api:
        space = "/api/v1/namespaces/ordered"
        await api.ok("POST", "/api/v1/namespaces", {"metadata": {"name": "ordered"}})
        await api.where(f"{space}/serviceaccounts/default", bool)
        held = pod("p")
        held["metadata"]["finalizers"] = ["example.com/held"]
        await api.ok("POST", f"{space}/pods", held)
        await api.ok("POST", f"{space}/configmaps", {"metadata": {"name": "c"}})
        await api.ready("p", "ordered")
        await api.ok("DELETE", space)
        await api.where(f"{space}/pods/p", lambda found: found["metadata"].get("deletionTimestamp"))
        await asyncio.sleep(60)
        assert "deletionTimestamp" not in (await api.ok("GET", f"{space}/configmaps/c"))["metadata"]
        remaining = {each["type"]: each["status"] for each in (await api.ok("GET", space))["status"]["conditions"]}
        assert (remaining["NamespaceContentRemaining"], remaining["NamespaceFinalizersRemaining"]) == ("True", "True")
        await api.ok("PATCH", f"{space}/pods/p", {"metadata": {"finalizers": None}}, content_type=MERGE)
        await api.gone(space)


@virtual
async def test_a_namespace_has_finalizers_of_others() -> None:
    async with world(nodes=0) as api:
        made = await api.ok("POST", "/api/v1/namespaces", {"metadata": {"name": "held"}})
        path, fake = "/api/v1/namespaces/held", "e2e.example.com/fake"
        held = await api.ok("PUT", f"{path}/finalize", {**made, "spec": {"finalizers": ["kubernetes", fake]}})
        assert held["spec"]["finalizers"] == ["kubernetes", fake]
        freed = await api.ok("PUT", f"{path}/finalize", {**held, "spec": {"finalizers": ["kubernetes"]}})
        assert freed["spec"]["finalizers"] == ["kubernetes"]
