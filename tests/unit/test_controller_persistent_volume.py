"""Claims and volumes: what the binder does about each, step by step."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from controllers.manager import persistent_volume, persistent_volume_claim
from controllers.manager.persistent_volume_claim import World
from controllers.manager.volume_binding import Plan
from kube.objects import Object, annotations_of
from kube.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from kube.runtime.perform import Action, Create, Delete, Record, Update

NOW = datetime(2026, 1, 1, tzinfo=UTC)
COMPLETED = {"pv.kubernetes.io/bind-completed": "yes"}
BY_CONTROLLER = {"pv.kubernetes.io/bound-by-controller": "yes"}


def claim(phase: str = "Pending", annotations: Object | None = None, status: Object | None = None, **spec: Any) -> Object:
    metadata = {"name": "data", "namespace": "ns", "uid": "c1", **({"annotations": annotations} if annotations else {})}
    wanted = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **spec}
    return {"kind": "PersistentVolumeClaim", "metadata": metadata, "spec": wanted, "status": {"phase": phase, **(status or {})}}


def volume(phase: str = "Available", claim_uid: str | None = None, annotations: Object | None = None, **spec: Any) -> Object:
    metadata = {"name": "disk", "uid": "v1", **({"annotations": annotations} if annotations else {})}
    given = {"capacity": {"storage": "2Gi"}, "accessModes": ["ReadWriteOnce"], "persistentVolumeReclaimPolicy": "Retain", **spec}
    if claim_uid is not None:
        given["claimRef"] = {"namespace": "ns", "name": "data", **({"uid": claim_uid} if claim_uid else {})}
    return {"kind": "PersistentVolume", "metadata": metadata, "spec": given, "status": {"phase": phase}}


def told(actions: list[Action]) -> list[tuple[str, str, str]]:
    return [(each.type, each.reason, each.message) for each in actions if isinstance(each, Record)]


def settled(desired: Object, world: World) -> tuple[Object, Object | None, list[str]]:
    """The claim and its volume when all steps are done, and what was written on the way."""
    written: list[str] = []
    there: list[Object | None] = list(world.candidates)
    for _ in range(9):
        todo = persistent_volume_claim.plan(desired, world, NOW)
        for each in todo.actions:
            assert isinstance(each, Update)
            written.append(f"{each.resource.plural}{'/' + each.subresource if each.subresource else ''}")
            if each.resource == PERSISTENT_VOLUME_CLAIMS:
                desired = each.obj
            else:
                there = [each.obj]
        named = desired["spec"].get("volumeName")
        known = [each for each in there if each is not None]
        world = World(volume=known[0] if named and known else None, candidates=[] if named else known)
        if not todo.more:
            return desired, (there or [None])[0], written
    raise AssertionError("it never ends")


def test_binding_writes_the_volume_first_and_the_claim_last() -> None:
    bound_claim, bound_volume, written = settled(claim(), World(candidates=[volume()]))
    assert written == ["persistentvolumes", "persistentvolumes/status", "persistentvolumeclaims", "persistentvolumeclaims/status"]
    assert bound_claim["spec"]["volumeName"] == "disk"
    assert annotations_of(bound_claim) == COMPLETED | BY_CONTROLLER
    assert bound_claim["status"] == {"phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "2Gi"}}
    assert bound_volume is not None
    assert bound_volume["status"]["phase"] == "Bound"
    assert persistent_volume_claim.plan(bound_claim, World(volume=bound_volume), NOW) == Plan()


def test_a_volume_that_the_user_has_chosen_is_not_marked_as_chosen_by_us() -> None:
    bound_claim, _, _ = settled(claim(volumeName="disk"), World(volume=volume(claim_uid=""), candidates=[volume(claim_uid="")]))
    assert annotations_of(bound_claim) == COMPLETED


def test_a_claim_that_is_bound_says_which_class_of_attributes_it_has() -> None:
    bound_claim, _, _ = settled(claim(volumeAttributesClassName="fast"), World(candidates=[volume(volumeAttributesClassName="fast")]))
    assert bound_claim["status"]["currentVolumeAttributesClassName"] == "fast"
    lost = {**bound_claim, "spec": {**bound_claim["spec"], "volumeName": ""}}
    [update, _] = persistent_volume_claim.plan(lost, World(), NOW).actions
    assert isinstance(update, Update)
    assert update.obj["status"] == {"phase": "Lost"}


MIGRATED = {"pv.kubernetes.io/migrated-to": "ebs.csi.aws.com"}


def test_what_a_csi_driver_has_taken_over_is_marked() -> None:
    provisioner = {"volume.kubernetes.io/storage-provisioner": "kubernetes.io/aws-ebs"}
    [update] = persistent_volume_claim.plan(claim(annotations=provisioner), World(), NOW).actions
    assert isinstance(update, Update)
    assert annotations_of(update.obj) == provisioner | MIGRATED
    made_by = {"pv.kubernetes.io/provisioned-by": "kubernetes.io/aws-ebs"}
    [update] = persistent_volume.plan(volume(annotations=made_by), persistent_volume.World(), NOW).actions
    assert isinstance(update, Update)
    assert annotations_of(update.obj) == made_by | MIGRATED
    other = {"pv.kubernetes.io/provisioned-by": "p"}
    [update] = persistent_volume.plan(volume(annotations=other | MIGRATED), persistent_volume.World(), NOW).actions
    assert isinstance(update, Update)
    assert annotations_of(update.obj) == other


def test_a_bound_claims_size_is_left_to_those_who_make_volumes_grow() -> None:
    status = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]}
    bound = claim("Bound", COMPLETED | BY_CONTROLLER, status, volumeName="disk")
    assert persistent_volume_claim.plan(bound, World(volume=volume("Bound", "c1", BY_CONTROLLER)), NOW) == Plan()
    before = {"volume.alpha.kubernetes.io/pre-resize-capacity": "1536Mi"}
    first = claim("Pending", COMPLETED | BY_CONTROLLER, volumeName="disk")
    [update] = persistent_volume_claim.plan(first, World(volume=volume("Bound", "c1", BY_CONTROLLER | before)), NOW).actions
    assert isinstance(update, Update)
    assert update.obj["status"]["capacity"] == {"storage": "1536Mi"}


LATE = {"metadata": {"name": "x"}, "provisioner": "p", "volumeBindingMode": "WaitForFirstConsumer"}
NOW_CLASS = {**LATE, "volumeBindingMode": "Immediate"}
OF_CLASS: dict[str, Any] = {"storageClassName": "x"}
WAITS = "waiting for first consumer to be created before binding"
EXTERNAL = (
    "Waiting for a volume to be created either by the external provisioner 'p' or manually by the system administrator."
    " If volume creation is delayed, please verify that the provisioner is running and correctly registered."
)
NOBODY = "no persistent volumes available for this claim and no storage class is set"


@pytest.mark.parametrize(
    ("desired", "world", "event"),
    [
        pytest.param(claim(storageClassName=""), World(), ("Normal", "FailedBinding", NOBODY), id="no volume and no class"),
        pytest.param(claim(**OF_CLASS), World(storage_class=LATE), ("Normal", "WaitForFirstConsumer", WAITS), id="it waits for a pod"),
        pytest.param(
            claim(**OF_CLASS),
            World(storage_class=LATE, waiting=["web"]),
            ("Normal", "WaitForPodScheduled", "waiting for pod web to be scheduled"),
            id="it waits for its pod to be scheduled",
        ),
        pytest.param(
            claim(**OF_CLASS),
            World(storage_class=LATE, waiting=["a", "b"]),
            ("Normal", "WaitForPodScheduled", "waiting for pods a,b to be scheduled"),
            id="or for one of several",
        ),
        pytest.param(
            claim(**OF_CLASS), World(storage_class=NOW_CLASS), ("Normal", "ExternalProvisioning", EXTERNAL), id="one is to be made"
        ),
        pytest.param(
            claim(annotations={"volume.kubernetes.io/selected-node": "n"}, **OF_CLASS),
            World(storage_class=LATE),
            ("Normal", "ExternalProvisioning", EXTERNAL),
            id="one is to be made on the node that was chosen",
        ),
        pytest.param(
            claim(**OF_CLASS),
            World(),
            ("Warning", "ProvisioningFailed", 'storageclass.storage.k8s.io "x" not found'),
            id="its class does not exist",
        ),
        pytest.param(
            claim(**OF_CLASS),
            World(storage_class={**NOW_CLASS, "provisioner": "kubernetes.io/no-provisioner"}),
            ("Warning", "ProvisioningFailed", "no volume plugin matched name: kubernetes.io/no-provisioner"),
            id="nobody makes volumes of its class",
        ),
        pytest.param(
            claim(volumeName="disk", **OF_CLASS),
            World(volume=volume()),
            ("Warning", "VolumeMismatch", 'Cannot bind to requested volume "disk": storageClassName does not match'),
            id="the volume it names does not suit",
        ),
        pytest.param(
            claim(volumeName="disk"),
            World(volume=volume("Bound", "somebody")),
            ("Warning", "FailedBinding", 'volume "disk" already bound to a different claim.'),
            id="the volume it names is somebody else's",
        ),
        pytest.param(
            claim("Bound", COMPLETED, volumeName="disk"),
            World(),
            ("Warning", "ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!"),
            id="its volume is gone",
        ),
        pytest.param(
            claim("Bound", COMPLETED),
            World(),
            ("Warning", "ClaimLost", "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!"),
            id="it names no volume any more",
        ),
        pytest.param(
            claim("Bound", COMPLETED, volumeName="disk"),
            World(volume=volume("Bound", "somebody")),
            ("Warning", "ClaimMisbound", "Two claims are bound to the same volume, this one is bound incorrectly"),
            id="its volume has become another claim's",
        ),
    ],
)
def test_what_a_claim_is_told(desired: Object, world: World, event: tuple[str, str, str]) -> None:
    todo = persistent_volume_claim.plan(desired, world, NOW)
    assert told(todo.actions) == [event]
    if event[1].startswith("Claim"):
        [update] = [each for each in todo.actions if isinstance(each, Update)]
        assert update.obj["status"] == {"phase": "Lost"}
        lost = {**desired, "status": {"phase": "Lost"}}
        assert persistent_volume_claim.plan(lost, world, NOW) == Plan(), "it is told once"


def test_provisioners_that_csi_drivers_have_replaced_are_called_by_the_drivers_name() -> None:
    storage_class = {**NOW_CLASS, "provisioner": "kubernetes.io/aws-ebs"}
    update, _ = persistent_volume_claim.plan(claim(**OF_CLASS), World(storage_class=storage_class), NOW).actions
    assert isinstance(update, Update)
    names = {"volume.beta.kubernetes.io/storage-provisioner", "volume.kubernetes.io/storage-provisioner"}
    assert annotations_of(update.obj) == dict.fromkeys(names, "ebs.csi.aws.com")


def test_the_default_class_is_given_to_claims_that_name_none() -> None:
    default = {"metadata": {"name": "standard"}}
    [update] = persistent_volume_claim.plan(claim(), World(default_class=default), NOW).actions
    assert isinstance(update, Update)
    assert update.obj["spec"]["storageClassName"] == "standard"
    todo = persistent_volume_claim.plan(claim(storageClassName=""), World(default_class=default), NOW)
    assert [each[1] for each in told(todo.actions)] == ["FailedBinding"], "no class at all is what it wants"


# --- volumes ----------------------------------------------------------------------------------------------------------------


def phase_after(desired: Object, world: persistent_volume.World) -> str:
    [update] = persistent_volume.plan(desired, world, NOW).actions
    assert isinstance(update, Update)
    assert (update.resource, update.subresource) == (PERSISTENT_VOLUMES, "status")
    return str(update.obj["status"]["phase"])


MINE, ELSEWHERE = claim("Bound", volumeName="disk"), claim("Bound", volumeName="other")


@pytest.mark.parametrize(
    ("desired", "owner", "phase"),
    [
        pytest.param(volume("Pending"), None, "Available", id="nobody's"),
        pytest.param(volume("Pending", ""), None, "Available", id="reserved by name"),
        pytest.param(volume("Available", "c1"), MINE, "Bound", id="its claim has it"),
        pytest.param(volume("Bound", "c1"), None, "Released", id="its claim is gone"),
        pytest.param(volume("Bound", "old"), MINE, "Released", id="another claim has its claim's name"),
        pytest.param(
            volume("Bound", "c1", {"pv.kubernetes.io/provisioned-by": "p"}, persistentVolumeReclaimPolicy="Delete"),
            ELSEWHERE,
            "Released",
            id="made for a claim that has found another one",
        ),
    ],
)
def test_the_phase_of_a_volume(desired: Object, owner: Object | None, phase: str) -> None:
    world = persistent_volume.World(claim=owner)
    assert phase_after(desired, world) == phase
    there = {**desired, "status": {"phase": phase}}
    assert [each for each in persistent_volume.plan(there, world, NOW).actions if isinstance(each, Update)] == []


def test_a_volume_whose_claim_has_not_said_yes_yet_has_the_claim_looked_at() -> None:
    assert persistent_volume.plan(volume("Available", "c1"), persistent_volume.World(claim=claim()), NOW) == Plan(wakes="ns/data")
    todo = persistent_volume.plan(volume("Available", "c1", volumeMode="Block"), persistent_volume.World(claim=claim()), NOW)
    assert [each[:2] for each in told(todo.actions)] == [("Warning", "VolumeMismatch")] * 2


def test_a_volume_whose_claim_is_bound_elsewhere_is_given_back() -> None:
    [update] = persistent_volume.plan(volume("Bound", "c1", BY_CONTROLLER), persistent_volume.World(claim=ELSEWHERE), NOW).actions
    assert isinstance(update, Update)
    assert "claimRef" not in update.obj["spec"]
    assert "annotations" not in update.obj["metadata"]
    [update] = persistent_volume.plan(volume("Bound", "c1"), persistent_volume.World(claim=ELSEWHERE), NOW).actions
    assert isinstance(update, Update)
    assert update.obj["spec"]["claimRef"] == {"namespace": "ns", "name": "data"}, "what the user has reserved stays reserved"


def released(policy: str, phase: str = "Released", annotations: Object | None = None, **spec: Any) -> Object:
    return volume(phase, "gone", annotations, persistentVolumeReclaimPolicy=policy, **spec)


@pytest.mark.parametrize(
    ("desired", "reason", "message"),
    [
        pytest.param(
            released("Delete", hostPath={"path": "/mnt/x"}),
            "VolumeFailedDelete",
            "host_path deleter only supports /tmp/.+ but received provided /mnt/x",
            id="a path outside /tmp is not deleted",
        ),
        pytest.param(
            released("Delete", nfs={}),
            "VolumeFailedDelete",
            'error getting deleter volume plugin for volume "disk": no deletable volume plugin matched',
            id="a kind that cannot be deleted",
        ),
        pytest.param(
            released("Delete", iscsi={}),
            "VolumeFailedDelete",
            'error getting deleter volume plugin for volume "disk": no volume plugin matched',
            id="a kind that is not known",
        ),
        pytest.param(
            released("Delete", annotations={"pv.kubernetes.io/provisioned-by": "kubernetes.io/flocker"}),
            "VolumeFailedDelete",
            "no volume plugin matched name: kubernetes.io/flocker",
            id="a provisioner that was removed",
        ),
        pytest.param(
            released("Recycle", csi={}), "VolumeFailedRecycle", "No recycler plugin found for the volume!", id="nobody recycles it"
        ),
        pytest.param(
            released("Burn"), "VolumeUnknownReclaimPolicy", "Volume has unrecognized PersistentVolumeReclaimPolicy", id="no such policy"
        ),
    ],
)
def test_a_volume_that_cannot_be_reclaimed_fails_once(desired: Object, reason: str, message: str) -> None:
    update, record = persistent_volume.plan(desired, persistent_volume.World(), NOW).actions
    assert isinstance(update, Update)
    assert update.obj["status"] == {"phase": "Failed", "message": message}
    assert told([record]) == [("Warning", reason, message)]
    again = {**desired, "status": update.obj["status"]}
    assert persistent_volume.plan(again, persistent_volume.World(), NOW).actions == []


@pytest.mark.parametrize(
    "desired",
    [
        pytest.param(released("Retain"), id="a volume that is kept"),
        pytest.param(released("Delete", annotations={"pv.kubernetes.io/provisioned-by": "p"}), id="one that its provisioner deletes"),
        pytest.param(released("Delete", csi={}), id="a CSI volume, which somebody deletes who knows how"),
        pytest.param(released("Delete", annotations={"pv.kubernetes.io/migrated-to": "d"}, nfs={}), id="one that a driver has taken over"),
    ],
)
def test_what_is_not_ours_to_reclaim_is_left_alone(desired: Object) -> None:
    assert persistent_volume.plan(desired, persistent_volume.World(), NOW) == Plan()


def test_a_path_under_tmp_is_deleted() -> None:
    [delete] = persistent_volume.plan(released("Delete", hostPath={"path": "/tmp/x"}), persistent_volume.World(), NOW).actions
    assert isinstance(delete, Delete)
    assert (delete.name, delete.uid) == ("disk", "v1")


def test_recycling_is_done_by_a_pod() -> None:
    used = released("Recycle", hostPath={"path": "/data"})
    [create] = persistent_volume.plan(used, persistent_volume.World(), NOW).actions
    assert isinstance(create, Create)
    pod = create.obj
    assert (pod["metadata"]["name"], pod["metadata"]["namespace"]) == ("recycler-for-disk", "default")
    assert pod["spec"]["volumes"] == [{"name": "vol", "hostPath": {"path": "/data"}}]
    assert pod["spec"]["activeDeadlineSeconds"] == 60
    running = {**pod, "status": {"phase": "Running"}}
    assert persistent_volume.plan(used, persistent_volume.World(recycler=running), NOW) == Plan()
    done = persistent_volume.plan(used, persistent_volume.World(recycler={**pod, "status": {"phase": "Succeeded"}}), NOW)
    assert told(done.actions) == [("Normal", "VolumeRecycled", "Volume recycled")]
    assert [type(each) for each in done.actions] == [Delete, Record, Update]
    failed = persistent_volume.plan(used, persistent_volume.World(recycler={**pod, "status": {"phase": "Failed", "message": "no"}}), NOW)
    assert told(failed.actions) == [("Warning", "VolumeFailedRecycle", "Recycle failed: no")]


def test_what_pods_still_use_is_not_recycled() -> None:
    world = persistent_volume.World(users=["ns/a", "ns/b"])
    todo = persistent_volume.plan(released("Recycle", nfs={}), world, NOW)
    assert told(todo.actions) == [("Normal", "VolumeFailedRecycle", "Volume is used by pods: ns/a,ns/b")]
