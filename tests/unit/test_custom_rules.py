"""x-kubernetes-validations: what broken rules say, what changed and what did not, and what a definition's rules may be."""

from __future__ import annotations

from typing import Any

import pytest

from apiserver.validation.custom.correlation import Correlation
from apiserver.validation.custom.rule_types import declared, escaped
from apiserver.validation.custom.rules import compile_rules, evaluate, rule_set
from apiserver.validation.custom.validator import Validator
from apiserver.validation.structural_schema import validate_schema

Node = dict[str, Any]
TEXT: Node = {"type": "string"}
COUNT: Node = {"type": "integer"}


def of(properties: Node, *rules: Node, **rest: Any) -> Node:
    return {"type": "object", "properties": properties, **({"x-kubernetes-validations": list(rules)} if rules else {}), **rest}


def ruled(node: Node, *rules: Node) -> Node:
    return {**node, "x-kubernetes-validations": list(rules)}


def broken(node: Node, value: Any, old: Any = None) -> list[str]:
    rules = rule_set(node, is_root=False)
    return [] if rules is None else [str(each) for each in evaluate(rules, value, old).errors]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        pytest.param({"rule": "self.a > 2"}, "<nil>: Invalid value: failed rule: self.a > 2", id="the rule itself"),
        pytest.param({"rule": "self.a > 2", "message": "more"}, "<nil>: Invalid value: more", id="a message"),
        pytest.param(
            {"rule": "self.a > 2", "message": "more", "messageExpression": "'got %d'.format([self.a])"},
            "<nil>: Invalid value: got 1",
            id="a message that is made",
        ),
        pytest.param(
            {"rule": "self.a > 2", "message": "more", "messageExpression": "string(self.a / 0)"},
            "<nil>: Invalid value: more",
            id="a message that cannot be made",
        ),
        pytest.param(
            {"rule": "self.a > 2", "message": "more", "messageExpression": "'  '"}, "<nil>: Invalid value: more", id="a message of nothing"
        ),
        pytest.param({"rule": "self.a > 2", "fieldPath": ".a"}, "a: Invalid value: failed rule: self.a > 2", id="at a field"),
        pytest.param(
            {"rule": "self.a > 2", "reason": "FieldValueForbidden", "message": "no"}, "<nil>: Forbidden: no", id="forbidden for a reason"
        ),
        pytest.param(
            {"rule": "self.a > 2", "reason": "FieldValueRequired", "fieldPath": ".a"},
            "a: Required value: failed rule: self.a > 2",
            id="required for a reason",
        ),
        pytest.param({"rule": "self.a > 2", "reason": "FieldValueDuplicate"}, "<nil>: Duplicate value", id="a duplicate for a reason"),
        pytest.param(
            {"rule": "self.b == 'x'"}, "<nil>: Invalid value: \"object\": no such key: b evaluating rule: self.b == 'x'", id="an error"
        ),
    ],
)
def test_what_a_broken_rule_says(rule: Node, expected: str) -> None:
    assert broken(of({"a": COUNT, "b": TEXT}, rule), {"a": 1}) == [expected]


@pytest.mark.parametrize(
    ("node", "value", "expected"),
    [
        pytest.param(
            of({"n": {"type": "array", "items": ruled(COUNT, {"rule": "self % 2 == 0", "message": "odd"})}}),
            {"n": [2, 3]},
            ["n[1]: Invalid value: 3: odd"],
            id="items",
        ),
        pytest.param(
            of({"m": {"type": "object", "additionalProperties": ruled(TEXT, {"rule": "self != ''"})}}),
            {"m": {"a": "", "b": "x"}},
            ['m[a]: Invalid value: "": failed rule: self != \'\''],
            id="values of a map",
        ),
        pytest.param(
            of({"a": TEXT}, allOf=[{"properties": {"a": {"x-kubernetes-validations": [{"rule": "self == 'x'"}]}}}]),
            {"a": "y"},
            ["a: Invalid value: \"y\": failed rule: self == 'x'"],
            id="only in allOf",
        ),
        pytest.param(of({"a": {**TEXT, "nullable": True}}, {"rule": "!has(self.a)"}), {"a": None}, [], id="null is not there"),
        pytest.param(
            of({"namespace": TEXT}, {"rule": "self.namespace == self.__namespace__"}), {"namespace": "x"}, [], id="reserved words"
        ),
        pytest.param(
            of({"a-b": TEXT, "c.d": TEXT}, {"rule": "self.a__dash__b == self.c__dot__d"}), {"a-b": "x", "c.d": "x"}, [], id="escaped"
        ),
        pytest.param(
            of({"at": {**TEXT, "format": "date-time"}, "for": {**TEXT, "format": "duration"}, "raw": {**TEXT, "format": "byte"}},
               {"rule": "self.at.getFullYear() == 2024 && self.__for__ == duration('60s') && self.raw == b'hi'"}),
            {"at": "2024-01-02T03:04:05Z", "for": "1m", "raw": "aGk="},
            [],
            id="formats are types",
        ),
        pytest.param(
            of({"p": {"x-kubernetes-int-or-string": True}}, {"rule": "type(self.p) == int ? self.p > 5 : self.p.endsWith('%')"}),
            {"p": "5%"},
            [],
            id="numbers or text",
        ),
        pytest.param(of({"x": {"type": "number"}}, {"rule": "self.x == 1.0"}), {"x": 1}, [], id="whole numbers are numbers"),
        pytest.param(
            of({"s": {"type": "array", "x-kubernetes-list-type": "set", "items": TEXT}}, {"rule": "self.s == ['b', 'a']"}),
            {"s": ["a", "b"]},
            [],
            id="sets have no order",
        ),
    ],
)  # fmt: skip
def test_where_rules_are(node: Node, value: Any, expected: list[str]) -> None:
    assert broken(node, value) == expected


@pytest.mark.parametrize(
    ("rule", "new", "old", "expected"),
    [
        pytest.param({"rule": "self.a >= oldSelf.a"}, {"a": 1}, None, 0, id="nothing before: not asked"),
        pytest.param({"rule": "self.a >= oldSelf.a"}, {"a": 1}, {"a": 2}, 1, id="less than before"),
        pytest.param({"rule": "self.a >= oldSelf.a"}, {"a": 3}, {"a": 2}, 0, id="more than before"),
        pytest.param({"rule": "oldSelf.hasValue()", "optionalOldSelf": True}, {"a": 1}, None, 1, id="asked although nothing was before"),
        pytest.param({"rule": "oldSelf.?a.orValue(9) <= self.a", "optionalOldSelf": True}, {"a": 9}, None, 0, id="with a value instead"),
    ],
)
def test_transitions(rule: Node, new: Any, old: Any, expected: int) -> None:
    assert len(broken(of({"a": COUNT}, rule), new, old)) == expected


def test_items_are_compared_by_key() -> None:
    item = of({"name": TEXT, "size": COUNT}, {"rule": "self.size >= oldSelf.size"})
    node = of({"l": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"], "items": item}})
    before = {"l": [{"name": "a", "size": 1}, {"name": "b", "size": 5}]}
    assert broken(node, {"l": [{"name": "b", "size": 4}, {"name": "c", "size": 0}]}, before) == [
        "l[0]: Invalid value: failed rule: self.size >= oldSelf.size"
    ]


def test_what_was_broken_before_is_a_warning() -> None:
    node = of({"a": ruled(TEXT, {"rule": "self == 'x'", "message": "not x"}), "b": TEXT})
    rules = rule_set(node, is_root=False)
    assert rules is not None
    new, old = {"a": "y", "b": "2"}, {"a": "y", "b": "1"}
    outcome = evaluate(rules, new, old, correlation=Correlation(new, old, node))
    assert (outcome.errors, outcome.warnings) == ([], ['a: Invalid value: "y": not x'])
    new = {"a": "z", "b": "1"}
    outcome = evaluate(rules, new, old, correlation=Correlation(new, old, node))
    assert [str(each) for each in outcome.errors] == ['a: Invalid value: "z": not x']


def test_rules_are_not_asked_about_what_is_too_wrong() -> None:
    validator = Validator(of({"spec": of({"a": COUNT}, {"rule": "self.a > 1"})}), "Foo")
    found = validator.whole({"kind": "Foo", "spec": {"a": "x"}}, None)
    assert [each.reason for each in found] == ["FieldValueTypeInvalid", "FieldValueInvalid"]
    assert "some validation rules were not checked" in str(found[1])


def test_rules_that_cost_too_much_end_it() -> None:
    rules = [{"rule": "self.n.all(x, self.n.exists(y, y == x + 1))"}, {"rule": "false"}]
    (found,) = broken(of({"n": {"type": "array", "items": COUNT}}, *rules), {"n": list(range(3000))})
    assert "'operation cancelled: actual cost limit exceeded': no further validation rules will be run" in found


def test_all_rules_together_may_not_cost_too_much() -> None:
    item = of({"n": {"type": "array", "items": COUNT}}, {"rule": "self.n.all(x, self.n.exists(y, y == x))"})
    found = broken(of({"l": {"type": "array", "items": item}}), {"l": [{"n": list(range(400))}] * 60})
    assert len(found) == 1
    assert found[0].endswith("validation failed due to running out of cost budget, no further validation rules will be run")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a", "a"),
        ("a-b", "a__dash__b"),
        ("a.b/c", "a__dot__b__slash__c"),
        ("a__b", "a__underscores__b"),
        ("if", "__if__"),
        ("9", None),
        ("é", None),
    ],
)
def test_names_in_rules(name: str, expected: str | None) -> None:
    assert escaped(name) == expected


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        pytest.param({"rule": "self.a > 'x'"}, "compilation failed: ERROR: <input>:1:8: found no matching overload for '_>_'", id="types"),
        pytest.param({"rule": "self.a"}, "cel expression must evaluate to a bool", id="no decision"),
        pytest.param(
            {"rule": "self.b.find(')') == ''"}, "program instantiation failed: error parsing regexp: unexpected ): `)`", id="pattern"
        ),
        pytest.param({"rule": "self.zz == 1"}, "undefined field 'zz'", id="a field that is none"),
    ],
)
def test_rules_that_do_not_compile(rule: Node, problem: str) -> None:
    node = declared(of({"a": COUNT, "b": TEXT}), is_root=False)
    assert node is not None
    assert problem in compile_rules([rule], node)[0].problem


@pytest.mark.parametrize(
    ("node", "is_fine"),
    [
        pytest.param(of({"a": ruled(TEXT, {"rule": "self == oldSelf"})}), True, id="a property"),
        pytest.param(
            of({"m": of({"a": ruled(TEXT, {"rule": "self == oldSelf"})}, **{"x-kubernetes-map-type": "atomic"})}),
            True,
            id="in an atomic map",
        ),
        pytest.param(
            of({"l": {"type": "array", "items": ruled(TEXT, {"rule": "self == oldSelf"})}}), False, id="an item of an atomic list"
        ),
        pytest.param(
            of({"l": ruled({"type": "array", "items": TEXT, "maxItems": 9}, {"rule": "self == oldSelf"})}), True, id="the list as a whole"
        ),
    ],
)
def test_where_there_is_something_before(node: Node, is_fine: bool) -> None:
    found = [str(each) for each in validate_schema(of({"spec": node}), "s") if "uncorrelatable" in str(each)]
    assert (not found) is is_fine


def test_a_schema_may_not_cost_too_much() -> None:
    item = ruled(TEXT, {"rule": "self.matches('^a+$')"})
    node = of({"spec": of({"l": {"type": "array", "items": item}})})
    assert any("estimated rule cost" in str(each) and "exceeds budget by factor of" in str(each) for each in validate_schema(node, "s"))
    bounded = of({"spec": of({"l": {"type": "array", "maxItems": 10, "items": {**item, "maxLength": 20}}})})
    assert validate_schema(bounded, "s") == []
