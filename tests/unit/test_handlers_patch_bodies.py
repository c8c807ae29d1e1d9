"""The text of patches, before any object is looked at."""

from __future__ import annotations

from typing import Any

import pytest

from apiserver.handlers.empty_lists import keep_empty
from apiserver.handlers.patch_bodies import APPLY, JSON_PATCH, MERGE, STRATEGIC, check_media_type, media_type_of, parse, repeated
from apiserver.handlers.patching import TAKES_ITEMS
from kube.errors import BadRequest, UnsupportedMediaType
from kube.schema import definitions, gojson
from kube.schema.decode import decode


def test_a_body_is_its_value_and_what_is_to_say_of_its_text() -> None:
    body = parse(b'{"a": 1, "b": {"c": [{"d": 1, "d": 2}]}}', MERGE, validation="Warn")
    assert body.value == {"a": 1, "b": {"c": [{"d": 2}]}}
    assert body.strict_errors == ('duplicate field "b.c[0].d"',)
    assert parse(b'{"a": 1, "a": 2}', MERGE, validation="Ignore").strict_errors == ()


def test_repeated_keys_in_the_order_of_the_text() -> None:
    value = gojson.load(b'{"a": {"x": 1, "x": 1}, "a": 2, "b": [[{"y": 1, "y": 2}]], "a": 3}')
    assert list(repeated(value)) == [
        'duplicate field "a.x"',
        'duplicate field "a"',
        'duplicate field "b[0][0].y"',
        'duplicate field "a"',
    ]


def test_the_values_of_operations_are_looked_into() -> None:
    body = b'[{"op": "add", "path": "/x", "value": {"k": 1, "k": 2}}, {"op": "remove", "path": "/y", "why": "", "why": ""}]'
    assert parse(body, JSON_PATCH, validation="Strict").strict_errors == (
        'json patch duplicate field "[0].value.k"',
        'json patch unknown field "[1].why"',
    )


NUMBERS = {
    "a number past 64 bits": (b'{"n": 123456789012345678901234567890}', {"n": 1.2345678901234568e29}),
    "bytes that are no UTF-8": (b'{"n": "\xff"}', {"n": "�"}),
}


@pytest.mark.parametrize(("body", "value"), NUMBERS.values(), ids=NUMBERS.keys())
def test_what_go_takes_is_taken(body: bytes, value: Any) -> None:
    assert parse(body, MERGE, validation="Warn").value == value


def test_a_strategic_patch_of_null_is_left_to_the_merge() -> None:
    assert parse(b"null", STRATEGIC, validation="Warn").value is None
    with pytest.raises(BadRequest, match="json: cannot unmarshal number into Go value of type map"):
        parse(b"5", STRATEGIC, validation="Warn")


def test_nothing_is_an_empty_configuration() -> None:
    for nothing in (b"", b"null", b"{}", b"# a remark\n"):
        assert parse(nothing, APPLY, validation="Warn").value == {}


def test_integers_of_a_configuration_are_exact_as_far_as_an_int64_goes() -> None:
    body = b"spec: {a: 9007199254740993, b: [0x20000000000001], c: '9007199254740993', d: 1, e: 9223372036854775807}"
    value = parse(body, APPLY, validation="Warn").value
    assert value == {"spec": {"a": 9007199254740993, "b": [9007199254740993], "c": "9007199254740993", "d": 1, "e": 2**63 - 1}}


@pytest.mark.parametrize("media", [APPLY, STRATEGIC])
@pytest.mark.parametrize("number", ["9223372036854775808", "-9223372036854775809", "18446744073709551616", "1e20"])
def test_what_no_int64_holds_is_a_float(media: str, number: str) -> None:
    value = parse(b'{"a": [%s]}' % number.encode(), media, validation="Warn").value
    assert value == {"a": [float(number)]}
    assert type(value["a"][0]) is float


def test_whole_floats_of_a_configuration_are_integers_of_the_digits_that_go_prints() -> None:
    value = parse(b"{a: 1.0, b: 9223372036854774784.0, c: 1e18, d: 1.5}", APPLY, validation="Warn").value
    assert value == {"a": 1, "b": 9223372036854775000, "c": 10**18, "d": 1.5}
    assert [type(each) for each in value.values()] == [int, int, int, float]


MEDIA = {
    "parameters do not count": (f"{MERGE}; charset=utf-8", MERGE),
    "apply": (APPLY, APPLY),
}


@pytest.mark.parametrize(("header", "media"), MEDIA.values(), ids=MEDIA.keys())
def test_media_types(header: str, media: str) -> None:
    check_media_type(header)
    assert media_type_of(header) == media


@pytest.mark.parametrize("header", ["", "application/json", "application/apply-patch+json", "application/apply-patch+cbor"])
def test_other_media_types_are_refused(header: str) -> None:
    with pytest.raises(UnsupportedMediaType, match="415: Unsupported Media Type"):
        check_media_type(header)


def test_empty_lists_are_kept_where_go_writes_null() -> None:
    of = definitions.load().type("io.k8s.api.rbac.v1.Role")
    sent = {"rules": [], "metadata": {"finalizers": []}}
    obj = decode(of, sent).value
    assert obj["rules"] is None
    keep_empty(of, obj, sent)
    assert obj == {"rules": [], "metadata": {}}
    inner = {"rules": [{"verbs": []}, {"verbs": ["get"]}]}
    obj = decode(of, inner).value
    keep_empty(of, obj, inner)
    assert obj["rules"] == [{"verbs": []}, {"verbs": ["get"]}]
    absent = decode(of, {}).value
    keep_empty(of, absent, {})
    assert absent["rules"] is None


TAKING = {
    "an item that is deleted": (rb'{"rules":[{"$patch":"delete","name":"a"}]}', True),
    "values that are": (rb'{"$deleteFromPrimitiveList/finalizers":["a"]}', True),
    "a key written with an escape": (rb'{"\u0024patch":"replace"}', True),
    "an order takes nothing away": (rb'{"$setElementOrder/conditions":[{"type":"Ready"}],"conditions":[{"type":"Ready"}]}', False),
    "an order beside what does": (rb'{"$setElementOrder/a":[],"$retainKeys":["a"]}', True),
    "no directive": (rb'{"data":{"k":"1"}}', False),
}


@pytest.mark.parametrize(("text", "takes"), TAKING.values(), ids=TAKING.keys())
def test_directives_that_take_items_away(text: bytes, takes: bool) -> None:
    assert (TAKES_ITEMS.search(text) is not None) is takes
