"""More rules of the smaller groups: what an update may keep, what is said twice, what is warned of, odd rows."""

from __future__ import annotations

import copy
from datetime import UTC, datetime

import pytest

from apiserver.kinds.admissionregistration import KINDS as ADMISSION_KINDS
from apiserver.kinds.apiregistration import API_SERVICE
from apiserver.kinds.autoscaling import HORIZONTAL_POD_AUTOSCALER
from apiserver.kinds.discovery import ENDPOINT_SLICE
from apiserver.kinds.flowcontrol import PRIORITY_LEVEL_CONFIGURATION
from apiserver.kinds.networking import INGRESS, INGRESS_CLASS, IP_ADDRESS, NETWORK_POLICY
from apiserver.kinds.node_group import RUNTIME_CLASS
from apiserver.kinds.storage import KINDS as STORAGE_KINDS
from apiserver.registry.kind import Context, Kind, User
from apiserver.validation.workloads import amount_of
from kube.objects import Object

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
_BY_NAME = {kind.resource.kind: kind for kind in (*ADMISSION_KINDS, *STORAGE_KINDS)}
VALIDATING_WEBHOOK, MUTATING_WEBHOOK = _BY_NAME["ValidatingWebhookConfiguration"], _BY_NAME["MutatingWebhookConfiguration"]
VALIDATING_POLICY, VALIDATING_BINDING = _BY_NAME["ValidatingAdmissionPolicy"], _BY_NAME["ValidatingAdmissionPolicyBinding"]
CSI_NODE, ATTRIBUTES_CLASS, ATTACHMENT = _BY_NAME["CSINode"], _BY_NAME["VolumeAttributesClass"], _BY_NAME["VolumeAttachment"]
STORAGE_CLASS, STORAGE_CAPACITY = _BY_NAME["StorageClass"], _BY_NAME["CSIStorageCapacity"]
HOOK: Object = {
    "name": "a.example.com",
    "clientConfig": {"url": "https://hooks.example.com/v"},
    "sideEffects": "None",
    "admissionReviewVersions": ["v1"],
}
RULE: Object = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
POLICY: Object = {"matchConstraints": {"resourceRules": [RULE]}, "validations": [{"expression": "true"}]}


def context(operation: str) -> Context:
    return Context(User("admin"), NOW, operation)


def made(kind: Kind, fields: Object, name: str = "a") -> Object:
    obj: Object = {"metadata": {"name": name, "namespace": "default", "uid": "u-1"}, **copy.deepcopy(fields)}
    kind.default(obj)
    kind.prepare(obj, None, context("create"))
    return obj


def said(kind: Kind, new: Object, old: Object | None = None) -> list[str]:
    return [str(each) for each in kind.validate(new, old, context("create" if old is None else "update"))]


# --- new objects ------------------------------------------------------------------------------------------------------


def policy(**spec: object) -> Object:
    return {"spec": {**POLICY, **spec}}


CASES: list[tuple[str, Kind, str, Object, list[str]]] = [
    (
        "a variable called like a word of the language",
        VALIDATING_POLICY,
        "a",
        policy(variables=[{"name": "namespace", "expression": "1"}, {"name": " ", "expression": "1"}]),
        [
            'spec.variables[0].name: Invalid value: "namespace": must be a valid CEL identifier',
            "spec.variables[1].name: Required value: name is not specified",
        ],
    ),
    (
        "parameters of a group without a version",
        VALIDATING_POLICY,
        "a",
        policy(paramKind={"apiVersion": "apps/", "kind": "Deployment"}),
        ['spec.paramKind.apiVersion: Invalid value: "apps/": version must be specified'],
    ),
    (
        "parameters by a bad name and a bad selector",
        VALIDATING_BINDING,
        "a",
        {
            "spec": {
                "policyName": "p",
                "validationActions": ["Deny"],
                "paramRef": {"name": "..", "selector": {"matchLabels": {"": "x"}}, "parameterNotFoundAction": "Deny"},
            }
        },
        [
            "spec.paramRef.name: Invalid value: \"..\": may not be '..'",
            "spec.paramRef.name: Forbidden: name and selector are mutually exclusive",
            'spec.paramRef.selector.matchLabels: Invalid value: "": name part must be non-empty',
            "spec.paramRef.selector.matchLabels: Invalid value: \"\": name part must consist of alphanumeric characters, '-', '_' or '.', "
            "and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation "
            "is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
            "spec.paramRef.selector: Forbidden: name and selector are mutually exclusive",
        ],
    ),
    (
        "the exempt level of an unknown type",
        PRIORITY_LEVEL_CONFIGURATION,
        "exempt",
        {"spec": {"type": "Some"}},
        [
            "spec.type: Invalid value: \"Some\": must be 'Exempt' if and only if `name` is 'exempt'",
            'spec.type: Unsupported value: "Some": supported values: "Exempt", "Limited"',
            "spec: Invalid value: {\"type\":\"Some\"}: spec of 'exempt' except the 'spec.exempt' field must equal the fixed value",
        ],
    ),
    (
        "a zone that is hinted at twice",
        ENDPOINT_SLICE,
        "a",
        {"addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"], "hints": {"forZones": [{"name": "z"}, {"name": "z"}]}}]},
        ['endpoints[0].hints.forZones[1].name: Duplicate value: "z"'],
    ),
    (
        "too many zones are not looked at, nor are the nodes",
        ENDPOINT_SLICE,
        "a",
        {
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.0.0.1"], "hints": {"forZones": [{"name": "z"}] * 9, "forNodes": [{"name": "N"}]}}],
        },
        ["endpoints[0].hints.forZones: Too many: 9: must have at most 8 items"],
    ),
    (
        "an attachment's error that is too long, and of no code",
        ATTACHMENT,
        "a",
        {
            "spec": {"attacher": "d.example.com", "nodeName": "n", "source": {"persistentVolumeName": "v"}},
            "status": {"attached": False, "attachError": {"message": "x" * 1025, "errorCode": -1}},
        },
        [
            "status.attachError.message: Too long: may not be more than 262144 bytes",
            "status.attachError.errorCode: Invalid value: -1: must be between 0 and 2147483647, inclusive",
        ],
    ),
]


@pytest.mark.parametrize(("kind", "name", "fields", "wanted"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_is_wrong_is_refused(kind: Kind, name: str, fields: Object, wanted: list[str]) -> None:
    new = {"metadata": {"name": name, "namespace": "default"}, **copy.deepcopy(fields)}
    kind.default(new)
    assert said(kind, new) == wanted


# --- updates ----------------------------------------------------------------------------------------------------------

BAD_CONDITION: Object = {"matchConditions": [{"name": "", "expression": ""}]}


def hooks(**fields: object) -> Object:
    return {"webhooks": [{**HOOK, **fields}]}


KEPT: list[tuple[str, Kind, Object, Object, list[str]]] = [
    (
        "match conditions that were there",
        MUTATING_WEBHOOK,
        hooks(**BAD_CONDITION),
        hooks(**BAD_CONDITION, timeoutSeconds=5),
        [],
    ),
    (
        "match conditions that change are checked",
        VALIDATING_WEBHOOK,
        hooks(),
        hooks(**BAD_CONDITION),
        ["webhooks[0].matchConditions[0].expression: Required value", "webhooks[0].matchConditions[0].name: Required value"],
    ),
    (
        "a policy's match conditions while it has the same parameters",
        VALIDATING_POLICY,
        policy(**BAD_CONDITION),
        policy(**BAD_CONDITION, failurePolicy="Ignore"),
        [],
    ),
    (
        "a policy's match conditions once it has others",
        VALIDATING_POLICY,
        policy(**BAD_CONDITION),
        policy(**BAD_CONDITION, paramKind={"apiVersion": "v1", "kind": "ConfigMap"}),
        ["spec.matchConditions[0].expression: Required value", "spec.matchConditions[0].name: Required value"],
    ),
    (
        "side effects that were unknown may stay so, or be any class",
        VALIDATING_WEBHOOK,
        hooks(sideEffects="Unknown"),
        hooks(sideEffects="Most"),
        ['webhooks[0].sideEffects: Unsupported value: "Most": supported values: "None", "NoneOnDryRun", "Some", "Unknown"'],
    ),
    (
        "a webhook that named no versions must name known ones",
        VALIDATING_WEBHOOK,
        hooks(admissionReviewVersions=[]),
        hooks(admissionReviewVersions=["v9"]),
        ['webhooks[0].admissionReviewVersions: Invalid value: ["v9"]: must include at least one of v1, v1beta1'],
    ),
    (
        "a webhook that named none we know may go on",
        VALIDATING_WEBHOOK,
        hooks(admissionReviewVersions=["v8"]),
        hooks(admissionReviewVersions=["v9"]),
        [],
    ),
    (
        "the controller of an IngressClass, first of all",
        INGRESS_CLASS,
        {"spec": {"controller": "a.example.com/b"}},
        {"spec": {"controller": "b"}},
        [
            'spec.controller: Invalid value: "b": field is immutable',
            'spec.controller: Invalid value: "b": must be a domain-prefixed path (such as "acme.io/foo")',
        ],
    ),
    (
        "drivers of a CSINode",
        CSI_NODE,
        {"spec": {"drivers": []}},
        {"spec": {"drivers": [{"name": "d.example.com", "nodeID": ""}]}},
        ["spec.drivers[0].nodeID: Required value"],
    ),
    (
        "a VolumeAttributesClass: first what must not change",
        ATTRIBUTES_CLASS,
        {"driverName": "d.example.com", "parameters": {"a": "b"}},
        {"driverName": "d.example.com", "parameters": {}},
        [
            "parameters: Forbidden: updates to parameters are forbidden.",
            "parameters: Required value: must contain at least one key/value pair",
        ],
    ),
]


@pytest.mark.parametrize(("kind", "before", "after", "wanted"), [case[1:] for case in KEPT], ids=[case[0] for case in KEPT])
def test_what_is_said_of_an_update(kind: Kind, before: Object, after: Object, wanted: list[str]) -> None:
    assert said(kind, made(kind, after), made(kind, before)) == wanted


def test_conditions_of_an_api_service_have_a_known_status() -> None:
    status = API_SERVICE.subresources[0]
    assert status.validate is not None
    new = {"metadata": {"name": "v1.a.example.com"}, "status": {"conditions": [{"status": "True"}, {"status": "Maybe"}, {}]}}
    known = 'supported values: "True", "False", "Unknown"'
    assert [str(each) for each in status.validate(new, new, context("update"))] == [
        f'status.conditions[1].status: Unsupported value: "Maybe": {known}',
        f'status.conditions[2].status: Unsupported value: "": {known}',
    ]


# --- warnings ---------------------------------------------------------------------------------------------------------

ZONE = "failure-domain.beta.kubernetes.io/zone"
NEW_ZONE = 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead'
ZEROS = 'non-standard IP address "010.0.0.1" will be considered invalid in a future Kubernetes release: use "10.0.0.1"'

WARNED: list[tuple[str, Kind, Object, list[str]]] = [
    (
        "a class for zones by their old label",
        STORAGE_CLASS,
        {"provisioner": "d.example.com", "allowedTopologies": [{"matchLabelExpressions": [{"key": ZONE, "values": ["a"]}]}]},
        [f"allowedTopologies[0].matchLabelExpressions[0].key: {NEW_ZONE}"],
    ),
    (
        "capacity in such a zone",
        STORAGE_CAPACITY,
        {
            "storageClassName": "s",
            "nodeTopology": {"matchLabels": {ZONE: "a"}, "matchExpressions": [{"key": ZONE, "operator": "In", "values": ["a"]}]},
        },
        [f"nodeTopology.matchExpressions[0].key: {ZONE} is {NEW_ZONE}", f"nodeTopology.matchLabels.{ZONE}: {NEW_ZONE}"],
    ),
    (
        "a runtime on such nodes",
        RUNTIME_CLASS,
        {"handler": "runc", "scheduling": {"nodeSelector": {ZONE: "a"}}},
        [f"scheduling.nodeSelector: {NEW_ZONE}"],
    ),
    (
        "a block of addresses that is not the first of its range",
        NETWORK_POLICY,
        {"spec": {"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.1/8"}}]}]}},
        [
            'spec.ingress[0].from[0].ipBlock.cidr: CIDR value "10.0.0.1/8" is ambiguous in this context (should be "10.0.0.0/8" or '
            '"10.0.0.1/32"?)'
        ],
    ),
]


@pytest.mark.parametrize(("kind", "fields", "wanted"), [case[1:] for case in WARNED], ids=[case[0] for case in WARNED])
def test_what_is_warned_of(kind: Kind, fields: Object, wanted: list[str]) -> None:
    ctx = context("create")
    kind.validate(made(kind, fields), None, ctx)
    assert ctx.warnings == wanted


@pytest.mark.parametrize(
    ("labels", "count"),
    [
        pytest.param({}, 1, id="somebody's own slice"),
        pytest.param({"endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}, 0, id="our controller's"),
    ],
)
def test_unusual_addresses_of_endpoints_are_warned_of(labels: Object, count: int) -> None:
    ctx = context("create")
    new = made(ENDPOINT_SLICE, {"addressType": "IPv6", "endpoints": [{"addresses": ["2001:DB8::1"]}]})
    new["metadata"]["labels"] = labels
    ENDPOINT_SLICE.validate(new, None, ctx)
    assert len(ctx.warnings) == count


def test_unusual_addresses_of_an_ingress_are_warned_of() -> None:
    ctx, status = context("update"), INGRESS.subresources[0]
    assert status.validate is not None
    new = {"metadata": {"name": "a"}, "status": {"loadBalancer": {"ingress": [{"ip": "2001:DB8::1", "ports": [{"port": 0}]}]}}}
    assert status.validate(new, new, ctx) == []
    assert [each.split(":")[0] for each in ctx.warnings] == ["status.loadBalancer.ingress[0]"]


# --- amounts and rows -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "amount"),
    [
        pytest.param(3, 3, id="a number"),
        pytest.param("25%", 25, id="a percentage"),
        pytest.param("5", 5, id="text that is a number counts, though it is refused"),
        pytest.param("five", 0, id="other text"),
        pytest.param(None, 0, id="nothing"),
    ],
)
def test_amounts(value: int | str | None, amount: int) -> None:
    assert amount_of(value) == amount


CPU: Object = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "AverageValue", "averageValue": "1"}}}


@pytest.mark.parametrize(
    ("current", "cell"),
    [
        pytest.param([], "cpu: <unknown>/1", id="nothing is known yet"),
        pytest.param([{"type": "Resource", "resource": {"name": "cpu", "current": {}}}], "cpu: <nil>/1", id="a metric without its value"),
        pytest.param([{"type": "Resource", "resource": {"name": "cpu", "current": {"averageValue": "500m"}}}], "cpu: 500m/1", id="a value"),
    ],
)
def test_targets_of_an_autoscaler(current: list[Object], cell: str) -> None:
    spec = {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "maxReplicas": 3, "metrics": [CPU]}
    new = made(HORIZONTAL_POD_AUTOSCALER, {"spec": spec})
    new["status"] = {"currentMetrics": current}
    assert HORIZONTAL_POD_AUTOSCALER.row is not None
    assert HORIZONTAL_POD_AUTOSCALER.row(new, NOW)[2] == cell


def test_an_addresss_parent_is_in_lower_case() -> None:
    parent = {"group": "Example.com", "resource": "Gears", "namespace": "n", "name": "g"}
    assert IP_ADDRESS.row is not None
    assert IP_ADDRESS.row(made(IP_ADDRESS, {"spec": {"parentRef": parent}}), NOW)[1] == "gears.example.com/n/g"
