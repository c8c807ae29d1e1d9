"""The query of a URL, read as Go reads it: what is malformed is left out, and never an error. Pure. Source: Go's `net/url`, ParseQuery."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

_MALFORMED: Final = re.compile(rb";|%(?![0-9A-Fa-f]{2})")


def parse_query(raw: bytes) -> dict[str, list[str]]:
    """The values of each parameter, in their order; a parameter without a value has the empty one."""
    out: dict[str, list[str]] = {}
    for part in raw.split(b"&"):
        if not part or _MALFORMED.search(part):
            continue
        name, _, value = part.partition(b"=")
        out.setdefault(_unescaped(name), []).append(_unescaped(value))
    return out


def _unescaped(text: bytes) -> str:
    if b"%" not in text and b"+" not in text:
        return text.decode("utf-8", "replace")
    return unquote_to_bytes(text.replace(b"+", b" ")).decode("utf-8", "replace")
