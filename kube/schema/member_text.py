"""The text of one member of a JSON object, as it stands: for the few fields that upstream keeps and compares as text."""

from __future__ import annotations

import json
import re
from typing import Final

_DECODER: Final = json.JSONDecoder()
_TOKENS: Final = re.compile(rb'("(?:[^"\\]|\\.)*")|[ \t\n\r]+')
_SPACE: Final = re.compile(r"[ \t\n\r]*")


def member_text(document: bytes, name: str) -> bytes | None:
    """The text of the value; of several of that name, the last. None where there is none, or no JSON object."""
    found = None
    try:
        text = document.decode()
        at = _skipped(text, 0)
        if text[at] != "{":
            return None
        at = _skipped(text, at + 1)
        while text[at] != "}":
            key, at = _DECODER.raw_decode(text, at)
            begin = _skipped(text, _skipped(text, at) + 1)  # past the colon
            _, end = _DECODER.raw_decode(text, begin)
            if key == name:
                found = text[begin:end].encode()
            at = _skipped(text, end)
            if text[at] == ",":
                at = _skipped(text, at + 1)
    except (ValueError, IndexError, RecursionError):
        return None
    return found


def compacted(text: bytes) -> bytes:
    """The text as Go writes raw JSON again: without white space, and with `<`, `>` and `&` escaped."""
    out = _TOKENS.sub(lambda found: found[1] or b"", text)
    return out.replace(b"<", b"\\u003c").replace(b">", b"\\u003e").replace(b"&", b"\\u0026")


def _skipped(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at
