"""Rules found by asking a kube-apiserver v1.36.2 and this server the same: what was told otherwise."""

from __future__ import annotations

import copy
from datetime import UTC, datetime

import pytest

from apiserver.kinds import all_kinds
from apiserver.registry.kind import Context, Kind, User
from kube.objects import Object

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
KINDS: dict[str, Kind] = {kind.resource.kind: kind for kind in all_kinds()}
SUBDOMAIN = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an"
SELECTED: Object = {"selector": {"matchLabels": {"a": "b"}}}
TEMPLATE: Object = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "c"}]}}


def set_of(*claims: Object, **template: Object) -> Object:
    return {"spec": {**SELECTED, "serviceName": "s", "template": {**TEMPLATE, **template}, "volumeClaimTemplates": list(claims)}}


def claim(name: str, size: str = "1Gi") -> Object:
    return {"metadata": {"name": name}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}}


def cidrs(*texts: str) -> Object:
    return {"spec": {"cidrs": list(texts)}}


def scaled_by(**source: object) -> Object:
    metric = {"type": "ContainerResource", "containerResource": {"target": {"type": "Utilization", "averageUtilization": 5}, **source}}
    return {"spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}, "maxReplicas": 3, "metrics": [metric]}}


def attached(**spec: object) -> Object:
    return {"spec": {"attacher": "d.example.com", "nodeName": "n", "source": {"persistentVolumeName": "v"}, **spec}}


def topologies(*terms: Object) -> Object:
    return {"provisioner": "d.example.com", "allowedTopologies": list(terms)}


def mutating(operation: str, expression: str) -> Object:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": [operation], "resources": ["pods"]}
    mutation = {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}
    return {"spec": {"matchConstraints": {"resourceRules": [rule]}, "mutations": [mutation], "reinvocationPolicy": "Never"}}


NEW: list[tuple[str, str, Object, list[str]]] = [
    ("a ServiceCIDR that is none", "ServiceCIDR", cidrs("10%", "fd00:98::/112"), ["spec.cidrs[0]"]),
    ("two ServiceCIDRs that are none", "ServiceCIDR", cidrs("10%", "x"), ["spec.cidrs[0]", "spec.cidrs[1]"]),
    ("two of a family", "ServiceCIDR", cidrs("10.1.0.0/16", "10.2.0.0/16"), ["spec.cidrs"]),
    ("a claim without a name", "StatefulSet", set_of(claim("")), ["volumes[0].persistentVolumeClaim.claimName", "volumes[0].name"]),
    ("two claims of one name", "StatefulSet", set_of(claim("d"), claim("d")), []),
    ("labels of a StatefulSet's pods", "StatefulSet", set_of(metadata={"labels": {"a": "b", "c": "!"}}), ["spec.template.labels"] * 2),
    ("what the controller will call a pod", "StatefulSet", set_of(spec={**TEMPLATE["spec"], "subdomain": "X!"}), []),
    ("a container that is none", "HorizontalPodAutoscaler", scaled_by(name="cpu", container="../x"), ["containerResource.container"]),
    (
        "a resource that no container has",
        "HorizontalPodAutoscaler",
        scaled_by(name="nonsense", container="c"),
        ["containerResource.name"] * 2,
    ),
    ("no topology at all", "StorageClass", topologies({}), ["allowedTopologies[0].matchLabelExpressions"]),
    ("an operation that is none", "MutatingAdmissionPolicy", mutating("UPDAT", "Object{}"), ["operations[0]", "resourceRules.operations"]),
    ("a mutation without an expression", "MutatingAdmissionPolicy", mutating("CREATE", " "), ["applyConfiguration.expression"]),
    ("a long attacher", "VolumeAttachment", attached(attacher="x" * 64, nodeName="!"), ["spec.attacher", "spec.nodeName"]),
]


def context(operation: str) -> Context:
    return Context(User("admin"), NOW, operation)


def made(kind: Kind, fields: Object) -> Object:
    obj: Object = {"metadata": {"name": "o", "namespace": "default", "uid": "u-1"}, **copy.deepcopy(fields)}
    kind.default(obj)
    kind.prepare(obj, None, context("create"))
    return obj


@pytest.mark.parametrize(("name", "fields", "paths"), [case[1:] for case in NEW], ids=[case[0] for case in NEW])
def test_where_a_new_object_is_wrong(name: str, fields: Object, paths: list[str]) -> None:
    kind = KINDS[name]
    found = [str(each).partition(": ")[0] for each in kind.validate(made(kind, fields), None, context("create"))]
    assert len(found) == len(paths), found
    assert all(said.endswith(wanted) for said, wanted in zip(found, paths, strict=True)), found


def address(**parent: str) -> Object:
    return {"metadata": {"name": "10.0.0.9", "uid": "u-1"}, "spec": {"parentRef": parent}}


def wanting(*classes: str) -> Object:
    requests = [{"name": f"r{index}", "exactly": {"deviceClassName": name}} for index, name in enumerate(classes)]
    return {"spec": {"spec": {"devices": {"requests": requests}}}}


def replicated(policy: str) -> Object:
    spec = {**TEMPLATE["spec"], "dnsPolicy": policy}
    return {"spec": {"selector": {"a": "b"}, "template": {**TEMPLATE, "spec": spec}}}


CHANGED: list[tuple[str, str, Object, Object, list[str]]] = [
    (
        "an IPAddress's parent is judged, and must stay",
        "IPAddress",
        address(resource="services", name="a"),
        address(resource="a/b", name="a"),
        ["spec.parentRef.resource", "spec.parentRef"],
    ),
    ("an IPAddress without a parent", "IPAddress", address(resource="s", name="a"), {**address(), "spec": {}}, ["spec.parentRef"] * 2),
    (
        "a claim's template is judged, and must stay",
        "ResourceClaimTemplate",
        wanting("a"),
        wanting(""),
        ["spec.spec.devices.requests[0].exactly.deviceClassName", "spec"],
    ),
    ("a ReplicationController, once", "ReplicationController", replicated("Default"), replicated("x"), ["spec.template.spec.dnsPolicy"]),
    ("claims of a StatefulSet are not judged again", "StatefulSet", set_of(claim("d")), set_of({"metadata": {"name": "d"}}), ["spec"]),
]


@pytest.mark.parametrize(("name", "before", "after", "paths"), [case[1:] for case in CHANGED], ids=[case[0] for case in CHANGED])
def test_where_a_changed_object_is_wrong(name: str, before: Object, after: Object, paths: list[str]) -> None:
    kind = KINDS[name]
    found = [str(each).partition(": ")[0] for each in kind.validate(made(kind, after), made(kind, before), context("update"))]
    assert found == paths


def warned(name: str, old: Object | None, new: Object) -> list[str]:
    kind, told = KINDS[name], context("create" if old is None else "update")
    assert not kind.validate(made(kind, new), made(kind, old) if old is not None else None, told)
    return told.warnings


def test_drivers_are_warned_of_upper_case_and_of_tokens_each_time_these_change() -> None:
    pool = {"name": "p", "generation": 1, "resourceSliceCount": 1}
    slices = {"spec": {"driver": "GPU.example.com", "nodeName": "n", "pool": pool, "devices": []}}
    upper = 'spec.driver: driver names should be lowercase; "GPU.example.com" contains uppercase characters'
    assert warned("ResourceSlice", None, slices) == warned("ResourceSlice", slices, slices) == [upper]
    plain, one, two = ({"spec": {"tokenRequests": [{"audience": each} for each in names]}} for names in ((), ("a",), ("a", "b")))
    assert warned("CSIDriver", plain, one) == warned("CSIDriver", one, two) == warned("CSIDriver", None, one)
    assert len(warned("CSIDriver", None, one)) == 1
    assert warned("CSIDriver", one, one) == warned("CSIDriver", one, plain) == []


def test_too_many_ranges_are_shown_as_go_prints_them() -> None:
    (error,) = KINDS["ServiceCIDR"].validate(made(KINDS["ServiceCIDR"], cidrs("a", "b", "c")), None, context("create"))
    assert str(error) == 'spec.cidrs: Invalid value: {"CIDRs":["a","b","c"]}: may only hold up to 2 values'


def test_an_attachment_that_changes_is_judged_like_a_new_one() -> None:
    kind = KINDS["VolumeAttachment"]
    old, new = made(kind, attached()), made(kind, attached(source={"persistentVolumeName": "v!"}))
    first, last = [str(each) for each in kind.validate(new, old, context("update"))]
    assert first.startswith(f'spec.source.persistentVolumeName: Invalid value: "v!": {SUBDOMAIN}')
    assert last.startswith("spec: Invalid value: ")
    assert last.endswith(": field is immutable")


def test_a_ranges_field_that_is_gone_is_null() -> None:
    kind = KINDS["ServiceCIDR"]
    (error,) = kind.validate(made(kind, {"spec": {"cidrs": None}}), made(kind, cidrs("10.1.0.0/16")), context("update"))
    assert str(error) == "spec.cidrs: Invalid value: null: field is immutable"


def test_exit_codes_that_are_not_said_are_null() -> None:
    rule = {"action": "FailJob", "onExitCodes": {"operator": "In"}}
    template = {"spec": {**TEMPLATE["spec"], "restartPolicy": "Never"}}
    job = made(KINDS["Job"], {"spec": {"template": template, "podFailurePolicy": {"rules": [rule]}}})
    said = [str(each) for each in KINDS["Job"].validate(job, None, context("create"))]
    assert said == ["spec.podFailurePolicy.rules[0].onExitCodes.values: Invalid value: null: at least one value is required"]


def test_a_limit_range_without_a_name_gets_one() -> None:
    kind = KINDS["LimitRange"]
    obj: Object = {"metadata": {"namespace": "default", "uid": "u-1"}, "spec": {"limits": []}}
    kind.prepare(obj, None, context("create"))
    assert obj["metadata"]["name"] == "u-1"


def test_a_fraction_of_a_byte_is_warned_of_without_the_spec() -> None:
    told = context("create")
    kind = KINDS["StatefulSet"]
    assert not kind.validate(made(kind, set_of(claim("d", "1500m"))), None, told)
    assert told.warnings[-1].startswith("spec.volumeClaimTemplates[0].resources.requests[storage]: fractional byte value")
