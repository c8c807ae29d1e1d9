"""StatefulSets: one pod at a time, in order, each with its own name and claims."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from controllers.manager.controller_revision import find_equal, new_revision, old_revisions, template_of
from controllers.manager.stateful_pod import misses_owner, new_claims, new_pod, ordinal_of, wanted_owners
from controllers.manager.stateful_set import Revisions, max_unavailable, plan, status_of
from controllers.manager.stateful_world import world
from kube.objects import Object, name_of
from kube.resources import PODS, STATEFUL_SETS
from kube.runtime.perform import Action, Create, Delete, Patch, Record

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
OLD, NEW = (
    {"metadata": {"labels": {"app": "db"}}, "spec": {"image": "old"}},
    {"metadata": {"labels": {"app": "db"}}, "spec": {"image": "new"}},
)
SAME = Revisions("r1", "r1", {"r1": NEW})
ROLLING = Revisions("r1", "r2", {"r1": OLD, "r2": NEW})
PARALLEL: Any = {"podManagementPolicy": "Parallel"}


def stateful_set(replicas: int = 3, **rest: Any) -> Object:
    metadata = {"name": "db", "namespace": "ns", "uid": "set", "generation": 2, **rest.pop("metadata", {})}
    status = rest.pop("status", {})
    spec = {"replicas": replicas, "serviceName": "svc", "selector": {"matchLabels": {"app": "db"}}, "template": NEW, **rest}
    return {"kind": "StatefulSet", "metadata": metadata, "spec": spec, "status": status}


def pod(ordinal: int, *, revision: str = "r1", ready: bool = True, phase: str = "Running", deleting: bool = False) -> Object:
    name = f"db-{ordinal}"
    labels = {
        "app": "db",
        "controller-revision-hash": revision,
        "statefulset.kubernetes.io/pod-name": name,
        "apps.kubernetes.io/pod-index": str(ordinal),
    }
    metadata = {"name": name, "namespace": "ns", "uid": f"u{ordinal}", "labels": labels} | ({"deletionTimestamp": "x"} if deleting else {})
    return {
        "metadata": metadata,
        "spec": {},
        "status": {"phase": phase, "conditions": [{"type": "Ready", "status": "True" if ready else "False"}]},
    }


def no_claims(name: str) -> Object | None:
    return None


def step(of: Object, pods: list[Object], revisions: Revisions = SAME, claims: dict[str, Object] | None = None) -> list[Action]:
    return plan(of, world(of, pods, (claims or {}).get, NOW), revisions=revisions).actions


def created(actions: list[Action]) -> list[str]:
    return [name_of(each.obj) for each in actions if isinstance(each, Create) and each.resource is PODS]


def deleted(actions: list[Action]) -> list[str]:
    return [each.name for each in actions if isinstance(each, Delete)]


@pytest.mark.parametrize(
    ("of", "pods", "creates", "deletes"),
    [
        pytest.param(stateful_set(), [], ["db-0"], [], id="the first pod comes first"),
        pytest.param(stateful_set(), [pod(0)], ["db-1"], [], id="the next when that is up"),
        pytest.param(stateful_set(), [pod(0, ready=False)], [], [], id="and not before"),
        pytest.param(stateful_set(), [pod(0), pod(2)], ["db-1"], [], id="a gap is filled"),
        pytest.param(stateful_set(**PARALLEL), [pod(1, ready=False)], ["db-0", "db-2"], [], id="in parallel all come at once"),
        pytest.param(stateful_set(ordinals={"start": 5}), [], ["db-5"], [], id="ordinals may begin elsewhere"),
        pytest.param(stateful_set(1), [pod(0), pod(1), pod(2)], [], ["db-2"], id="the last pod goes first"),
        pytest.param(stateful_set(1), [pod(0), pod(1), pod(2, deleting=True)], [], [], id="the next when that is gone"),
        pytest.param(stateful_set(1), [pod(0, ready=False), pod(1)], [], [], id="none goes while a lower one is down"),
        pytest.param(stateful_set(1), [pod(0), pod(1), pod(2, ready=False)], [], ["db-2"], id="one that is down itself may go"),
        pytest.param(stateful_set(1, **PARALLEL), [pod(0), pod(1), pod(2)], [], ["db-2", "db-1"], id="in parallel all go at once"),
        pytest.param(stateful_set(), [pod(0), pod(1, phase="Failed"), pod(2)], [], ["db-1"], id="a failed pod makes room for another"),
        pytest.param(stateful_set(), [pod(0), pod(1, phase="Failed", deleting=True)], [], [], id="once"),
        pytest.param(stateful_set(metadata={"deletionTimestamp": "x"}), [pod(0)], [], [], id="a set being deleted does nothing"),
    ],
)
def test_pods_come_and_go_in_order(of: Object, pods: list[Object], creates: list[str], deletes: list[str]) -> None:
    actions = step(of, pods)
    assert (created(actions), deleted(actions)) == (creates, deletes)


ALL_OLD = [pod(0), pod(1), pod(2)]


def rolling(**rest: Any) -> Object:
    return {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": rest}}


@pytest.mark.parametrize(
    ("of", "pods", "deletes"),
    [
        pytest.param(stateful_set(), ALL_OLD, ["db-2"], id="the highest ordinal is updated first"),
        pytest.param(stateful_set(), [pod(0), pod(1), pod(2, revision="r2")], ["db-1"], id="then the next"),
        pytest.param(stateful_set(), [pod(0), pod(1), pod(2, revision="r2", ready=False)], [], id="but only when the last one is up"),
        pytest.param(stateful_set(**rolling(partition=2)), [pod(0), pod(1), pod(2, revision="r2")], [], id="none below the partition"),
        pytest.param(stateful_set(updateStrategy={"type": "OnDelete"}), ALL_OLD, [], id="OnDelete updates nothing by itself"),
        pytest.param(stateful_set(**rolling(maxUnavailable=2)), ALL_OLD, ["db-2", "db-1"], id="as many at once as may be unavailable"),
        pytest.param(
            stateful_set(**PARALLEL), [pod(0), pod(1), pod(2, ready=False)], ["db-2"], id="a pod that is down is replaced at once"
        ),
    ],
)
def test_updates_go_down_from_the_highest_ordinal(of: Object, pods: list[Object], deletes: list[str]) -> None:
    assert deleted(step(of, pods, ROLLING)) == deletes


def test_a_pod_made_below_the_partition_is_of_the_current_revision() -> None:
    def images(of: Object) -> list[str]:
        made = [each.obj for each in step(of, [], ROLLING) if isinstance(each, Create) and each.resource is PODS]
        return [each["spec"]["image"] for each in made]

    assert images(stateful_set(**PARALLEL, **rolling(partition=2))) == ["old", "old", "new"]
    assert images(stateful_set(**PARALLEL, status={"currentReplicas": 1})) == ["old", "new", "new"]


@pytest.mark.parametrize(
    ("value", "want"),
    [
        pytest.param(None, 1, id="one by default"),
        pytest.param(2, 2, id="a number is a number"),
        pytest.param("50%", 1, id="a share is rounded down"),
        pytest.param("1%", 1, id="but never to none"),
    ],
)
def test_how_many_pods_an_update_may_take_down(value: Any, want: int) -> None:
    assert max_unavailable(stateful_set(3, **rolling(maxUnavailable=value))) == want


def test_events_are_in_upstreams_words() -> None:
    [create] = step(stateful_set(), [])
    assert isinstance(create, Create)
    assert create.done is not None
    assert (create.done.reason, create.done.message) == ("SuccessfulCreate", "create Pod db-0 in StatefulSet db successful")
    event, _ = step(stateful_set(1), [pod(0, phase="Failed")])
    assert isinstance(event, Record)
    assert event.message == "StatefulSet ns/db is recreating failed Pod db-0"


# --- identity ---------------------------------------------------------------------------------------------------------------------


def test_a_pod_has_its_own_name_host_name_and_volumes() -> None:
    of = stateful_set(volumeClaimTemplates=[{"metadata": {"name": "data"}, "spec": {"x": 1}}])
    template = {
        "metadata": {"labels": {"app": "db"}},
        "spec": {"volumes": [{"name": "data", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}]},
    }
    made = new_pod(of, template, "r1", 2)
    assert name_of(made) == "db-2"
    assert "generateName" not in made["metadata"]
    assert made["metadata"]["labels"] == {
        "app": "db",
        "controller-revision-hash": "r1",
        "statefulset.kubernetes.io/pod-name": "db-2",
        "apps.kubernetes.io/pod-index": "2",
    }
    assert (made["spec"]["hostname"], made["spec"]["subdomain"]) == ("db-2", "svc")
    assert made["spec"]["volumes"] == [
        {"name": "data", "persistentVolumeClaim": {"claimName": "data-db-2", "readOnly": False}},
        {"name": "tmp", "emptyDir": {}},
    ]
    assert [name_of(each) for each in new_claims(of, 2)] == ["data-db-2"]


def test_claims_are_made_before_their_pod_and_only_once() -> None:
    of = stateful_set(volumeClaimTemplates=[{"metadata": {"name": "data"}, "spec": {}}])
    first = [name_of(each.obj) for each in step(of, []) if isinstance(each, Create)]
    assert first == ["data-db-0", "db-0"]
    claim = {"metadata": {"name": "data-db-0", "namespace": "ns"}}
    assert [name_of(each.obj) for each in step(of, [], claims={"data-db-0": claim}) if isinstance(each, Create)] == ["db-0"]


@pytest.mark.parametrize(
    ("policy", "condemned", "want"),
    [
        pytest.param({}, None, [], id="claims stay by default"),
        pytest.param({"whenDeleted": "Delete"}, None, ["StatefulSet"], id="they may go with the set"),
        pytest.param({"whenScaled": "Delete"}, None, [], id="scaling matters only to those scaled away"),
        pytest.param({"whenScaled": "Delete"}, pod(2), ["Pod"], id="which go with their pod"),
        pytest.param({"whenScaled": "Retain", "whenDeleted": "Delete"}, pod(2), ["StatefulSet"], id="or stay as long as the set"),
    ],
)
def test_whom_claims_belong_to(policy: Object, condemned: Object | None, want: list[str]) -> None:
    of = stateful_set(persistentVolumeClaimRetentionPolicy=policy)
    assert [each["kind"] for each in wanted_owners([], of, condemned)] == want
    assert misses_owner({"metadata": {}}, of, condemned) is bool(want)


def test_a_claim_of_a_condemned_pod_changes_hands_before_the_pod_goes() -> None:
    of = stateful_set(
        1, volumeClaimTemplates=[{"metadata": {"name": "data"}}], persistentVolumeClaimRetentionPolicy={"whenScaled": "Delete"}
    )
    claims = {f"data-db-{each}": {"metadata": {"name": f"data-db-{each}", "namespace": "ns", "resourceVersion": "5"}} for each in (0, 1)}
    patch, delete = step(of, [pod(0), pod(1)], claims=claims)
    assert isinstance(patch, Patch)
    assert patch.name == "data-db-1"
    assert [each["name"] for each in patch.body["metadata"]["ownerReferences"]] == ["db-1"]
    assert isinstance(delete, Delete)


@pytest.mark.parametrize(
    ("name", "want"),
    [
        pytest.param("db-3", 3, id="name and number"),
        pytest.param("db-03", 3, id="leading zeros are read as upstream does"),
        pytest.param("db-x", -1, id="no number"),
        pytest.param("other-3", -1, id="another name"),
        pytest.param("db-a-3", -1, id="a longer name"),
    ],
)
def test_ordinals(name: str, want: int) -> None:
    assert ordinal_of(stateful_set(), {"metadata": {"name": name}}) == want


# --- status and revisions ---------------------------------------------------------------------------------------------------------


def test_the_status_follows_an_update() -> None:
    pods = [pod(0), pod(1, ready=False), pod(2, revision="r2")]
    told = status_of(stateful_set(), world(stateful_set(), pods, no_claims, NOW), ROLLING, 0)
    assert told == {
        "observedGeneration": 2,
        "replicas": 3,
        "readyReplicas": 2,
        "currentReplicas": 2,
        "updatedReplicas": 1,
        "availableReplicas": 2,
        "currentRevision": "r1",
        "updateRevision": "r2",
        "collisionCount": 0,
    }


def test_when_all_pods_are_updated_and_up_that_is_the_current_revision() -> None:
    pods = [pod(each, revision="r2") for each in range(3)]
    assert status_of(stateful_set(), world(stateful_set(), pods, no_claims, NOW), ROLLING, 0)["currentRevision"] == "r2"
    assert status_of(stateful_set(), world(stateful_set(), pods[:2], no_claims, NOW), ROLLING, 0)["currentRevision"] == "r1"


def test_a_revision_keeps_the_template_and_is_found_by_it() -> None:
    made = new_revision(stateful_set(), STATEFUL_SETS, 4, 0, hash_label="controller.kubernetes.io/hash")
    assert made["revision"] == 4
    assert made["data"]["spec"]["template"]["$patch"] == "replace"
    assert template_of(made) == NEW
    assert name_of(made) == f"db-{made['metadata']['labels']['controller.kubernetes.io/hash']}"
    assert find_equal(stateful_set(), [made]) is made
    assert find_equal(stateful_set(template=OLD), [made]) is None
    assert name_of(new_revision(stateful_set(), STATEFUL_SETS, 4, 1, hash_label="h")) != name_of(made)


def test_old_revisions_go_unless_something_uses_them() -> None:
    revisions = [{"metadata": {"name": f"r{each}", "namespace": "ns"}, "revision": each} for each in range(5)]
    gone = old_revisions(stateful_set(revisionHistoryLimit=2), revisions, lambda each: name_of(each) == "r0")
    assert deleted(gone) == ["r1", "r2"]
    assert old_revisions(stateful_set(), revisions, lambda each: False) == []
