"""Whether a pod's claims are bound, as the kubelet asks before it starts the pod."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from kube.client.client import Client
from kube.errors import NotFound
from kube.objects import Object
from kube.resources import CSI_DRIVERS, PERSISTENT_VOLUME_CLAIMS, Resource
from kubelet.volumes.attached import Attachments
from kubelet.volumes.claims import look, patient_look
from tests.virtual import virtual


class Api:
    """One claim, one volume and one driver."""

    def __init__(self, claim: Object | None, volume: Object | None, driver: Object | None = None) -> None:
        self.claim, self._volume, self._driver = claim, volume, driver

    async def get(self, resource: Resource, name: str, *, namespace: str | None = None) -> Object:
        found = {PERSISTENT_VOLUME_CLAIMS: self.claim, CSI_DRIVERS: self._driver}.get(resource, self._volume)
        if found is None:
            raise NotFound(f'{resource.plural} "{name}" not found')
        return found


def pod(*, mounted: bool = True, ephemeral: bool = False) -> Object:
    source = {"ephemeral": {}} if ephemeral else {"persistentVolumeClaim": {"claimName": "data"}}
    container = {"name": "app", "volumeMounts": [{"name": "v", "mountPath": "/v"}] if mounted else []}
    metadata = {"name": "web", "namespace": "ns", "uid": "p1"}
    return {"metadata": metadata, "spec": {"containers": [container], "volumes": [{"name": "v", **source}]}}


def claim(phase: str = "Bound", name: str = "data", volume: str = "disk", **metadata: Any) -> Object:
    spec = {"volumeName": volume} if volume else {}
    return {"metadata": {"name": name, "namespace": "ns", "uid": "c1", **metadata}, "spec": spec, "status": {"phase": phase}}


def volume(uid: str = "c1") -> Object:
    return {"metadata": {"name": "disk"}, "spec": {"claimRef": {"uid": uid}} if uid else {}}


@pytest.mark.parametrize(
    ("of", "there", "disk", "why"),
    [
        pytest.param(pod(), claim(), volume(), "", id="all is bound"),
        pytest.param(pod(mounted=False), None, None, "", id="nobody mounts it"),
        pytest.param(
            pod(),
            None,
            None,
            'failed to fetch PVC from API server: persistentvolumeclaims "data" not found',
            id="a claim that is not there",
        ),
        pytest.param(pod(), claim(deletionTimestamp="x"), volume(), "PVC is being deleted", id="a claim on its way out"),
        pytest.param(pod(), claim("Pending"), volume(), "PVC is not bound", id="a claim that waits"),
        pytest.param(pod(), claim(volume=""), volume(), "PVC has empty pvc.Spec.VolumeName", id="a claim without a volume"),
        pytest.param(
            pod(), claim(), None, 'failed to fetch PV disk from API server: persistentvolumes "disk" not found', id="a volume that is gone"
        ),
        pytest.param(
            pod(),
            claim(),
            volume(""),
            "found PV object disk but it has a nil pv.Spec.ClaimRef indicating it is not yet bound to the claim",
            id="a volume that is nobody's",
        ),
        pytest.param(
            pod(),
            claim(),
            volume("c2"),
            "found PV object disk but its pv.Spec.ClaimRef.UID c2 does not point to claim.UID c1",
            id="a volume that is another claim's",
        ),
    ],
)
async def test_why_a_pod_has_to_wait(of: Object, there: Object | None, disk: Object | None, why: str) -> None:
    answer = (await look(of, client=cast(Client, Api(there, disk)))).why
    listed = "unmounted volumes=[v], unattached volumes=[], failed to process volumes=[v]"
    assert answer == (f"Unable to attach or mount volumes: {listed}: error processing PVC ns/data: {why}" if why else "")


async def test_the_claim_of_an_ephemeral_volume_must_be_the_pods_own() -> None:
    theirs = claim(name="web-v")
    answer = await look(pod(ephemeral=True), client=cast(Client, Api(theirs, volume())))
    assert answer.why.endswith(": PVC ns/web-v was not created for pod ns/web (pod is not owner)")
    theirs["metadata"]["ownerReferences"] = [{"uid": "p1", "controller": True}]
    assert (await look(pod(ephemeral=True), client=cast(Client, Api(theirs, volume())))).why == ""


@virtual
async def test_a_claim_whose_status_is_being_written_is_not_complained_of() -> None:
    api = Api(claim("Pending"), volume())
    waiting = asyncio.create_task(patient_look(pod(), client=cast(Client, api)))
    await asyncio.sleep(0.1)
    api.claim = claim()
    assert (await waiting).why == ""
    api.claim = claim("Pending")
    assert (await patient_look(pod(), client=cast(Client, api))).why.endswith("PVC is not bound")


@pytest.mark.parametrize(
    ("driver", "attachable"),
    [
        pytest.param(None, {}, id="a driver of which nothing is known"),
        pytest.param({"spec": {}}, {"kubernetes.io/csi/d^h": "v"}, id="a driver that attaches"),
        pytest.param({"spec": {"attachRequired": False}}, {}, id="a driver that does not"),
    ],
)
async def test_which_volumes_have_to_be_attached(driver: Object | None, attachable: dict[str, str]) -> None:
    disk = volume()
    disk["spec"]["csi"] = {"driver": "d", "volumeHandle": "h"}
    found = await look(pod(), client=cast(Client, Api(claim(), disk, driver)))
    assert (found.why, found.attachable) == ("", attachable)


def test_what_a_node_has_and_uses() -> None:
    here = Attachments()
    node = {"status": {"volumesAttached": [{"name": "a"}]}}
    assert here.observed(node)
    assert not here.observed(node)
    assert here.missing(["a", "b"]) == {"b"}
    here.use("p1", ["b", "a"])
    here.use("p2", ["a"])
    here.use("p3", [])
    assert (here.in_use(), here.users()) == (["a", "b"], ["p1", "p2"])
    here.release("p1")
    here.release("p3")
    assert here.in_use() == ["a"]
