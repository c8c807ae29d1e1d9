"""Claims and volumes: which volume answers a claim, which nodes can reach it, which claims a pod uses."""

from __future__ import annotations

from typing import Any

import pytest

from kube.objects import Object, name_of
from kube.storage import (
    BOUND_BY_CONTROLLER,
    PodClaim,
    allows_topology,
    bound,
    claim_keys,
    claims_of,
    class_of,
    default_class,
    fits_node,
    has_class,
    matching_volume,
    mismatch,
    not_for_pod,
)


def claim(name: str = "data", size: str = "1Gi", modes: tuple[str, ...] = ("ReadWriteOnce",), **spec: Any) -> Object:
    wanted = {"accessModes": list(modes), "resources": {"requests": {"storage": size}}, **spec}
    return {"metadata": {"name": name, "namespace": "ns", "uid": f"uid-{name}", "resourceVersion": "7"}, "spec": wanted}


def volume(name: str, size: str = "1Gi", modes: tuple[str, ...] = ("ReadWriteOnce",), phase: str = "Available", **spec: Any) -> Object:
    labels = spec.pop("labels", {})
    metadata = {"name": name, "labels": labels, **spec.pop("metadata", {})}
    return {"metadata": metadata, "spec": {"capacity": {"storage": size}, "accessModes": list(modes), **spec}, "status": {"phase": phase}}


def reserved(name: str = "data", uid: str = "") -> dict[str, Any]:
    return {"claimRef": {"namespace": "ns", "name": name, **({"uid": uid} if uid else {})}}


ANY = ("ReadWriteOnce", "ReadOnlyMany")


@pytest.mark.parametrize(
    ("wanted", "volumes", "found"),
    [
        pytest.param(claim(), [volume("b", "3Gi"), volume("a", "2Gi")], "a", id="the smallest that is large enough"),
        pytest.param(claim(), [volume("b"), volume("a")], "a", id="of equals the first by name"),
        pytest.param(claim(size="2Gi"), [volume("a")], None, id="a small one will not do"),
        pytest.param(claim(), [volume("a", modes=("ReadOnlyMany",))], None, id="it must offer the modes asked for"),
        pytest.param(claim(), [volume("a", "1Gi", ANY), volume("b", "9Gi")], "b", id="fewer modes come before a smaller size"),
        pytest.param(claim(), [volume("a", storageClassName="x")], None, id="another class"),
        pytest.param(claim(storageClassName="x"), [volume("a", storageClassName="x")], "a", id="the class asked for"),
        pytest.param(claim(), [volume("a", volumeMode="Block")], None, id="another volume mode"),
        pytest.param(claim(), [volume("a", volumeAttributesClassName="x")], None, id="another class of attributes"),
        pytest.param(claim(), [volume("a", phase="Released")], None, id="one that is not available"),
        pytest.param(claim(), [volume("a", metadata={"deletionTimestamp": "x"})], None, id="one on its way out"),
        pytest.param(claim(), [volume("a", **reserved("other"))], None, id="somebody else's"),
        pytest.param(claim(), [volume("a"), volume("z", "9Gi", **reserved())], "z", id="one that is reserved for it comes first"),
        pytest.param(claim(), [volume("z", "9Gi", phase="Bound", **reserved(uid="uid-data"))], "z", id="also when it is bound already"),
        pytest.param(claim(), [volume("z", **reserved(uid="uid-old"))], None, id="not when it was reserved for an earlier claim"),
        pytest.param(claim(size="2Gi"), [volume("z", "1Gi", **reserved())], None, id="not when it is too small"),
        pytest.param(
            claim(selector={"matchLabels": {"a": "b"}}),
            [volume("a"), volume("c", labels={"a": "b"})],
            "c",
            id="the claim's selector decides",
        ),
    ],
)
def test_the_volume_that_a_binder_finds(wanted: Object, volumes: list[Object], found: str | None) -> None:
    answer = matching_volume(wanted, volumes)
    assert (answer and name_of(answer)) == found


def on(*values: str) -> dict[str, Any]:
    expression = {"key": "host", "operator": "In", "values": list(values)}
    return {"nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}}


@pytest.mark.parametrize(
    ("volumes", "found"),
    [
        pytest.param([volume("a", **on("x")), volume("b", "9Gi", **on("n"))], "b", id="only what the node can reach"),
        pytest.param([volume("a", **on("x"), **reserved()), volume("b")], None, id="a reserved one elsewhere rules the node out"),
        pytest.param([volume("a", "1Gi", ANY), volume("b", "9Gi")], "a", id="the size decides, not the number of modes"),
        pytest.param([volume("taken"), volume("b")], "b", id="not one that another claim of the pod gets"),
    ],
)
def test_the_volume_that_the_scheduler_finds_for_a_node(volumes: list[Object], found: str | None) -> None:
    answer = matching_volume(claim(), volumes, node_labels={"host": "n"}, exclude={"taken"}, late=True)
    assert (answer and name_of(answer)) == found


def test_a_binder_leaves_claims_that_wait_for_a_pod_to_the_scheduler_but_for_reserved_volumes() -> None:
    assert matching_volume(claim(), [volume("a")], late=True) is None
    found = matching_volume(claim(), [volume("a"), volume("z", **reserved())], late=True)
    assert found is not None
    assert name_of(found) == "z"


@pytest.mark.parametrize(
    ("terms", "fits"),
    [
        pytest.param(None, True, id="without affinity it is everywhere"),
        pytest.param([], False, id="no term matches nothing"),
        pytest.param([{}], False, id="an empty term matches nothing"),
        pytest.param([{"matchExpressions": [{"key": "a", "operator": "In", "values": ["1"]}]}], True, id="a label"),
        pytest.param(
            [{"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]}], False, id="a label that it must not have"
        ),
        pytest.param([{"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["0"]}]}], True, id="a number"),
        pytest.param([{"matchExpressions": [{"key": "x", "operator": "Exists"}]}, {}], False, id="one of the terms must match"),
        pytest.param([{"matchExpressions": [{"key": "a", "operator": "Near", "values": ["1"]}]}], False, id="what is not understood"),
        pytest.param([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}]}], False, id="only labels count"),
    ],
)
def test_which_nodes_can_reach_a_volume(terms: list[Object] | None, fits: bool) -> None:
    spec: dict[str, Any] = {} if terms is None else {"nodeAffinity": {"required": {"nodeSelectorTerms": terms}}}
    assert fits_node(volume("a", **spec), {"a": "1"}) is fits


@pytest.mark.parametrize(
    ("topologies", "allowed"),
    [
        pytest.param(None, True, id="no restriction"),
        pytest.param([{"matchLabelExpressions": [{"key": "zone", "values": ["a", "b"]}]}], True, id="one of the values"),
        pytest.param([{"matchLabelExpressions": [{"key": "zone", "values": ["c"]}]}], False, id="another zone"),
        pytest.param([{"matchLabelExpressions": []}], False, id="an empty term"),
    ],
)
def test_where_volumes_of_a_class_may_be_made(topologies: Any, allowed: bool) -> None:
    assert allows_topology({"allowedTopologies": topologies}, {"zone": "a"}) is allowed


@pytest.mark.parametrize(
    ("there", "why"),
    [
        pytest.param(volume("v"), "", id="it suits"),
        pytest.param(volume("v", metadata={"deletionTimestamp": "x"}), 'the volume is marked for deletion "v"', id="on its way out"),
        pytest.param(volume("v", "1Mi"), "requested PV is too small", id="too small"),
        pytest.param(volume("v", storageClassName="x"), "storageClassName does not match", id="another class"),
        pytest.param(
            volume("v", volumeAttributesClassName="x"), "volumeAttributesClassName does not match", id="another class of attributes"
        ),
        pytest.param(volume("v", volumeMode="Block"), "incompatible volumeMode", id="another mode"),
        pytest.param(volume("v", modes=("ReadOnlyMany",)), "incompatible accessMode", id="other access modes"),
    ],
)
def test_why_a_named_volume_does_not_suit(there: Object, why: str) -> None:
    assert mismatch(there, claim()) == why


def test_a_volume_is_made_a_claims() -> None:
    free = volume("v")
    made = bound(free, claim())
    assert made is not None
    assert made["metadata"]["annotations"] == {BOUND_BY_CONTROLLER: "yes"}
    assert made["spec"]["claimRef"] == {
        "kind": "PersistentVolumeClaim",
        "namespace": "ns",
        "name": "data",
        "uid": "uid-data",
        "apiVersion": "v1",
        "resourceVersion": "7",
    }
    assert "claimRef" not in free["spec"], "the cached object is left as it is"
    assert bound(made, claim()) is None
    by_user = bound(volume("v", **reserved()), claim())
    assert by_user is not None
    assert "annotations" not in by_user["metadata"], "the user has chosen it"


def test_the_default_class_is_the_newest() -> None:
    def storage_class(name: str, created: str, key: str = "storageclass.kubernetes.io/is-default-class") -> Object:
        return {"metadata": {"name": name, "creationTimestamp": created, "annotations": {key: "true"}}}

    old, new, same = storage_class("old", "1"), storage_class("new", "2"), storage_class("a", "2")
    assert default_class([old, new, {"metadata": {"name": "x", "creationTimestamp": "3"}}]) is new
    assert default_class([new, same]) is same, "of equally old ones the first by name"
    assert default_class([storage_class("beta", "1", "storageclass.beta.kubernetes.io/is-default-class")]) is not None
    assert default_class([]) is None


def test_no_class_is_an_answer_too() -> None:
    assert not has_class(claim())
    assert has_class(claim(storageClassName=""))
    old_way = claim(storageClassName="x")
    old_way["metadata"]["annotations"] = {"volume.beta.kubernetes.io/storage-class": "y"}
    assert class_of(old_way) == "y"


def test_the_claims_of_a_pod() -> None:
    volumes = [
        {"name": "a", "persistentVolumeClaim": {"claimName": "data"}},
        {"name": "b", "ephemeral": {"volumeClaimTemplate": {}}},
        {"name": "c", "emptyDir": {}},
    ]
    pod = {"metadata": {"name": "web", "namespace": "ns", "uid": "u"}, "spec": {"volumes": volumes}}
    assert list(claims_of(pod)) == [PodClaim("a", "data"), PodClaim("b", "web-b", is_ephemeral=True)]
    assert claim_keys(pod) == ["ns/data", "ns/web-b"]
    theirs = claim("web-b")
    assert not_for_pod(theirs, pod) == "PVC ns/web-b was not created for pod ns/web (pod is not owner)"
    theirs["metadata"]["ownerReferences"] = [{"controller": True, "uid": "u"}]
    assert not_for_pod(theirs, pod) == ""
