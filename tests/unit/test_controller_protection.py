"""What is in use is not removed; ephemeral volumes get their claims."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from controllers.manager import ephemeral_volume
from controllers.manager.protection import classes_of, concerns, plan, uses
from kube.objects import Object
from kube.resources import PERSISTENT_VOLUMES
from kube.runtime.perform import Create, Record, Update

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MARK = "kubernetes.io/pv-protection"


def thing(*finalizers: str, deleting: bool = False) -> Object:
    metadata: Object = {"name": "v", "finalizers": list(finalizers)}
    return {"metadata": metadata | ({"deletionTimestamp": "x"} if deleting else {}), "spec": {}}


@pytest.mark.parametrize(
    ("desired", "in_use", "finalizers"),
    [
        pytest.param(thing(MARK), True, None, id="protected and in use"),
        pytest.param(thing("other"), False, ["other", MARK], id="not protected yet"),
        pytest.param(thing(MARK, "other", deleting=True), False, ["other"], id="to be removed and not in use"),
        pytest.param(thing(MARK, deleting=True), True, None, id="to be removed and in use"),
        pytest.param(thing("other", deleting=True), False, None, id="let go already"),
    ],
)
def test_the_finalizer(desired: Object, in_use: bool, finalizers: list[str] | None) -> None:
    actions = plan(desired, in_use, NOW, resource=PERSISTENT_VOLUMES, finalizer=MARK)
    assert [each.obj["metadata"]["finalizers"] for each in actions if isinstance(each, Update)] == (
        [] if finalizers is None else [finalizers]
    )
    assert concerns(desired, MARK) or not actions


def pod(node: str = "n", **metadata: Any) -> Object:
    volumes = [{"name": "a", "persistentVolumeClaim": {"claimName": "data"}}, {"name": "b", "ephemeral": {"volumeClaimTemplate": TEMPLATE}}]
    return {"metadata": {"name": "web", "namespace": "ns", "uid": "p1", **metadata}, "spec": {"nodeName": node, "volumes": volumes}}


TEMPLATE = {"metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}}, "spec": {"accessModes": ["ReadWriteOnce"]}}


def claim(name: str, owner: str = "") -> Object:
    owners = [{"uid": owner, "controller": True}] if owner else []
    return {"metadata": {"name": name, "namespace": "ns", "ownerReferences": owners}, "spec": {}}


SHUT: dict[str, Any] = {"deletionTimestamp": "x", "deletionGracePeriodSeconds": 0}


@pytest.mark.parametrize(
    ("by", "of", "in_use"),
    [
        pytest.param(pod(), claim("data"), True, id="a pod on a node"),
        pytest.param(pod(""), claim("data"), False, id="a pod without a node will not be started any more"),
        pytest.param(pod(**SHUT), claim("data"), True, id="a claim of its own until the pod is gone"),
        pytest.param(pod(), claim("other"), False, id="another claim"),
        pytest.param(pod(), claim("web-b", "p1"), True, id="the claim of an ephemeral volume"),
        pytest.param(pod(**SHUT), claim("web-b", "p1"), False, id="not when the pod only waits for its finalizers"),
        pytest.param(pod(), claim("web-b", "p2"), False, id="a claim of that name of another pod"),
    ],
)
def test_who_uses_a_claim(by: Object, of: Object, in_use: bool) -> None:
    assert uses(by, of) is in_use


def test_the_attributes_classes_that_a_claim_mentions() -> None:
    status = {"currentVolumeAttributesClassName": "slow", "modifyVolumeStatus": {"targetVolumeAttributesClassName": "next"}}
    assert classes_of({"spec": {"volumeAttributesClassName": "fast"}, "status": status}) == ["fast", "slow", "next"]
    assert classes_of({"spec": {}}) == []


def test_an_ephemeral_volume_gets_its_claim() -> None:
    [create] = ephemeral_volume.plan(pod(), {"data": claim("data")}, NOW)
    assert isinstance(create, Create)
    metadata = create.obj["metadata"]
    assert (metadata["name"], metadata["labels"], metadata["annotations"]) == ("web-b", {"a": "b"}, {"c": "d"})
    [owner] = metadata["ownerReferences"]
    assert (owner["uid"], owner["controller"], owner["blockOwnerDeletion"]) == ("p1", True, True)
    assert create.obj["spec"] == TEMPLATE["spec"]
    assert create.failed is not None
    assert create.failed.message == "ephemeral volume b: create PVC web-b: {error}"
    assert ephemeral_volume.plan(pod(), {"web-b": claim("web-b", "p1")}, NOW) == []
    assert ephemeral_volume.plan(pod(deletionTimestamp="x"), {}, NOW) == []


def test_a_claim_that_is_somebody_elses_is_told_of() -> None:
    [told] = ephemeral_volume.plan(pod(), {"web-b": claim("web-b", "p2")}, NOW)
    assert isinstance(told, Record)
    assert (told.reason, told.message) == (
        "FailedBinding",
        "ephemeral volume b: PVC ns/web-b was not created for pod ns/web (pod is not owner)",
    )
