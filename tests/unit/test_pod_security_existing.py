"""What is told of the pods that a namespace has already, and which updates of pods a level could care about."""

from __future__ import annotations

import pytest

from apiserver.admission.pod_security.existing import Tally, controller_uid, prioritized
from apiserver.admission.pod_security.labels import LevelVersion
from apiserver.admission.pod_security.plugin import is_significant
from apiserver.admission.pod_security.subject import Violation
from kube.objects import Object
from tests.unit.pod_security_pods import container, pod

BASELINE = LevelVersion("baseline", 30)
HEAD = 'existing pods in namespace "n" violate the new PodSecurity enforce level "baseline:v1.30"'
PORT, PRIVILEGED = Violation("hostPort", "of this one"), Violation("privileged", "container")

TALLIES: dict[str, tuple[dict[str, list[Violation]], int, list[str]]] = {
    "no pods": ({}, 0, []),
    "pods with nothing wrong": ({"a": [], "b": []}, 2, []),
    "one": ({"a": [PORT, PRIVILEGED], "b": []}, 2, [HEAD, "a: hostPort, privileged"]),
    "two alike, by the first name": ({"b": [PORT], "a": [PORT]}, 2, [HEAD, "a (and 1 other pod): hostPort"]),
    "three alike, and one that is not; sorted": (
        {"z": [PRIVILEGED], "b": [PORT], "c": [PORT], "d": [PORT], "a": [PORT, PRIVILEGED]},
        5,
        [HEAD, "a: hostPort, privileged", "b (and 2 other pods): hostPort", "z: privileged"],
    ),
    "more than could be looked at": (
        {"a": [PORT]},
        9,
        ["new PodSecurity enforce level only checked against the first 1 of 9 existing pods", HEAD, "a: hostPort"],
    ),
    "more than could be looked at, without fault": (
        {"a": [], "b": []},
        3,
        ["new PodSecurity enforce level only checked against the first 2 of 3 existing pods"],
    ),
}


@pytest.mark.parametrize(("found", "total", "words"), TALLIES.values(), ids=TALLIES.keys())
def test_warnings(found: dict[str, list[Violation]], total: int, words: list[str]) -> None:
    tally = Tally()
    for name, violations in found.items():
        tally.add(name, violations)
    assert tally.warnings("n", BASELINE, total) == words


def test_one_pod_of_each_controller_comes_first() -> None:
    pods = [("a1", "a"), ("a2", "a"), ("x", ""), ("b1", "b"), ("a3", "a"), ("y", ""), ("b2", "b")]
    assert list(prioritized(pods)) == ["a1", "x", "b1", "y", "a2", "a3", "b2"]


def test_the_controller_is_the_owner_that_says_so() -> None:
    owners = [{"uid": "1"}, {"uid": "2", "controller": False}, {"uid": "3", "controller": True}]
    assert controller_uid({"metadata": {"ownerReferences": owners}}) == "3"
    assert controller_uid({"metadata": {"ownerReferences": owners[:2]}}) == ""
    assert controller_uid({}) == ""


def other(name: str = "a", image: str = "app:2") -> Object:
    return container(name) | {"image": image}


UPDATES: dict[str, tuple[Object, Object, bool]] = {
    "nothing": (pod(container()), pod(container()), False),
    "what a level does not look at": (pod(container(), activeDeadlineSeconds=5), pod(container()), False),
    "more rights, which validation refuses": (pod(container("a", {"privileged": True})), pod(container()), False),
    "an image": (pod(other()), pod(container()), True),
    "an image of an init container": (pod(initContainers=[other()]), pod(initContainers=[container()]), True),
    "another container": (pod(container(), container("b")), pod(container()), True),
    "a new ephemeral container": (pod(ephemeralContainers=[container("e")]), pod(), True),
    "the same ephemeral containers": (
        pod(ephemeralContainers=[container("e"), container("f")]),
        pod(ephemeralContainers=[container("f"), container("e")]),
        False,
    ),
    "an image of an ephemeral container": (pod(ephemeralContainers=[other("e")]), pod(ephemeralContainers=[container("e")]), True),
}


@pytest.mark.parametrize(("new", "old", "significant"), UPDATES.values(), ids=UPDATES.keys())
def test_significant_updates(new: Object, old: Object, significant: bool) -> None:
    assert is_significant(new, old) is significant
