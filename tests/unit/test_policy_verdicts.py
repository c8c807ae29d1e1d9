"""What validations make of a request, and what goes wrong with them."""

from __future__ import annotations

from typing import Any

import pytest

from apiserver.admission.policies.expressions import Evaluation, EvaluationError, Expression, OutOfBudget
from apiserver.admission.policies.policy import compiled
from apiserver.admission.policies.validating import Denial, judged
from apiserver.validation.expressions import Scope
from kube.cel.library.authorization import Authorizer, Question
from kube.objects import Object

OBJECT = {"metadata": {"name": "x"}, "data": {"k": "v"}}


class Allowed:
    allowed, reason, error = True, "", ""


AUTHORIZER = Authorizer("ann", lambda _user, _question: Allowed(), lambda namespace, name: f"{namespace}/{name}")
VALUES: dict[str, Any] = {
    "object": OBJECT,
    "oldObject": None,
    "request": {"operation": "CREATE", "userInfo": {"username": "ann"}},
    "params": {"data": {"max": "5"}},
    "namespaceObject": {"metadata": {"name": "default"}},
    "authorizer": AUTHORIZER,
    "authorizer.requestResource": AUTHORIZER.resource_of(Question(resource="configmaps")),
}
GONE = "object.data.gone == 'x'"
NO_KEY = f"expression '{GONE}' resulted in error: no such key: gone"


def policy(*validations: Object | str, **spec: Any) -> Object:
    checks = [{"expression": each} if isinstance(each, str) else each for each in validations]
    return {"metadata": {"name": "p"}, "spec": {"failurePolicy": "Fail", "validations": checks, **spec}}


def saying(expression: str, message: str = "") -> Object:
    return {"expression": "false", "messageExpression": expression, **({"message": message} if message else {})}


VARIABLES = [
    {"name": "keys", "expression": "object.data.map(k, k)"},
    {"name": "count", "expression": "variables.keys.size()"},
    {"name": "gone", "expression": "object.data.gone"},
]
VERDICTS: dict[str, tuple[Object, list[Denial]]] = {
    "true admits": (policy("object.data.k == 'v'"), []),
    "false denies, with the expression": (policy(" false "), [Denial("failed expression: false", "Invalid")]),
    "the message, trimmed": (policy({"expression": "false", "message": " no "}), [Denial("no", "Invalid")]),
    "the reason": (policy({"expression": "false", "message": "no", "reason": "Forbidden"}), [Denial("no", "Forbidden")]),
    "a computed message": (policy(saying("'not ' + object.metadata.name", "no")), [Denial("not x", "Invalid")]),
    "a message that cannot be computed": (policy(saying("object.data.gone", "no")), [Denial("no", "Invalid")]),
    "a message of several lines": (policy(saying("'a\\nb'", "no")), [Denial("no", "Invalid")]),
    "a message of blanks": (policy(saying("'  '")), [Denial("failed expression: false", "Invalid")]),
    "a message that is too long": (policy(saying("lists.range(2000).map(x, 'abc').join()", "no")), [Denial("no", "Invalid")]),
    "a message asks no authorizer, not even by a variable": (
        policy(
            saying("string(variables.may)", "no"), variables=[{"name": "may", "expression": "authorizer.path('/x').check('get').allowed()"}]
        ),
        [Denial("no", "Invalid")],
    ),
    "every validation that fails": (
        policy("1 == 1", "1 == 2", "2 == 3"),
        [Denial(f"failed expression: {each}", "Invalid") for each in ("1 == 2", "2 == 3")],
    ),
    "an error denies": (policy(GONE), [Denial(NO_KEY)]),
    "an error that is ignored": (policy(GONE, failurePolicy="Ignore"), []),
    "a denial is no error": (policy(GONE, "false", failurePolicy="Ignore"), [Denial("failed expression: false", "Invalid")]),
    "what does not compile": (
        policy("object.data.k"),
        [Denial("compilation error: must evaluate to bool but got dyn")],
    ),
    "conditions that do not hold": (policy("false", matchConditions=[{"name": "c", "expression": "object.data.k == 'w'"}]), []),
    "conditions that cannot be asked": (
        policy("false", matchConditions=[{"name": each, "expression": f"object.data.{each} == 'x'"} for each in ("a", "b")]),
        [
            Denial(
                "[expression 'object.data.a == 'x'' resulted in error: no such key: a, "
                "expression 'object.data.b == 'x'' resulted in error: no such key: b]"
            )
        ],
    ),
    "a condition that is false decides": (
        policy("false", matchConditions=[{"name": "a", "expression": GONE}, {"name": "b", "expression": "false"}]),
        [],
    ),
    "conditions that cannot be asked, ignored": (
        policy("false", failurePolicy="Ignore", matchConditions=[{"name": "a", "expression": GONE}]),
        [],
    ),
    "conditions see no namespace": (policy("false", matchConditions=[{"name": "a", "expression": "namespaceObject != null"}]), []),
    "variables of variables": (policy("variables.count == 1", variables=VARIABLES), []),
    "a variable that fails where it is asked for": (
        policy("variables.count == 1 || variables.gone == 'x'", "variables.gone == 'x'", variables=VARIABLES),
        [Denial("expression 'variables.gone == 'x'' resulted in error: composited variable \"gone\" fails to evaluate: no such key: gone")],
    ),
    "whether there is a variable that fails": (
        policy("!has(variables.gone)", variables=VARIABLES),
        [Denial("expression '!has(variables.gone)' resulted in error: composited variable \"gone\" fails to evaluate: no such key: gone")],
    ),
    "parameters": (policy("int(params.data.max) > 4", paramKind={"apiVersion": "v1", "kind": "ConfigMap"}), []),
    "there was no object before": (policy("oldObject == null && !has(oldObject.data)"), []),
    "the authorizer": (policy("authorizer.requestResource.check('create').allowed()"), []),
    "audit annotations": (policy("true", auditAnnotations=[{"key": "k", "valueExpression": "'x'"}]), []),
    "an audit annotation that fails denies, whatever the binding does": (
        policy("true", auditAnnotations=[{"key": "k", "valueExpression": "string(object.data.gone)"}]),
        [Denial("expression 'string(object.data.gone)' resulted in error: no such key: gone", always=True)],
    ),
    "an audit annotation cannot ask the authorizer": (
        policy("true", auditAnnotations=[{"key": "k", "valueExpression": "authorizer.path('/x').check('get').reason()"}]),
        [
            Denial(
                "expression 'authorizer.path('/x').check('get').reason()' resulted in error: no such attribute(s): authorizer", always=True
            )
        ],
    ),
}


@pytest.mark.parametrize("case", VERDICTS, ids=str)
def test_verdicts(case: str) -> None:
    given, wanted = VERDICTS[case]
    assert judged(compiled(given), VALUES) == wanted


def test_a_variable_is_evaluated_when_it_is_asked_for_and_once() -> None:
    asked: list[Question] = []

    def decide(_user: Any, question: Question) -> Allowed:
        asked.append(question)
        return Allowed()

    values = {**VALUES, "authorizer": Authorizer("ann", decide, AUTHORIZER.account)}
    variables = [{"name": each, "expression": f"authorizer.path('/{each}').check('get').allowed()"} for each in ("a", "b")]
    assert judged(compiled(policy("variables.a && variables.a", "variables.a", variables=variables)), values) == []
    assert [each.path for each in asked] == ["/a"]


def test_what_expressions_may_cost_together_is_limited() -> None:
    costly = Expression("[1, 2, 3].all(x, x > 0)", Scope(variables={}))
    with pytest.raises(OutOfBudget, match="running out of cost budget"):
        Evaluation(VALUES, {}, 3).evaluate(costly)


def test_of_the_authorizer_an_expression_may_ask_two_questions() -> None:
    ask = "authorizer.path('/{}').check('get').allowed()"
    two, three = (Expression(" && ".join(ask.format(each) for each in range(count)), Scope()) for count in (2, 3))
    assert Evaluation(VALUES, {}).evaluate(two) is True
    with pytest.raises(EvaluationError, match="actual cost limit exceeded"):
        Evaluation(VALUES, {}).evaluate(three)
