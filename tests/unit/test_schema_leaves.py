"""Times, durations, base64 and quoting as Go has them."""

from __future__ import annotations

import pytest

from kube.schema import gojson, gotime, leaves
from kube.schema.goquote import quote

TIMES = [
    pytest.param("2024-02-29T23:59:59Z", "2024-02-29T23:59:59Z", id="as it is"),
    pytest.param("2024-01-01T00:30:00+01:00", "2023-12-31T23:30:00Z", id="another zone"),
    pytest.param("2024-01-01T00:00:00.999999999Z", "2024-01-01T00:00:00Z", id="a fraction is cut"),
    pytest.param("0099-01-01T00:00:00Z", "0099-01-01T00:00:00Z", id="an early year has four digits"),
    pytest.param("0001-01-01T00:00:00Z", None, id="Go's zero time"),
]


@pytest.mark.parametrize(("text", "canonical"), TIMES)
def test_times(text: str, canonical: str | None) -> None:
    assert leaves.time(text) == canonical


NO_TIMES = [
    pytest.param("noon", 'cannot parse "noon" as "2006"', id="no year"),
    pytest.param("", 'cannot parse "" as "2006"', id="empty"),
    pytest.param("2024-01-01", 'cannot parse "" as "T"', id="a date only"),
    pytest.param("2024-13-01T00:00:00Z", "month out of range", id="month"),
    pytest.param("2024-02-30T00:00:00Z", "day out of range", id="day"),
    pytest.param("2024-01-01T24:00:00Z", "hour out of range", id="hour"),
    pytest.param("2024-01-01T00:00:00", 'cannot parse "" as "Z07:00"', id="no zone"),
    pytest.param("2024-01-01T00:00:00Zz", 'extra text: "z"', id="more"),
]


@pytest.mark.parametrize(("text", "message"), NO_TIMES)
def test_what_is_no_time(text: str, message: str) -> None:
    with pytest.raises(leaves.LeafError) as caught:
        leaves.time(text)
    assert str(caught.value).startswith(f'parsing time "{text}"')
    assert message in str(caught.value)


def test_micro_times_ask_for_six_digits() -> None:
    assert leaves.micro_time("2024-01-01T00:00:00.000001Z") == "2024-01-01T00:00:00.000001Z"
    with pytest.raises(leaves.LeafError, match=r'cannot parse "Z" as "\.000000"'):
        leaves.micro_time("2024-01-01T00:00:00Z")


DURATIONS = [
    pytest.param("0", "0s", id="zero"),
    pytest.param("90m", "1h30m0s", id="minutes become hours"),
    pytest.param("1h15m30.918s", "1h15m30.918s", id="with a fraction"),
    pytest.param("1500us", "1.5ms", id="small"),
    pytest.param("-2ns", "-2ns", id="negative"),
]


@pytest.mark.parametrize(("text", "canonical"), DURATIONS)
def test_durations(text: str, canonical: str) -> None:
    assert leaves.duration(text) == canonical


NO_DURATIONS = [
    pytest.param("", 'time: invalid duration ""', id="empty"),
    pytest.param("5", 'time: missing unit in duration "5"', id="no unit"),
    pytest.param("5y", 'time: unknown unit "y" in duration "5y"', id="unknown unit"),
    pytest.param("9999999h", 'time: invalid duration "9999999h"', id="too long"),
]


@pytest.mark.parametrize(("text", "message"), NO_DURATIONS)
def test_what_is_no_duration(text: str, message: str) -> None:
    with pytest.raises(gotime.GoTimeError) as caught:
        gotime.parse_duration(text)
    assert str(caught.value) == message


NO_BASE64 = [
    pytest.param("not base64!", 3, id="a space"),
    pytest.param("aGk", 0, id="not whole: where the last quantum begins"),
    pytest.param("aGkaG", 4, id="not whole, later"),
    pytest.param("aG=a", 2, id="one padding where two are asked for"),
    pytest.param("aG=", 3, id="a missing padding"),
    pytest.param("aGk=x", 4, id="something after the padding"),
    pytest.param("%%", 0, id="no digit at all"),
]


@pytest.mark.parametrize(("text", "at"), NO_BASE64)
def test_where_base64_is_wrong(text: str, at: int) -> None:
    with pytest.raises(leaves.LeafError) as caught:
        leaves.base64(text)
    assert str(caught.value) == f"illegal base64 data at input byte {at}"


def test_quoting_as_go_does() -> None:
    assert quote('a "b" \\') == '"a \\"b\\" \\\\"'
    assert quote("bell\a tab\t nul\0 é \u200b") == '"bell\\a tab\\t nul\\x00 é \\u200b"'


SYNTAX = [
    pytest.param(b"", "unexpected end of JSON input", id="nothing"),
    pytest.param(b'{"a": 1', "unexpected end of JSON input", id="cut off"),
    pytest.param(b'{"a": 1,}', "invalid character '}' looking for beginning of object key string", id="a comma too many"),
    pytest.param(b"[1,]", "invalid character ']' looking for beginning of value", id="a comma too many in a list"),
    pytest.param(b'{"a" 1}', "invalid character '1' after object key", id="no colon"),
    pytest.param(b'{"a": 1 "b": 2}', "invalid character '\"' after object key:value pair", id="no comma"),
    pytest.param(b"[1 2]", "invalid character '2' after array element", id="no comma in a list"),
    pytest.param(b"{} x", "invalid character 'x' after top-level value", id="something after the end"),
    pytest.param(b"{'a': 1}", "invalid character '\\'' looking for beginning of object key string", id="single quotes"),
    pytest.param(b"not", "invalid character 'o' in literal null (expecting 'u')", id="a word"),
    pytest.param(b'"\\x"', "invalid character 'x' in string escape code", id="an escape that is none"),
    pytest.param(b'"\\u12g4"', "invalid character 'g' in \\u hexadecimal character escape", id="no hex digit"),
    pytest.param(b'"a\nb"', "invalid character '\\n' in string literal", id="a line break in a string"),
    pytest.param(b"01", "invalid character '1' after top-level value", id="a leading zero"),
    pytest.param(b"-a", "invalid character 'a' in numeric literal", id="a minus alone"),
    pytest.param(b"1.x", "invalid character 'x' after decimal point in numeric literal", id="no digit after the point"),
    pytest.param(b"[" * 10_001, "exceeded max depth", id="too deep"),
    pytest.param(b'{"a": [1, -2.5e+3, true, null, {"b": "c\\u00e9"}]}', "", id="nothing is wrong"),
]


@pytest.mark.parametrize(("text", "message"), SYNTAX)
def test_syntax_errors(text: bytes, message: str) -> None:
    assert gojson.syntax_error(text) == message


def test_what_go_makes_of_bytes_that_are_no_text() -> None:
    assert gojson.load(b'["a\xff", "\\ud800"]') == ["a\ufffd", "\ufffd"]
