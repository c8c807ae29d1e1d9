"""The local provisioner and resizer, and what the expander says: claims that wait for a volume, volumes to delete, claims that grow."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from controllers.manager import local_provisioner, local_resizer, persistent_volume_expander
from controllers.manager.local_provisioner import World, deletable, plan_volume
from controllers.manager.local_volume import PROVISIONER, new_volume, standard_class
from kube.objects import Object, annotations_of
from kube.resources import PERSISTENT_VOLUMES
from kube.runtime.perform import Action, Create, Delete, Record, Update

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OURS = {"volume.kubernetes.io/storage-provisioner": PROVISIONER}
CHOSEN = {**OURS, "volume.kubernetes.io/selected-node": "n"}
NODE = {"metadata": {"name": "n", "labels": {"kubernetes.io/hostname": "n.example", "zone": "a"}}}
KEPT = "external-provisioner.volume.kubernetes.io/finalizer"


def claim(annotations: Object | None = None, *, size: str = "1Gi", status: Object | None = None, **spec: Any) -> Object:
    metadata = {"name": "data", "namespace": "ns", "uid": "c1", "annotations": OURS if annotations is None else annotations}
    wanted = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}, "storageClassName": "standard", **spec}
    return {"kind": "PersistentVolumeClaim", "metadata": metadata, "spec": wanted, "status": status or {"phase": "Pending"}}


def plan(desired: Object, storage_class: Object | None = None, **world: Any) -> list[Action]:
    return local_provisioner.plan(desired, World(storage_class or standard_class(), **world), NOW)


IMMEDIATE = {**standard_class(), "volumeBindingMode": "Immediate"}


def test_a_volume_is_made_on_the_node_that_was_chosen() -> None:
    begun, create = plan(claim(CHOSEN), node=NODE)
    assert isinstance(begun, Record)
    assert (begun.reason, begun.message) == ("Provisioning", 'External provisioner is provisioning volume for claim "ns/data"')
    assert isinstance(create, Create)
    assert create.done is not None
    assert create.done.message == "Successfully provisioned volume pvc-c1"
    made = create.obj
    assert made["metadata"] == {"name": "pvc-c1", "annotations": {"pv.kubernetes.io/provisioned-by": PROVISIONER}, "finalizers": [KEPT]}
    assert made["spec"]["hostPath"] == {"path": "/var/lib/wherry/volumes/pvc-c1_ns_data", "type": "DirectoryOrCreate"}
    [term] = made["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
    assert term == {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["n.example"]}]}
    assert made["spec"]["claimRef"]["uid"] == "c1"
    kept = {key: made["spec"][key] for key in ("capacity", "accessModes", "persistentVolumeReclaimPolicy", "storageClassName")}
    assert kept == {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"],
        "persistentVolumeReclaimPolicy": "Delete",
        "storageClassName": "standard",
    }


def test_a_class_says_where_the_directories_are_and_whether_they_stay() -> None:
    storage_class = {**standard_class("/data/"), "reclaimPolicy": "Retain", "mountOptions": ["ro"]}
    made = new_volume(claim(), storage_class, None, directory="/elsewhere")
    assert made["spec"]["hostPath"]["path"] == "/data/pvc-c1_ns_data"
    assert made["spec"]["mountOptions"] == ["ro"]
    assert "nodeAffinity" not in made["spec"]
    assert "finalizers" not in made["metadata"]
    assert new_volume(claim(), standard_class(), None, directory="/elsewhere")["spec"]["hostPath"]["path"] == "/elsewhere/pvc-c1_ns_data"


@pytest.mark.parametrize(
    ("desired", "storage_class", "world"),
    [
        pytest.param(claim(), None, {}, id="no node is chosen yet"),
        pytest.param(claim({}), IMMEDIATE, {}, id="the claim is not given to us"),
        pytest.param(claim({"volume.kubernetes.io/storage-provisioner": "other"}), IMMEDIATE, {}, id="it is given to somebody else"),
        pytest.param(claim(volumeName="v"), IMMEDIATE, {}, id="it has a volume"),
        pytest.param(claim(), IMMEDIATE, {"volume": {"metadata": {}}}, id="its volume is made"),
        pytest.param(claim(), {**IMMEDIATE, "provisioner": "other"}, {}, id="its class is somebody else's"),
    ],
)
def test_nothing_is_made_while(desired: Object, storage_class: Object | None, world: dict[str, Any]) -> None:
    assert plan(desired, storage_class, **world) == []


@pytest.mark.parametrize(
    ("desired", "storage_class", "node", "why"),
    [
        pytest.param(claim(selector={}), IMMEDIATE, None, "claim.Spec.Selector is not supported", id="a selector"),
        pytest.param(claim(dataSourceRef={"kind": "X"}), IMMEDIATE, None, "claim.Spec.DataSource is not supported", id="a source"),
        pytest.param(claim(volumeMode="Block"), IMMEDIATE, None, "volumeMode Block is not supported", id="a raw device"),
        pytest.param(claim(CHOSEN), None, None, 'failed to get target node: node "n" not found', id="a node that is gone"),
        pytest.param(
            claim(CHOSEN),
            {**standard_class(), "allowedTopologies": [{"matchLabelExpressions": [{"key": "zone", "values": ["b"]}]}]},
            NODE,
            'node "n" is not in the allowed topologies',
            id="a node in the wrong place",
        ),
    ],
)
def test_what_cannot_be_made_is_told_and_another_node_asked_for(
    desired: Object, storage_class: Object | None, node: Object | None, why: str
) -> None:
    told, *rest = plan(desired, storage_class, node=node)
    assert isinstance(told, Record)
    expected = f'failed to provision volume with StorageClass "standard": {why}'
    assert (told.type, told.reason, told.message) == ("Warning", "ProvisioningFailed", expected)
    if "volume.kubernetes.io/selected-node" in annotations_of(desired):
        [update] = rest
        assert isinstance(update, Update)
        assert annotations_of(update.obj) == OURS
    else:
        assert rest == []


def volume(phase: str = "Bound", *, policy: str = "Delete", finalizers: tuple[str, ...] = (KEPT,), **metadata: Any) -> Object:
    base = {"name": "pvc-c1", "uid": "v1", "annotations": {"pv.kubernetes.io/provisioned-by": PROVISIONER}, "finalizers": list(finalizers)}
    spec = {"persistentVolumeReclaimPolicy": policy, "hostPath": {"path": "/data/pvc-c1_ns_data"}, "capacity": {"storage": "1Gi"}}
    spec["claimRef"] = {"namespace": "ns", "name": "data", "uid": "c1"}
    return {"metadata": {**base, **metadata}, "spec": spec, "status": {"phase": phase}}


def finalizers_after(desired: Object) -> list[str] | None:
    actions = plan_volume(desired, NOW)
    if not actions:
        return None
    [update] = actions
    assert isinstance(update, Update)
    return list(update.obj["metadata"]["finalizers"])


def test_a_released_volume_is_deleted_and_then_let_go() -> None:
    [delete] = plan_volume(volume("Released"), NOW)
    assert isinstance(delete, Delete)
    assert (delete.name, delete.uid) == ("pvc-c1", "v1")
    assert finalizers_after(volume("Released", finalizers=("other", KEPT), deletionTimestamp="x")) == ["other"]
    assert finalizers_after(volume("Released", finalizers=("other",), deletionTimestamp="x")) is None


@pytest.mark.parametrize(
    ("desired", "finalizers"),
    [
        pytest.param(volume(), None, id="a bound volume"),
        pytest.param(volume(deletionTimestamp="x"), None, id="one that somebody deletes while it is bound"),
        pytest.param(volume(finalizers=()), [KEPT], id="one that was to be kept and is to be deleted now"),
        pytest.param(volume(policy="Retain"), [], id="one that is to be kept now"),
        pytest.param(volume("Released", policy="Retain", finalizers=()), None, id="a released one that is kept"),
        pytest.param(volume("Released", annotations={}), None, id="somebody else's"),
    ],
)
def test_the_finalizer_is_there_while_the_volume_is_ours_to_delete(desired: Object, finalizers: list[str] | None) -> None:
    assert finalizers_after(desired) == finalizers


@pytest.mark.parametrize(
    ("path", "directory", "found"),
    [
        pytest.param("/data/pvc-c1_ns_data", "/data", True, id="ours"),
        pytest.param("/data/pvc-c1_ns_data", "", False, id="without a directory there is nothing on the disk"),
        pytest.param("/etc/pvc-c1_ns_data", "/data", False, id="somewhere else"),
        pytest.param("/data/pvc-c2_ns_data", "/data", False, id="another volume's"),
        pytest.param("/data/deep/pvc-c1_x", "/data", False, id="not right under it"),
        pytest.param("/data/../data/pvc-c1_x", "/data", False, id="with steps back"),
    ],
)
def test_only_directories_of_our_own_are_deleted(path: str, directory: str, found: bool) -> None:
    there = volume()
    there["spec"]["hostPath"]["path"] = path
    assert deletable(there, directory) == (Path(path) if found else None)


# --- growing ----------------------------------------------------------------------------------------------------------------


def grown(size: str, capacity: str = "1Gi", **status: Any) -> Object:
    return claim(size=size, status={"phase": "Bound", "capacity": {"storage": capacity}, **status}, volumeName="pvc-c1")


def test_a_claim_grows_in_three_steps() -> None:
    first = local_resizer.plan(grown("2Gi"), volume(), NOW)
    assert first.more
    update, told = first.actions
    assert isinstance(update, Update)
    status = update.obj["status"]
    assert status["allocatedResources"] == {"storage": "2Gi"}
    assert status["allocatedResourceStatuses"] == {"storage": "ControllerResizeInProgress"}
    assert [(each["type"], each["status"]) for each in status["conditions"]] == [("Resizing", "True")]
    assert isinstance(told, Record)
    assert (told.reason, told.message) == ("Resizing", "External resizer is resizing volume pvc-c1")
    claim_now = update.obj
    [second] = local_resizer.plan(claim_now, volume(), NOW).actions
    assert isinstance(second, Update)
    assert (second.resource, second.obj["spec"]["capacity"]) == (PERSISTENT_VOLUMES, {"storage": "2Gi"})
    third, done = local_resizer.plan(claim_now, second.obj, NOW).actions
    assert isinstance(third, Update)
    assert third.obj["status"] == {"phase": "Bound", "capacity": {"storage": "2Gi"}, "allocatedResources": {"storage": "2Gi"}}
    assert isinstance(done, Record)
    assert (done.reason, done.message) == ("VolumeResizeSuccessful", "Resize volume succeeded")


@pytest.mark.parametrize(
    ("desired", "observed"),
    [
        pytest.param(grown("1Gi"), volume(), id="a claim that has what it asks for"),
        pytest.param(grown("2Gi"), None, id="a claim whose volume is not known"),
        pytest.param(grown("2Gi"), volume(annotations={}), id="a volume of somebody else"),
        pytest.param(claim(size="2Gi"), volume(), id="a claim that is not bound"),
    ],
)
def test_what_does_not_grow(desired: Object, observed: Object | None) -> None:
    assert local_resizer.plan(desired, observed, NOW).actions == []


def test_the_expander_says_whom_a_claim_waits_for() -> None:
    [told] = persistent_volume_expander.plan(grown("2Gi"), volume(), NOW)
    assert isinstance(told, Record)
    expected = ("Warning", "ExternalExpanding", "waiting for an external controller to expand this PVC")
    assert (told.type, told.reason, told.message) == expected
    migrated = volume()
    migrated["spec"]["gcePersistentDisk"] = {}
    told, update = persistent_volume_expander.plan(grown("2Gi"), migrated, NOW)
    assert isinstance(told, Record)
    assert told.message == "CSI migration enabled for kubernetes.io/gce-pd; waiting for external resizer to expand the pvc"
    assert isinstance(update, Update)
    assert annotations_of(update.obj)["volume.kubernetes.io/storage-resizer"] == "pd.csi.storage.gke.io"
    assert persistent_volume_expander.plan(grown("1Gi"), volume(), NOW) == []
