"""The rules of resource.k8s.io: claims, their templates and status, classes, slices."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from apiserver.kinds.resource_claims import DEVICE_CLASS, RESOURCE_CLAIM, RESOURCE_CLAIM_TEMPLATE, RESOURCE_SLICE
from apiserver.registry.kind import Context, Kind, User
from kube.errors import ApiError, NotFound
from kube.objects import Object

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
DRIVER = "gpu.example.com"
STATUS = RESOURCE_CLAIM.subresources[0]
NO_REQUEST = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"


def context(operation: str = "create") -> Context:
    return Context(User("admin"), NOW, operation)


def made(kind: Kind, fields: Object, old: Object | None = None) -> Object:
    obj: Object = {"metadata": {"name": "a", "namespace": "default"}, **copy.deepcopy(fields)}
    kind.default(obj)
    kind.prepare(obj, old, context())
    return obj


def said(kind: Kind, new: Object, old: Object | None = None) -> list[str]:
    return [str(each) for each in kind.validate(new, old, context("create" if old is None else "update"))]


def claim(*requests: Object, **devices: Any) -> Object:
    return {"spec": {"devices": {"requests": list(requests), **devices}}}


def exactly(**fields: Any) -> Object:
    return {"name": "r", "exactly": {"deviceClassName": "gpu", **fields}}


def devices(*each: Object, **spec: Any) -> Object:
    pool = {"name": "p", "resourceSliceCount": 1}
    return {"spec": {"driver": DRIVER, "pool": pool, "nodeName": "n", "devices": list(each), **spec}}


def capacity(value: str, **policy: Any) -> Object:
    return devices({"name": "d", "allowMultipleAllocations": True, "capacity": {"memory": {"value": value, "requestPolicy": policy}}})


CASES: list[tuple[str, Kind, Object, list[str]]] = [
    (
        "too many requests are counted and not looked at",
        RESOURCE_CLAIM,
        claim(*[{"name": "A"}] * 33),
        ["spec.devices.requests: Too many: 33: must have at most 32 items"],
    ),
    (
        "a request that is there twice, as a whole",
        RESOURCE_CLAIM,
        claim(exactly(), exactly()),
        ['spec.devices.requests[1]: Duplicate value: "r"'],
    ),
    (
        "a count where all devices are wanted",
        RESOURCE_CLAIM,
        claim(exactly(allocationMode="All", count=1)),
        ["spec.devices.requests[0].exactly.count: Invalid value: 1: must not be specified when allocationMode is 'All'"],
    ),
    (
        "a toleration of any value that names one",
        RESOURCE_CLAIM,
        claim(exactly(tolerations=[{"key": "k", "operator": "Exists", "value": "v"}])),
        ['spec.devices.requests[0].exactly.tolerations[0].value: Invalid value: "v": must be empty for operator `Exists`'],
    ),
    (
        "a constraint on a request that is not there",
        RESOURCE_CLAIM,
        claim(exactly(), constraints=[{"requests": ["r", "s"], "matchAttribute": f"{DRIVER}/model"}]),
        [f'spec.devices.constraints[0].requests[1]: Invalid value: "s": {NO_REQUEST}'],
    ),
    (
        "an attribute without its domain",
        RESOURCE_CLAIM,
        claim(exactly(), constraints=[{"matchAttribute": "model"}]),
        [
            'spec.devices.constraints[0].matchAttribute: Invalid value: "model": a fully qualified name must be a domain and a name '
            "separated by a slash"
        ],
    ),
    (
        "parameters that are no object",
        RESOURCE_CLAIM,
        claim(exactly(), config=[{"opaque": {"driver": DRIVER, "parameters": 3}}]),
        ['spec.devices.config[0].opaque.parameters: Invalid value: "<value omitted>": must be a valid JSON object'],
    ),
    (
        "a template's claim, below the template's spec",
        RESOURCE_CLAIM_TEMPLATE,
        {"spec": {"spec": claim({"name": "r"})["spec"]}},
        ["spec.spec.devices.requests[0]: Required value: exactly one of `exactly` or `firstAvailable` is required"],
    ),
    (
        "a class with an empty selector",
        DEVICE_CLASS,
        {"spec": {"selectors": [{}]}},
        ["spec.selectors[0].cel: Required value"],
    ),
    (
        "a pool of no slices",
        RESOURCE_SLICE,
        devices(pool={"name": "", "resourceSliceCount": 0, "generation": -1}),
        [
            "spec.pool.name: Required value",
            "spec.pool.resourceSliceCount: Invalid value: 0: must be greater than zero",
            "spec.pool.generation: Invalid value: -1: must be greater than or equal to zero",
        ],
    ),
    (
        "two ways to say which nodes",
        RESOURCE_SLICE,
        devices(allNodes=True),
        [
            'spec: Invalid value: "{`nodeName`, `allNodes`}": exactly one of `nodeName`, `nodeSelector`, `allNodes`, '
            "`perDeviceNodeSelection` is required, but multiple fields are set"
        ],
    ),
    (
        "a flag that is set to false",
        RESOURCE_SLICE,
        devices(perDeviceNodeSelection=False),
        ["spec.perDeviceNodeSelection: Invalid value: false: must be either unset or set to true"],
    ),
    (
        "129 devices, or 65 of which one has a taint",
        RESOURCE_SLICE,
        devices(*({"name": f"d{number}"} for number in range(64)), {"name": "t", "taints": [{"key": "k", "effect": "NoSchedule"}]}),
        ["spec.devices: Too many: 65: must have at most 64 items"],
    ),
    (
        "an attribute of two values",
        RESOURCE_SLICE,
        devices({"name": "d", "attributes": {"model": {"string": "x", "int": 1}}}),
        ['spec.devices[0].attributes[model]: Invalid value: {"string":"x","int":1}: exactly one value must be specified'],
    ),
    (
        "a version that is none",
        RESOURCE_SLICE,
        devices({"name": "d", "attributes": {"v": {"version": "1.2"}}}),
        [
            'spec.devices[0].attributes[v].version: Invalid value: "1.2": must be a string compatible with semver.org spec 2.0.0',
        ],
    ),
    (
        "a policy for capacity that is not shared",
        RESOURCE_SLICE,
        devices({"name": "d", "capacity": {"memory": {"value": "1Gi", "requestPolicy": {"default": "1Gi"}}}}),
        ["spec.devices[0].capacity[memory].requestPolicy: Forbidden: allowMultipleAllocations must be true"],
    ),
    (
        "a default that is no valid value",
        RESOURCE_SLICE,
        capacity("4Gi", default="3Gi", validValues=["2Gi", "1Gi"]),
        [
            'spec.devices[0].capacity[memory].requestPolicy.validValues[1]: Invalid value: "1Gi": values must be sorted in ascending order',
            'spec.devices[0].capacity[memory].requestPolicy.validValues: Invalid value: "3Gi": default value is not valid according to the '
            "requestPolicy",
        ],
    ),
    (
        "a range beyond what there is",
        RESOURCE_SLICE,
        capacity("4Gi", default="1Gi", validRange={"min": "1Gi", "max": "8Gi"}),
        ['spec.devices[0].capacity[memory].requestPolicy.validRange.max: Invalid value: "8Gi": max is larger than capacity value: 4Gi'],
    ),
    (
        "binding conditions without failure conditions",
        RESOURCE_SLICE,
        devices({"name": "d", "bindingConditions": ["a", "a"]}),
        [
            'spec.devices[0].bindingConditions[1]: Duplicate value: "a"',
            "spec.devices[0].bindingFailureConditions: Invalid value: null: bindingFailureConditions are required to use bindingConditions",
        ],
    ),
    (
        "counters and devices in one slice",
        RESOURCE_SLICE,
        devices({"name": "d"}, sharedCounters=[{"name": "c", "counters": {"x": {"value": "1"}}}]),
        ['spec: Invalid value: "": only one of `sharedCounters` or `devices` is allowed'],
    ),
    (
        "a device that says its nodes where the slice does",
        RESOURCE_SLICE,
        devices({"name": "d", "allNodes": True}),
        [
            "spec.devices[0]: Invalid value: null: `nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` "
            "is set to true in the ResourceSlice spec"
        ],
    ),
]


@pytest.mark.parametrize(("kind", "fields", "wanted"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_is_wrong_is_refused(kind: Kind, fields: Object, wanted: list[str]) -> None:
    assert said(kind, made(kind, fields)) == wanted


GOOD: list[tuple[str, Kind, Object]] = [
    ("32 requests", RESOURCE_CLAIM, claim(*({**exactly(), "name": f"r{number}"} for number in range(32)))),
    ("128 plain devices", RESOURCE_SLICE, devices(*({"name": f"d{number}"} for number in range(128)))),
    ("values in steps", RESOURCE_SLICE, capacity("4Gi", default="2Gi", validRange={"min": "1Gi", "max": "4Gi", "step": "1Gi"})),
    ("a version with everything", RESOURCE_SLICE, devices({"name": "d", "attributes": {"v": {"version": "1.2.3-rc.1+build.5"}}})),
]


@pytest.mark.parametrize(("kind", "fields"), [case[1:] for case in GOOD], ids=[case[0] for case in GOOD])
def test_what_is_right_passes(kind: Kind, fields: Object) -> None:
    assert said(kind, made(kind, fields)) == []


def test_an_update_is_only_asked_whether_the_claim_changed() -> None:
    old = made(RESOURCE_CLAIM, claim({"name": "A"}))
    assert said(RESOURCE_CLAIM, old, old) == []
    [why] = said(RESOURCE_CLAIM, made(RESOURCE_CLAIM, claim(exactly())), old)
    assert why.startswith("spec: Invalid value: ")
    assert why.endswith(": field is immutable")


def test_a_slice_stays_with_its_pool_driver_and_node() -> None:
    old = made(RESOURCE_SLICE, devices())
    new = made(RESOURCE_SLICE, devices(driver="b.example.com", nodeName="m", pool={"name": "q", "resourceSliceCount": 1}), old)
    assert said(RESOURCE_SLICE, new, old) == [
        'spec.pool.name: Invalid value: "q": field is immutable',
        'spec.driver: Invalid value: "b.example.com": field is immutable',
        'spec.nodeName: Invalid value: "m": field is immutable',
    ]


def test_a_taint_says_since_when_and_gated_fields_are_dropped() -> None:
    sent = devices({"name": "d", "taints": [{"key": "k", "effect": "NoSchedule"}], "nodeAllocatableResourceMappings": {"a": {}}})
    [device] = made(RESOURCE_SLICE, sent)["spec"]["devices"]
    assert device["taints"][0]["timeAdded"] == "2026-05-01T12:00:00Z"
    assert "nodeAllocatableResourceMappings" not in device


# --- status -----------------------------------------------------------------------------------------------------------

RESULT: Object = {"request": "r", "driver": DRIVER, "pool": "p", "device": "d"}
USER: Object = {"resource": "pods", "name": "p", "uid": "u"}
DEVICE: Object = {"driver": DRIVER, "pool": "p", "device": "d"}


def status_said(status: Object, before: Object | None = None) -> list[str]:
    old = {**made(RESOURCE_CLAIM, claim(exactly())), "status": before or {}}
    new = {**old, "status": copy.deepcopy(status)}
    assert STATUS.validate is not None
    return [str(each) for each in STATUS.validate(new, old, context("update"))]


STATUSES: list[tuple[str, Object, Object | None, list[str]]] = [
    ("an allocation that somebody reserved", {"allocation": {"devices": {"results": [RESULT]}}, "reservedFor": [USER]}, None, []),
    (
        "reserved before it is allocated",
        {"reservedFor": [USER]},
        None,
        ["status.reservedFor: Forbidden: may not be specified when `allocated` is not set"],
    ),
    (
        "a user without a uid",
        {"allocation": {"devices": {"results": [RESULT]}}, "reservedFor": [{"resource": "pods", "name": "p"}]},
        None,
        ["status.reservedFor[0].uid: Required value"],
    ),
    (
        "the result of another claim's request",
        {"allocation": {"devices": {"results": [{**RESULT, "request": "s"}]}}},
        None,
        [f'status.allocation.devices.results[0].request: Invalid value: "s": {NO_REQUEST}'],
    ),
    (
        "another share",
        {"allocation": {"devices": {"results": [{**RESULT, "shareID": "x"}]}}},
        None,
        [
            'status.allocation.devices.results[0].shareID: Invalid value: "x": error validating uid: invalid UUID length: 1',
        ],
    ),
]


@pytest.mark.parametrize(("status", "before", "wanted"), [case[1:] for case in STATUSES], ids=[case[0] for case in STATUSES])
def test_what_is_said_of_a_claims_status(status: Object, before: Object | None, wanted: list[str]) -> None:
    assert status_said(status, before) == wanted


def test_an_allocation_does_not_change() -> None:
    before = {"allocation": {"devices": {"results": [RESULT]}}}
    [why] = status_said({"allocation": {"devices": {"results": [{**RESULT, "device": "e"}]}}}, before)
    assert why.endswith(": field is immutable")


@pytest.mark.parametrize(
    ("allocation", "kept"),
    [
        pytest.param({"devices": {"results": [RESULT]}}, [DEVICE], id="while the device is allocated"),
        pytest.param(None, None, id="gone with the allocation"),
    ],
)
def test_what_drivers_said_of_devices(allocation: Object | None, kept: list[Object] | None) -> None:
    old = {**made(RESOURCE_CLAIM, claim(exactly())), "status": {"allocation": {"devices": {"results": [RESULT]}}, "devices": [DEVICE]}}
    status: Object = {"devices": [dict(DEVICE)]}
    if allocation is not None:
        status["allocation"] = allocation
    new = {**copy.deepcopy(old), "status": status}
    assert STATUS.prepare is not None
    STATUS.prepare(new, old, context("update"))
    assert new["status"].get("devices") == kept


# --- access to devices in use -----------------------------------------------------------------------------------------


class Namespaces:
    """One namespace, or none."""

    def __init__(self, labels: dict[str, str] | None) -> None:
        self.labels = labels

    def get(self, _resource: Any) -> Any:
        async def get(_namespace: str, _name: str) -> Object:
            if self.labels is None:
                raise NotFound('namespaces "default" not found')
            return {"metadata": {"name": "default", "labels": self.labels}}

        return SimpleNamespace(get=get)


@pytest.mark.parametrize(
    ("labels", "allowed"),
    [
        pytest.param({"resource.kubernetes.io/admin-access": "true"}, True, id="a namespace that allows it"),
        pytest.param({"resource.kubernetes.io/admin-access": "yes"}, False, id="another value of the label"),
        pytest.param({}, False, id="a namespace without the label"),
        pytest.param(None, False, id="no such namespace"),
    ],
)
async def test_admin_access_needs_the_namespaces_label(labels: dict[str, str] | None, allowed: bool) -> None:
    assert RESOURCE_CLAIM.begin is not None
    new = made(RESOURCE_CLAIM, claim(exactly(adminAccess=True)))
    if allowed:
        await RESOURCE_CLAIM.begin(new, None, context(), Namespaces(labels))
        return
    with pytest.raises(ApiError, match=r"admin access to devices requires the `resource\.kubernetes\.io/admin-access: true` label"):
        await RESOURCE_CLAIM.begin(new, None, context(), Namespaces(labels))
