"""Disruption budgets of pods whose controllers are custom resources: their scale subresource says how many pods there should be."""

from __future__ import annotations

from typing import Any

import pytest

from kube.errors import NotFound
from kube.objects import Object, condition_of
from kube.resources import POD_DISRUPTION_BUDGETS, PODS, Resource
from tests.virtual import virtual
from wherry.in_process import InProcessCluster, in_process_cluster

DEFINITIONS = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False)
SITES = Resource("example.com", "v1", "sites", "Site")
SCALE = {"scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}}


def definition(subresources: Object) -> Object:
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema, "subresources": subresources}
    names = {"plural": "sites", "singular": "site", "kind": "Site", "listKind": "SiteList"}
    spec = {"group": "example.com", "scope": "Namespaced", "names": names, "versions": [version]}
    return {"metadata": {"name": "sites.example.com"}, "spec": spec}


def pod(number: int, owner: Object) -> Object:
    metadata = {"name": f"p{number}", "namespace": "default", "labels": {"app": "site"}, "ownerReferences": [owner]}
    return {"metadata": metadata, "spec": {"containers": [{"name": "app", "image": "app:1"}]}}


async def status(cluster: InProcessCluster, **given: Any) -> Object:
    """What the budget says once it has been looked at with all pods ready."""
    spec = {"selector": {"matchLabels": {"app": "site"}}, **given}
    await cluster.client.create(POD_DISRUPTION_BUDGETS, {"metadata": {"name": "b", "namespace": "default"}, "spec": spec})

    async def are_ready() -> bool:
        pods = (await cluster.client.list(PODS, namespace="default"))["items"]
        return all((condition_of(each, "Ready") or {}).get("status") == "True" for each in pods)

    await cluster.until(are_ready)
    found: Object = {}

    async def is_told() -> bool:
        found.update((await cluster.client.get(POD_DISRUPTION_BUDGETS, "b", namespace="default")).get("status") or {})
        return "conditions" in found

    await cluster.until(is_told)
    return (await cluster.client.get(POD_DISRUPTION_BUDGETS, "b", namespace="default"))["status"]  # type: ignore[no-any-return]


@virtual
@pytest.mark.parametrize(("given", "desired"), [({"maxUnavailable": 1}, 5), ({"minAvailable": "50%"}, 3)])
async def test_a_custom_resources_scale_counts(given: Object, desired: int) -> None:
    async with in_process_cluster(nodes=1) as cluster:
        await cluster.client.create(DEFINITIONS, definition(SCALE))
        made = await site(cluster)
        for number in range(4):
            await cluster.client.create(PODS, pod(number, made))
        told = await status(cluster, **given)
        assert (told["expectedPods"], told["desiredHealthy"], told["currentHealthy"]) == (6, desired, 4)


@virtual
async def test_what_has_no_scale_is_named() -> None:
    async with in_process_cluster(nodes=1) as cluster:
        await cluster.client.create(DEFINITIONS, definition({}))
        await cluster.client.create(PODS, pod(0, await site(cluster)))
        told = await status(cluster, maxUnavailable=1)
        found = condition_of({"status": told}, "DisruptionAllowed") or {}
        assert (found["reason"], found["message"]) == ("SyncFailed", "sites.example.com does not implement the scale subresource")


async def site(cluster: InProcessCluster) -> Object:
    """A reference to a new Site that wants six pods."""
    wanted = {"apiVersion": "example.com/v1", "kind": "Site", "metadata": {"name": "s", "namespace": "default"}, "spec": {"replicas": 6}}
    made: list[Object] = []

    async def is_made() -> bool:
        try:
            made.append(await cluster.client.create(SITES, wanted))
        except NotFound:  # it takes a moment until the definition is served
            return False
        return True

    await cluster.until(is_made)
    return {"apiVersion": "example.com/v1", "kind": "Site", "name": "s", "uid": made[0]["metadata"]["uid"], "controller": True}
