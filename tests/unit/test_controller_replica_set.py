"""ReplicaSets and ReplicationControllers: what is created, what is deleted, what is told."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from controllers.manager.claim import plan_claims
from controllers.manager.pod_control import BURST
from controllers.manager.replica_set import ReplicaController, plan, status_of
from controllers.manager.replication_controller import selector_of_controller
from kube.labels import from_object
from kube.objects import Object
from kube.resources import REPLICA_SETS
from kube.runtime.perform import Create, Delete

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
LABELS = {"app": "web"}


def replica_set(replicas: int, **rest: Any) -> Object:
    spec = {"replicas": replicas, "selector": {"matchLabels": LABELS}, "template": {"metadata": {"labels": LABELS}, "spec": {}}}
    metadata = {"name": "web", "namespace": "ns", "uid": "rs", "generation": 3, **rest.get("metadata", {})}
    return {"metadata": metadata, "spec": spec | rest.get("spec", {}), "status": rest.get("status", {})}


def pod(name: str, *, ready: bool = False, **metadata: Any) -> Object:
    conditions = [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T11:00:00Z"}] if ready else []
    return {
        "metadata": {"name": name, "namespace": "ns", "uid": name, "labels": LABELS, **metadata},
        "spec": {"nodeName": "n"},
        "status": {"phase": "Running", "conditions": conditions},
    }


@pytest.mark.parametrize(
    ("wanted", "there", "created", "deleted"),
    [
        pytest.param(3, 0, 3, 0, id="missing pods are created"),
        pytest.param(3, 2, 1, 0, id="only as many as are missing"),
        pytest.param(2, 2, 0, 0, id="nothing happens when all is well"),
        pytest.param(1, 3, 0, 2, id="surplus pods are deleted"),
        pytest.param(0, 2, 0, 2, id="scaling to zero deletes all"),
        pytest.param(BURST + 50, 0, BURST, 0, id="no more than a burst is created at once"),
        pytest.param(0, BURST + 50, 0, BURST, id="no more than a burst is deleted at once"),
    ],
)
def test_the_number_of_pods_is_made_right(wanted: int, there: int, created: int, deleted: int) -> None:
    actions = plan(replica_set(wanted), [pod(str(each)) for each in range(there)], NOW, resource=REPLICA_SETS)
    assert sum(isinstance(each, Create) for each in actions) == created
    assert sum(isinstance(each, Delete) for each in actions) == deleted


def test_pods_that_are_not_ready_go_first() -> None:
    [action] = plan(replica_set(1), [pod("good", ready=True), pod("bad")], NOW, resource=REPLICA_SETS)
    assert isinstance(action, Delete)
    assert (action.name, action.uid) == ("bad", "bad")


def test_a_new_pod_is_controlled_by_its_set() -> None:
    [action] = plan(replica_set(1), [], NOW, resource=REPLICA_SETS)
    assert isinstance(action, Create)
    [owner] = action.obj["metadata"]["ownerReferences"]
    assert owner == {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "name": "web",
        "uid": "rs",
        "controller": True,
        "blockOwnerDeletion": True,
    }


def test_the_status_counts_ready_and_available_pods() -> None:
    told = status_of(replica_set(3), [pod("a", ready=True), pod("b"), pod("c", ready=True, labels={})], 1, NOW, failure=None)
    assert told == {
        "replicas": 3,
        "fullyLabeledReplicas": 2,
        "readyReplicas": 2,
        "availableReplicas": 2,
        "terminatingReplicas": 1,
        "observedGeneration": 3,
    }


def test_pods_ready_for_less_than_min_ready_seconds_are_not_available() -> None:
    told = status_of(replica_set(1, spec={"minReadySeconds": 7200}), [pod("a", ready=True)], 0, NOW, failure=None)
    assert told["readyReplicas"] == 1
    assert "availableReplicas" not in told


def test_a_failure_is_a_condition_until_all_is_well() -> None:
    told = status_of(replica_set(1), [], 0, NOW, failure=("FailedCreate", "quota"))
    [condition] = told["conditions"]
    assert condition == {
        "type": "ReplicaFailure",
        "status": "True",
        "lastTransitionTime": "2026-01-01T12:00:00Z",
        "reason": "FailedCreate",
        "message": "quota",
    }
    again = status_of(replica_set(1, status=told), [], 0, NOW, failure=("FailedCreate", "other words"))
    assert again["conditions"] == [condition]
    assert "conditions" not in status_of(replica_set(1, status=told), [], 0, NOW, failure=None)


def test_a_replication_controller_tells_of_no_terminating_pods() -> None:
    assert "terminatingReplicas" not in status_of(replica_set(0), [], None, NOW, failure=None)
    assert selector_of_controller({"spec": {"selector": LABELS}}).matches(LABELS)


def owned(uid: str) -> Object:
    return {"ownerReferences": [{"uid": uid, "controller": True}]}


@pytest.mark.parametrize(
    ("candidate", "owner", "what"),
    [
        pytest.param(pod("p", **owned("rs")), replica_set(1), "kept", id="a pod of ours that matches is kept"),
        pytest.param(pod("p", **owned("rs"), labels={}), replica_set(1), "release", id="a pod of ours that does not match is released"),
        pytest.param(pod("p", **owned("other")), replica_set(1), "", id="a pod of another controller is left alone"),
        pytest.param(pod("p"), replica_set(1), "adopt", id="a matching orphan is adopted"),
        pytest.param(pod("p", labels={}), replica_set(1), "", id="an orphan that does not match is left alone"),
        pytest.param(pod("p", deletionTimestamp="x"), replica_set(1), "", id="an orphan being deleted is left alone"),
        pytest.param(pod("p"), replica_set(1, metadata={"deletionTimestamp": "x"}), "", id="an owner being deleted adopts nothing"),
        pytest.param(
            pod("p", **owned("rs"), labels={}),
            replica_set(1, metadata={"deletionTimestamp": "x"}),
            "",
            id="an owner being deleted releases nothing",
        ),
    ],
)
def test_pods_are_claimed_by_selector_and_controller(candidate: Object, owner: Object, what: str) -> None:
    claims = plan_claims(owner, from_object(owner["spec"]["selector"]), [candidate])
    found = [name for name in ("kept", "adopt", "release") if getattr(claims, name)]
    assert found == ([what] if what else [])


async def test_who_becomes_available_while_the_status_is_written_is_told_of_later() -> None:
    """The status that was written did not count the pod, so its set has to be looked at again, however long the write took."""
    told: list[datetime] = []
    moments = iter([datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 0, 0, 5, tzinfo=UTC)])
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    desired: Object = {"metadata": {"name": "web", "namespace": "default"}, "spec": {"replicas": 1, "minReadySeconds": 1}}

    class Slow(ReplicaController):
        async def _claimed(self, desired: Object) -> list[Object]:
            return []

        async def _manage(self, desired: Object, active: list[Object]) -> None:
            return

        async def _tell(self, desired: Object, failure: tuple[str, str] | None, now: datetime) -> list[Object]:
            told.append(now)
            return [{"metadata": {"name": "p"}, "status": {"phase": "Running", "conditions": [ready]}}]

    async def settle(*_: object) -> None:
        return

    controller = Slow()
    controller.run = cast(Any, SimpleNamespace(clock=SimpleNamespace(now=lambda: next(moments))))
    controller.sets = cast(Any, SimpleNamespace(get=lambda _: desired))
    controller.control = cast(Any, SimpleNamespace(settle=settle))
    controller.variant = cast(Any, SimpleNamespace(selector_of=lambda _: None))
    assert await controller.reconcile("default/web") == 1.0
    assert told == [datetime(2026, 1, 1, tzinfo=UTC)]
