"""What cached objects have in common is held once, and nothing else changes about them."""

from __future__ import annotations

import copy
from typing import Any

from kube.client.sharing import OWNERS_MAX, Sharing
from kube.objects import Object


def pod(name: str, owner: str = "set", **spec: Any) -> Object:
    metadata = {"name": name, "labels": {"app": "web"}, "ownerReferences": [{"uid": owner, "controller": True}]}
    return {"metadata": metadata, "spec": {"containers": [{"name": "app", "image": "app:1"}], "nodeName": f"on-{name}", **spec}}


def test_equal_members_of_the_same_owner_are_one() -> None:
    sharing, a, b = Sharing(), pod("a"), pod("b", tolerations=[{"operator": "Exists"}])
    before = copy.deepcopy((a, b))
    sharing.share(a)
    sharing.share(b)
    assert (a, b) == before
    assert a["spec"]["containers"] is b["spec"]["containers"]
    assert a["metadata"]["labels"] is b["metadata"]["labels"]
    assert a["metadata"]["ownerReferences"] is b["metadata"]["ownerReferences"]


def test_what_differs_is_not_shared_and_becomes_what_the_next_is_compared_with() -> None:
    sharing = Sharing()
    first, second, third = pod("a"), pod("b"), pod("c")
    second["spec"]["containers"] = [{"name": "app", "image": "app:2"}]
    third["spec"]["containers"] = [{"name": "app", "image": "app:2"}]
    for each in (first, second, third):
        sharing.share(each)
    assert first["spec"]["containers"] is not second["spec"]["containers"]
    assert second["spec"]["containers"] is third["spec"]["containers"]


def test_owners_do_not_get_into_each_others_way() -> None:
    sharing, pods = Sharing(), [pod("a", "x"), pod("b", "y"), pod("c", "x")]
    pods[1]["spec"]["containers"] = [{"name": "other"}]
    for each in pods:
        sharing.share(each)
    assert pods[0]["spec"]["containers"] is pods[2]["spec"]["containers"]


def test_what_differs_shares_its_parts() -> None:
    sharing, first, second = Sharing(), pod("a"), pod("b")
    first["status"] = {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Initialized", "at": "".join(("12", ":00"))}]}
    second["status"] = {
        "conditions": [{"type": "Ready", "status": "False"}, {"type": "Initialized", "at": "".join(("12", ":00"))}],
        "ip": "",
    }
    before = copy.deepcopy((first, second))
    sharing.share(first)
    sharing.share(second)
    assert (first, second) == before
    ready, initialized = (list(each) for each in zip(first["status"]["conditions"], second["status"]["conditions"], strict=True))
    assert initialized[0] is initialized[1]
    assert ready[0]["type"] is ready[1]["type"]


def test_who_has_no_owner_or_a_new_one_shares_with_the_one_before() -> None:
    sharing, first, second, third = Sharing(), pod("a", "x"), pod("b", "y"), pod("c", "z")
    del second["metadata"]["ownerReferences"]
    for each in (first, second, third):
        sharing.share(each)
    assert first["spec"]["containers"] is second["spec"]["containers"] is third["spec"]["containers"]


def test_it_remembers_so_many_owners_and_takes_odd_objects() -> None:
    sharing, first, between, last = Sharing(), pod("a", "first"), pod("x", containers=[]), pod("b", "first")
    sharing.share(first)
    for number in range(OWNERS_MAX):
        between["metadata"]["ownerReferences"] = [{"uid": str(number)}]
        sharing.share(copy.deepcopy(between))
    sharing.share(last)
    assert first["spec"]["containers"] is not last["spec"]["containers"]
    for odd in ({}, {"metadata": None, "spec": [1], "status": "none"}, {"spec": [[2], {"a": 1}]}):
        before = copy.deepcopy(odd)
        sharing.share(odd)
        assert odd == before
