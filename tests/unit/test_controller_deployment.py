"""Deployments: one step at a time, from what is there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from controllers.manager.deployment import do_old_pods_run, plan
from controllers.manager.deployment_revision import find_new, new_annotations, replica_set_name, same_template, template_hash
from controllers.manager.deployment_size import max_surge, max_unavailable, new_size, old_sizes, scaled_sizes
from controllers.manager.deployment_status import rollout_status, stuck_check_in_s, written
from kube.clock import rfc3339
from kube.objects import Object
from kube.resources import DEPLOYMENTS, REPLICA_SETS
from kube.runtime.perform import Action, Create, Delete, Record, Update

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
LABELS = {"app": "web"}


def template(image: str) -> Object:
    return {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "c", "image": image}]}}


def deployment(replicas: int = 10, *, image: str = "new", surge: Any = "25%", unavailable: Any = "25%", **spec: Any) -> Object:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}
    status = spec.pop("status", {})
    metadata = {"name": "web", "namespace": "ns", "uid": "d", "generation": 2, **spec.pop("metadata", {})}
    base = {"replicas": replicas, "selector": {"matchLabels": LABELS}, "template": template(image), "strategy": strategy}
    return {"kind": "Deployment", "metadata": metadata, "spec": {**base, "progressDeadlineSeconds": 600, **spec}, "status": status}


def replica_set(
    name: str,
    size: int,
    *,
    image: str = "old",
    available: int | None = None,
    age: int = 0,
    desired: int | None = 10,
    maximum: int = 13,
    **rest: Any,
) -> Object:
    up = size if available is None else available
    annotations = {"deployment.kubernetes.io/revision": str(rest.get("revision", 1))}
    if desired is not None:
        annotations["deployment.kubernetes.io/desired-replicas"] = str(desired)
        annotations["deployment.kubernetes.io/max-replicas"] = str(maximum)
    created = rfc3339(NOW - timedelta(hours=age))
    described = template(image)
    described["metadata"] = {"labels": {**LABELS, "pod-template-hash": name}}
    return {
        "kind": "ReplicaSet",
        "metadata": {
            "name": name,
            "namespace": "ns",
            "uid": name,
            "generation": 1,
            "creationTimestamp": created,
            "annotations": annotations,
        },
        "spec": {"replicas": size, "template": described},
        "status": {"replicas": size, "readyReplicas": up, "availableReplicas": up, "terminatingReplicas": 0, "observedGeneration": 1}
        | rest.get("status", {}),
    }


def sizes(actions: list[Action]) -> dict[str, int]:
    return {
        each.obj["metadata"]["name"]: each.obj["spec"]["replicas"]
        for each in actions
        if isinstance(each, Update | Create) and each.resource is REPLICA_SETS
    }


def told(actions: list[Action]) -> Object:
    [update] = [each for each in actions if isinstance(each, Update) and each.resource is DEPLOYMENTS]
    return update.obj


def reason(obj: Object, kind: str = "Progressing") -> str:
    return next((each["reason"] for each in obj["status"]["conditions"] if each["type"] == kind), "")


def messages(actions: list[Action]) -> list[str]:
    return [each.message for each in actions if isinstance(each, Record)]


# --- sizes ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "want_surge", "want_unavailable"),
    [
        pytest.param(10, "25%", "25%", 3, 2, id="percentages of surge are rounded up, of unavailable down"),
        pytest.param(3, 1, 1, 1, 1, id="numbers are taken as they are"),
        pytest.param(1, "25%", "25%", 1, 0, id="one pod may surge and must stay"),
        pytest.param(10, 0, 0, 0, 1, id="both zero would stand still, so one may be missing"),
        pytest.param(3, 0, "10%", 0, 1, id="both rounded to zero would stand still, so one may be missing"),
        pytest.param(2, 0, 5, 0, 2, id="no more can be missing than there are"),
        pytest.param(0, 1, 1, 1, 0, id="nothing can be missing of nothing"),
    ],
)
def test_the_bounds_of_a_rolling_update(replicas: int, surge: Any, unavailable: Any, want_surge: int, want_unavailable: int) -> None:
    desired = deployment(replicas, surge=surge, unavailable=unavailable)
    assert (max_surge(desired), max_unavailable(desired)) == (want_surge, want_unavailable)


@pytest.mark.parametrize(
    ("own", "others", "want"),
    [
        pytest.param(0, 10, 3, id="the new set begins with the surge"),
        pytest.param(3, 10, 3, id="it waits while there is no room"),
        pytest.param(3, 6, 7, id="it takes the room that old pods left"),
        pytest.param(9, 1, 10, id="it never grows beyond what is wanted"),
    ],
)
def test_how_far_the_new_set_may_grow(own: int, others: int, want: int) -> None:
    assert new_size(deployment(), own + others, own) == want


@pytest.mark.parametrize(
    ("new", "old", "want"),
    [
        pytest.param(replica_set("n", 3, available=0), [replica_set("o", 10)], {"o": 8}, id="as many go as may be unavailable"),
        pytest.param(replica_set("n", 5, available=0), [replica_set("o", 8)], {}, id="none goes while the new ones are not up"),
        pytest.param(replica_set("n", 5, available=5), [replica_set("o", 8)], {"o": 3}, id="new pods that are up let old ones go"),
        pytest.param(replica_set("n", 3, available=0), [replica_set("o", 10, available=7)], {"o": 8}, id="broken old pods go first"),
        pytest.param(
            replica_set("n", 10, available=10),
            [replica_set("a", 1, age=5), replica_set("b", 1, age=9)],
            {"a": 0, "b": 0},
            id="at the end all old sets are emptied",
        ),
        pytest.param(
            replica_set("n", 5, available=2),
            [replica_set("o", 8, available=10)],
            {"o": 6},
            id="a status that lags behind a smaller spec is not believed",
        ),
    ],
)
def test_how_far_old_sets_shrink(new: Object, old: list[Object], want: dict[str, int]) -> None:
    assert old_sizes(deployment(), new, old) == want


@pytest.mark.parametrize(
    ("wanted", "new", "old", "want"),
    [
        pytest.param(20, replica_set("n", 10), [], {"n": 20}, id="one active set takes it all"),
        pytest.param(20, None, [replica_set("a", 0, age=9), replica_set("b", 0, age=1)], {"b": 20}, id="without any the latest does"),
        pytest.param(15, replica_set("n", 5), [replica_set("o", 8)], {"n": 7, "o": 12}, id="in a rollout each grows in proportion"),
        pytest.param(5, replica_set("n", 5), [replica_set("o", 8)], {"n": 3, "o": 4}, id="in a rollout each shrinks in proportion"),
        pytest.param(0, replica_set("n", 5), [replica_set("o", 8)], {"n": 0, "o": 0}, id="to zero goes every set"),
        pytest.param(
            10, replica_set("n", 10), [replica_set("o", 2, desired=9)], {"o": 0}, id="when the new set is complete the old ones are emptied"
        ),
    ],
)
def test_scaling(wanted: int, new: Object | None, old: list[Object], want: dict[str, int]) -> None:
    assert scaled_sizes(deployment(wanted), new, old) == want


# --- revisions ------------------------------------------------------------------------------------------------------------


def test_the_hash_is_stable_and_changes_with_the_template_and_with_collisions() -> None:
    one = template_hash(template("a"), None)
    assert one == template_hash(template("a"), None)
    assert len({one, template_hash(template("b"), None), template_hash(template("a"), 0), template_hash(template("a"), 1)}) == 4
    assert set(one) <= set("bcdfghjklmnpqrstvwxz2456789")


def test_a_name_too_long_is_cut_before_the_hash() -> None:
    name = replica_set_name("d" * 253, "5f6b7c8d9f")
    assert len(name) == 253
    assert name.endswith("d-5f6b7c8d9f")


def test_templates_are_the_same_but_for_the_hash_label_and_for_nothing() -> None:
    other = template("a")
    other["metadata"] = {"labels": {**LABELS, "pod-template-hash": "x"}, "creationTimestamp": None}
    assert same_template(template("a"), other)
    assert not same_template(template("a"), template("b"))


def test_of_several_sets_with_the_template_the_oldest_is_the_new_one() -> None:
    young, old = replica_set("young", 1, image="new", age=1), replica_set("old", 1, image="new", age=2)
    assert find_new(deployment(), [young, old]) is old


def test_a_rollback_keeps_the_revisions_that_the_set_had() -> None:
    existing = {"deployment.kubernetes.io/revision": "2", "deployment.kubernetes.io/revision-history": "1"}
    made = new_annotations(
        deployment(metadata={"annotations": {"mine": "x", "kubectl.kubernetes.io/last-applied-configuration": "{}"}}), existing, 5
    )
    assert made == {"deployment.kubernetes.io/revision": "5", "deployment.kubernetes.io/revision-history": "1,2", "mine": "x"}


def test_a_history_too_long_forgets_the_oldest() -> None:
    existing = {
        "deployment.kubernetes.io/revision": "900",
        "deployment.kubernetes.io/revision-history": ",".join(str(each) for each in range(100, 600)),
    }
    history = new_annotations(deployment(), existing, 901)["deployment.kubernetes.io/revision-history"]
    assert len(history) <= 2000
    assert history.endswith(",900")


# --- steps ----------------------------------------------------------------------------------------------------------------


def test_a_new_deployment_gets_its_replica_set() -> None:
    actions = plan(deployment(3), [], NOW)
    [create] = [each for each in actions if isinstance(each, Create)]
    made = create.obj
    hash_text = made["metadata"]["labels"]["pod-template-hash"]
    assert made["metadata"]["name"] == f"web-{hash_text}"
    assert made["spec"]["replicas"] == 3
    assert made["spec"]["selector"] == {"matchLabels": {"app": "web", "pod-template-hash": hash_text}}
    assert made["spec"]["template"]["metadata"]["labels"] == {"app": "web", "pod-template-hash": hash_text}
    assert made["metadata"]["annotations"] == {
        "deployment.kubernetes.io/revision": "1",
        "deployment.kubernetes.io/desired-replicas": "3",
        "deployment.kubernetes.io/max-replicas": "4",
    }
    assert messages(actions) == [f"Scaled up replica set web-{hash_text} from 0 to 3"]
    assert told(actions)["metadata"]["annotations"] == {"deployment.kubernetes.io/revision": "1"}
    assert reason(told(actions)) == "NewReplicaSetCreated"
    assert reason(told(actions), "Available") == "MinimumReplicasUnavailable"


def test_a_changed_template_begins_a_rollout_within_the_bounds() -> None:
    actions = plan(deployment(), [replica_set("o", 10)], NOW)
    [new] = [name for name in sizes(actions) if name != "o"]
    assert sizes(actions) == {new: 3, "o": 8}
    assert messages(actions) == [f"Scaled up replica set {new} from 0 to 3", "Scaled down replica set o from 10 to 8"]
    assert told(actions)["status"]["observedGeneration"] == 2


def test_the_new_set_grows_before_old_ones_shrink_further() -> None:
    actions = plan(deployment(), [replica_set("n", 3, image="new", available=3, revision=2), replica_set("o", 8)], NOW)
    assert sizes(actions) == {"n": 5}


def test_recreate_waits_until_the_old_pods_are_gone() -> None:
    recreate: Any = {"strategy": {"type": "Recreate"}}
    first = plan(deployment(3, **recreate), [replica_set("o", 3, desired=3)], NOW, old_pods_run=True)
    assert sizes(first) == {"o": 0}
    empty = replica_set("o", 0, status={"replicas": 0})
    assert sizes(plan(deployment(3, **recreate), [empty], NOW, old_pods_run=True)) == {}
    [(name, size)] = sizes(plan(deployment(3, **recreate), [empty], NOW, old_pods_run=False)).items()
    assert (name != "o", size) == (True, 3)


def test_old_pods_run_until_the_last_has_ended() -> None:
    empty = replica_set("o", 0, status={"replicas": 0})
    assert not do_old_pods_run([empty], None, {"o": [{"status": {"phase": "Succeeded"}}]})
    assert do_old_pods_run([empty], None, {"o": [{"status": {"phase": "Running"}}]})
    assert do_old_pods_run([replica_set("o", 1)], None, {})
    assert not do_old_pods_run([empty], empty, {"o": [{"status": {"phase": "Running"}}]})


def test_a_paused_deployment_scales_but_does_not_roll() -> None:
    actions = plan(deployment(20, paused=True), [replica_set("o", 10)], NOW)
    assert sizes(actions) == {"o": 20}
    assert reason(told(actions)) == "DeploymentPaused"


def test_a_resumed_deployment_says_so() -> None:
    conditions = [{"type": "Progressing", "status": "Unknown", "reason": "DeploymentPaused", "lastUpdateTime": rfc3339(NOW)}]
    actions = plan(deployment(10, image="old", status={"conditions": conditions}), [replica_set("o", 10, available=4)], NOW)
    assert reason(told(actions)) in ("DeploymentResumed", "ReplicaSetUpdated")


def test_old_revisions_beyond_the_limit_go_when_the_rollout_is_complete() -> None:
    old = [replica_set(f"o{each}", 0, revision=each, status={"replicas": 0}) for each in range(1, 5)]
    new = replica_set("n", 10, image="new", revision=9)
    complete = {"updatedReplicas": 10, "replicas": 10, "availableReplicas": 10, "observedGeneration": 2}
    actions = plan(deployment(revisionHistoryLimit=2, status=complete), [*old, new], NOW)
    assert [each.name for each in actions if isinstance(each, Delete)] == ["o1", "o2"]


def test_old_revisions_that_still_have_pods_stay() -> None:
    old = [replica_set("o1", 0, revision=1, status={"replicas": 1}), replica_set("o2", 0, revision=2, status={"replicas": 0})]
    complete = {"updatedReplicas": 10, "replicas": 10, "availableReplicas": 10, "observedGeneration": 2}
    actions = plan(deployment(revisionHistoryLimit=0, status=complete), [*old, replica_set("n", 10, image="new", revision=3)], NOW)
    assert [each.name for each in actions if isinstance(each, Delete)] == ["o2"]


def test_nothing_is_written_when_all_is_well() -> None:
    new = replica_set("n", 10, image="new", revision=1)
    first = plan(deployment(metadata={"annotations": {"deployment.kubernetes.io/revision": "1"}}), [new], NOW)
    settled = told(first)
    assert reason(settled) == "NewReplicaSetAvailable"
    assert plan(settled, [new], NOW + timedelta(hours=1)) == []


def test_a_deployment_being_deleted_only_tells_how_it_is() -> None:
    actions = plan(deployment(metadata={"deletionTimestamp": "x"}), [replica_set("o", 10)], NOW)
    assert sizes(actions) == {}
    assert told(actions)["status"]["replicas"] == 10


# --- status ---------------------------------------------------------------------------------------------------------------


def test_a_rollout_that_stands_still_longer_than_its_deadline_has_failed() -> None:
    since = rfc3339(NOW - timedelta(seconds=601))
    conditions = [
        {"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated", "lastUpdateTime": since, "lastTransitionTime": since}
    ]
    before = {"conditions": conditions, "updatedReplicas": 3, "replicas": 11, "readyReplicas": 8, "availableReplicas": 8}
    new, old = replica_set("n", 3, image="new", available=0), replica_set("o", 8)
    status = rollout_status(deployment(status=before), new, [old], NOW)
    [said] = [each for each in status["conditions"] if each["type"] == "Progressing"]
    assert (said["status"], said["reason"]) == ("False", "ProgressDeadlineExceeded")
    assert said["message"] == 'ReplicaSet "n" has timed out progressing.'
    assert stuck_check_in_s(deployment(status=before), status, NOW) is None


def test_a_rollout_that_stands_still_is_looked_at_when_its_deadline_is_over() -> None:
    since = rfc3339(NOW - timedelta(seconds=100))
    conditions = [{"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated", "lastUpdateTime": since}]
    assert stuck_check_in_s(deployment(), {"conditions": conditions}, NOW) == 501
    assert stuck_check_in_s(deployment(progressDeadlineSeconds=2**31 - 1), {"conditions": conditions}, NOW) is None


def test_every_step_forward_moves_the_update_time_and_keeps_the_transition_time() -> None:
    since = rfc3339(NOW - timedelta(seconds=100))
    conditions = [
        {"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated", "lastUpdateTime": since, "lastTransitionTime": since}
    ]
    before = {"conditions": conditions, "updatedReplicas": 1, "replicas": 11}
    status = rollout_status(deployment(status=before), replica_set("n", 3, image="new", available=0), [replica_set("o", 8)], NOW)
    [said] = [each for each in status["conditions"] if each["type"] == "Progressing"]
    assert (said["lastUpdateTime"], said["lastTransitionTime"]) == (rfc3339(NOW), since)


def test_the_failure_of_a_replica_set_is_told_by_the_deployment() -> None:
    failing = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "quota", "lastTransitionTime": rfc3339(NOW)}
    new = replica_set("n", 3, image="new", available=0, status={"conditions": [failing]})
    status = rollout_status(deployment(), new, [], NOW)
    assert [each["message"] for each in status["conditions"] if each["type"] == "ReplicaFailure"] == ["quota"]


def test_terminating_replicas_are_told_only_when_every_set_tells_them() -> None:
    silent = replica_set("o", 1)
    del silent["status"]["terminatingReplicas"]
    assert "terminatingReplicas" not in written(rollout_status(deployment(), replica_set("n", 1), [silent], NOW))
    assert written(rollout_status(deployment(), replica_set("n", 1), [], NOW))["terminatingReplicas"] == 0
