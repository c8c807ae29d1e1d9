"""The volume plugins of the scheduler: whom they refuse, in upstream's words, and how a pod's volumes are bound before the pod is."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import pytest

from controllers.scheduler.framework import ClusterEvent, Code, PluginError, Rejection
from controllers.scheduler.plugins.volume_binding import UNBOUND, VolumeBinding
from controllers.scheduler.plugins.volume_finding import BIND_CONFLICT, NODE_CONFLICT, NOT_ENOUGH_SPACE, VOLUME_MISSING
from controllers.scheduler.pod_info import PodInfo
from controllers.scheduler.queue import SchedulingQueue
from controllers.scheduler.schedule import Decision, Evaluations
from controllers.scheduler.snapshot import Snapshot
from controllers.scheduler.volumes import Volumes
from kube.client.client import Client
from kube.objects import Object, annotations_of, key_of
from kube.resources import (
    CSI_DRIVERS,
    CSI_NODES,
    CSI_STORAGE_CAPACITIES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    STORAGE_CLASSES,
    VOLUME_ATTACHMENTS,
    Resource,
)
from tests.unit.scheduler_cluster import HOSTNAME, PROFILE, ZONE, decide, make_node, make_pod, make_snapshot
from tests.virtual import virtual

HELPLESS = "no new claims to deallocate, preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
DISK = "node(s) had no available disk"
ONE_POD = "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode"
FULL = "node(s) exceed max volume count"
NODES = [make_node("a", zone="east"), make_node("b", zone="west")]


def claim(name: str = "data", volume: str = "", size: str = "1Gi", version: int = 1, **rest: Any) -> Object:
    annotations = dict(rest.pop("annotations", {})) | ({"pv.kubernetes.io/bind-completed": "yes"} if volume else {})
    metadata = {"name": name, "namespace": "default", "uid": f"uid-{name}", "resourceVersion": str(version), "annotations": annotations}
    metadata |= rest.pop("metadata", {})
    phase = rest.pop("phase", "Bound" if volume else "Pending")
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}, "storageClassName": "late", **rest}
    return {"metadata": metadata, "spec": spec | ({"volumeName": volume} if volume else {}), "status": {"phase": phase}}


def volume(name: str, node: str = "", size: str = "1Gi", version: int = 1, **rest: Any) -> Object:
    metadata = {"name": name, "uid": f"uid-{name}", "resourceVersion": str(version), "labels": rest.pop("labels", {})}
    spec = {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": size}, "storageClassName": "late", **rest}
    if node:
        only = {"key": HOSTNAME, "operator": "In", "values": [node]}
        spec["nodeAffinity"] = {"required": {"nodeSelectorTerms": [{"matchExpressions": [only]}]}}
    return {"metadata": metadata, "spec": spec, "status": {"phase": "Available"}}


def storage_class(name: str = "late", provisioner: str = "p", **rest: Any) -> Object:
    return {"metadata": {"name": name}, "provisioner": provisioner, "volumeBindingMode": "WaitForFirstConsumer", **rest}


NO_PROVISIONER = storage_class(provisioner="kubernetes.io/no-provisioner")


def using(*claims: str, name: str = "p", **rest: Any) -> Object:
    volumes = [{"name": f"v{at}", "persistentVolumeClaim": {"claimName": each}} for at, each in enumerate(claims)]
    return make_pod(name, volumes=[*volumes, *rest.pop("volumes", [])], **rest)


Stored = Mapping[Resource, list[Object]]


def cluster(stored: Stored, pods: list[Object] | None = None, nodes: list[Object] | None = None) -> Snapshot:
    snapshot = make_snapshot(nodes or NODES, pods or [])
    for resource, objects in stored.items():
        for each in objects:
            snapshot.volumes.take(resource, None, each)
    return snapshot


def refused(decision: Decision) -> dict[str, tuple[str, ...]]:
    assert decision.node is None, f"it fits on {decision.node}"
    return {node: each.reasons for node, each in decision.rejections.items()}


@pytest.mark.parametrize(
    ("pod", "stored", "why"),
    [
        pytest.param(using("data"), {}, 'persistentvolumeclaim "data" not found', id="a claim that is not there"),
        pytest.param(using("data"), {PERSISTENT_VOLUME_CLAIMS: [claim(storageClassName="now")]}, UNBOUND, id="a claim that others bind"),
        pytest.param(
            using("data"),
            {PERSISTENT_VOLUME_CLAIMS: [claim(metadata={"deletionTimestamp": "x"})]},
            'persistentvolumeclaim "data" is being deleted',
            id="a claim on its way out",
        ),
        pytest.param(
            make_pod("p", volumes=[{"name": "s", "ephemeral": {}}]),
            {},
            'waiting for ephemeral volume controller to create the persistentvolumeclaim "p-s"',
            id="the claim of an ephemeral volume that is not made yet",
        ),
        pytest.param(
            make_pod("p", volumes=[{"name": "s", "ephemeral": {}}]),
            {PERSISTENT_VOLUME_CLAIMS: [claim("p-s")], STORAGE_CLASSES: [storage_class()]},
            "PVC default/p-s was not created for pod default/p (pod is not owner)",
            id="or is somebody else's",
        ),
        pytest.param(
            using("data"),
            {PERSISTENT_VOLUME_CLAIMS: [claim(volume="v", phase="Lost")]},
            'persistentvolumeclaim "data" bound to non-existent persistentvolume "v"',
            id="a claim that has lost its volume",
        ),
    ],
)
def test_pods_whose_claims_are_not_as_they_should_be_go_nowhere(pod: Object, stored: Stored, why: str) -> None:
    decision = decide(pod, cluster(stored))
    assert decision.message == f"0/2 nodes are available: {why}. {HELPLESS}"
    assert decision.rejected_by <= {"VolumeRestrictions", "VolumeBinding"}


LATE = {PERSISTENT_VOLUME_CLAIMS: [claim()], STORAGE_CLASSES: [NO_PROVISIONER]}
MAKER = {PERSISTENT_VOLUME_CLAIMS: [claim()], STORAGE_CLASSES: [storage_class()]}
EAST_ONLY = storage_class(allowedTopologies=[{"matchLabelExpressions": [{"key": ZONE, "values": ["east"]}]}])
TELLS = {CSI_DRIVERS: [{"metadata": {"name": "p"}, "spec": {"storageCapacity": True}}]}


def space(size: str, **labels: str) -> Object:
    metadata = {"name": f"s-{size}", "namespace": "kube-system"}
    return {"metadata": metadata, "storageClassName": "late", "capacity": size, "nodeTopology": {"matchLabels": labels}}


@pytest.mark.parametrize(
    ("stored", "reasons"),
    [
        pytest.param(
            {PERSISTENT_VOLUME_CLAIMS: [claim(volume="v")], PERSISTENT_VOLUMES: [volume("v", "b")]},
            {"a": (NODE_CONFLICT,)},
            id="a bound volume that is elsewhere",
        ),
        pytest.param(
            {PERSISTENT_VOLUME_CLAIMS: [claim(volume="v")]}, None, id="a bound volume that is not there (VolumeZone says so, for all nodes)"
        ),
        pytest.param({**LATE, PERSISTENT_VOLUMES: [volume("v", "b")]}, {"a": (BIND_CONFLICT,)}, id="the only free volume is elsewhere"),
        pytest.param(
            {**LATE, PERSISTENT_VOLUMES: [volume("v", "b", "1Mi")]}, {"a": (BIND_CONFLICT,), "b": (BIND_CONFLICT,)}, id="it is too small"
        ),
        pytest.param(LATE, {"a": (BIND_CONFLICT,), "b": (BIND_CONFLICT,)}, id="there is no volume and nobody makes one"),
        pytest.param(MAKER, {}, id="one can be made anywhere"),
        pytest.param({**MAKER, STORAGE_CLASSES: [EAST_ONLY]}, {"b": (BIND_CONFLICT,)}, id="one can be made in the east"),
        pytest.param(
            {**MAKER, PERSISTENT_VOLUME_CLAIMS: [claim(annotations={"volume.kubernetes.io/selected-node": "b"})]},
            {"a": (BIND_CONFLICT,)},
            id="a node was chosen before",
        ),
        pytest.param({**MAKER, **TELLS}, {"a": (NOT_ENOUGH_SPACE,), "b": (NOT_ENOUGH_SPACE,)}, id="the driver knows of no space"),
        pytest.param(
            {**MAKER, **TELLS, CSI_STORAGE_CAPACITIES: [space("10Gi", **{ZONE: "west"}), space("1Mi", **{ZONE: "east"})]},
            {"a": (NOT_ENOUGH_SPACE,)},
            id="the driver has space in the west",
        ),
    ],
)
def test_where_a_pod_can_have_its_volumes(stored: Stored, reasons: dict[str, tuple[str, ...]] | None) -> None:
    decision = decide(using("data"), cluster(stored))
    if reasons is None:
        assert decision.message.startswith('0/2 nodes are available: persistentvolume "v" not found.')
    elif len(reasons) == 2:
        assert refused(decision) == reasons
        assert {each.code for each in decision.rejections.values()} == {Code.UNRESOLVABLE}
    else:
        seen = {decide(using("data"), cluster(stored), seed=seed).node for seed in range(20)}
        assert seen == {"a", "b"} - set(reasons)


def test_a_bound_volume_that_is_not_there_is_told_of_ephemeral_volumes_too() -> None:
    mine = claim("p-s", volume="v", metadata={"ownerReferences": [{"controller": True, "uid": "uid-p"}]})
    pod = make_pod("p", volumes=[{"name": "s", "ephemeral": {}}])
    assert refused(decide(pod, cluster({PERSISTENT_VOLUME_CLAIMS: [mine]}))) == {"a": (VOLUME_MISSING,), "b": (VOLUME_MISSING,)}


def test_two_claims_of_a_pod_do_not_get_the_same_volume() -> None:
    claims = [claim("one"), claim("two")]
    stored = {PERSISTENT_VOLUME_CLAIMS: claims, STORAGE_CLASSES: [NO_PROVISIONER], PERSISTENT_VOLUMES: [volume("v")]}
    assert set(refused(decide(using("one", "two"), cluster(stored)))) == {"a", "b"}
    assert decide(using("one"), cluster(stored)).node


ZONED = {PERSISTENT_VOLUME_CLAIMS: [claim(volume="v")]}


@pytest.mark.parametrize(
    ("labels", "nodes"),
    [
        pytest.param({ZONE: "east"}, {"a", "plain"}, id="a zone"),
        pytest.param({ZONE: "east__west"}, {"a", "b", "plain"}, id="several zones"),
        pytest.param({"failure-domain.beta.kubernetes.io/zone": "west"}, {"b", "plain"}, id="a label of old matches that of today"),
        pytest.param({ZONE: "east", "topology.kubernetes.io/region": "r"}, {"plain"}, id="a region that no node is in"),
        pytest.param({ZONE: ""}, {"a", "b", "plain"}, id="a label that says nothing"),
    ],
)
def test_a_volume_in_a_zone_draws_its_pod_there(labels: dict[str, str], nodes: set[str]) -> None:
    snapshot = cluster({**ZONED, PERSISTENT_VOLUMES: [volume("v", labels=labels)]}, nodes=[*NODES, make_node("plain")])
    decisions = [decide(using("data"), snapshot, seed=seed) for seed in range(40)]
    assert {each.node for each in decisions} == nodes


@pytest.mark.parametrize(
    ("there", "wanted", "fits"),
    [
        pytest.param({"gcePersistentDisk": {"pdName": "d"}}, {"gcePersistentDisk": {"pdName": "d"}}, False, id="the same disk"),
        pytest.param({"gcePersistentDisk": {"pdName": "d"}}, {"gcePersistentDisk": {"pdName": "e"}}, True, id="another disk"),
        pytest.param(
            {"gcePersistentDisk": {"pdName": "d", "readOnly": True}},
            {"gcePersistentDisk": {"pdName": "d", "readOnly": True}},
            True,
            id="the same disk, both only read",
        ),
        pytest.param(
            {"awsElasticBlockStore": {"volumeID": "d", "readOnly": True}},
            {"awsElasticBlockStore": {"volumeID": "d", "readOnly": True}},
            False,
            id="this kind can be had once, however",
        ),
        pytest.param({"iscsi": {"iqn": "q"}}, {"iscsi": {"iqn": "q", "readOnly": True}}, False, id="one of the two writes"),
        pytest.param(
            {"rbd": {"monitors": ["1", "2"], "pool": "p", "image": "i"}},
            {"rbd": {"monitors": ["2"], "pool": "p", "image": "i"}},
            False,
            id="rbd",
        ),
        pytest.param(
            {"rbd": {"monitors": ["1"], "pool": "p", "image": "i"}},
            {"rbd": {"monitors": ["2"], "pool": "p", "image": "i"}},
            True,
            id="elsewhere",
        ),
    ],
)
def test_disks_that_cannot_be_shared(there: Object, wanted: Object, fits: bool) -> None:
    snapshot = make_snapshot([make_node("a")], [make_pod("there", node="a", volumes=[{"name": "d", **there}])])
    decision = decide(make_pod("p", volumes=[{"name": "d", **wanted}]), snapshot)
    assert (decision.node == "a") is fits
    if not fits:
        assert decision.rejections["a"] == Rejection("VolumeRestrictions", Code.UNSCHEDULABLE, (DISK,))


def test_a_claim_for_one_pod_is_in_use_everywhere_and_can_be_preempted() -> None:
    mine = {PERSISTENT_VOLUME_CLAIMS: [claim(volume="v", accessModes=["ReadWriteOncePod"])], PERSISTENT_VOLUMES: [volume("v")]}
    snapshot = cluster(mine, [using("data", name="there", node="a")])
    memory = Evaluations()
    assert refused(decide(using("data"), snapshot, memory=memory)) == {"a": (ONE_POD,), "b": (ONE_POD,)}
    decision = decide(using("data", priority=10), snapshot)
    assert decision.preemption is not None
    assert (decision.preemption.node, [each.name for each in decision.preemption.victims]) == ("a", ["there"])
    snapshot.remove_pod("default/there")
    assert decide(using("data"), snapshot, memory=memory).node, "all nodes are free again"


LIMITED = {CSI_NODES: [{"metadata": {"name": "a"}, "spec": {"drivers": [{"name": "d", "allocatable": {"count": 1}}, {"name": "e"}]}}]}


def csi(name: str, driver: str = "d") -> Object:
    return volume(name, csi={"driver": driver, "volumeHandle": name})


@pytest.mark.parametrize(
    ("pod", "there", "more", "fits"),
    [
        pytest.param(using("one"), [], {}, True, id="there is room for one"),
        pytest.param(using("one", "two"), [], {}, False, id="not for two"),
        pytest.param(using("one"), ["two"], {}, False, id="it is taken"),
        pytest.param(using("one"), ["one"], {}, True, id="the same volume counts once"),
        pytest.param(using("other"), ["one"], {}, True, id="a driver without a limit"),
        pytest.param(
            using("new"), ["one"], {STORAGE_CLASSES: [storage_class(provisioner="d")]}, False, id="a volume still to be made counts"
        ),
        pytest.param(
            using("one"),
            [],
            {
                VOLUME_ATTACHMENTS: [
                    {"metadata": {"name": "x"}, "spec": {"nodeName": "a", "attacher": "d", "source": {"persistentVolumeName": "two"}}}
                ]
            },
            False,
            id="a volume that is still attached counts",
        ),
    ],
)
def test_a_driver_says_how_many_of_its_volumes_a_node_takes(pod: Object, there: list[str], more: Stored, fits: bool) -> None:
    claims = [claim("one", "one"), claim("two", "two"), claim("other", "other"), claim("new")]
    stored = {**LIMITED, PERSISTENT_VOLUME_CLAIMS: claims, PERSISTENT_VOLUMES: [csi("one"), csi("two"), csi("other", "e")], **more}
    snapshot = cluster(stored, [using(each, name=f"on-{each}", node="a") for each in there], [make_node("a")])
    decision = decide(pod, snapshot)
    assert (decision.node == "a") is fits
    if not fits:
        assert decision.rejections["a"] == Rejection("NodeVolumeLimits", Code.UNSCHEDULABLE, (FULL,))


# --- what is remembered, assumed and waited for -----------------------------------------------------------------------------


def test_what_was_worked_out_for_pods_with_claims_is_void_when_storage_changes_and_only_for_them() -> None:
    snapshot = cluster(LATE)
    memory = Evaluations()
    assert decide(using("data"), snapshot, memory=memory).node is None
    plain = PodInfo(make_pod("plain"))
    before = snapshot.rules_version(plain)
    snapshot.volumes.take(PERSISTENT_VOLUMES, None, volume("v", "b"))
    assert decide(using("data"), snapshot, memory=memory).node == "b"
    assert snapshot.rules_version(plain) == before


def test_pods_with_ephemeral_volumes_are_not_alike() -> None:
    one, two = (PodInfo(make_pod(each, volumes=[{"name": "s", "ephemeral": {}}])) for each in ("one", "two"))
    assert one.signature != two.signature
    same = [PodInfo(using("data", name=each)).signature for each in ("one", "two")]
    assert same[0] == same[1]


def test_a_volume_that_is_assumed_to_be_a_claims_is_nobody_elses() -> None:
    volumes = Volumes()
    volumes.take(PERSISTENT_VOLUMES, None, volume("v"))
    assert [each["metadata"]["name"] for each in volumes.candidates(claim("other"))] == ["v"]
    volumes.volumes.assume({**volume("v"), "spec": {**volume("v")["spec"], "claimRef": {"namespace": "default", "name": "data"}}})
    assert volumes.candidates(claim("other")) == []
    assert len(volumes.candidates(claim("data"))) == 1


@virtual
async def test_a_claim_wakes_the_pods_that_use_it_and_no_others() -> None:
    queue = SchedulingQueue(PROFILE)
    for name in ("data", "other"):
        queue.put(using(name, name=f"for-{name}"))
    for _ in range(2):
        queue.give_back(await queue.pop(), frozenset({"VolumeBinding"}))
    queue.move(ClusterEvent.CLAIM, concerns=lambda pod: any(each.name == "data" for each in pod.claims))
    assert (await queue.pop()).info.name == "for-data"
    assert queue.sizes()["unschedulable"] == 1  # type: ignore[index]


# --- binding ----------------------------------------------------------------------------------------------------------------


class Api:
    """Takes updates and gives them a version; `bind` is what the binder does afterwards."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot, self.version, self.written = snapshot, 100, list[Object]()

    async def update(self, resource: Resource, obj: Object) -> Object:
        self.version += 1
        new = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.version)}}
        self.written.append(new)
        self.snapshot.volumes.take(resource, None, new)
        return new

    def show(self, resource: Resource, obj: Object) -> None:
        self.version += 1
        self.snapshot.volumes.take(resource, None, {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.version)}})


def begun(stored: Stored) -> tuple[VolumeBinding, Api, Snapshot, PodInfo]:
    """A pod that is assumed on node b, with what was decided about its volumes."""
    snapshot = cluster(stored)
    api = Api(snapshot)
    plugin = VolumeBinding(cast(Client, api))
    pod = PodInfo(using("data"))
    snapshot.assume(pod, "b")
    assert plugin.reserve(pod, snapshot.nodes["b"], snapshot) is None
    return plugin, api, snapshot, pod


STATIC = {**LATE, PERSISTENT_VOLUMES: [volume("v", "b")]}


@virtual
async def test_a_pod_waits_until_the_volume_reserved_for_it_is_bound() -> None:
    plugin, api, _, pod = begun(STATIC)
    assert plugin.pre_bind_pre_flight(pod, "b")
    binding = asyncio.create_task(plugin.pre_bind(pod, "b"))
    await asyncio.sleep(5)
    assert not binding.done()
    [written] = api.written
    assert written["spec"]["claimRef"]["name"] == "data"
    assert annotations_of(written) == {"pv.kubernetes.io/bound-by-controller": "yes"}
    api.show(PERSISTENT_VOLUME_CLAIMS, claim(volume="v"))
    await binding
    assert not plugin.pre_bind_pre_flight(pod, "b")


@virtual
async def test_a_claim_is_told_the_node_and_waited_for() -> None:
    plugin, api, _, pod = begun(MAKER)
    binding = asyncio.create_task(plugin.pre_bind(pod, "b"))
    await asyncio.sleep(5)
    [written] = api.written
    assert annotations_of(written)["volume.kubernetes.io/selected-node"] == "b"
    api.show(PERSISTENT_VOLUMES, volume("made", "b"))
    api.show(PERSISTENT_VOLUME_CLAIMS, claim(volume="made", annotations=annotations_of(written)))
    await binding


@virtual
@pytest.mark.parametrize(
    ("what", "why"),
    [
        pytest.param("nothing", "binding volumes: context deadline exceeded", id="nobody binds it in ten minutes"),
        pytest.param("refused", 'binding volumes: provisioning failed for PVC "data"', id="the provisioner asks for another node"),
        pytest.param(
            "elsewhere", 'binding volumes: pv "made" node affinity doesn\'t match node "b": no matching', id="it is made elsewhere"
        ),
        pytest.param("pod", 'binding volumes: pod does not exist any more: pod "p" not found', id="the pod is deleted"),
        pytest.param("node", 'binding volumes: failed to get node "b": node "b" not found', id="the node is deleted"),
        pytest.param(
            "claim", "binding volumes: failed to check provisioning pvc: could not find v1.PersistentVolumeClaim", id="the claim is"
        ),
    ],
)
async def test_when_a_pods_volumes_are_given_up(what: str, why: str) -> None:
    plugin, api, snapshot, pod = begun(MAKER)
    binding = asyncio.create_task(plugin.pre_bind(pod, "b"))
    await asyncio.sleep(5)
    if what == "refused":
        api.show(PERSISTENT_VOLUME_CLAIMS, claim())
    elif what == "elsewhere":
        api.show(PERSISTENT_VOLUMES, volume("made", "a"))
        api.show(PERSISTENT_VOLUME_CLAIMS, claim(volume="made", annotations={"volume.kubernetes.io/selected-node": "b"}))
    elif what == "pod":
        snapshot.remove_pod(pod.key)
    elif what == "node":
        snapshot.remove_node("b")
    elif what == "claim":
        snapshot.volumes.take(PERSISTENT_VOLUME_CLAIMS, claim(), None)
    with pytest.raises(PluginError, match=why):
        await binding
    plugin.unreserve(pod, "b", snapshot)
    plugin.unreserve(pod, "b", snapshot)
    assert not plugin.pre_bind_pre_flight(pod, "b")


@virtual
async def test_what_was_reserved_is_given_back() -> None:
    plugin, _, snapshot, pod = begun(STATIC)
    assert decide(using("data", name="second"), snapshot).node == "b", "the same claim may have it"
    other = {**claim("other"), "metadata": {**claim("other")["metadata"]}}
    snapshot.volumes.take(PERSISTENT_VOLUME_CLAIMS, None, other)
    assert decide(using("other"), snapshot).node is None
    plugin.unreserve(pod, "b", snapshot)
    assert decide(using("other"), snapshot).node == "b"
    assert key_of(other) == "default/other"


@virtual
async def test_a_pod_whose_claims_are_all_bound_waits_for_nothing() -> None:
    plugin, _, _, pod = begun({PERSISTENT_VOLUME_CLAIMS: [claim(volume="v")], PERSISTENT_VOLUMES: [volume("v")]})
    assert not plugin.pre_bind_pre_flight(pod, "b")
