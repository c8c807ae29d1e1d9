"""Continue tokens of paged lists: base64 of the revision and the key to go on from. Pure.

Source: apiserver `pkg/storage/continue.go`. A token is only ever a position within its own collection: made-up keys cannot leave it.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from kube.errors import BadRequest


def encode(revision: int, start: str) -> str:
    """`start`: the last key answered, relative to the collection's prefix."""
    document = json.dumps({"v": "meta.k8s.io/v1", "rv": revision, "start": start + "\0"}, separators=(",", ":"))
    return base64.urlsafe_b64encode(document.encode()).decode().rstrip("=")


def decode(token: str) -> tuple[int, str]:
    """(revision, start) of a token; start is the first key to answer, relative. Raises BadRequest."""
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        if base64.urlsafe_b64encode(raw).decode().rstrip("=") != token.rstrip("="):
            raise binascii.Error
    except (binascii.Error, ValueError) as error:
        position = next((i for i, c in enumerate(token) if not (c.isascii() and (c.isalnum() or c in "-_"))), 0)
        raise _invalid(f"illegal base64 data at input byte {position}") from error
    try:
        document: Any = json.loads(raw)
    except ValueError as error:
        first = raw[:1].decode("latin-1")
        shown = f"\\u{ord(first):04x}" if first and not first.isascii() else first
        raise _invalid(f"invalid character '{shown}' looking for beginning of value") from error
    if not isinstance(document, dict) or document.get("v") != "meta.k8s.io/v1":
        raise _invalid(f"server does not recognize this encoded version {document.get('v', '') if isinstance(document, dict) else ''}")
    revision, start = document.get("rv", 0), document.get("start", "")
    if not isinstance(revision, int) or revision <= 0:
        raise _invalid("incorrect encoded start resourceVersion (version meta.k8s.io/v1)")
    if not isinstance(start, str) or not start:
        raise _invalid("encoded start key empty (version meta.k8s.io/v1)")
    if start.startswith("/") or ".." in start.split("/"):
        raise _invalid(f"{start}")
    return revision, start


def _invalid(why: str) -> BadRequest:
    return BadRequest(f"invalid continue token: continue key is not valid: {why}")
