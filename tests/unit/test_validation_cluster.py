"""The rules of the core group and the smaller groups: what is refused, where, and in upstream's words."""

from __future__ import annotations

import copy

import pytest

from apiserver.kinds.admissionregistration import KINDS as ADMISSION_KINDS
from apiserver.kinds.certificates import CERTIFICATE_SIGNING_REQUEST
from apiserver.kinds.coordination import LEASE
from apiserver.kinds.core.config import CONFIG_MAP, SECRET
from apiserver.kinds.core.event import EVENT
from apiserver.kinds.core.node import NODE
from apiserver.kinds.core.quota import RESOURCE_QUOTA
from apiserver.kinds.core.service import SERVICE
from apiserver.kinds.core.volume import PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM
from apiserver.kinds.discovery import ENDPOINT_SLICE
from apiserver.kinds.flowcontrol import FLOW_SCHEMA, PRIORITY_LEVEL_CONFIGURATION
from apiserver.kinds.networking import INGRESS, INGRESS_CLASS, IP_ADDRESS, NETWORK_POLICY, SERVICE_CIDR
from apiserver.kinds.node_group import RUNTIME_CLASS
from apiserver.kinds.rbac import KINDS as RBAC_KINDS
from apiserver.kinds.resource_claims import RESOURCE_CLAIM, RESOURCE_SLICE
from apiserver.kinds.scheduling import PRIORITY_CLASS
from apiserver.kinds.storage import CSI_DRIVER, STORAGE_CLASS
from apiserver.registry.kind import Context, Kind, User
from apiserver.validation import access_review, go_url
from kube.objects import Object
from tests.unit.judging import NOW, made, said

_RBAC = {kind.resource.kind: kind for kind in RBAC_KINDS}
CLUSTER_ROLE_BINDING, ROLE, ROLE_BINDING = _RBAC["ClusterRoleBinding"], _RBAC["Role"], _RBAC["RoleBinding"]
VALIDATING_WEBHOOK = next(kind for kind in ADMISSION_KINDS if kind.resource.kind == "ValidatingWebhookConfiguration")
VALIDATING_POLICY = next(kind for kind in ADMISSION_KINDS if kind.resource.kind == "ValidatingAdmissionPolicy")
VALIDATING_BINDING = next(kind for kind in ADMISSION_KINDS if kind.resource.kind == "ValidatingAdmissionPolicyBinding")
MUTATING_POLICY = next(kind for kind in ADMISSION_KINDS if kind.resource.kind == "MutatingAdmissionPolicy")
MUTATING_BINDING = next(kind for kind in ADMISSION_KINDS if kind.resource.kind == "MutatingAdmissionPolicyBinding")


HOOK: Object = {
    "name": "a.example.com",
    "clientConfig": {"url": "https://hooks.example.com/v"},
    "sideEffects": "None",
    "admissionReviewVersions": ["v1"],
}
RULE: Object = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
POLICY: Object = {"matchConstraints": {"resourceRules": [RULE]}, "validations": [{"expression": "true"}]}
VOLUME: Object = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/data"}}
CLAIM: Object = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}

CASES: list[tuple[str, Kind, Object, list[str]]] = [
    (
        "a config map's key in both halves",
        CONFIG_MAP,
        {"data": {"a": "b"}, "binaryData": {"a": "Yg=="}},
        ['data[a]: Invalid value: "a": duplicate of key present in binaryData'],
    ),
    (
        "a docker secret without its file",
        SECRET,
        {"type": "kubernetes.io/dockerconfigjson"},
        ["data[.dockerconfigjson]: Required value"],
    ),
    (
        "a taint that is there twice",
        NODE,
        {"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}, {"key": "a", "effect": "NoSchedule"}]}},
        [
            'metadata.taints[1]: Duplicate value: {"Key":"a","Value":"","Effect":"NoSchedule","TimeAdded":null}: taints must be unique by '
            "key and effect pair"
        ],
    ),
    (
        "a quota of less than nothing",
        RESOURCE_QUOTA,
        {"spec": {"hard": {"pods": "-1"}}},
        ['spec.hard[pods]: Invalid value: "-1": must be greater than or equal to 0'],
    ),
    ("a service without ports", SERVICE, {"spec": {}}, ["spec.ports: Required value"]),
    (
        "a port of no protocol that exists",
        SERVICE,
        {"spec": {"ports": [{"port": 80, "protocol": "HTTP"}]}},
        ['spec.ports[0].protocol: Unsupported value: "HTTP": supported values: "SCTP", "TCP", "UDP"'],
    ),
    (
        "a volume of two kinds",
        PERSISTENT_VOLUME,
        {"spec": {**VOLUME, "nfs": {"server": "s", "path": "/"}}},
        ["spec.nfs: Forbidden: may not specify more than 1 volume type"],
    ),
    (
        "a volume of no kind",
        PERSISTENT_VOLUME,
        {"spec": {**VOLUME, "hostPath": None}},
        ["spec: Required value: must specify a volume type"],
    ),
    (
        "a claim for one pod and for many",
        PERSISTENT_VOLUME_CLAIM,
        {"spec": {**CLAIM, "accessModes": ["ReadWriteOncePod", "ReadWriteMany"]}},
        ["spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes"],
    ),
    (
        "an event about another namespace",
        EVENT,
        {"involvedObject": {"namespace": "other"}},
        ['involvedObject.namespace: Invalid value: "other": does not match event.namespace'],
    ),
    (
        "an endpoint of the other family",
        ENDPOINT_SLICE,
        {"addressType": "IPv6", "endpoints": [{"addresses": ["10.0.0.1"]}]},
        ['endpoints[0].addresses: Invalid value: "10.0.0.1": must be an IPv6 address'],
    ),
    (
        "a host that is an address",
        INGRESS,
        {"spec": {"rules": [{"host": "10.0.0.1"}]}},
        ['spec.rules[0].host: Invalid value: "10.0.0.1": must be a DNS name, not an IP address'],
    ),
    ("an ingress to nowhere", INGRESS, {"spec": {}}, ["spec: Invalid value: null: either `defaultBackend` or `rules` must be specified"]),
    (
        "a controller without a domain",
        INGRESS_CLASS,
        {"spec": {"controller": "plain"}},
        ['spec.controller: Invalid value: "plain": must be a domain-prefixed path (such as "acme.io/foo")'],
    ),
    (
        "an exception that is the whole block",
        NETWORK_POLICY,
        {"spec": {"ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.0.0/8"]}}]}]}},
        ['spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: "10.0.0.0/8": must be a strict subset of `cidr`'],
    ),
    (
        "two ranges of one family",
        SERVICE_CIDR,
        {"spec": {"cidrs": ["10.0.0.0/24", "10.0.1.0/24"]}},
        [
            'spec.cidrs: Invalid value: ["10.0.0.0/24","10.0.1.0/24"]: may specify no more than one IP for each IP family, i.e '
            "192.168.0.0/24 and 2001:db8::/64"
        ],
    ),
    (
        "a namespaced role for URLs",
        ROLE,
        {"rules": [{"verbs": ["get"], "nonResourceURLs": ["/x"]}]},
        ['rules[0].nonResourceURLs: Invalid value: ["/x"]: namespaced rules cannot apply to non-resource URLs'],
    ),
    (
        "a cluster's binding of a namespace's role",
        CLUSTER_ROLE_BINDING,
        {"roleRef": {"kind": "Role", "name": "a"}, "subjects": [{"kind": "ServiceAccount", "name": "a"}]},
        ['roleRef.kind: Unsupported value: "Role": supported values: "ClusterRole"', "subjects[0].namespace: Required value"],
    ),
    (
        "a provisioner is told in lower case",
        STORAGE_CLASS,
        {"provisioner": "Example.com/A/b"},
        [
            "provisioner: Invalid value: \"example.com/a/b\": a valid label key must consist of alphanumeric characters, '-', '_' or '.', "
            "and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation "
            "is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        ],
    ),
    (
        "a token for the same audience twice",
        CSI_DRIVER,
        {"spec": {"tokenRequests": [{"audience": "a"}, {"audience": "a"}]}},
        ['spec.tokenRequests[1].audience: Duplicate value: "a"'],
    ),
    (
        "a priority above what users may have",
        PRIORITY_CLASS,
        {"value": 1_000_000_001},
        ["value: Forbidden: maximum allowed value of a user defined priority is 1000000000"],
    ),
    (
        "a lease of no time",
        LEASE,
        {"spec": {"leaseDurationSeconds": 0, "leaseTransitions": -1}},
        [
            "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0",
            "spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0",
        ],
    ),
    (
        "an overhead of an unknown resource",
        RUNTIME_CLASS,
        {"handler": "runc", "overhead": {"podFixed": {"cpu": "-1"}}},
        ['overhead.limits[cpu]: Invalid value: "-1": must be greater than or equal to 0'],
    ),
    (
        "a request that is no PEM",
        CERTIFICATE_SIGNING_REQUEST,
        {"spec": {"request": "aGVsbG8=", "signerName": "short/x", "usages": ["client auth"]}},
        [
            'spec.request: Invalid value: "aGVsbG8=": PEM block type must be CERTIFICATE REQUEST',
            'spec.signerName: Invalid value: "short": should be a domain with at least two segments separated by dots',
        ],
    ),
    (
        "a webhook over plain HTTP",
        VALIDATING_WEBHOOK,
        {"webhooks": [{**HOOK, "clientConfig": {"url": "http://a.example.com"}}]},
        [
            "webhooks[0].clientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL scheme; desired format: "
            "https://host[/path]"
        ],
    ),
    (
        "two webhooks of one name",
        VALIDATING_WEBHOOK,
        {"webhooks": [HOOK, HOOK]},
        ['webhooks[1].name: Duplicate value: "a.example.com"'],
    ),
    (
        "resources that a wildcard covers",
        VALIDATING_WEBHOOK,
        {"webhooks": [{**HOOK, "rules": [{**RULE, "resources": ["pods/*", "pods/exec"]}]}]},
        ["webhooks[0].rules[0].resources[1]: Invalid value: \"pods/exec\": if 'pods/*' is present, must not specify pods/exec"],
    ),
    (
        "a policy that checks nothing",
        VALIDATING_POLICY,
        {"spec": {**POLICY, "validations": []}},
        [
            "spec.validations: Required value: validations or auditAnnotations must contain at least one item",
            "spec.auditAnnotations: Required value: validations or auditAnnotations must contain at least one item",
        ],
    ),
    (
        "parameters by name and by label",
        VALIDATING_BINDING,
        {
            "spec": {
                "policyName": "p.example.com",
                "validationActions": ["Deny"],
                "paramRef": {"name": "a", "selector": {}, "parameterNotFoundAction": "Deny"},
            }
        },
        [
            "spec.paramRef.name: Forbidden: name and selector are mutually exclusive",
            "spec.paramRef.selector: Forbidden: name and selector are mutually exclusive",
        ],
    ),
    (
        "a binding to what cannot be mutated",
        MUTATING_BINDING,
        {"spec": {"policyName": "p", "matchResources": {"resourceRules": [{**RULE, "operations": ["CREATE", "DELETE"]}]}}},
        [
            "spec.matchResources.resourceRules.operations: Unsupported value: "
            '"DELETE": supported values: "*", "CONNECT", "CREATE", "UPDATE"',
        ],
    ),
    (
        "a patch of the other type",
        MUTATING_POLICY,
        {
            "spec": {
                "matchConstraints": {"resourceRules": [RULE]},
                "reinvocationPolicy": "Never",
                "mutations": [{"patchType": "JSONPatch", "applyConfiguration": {"expression": "Object{}"}}],
            }
        },
        [
            "spec.mutations[0].jsonPatch: Required value: must be specified when patchType is JSONPatch",
            'spec.mutations[0].applyConfiguration: Invalid value: "{applyConfiguration}": must not be specified when patchType is '
            "JSONPatch",
        ],
    ),
    (
        "a schema that everybody else would match first",
        FLOW_SCHEMA,
        {"spec": {"matchingPrecedence": 1, "priorityLevelConfiguration": {"name": "a"}}},
        ["spec.matchingPrecedence: Invalid value: 1: only the schema named 'exempt' may have matchingPrecedence 1"],
    ),
    (
        "a hand larger than the deck",
        PRIORITY_LEVEL_CONFIGURATION,
        {"spec": {"type": "Limited", "limited": {"limitResponse": {"type": "Queue", "queuing": {"queues": 2, "handSize": 3}}}}},
        ["spec.limited.limitResponse.queuing.handSize: Invalid value: 3: should not be greater than queues (2)"],
    ),
    (
        "a request for devices of two forms",
        RESOURCE_CLAIM,
        {
            "spec": {
                "devices": {
                    "requests": [
                        {"name": "a", "exactly": {"deviceClassName": "x"}, "firstAvailable": [{"name": "b", "deviceClassName": "x"}]}
                    ]
                }
            }
        },
        [
            "spec.devices.requests[0]: Invalid value: null: exactly one of `exactly` or `firstAvailable` is required, but multiple fields "
            "are set"
        ],
    ),
    (
        "devices that no node can reach",
        RESOURCE_SLICE,
        {"spec": {"driver": "a.example.com", "pool": {"name": "p", "resourceSliceCount": 1}}},
        ["spec: Required value: exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required"],
    ),
]


@pytest.mark.parametrize(("kind", "fields", "wanted"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_is_wrong_is_refused(kind: Kind, fields: Object, wanted: list[str]) -> None:
    assert said(kind, made(kind, **fields)) == wanted


GOOD: list[tuple[str, Kind, Object]] = [
    ("a webhook", VALIDATING_WEBHOOK, {"webhooks": [HOOK]}),
    ("a policy", VALIDATING_POLICY, {"spec": POLICY}),
    ("a volume", PERSISTENT_VOLUME, {"spec": VOLUME}),
    ("a claim", PERSISTENT_VOLUME_CLAIM, {"spec": CLAIM}),
    ("a service", SERVICE, {"spec": {"ports": [{"port": 80}]}}),
    ("an old event of a cluster's object", EVENT, {"involvedObject": {"kind": "Node", "name": "n"}}),
    ("an empty role", ROLE, {"rules": None}),
]


@pytest.mark.parametrize(("kind", "fields"), [case[1:] for case in GOOD], ids=[case[0] for case in GOOD])
def test_what_is_right_passes(kind: Kind, fields: Object) -> None:
    assert said(kind, made(kind, **fields)) == []


CHANGES: list[tuple[str, Kind, Object, Object, list[str]]] = [
    (
        "a frozen config map",
        CONFIG_MAP,
        {"data": {"a": "b"}, "immutable": True},
        {"data": {"a": "c"}},
        ["data: Forbidden: field is immutable when `immutable` is set"],
    ),
    (
        "a class's provisioner",
        STORAGE_CLASS,
        {"provisioner": "example.com/a"},
        {"provisioner": "example.com/b"},
        ['provisioner: Invalid value: "example.com/b": field is immutable'],
    ),
    (
        "a class's policy",
        PRIORITY_CLASS,
        {"value": 5},
        {"value": 6},
        ["value: Forbidden: may not be changed in an update."],
    ),
    (
        "what a binding binds",
        ROLE_BINDING,
        {"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "a"}},
        {"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "b"}},
        ['roleRef: Invalid value: {"apiGroup":"rbac.authorization.k8s.io","kind":"Role","name":"b"}: cannot change roleRef'],
    ),
    (
        "a volume's source",
        PERSISTENT_VOLUME,
        {"spec": VOLUME},
        {"spec": {**VOLUME, "hostPath": {"path": "/other"}, "persistentVolumeReclaimPolicy": "Retain", "volumeMode": "Filesystem"}},
        ["spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation\n"],
    ),
    (
        "an address's owner",
        IP_ADDRESS,
        {"spec": {"parentRef": {"resource": "services", "name": "a"}}},
        {"spec": {"parentRef": {"resource": "services", "name": "b"}}},
        ['spec.parentRef: Invalid value: {"resource":"services","name":"b"}: field is immutable'],
    ),
    (
        "a range of services",
        SERVICE_CIDR,
        {"spec": {"cidrs": ["10.0.0.0/24"]}},
        {"spec": {"cidrs": ["10.0.1.0/24"]}},
        ['spec.cidrs[0]: Invalid value: "10.0.1.0/24": field is immutable'],
    ),
]


@pytest.mark.parametrize(("kind", "before", "after", "wanted"), [case[1:] for case in CHANGES], ids=[case[0] for case in CHANGES])
def test_what_must_not_change(kind: Kind, before: Object, after: Object, wanted: list[str]) -> None:
    old = made(kind, name="10.0.0.1" if kind is IP_ADDRESS else "web", **before)
    assert said(kind, copy.deepcopy(old), old) == []
    assert said(kind, copy.deepcopy(old) | copy.deepcopy(after), old) == wanted


def test_an_amount_written_otherwise_is_the_same_amount() -> None:
    old = made(PERSISTENT_VOLUME_CLAIM, spec=CLAIM)
    new = copy.deepcopy(old)
    new["spec"]["resources"]["requests"]["storage"] = "1024Mi"
    assert said(PERSISTENT_VOLUME_CLAIM, new, old) == []


def test_events_of_the_newer_version_are_judged_more_strictly() -> None:
    context = Context(User("admin"), NOW, "create", api_version="events.k8s.io/v1")
    found = EVENT.validate(made(EVENT, involvedObject={"namespace": "default"}, type="Odd"), None, context)
    assert [str(each) for each in found] == ["eventTime: Required value", 'type: Invalid value: "": has invalid value: Odd']


# --- reviews and URLs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        pytest.param({"user": "u", "resourceAttributes": {"verb": "get"}}, [], id="one question"),
        pytest.param(
            {"user": "u"},
            ["spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified"],
            id="no question",
        ),
        pytest.param(
            {"resourceAttributes": {"verb": "get"}},
            ['spec.user: Invalid value: "": at least one of user or group must be specified'],
            id="nobody",
        ),
        pytest.param(
            {"user": "u", "resourceAttributes": {"fieldSelector": {}}},
            [
                "spec.resourceAttributes.fieldSelector.requirements: Required value: when spec.resourceAttributes.fieldSelector is "
                "specified, requirements or rawSelector is required"
            ],
            id="an empty selector",
        ),
    ],
)
def test_subject_access_reviews(spec: Object, wanted: list[str]) -> None:
    assert [str(each) for each in access_review.validate_subject_review({"spec": spec})] == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        pytest.param("https://u:p@h:1/x?q#f", go_url.Url("https", "h:1", "u:p", "/x", "q", "f"), id="everything"),
        pytest.param("a.example.com", go_url.Url(path="a.example.com"), id="only a path"),
        pytest.param("https://", go_url.Url("https"), id="only a scheme"),
    ],
)
def test_urls_have_parts(text: str, wanted: go_url.Url) -> None:
    assert go_url.parse(text) == wanted


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param("https://a b/", 'parse "https://a b/": invalid character " " in host name', id="a blank in the host"),
        pytest.param("https://a:b/", 'parse "https://a:b/": invalid port ":b" after host', id="a port of letters"),
        pytest.param(":x", 'parse ":x": missing protocol scheme', id="no scheme"),
        pytest.param("1:x", 'parse "1:x": first path segment in URL cannot contain colon', id="a colon too early"),
        pytest.param("https://a/%zz", 'parse "https://a/%zz": invalid URL escape "%zz"', id="an escape of no byte"),
    ],
)
def test_urls_that_cannot_be_read(text: str, why: str) -> None:
    with pytest.raises(go_url.UrlError) as caught:
        go_url.parse(text)
    assert str(caught.value) == why
