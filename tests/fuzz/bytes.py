"""Bytes that are nearly what a server expects: well-formed bodies, then cut, doubled, swapped, or with a strange part put in."""

from __future__ import annotations

from typing import Any

import orjson
import yaml
from hypothesis import strategies as st

STRANGE = (
    b"\x00",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b'"\\ud800"',
    b"\\u0000",
    b"1e400",
    b"-0",
    b"9" * 30,
    b"9" * 5000,
    b"1.0",
    b"1e2",
    b"null",
    b"{}",
    b"[]",
    b"[[[[[[[[",
    b'{"a":' * 300,
    b"[" * 2000,
    b"&a [*a]",
    b"<<: *x",
    b"!!binary x",
    b"!!float .nan",
    b"? [a]: b",
    b"%YAML 9.9\n",
    b"---\n---\n",
    b"\t",
    b"2026-13-45T99:99:99Z",
    b"1000000000000000000000000h",
    b"1" + b"0" * 400,
    "\U0001f600\u2028".encode(),
)


@st.composite
def mangled(draw: st.DrawFn, bodies: st.SearchStrategy[bytes]) -> bytes:
    """A body with up to three changes."""
    body = draw(bodies)
    for _ in range(draw(st.integers(0, 3))):
        at, to = sorted((draw(st.integers(0, len(body))), draw(st.integers(0, len(body)))))
        change = draw(st.sampled_from(("cut", "double", "drop", "insert", "replace", "byte")))
        if change == "cut":
            body = body[:to]
        elif change == "double":
            body = body[:to] + body[at:]
        elif change == "drop":
            body = body[:at] + body[to:]
        elif change == "byte":
            body = body[:at] + bytes([draw(st.integers(0, 255))]) + body[at + 1 :]
        else:
            body = body[:at] + draw(st.sampled_from(STRANGE)) + body[at if change == "insert" else to :]
    return body


def as_json(value: Any) -> bytes:
    return orjson.dumps(value)


def as_yaml(value: Any) -> bytes:
    return yaml.safe_dump(value, allow_unicode=True).encode()


def as_flow_yaml(value: Any) -> bytes:
    return yaml.safe_dump(value, default_flow_style=True).encode()
