"""Patterns of schemas and of CEL: Go's regular expressions, run by RE2, the engine that Go's is the twin of.

Linear time whatever the pattern and the text, so nobody can stop the server with a pattern. What is wrong with one, in Go's words, says
`go_regexp.py`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, Protocol

import re2


class Pattern(Protocol):
    """What is asked of a compiled pattern."""

    def search(self, text: str) -> Any: ...

    def finditer(self, text: str) -> Iterator[Any]: ...


def _options() -> Any:
    options = re2.Options()
    options.log_errors = False
    return options


_OPTIONS = _options()


@functools.lru_cache(maxsize=4096)
def compiled(pattern: str) -> Pattern | None:
    """The pattern; None for what is none."""
    try:
        found: Pattern = re2.compile(pattern, _OPTIONS)
    except (re2.error, UnicodeEncodeError):
        return None
    return found
