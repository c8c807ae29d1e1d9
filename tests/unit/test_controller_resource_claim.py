"""ResourceClaims of pods: made by templates, reserved, given back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from controllers.manager.resource_claim import POD_CLAIM, generated_name, plan, statuses
from controllers.manager.resource_claim_reservation import FINALIZER, without_finalizer
from controllers.manager.resource_claim_reservation import plan as plan_reservation
from kube.objects import Object
from kube.pod_claims import PodClaim, claims_of
from kube.runtime.perform import Create, Delete, Record, Update

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TEMPLATE = {"spec": {"metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}}, "spec": {"devices": {"requests": []}}}}


def pod(*made: str, node: str = "", **metadata: Any) -> Object:
    """A pod with the claims `own` (by name) and `gpu` (by template), and the names that were told of the latter."""
    claims = [{"name": "own", "resourceClaimName": "mine"}, {"name": "gpu", "resourceClaimTemplateName": "big"}]
    told = [{"name": "gpu", "resourceClaimName": each} for each in made]
    spec = {"resourceClaims": claims, "nodeName": node}
    return {"metadata": {"name": "p", "namespace": "ns", "uid": "u", **metadata}, "spec": spec, "status": {"resourceClaimStatuses": told}}


def claim(
    name: str, owner: str = "u", *, marked: str = "gpu", reserved: tuple[str, ...] = (), allocated: bool = False, **rest: Any
) -> Object:
    metadata: Object = {"name": name, "namespace": "ns", "uid": f"uid-{name}", **rest}
    metadata["ownerReferences"] = [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": owner, "controller": True}]
    metadata["annotations"] = {POD_CLAIM: marked} if marked else {}
    status: Object = {"reservedFor": [{"resource": "pods", "name": each, "uid": each} for each in reserved]}
    return {"metadata": metadata, "spec": {}, "status": status | ({"allocation": {}} if allocated else {})}


def test_a_claim_is_made_by_its_template() -> None:
    [create] = plan(pod(), {}, NOW, owned=[], templates={"big": TEMPLATE})
    assert isinstance(create, Create)
    metadata = create.obj["metadata"]
    assert (metadata["generateName"], metadata["labels"], metadata["annotations"]) == ("p-gpu-", {"a": "b"}, {"c": "d", POD_CLAIM: "gpu"})
    assert metadata["ownerReferences"][0]["uid"] == "u"
    assert create.obj["spec"] == {"devices": {"requests": []}}
    assert create.failed is not None
    assert create.failed.message == "PodResourceClaim gpu: create ResourceClaim : {error}"


def test_without_its_template_people_are_told() -> None:
    [told] = plan(pod(), {}, NOW, owned=[], templates={})
    assert isinstance(told, Record)
    missing = 'resource claim template "big": resourceclaimtemplate.resource.k8s.io "big" not found'
    assert (told.reason, told.message) == ("FailedResourceClaimCreation", f"PodResourceClaim gpu: {missing}")


def test_none_is_made_twice() -> None:
    made = claim("p-gpu-x")
    assert plan(pod(), {}, NOW, owned=[made], templates={"big": TEMPLATE}) == [], "the pod only has not been told"
    assert plan(pod("p-gpu-x"), {"p-gpu-x": made}, NOW, owned=[made], templates={}) == []
    assert plan(pod(deletionTimestamp="x"), {}, NOW, owned=[], templates={"big": TEMPLATE}) == []
    assert len(plan(pod("p-gpu-x"), {"p-gpu-x": claim("p-gpu-x", "other")}, NOW, owned=[], templates={"big": TEMPLATE})) == 1


def test_the_pod_is_told_the_name() -> None:
    made = claim("p-gpu-x")
    assert statuses(pod(), {}, [made]) == [{"name": "gpu", "resourceClaimName": "p-gpu-x"}]
    assert statuses(pod("p-gpu-x"), {"p-gpu-x": made}, [made]) is None
    assert statuses(pod(), {}, [claim("p-gpu", marked="")]) == [{"name": "gpu", "resourceClaimName": "p-gpu"}], "of an older release"


def test_what_a_pod_claims() -> None:
    none_needed = {**pod(), "status": {"resourceClaimStatuses": [{"name": "gpu"}]}}
    assert claims_of(pod()) == [PodClaim("own", "mine"), PodClaim("gpu", None, "big")]
    assert claims_of(none_needed)[1] == PodClaim("gpu", None, "big", is_needed=False)


def test_a_pod_that_came_to_a_node_by_itself_gets_its_reservations() -> None:
    observed = {"mine": claim("mine", "", allocated=True), "p-gpu-x": claim("p-gpu-x")}
    assert plan(pod("p-gpu-x"), observed, NOW, owned=[], templates={}) == [], "the scheduler does that"
    [update] = plan(pod("p-gpu-x", node="n"), observed, NOW, owned=[], templates={})
    assert isinstance(update, Update)
    assert update.obj["status"]["reservedFor"] == [{"resource": "pods", "name": "p", "uid": "u"}]
    observed["mine"]["status"]["reservedFor"] = [{"resource": "pods", "name": "p", "uid": "u"}]
    assert plan(pod("p-gpu-x", node="n"), observed, NOW, owned=[], templates={}) == []


@pytest.mark.parametrize(
    ("pod_name", "claim_name", "name"),
    [
        pytest.param("p", "gpu", "p-gpu-", id="short names stay"),
        pytest.param("p" * 50, "c" * 50, f"{'p' * 27}-{'c' * 27}", id="both are cut in proportion"),
    ],
)
def test_the_beginning_of_a_name(pod_name: str, claim_name: str, name: str) -> None:
    assert generated_name(pod_name, claim_name) == name


def test_reservations_of_those_who_are_done_go() -> None:
    [update] = plan_reservation(claim("c", reserved=("a", "b"), allocated=True), {"a"}, NOW)
    assert isinstance(update, Update)
    assert [each["uid"] for each in update.obj["status"]["reservedFor"]] == ["b"]
    assert "allocation" in update.obj["status"]
    assert plan_reservation(claim("c", reserved=("a",), allocated=True), set(), NOW) == []


def test_with_the_last_one_the_devices_are_given_back() -> None:
    used = claim("c", reserved=("a",), allocated=True, finalizers=["other", FINALIZER])
    update, delete = plan_reservation(used, {"a"}, NOW, is_owner_done=True)
    assert isinstance(update, Update)
    assert update.obj["status"] == {}
    let_go = without_finalizer(update.obj)
    assert let_go is not None
    assert let_go.obj["metadata"]["finalizers"] == ["other"]
    assert isinstance(delete, Delete)
    assert without_finalizer(used) is None, "while it is allocated it is held"


def test_an_allocated_claim_that_nobody_has_used_is_left_until_it_is_deleted() -> None:
    unused = claim("c", allocated=True, finalizers=[FINALIZER])
    assert plan_reservation(unused, set(), NOW) == []
    [update] = plan_reservation({**unused, "metadata": {**unused["metadata"], "deletionTimestamp": "x"}}, set(), NOW)
    assert isinstance(update, Update)
    assert update.subresource == "status"
