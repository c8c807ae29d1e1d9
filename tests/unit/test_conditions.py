"""What `wait_for` understands, and when a rollout is over."""

from __future__ import annotations

from typing import Any

import pytest

from kube.objects import Object
from wherry.conditions import check_of, described, is_rolled_out


def obj(kind: str = "Pod", *, generation: int = 1, spec: Object | None = None, **status: Any) -> Object:
    return {"kind": kind, "metadata": {"name": "x", "generation": generation}, "spec": spec or {}, "status": status}


READY = obj(phase="Running", conditions=[{"type": "Ready", "status": "True"}, {"type": "Degraded", "status": "False"}])


@pytest.mark.parametrize(
    ("condition", "found", "holds"),
    [
        pytest.param("Ready", READY, True, id="a condition is True"),
        pytest.param("Ready", obj(), False, id="a condition that is not there is not True"),
        pytest.param("Ready", {"metadata": {}}, False, id="without a status nothing is True"),
        pytest.param("Ready", None, False, id="what is not there is not Ready"),
        pytest.param("Degraded", READY, False, id="a condition is False"),
        pytest.param("Degraded=False", READY, True, id="a condition is to be False"),
        pytest.param("condition=Ready", READY, True, id="in kubectl's words"),
        pytest.param("condition=Degraded=False", READY, True, id="in kubectl's words, with a value"),
        pytest.param("phase=Running", READY, True, id="the phase"),
        pytest.param("phase=Failed", READY, False, id="another phase"),
        pytest.param("create", READY, True, id="it is there"),
        pytest.param("create", None, False, id="it is not there yet"),
        pytest.param("delete", None, True, id="it is gone"),
        pytest.param("delete", READY, False, id="it is not gone yet"),
        pytest.param(lambda each: each["status"]["phase"] == "Running", READY, True, id="a function"),
        pytest.param(lambda each: True, None, False, id="a function is not asked where there is nothing"),
    ],
)
def test_conditions(condition: Any, found: Object | None, holds: bool) -> None:
    assert check_of(condition)(found) is holds


@pytest.mark.parametrize("condition", ["", "ready", "jsonpath={.x}=1", "Ready=", "phase="])
def test_a_condition_that_means_nothing_is_refused(condition: str) -> None:
    with pytest.raises(ValueError, match="wait for a condition"):
        check_of(condition)


COMPLETE = {"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 3, "availableReplicas": 3}
SET = {**COMPLETE, "currentRevision": "a", "updateRevision": "a"}
DAEMONS = {"observedGeneration": 2, "desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "numberAvailable": 3}


@pytest.mark.parametrize(
    ("kind", "spec", "status", "done"),
    [
        pytest.param("Deployment", {"replicas": 3}, COMPLETE, True, id="a Deployment with all replicas updated and available"),
        pytest.param("Deployment", {"replicas": 3}, {**COMPLETE, "observedGeneration": 1}, False, id="a Deployment not yet seen"),
        pytest.param("Deployment", {"replicas": 3}, {**COMPLETE, "replicas": 4}, False, id="a Deployment with an old replica left"),
        pytest.param("Deployment", {"replicas": 3}, {**COMPLETE, "availableReplicas": 2}, False, id="a Deployment not all available"),
        pytest.param("Deployment", {"replicas": 0}, {"observedGeneration": 2}, True, id="a Deployment of none"),
        pytest.param("Deployment", {}, {"observedGeneration": 2}, False, id="a Deployment of one by default"),
        pytest.param("StatefulSet", {"replicas": 3}, SET, True, id="a StatefulSet at its update revision"),
        pytest.param("StatefulSet", {"replicas": 3}, {**SET, "updateRevision": "b"}, False, id="a StatefulSet between revisions"),
        pytest.param("StatefulSet", {"replicas": 3}, {**SET, "readyReplicas": 2}, False, id="a StatefulSet not all ready"),
        pytest.param(
            "StatefulSet",
            {"replicas": 3, "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}},
            {**SET, "updateRevision": "b", "updatedReplicas": 1},
            True,
            id="a StatefulSet updated down to its partition",
        ),
        pytest.param(
            "StatefulSet",
            {"replicas": 3, "updateStrategy": {"type": "OnDelete"}},
            {**SET, "updateRevision": "b"},
            True,
            id="a StatefulSet that is updated by deleting",
        ),
        pytest.param("DaemonSet", {}, DAEMONS, True, id="a DaemonSet on every node"),
        pytest.param("DaemonSet", {}, {**DAEMONS, "numberAvailable": 2}, False, id="a DaemonSet not available everywhere"),
        pytest.param("DaemonSet", {}, {**DAEMONS, "updatedNumberScheduled": 2}, False, id="a DaemonSet not updated everywhere"),
    ],
)
def test_rollouts(kind: str, spec: Object, status: Object, done: bool) -> None:
    assert is_rolled_out(obj(kind, generation=2, spec=spec, **status)) is done


def test_a_status_in_one_line_gives_the_reasons_of_what_is_not_true() -> None:
    conditions = [
        {"type": "Ready", "status": "True", "reason": "Fine"},
        {"type": "Synced", "status": "False", "reason": "Late", "message": "wait"},
    ]
    assert described(obj(phase="Pending", conditions=conditions)) == "phase=Pending, Ready=True, Synced=False (Late: wait)"
    assert described(None) == "there is none"
    assert described({"metadata": {}}) == "it has no status"
