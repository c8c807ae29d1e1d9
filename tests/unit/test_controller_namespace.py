"""Namespaces being deleted, and what every living namespace has."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from controllers.manager import root_ca_publisher, service_account
from controllers.manager.namespace import Content, again_s, note_left, plan
from kube.objects import Object
from kube.resources import CONFIG_MAPS, PODS
from kube.runtime.perform import Create, Update

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def namespace(phase: str = "Active", **status: Any) -> Object:
    return {"metadata": {"name": "ns", "uid": "u"}, "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": phase, **status}}


def test_an_empty_namespace_says_so_and_then_gives_up_its_finalizer() -> None:
    [told] = plan(namespace("Terminating"), Content(), NOW)
    assert isinstance(told, Update)
    assert (told.subresource, {each["status"] for each in told.obj["status"]["conditions"]}) == ("status", {"False"})
    [action] = plan(told.obj, Content(), NOW)
    assert isinstance(action, Update)
    assert (action.subresource, action.obj["spec"]["finalizers"]) == ("finalize", [])


def test_what_is_left_is_told_in_upstreams_words() -> None:
    left = Content(Counter({PODS: 2, CONFIG_MAPS: 1}), Counter({"x.io/hold": 1}))
    [action] = plan(namespace("Terminating"), left, NOW)
    assert isinstance(action, Update)
    told = {each["type"]: (each["status"], each["reason"], each["message"]) for each in action.obj["status"]["conditions"]}
    assert told == {
        "NamespaceDeletionDiscoveryFailure": ("False", "ResourcesDiscovered", "All resources successfully discovered"),
        "NamespaceDeletionGroupVersionParsingFailure": ("False", "ParsedGroupVersions", "All legacy kube types successfully parsed"),
        "NamespaceDeletionContentFailure": ("False", "ContentDeleted", "All content successfully deleted, may be waiting on finalization"),
        "NamespaceContentRemaining": (
            "True",
            "SomeResourcesRemain",
            "Some resources are remaining: configmaps. has 1 resource instances, pods. has 2 resource instances",
        ),
        "NamespaceFinalizersRemaining": (
            "True",
            "SomeFinalizersRemain",
            "Some content in the namespace has finalizers remaining: x.io/hold in 1 resource instances",
        ),
    }


def test_telling_the_same_again_writes_nothing_and_a_change_keeps_the_time_of_the_rest() -> None:
    [first] = plan(namespace("Terminating"), Content(Counter({PODS: 2})), NOW)
    assert isinstance(first, Update)
    assert plan(first.obj, Content(Counter({PODS: 2})), NOW + timedelta(minutes=1)) == []
    [second] = plan(first.obj, Content(Counter({PODS: 1})), NOW + timedelta(minutes=1))
    assert isinstance(second, Update)
    assert {each["lastTransitionTime"] for each in second.obj["status"]["conditions"]} == {"2026-01-01T12:00:00Z"}


def test_a_discovery_that_fails_keeps_the_namespace() -> None:
    [action] = plan(namespace("Terminating"), Content(discovery_failure="no answer"), NOW)
    assert isinstance(action, Update)
    assert action.subresource == "status"


def left_over(**rest: Any) -> Object:
    return {"metadata": {"name": "x", **rest.get("metadata", {})}, "spec": rest.get("spec", {}), "status": rest.get("status", {})}


@pytest.mark.parametrize(
    ("resource", "obj", "wait_s", "fails"),
    [
        pytest.param(PODS, left_over(spec={"terminationGracePeriodSeconds": 30}), 30, False, id="a pod takes its grace period"),
        pytest.param(CONFIG_MAPS, left_over(metadata={"finalizers": ["f"]}), 15, False, id="a finalizer takes a while"),
        pytest.param(CONFIG_MAPS, left_over(), 0, True, id="anything else should be gone"),
    ],
)
def test_how_long_the_rest_will_take(resource: Any, obj: Object, wait_s: float, fails: bool) -> None:
    content = Content()
    note_left(content, resource, "ns", [obj])
    assert (content.wait_s, bool(content.failures)) == (wait_s, fails)
    assert again_s(content) == wait_s / 2 + 1


def test_every_active_namespace_has_the_default_service_account() -> None:
    [create] = service_account.plan(namespace(), [], NOW)
    assert isinstance(create, Create)
    assert create.obj["metadata"] == {"name": "default", "namespace": "ns"}
    assert service_account.plan(namespace(), ["default"], NOW) == []
    assert service_account.plan(namespace("Terminating"), [], NOW) == []


def test_every_active_namespace_has_the_root_ca() -> None:
    [create] = root_ca_publisher.plan(namespace(), None, NOW, root_ca="PEM")
    assert isinstance(create, Create)
    assert create.obj["data"] == {"ca.crt": "PEM"}
    assert root_ca_publisher.plan(namespace(), create.obj, NOW, root_ca="PEM") == []
    [update] = root_ca_publisher.plan(namespace(), {**create.obj, "data": {}}, NOW, root_ca="PEM")
    assert isinstance(update, Update)
    assert update.obj["data"] == {"ca.crt": "PEM"}
    assert root_ca_publisher.plan(namespace("Terminating"), None, NOW, root_ca="PEM") == []
    assert root_ca_publisher.plan(namespace(), None, NOW, root_ca="") == []
