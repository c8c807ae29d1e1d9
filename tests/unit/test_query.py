"""Queries, as Go reads them."""

from __future__ import annotations

import pytest

from apiserver.pipeline.query import parse_query

QUERIES: dict[str, tuple[bytes, dict[str, list[str]]]] = {
    "none": (b"", {}),
    "one after the other": (b"a=1&b=2&a=3", {"a": ["1", "3"], "b": ["2"]}),
    "no value": (b"watch&pretty=", {"watch": [""], "pretty": [""]}),
    "an equals sign in a value": (b"labelSelector=a=b", {"labelSelector": ["a=b"]}),
    "spaces and escapes": (b"q=a+b%20c%2Bd", {"q": ["a b c+d"]}),
    "an escape in a name": (b"%61=1", {"a": ["1"]}),
    "more than ASCII": ("q=ü&r=%C3%BC".encode(), {"q": ["ü"], "r": ["ü"]}),
    "no UTF-8": (b"q=%FF", {"q": ["\ufffd"]}),
    "a bad escape leaves its own part out": (b"a=%zz&b=2&c=%", {"b": ["2"]}),
    "so does a semicolon": (b"a=1;b=2&c=3", {"c": ["3"]}),
    "nothing between two": (b"&&a=1&", {"a": ["1"]}),
    "no name": (b"=1", {"": ["1"]}),
}


@pytest.mark.parametrize(("raw", "expected"), QUERIES.values(), ids=QUERIES.keys())
def test_queries(raw: bytes, expected: dict[str, list[str]]) -> None:
    assert parse_query(raw) == expected
