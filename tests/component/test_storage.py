"""Claims and volumes in a whole cluster on virtual time: binding, making, moving in with a pod, growing, protecting, reclaiming."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from controllers.manager.local_volume import PROVISIONER, standard_class
from kube.errors import NotFound
from kube.objects import Object, annotations_of, is_deleting, name_of
from kube.resources import (
    CSI_DRIVERS,
    CSI_NODES,
    EVENTS,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    SERVICE_ACCOUNTS,
    STATEFUL_SETS,
    STORAGE_CLASSES,
    VOLUME_ATTACHMENTS,
    VOLUME_ATTRIBUTES_CLASSES,
    Resource,
)
from tests.virtual import virtual
from wherry.in_process import InProcessCluster, in_process_cluster


def claim(name: str, size: str = "1Gi", *modes: str, **spec: Any) -> Object:
    wanted = {"accessModes": list(modes or ("ReadWriteOnce",)), "resources": {"requests": {"storage": size}}, **spec}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "namespace": "default"}, "spec": wanted}


def volume(name: str, size: str = "1Gi", *modes: str, **spec: Any) -> Object:
    source = {} if "csi" in spec or "local" in spec else {"hostPath": {"path": f"/tmp/{name}"}}
    given = {"capacity": {"storage": size}, "accessModes": list(modes or ("ReadWriteOnce",)), **source, **spec}
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": given}


def pod(name: str, *claims: str, **spec: Any) -> Object:
    volumes = [{"name": f"v{at}", "persistentVolumeClaim": {"claimName": each}} for at, each in enumerate(claims)]
    body = {"containers": [{"name": "app", "image": "app:1"}], "volumes": volumes, **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "spec": body}


def on_node(name: str) -> Object:
    return {
        "required": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [name]}]}]}
    }


class Storage:
    """What the tests ask of a cluster."""

    def __init__(self, cluster: InProcessCluster) -> None:
        self.cluster, self.client = cluster, cluster.client

    async def get(self, resource: Resource, name: str) -> Object:
        return await self.client.get(resource, name, namespace="default" if resource.namespaced else None)

    async def until(self, resource: Resource, name: str, true: Callable[[Object], bool], within_s: float = 60) -> Object:
        async def look() -> bool:
            try:
                return true(await self.get(resource, name))
            except NotFound:
                return False

        await self.cluster.until(look, within_s=within_s)
        return await self.get(resource, name)

    async def until_phase(self, resource: Resource, name: str, phase: str) -> Object:
        return await self.until(resource, name, lambda obj: obj.get("status", {}).get("phase") == phase)

    async def until_gone(self, resource: Resource, name: str) -> None:
        async def gone() -> bool:
            try:
                await self.get(resource, name)
            except NotFound:
                return True
            return False

        await self.cluster.until(gone)

    async def delete(self, resource: Resource, name: str, **options: Any) -> None:
        await self.client.delete(resource, name, namespace="default" if resource.namespaced else None, **options)

    async def told(self, name: str) -> list[tuple[str, str, str]]:
        """(type, reason, message) of all events about the object of that name."""
        events = (await self.client.list(EVENTS))["items"]
        return [(each["type"], each["reason"], each["message"]) for each in events if each["involvedObject"]["name"] == name]

    async def until_told(self, name: str, reason: str, within_s: float = 60) -> str:
        async def told() -> bool:
            return any(each == reason for _, each, _ in await self.told(name))

        await self.cluster.until(told, within_s=within_s)
        return next(message for _, each, message in await self.told(name) if each == reason)


@asynccontextmanager
async def storage_cluster(nodes: int) -> AsyncIterator[tuple[InProcessCluster, Storage]]:
    """A cluster that pods can be created in."""
    async with in_process_cluster(nodes=nodes) as cluster:
        storage = Storage(cluster)
        await storage.until(SERVICE_ACCOUNTS, "default", lambda _: True)
        yield cluster, storage


@virtual
async def test_a_claim_gets_the_smallest_volume_that_suits_it_and_both_say_so() -> None:
    async with storage_cluster(nodes=0) as (cluster, storage):
        for each in (
            volume("large", "10Gi"),
            volume("fits", "2Gi"),
            volume("small", "500Mi"),
            volume("other", "1Gi", storageClassName="x"),
        ):
            await cluster.client.create(PERSISTENT_VOLUMES, each)
        await storage.until_phase(PERSISTENT_VOLUMES, "fits", "Available")
        await cluster.client.create(PERSISTENT_VOLUME_CLAIMS, claim("data"))
        bound = await storage.until_phase(PERSISTENT_VOLUME_CLAIMS, "data", "Bound")
        assert bound["spec"]["volumeName"] == "fits"
        assert bound["status"] == {"phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "2Gi"}}
        marks = {"pv.kubernetes.io/bind-completed": "yes", "pv.kubernetes.io/bound-by-controller": "yes"}
        assert annotations_of(bound) == marks
        taken = await storage.get(PERSISTENT_VOLUMES, "fits")
        assert taken["status"]["phase"] == "Bound"
        assert annotations_of(taken) == {"pv.kubernetes.io/bound-by-controller": "yes"}
        reference = taken["spec"]["claimRef"]
        assert {key: reference[key] for key in ("kind", "namespace", "name", "uid", "apiVersion")} == {
            "kind": "PersistentVolumeClaim",
            "namespace": "default",
            "name": "data",
            "uid": bound["metadata"]["uid"],
            "apiVersion": "v1",
        }
        for other in ("large", "small", "other"):
            assert (await storage.get(PERSISTENT_VOLUMES, other))["status"]["phase"] == "Available"


@virtual
async def test_a_claim_without_a_class_waits_and_gets_the_default_class_when_there_is_one() -> None:
    async with storage_cluster(nodes=0) as (cluster, storage):
        await cluster.client.create(PERSISTENT_VOLUME_CLAIMS, claim("data"))
        message = await storage.until_told("data", "FailedBinding")
        assert message == "no persistent volumes available for this claim and no storage class is set"
        immediate = {**standard_class(), "volumeBindingMode": "Immediate"}
        await cluster.client.create(STORAGE_CLASSES, immediate)
        bound = await storage.until_phase(PERSISTENT_VOLUME_CLAIMS, "data", "Bound")
        assert bound["spec"]["storageClassName"] == "standard"
        assert annotations_of(bound)["volume.kubernetes.io/storage-provisioner"] == PROVISIONER
        made = await storage.get(PERSISTENT_VOLUMES, bound["spec"]["volumeName"])
        assert "nodeAffinity" not in made["spec"], "no node was chosen"
        reasons = [reason for _, reason, _ in await storage.told("data")]
        assert {"ExternalProvisioning", "Provisioning", "ProvisioningSucceeded"} <= set(reasons)


@virtual
async def test_a_class_that_waits_has_its_volume_made_where_the_pod_goes() -> None:
    async with storage_cluster(nodes=3) as (cluster, storage):
        await cluster.client.create(STORAGE_CLASSES, standard_class("/data"))
        await cluster.client.create(PERSISTENT_VOLUME_CLAIMS, claim("data"))
        assert await storage.until_told("data", "WaitForFirstConsumer") == "waiting for first consumer to be created before binding"
        await cluster.client.create(PODS, pod("web", "data"))
        running = await storage.until_phase(PODS, "web", "Running")
        bound = await storage.get(PERSISTENT_VOLUME_CLAIMS, "data")
        node = running["spec"]["nodeName"]
        assert bound["status"]["phase"] == "Bound"
        assert annotations_of(bound)["volume.kubernetes.io/selected-node"] == node
        made = await storage.get(PERSISTENT_VOLUMES, bound["spec"]["volumeName"])
        assert made["spec"]["nodeAffinity"] == on_node(node)
        path = f"/data/pvc-{bound['metadata']['uid']}_default_data"
        assert made["spec"]["hostPath"] == {"path": path, "type": "DirectoryOrCreate"}
        await storage.delete(PODS, "web", grace_period_s=0)
        await storage.until_gone(PODS, "web")
        await cluster.client.create(PODS, pod("again", "data"))
        assert (await storage.until_phase(PODS, "again", "Running"))["spec"]["nodeName"] == node, "the pod goes where its data is"


@virtual
async def test_a_class_that_waits_binds_an_existing_volume_that_the_pods_node_can_reach() -> None:
    async with storage_cluster(nodes=3) as (cluster, storage):
        local = {"provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "WaitForFirstConsumer"}
        await cluster.client.create(STORAGE_CLASSES, {"metadata": {"name": "local"}, **local})
        there = {"storageClassName": "local", "local": {"path": "/disk"}, "nodeAffinity": on_node("wherry-2")}
        await cluster.client.create(PERSISTENT_VOLUMES, volume("disk", "5Gi", **there))
        await cluster.client.create(PERSISTENT_VOLUME_CLAIMS, claim("data", storageClassName="local"))
        await cluster.client.create(PERSISTENT_VOLUME_CLAIMS, claim("more", storageClassName="local"))
        await storage.until_phase(PERSISTENT_VOLUMES, "disk", "Available")
        await cluster.client.create(PODS, pod("web", "data"))
        assert (await storage.until_phase(PODS, "web", "Running"))["spec"]["nodeName"] == "wherry-2"
        assert (await storage.get(PERSISTENT_VOLUME_CLAIMS, "data"))["spec"]["volumeName"] == "disk"
        await cluster.client.create(PODS, pod("other", "more"))
        message = await storage.until_told("other", "FailedScheduling")
        assert message.startswith("0/3 nodes are available: 3 node(s) didn't find available persistent volumes to bind.")
        await cluster.client.create(PERSISTENT_VOLUMES, volume("second", "5Gi", **{**there, "nodeAffinity": on_node("wherry-3")}))
        assert (await storage.until_phase(PODS, "other", "Running"))["spec"]["nodeName"] == "wherry-3"


@virtual
async def test_pods_wait_for_their_claims_and_say_why() -> None:
    async with storage_cluster(nodes=2) as (cluster, storage):
        await cluster.client.create(PODS, pod("web", "data"))
        message = await storage.until_told("web", "FailedScheduling")
        helpless = "no new claims to deallocate, preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
        assert message == f'0/2 nodes are available: persistentvolumeclaim "data" not found. {helpless}'
        await cluster.client.create(PERSISTENT_VOLUME_CLAIMS, claim("data", storageClassName=""))

        async def told() -> bool:
            expected = f"0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims. {helpless}"
            return any(each == expected for _, _, each in await storage.told("web"))

        await cluster.until(told)
        await cluster.client.create(PERSISTENT_VOLUMES, volume("there", nodeAffinity=on_node("wherry-1")))
        assert (await storage.until_phase(PODS, "web", "Running"))["spec"]["nodeName"] == "wherry-1"


@virtual
async def test_pods_that_wait_for_volumes_nobody_makes_hold_nobody_up_and_give_up_in_the_end() -> None:
    async with storage_cluster(nodes=3) as (cluster, storage):
        absent = {**standard_class(), "provisioner": "absent.example.com"}
        await cluster.client.create(STORAGE_CLASSES, absent)
        for at in range(40):
            await cluster.client.create(PERSISTENT_VOLUME_CLAIMS, claim(f"data-{at}"))
            await cluster.client.create(PODS, pod(f"waits-{at}", f"data-{at}"))
        chosen = "volume.kubernetes.io/selected-node"
        await storage.until(PERSISTENT_VOLUME_CLAIMS, "data-39", lambda obj: chosen in annotations_of(obj))
        await cluster.client.create(PODS, pod("plain"))
        await storage.until_phase(PODS, "plain", "Running")
        message = await storage.until_told("waits-0", "FailedScheduling", within_s=700)
        assert message == 'running PreBind plugin "VolumeBinding": binding volumes: context deadline exceeded'
        await storage.delete(PODS, "waits-1")
        await storage.until_gone(PODS, "waits-1")


@virtual
async def test_a_pod_that_was_put_on_a_node_is_not_started_before_its_claims_are_bound() -> None:
    async with storage_cluster(nodes=1) as (cluster, storage):
        await cluster.client.create(PERSISTENT_VOLUME_CLAIMS, claim("data", storageClassName=""))
        mounts = [{"name": "v0", "mountPath": "/data"}]
        containers = [{"name": "app", "image": "app:1", "volumeMounts": mounts}]
        await cluster.client.create(PODS, pod("web", "data", nodeName="wherry-1", containers=containers))
        message = await storage.until_told("web", "FailedMount")
        listed = "unmounted volumes=[v0], unattached volumes=[], failed to process volumes=[v0]"
        assert message == f"Unable to attach or mount volumes: {listed}: error processing PVC default/data: PVC is not bound"
        waiting = await storage.get(PODS, "web")
        assert waiting["status"]["phase"] == "Pending"
        assert waiting["status"]["containerStatuses"][0]["state"] == {"waiting": {"reason": "ContainerCreating"}}
        await cluster.client.create(PERSISTENT_VOLUMES, volume("disk"))
        await storage.until_phase(PODS, "web", "Running")


@virtual
async def test_a_stateful_set_gets_a_volume_for_each_pod_and_keeps_it() -> None:
    async with storage_cluster(nodes=3) as (cluster, storage):
        await cluster.client.create(STORAGE_CLASSES, standard_class())
        template = {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [{"name": "db", "image": "db:1"}]}}
        template["spec"]["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]  # type: ignore[index]
        claims = [{"metadata": {"name": "data"}, "spec": claim("x")["spec"]}]
        spec = {"replicas": 3, "serviceName": "db", "selector": {"matchLabels": {"app": "db"}}, "template": template}
        db = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db", "namespace": "default"}}
        await cluster.client.create(STATEFUL_SETS, {**db, "spec": {**spec, "volumeClaimTemplates": claims}})
        await storage.until(STATEFUL_SETS, "db", lambda obj: obj.get("status", {}).get("readyReplicas") == 3)
        bound = [await storage.get(PERSISTENT_VOLUME_CLAIMS, f"data-db-{at}") for at in range(3)]
        assert [each["status"]["phase"] for each in bound] == ["Bound"] * 3
        assert len({each["spec"]["volumeName"] for each in bound}) == 3
        before = (await storage.get(PODS, "db-1"))["metadata"]["uid"]
        await storage.delete(PODS, "db-1")
        await storage.until(PODS, "db-1", lambda obj: obj["metadata"]["uid"] != before and obj["status"].get("phase") == "Running")
        assert (await storage.get(PERSISTENT_VOLUME_CLAIMS, "data-db-1"))["metadata"]["uid"] == bound[1]["metadata"]["uid"]


@virtual
async def test_what_is_in_use_is_not_removed_until_it_is_not() -> None:
    async with storage_cluster(nodes=1) as (cluster, storage):
        await cluster.client.create(STORAGE_CLASSES, standard_class())
        await cluster.client.create(PERSISTENT_VOLUME_CLAIMS, claim("data"))
        await cluster.client.create(PODS, pod("web", "data"))
        await storage.until_phase(PODS, "web", "Running")
        name = (await storage.get(PERSISTENT_VOLUME_CLAIMS, "data"))["spec"]["volumeName"]
        await storage.delete(PERSISTENT_VOLUMES, name)
        await storage.delete(PERSISTENT_VOLUME_CLAIMS, "data")
        await cluster.until(_passed(cluster, 60))
        for resource, each in ((PERSISTENT_VOLUMES, name), (PERSISTENT_VOLUME_CLAIMS, "data")):
            assert is_deleting(await storage.get(resource, each))
        assert (await storage.get(PERSISTENT_VOLUMES, name))["status"]["phase"] == "Bound"
        await storage.delete(PODS, "web")
        await storage.until_gone(PERSISTENT_VOLUME_CLAIMS, "data")
        await storage.until_gone(PERSISTENT_VOLUMES, name)


def _passed(cluster: InProcessCluster, seconds: float) -> Any:
    end = cluster.clock.monotonic() + seconds

    async def passed() -> bool:
        return cluster.clock.monotonic() >= end

    return passed


@virtual
async def test_many_claims_that_are_deleted_together_cost_few_lists_of_pods() -> None:
    async with storage_cluster(nodes=0) as (cluster, _):
        for at in range(50):
            await cluster.client.create(PERSISTENT_VOLUME_CLAIMS, claim(f"data-{at}", storageClassName=""))
        lists: list[str] = []
        request = cluster.line.request

        async def counted(method: str, target: str, **rest: Any) -> Any:
            if method == "GET" and target.partition("?")[0] == "/api/v1/namespaces/default/pods":
                lists.append(target)
            return await request(method, target, **rest)

        cluster.line.request = counted  # type: ignore[method-assign]
        await cluster.client.delete_collection(PERSISTENT_VOLUME_CLAIMS, namespace="default")

        async def gone() -> bool:
            return not (await cluster.client.list(PERSISTENT_VOLUME_CLAIMS))["items"]

        await cluster.until(gone)
        assert 1 <= len(lists) < 25


@virtual
async def test_a_released_volume_is_reclaimed_as_its_policy_says() -> None:
    async with storage_cluster(nodes=1) as (cluster, storage):
        policies = {"kept": "Retain", "deleted": "Delete", "stuck": "Delete"}
        for name, policy in policies.items():
            made = volume(name, persistentVolumeReclaimPolicy=policy, storageClassName=name)
            if name == "stuck":
                made["spec"]["hostPath"] = {"path": "/mnt/stuck"}
            await cluster.client.create(PERSISTENT_VOLUMES, made)
            await cluster.client.create(PERSISTENT_VOLUME_CLAIMS, claim(name, storageClassName=name))
        for name in policies:
            await storage.until_phase(PERSISTENT_VOLUME_CLAIMS, name, "Bound")
            await storage.delete(PERSISTENT_VOLUME_CLAIMS, name)
        await storage.until_gone(PERSISTENT_VOLUMES, "deleted")
        kept = await storage.until_phase(PERSISTENT_VOLUMES, "kept", "Released")
        assert kept["spec"]["claimRef"]["name"] == "kept"
        failed = await storage.until_phase(PERSISTENT_VOLUMES, "stuck", "Failed")
        assert failed["status"]["message"] == "host_path deleter only supports /tmp/.+ but received provided /mnt/stuck"
        assert await storage.until_told("stuck", "VolumeFailedDelete") == failed["status"]["message"]
        freed = copy.deepcopy(kept)
        del freed["spec"]["claimRef"]
        await cluster.client.update(PERSISTENT_VOLUMES, freed)
        await storage.until_phase(PERSISTENT_VOLUMES, "kept", "Available")


@virtual
async def test_a_volume_that_is_recycled_is_available_again() -> None:
    async with storage_cluster(nodes=1) as (cluster, storage):
        await cluster.client.create(PERSISTENT_VOLUMES, volume("used", persistentVolumeReclaimPolicy="Recycle"))
        await cluster.client.create(PERSISTENT_VOLUME_CLAIMS, claim("data"))
        await storage.until_phase(PERSISTENT_VOLUME_CLAIMS, "data", "Bound")
        await storage.delete(PERSISTENT_VOLUME_CLAIMS, "data")
        await storage.until(PODS, "recycler-for-used", lambda obj: obj["spec"]["volumes"][0]["hostPath"]["path"] == "/tmp/used")
        free = await storage.until_phase(PERSISTENT_VOLUMES, "used", "Available")
        assert "claimRef" not in free["spec"]
        await storage.until_gone(PODS, "recycler-for-used")
        assert await storage.until_told("used", "VolumeRecycled") == "Volume recycled"


@virtual
async def test_a_claim_that_asks_for_more_gets_it_from_our_provisioner() -> None:
    async with storage_cluster(nodes=1) as (cluster, storage):
        await cluster.client.create(STORAGE_CLASSES, standard_class())
        await cluster.client.create(PERSISTENT_VOLUME_CLAIMS, claim("data"))
        await cluster.client.create(PODS, pod("web", "data"))
        bound = await storage.until_phase(PERSISTENT_VOLUME_CLAIMS, "data", "Bound")
        wanted = {"spec": {"resources": {"requests": {"storage": "5Gi"}}}}
        await cluster.client.patch(PERSISTENT_VOLUME_CLAIMS, "data", wanted, namespace="default")
        grown = await storage.until(PERSISTENT_VOLUME_CLAIMS, "data", lambda obj: obj["status"].get("capacity") == {"storage": "5Gi"})
        assert "conditions" not in grown["status"]
        assert grown["status"]["allocatedResources"] == {"storage": "5Gi"}
        assert (await storage.get(PERSISTENT_VOLUMES, bound["spec"]["volumeName"]))["spec"]["capacity"] == {"storage": "5Gi"}
        told = {reason: (kind, message) for kind, reason, message in await storage.told("data")}
        assert told["ExternalExpanding"] == ("Warning", "waiting for an external controller to expand this PVC")
        assert "Resizing" in told
        await storage.until_told("data", "VolumeResizeSuccessful")


@virtual
async def test_a_claim_that_one_pod_may_use_is_used_by_one_at_a_time() -> None:
    async with storage_cluster(nodes=2) as (cluster, storage):
        await cluster.client.create(PERSISTENT_VOLUMES, volume("disk", "1Gi", "ReadWriteOncePod"))
        await cluster.client.create(PERSISTENT_VOLUME_CLAIMS, claim("data", "1Gi", "ReadWriteOncePod"))
        await cluster.client.create(PODS, pod("first", "data"))
        await storage.until_phase(PODS, "first", "Running")
        await cluster.client.create(PODS, pod("second", "data"))
        message = await storage.until_told("second", "FailedScheduling")
        reason = "2 node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode"
        assert message.startswith(f"0/2 nodes are available: {reason}.")
        await storage.delete(PODS, "first")
        await storage.until_phase(PODS, "second", "Running")


@virtual
async def test_an_ephemeral_volume_lives_and_dies_with_its_pod() -> None:
    async with storage_cluster(nodes=2) as (cluster, storage):
        await cluster.client.create(STORAGE_CLASSES, standard_class())
        template = {"metadata": {"labels": {"for": "scratch"}}, "spec": claim("x")["spec"]}
        scratch = {"name": "scratch", "ephemeral": {"volumeClaimTemplate": template}}
        created = await cluster.client.create(PODS, pod("web", volumes=[scratch]))
        await storage.until_phase(PODS, "web", "Running")
        made = await storage.get(PERSISTENT_VOLUME_CLAIMS, "web-scratch")
        assert made["metadata"]["labels"] == {"for": "scratch"}
        assert [each["uid"] for each in made["metadata"]["ownerReferences"]] == [created["metadata"]["uid"]]
        await storage.delete(PODS, "web")
        await storage.until_gone(PERSISTENT_VOLUME_CLAIMS, "web-scratch")
        await storage.until_gone(PERSISTENT_VOLUMES, made["spec"]["volumeName"])


@virtual
async def test_a_csi_volume_is_attached_to_the_node_of_its_pod_and_detached_afterwards() -> None:
    async with storage_cluster(nodes=1) as (cluster, storage):
        await cluster.client.create(CSI_DRIVERS, {"metadata": {"name": "disks.example.com"}, "spec": {"attachRequired": True}})
        csi = {"driver": "disks.example.com", "volumeHandle": "disk-1"}
        await cluster.client.create(PERSISTENT_VOLUMES, volume("disk", csi=csi))
        await cluster.client.create(PERSISTENT_VOLUME_CLAIMS, claim("data"))
        containers = [{"name": "app", "image": "app:1", "volumeMounts": [{"name": "v0", "mountPath": "/data"}]}]
        await cluster.client.create(PODS, pod("web", "data", containers=containers))
        await storage.until(PODS, "web", lambda obj: bool(obj["spec"].get("nodeName")))

        async def attached() -> bool:
            return bool((await cluster.client.list(VOLUME_ATTACHMENTS))["items"])

        await cluster.until(attached)
        [attachment] = (await cluster.client.list(VOLUME_ATTACHMENTS))["items"]
        wanted = {"attacher": "disks.example.com", "nodeName": "wherry-1", "source": {"persistentVolumeName": "disk"}}
        assert attachment["spec"] == wanted
        assert name_of(attachment).startswith("csi-")
        message = await storage.until_told("web", "FailedMount", within_s=200)
        listed = "unmounted volumes=[v0], unattached volumes=[v0], failed to process volumes=[]"
        assert message == f"Unable to attach or mount volumes: {listed}: context deadline exceeded"
        await cluster.client.patch(VOLUME_ATTACHMENTS, name_of(attachment), {"status": {"attached": True}}, subresource="status")
        unique = "kubernetes.io/csi/disks.example.com^disk-1"

        def names(node: Object) -> list[str]:
            return [each["name"] for each in node["status"].get("volumesAttached") or ()]

        await storage.until(NODES, "wherry-1", lambda node: names(node) == [unique])
        await storage.until_phase(PODS, "web", "Running")
        await storage.until(NODES, "wherry-1", lambda node: node["status"].get("volumesInUse") == [unique])
        assert await storage.until_told("web", "SuccessfulAttachVolume") == 'AttachVolume.Attach succeeded for volume "disk" '
        await storage.delete(PODS, "web")
        await storage.until_gone(VOLUME_ATTACHMENTS, name_of(attachment))
        await storage.until(NODES, "wherry-1", lambda node: not names(node) and "volumesInUse" not in node["status"])


@virtual
async def test_attachments_that_others_have_made_are_left_alone() -> None:
    async with storage_cluster(nodes=1) as (cluster, storage):
        foreign = {"attacher": "disks.example.com", "nodeName": "wherry-1", "source": {"persistentVolumeName": "not-there"}}
        await cluster.client.create(VOLUME_ATTACHMENTS, {"metadata": {"name": "mine"}, "spec": foreign})
        await cluster.until(_passed(cluster, 600), within_s=700)
        assert not is_deleting(await storage.get(VOLUME_ATTACHMENTS, "mine"))


@virtual
async def test_a_node_takes_as_many_volumes_of_a_driver_as_the_driver_says() -> None:
    async with storage_cluster(nodes=1) as (cluster, storage):
        driver = {"name": "disks.example.com", "nodeID": "n", "topologyKeys": None, "allocatable": {"count": 1}}
        await storage.until(NODES, "wherry-1", lambda _: True)
        await cluster.client.create(CSI_NODES, {"metadata": {"name": "wherry-1"}, "spec": {"drivers": [driver]}})
        for name in ("one", "two"):
            csi = {"driver": "disks.example.com", "volumeHandle": name}
            await cluster.client.create(PERSISTENT_VOLUMES, volume(name, csi=csi, storageClassName=name))
            await cluster.client.create(PERSISTENT_VOLUME_CLAIMS, claim(name, storageClassName=name))
            await storage.until_phase(PERSISTENT_VOLUME_CLAIMS, name, "Bound")
        await cluster.client.create(PODS, pod("first", "one"))
        await storage.until(PODS, "first", lambda obj: bool(obj["spec"].get("nodeName")))
        await cluster.client.create(PODS, pod("second", "two"))
        message = await storage.until_told("second", "FailedScheduling")
        assert message.startswith("0/1 nodes are available: 1 node(s) exceed max volume count.")


@virtual
async def test_a_volume_attributes_class_in_use_is_not_removed() -> None:
    async with storage_cluster(nodes=0) as (cluster, storage):
        fast = {"metadata": {"name": "fast"}, "driverName": "disks.example.com", "parameters": {"iops": "1"}}
        await cluster.client.create(VOLUME_ATTRIBUTES_CLASSES, fast)
        await cluster.client.create(PERSISTENT_VOLUME_CLAIMS, claim("data", volumeAttributesClassName="fast"))
        await storage.delete(VOLUME_ATTRIBUTES_CLASSES, "fast")
        await cluster.until(_passed(cluster, 30))
        assert is_deleting(await storage.get(VOLUME_ATTRIBUTES_CLASSES, "fast"))
        await storage.delete(PERSISTENT_VOLUME_CLAIMS, "data")
        await storage.until_gone(VOLUME_ATTRIBUTES_CLASSES, "fast")
