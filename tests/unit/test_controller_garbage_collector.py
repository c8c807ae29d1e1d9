"""The garbage collector: who is looked at when something changes, and what becomes of whom."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from controllers.manager.discovery import read
from controllers.manager.garbage_collector import Dependent, Owner, plan
from controllers.manager.owner_graph import OwnerGraph
from kube.objects import Object
from kube.resources import CONFIG_MAPS, NODES
from kube.runtime.perform import Action, Delete, Patch

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def ref(uid: str, *, blocks: bool = False) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "name": uid, "uid": uid} | ({"blockOwnerDeletion": True} if blocks else {})


def obj(uid: str, *owners: Object, finalizers: tuple[str, ...] = (), deleting: bool = False, namespace: str = "ns") -> Object:
    metadata: Object = {"name": uid, "namespace": namespace, "uid": uid, "resourceVersion": "7", "ownerReferences": list(owners)}
    if finalizers:
        metadata["finalizers"] = list(finalizers)
    if deleting:
        metadata["deletionTimestamp"] = "x"
    return {"metadata": metadata}


def dependent(of: Object) -> Dependent:
    return Dependent(CONFIG_MAPS, of)


def described(actions: list[Action]) -> list[Any]:
    out: list[Any] = []
    for each in actions:
        if isinstance(each, Delete):
            out.append(("delete", each.name, each.propagation))
        elif isinstance(each, Patch):
            metadata = {key: value for key, value in each.body["metadata"].items() if key not in ("uid", "resourceVersion")}
            out.append(("patch", each.name, metadata))
    return out


SOLID, ABSENT, WAITING = Owner.SOLID, Owner.ABSENT, Owner.WAITING


@pytest.mark.parametrize(
    ("what", "owners", "dependents", "want"),
    [
        pytest.param(obj("a", ref("o")), {"o": SOLID}, [], [], id="an owner that is there keeps it"),
        pytest.param(obj("a", ref("o")), {"o": ABSENT}, [], [("delete", "a", "Background")], id="without its owner it goes"),
        pytest.param(
            obj("a", ref("o"), ref("p")),
            {"o": SOLID, "p": ABSENT},
            [],
            [("patch", "a", {"ownerReferences": [ref("o")]})],
            id="of two owners the absent one is forgotten",
        ),
        pytest.param(
            obj("a", ref("o"), finalizers=("orphan",)), {"o": ABSENT}, [], [("delete", "a", "Orphan")], id="its own wish to orphan counts"
        ),
        pytest.param(obj("a", ref("o")), {"o": WAITING}, [], [("delete", "a", "Background")], id="a waiting owner's dependent goes"),
        pytest.param(
            obj("a", ref("o")),
            {"o": WAITING},
            [obj("d", ref("a"))],
            [("delete", "a", "Foreground")],
            id="and after its own dependents, if it has any",
        ),
        pytest.param(
            obj("a", ref("o", blocks=True)),
            {"o": WAITING},
            [obj("d", ref("a"), finalizers=("foregroundDeletion",), deleting=True)],
            [("patch", "a", {"ownerReferences": [ref("o") | {"blockOwnerDeletion": False}]})],
            id="a circle of waiting owners is cut",
        ),
        pytest.param(obj("a", ref("o")), {"o": Owner.UNKNOWN}, [], [], id="of an owner nobody knows nothing is concluded"),
        pytest.param(obj("a", ref("o"), deleting=True), {}, [], [], id="what is being deleted already is left alone"),
        pytest.param(obj("a"), {}, [], [], id="what nobody owns is left alone"),
        pytest.param(
            obj("a", finalizers=("foregroundDeletion", "x"), deleting=True),
            {},
            [],
            [("patch", "a", {"finalizers": ["x"]})],
            id="a waiting owner whose dependents are gone may go",
        ),
        pytest.param(
            obj("a", finalizers=("foregroundDeletion",), deleting=True),
            {},
            [obj("d", ref("a", blocks=True))],
            [],
            id="it waits for dependents that block it",
        ),
        pytest.param(
            obj("a", finalizers=("foregroundDeletion",), deleting=True),
            {},
            [obj("d", ref("a"))],
            [("patch", "a", {"finalizers": []})],
            id="it does not wait for those that do not",
        ),
        pytest.param(
            obj("a", finalizers=("orphan",), deleting=True),
            {},
            [obj("d", ref("a"), ref("o"))],
            [("patch", "d", {"ownerReferences": [ref("o")]}), ("patch", "a", {"finalizers": []})],
            id="orphaned dependents lose their reference before the owner goes",
        ),
    ],
)
def test_what_becomes_of_an_object(what: Object, owners: dict[str, Owner], dependents: list[Object], want: list[Any]) -> None:
    assert described(plan(dependent(what), owners, [dependent(each) for each in dependents], NOW)) == want


def test_only_the_version_that_was_judged_is_deleted_or_changed() -> None:
    [delete] = plan(dependent(obj("a", ref("o"))), {"o": ABSENT}, [], NOW)
    assert isinstance(delete, Delete)
    assert (delete.uid, delete.resource_version) == ("a", "7")
    [patch] = plan(dependent(obj("a", ref("o"), ref("p"))), {"o": SOLID, "p": ABSENT}, [], NOW)
    assert isinstance(patch, Patch)
    assert patch.body["metadata"]["resourceVersion"] == "7"


# --- the graph ----------------------------------------------------------------------------------------------------------------


def graph(*objs: Object) -> OwnerGraph:
    made = OwnerGraph()
    for each in objs:
        made.observe(CONFIG_MAPS, None, each)
    return made


def test_a_new_object_whose_owner_is_there_concerns_nobody() -> None:
    assert graph(obj("o")).observe(CONFIG_MAPS, None, obj("a", ref("o"))) == set()


def test_a_new_object_whose_owner_is_unknown_is_looked_at() -> None:
    assert graph().observe(CONFIG_MAPS, None, obj("a", ref("o"))) == {"a"}


def test_an_owner_in_another_namespace_is_no_owner() -> None:
    assert graph(obj("o", namespace="other")).observe(CONFIG_MAPS, None, obj("a", ref("o"))) == {"a"}


def test_a_cluster_scoped_owner_is_one_everywhere() -> None:
    made = OwnerGraph()
    made.observe(NODES, None, obj("o", namespace=""))
    node = {"apiVersion": "v1", "kind": "Node", "name": "o", "uid": "o"}
    assert made.observe(CONFIG_MAPS, None, obj("a", node)) == set()


def test_when_an_owner_goes_its_dependents_are_looked_at() -> None:
    owner = obj("o")
    made = graph(owner, obj("a", ref("o")), obj("b", ref("o")))
    assert made.observe(CONFIG_MAPS, owner, None) == {"a", "b"}
    assert made.is_known_gone("o")


def test_dependents_may_be_there_before_their_owner() -> None:
    made = graph(obj("a", ref("o")), obj("o"))
    assert made.dependents("o") == ["a"]


def test_foreground_deletion_concerns_the_owner_and_its_dependents() -> None:
    owner = obj("o")
    made = graph(owner, obj("a", ref("o")))
    waiting = obj("o", finalizers=("foregroundDeletion",), deleting=True)
    assert made.observe(CONFIG_MAPS, owner, waiting) == {"o", "a"}
    assert made.observe(CONFIG_MAPS, obj("a", ref("o")), None) == {"o"}


def test_a_reference_that_blocks_no_longer_concerns_the_waiting_owner() -> None:
    waiting = obj("o", finalizers=("foregroundDeletion",), deleting=True)
    before, after = obj("a", ref("o", blocks=True)), obj("a", ref("o"))
    assert "o" in graph(waiting, before).observe(CONFIG_MAPS, before, after)


def test_a_reference_taken_away_is_forgotten() -> None:
    before = obj("a", ref("o"))
    made = graph(obj("o"), before)
    made.observe(CONFIG_MAPS, before, obj("a"))
    assert made.dependents("o") == []


def test_changes_of_anything_else_concern_nobody() -> None:
    before = obj("a", ref("gone"))
    assert graph(before).observe(CONFIG_MAPS, before, {**before, "data": {"x": "y"}}) == set()


# --- discovery ----------------------------------------------------------------------------------------------------------------


def test_discovery_is_read_with_each_resource_in_its_preferred_version() -> None:
    def group(name: str, *versions: Object) -> Object:
        return {"metadata": {"name": name} if name else {}, "versions": list(versions)}

    def version(name: str, *plurals: str, scope: str = "Namespaced", verbs: tuple[str, ...] = ("list", "delete")) -> Object:
        resources = [{"resource": each, "responseKind": {"kind": each.title()}, "scope": scope, "verbs": list(verbs)} for each in plurals]
        return {"version": name, "resources": resources}

    found = read(
        [
            group("", version("v1", "pods")),
            group("x", version("v2", "cats"), version("v1", "cats", "dogs", verbs=("get",))),
            group("y", {"version": "v1", "freshness": "Stale"}),
        ]
    )
    assert [(each.resource.group, each.resource.version, each.resource.plural) for each in found.served] == [
        ("", "v1", "pods"),
        ("x", "v2", "cats"),
        ("x", "v1", "dogs"),
    ]
    assert [each.plural for each in found.able_to("list", "delete")] == ["pods", "cats"]
    assert found.stale == ("y/v1",)
