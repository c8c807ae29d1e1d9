"""Labels of nodes by slot."""

from __future__ import annotations

from controllers.scheduler.columns import KEYS_MAX, Columns, picker
from controllers.scheduler.snapshot import Snapshot
from kube.objects import Object


def node(name: str, **labels: str) -> Object:
    return {"metadata": {"name": name, "labels": labels}, "spec": {}, "status": {}}


def test_a_pick_is_of_the_slots_in_their_order() -> None:
    values = ["a", "b", "c"]
    assert list(picker([2, 0])(values)) == ["c", "a"]
    assert list(picker([1])(values)) == ["b"]


def test_the_values_of_a_label_follow_the_nodes() -> None:
    snapshot = Snapshot()
    for name, zone in (("a", "z1"), ("b", "z2")):
        snapshot.set_node(node(name, zone=zone))
    zones = snapshot.values("zone")
    assert zones == ["z1", "z2"]
    snapshot.set_node(node("c"))
    snapshot.set_node(node("b", zone="z3"))
    assert zones == ["z1", "z3", None]
    snapshot.remove_node("a")
    assert zones == [None, "z3", None]
    snapshot.set_node(node("d", zone="z4"))
    assert zones == ["z4", "z3", None] == snapshot.values("zone")


def test_only_so_many_keys_are_remembered() -> None:
    columns = Columns()
    first = columns.of("k0", [])
    for number in range(KEYS_MAX + 1):
        columns.of(f"k{number}", [])
    assert columns.of("k0", []) is not first
