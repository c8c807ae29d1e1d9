"""YAML in and out, as upstream reads and prints it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kube.schema import goyaml
from kube.schema.goyaml_dump import dump

SCALARS = [
    pytest.param("yes", True, id="yes is a boolean"),
    pytest.param("n", False, id="n is a boolean"),
    pytest.param('"on"', "on", id="in quotes it is a string"),
    pytest.param("~", None, id="a tilde is null"),
    pytest.param("010", 8, id="octal as in YAML 1.1"),
    pytest.param("0o17", 15, id="octal as in Go"),
    pytest.param("0x1F", 31, id="hexadecimal"),
    pytest.param("1_000", 1000, id="underscores"),
    pytest.param("1e3", 1000, id="a whole float is an integer"),
    pytest.param("1.5", 1.5, id="a float"),
    pytest.param("2024-01-01", "2024-01-01", id="a date stays a string"),
    pytest.param("12:30", "12:30", id="no base 60"),
    pytest.param("1.2.3", "1.2.3", id="a version is a string"),
    pytest.param("!!str 5", "5", id="a tag"),
    pytest.param('!!int "5"', 5, id="a tag of something in quotes"),
    pytest.param("!!timestamp 2024-01-01", "2024-01-01", id="a tag of a date"),
    pytest.param("!mine 5", "5", id="a tag of one's own"),
    pytest.param("1.", 1, id="a point at the end"),
    pytest.param("18446744073709551615", 18446744073709551615, id="the largest integer"),
    pytest.param("99999999999999999999", 100000000000000000000, id="a larger one is a float"),
    pytest.param("0x10000000000000000", "0x10000000000000000", id="a larger one in hexadecimal is a string"),
]


@pytest.mark.parametrize(("text", "value"), SCALARS)
def test_scalars(text: str, value: Any) -> None:
    found = goyaml.load(f"a: {text}").value
    assert found == {"a": value}
    assert type(found["a"]) is type(value)


def test_keys_become_strings() -> None:
    assert goyaml.load("{1: a, true: b, 1.5: c}").value == {"1": "a", "true": "b", "1.5": "c"}


def test_only_the_first_document_counts() -> None:
    assert goyaml.load("a: 1\n---\nb: [").value == {"a": 1}
    assert goyaml.load("").value is None


def test_aliases_and_merges() -> None:
    assert goyaml.load("a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}\ne: *x").value == {
        "a": {"b": 1, "c": 2},
        "d": {"b": 1, "c": 3},
        "e": {"b": 1, "c": 2},
    }


MERGES = {
    "what stands later counts": ("a: &x {b: 1}\nd: {b: 2, <<: *x}\n", {"b": 1}, ['line 1: key "b" already set in map']),
    "of several maps the first counts": (
        "a: &x {b: 1}\nc: &y {b: 2, e: 3}\nd: {<<: [*x, *y]}\n",
        {"b": 1, "e": 3},
        ['line 1: key "b" already set in map'],
    ),
    "in quotes it is a key": ('d: {"<<": 1}\n', {"<<": 1}, []),
}


@pytest.mark.parametrize(("text", "value", "duplicates"), MERGES.values(), ids=MERGES.keys())
def test_merges_are_set_where_they_stand(text: str, value: Any, duplicates: list[str]) -> None:
    found = goyaml.load(text)
    assert found.value["d"] == value
    assert found.duplicates == duplicates


def test_many_aliases_are_fine_as_long_as_they_are_not_nearly_everything() -> None:
    text = "a: &a [" + "x," * 50 + "]\nb: [" + "*a," * 50 + "]\n"
    assert len(goyaml.load(text).value["b"]) == 50


def test_repeated_keys_are_told_with_their_line() -> None:
    assert goyaml.load("{1: a, 1: b, '1': c}").duplicates == ["line 1: key 1 already set in map"]
    found = goyaml.load("a: 1\nb:\n  c: 1\n  c: 2\na: 3\n")
    assert found.value == {"a": 3, "b": {"c": 2}}
    assert found.duplicates == ['line 4: key "c" already set in map', 'line 5: key "a" already set in map']


ERRORS = [
    pytest.param("a: b: c", "yaml: mapping values are not allowed in this context", id="the first line is not told"),
    pytest.param("a: 1\nb:\n\tc: 1\n", "yaml: line 3: found character that cannot start any token", id="a tab"),
    pytest.param("k: [1, 2", "yaml: line 1: did not find expected ',' or ']'", id="a list without an end"),
    pytest.param("a:\n  b: 1\n c: 2\n", "yaml: line 2: did not find expected key", id="a wrong indentation"),
    pytest.param("a: *x", "yaml: unknown anchor 'x' referenced", id="an alias of nothing"),
    pytest.param("a: &x [*x]", "yaml: anchor 'x' value contains itself", id="an alias of itself"),
    pytest.param(
        "a: {{ .Values.x }}",
        'yaml: invalid map key: map[interface {}]interface {}{".Values.x":interface {}(nil)}',
        id="a template that nobody filled in",
    ),
    pytest.param("? [a, 1]\n: b", 'yaml: invalid map key: []interface {}{"a", 1}', id="a list for a key"),
    pytest.param(
        "~: {b: 1}", 'unsupported map key of type: %!s(<nil>), key: <nil>, value: map[interface {}]interface {}{"b":1}', id="null for a key"
    ),
    pytest.param("a: {<<: 5}", "yaml: map merge requires map or sequence of maps as the value", id="a merge of no map"),
    pytest.param("a: !!int x", "yaml: cannot decode !!str `x` as a !!int", id="a tag that does not fit"),
    pytest.param(
        "a: !!float 2024-01-01", "yaml: cannot decode !!timestamp `2024-01-01` as a !!float", id="a tag of a date that does not fit"
    ),
    pytest.param("a: .inf", "json: unsupported value: +Inf", id="what JSON cannot say"),
    pytest.param("[" * 1000, "yaml: exceeded max depth", id="too deep"),
    pytest.param(
        "a: &a [" + "x," * 10 + "]\n" + "".join(f"{n}: &{n} [{f'*{p},' * 10}]\n" for p, n in zip("abcdef", "bcdefg", strict=True)),
        "yaml: document contains excessive aliasing",
        id="a billion laughs",
    ),
]


@pytest.mark.parametrize(("text", "message"), ERRORS)
def test_errors(text: str, message: str) -> None:
    with pytest.raises(goyaml.YamlError) as caught:
        goyaml.load(text)
    assert str(caught.value) == message


PRINTED = [
    pytest.param({"a": {}, "b": [], "c": None}, "a: {}\nb: []\nc: null\n", id="empty ones"),
    pytest.param({"l": ["x", {"y": 1}]}, 'l:\n- x\n- "y": 1\n', id="lists are not indented, y is quoted"),
    pytest.param({"v": "1", "d": "2024-01-01", "n": "null", "e": ""}, 'd: "2024-01-01"\ne: ""\n"n": "null"\nv: "1"\n', id="quoted"),
    pytest.param({"c": "a: b", "t": "- x", "h": "x #y"}, "c: 'a: b'\nh: 'x #y'\nt: '- x'\n", id="single quotes where plain cannot be"),
    pytest.param({"t": "one\ntwo\n"}, "t: |\n  one\n  two\n", id="lines"),
    pytest.param({"a10": 1, "a9": 2, "B": True, "1": 1.5}, '"1": 1.5\nB: true\na9: 2\na10: 1\n', id="natural order of keys"),
]


@pytest.mark.parametrize(("value", "text"), PRINTED)
def test_printing(value: Any, text: str) -> None:
    assert dump(value).decode() == text


_PRINTABLE = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"], include_characters=" \n"), max_size=12)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | _PRINTABLE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_PRINTABLE, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(_JSON)
def test_what_is_printed_is_read_back(value: Any) -> None:
    assert goyaml.load(dump(value)).value == value


# --- JSON that comes as YAML ------------------------------------------------------------------------------------------------------

texts = st.text(st.sampled_from("ab:,{}[]#- .1e<&*!|>%@`'~\n\tx\\\"é"), max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=400, deadline=None)
@given(st.dictionaries(texts, values, max_size=4), st.sampled_from([None, 1]), st.booleans())
def test_json_is_read_as_yaml_reads_it(value: dict[str, Any], indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    try:
        expected = goyaml.load(text)  # text that has been decoded is always read as YAML
    except goyaml.YamlError as wrong:
        with pytest.raises(goyaml.YamlError, match=re.escape(str(wrong))):
            goyaml.load(text.encode())
        return
    found = goyaml.load(text.encode())
    assert found == expected
    assert repr(found) == repr(expected)  # 1 is not 1.0


REPEATED = b'{"a": 1, "a": 2}'


def test_repeated_keys_of_json_are_told_as_those_of_yaml() -> None:
    assert goyaml.load(REPEATED) == goyaml.load(REPEATED.decode())
    assert goyaml.load(REPEATED).duplicates
