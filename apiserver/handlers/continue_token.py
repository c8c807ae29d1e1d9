"""Continue tokens of paged lists: base64 of the revision and the key to go on from. Pure.

Source: apiserver `pkg/storage/continue.go`. A token is only ever a position within its own collection: made-up keys cannot leave it.
"""

from __future__ import annotations

import base64
import binascii
import json
import posixpath
import re
from typing import Any, Final

from kube.errors import BadRequest
from kube.patch.json_patch import json_kind
from kube.schema import gojson, strict

INCONSISTENT: Final = -1
"""The revision of a token that goes on from a key, among whatever there is by then."""

_VERSION: Final = "meta.k8s.io/v1"
_ALPHABET: Final = re.compile(r"[A-Za-z0-9_-]*")


def encode(revision: int, start: str) -> str:
    """`start`: the last key answered, relative to the collection's prefix."""
    document = json.dumps({"v": _VERSION, "rv": revision, "start": start + "\0"}, separators=(",", ":"))
    return base64.urlsafe_b64encode(document.encode()).decode().rstrip("=")


def decode(token: str) -> tuple[int, str]:
    """(revision, start) of a token; start is the first key to answer, relative. Raises BadRequest."""
    document = _document(_unpacked(token))
    if document.get("v") != _VERSION:
        raise _invalid(f"server does not recognize this encoded version {document.get('v') or ''}")
    revision, start = document.get("rv") or 0, document.get("start") or ""
    if not revision or revision < INCONSISTENT:
        raise _invalid(f"incorrect encoded start resourceVersion (version {_VERSION})")
    if not start:
        raise _invalid(f"encoded start key empty (version {_VERSION})")
    rooted = start if start.startswith("/") else f"/{start}"
    if posixpath.normpath(rooted) != rooted or rooted.startswith("//"):
        raise _invalid(start)
    return revision, rooted[1:]


def _unpacked(token: str) -> bytes:
    """Go's RawURLEncoding: no padding, and the last character's spare bits are not looked at."""
    good = _ALPHABET.match(token)
    assert good is not None
    if good.end() != len(token):
        raise _invalid(f"illegal base64 data at input byte {good.end()}")
    try:
        return base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except binascii.Error:
        raise _invalid(f"illegal base64 data at input byte {len(token) - 1}") from None


def _document(raw: bytes) -> dict[str, Any]:
    wrong = gojson.syntax_error(raw)
    if wrong:
        raise _invalid(wrong)
    try:
        document = strict.plain(gojson.load(raw))
    except RecursionError:
        raise _invalid("exceeded max depth") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise _invalid(f"json: cannot unmarshal {json_kind(document)} into Go value of type storage.continueToken")
    for field, kinds, go_type in (("v", str, "string"), ("rv", int, "int64"), ("start", str, "string")):
        value = document.get(field)
        if value is not None and (not isinstance(value, kinds) or isinstance(value, bool)):
            raise _invalid(f"json: cannot unmarshal {json_kind(value)} into Go struct field continueToken.{field} of type {go_type}")
    return document


def _invalid(why: str) -> BadRequest:
    return BadRequest(f"invalid continue token: continue key is not valid: {why}")
