"""The text of a member, as it stands and as Go writes it again."""

from __future__ import annotations

import pytest

from kube.schema.member_text import compacted, member_text


@pytest.mark.parametrize(
    ("document", "text"),
    [
        pytest.param(b'{"a":1,"data":{"b":[1,2]},"c":3}', b'{"b":[1,2]}', id="compact"),
        pytest.param(b' { "data" : { "b" : 1 } , "c" : 3 } ', b'{ "b" : 1 }', id="with white space, which stays"),
        pytest.param(b'{"data":1,"data":2}', b"2", id="twice: the last"),
        pytest.param(b'{"a":{"data":1}}', None, id="deeper down"),
        pytest.param(b'{"a":"\\"data\\":1"}', None, id="in a string"),
        pytest.param(b"[1]", None, id="no object"),
        pytest.param(b'{"data":', None, id="no JSON"),
        pytest.param(b"{}", None, id="nothing"),
    ],
)
def test_member_text(document: bytes, text: bytes | None) -> None:
    assert member_text(document, "data") == text


@pytest.mark.parametrize(
    ("text", "compact"),
    [
        pytest.param(b'{ "a" : [1, 2] }', b'{"a":[1,2]}', id="white space goes"),
        pytest.param(b'{"a b":" \\" x "}', b'{"a b":" \\" x "}', id="but not in strings"),
        pytest.param(b'"<a&b>"', b'"\\u003ca\\u0026b\\u003e"', id="what is special in HTML is escaped"),
    ],
)
def test_compacted(text: bytes, compact: bytes) -> None:
    assert compacted(text) == compact
