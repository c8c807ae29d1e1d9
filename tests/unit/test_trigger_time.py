"""Which change led to a change of endpoints: the earliest of those since the last look."""

from __future__ import annotations

import pytest

from controllers.manager.trigger_time import ANNOTATION, TriggerTimes, triggered
from kube.objects import Object
from kube.resources import ENDPOINT_SLICES
from kube.runtime.perform import Create, Delete, Update


def at(seconds: int) -> str:
    return f"2026-01-01T00:00:{seconds:02}Z"


def service(made: int = 1) -> Object:
    return {"metadata": {"name": "web", "namespace": "ns", "creationTimestamp": at(made)}}


def pod(name: str, changed: int | None) -> Object:
    conditions = [] if changed is None else [{"type": "Ready", "status": "True", "lastTransitionTime": at(changed)}]
    return {"metadata": {"name": name, "namespace": "ns"}, "status": {"conditions": conditions}}


LATER: dict[str, tuple[Object, list[Object], str]] = {
    "nothing has changed": (service(), [pod("a", 3), pod("b", 5)], ""),
    "a pod has changed": (service(), [pod("a", 9), pod("b", 5)], at(9)),
    "the first of two that have": (service(), [pod("a", 9), pod("b", 7)], at(7)),
    "a new pod, however old": (service(), [pod("a", 3), pod("b", 5), pod("c", 2)], at(2)),
    "a pod that has told nothing yet": (service(), [pod("a", 3), pod("b", 5), pod("c", None)], ""),
    "a pod is gone": (service(), [pod("a", 3)], ""),
    "another Service of that name": (service(8), [pod("a", 3), pod("b", 5)], at(8)),
}


@pytest.mark.parametrize(("of", "pods", "expected"), LATER.values(), ids=LATER.keys())
def test_the_earliest_change_counts(of: Object, pods: list[Object], expected: str) -> None:
    times = TriggerTimes()
    assert times.look(service(), [pod("a", 3), pod("b", 5)]) == at(1), "a Service that is new was changed when it was made"
    assert times.look(of, pods) == expected


def test_a_service_that_is_forgotten_is_new() -> None:
    times = TriggerTimes()
    times.look(service(), [])
    times.forget("ns/web")
    assert times.look(service(), [pod("a", 3)]) == at(1)


@pytest.mark.parametrize(
    ("before", "time", "after"),
    [({}, at(1), {ANNOTATION: at(1)}), ({ANNOTATION: at(1), "a": "b"}, "", {"a": "b"}), ({ANNOTATION: at(1)}, "", None)],
)
def test_what_is_written_tells_it(before: Object, time: str, after: Object | None) -> None:
    obj: Object = {"metadata": {"name": "s", "annotations": before}}
    gone = Delete(ENDPOINT_SLICES, "ns", "s")
    create, update, delete = triggered([Create(ENDPOINT_SLICES, obj), Update(ENDPOINT_SLICES, obj), gone], time)
    assert isinstance(create, Create)
    assert isinstance(update, Update)
    assert [each.obj["metadata"].get("annotations") for each in (create, update)] == [after, after]
    assert delete is gone
