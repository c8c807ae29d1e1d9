"""What a fresh server holds, and what becomes of what is there already: rules, roles, bindings, flow control, APIServices, ConfigMaps."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from apiserver.bootstrap import api_services, cluster, flow_control, rbac
from apiserver.bootstrap.ensure import Recreate, Wanted
from apiserver.bootstrap.rules import rule, rules, uncovered
from kube.objects import Object, name_of, namespace_of

AUTO = rbac.AUTO_UPDATE
LINES: dict[str, tuple[str, Object]] = {
    "a line of two parts is about the core group, sorted": (
        "watch get | pods nodes",
        {"verbs": ["get", "watch"], "apiGroups": [""], "resources": ["nodes", "pods"]},
    ),
    "words stand for several verbs": (
        "read update | apps | replicasets",
        {"verbs": ["get", "list", "update", "watch"], "apiGroups": ["apps"], "resources": ["replicasets"]},
    ),
    "a fourth part is names": (
        "get | core | secrets | b a",
        {"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["a", "b"]},
    ),
    "core is one group among others": (
        "patch | core events.k8s.io | events",
        {"verbs": ["patch"], "apiGroups": ["", "events.k8s.io"], "resources": ["events"]},
    ),
    "url is about paths": ("get | url | /version /healthz", {"verbs": ["get"], "nonResourceURLs": ["/healthz", "/version"]}),
    "all is reading and editing": (
        "all | leases",
        {
            "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
            "apiGroups": [""],
            "resources": ["leases"],
        },
    ),
}


@pytest.mark.parametrize(("line", "expected"), LINES.values(), ids=LINES.keys())
def test_a_line_says_a_rule(line: str, expected: Object) -> None:
    assert rule(line) == expected


@pytest.mark.parametrize("line", ["get", "get | a | b | c | d"])
def test_a_line_of_another_form_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="not a rule"):
        rule(line)


COVERED: dict[str, tuple[tuple[str, ...], str, int]] = {
    "the same rule": (("get list | pods",), "get list | pods", 0),
    "one verb more": (("get | pods",), "get list | pods", 1),
    "two rules together cover what neither does alone": (("get | pods", "list | pods"), "get list | pods", 0),
    "each verb and resource that is missing is one rule": (("get | nodes",), "get list | pods services", 4),
    "a star covers any verb, group and resource": (("* | * | *",), "get | apps | deployments/scale", 0),
    "a star for resources covers subresources": (("get | core | *",), "get | pods/log", 0),
    "a resource does not cover its subresources": (("get | pods",), "get | pods/log", 1),
    "a subresource of everything covers that of one": (("get | * | */scale",), "get | apps | deployments/scale", 0),
    "a rule for names does not cover one for all": (("get | core | secrets | a",), "get | secrets", 1),
    "a rule for all covers names": (("get | secrets",), "get | core | secrets | a", 0),
    "names are counted one by one": (("get | core | secrets | a",), "get | core | secrets | a b", 1),
    "another group is another resource": (("get | apps | events",), "get | events", 1),
    "a path is covered by its own": (("get | url | /healthz",), "get | url | /healthz", 0),
    "a path is covered by a prefix with a star": (("get | url | /healthz/*",), "get | url | /healthz/etcd", 0),
    "a path is not covered by another": (("get | url | /healthz/*",), "get | url | /healthz", 1),
    "rules for resources cover no path": (("* | * | *",), "get | url | /healthz", 1),
}


@pytest.mark.parametrize(("present", "wanted", "missing"), COVERED.values(), ids=COVERED.keys())
def test_what_is_not_covered_is_missing(present: tuple[str, ...], wanted: str, missing: int) -> None:
    assert len(uncovered(rules(present), rules([wanted]))) == missing


# --- RBAC -------------------------------------------------------------------------------------------------------------


def all_rbac() -> list[Wanted]:
    return [*rbac.cluster_objects(), *rbac.namespaced_objects()]


def named(resource: Any, name: str) -> Object:
    return next(each.obj for each in all_rbac() if each.resource == resource and name_of(each.obj) == name)


def test_every_role_and_binding_is_there_once_and_kept_up_to_date() -> None:
    wanted = all_rbac()
    assert len({(each.resource, namespace_of(each.obj), name_of(each.obj)) for each in wanted}) == len(wanted)
    for each in wanted:
        assert each.obj["metadata"]["labels"][rbac.LABEL] == "rbac-defaults"
        assert each.obj["metadata"]["annotations"] == {AUTO: "true"}
    count = {each.resource.plural: sum(other.resource == each.resource for other in wanted) for each in wanted}
    assert count == {"clusterroles": 69, "clusterrolebindings": 50, "roles": 7, "rolebindings": 7}


def test_every_binding_names_a_role_that_is_there() -> None:
    roles = {(each.resource.kind, namespace_of(each.obj), name_of(each.obj)) for each in all_rbac() if "roleRef" not in each.obj}
    for each in all_rbac():
        if "roleRef" in each.obj:
            reference = each.obj["roleRef"]
            namespace = "" if reference["kind"] == "ClusterRole" else namespace_of(each.obj)
            assert (reference["kind"], namespace, reference["name"]) in roles


def test_admin_edit_and_view_are_collected_from_others() -> None:
    for name, label in (("admin", "aggregate-to-admin"), ("edit", "aggregate-to-edit"), ("view", "aggregate-to-view")):
        role = named(rbac.CLUSTER_ROLES, name)
        assert role["rules"] is None
        selector = role["aggregationRule"]["clusterRoleSelectors"][0]["matchLabels"]
        assert selector == {f"{rbac.GROUP}/{label}": "true"}
        feeders = [e for e in all_rbac() if selector.items() <= e.obj["metadata"]["labels"].items()]
        assert feeders


def role(lines: tuple[str, ...] = (), **more: Any) -> Object:
    meta = {"name": "r", "labels": {"a": "1"}, "annotations": {AUTO: "true"}, **more.pop("metadata", {})}
    return {"kind": "ClusterRole", "metadata": meta, "rules": rules(lines), **more}


def test_a_role_gets_back_the_rules_it_lacks_and_keeps_those_added_by_hand() -> None:
    changed = rbac.settled_role(role(("get | pods", "delete | nodes")), role(("get list | pods",)))
    assert changed is not None
    assert changed["rules"] == rules(("get | pods", "delete | nodes", "list | pods"))


def test_a_role_that_lacks_nothing_is_left_alone() -> None:
    assert rbac.settled_role(role(("all | *",)), role(("get | pods",))) is None


def test_a_role_protected_by_its_annotation_is_left_alone() -> None:
    assert rbac.settled_role(role(metadata={"annotations": {AUTO: "false"}}), role(("get | pods",))) is None


def test_a_role_gets_missing_labels_and_keeps_its_own_values() -> None:
    wanted = role(metadata={"labels": {"a": "2", "b": "2"}})
    changed = rbac.settled_role(role(), wanted)
    assert changed is not None
    assert changed["metadata"]["labels"] == {"a": "1", "b": "2"}


def test_a_role_gets_back_its_selectors_and_loses_those_it_should_not_have() -> None:
    one, other = {"clusterRoleSelectors": [{"matchLabels": {"x": "1"}}]}, {"clusterRoleSelectors": [{"matchLabels": {"y": "1"}}]}
    changed = rbac.settled_role(role(aggregationRule=one), role(aggregationRule=other))
    assert changed is not None
    assert changed["aggregationRule"]["clusterRoleSelectors"] == [{"matchLabels": {"x": "1"}}, {"matchLabels": {"y": "1"}}]
    changed = rbac.settled_role(role(aggregationRule=one), role())
    assert changed is not None
    assert "aggregationRule" not in changed


def binding(*subjects: str, ref: str = "r", auto: str = "true") -> Object:
    meta = {"name": "b", "annotations": {AUTO: auto}}
    return {"metadata": meta, "roleRef": {"name": ref}, "subjects": [{"kind": "User", "name": each} for each in subjects]}


def test_a_binding_gets_back_the_subjects_it_lacks_and_keeps_others() -> None:
    changed = rbac.settled_binding(binding("ann"), binding("bob"))
    assert changed is not None
    assert [each["name"] for each in changed["subjects"]] == ["ann", "bob"]
    assert rbac.settled_binding(binding("ann", "bob"), binding("bob")) is None


def test_a_binding_to_another_role_is_made_again_unless_it_is_protected() -> None:
    with pytest.raises(Recreate):
        rbac.settled_binding(binding(ref="other"), binding())
    assert rbac.settled_binding(binding(ref="other", auto="false"), binding()) is None


# --- flow control -----------------------------------------------------------------------------------------------------


def test_every_flow_schema_names_a_priority_level_that_is_there() -> None:
    wanted = list(flow_control.objects())
    levels = {name_of(each.obj) for each in wanted if each.resource == flow_control.PRIORITY_LEVELS}
    schemas = [each.obj for each in wanted if each.resource == flow_control.FLOW_SCHEMAS]
    assert len(schemas) == 11
    assert {each["spec"]["priorityLevelConfiguration"]["name"] for each in schemas} == levels


def level(shares: int, *, generation: int = 1, auto: str | None = None) -> Object:
    annotations = {} if auto is None else {flow_control.AUTO_UPDATE: auto}
    return {"metadata": {"name": "l", "generation": generation, "annotations": annotations}, "spec": {"shares": shares}}


SUGGESTED: dict[str, tuple[Object, tuple[int, str] | None]] = {
    "one as wanted stays": (level(1, auto="true"), None),
    "one that was changed and still follows is put right": (level(5, generation=2, auto="true"), (1, "true")),
    "one that is the user's stays": (level(5, auto="false"), None),
    "one without an annotation that nobody has changed follows": (level(5), (1, "true")),
    "one without an annotation that somebody has changed becomes the user's": (level(5, generation=2), (5, "false")),
    "an annotation that says neither counts as none": (level(5, generation=2, auto="maybe"), (5, "false")),
}


@pytest.mark.parametrize(("present", "expected"), SUGGESTED.values(), ids=SUGGESTED.keys())
def test_suggested_flow_control(present: Object, expected: tuple[int, str] | None) -> None:
    changed = flow_control.settled_suggested(present, level(1, auto="true"))
    got = changed and (changed["spec"]["shares"], changed["metadata"]["annotations"][flow_control.AUTO_UPDATE])
    assert got == expected


def test_mandatory_flow_control_is_put_right_whoever_has_changed_it() -> None:
    changed = flow_control.settled_mandatory(level(5, auto="false"), level(1, auto="true"))
    assert changed is not None
    assert changed["spec"] == {"shares": 1}
    assert changed["metadata"]["annotations"] == {flow_control.AUTO_UPDATE: "true"}


def test_only_what_the_server_still_looks_after_is_outdated() -> None:
    kept, gone, users = level(1, auto="true"), level(1, auto="true"), level(1, auto="false")
    for name, each in (("kept", kept), ("gone", gone), ("users", users)):
        each["metadata"]["name"] = name
    assert flow_control.outdated([kept, gone, users], ["kept"]) == ["gone"]


# --- APIServices ------------------------------------------------------------------------------------------------------


def test_each_group_and_version_has_an_api_service_but_the_aggregators_own() -> None:
    served = [("", "v1"), ("apps", "v1"), ("autoscaling", "v2"), ("apiregistration.k8s.io", "v1")]
    found = {name_of(each.obj): each.obj["spec"] for each in api_services.objects(served)}
    assert found == {
        "v1.": {"version": "v1", "groupPriorityMinimum": 18000, "versionPriority": 1},
        "v1.apps": {"group": "apps", "version": "v1", "groupPriorityMinimum": 17800, "versionPriority": 15},
        "v2.autoscaling": {"group": "autoscaling", "version": "v2", "groupPriorityMinimum": 17500, "versionPriority": 30},
    }


def test_custom_resources_come_after_all_others() -> None:
    spec = api_services.api_service("example.com", "v1beta1", managed=api_services.ALWAYS)["spec"]
    assert (spec["groupPriorityMinimum"], spec["versionPriority"]) == (1000, 100)


def test_an_api_service_without_the_label_is_somebody_elses() -> None:
    wanted = api_services.api_service("apps", "v1", managed=api_services.ON_START)
    theirs: Object = {"metadata": {"name": "v1.apps"}, "spec": {"version": "v1"}}
    assert api_services.settled(theirs, wanted) is None
    ours = {**theirs, "metadata": {"name": "v1.apps", "labels": {api_services.MANAGED: "onstart"}}}
    assert api_services.settled(ours, wanted) == {**ours, "spec": wanted["spec"]}


# --- the rest ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cidr", "ip"), [("10.0.0.0/24", "10.0.0.1"), ("10.96.0.0/12, fd00::/112", "10.96.0.1"), ("fd00::/112", "fd00::1")]
)
def test_the_kubernetes_service_has_the_first_address(cidr: str, ip: str) -> None:
    assert cluster.first_service_ip(cidr) == ip
    service = next(cluster.kubernetes_service(cidr, advertise_address="", port=6443)).obj
    assert service["spec"]["clusterIP"] == ip


def test_without_an_address_nothing_says_where_the_server_is() -> None:
    assert [each.resource.plural for each in cluster.kubernetes_service("10.0.0.0/24", advertise_address="", port=1)] == ["services"]


def test_endpoints_follow_the_server_and_keep_what_is_not_its_own() -> None:
    old, new = (list(cluster.kubernetes_service("10.0.0.0/24", advertise_address=each, port=6443)) for each in ("192.0.2.1", "192.0.2.9"))
    for before, after in zip(old[1:], new[1:], strict=True):
        before.obj["metadata"]["labels"]["mine"] = "1"
        changed = after.settle(before.obj, after.obj)
        assert changed is not None
        assert "192.0.2.9" in str(changed)
        assert "192.0.2.1" not in str(changed)
        assert changed["metadata"]["labels"]["mine"] == "1"
        assert after.settle(changed, after.obj) is None


def test_a_servers_ca_is_added_to_those_trusted_already() -> None:
    wanted = next(cluster.config_maps(client_ca="OURS\n", now=datetime(2026, 1, 2, tzinfo=UTC)))
    theirs = {"metadata": {"name": name_of(wanted.obj)}, "data": {"client-ca-file": "THEIRS\n", "requestheader-client-ca-file": "X"}}
    changed = wanted.settle(theirs, wanted.obj)
    assert changed is not None
    assert changed["data"] == {"client-ca-file": "THEIRS\nOURS\n", "requestheader-client-ca-file": "X"}
    assert wanted.settle(changed, wanted.obj) is None


@pytest.mark.parametrize(("since", "changes"), [("2025-05-05", False), ("", True), ("yesterday", True)])
def test_the_day_tracking_began_stays_unless_it_cannot_be_read(since: str, changes: bool) -> None:
    wanted = next(cluster.config_maps(client_ca="", now=datetime(2026, 1, 2, tzinfo=UTC)))
    assert wanted.obj["data"] == {"since": "2026-01-02"}
    assert (wanted.settle({"data": {"since": since}}, wanted.obj) is not None) is changes
