"""What only expressions of admission have: the authorizer, and the types that mutations are made of."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from kube.cel import types
from kube.cel.cost import estimate
from kube.cel.environment import CelError, CompileError, CostError, Program, compile_expression
from kube.cel.library.authorization import AUTHORIZER, RESOURCE_CHECK, Authorizer, Missing, Question, Remembering
from kube.cel.library.mutation import struct
from kube.cel.types import opaque
from kube.cel.values import Struct

VARIABLES = {"authorizer": opaque(AUTHORIZER), "authorizer.requestResource": opaque(RESOURCE_CHECK), "d": types.DYN}


class Ruling(NamedTuple):
    allowed: bool
    reason: str = ""
    error: str = ""


def program(text: str) -> Program:
    return compile_expression(text, VARIABLES, struct)


class Decider:
    """Allows whoever gets; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, Question]] = []

    def __call__(self, user: Any, question: Question) -> Ruling:
        self.asked.append((user, question))
        return Ruling(question.verb == "get", "because", "" if question.path else "it is broken")


def ask(text: str, decide: Any) -> Any:
    authorizer = Authorizer("ann", decide, lambda namespace, name: f"{namespace}/{name}")
    own = authorizer.resource_of(Question(group="apps", version="*", resource="deployments", name="x"))
    return program(text).evaluate({"authorizer": authorizer, "authorizer.requestResource": own, "d": {"x": "y"}})


PODS = "authorizer.group('').resource('pods')"
QUESTIONS: dict[str, tuple[str, Any, Question]] = {
    "a resource": (f"{PODS}.check('get').allowed()", "ann", Question("get", "", "*", "pods")),
    "a part of one object": (
        f"{PODS}.subresource('log').namespace('a').name('x').check('get').allowed()",
        "ann",
        Question("get", "", "*", "pods", "log", "a", "x"),
    ),
    "with selectors": (f"{PODS}.fieldSelector('a=b').labelSelector('c=d').check('get').allowed()", "ann", Question("get", "", "*", "pods")),
    "a path": ("authorizer.path('/healthz').check('get').allowed()", "ann", Question("get", path="/healthz")),
    "for an account": (
        "authorizer.serviceAccount('a', 'b').path('/x').check('get').allowed()",
        "a/b",
        Question("get", path="/x"),
    ),
    "what is asked for": (
        "authorizer.requestResource.check('get').allowed()",
        "ann",
        Question("get", "apps", "*", "deployments", name="x"),
    ),
    "why": ("authorizer.path('/x').check('post').reason() == 'because'", "ann", Question("post", path="/x")),
    "what went wrong": (
        f"{PODS}.check('get').errored() && {PODS}.check('get').error() == 'it is broken'",
        "ann",
        Question("get", "", "*", "pods"),
    ),
}


@pytest.mark.parametrize("case", QUESTIONS, ids=str)
def test_questions(case: str) -> None:
    text, user, question = QUESTIONS[case]
    decider = Decider()
    assert ask(text, Remembering(decider)) is True
    assert decider.asked == [(user, question)]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("authorizer.path(' ').check('get').allowed()", "path must not be empty"),
        ("authorizer.group('').resource('').check('get').allowed()", "resource must not be empty"),
        ("authorizer.serviceAccount('a', 'B!').path('/x').check('get').allowed()", "Invalid service account name"),
        ("authorizer.serviceAccount('A!', 'b').path('/x').check('get').allowed()", "Invalid service account namespace"),
        ("authorizer.path(d).check('get').allowed()", "no such overload: path(kubernetes.authorization.Authorizer, map)"),
    ],
)
def test_questions_that_cannot_be_asked(text: str, why: str) -> None:
    with pytest.raises(CelError) as caught:
        ask(text, Decider())
    assert str(caught.value) == why


def test_two_questions_are_what_an_expression_may_spend() -> None:
    text = "authorizer.path('/x').check('get').allowed()"
    decider = Decider()
    assert ask(f"{text} && {text}", decider) is True
    with pytest.raises(CostError, match="actual cost limit exceeded"):
        ask(f"{text} && {text} && {text}", decider)
    assert len(decider.asked) == 4, "the third is not asked any more"
    assert estimate(program(text).tree, lambda _path: None).least >= 350_000


def test_where_there_is_no_authorizer() -> None:
    with pytest.raises(CelError) as caught:
        program("authorizer.path('/x').check('get').allowed()").evaluate({"authorizer": Missing("authorizer")})
    assert str(caught.value) == "no such attribute(s): authorizer"


def test_objects_are_written_as_their_fields() -> None:
    found = program("Object{metadata: Object.metadata{labels: {'a': 'b'}, ?name: d.?x, ?uid: d.?z}}").evaluate({"d": {"x": "y"}})
    assert found == {"metadata": {"labels": {"a": "b"}, "name": "y"}}
    assert (found.type_name, found["metadata"].type_name) == ("Object", "Object.metadata")
    patch = program("[JSONPatch{op: 'add', path: '/a/' + jsonpatch.escapeKey('b/c~d'), value: 1}]")
    assert str(patch.type) == "list(JSONPatch)"
    assert patch.evaluate({}) == [Struct("JSONPatch", {"op": "add", "path": "/a/b~1c~0d", "value": 1})]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Object{",
            "1:8: Syntax error: mismatched input '<EOF>' expecting {'}', ',', '?', IDENTIFIER, ESC_IDENTIFIER}\n | Object{\n | .......^",
        ),
        (
            "JSONPatch{op: 1}",
            "1:13: expected type of field 'op' is 'string' but provided type is 'int'\n | JSONPatch{op: 1}\n | ............^",
        ),
        (
            "JSONPatch{foo: 1}",
            "1:14: expected type of field 'foo' is '' but provided type is 'int'\n | JSONPatch{foo: 1}\n | .............^",
        ),
        ("Foo{a: 1}", "1:4: undeclared reference to 'Foo' (in container '')\n | Foo{a: 1}\n | ...^"),
        (
            "authorizer.foo",
            "1:11: unexpected failed resolution of 'kubernetes.authorization.Authorizer'\n | authorizer.foo\n | ..........^",
        ),
    ],
)
def test_what_does_not_compile(text: str, expected: str) -> None:
    with pytest.raises(CompileError) as caught:
        program(text)
    assert str(caught.value) == f"ERROR: <input>:{expected}"


@pytest.mark.parametrize(
    ("text", "of"),
    [
        ("d == null ? 'none' : d.x", "dyn"),
        ("['a'] + [d]", "list(dyn)"),
        ("d.map(k, k).sortBy(k, k)", "list(dyn)"),
        ("[1].map(x, 'a') + d", "list(string)"),
    ],
)
def test_of_what_may_be_anything_nothing_is_known(text: str, of: str) -> None:
    assert str(program(text).type) == of
