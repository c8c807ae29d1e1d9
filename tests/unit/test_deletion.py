"""What a DELETE does to an object."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apiserver.registry.deletion import FOREGROUND, ORPHAN, check_preconditions, is_released, plan
from apiserver.registry.kind import Kind
from kube.errors import Conflict
from kube.objects import Object
from kube.resources import CONFIG_MAPS, PODS

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PLAIN = Kind(resource=CONFIG_MAPS, definition="", singular="configmap")
ORPHANING = Kind(resource=CONFIG_MAPS, definition="", singular="configmap", default_orphan=True)


def _grace(obj: Object, asked: int | None) -> int:
    return 30 if asked is None else asked


GRACEFUL = Kind(resource=PODS, definition="", singular="pod", grace_period=_grace)


def obj(**meta: Any) -> Object:
    return {"metadata": {"name": "a", "uid": "u", "resourceVersion": "7", **meta}}


def test_an_object_that_nothing_holds_is_gone_at_once() -> None:
    assert plan(PLAIN, obj(), {}, NOW).gone


def test_a_finalizer_holds_it_and_it_is_marked() -> None:
    outcome = plan(PLAIN, obj(finalizers=["example.com/x"], generation=3), {}, NOW)
    assert not outcome.gone
    assert outcome.obj["metadata"]["deletionTimestamp"] == "2026-01-01T00:00:00Z"
    assert outcome.obj["metadata"]["generation"] == 4


POLICIES: dict[str, tuple[Kind, Object, list[str]]] = {
    "foreground asks for a finalizer": (PLAIN, {"propagationPolicy": "Foreground"}, [FOREGROUND]),
    "orphan asks for another": (PLAIN, {"propagationPolicy": "Orphan"}, [ORPHAN]),
    "orphanDependents is the old way to ask": (PLAIN, {"orphanDependents": True}, [ORPHAN]),
    "some kinds orphan by default": (ORPHANING, {}, [ORPHAN]),
}


@pytest.mark.parametrize(("kind", "options", "expected"), POLICIES.values(), ids=POLICIES.keys())
def test_propagation_policies(kind: Kind, options: Object, expected: list[str]) -> None:
    outcome = plan(kind, obj(), options, NOW)
    assert not outcome.gone
    assert outcome.obj["metadata"]["finalizers"] == expected


def test_background_takes_back_what_an_earlier_delete_asked_for() -> None:
    waiting = obj(finalizers=[FOREGROUND], deletionTimestamp="2026-01-01T00:00:00Z", deletionGracePeriodSeconds=0)
    assert plan(PLAIN, waiting, {"propagationPolicy": "Background"}, NOW).gone


@pytest.mark.parametrize("policy", ["Foreground", "Background", "Orphan"])
def test_what_is_held_by_more_than_finalizers_is_not_looked_at_again(policy: str) -> None:
    held = replace(PLAIN, holds_deletion=lambda _: True)
    waiting = obj(finalizers=[FOREGROUND], deletionTimestamp="2026-01-01T00:00:00Z")
    outcome = plan(held, waiting, {"propagationPolicy": policy}, NOW)
    assert outcome.obj is waiting
    assert not outcome.gone


def test_a_graceful_kind_gets_its_time() -> None:
    outcome = plan(GRACEFUL, obj(), {}, NOW)
    assert not outcome.gone
    assert outcome.obj["metadata"]["deletionTimestamp"] == "2026-01-01T00:00:30Z"
    assert outcome.obj["metadata"]["deletionGracePeriodSeconds"] == 30


def test_a_second_delete_can_shorten_the_time_and_not_lengthen_it() -> None:
    going = obj(deletionTimestamp="2026-01-01T00:00:30Z", deletionGracePeriodSeconds=30)
    shorter = plan(GRACEFUL, going, {"gracePeriodSeconds": 5}, NOW)
    assert shorter.obj["metadata"]["deletionTimestamp"] == "2026-01-01T00:00:05Z"
    assert plan(GRACEFUL, going, {"gracePeriodSeconds": 60}, NOW).obj is going
    assert plan(GRACEFUL, going, {"gracePeriodSeconds": 0}, NOW).gone


LATE: dict[str, tuple[int, str, int]] = {
    "there is time left of it": (60, "2026-01-01T00:01:30Z", 60),
    "its end has passed, and one second is left to act": (5, "2026-01-01T00:01:00Z", 1),
}


@pytest.mark.parametrize(("asked", "ends", "left"), LATE.values(), ids=LATE.keys())
def test_a_shortened_grace_period_does_not_end_in_the_past(asked: int, ends: str, left: int) -> None:
    going = obj(deletionTimestamp="2026-01-01T00:02:30Z", deletionGracePeriodSeconds=120)  # since half a minute after NOW
    meta = plan(GRACEFUL, going, {"gracePeriodSeconds": asked}, NOW + timedelta(minutes=1)).obj["metadata"]
    assert (meta["deletionTimestamp"], meta["deletionGracePeriodSeconds"]) == (ends, left)


@pytest.mark.parametrize("policy", ["Foreground", "Orphan"])
def test_policies_say_nothing_of_what_has_no_dependents(policy: str) -> None:
    assert plan(replace(PLAIN, has_dependents=False), obj(), {"propagationPolicy": policy}, NOW).gone


def test_the_object_given_is_not_changed() -> None:
    given = obj(finalizers=["example.com/x"])
    plan(PLAIN, given, {"propagationPolicy": "Foreground"}, NOW)
    assert given == obj(finalizers=["example.com/x"])


@pytest.mark.parametrize("wanted", [{"uid": "other"}, {"resourceVersion": "8"}], ids=["another uid", "another version"])
def test_preconditions_that_do_not_hold(wanted: Object) -> None:
    with pytest.raises(Conflict, match="in the precondition"):
        check_preconditions(PLAIN, obj(), {"preconditions": wanted})


def test_preconditions_that_hold() -> None:
    check_preconditions(PLAIN, obj(), {"preconditions": {"uid": "u", "resourceVersion": "7"}})


def test_the_last_finalizer_releases_a_deleted_object() -> None:
    old = obj(finalizers=["x"], deletionTimestamp="2026-01-01T00:00:00Z")
    assert is_released(PLAIN, obj(deletionTimestamp="2026-01-01T00:00:00Z"), old)
    assert not is_released(PLAIN, obj(), obj(finalizers=["x"])), "it was not deleted"
    assert not is_released(PLAIN, old, old), "something holds it still"
