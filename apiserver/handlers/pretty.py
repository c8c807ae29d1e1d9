"""Answers with line breaks, for those who read them: `?pretty=true`, `Accept: application/json;pretty=1`, curl, Wget and browsers.

Source: apiserver `handlers/negotiation/negotiate.go` (isPrettyPrint).
"""

from __future__ import annotations

from typing import Final

import orjson

from apiserver.handlers.request import JSON, Response
from apiserver.pipeline.query import parse_query

_READERS: Final = (b"curl", b"Wget", b"Mozilla/5.0")
_YES: Final = frozenset({"1", "t", "T", "TRUE", "true", "True"})


def is_wanted(query: bytes, user_agent: bytes, accept: bytes) -> bool:
    """Whether the client wants to read what it is answered."""
    if b"pretty" in query and (asked := parse_query(query).get("pretty", [""])[0]):
        return asked in _YES
    return user_agent.startswith(_READERS) or b"pretty=1" in accept


def indented(answer: Response) -> Response:
    """The same answer, indented where it is JSON."""
    if answer.content_type.partition(";")[0] != JSON or not answer.body:
        return answer
    body = orjson.dumps(orjson.loads(answer.body), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    return Response(answer.status, body, answer.content_type, answer.headers)
