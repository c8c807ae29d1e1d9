"""Attaching and detaching: what is made, what is reported, what is waited for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from controllers.manager.attach_detach import Plan, Wanted, World, allows_many_nodes, new_attachment, plan, unique_name, wants_attaching
from kube.objects import Object
from kube.runtime.perform import Create, Delete, Patch, Record

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
UNIQUE = "kubernetes.io/csi/d^h"


def volume(*modes: str) -> Object:
    return {
        "metadata": {"name": "disk"},
        "spec": {"accessModes": list(modes or ("ReadWriteOnce",)), "csi": {"driver": "d", "volumeHandle": "h"}},
    }


def pod(name: str = "web", namespace: str = "ns") -> Object:
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {}}


def node(*, ready: bool = True, in_use: bool = False, reported: bool = False, out_of_service: bool = False) -> Object:
    status: Object = {"conditions": [{"type": "Ready", "status": "True" if ready else "Unknown"}]}
    if in_use:
        status["volumesInUse"] = [UNIQUE]
    if reported:
        status["volumesAttached"] = [{"name": UNIQUE, "devicePath": ""}]
    taints = [{"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}] if out_of_service else []
    return {"metadata": {"name": "n"}, "spec": {"taints": taints}, "status": status}


def attachment(**status: Any) -> Object:
    made = new_attachment(volume(), "n")
    return {**made, "metadata": {**made["metadata"], "uid": "a1"}, "status": status}


WANTED = {"disk": Wanted(volume(), [pod()])}


def planned(desired: dict[str, Wanted], **world: Any) -> Plan:
    return plan(desired, World(**{"node": node(), "volumes": {"disk": volume()}, **world}), NOW, node_name="n")


def reported(todo: Plan) -> list[str] | None:
    """What the node's status is to say; None when it is left as it is."""
    patches = [each.body["status"]["volumesAttached"] for each in todo.actions if isinstance(each, Patch)]
    return [each["name"] for each in patches[0] or ()] if patches else None


def test_a_wanted_volume_is_attached() -> None:
    [create] = planned(WANTED).actions
    assert isinstance(create, Create)
    assert create.obj["spec"] == {"attacher": "d", "nodeName": "n", "source": {"persistentVolumeName": "disk"}}
    assert create.obj["metadata"]["name"] == "csi-9072ed11cc1acb5fa433a877ff339b6311d013f33bddd1d0092711a8ace5b16d"


def test_what_is_attached_is_reported_and_told_once() -> None:
    todo = planned(WANTED, attachments={"disk": attachment(attached=True)})
    assert reported(todo) == [UNIQUE]
    [told] = [each for each in todo.actions if isinstance(each, Record)]
    assert (told.reason, told.message) == ("SuccessfulAttachVolume", 'AttachVolume.Attach succeeded for volume "disk" ')
    again = planned(WANTED, attachments={"disk": attachment(attached=True)}, node=node(reported=True))
    assert again.actions == []


def test_what_cannot_be_attached_is_told_once_for_each_reason() -> None:
    failed = {"disk": attachment(attached=False, attachError={"message": "no such disk"})}
    todo = planned(WANTED, attachments=failed)
    [told] = [each for each in todo.actions if isinstance(each, Record)]
    assert (told.type, told.reason) == ("Warning", "FailedAttachVolume")
    assert told.message == 'AttachVolume.Attach failed for volume "disk" : no such disk'
    assert planned(WANTED, attachments=failed, told=frozenset(todo.told)).actions == []


@pytest.mark.parametrize(
    ("users", "message"),
    [
        pytest.param([], "Volume is already exclusively attached to one node and can't be attached to another", id="nobody knows by whom"),
        pytest.param([pod("a"), pod("b")], "Volume is already used by pod(s) a, b", id="pods of the same namespace"),
        pytest.param([pod("a"), pod("b", "x")], "Volume is already used by pod(s) a and 1 pod(s) in different namespaces", id="of both"),
        pytest.param([pod("b", "x")], "Volume is already used by 1 pod(s) in different namespaces", id="of another one"),
    ],
)
def test_a_volume_for_one_node_is_not_attached_to_a_second(users: list[Object], message: str) -> None:
    elsewhere = {"elsewhere": {"disk": ["other"]}, "users_elsewhere": {"disk": users}}
    todo = planned(WANTED, **elsewhere)
    [told] = todo.actions
    assert isinstance(told, Record)
    assert told.message == f'Multi-Attach error for volume "disk" {message}'
    assert planned(WANTED, **elsewhere, told=frozenset(todo.told)).actions == [], "it is told once"
    many = planned({"disk": Wanted(volume("ReadWriteMany"), [pod()])}, **elsewhere)
    assert [type(each) for each in many.actions] == [Create]


LONG_AGO = NOW - timedelta(seconds=361)


@pytest.mark.parametrize(
    ("there", "since", "detached", "again_s"),
    [
        pytest.param(node(), NOW, True, None, id="nobody uses it"),
        pytest.param(node(in_use=True), LONG_AGO, False, 60, id="a healthy node still has it mounted"),
        pytest.param(node(in_use=True, ready=False), NOW, False, 360, id="an unhealthy node is waited for"),
        pytest.param(node(in_use=True, ready=False), LONG_AGO, True, None, id="but not for ever"),
        pytest.param(node(in_use=True, out_of_service=True), NOW, True, None, id="a node that is out of service"),
        pytest.param(None, NOW, False, 360, id="a node that is gone may come back"),
        pytest.param(None, LONG_AGO, True, None, id="or not"),
    ],
)
def test_when_a_volume_is_detached(there: Object | None, since: datetime, detached: bool, again_s: float | None) -> None:
    todo = planned({}, node=there, attachments={"disk": attachment(attached=True)}, unwanted_since={"disk": since})
    assert any(isinstance(each, Delete) for each in todo.actions) is detached
    assert todo.again_s == again_s


def test_the_node_is_told_before_a_volume_is_detached() -> None:
    todo = planned({}, node=node(reported=True), attachments={"disk": attachment(attached=True)})
    assert [type(each) for each in todo.actions] == [Patch, Delete]
    assert reported(todo) == []


def test_what_is_being_detached_is_left_alone() -> None:
    leaving = attachment(attached=True)
    leaving["metadata"]["deletionTimestamp"] = "x"
    assert planned({}, attachments={"disk": leaving}).actions == []


@pytest.mark.parametrize(
    ("of", "driver", "wants"),
    [
        pytest.param(volume(), None, True, id="a driver of which nothing is known"),
        pytest.param(volume(), {"spec": {"attachRequired": True}}, True, id="a driver that attaches"),
        pytest.param(volume(), {"spec": {"attachRequired": False}}, False, id="a driver that does not"),
        pytest.param({"spec": {"hostPath": {}}}, None, False, id="no CSI volume"),
    ],
)
def test_which_volumes_have_to_be_attached(of: Object, driver: Object | None, wants: bool) -> None:
    assert wants_attaching(of, driver) is wants


def test_names_and_modes() -> None:
    assert unique_name(volume()) == UNIQUE
    assert not allows_many_nodes(volume())
    assert not allows_many_nodes(volume("ReadWriteOncePod"))
    assert allows_many_nodes(volume("ReadOnlyMany"))
