"""Field selectors: upstream's syntax, meaning and messages."""

from __future__ import annotations

import time

import pytest

from kube import fields
from kube.fields import EQUALS, NOT_EQUALS, FieldSelectorError

POD = {"metadata.name": "web", "status.phase": "Running", "spec.nodeName": ""}
MATCHES = [
    ("", True),
    ("metadata.name=web", True),
    ("metadata.name==web", True),
    ("metadata.name!=web", False),
    ("metadata.name=web,status.phase!=Pending", True),
    ("metadata.name=web,status.phase=Pending", False),
    ("spec.nodeName=", True),
    ("spec.nodeName!=", False),
    (",,", True),
    ("metadata.name=web,", True),
    (r"metadata.name=we\,b", False),
]


@pytest.mark.parametrize(("text", "expected"), MATCHES, ids=[f"{text!r} {'takes' if e else 'leaves'} the pod" for text, e in MATCHES])
def test_matching(text: str, expected: bool) -> None:
    assert fields.parse(text).matches(lambda field: POD.get(field, "")) is expected


ERRORS = [
    ("metadata.name", "invalid selector: 'metadata.name'; can't understand 'metadata.name'"),
    ("metadata.name in (a,b)", "invalid selector: 'metadata.name in (a,b)'; can't understand 'b)'"),
    ("a=b=c", "invalid field selector: unescaped character in value: 61"),
    (r"a=\x", r"invalid field selector: invalid escape sequence: \x"),
    ("a=b\\", "invalid field selector: invalid escape sequence: \\"),
]


@pytest.mark.parametrize(("text", "message"), ERRORS, ids=[f"{text!r} is refused" for text, _ in ERRORS])
def test_messages_are_upstreams(text: str, message: str) -> None:
    with pytest.raises(FieldSelectorError) as caught:
        fields.parse(text)
    assert str(caught.value) == message


def test_values_may_hold_what_separates_when_it_is_escaped() -> None:
    (requirement,) = fields.parse(r"a=x\,y\=z\\").requirements
    assert requirement == ("a", EQUALS, "x,y=z\\")
    assert str(fields.parse(r"a=x\,y\=z\\")) == r"a=x\,y\=z\\"
    assert fields.unescape(fields.escape(r"a,b=c\d")) == r"a,b=c\d"


def test_requirements_come_in_the_order_of_their_texts() -> None:
    assert fields.parse("b!=2,=x,a==1").requirements == (("", EQUALS, "x"), ("a", EQUALS, "1"), ("b", NOT_EQUALS, "2"))
    assert str(fields.parse("b!=2,a==1")) == "a=1,b!=2"
    assert fields.parse("a=1,b=2") == fields.parse("b=2,a=1")
    assert len({fields.parse("a=1"), fields.parse("a==1")}) == 1
    assert fields.parse("").is_empty
    assert repr(fields.EVERYTHING) == "FieldSelector('')"


def test_the_exact_value_of_a_field_can_be_asked() -> None:
    selector = fields.parse("a=1,b!=2")
    assert [selector.exact(field) for field in "abc"] == ["1", None, None]


def test_long_and_wild_texts_cost_little() -> None:
    began = time.process_time()
    for text in (",".join(f"k{i}=v{i}" for i in range(10_000)), "," * 100_000, "\\" * 100_001, "=" * 100_000, "a=" + "\\,\\\\" * 50_000):
        try:
            fields.parse(text)
        except FieldSelectorError:
            pass
    assert time.process_time() - began < 2  # CPU time: milliseconds where nothing is quadratic
