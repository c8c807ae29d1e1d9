"""CEL in admission policies, match conditions and device selectors: what compiles, and to what."""

from __future__ import annotations

from typing import Any

import pytest

from apiserver.kinds.admissionregistration import KINDS
from apiserver.validation.expressions import BOOL, NULL, STRING, Scope, admission_error, device_error
from kube.errors import FieldError
from kube.objects import Object
from tests.unit.judging import made, said

POLICIES = next(kind for kind in KINDS if kind.resource.kind == "ValidatingAdmissionPolicy")
UNKNOWN = "compilation failed: ERROR: <input>:1:1: undeclared reference to"


def told(wrong: FieldError | None) -> str:
    return wrong.message if wrong is not None else ""


CONDITIONS = {
    "what a request and its object say": ("request.userInfo.username == 'me' && has(object.metadata)", ""),
    "not a bool": ("'text'", "must evaluate to bool but got string"),
    "null": ("null", "must evaluate to bool but got null_type"),
    "a type that is not known": ("object.spec.flag", "must evaluate to bool but got dyn"),
    "a field that requests do not have": ("request.colour == 'red'", "compilation failed: ERROR: <input>:1:8: undefined field 'colour'"),
    "the labels of the namespace": ("namespaceObject.metadata.labels['team'] == 'a'", ""),
    "an unknown variable": ("nothing", f"{UNKNOWN} 'nothing'"),
    "parameters that there are none of": ("params.x == 1", f"{UNKNOWN} 'params'"),
    "a policy's variable": ("variables.a == 1", f"{UNKNOWN} 'variables'"),
    "half an expression": ("1 +", "compilation failed: ERROR: <input>:1:4: Syntax error"),
    "the authorizer, which is not looked into": ("authorizer.group('').resource('pods').check('get').allowed()", ""),
}


@pytest.mark.parametrize(("expression", "says"), CONDITIONS.values(), ids=CONDITIONS.keys())
def test_match_conditions_are_compiled(expression: str, says: str) -> None:
    found = told(admission_error(expression, "p", returns=(BOOL,)))
    assert says in found
    assert bool(found) is bool(says)


def test_parameters_and_variables_are_there_where_they_are_declared() -> None:
    assert admission_error("params.x == 1", "p", returns=(BOOL,), scope=Scope(has_params=True)) is None
    scope = Scope(variables={}).with_variable("a", "1")
    assert admission_error("variables.a == 1", "p", returns=(BOOL,), scope=scope) is None
    assert "undefined field 'b'" in told(admission_error("variables.b == 1", "p", returns=(BOOL,), scope=scope))
    assert "no matching overload" in told(admission_error("variables.a == 'x'", "p", returns=(BOOL,), scope=scope))
    assert admission_error("1", "p", returns=()) is None
    assert told(admission_error("1", "p", returns=(STRING, NULL))).endswith("must evaluate to one of [string null_type] but got int")


DEVICES = {
    "a driver": ("device.driver == 'gpu.example.com'", ""),
    "an attribute, whatever it is": ("device.attributes['gpu.example.com'].fast", ""),
    "an amount": ("device.capacity['gpu.example.com'].memory.compareTo(quantity('1Gi')) >= 0", ""),
    "a version": ("device.attributes['d'].version.isGreaterThan(semver('1.0.0'))", ""),
    "not a bool": ("1.0", "must evaluate to bool or the unknown type, not double"),
    "something else": ("object.spec", f"{UNKNOWN} 'object'"),
    "nothing": ("", "compilation failed: ERROR: <input>:1:1: Syntax error"),
}


@pytest.mark.parametrize(("expression", "says"), DEVICES.values(), ids=DEVICES.keys())
def test_selectors_of_devices_are_compiled(expression: str, says: str) -> None:
    found = told(device_error(expression, "p"))
    assert says in found
    assert bool(found) is bool(says)


RULE: Object = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
POLICY_PARTS: dict[str, tuple[Object, list[str]]] = {
    "all is well": (
        {
            "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
            "variables": [{"name": "a", "expression": "object.spec"}, {"name": "b", "expression": "variables.a.size() > 1"}],
            "validations": [{"expression": "variables.b && params.data.x == 'y'", "messageExpression": "'no ' + string(variables.b)"}],
            "auditAnnotations": [{"key": "k", "valueExpression": "variables.b ? 'yes' : 'no'"}],
        },
        [],
    ),
    "a variable before it is there": (
        {
            "variables": [{"name": "a", "expression": "variables.b"}, {"name": "b", "expression": "1"}],
            "validations": [{"expression": "true"}],
        },
        ["spec.variables[0].expression"],
    ),
    "variables without any": ({"validations": [{"expression": "variables.a"}]}, ["spec.validations[0].expression"]),
    "messages and annotations of other types": (
        {"validations": [{"expression": "true", "messageExpression": "1"}], "auditAnnotations": [{"key": "k", "valueExpression": "2"}]},
        ["spec.validations[0].messageExpression", "spec.auditAnnotations[0].valueExpression"],
    ),
}


@pytest.mark.parametrize(("parts", "fields"), POLICY_PARTS.values(), ids=POLICY_PARTS.keys())
def test_the_expressions_of_a_policy_are_compiled(parts: Object, fields: list[str]) -> None:
    spec: dict[str, Any] = {"failurePolicy": "Fail", "matchConstraints": {"resourceRules": [RULE]}, **parts}
    wrong = said(POLICIES, made(POLICIES, spec=spec))
    assert [each.partition(": ")[0] for each in wrong] == fields
