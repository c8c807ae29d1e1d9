"""What is known of a StatefulSet's pods, kept up to date one by one, is what a fresh look at all of them finds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from controllers.manager.stateful_world import Ordinals, World, world
from kube.clock import rfc3339
from kube.objects import Object

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SET: Object = {
    "metadata": {"name": "db", "namespace": "ns", "uid": "set", "generation": 1},
    "spec": {
        "replicas": 4,
        "ordinals": {"start": 1},
        "minReadySeconds": 10,
        "selector": {"matchLabels": {"app": "db"}},
        "volumeClaimTemplates": [{"metadata": {"name": "data"}}, {"metadata": {"name": "data-db"}}],
    },
}

POD = st.fixed_dictionaries(
    {
        "ordinal": st.integers(0, 7),
        "uid": st.sampled_from(["a", "b"]),
        "phase": st.sampled_from(["Pending", "Running", "Failed"]),
        "ready_s": st.one_of(st.none(), st.integers(-20, 20)),
        "revision": st.sampled_from(["r1", "r2"]),
        "deleting": st.booleans(),
        "mine": st.sampled_from([True, True, True, False]),
    }
)
STEPS = st.lists(st.tuples(st.sampled_from(["put", "put", "put", "drop", "time", "look"]), POD), max_size=40)


def pod(told: dict[str, Any]) -> Object:
    labels = {"app": "db" if told["mine"] else "other", "controller-revision-hash": told["revision"]}
    metadata = {"name": f"db-{told['ordinal']}", "namespace": "ns", "uid": f"{told['ordinal']}{told['uid']}", "labels": labels}
    if told["deleting"]:
        metadata["deletionTimestamp"] = rfc3339(NOW)
    ready = []
    if told["ready_s"] is not None:
        ready = [{"type": "Ready", "status": "True", "lastTransitionTime": rfc3339(NOW + timedelta(seconds=told["ready_s"]))}]
    return {"metadata": metadata, "status": {"phase": told["phase"], "conditions": ready}}


def no_claims(_name: str) -> Object | None:
    return None


def seen(of: World) -> dict[str, Any]:
    """Everything that is asked of a world."""
    return {
        "pods": of.pods,
        "strangers": of.strangers,
        "missing": list(of.missing),
        "condemned": list(of.condemned),
        "down": list(of.down),
        "counts": (of.ready, of.available, +of.revisions, +of.living),
        "waiting": (of.first_waiting, of.first_unhealthy),
        "old": [list(of.not_at(each)) for each in ("r1", "r2", "r3")],
        "up": sorted(each for each in of.pods if of.is_up(each)),
    }


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_it_is_what_a_fresh_look_finds(steps: list[tuple[str, dict[str, Any]]]) -> None:
    kept, there, now = World(SET, no_claims, NOW), dict[str, Object](), NOW
    for what, told in steps:
        changed = pod(told)
        name = changed["metadata"]["name"]
        match what:
            case "put":
                before = there.get(name)
                if before is not None and before["metadata"]["uid"] != changed["metadata"]["uid"]:
                    kept.drop(before)
                there[name] = changed
                kept.put(changed)
            case "drop" if name in there:
                kept.drop(there.pop(name))
            case "time":
                now += timedelta(seconds=3)
                kept.pass_time(now)
            case "look":
                kept.looked_at({each: kept.stamp(each) for each in list(kept.to_look_at)})
    kept.pass_time(now)
    fresh = world(SET, there.values(), no_claims, now)
    fresh.pass_time(now)
    assert seen(kept) == seen(fresh)
    assert set(kept.to_look_at) <= set(fresh.to_look_at)


def test_what_changed_after_a_look_is_looked_at_again() -> None:
    told: dict[str, Any] = {"ordinal": 2, "uid": "a", "phase": "Running", "ready_s": 0, "revision": "r1", "deleting": False, "mine": True}
    of = world(SET, [pod(told)], no_claims, NOW)
    looked_at = {2: of.stamp(2)}
    of.looked_at(looked_at)
    assert list(of.to_look_at) == []
    for name, again in (("data-db-2", True), ("data-db-db-2", True), ("data-db-3", False), ("logs-db-2", False), ("data-db-02x", False)):
        of.claim_changed({"metadata": {"name": name, "namespace": "ns"}})
        of.looked_at(looked_at)
        assert list(of.to_look_at) == ([2] if again else []), name
        of.looked_at({2: of.stamp(2)})


@given(st.lists(st.integers(0, 20)), st.integers(-1, 21))
def test_ordinals_are_a_set_in_order(numbers: list[int], limit: int) -> None:
    ordinals = Ordinals()
    for each in numbers:
        ordinals.add(each)
    wanted = sorted(set(numbers))
    assert list(ordinals) == wanted
    assert list(reversed(ordinals)) == wanted[::-1]
    assert (ordinals.lowest, ordinals.highest) == ((wanted[0], wanted[-1]) if wanted else (None, None))
    assert ordinals.up_to(limit) == [each for each in wanted if each <= limit]
    assert ordinals.up_to(None) == wanted
    for each in numbers[::2]:
        ordinals.discard(each)
    assert list(ordinals) == sorted(set(numbers) - set(numbers[::2]))
