"""Label selectors: upstream's syntax, meaning and messages."""

from __future__ import annotations

import time
from typing import Any

import pytest

from kube import labels
from kube.labels import EVERYTHING, NOTHING, LabelSelectorError, Operator, Requirement, Selector

BLUE = {"color": "blue", "size": "2"}
MATCHES: list[tuple[str, dict[str, str], bool]] = [
    ("", BLUE, True),
    ("color=blue", BLUE, True),
    ("color==blue", BLUE, True),
    ("color!=blue", BLUE, False),
    ("color!=blue", {}, True),
    ("color", BLUE, True),
    ("!color", BLUE, False),
    ("!other", BLUE, True),
    ("color in (blue,green)", BLUE, True),
    ("color in (green)", BLUE, False),
    ("color in (blue)", {}, False),
    ("color notin (blue)", BLUE, False),
    ("color notin (blue)", {}, True),
    ("size>1", BLUE, True),
    ("size>2", BLUE, False),
    ("size<3", BLUE, True),
    ("size<3", {}, False),
    ("color>1", BLUE, False),
    ("color=blue,size=2", BLUE, True),
    ("color=blue,color=green", BLUE, False),
    ("color=", {"color": ""}, True),
    ("color=", {}, False),
    ("color in (,)", {"color": ""}, True),
    ("color in ()", {"color": ""}, True),
    ("color in (a,,b)", {"color": ""}, True),
    ("color in (,a)", {"color": "a"}, True),
    (" color = blue , size ", BLUE, True),
    ("in in (notin,in)", {"in": "notin"}, True),
    ("in=in", {"in": "in"}, True),
    ("color in (blue),!x,y notin (z)", BLUE, True),
    ("color\t=\nblue", BLUE, True),
]


@pytest.mark.parametrize(("text", "given", "expected"), MATCHES, ids=[f"{t!r} {'takes' if e else 'leaves'} {g}" for t, g, e in MATCHES])
def test_matching(text: str, given: dict[str, str], expected: bool) -> None:
    assert labels.parse(text).matches(given) is expected


NAME_RULE = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character "
    "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
    "alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', "
    "regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
ERRORS = [
    ("color=blue,", "found '', expected: identifier after ','"),
    ("=blue", "found '=', expected: !, identifier, or 'end of string'"),
    ("color=blue=1", "found '=', expected: ',' or 'end of string'"),
    ("color in blue", "unable to parse requirement: found 'blue' expected: '('"),
    ("color in (blue", "unable to parse requirement: found '', expected: ',' or ')'"),
    ("color in (blue,", "unable to parse requirement: found '', expected: ',', or identifier"),
    ("color in (", "unable to parse requirement: found '', expected: ',', ')' or identifier"),
    ("color in (a=b)", "unable to parse requirement: found '=', expected: ',' or ')'"),
    ("color in (,=b)", "unable to parse requirement: found '=', expected: ',', or identifier"),
    ("color blue", "unable to parse requirement: found 'blue', expected: in, notin, =, ==, !=, gt, lt"),
    ("!color=blue", "found '=', expected: ',' or 'end of string'"),
    ("!!color", "unable to parse requirement: found '!', expected: identifier"),
    ("color=(", "unable to parse requirement: found '(', expected: identifier"),
    ("((color))", "found '(', expected: !, identifier, or 'end of string'"),
    (",", "found ',', expected: !, identifier, or 'end of string'"),
    ("size>one", "unable to parse requirement: values[0]: Invalid value: \"one\": for 'Gt', 'Lt' operators, the value must be an integer"),
    ("-color=x", f'unable to parse requirement: <nil>: Invalid value: "-color": {NAME_RULE}'),
    ("k" * 64, f'unable to parse requirement: <nil>: Invalid value: "{"k" * 64}": name part must be no more than 63 bytes'),
    ("color=-dash", f'unable to parse requirement: values[0][color]: Invalid value: "-dash": {VALUE_RULE}'),
    ("color=" + "v" * 64, f'unable to parse requirement: values[0][color]: Invalid value: "{"v" * 64}": must be no more than 63 bytes'),
    (
        "size>-x",
        "unable to parse requirement: [values[0]: Invalid value: \"-x\": for 'Gt', 'Lt' operators, the value must be an integer, "
        f'values[0][size]: Invalid value: "-x": {VALUE_RULE}]',
    ),
    ("/x", 'unable to parse requirement: <nil>: Invalid value: "/x": prefix part must be non-empty'),
]


@pytest.mark.parametrize(("text", "message"), ERRORS, ids=[f"{text[:20]!r} is refused" for text, _ in ERRORS])
def test_messages_are_upstreams(text: str, message: str) -> None:
    with pytest.raises(LabelSelectorError) as caught:
        labels.parse(text)
    assert str(caught.value) == message


def test_a_key_of_three_parts_and_a_bad_prefix_have_their_own_words() -> None:
    (three,) = labels.label_key_errors("a/b/c")
    assert three.startswith("a valid label key must consist of")
    assert three.endswith("with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')")
    (prefix,) = labels.label_key_errors("EXAMPLE.com/Team")
    assert prefix.startswith("prefix part a lowercase RFC 1123 subdomain must consist of")
    assert labels.label_key_errors("x.y/") == ("name part must be non-empty", NAME_RULE)
    assert labels.label_key_errors("a" * 254 + "/x") == ("prefix part must be no more than 253 bytes",)
    assert labels.label_key_errors("example.com/Team_1.x") == ()
    assert labels.label_value_errors("x\n") == (VALUE_RULE,)


def test_the_text_form_is_sorted_by_key_and_by_value() -> None:
    assert str(labels.parse("z in (b,a),!y,x!=1,w,v>3,u==2")) == "u==2,v>3,w,x!=1,!y,z in (a,b)"
    assert str(labels.parse("a notin (x)")) == "a notin (x)"
    assert labels.parse(str(labels.parse("b in (2,1),a"))) == labels.parse("a,b in (1,2)")
    assert len({labels.parse("a=b"), labels.from_map({"a": "b"})}) == 1
    assert repr(labels.parse("a")) == "Selector('a')"


def test_a_label_selector_object_matches_all_its_parts() -> None:
    expressions = [
        {"key": "tier", "operator": "In", "values": ["a", "b"]},
        {"key": "old", "operator": "DoesNotExist"},
        {"key": "app", "operator": "Exists"},
        {"key": "zone", "operator": "NotIn", "values": ["z"]},
    ]
    selector = labels.from_object({"matchLabels": {"app": "web"}, "matchExpressions": expressions})
    assert selector.matches({"app": "web", "tier": "a"})
    assert not selector.matches({"app": "web", "tier": "c"})
    assert not selector.matches({"app": "web", "tier": "a", "old": ""})
    assert not selector.matches({"app": "web", "tier": "a", "zone": "z"})
    assert str(selector) == "app=web,app,!old,tier in (a,b),zone notin (z)"


def test_no_selector_object_selects_nothing_and_an_empty_one_everything() -> None:
    assert labels.from_object(None) is NOTHING
    assert not NOTHING.matches({})
    assert not NOTHING.is_empty
    assert labels.from_object({}) is EVERYTHING
    assert EVERYTHING.is_empty
    assert labels.from_object({"matchLabels": {}, "matchExpressions": None}).matches({"a": "b"})
    assert labels.from_map(None).is_empty


BAD_OBJECTS: list[tuple[dict[str, Any], str]] = [
    ({"matchExpressions": [{"key": "a", "operator": "Near"}]}, '"Near" is not a valid label selector operator'),
    (
        {"matchExpressions": [{"key": "a", "operator": "In"}]},
        "values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty",
    ),
    (
        {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["x"]}]},
        'values: Invalid value: ["x"]: values set must be empty for exists and does not exist',
    ),
    ({"matchLabels": {"-": "x"}}, f'key: Invalid value: "-": {NAME_RULE}'),
]


@pytest.mark.parametrize(("obj", "message"), BAD_OBJECTS, ids=[message[:40] for _, message in BAD_OBJECTS])
def test_bad_objects_are_refused(obj: dict[str, Any], message: str) -> None:
    with pytest.raises(LabelSelectorError) as caught:
        labels.from_object(obj)
    assert str(caught.value) == message
    assert labels.describe(obj) == "<error>"


def test_how_tables_show_a_selector() -> None:
    assert labels.describe({"matchLabels": {"b": "2", "a": "1"}}) == "a=1,b=2"
    assert labels.describe({}) == "<none>"


def test_the_exact_value_of_a_key_can_be_asked() -> None:
    selector = labels.parse("a=1,b in (2),c in (1,2),d!=4")
    assert [selector.exact(key) for key in "abcde"] == ["1", "2", None, None, None]
    requirement = Requirement("a", Operator.EQUALS, ["1"])
    assert requirement == selector.requirements[0]
    assert hash(requirement) == hash(selector.requirements[0])
    assert Selector([requirement]) != selector


def test_ten_thousand_terms_and_wild_texts_cost_little() -> None:
    began = time.process_time()
    assert labels.parse(",".join(f"k{i}!=v{i}" for i in range(10_000))).matches({"a": "b"})
    for text in ("," * 100_000, "=" * 100_000, " " * 100_000, "a in (" + "," * 50_000, "-" * 100_000, "(" * 100_000):
        try:
            labels.parse(text)
        except LabelSelectorError:
            pass
    assert time.process_time() - began < 3  # CPU time: a fifth of a second where nothing is quadratic
