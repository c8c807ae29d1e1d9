"""Rules of the core group that are easily forgotten: nodes, quotas, service accounts, and pods' odder fields."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import pytest

from apiserver.kinds.core.node import NODE
from apiserver.kinds.core.pod import POD
from apiserver.kinds.core.quota import RESOURCE_QUOTA
from apiserver.kinds.core.service_account import SERVICE_ACCOUNT
from apiserver.registry.kind import Context, Kind, User
from apiserver.validation import pod as pod_rules
from apiserver.validation.env import VOLUME_FIELDS, validate_env_from, validate_field_ref, validate_file_volumes
from apiserver.validation.pod_annotations import is_deletion_cost
from kube.errors import FieldError, invalid, quoted
from kube.objects import Object

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)


def context(verb: str = "create") -> Context:
    return Context(User("admin"), NOW, verb)


def made(kind: Kind, old: Object | None = None, **fields: Any) -> Object:
    obj: Object = {"metadata": {"name": "web", "namespace": "default", "uid": "u-1"}, **copy.deepcopy(fields)}
    kind.default(obj)
    kind.prepare(obj, old, context())
    return obj


def checked(kind: Kind, new: Object, old: Object | None = None) -> tuple[list[str], list[str]]:
    """(errors, warnings)"""
    asked = context("create" if old is None else "update")
    return [str(each) for each in kind.validate(new, old, asked)], asked.warnings


# --- nodes ------------------------------------------------------------------------------------------------------------


def test_that_a_nodes_dynamic_configuration_is_dropped() -> None:
    source = {"configMap": {"name": "a", "namespace": "b", "kubeletConfigKey": "c"}}
    node = made(NODE, spec={"configSource": source}, status={"config": {"error": "x"}, "phase": "Running"})
    assert (node["spec"], node["status"]) == ({}, {"phase": "Running"})


def test_that_a_stored_configuration_may_stay_and_is_warned_of() -> None:
    stored = made(NODE, spec={})
    stored["spec"]["configSource"] = {"configMap": {"name": "a", "namespace": "b", "kubeletConfigKey": "c"}}
    new = made(NODE, stored, spec=stored["spec"])
    assert checked(NODE, new, stored) == ([], ["spec.configSource: the feature is removed"])


def test_what_nodes_warn_of() -> None:
    node = made(NODE, spec={"externalID": "x", "podCIDRs": ["2001:DB8::/64"]})
    assert checked(NODE, node) == (
        [],
        [
            "spec.externalID: this field is deprecated, and is unused by Kubernetes",
            'spec.podCIDRs[0]: IPv6 CIDR value "2001:DB8::/64" should be in RFC 5952 canonical format ("2001:db8::/64")',
        ],
    )


def test_that_pod_cidrs_are_whole_networks() -> None:
    why = "must not have bits set beyond the prefix length"
    assert checked(NODE, made(NODE, spec={"podCIDRs": ["10.0.0.1/24"]}))[0] == [f'spec.podCIDRs[0]: Invalid value: "10.0.0.1/24": {why}']


# --- quotas and accounts ----------------------------------------------------------------------------------------------


def test_that_requests_above_limits_are_warned_of() -> None:
    hard = {"cpu": "2", "limits.cpu": "1", "requests.memory": "1Gi", "limits.memory": "1Gi", "requests.storage": "5Gi"}
    assert checked(RESOURCE_QUOTA, made(RESOURCE_QUOTA, spec={"hard": hard})) == (
        [],
        ["ResourceQuota cpu (2) should be less than limits.cpu (1)"],
    )


def test_that_conflicting_scopes_of_a_selector_are_named_there() -> None:
    expressions = [{"scopeName": each, "operator": "Exists"} for each in ("Terminating", "NotTerminating")]
    quota = made(RESOURCE_QUOTA, spec={"hard": {"pods": "1"}, "scopeSelector": {"matchExpressions": expressions}})
    assert checked(RESOURCE_QUOTA, quota)[0] == ["spec.scopeSelector.matchExpressions: Invalid value: null: conflicting scopes"]


def test_that_an_accounts_secrets_are_kept_by_name_only() -> None:
    account = made(SERVICE_ACCOUNT, secrets=[{"name": "a", "namespace": "b", "kind": "Secret"}, {}])
    assert account["secrets"] == [{"name": "a"}, {}]


# --- pods -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "fine"),
    [("0", True), ("-0", True), ("-08", True), ("08", False), ("+1", False), ("", False), ("-", False), ("2147483648", False)],
)
def test_deletion_costs(text: str, fine: bool) -> None:
    assert is_deletion_cost(text) is fine


def test_that_a_reference_of_env_from_may_end_in_a_dash() -> None:
    assert validate_env_from([{"configMapRef": {"name": "config-"}}], "e") == []
    assert len(validate_env_from([{"configMapRef": {"name": "-config"}}], "e")) == 1


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("['a']", "field label not supported: ['a']"),
        ("spec['a']", "field label does not support subscript: spec['a']"),
    ],
    ids=["a subscript of nothing is no subscript", "a subscript of what has none"],
)
def test_subscripts_of_field_paths(path: str, why: str) -> None:
    found = validate_field_ref({"apiVersion": "v1", "fieldPath": path}, "f", VOLUME_FIELDS)
    assert found == [invalid("f.fieldPath", path, f"error converting fieldPath: {why}")]


def pod(**spec: Any) -> Object:
    containers = [{"name": "main", "image": "a:1", "resources": {"requests": {"cpu": "1"}}}]
    return made(POD, spec={"containers": containers, "serviceAccountName": "default", **spec})


def test_that_an_ephemeral_container_has_not_even_an_empty_lifecycle() -> None:
    old = pod()
    new = copy.deepcopy(old)
    visitor = {
        "name": "v",
        "image": "a:1",
        "terminationMessagePolicy": "File",
        "imagePullPolicy": "Always",
        "lifecycle": {},
        "resources": {},
    }
    new["spec"]["ephemeralContainers"] = [visitor]
    errors = pod_rules.validate_ephemeral_containers_update(new, old)
    assert [str(each) for each in errors] == ["spec.ephemeralContainers[0].lifecycle: Forbidden: cannot be set for an Ephemeral Container"]


@pytest.mark.parametrize(
    ("status", "fine"),
    [
        pytest.param({}, True, id="nothing runs yet"),
        pytest.param({"state": {"running": {}}, "resources": {}}, True, id="its kubelet tells the resources"),
        pytest.param({"state": {"running": {}}}, False, id="its kubelet does not tell the resources"),
    ],
)
def test_that_a_resize_needs_a_kubelet_that_can(status: Object, fine: bool) -> None:
    old = pod()
    old["status"] = {"qosClass": "Burstable", "containerStatuses": [{"name": "main", **status}]}
    new = copy.deepcopy(old)
    new["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "2"
    why = FieldError("FieldValueForbidden", "spec", "Forbidden: Pod running on node without support for resize")
    assert pod_rules.validate_resize(new, old) == ([] if fine else [why])


@pytest.mark.parametrize(("action", "fine"), [("Restart", False), ("RestartAllContainers", True)])
def test_that_what_ended_runs_again_where_another_container_can_restart_all(action: str, fine: bool) -> None:
    old = pod()
    rules = [{"action": action, "exitCodes": {"operator": "In", "values": [42]}}]
    source = {"name": "source", "restartPolicy": "Never", "restartPolicyRules": rules}
    old["spec"] = {**old["spec"], "restartPolicy": "Never", "containers": [*old["spec"]["containers"], source]}
    old["status"]["containerStatuses"] = [{"name": "main", "state": {"terminated": {"exitCode": 0}}}]
    new = copy.deepcopy(old)
    new["status"]["containerStatuses"][0]["state"] = {"waiting": {}}
    why = "Forbidden: may not be transitioned to non-terminated state"
    refused = [FieldError("FieldValueForbidden", "status.containerStatuses[0].state", why)]
    assert pod_rules.validate_status_update(new, old) == ([] if fine else refused)


def test_that_addresses_of_a_status_are_strict_but_for_stored_ones() -> None:
    old = pod()
    old["status"]["podIPs"] = [{"ip": "010.0.0.1"}]
    new = copy.deepcopy(old)
    assert pod_rules.validate_status_update(new, old) == []
    new["status"]["podIPs"] = [{"ip": "010.0.0.2"}]
    assert [str(each) for each in pod_rules.validate_status_update(new, old)] == [
        'status.podIPs[0]: Invalid value: "010.0.0.2": must not have leading 0s'
    ]


def test_that_addresses_of_a_status_should_be_canonical() -> None:
    old, asked = pod(), context("update")
    new = copy.deepcopy(old)
    new["status"]["podIPs"] = [{"ip": "FD00::1"}]
    assert pod_rules.validate_status_update(new, old, asked) == []
    assert asked.warnings == ['status.podIPs[0].ip: IPv6 address "FD00::1" should be in RFC 5952 canonical format ("fd00::1")']


def test_that_variables_from_files_need_an_empty_dir() -> None:
    def of(volume: str) -> Object:
        return {"name": "A", "valueFrom": {"fileKeyRef": {"volumeName": volume, "path": "a.env", "key": "A"}}}

    spec = {
        "volumes": [{"name": "fine", "emptyDir": {}}, {"name": "config", "configMap": {"name": "c"}}],
        "initContainers": [{"name": "first", "env": [of("none")]}],
        "containers": [{"name": "main", "env": [of("fine"), of("config")]}],
    }
    assert [str(each) for each in validate_file_volumes(spec, "spec")] == [
        'spec.initContainers[0].env[0].valueFrom.fileKeyRef.volumeName: Not found: "none"',
        'spec.containers[0].env[1].valueFrom.fileKeyRef.volumeName: Invalid value: "config": referenced volume must be of type emptyDir',
    ]


def test_that_a_pods_own_requests_need_not_cover_what_pods_cannot_ask_for() -> None:
    containers = [{"name": "main", "image": "a:1", "resources": {"requests": {"ephemeral-storage": "1Gi", "cpu": "2"}}}]
    new = pod(containers=containers, resources={"requests": {"cpu": "1"}})
    assert [str(each) for each in pod_rules.validate(new, None)] == [
        'spec.resources.requests[cpu]: Invalid value: "1": must be greater than or equal to aggregate container requests of 2'
    ]


# --- messages ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        pytest.param("a\x00\u00a0é", '"a\\x00\\u00a0é"', id="strings as Go quotes them"),
        pytest.param({"a": "<&>"}, '{"a":"\\u003c\\u0026\\u003e"}', id="objects as Go's JSON"),
        pytest.param([], "[]", id="an empty list"),
        pytest.param(None, "null", id="none"),
        pytest.param(True, "true", id="a truth"),
    ],
)
def test_how_values_are_shown(value: Any, shown: str) -> None:
    assert quoted(value) == shown
