"""Patterns of schemas: Go's regular expressions (RE2), run by Python's engine.

# deviates: patterns run on Python's backtracking engine; upstream's takes linear time whatever the pattern
"""

from __future__ import annotations

import functools
import re
from typing import Final

_CLASSES: Final = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": r"\x00-\x7F",
    "blank": r"\t ",
    "cntrl": r"\x00-\x1F\x7F",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\t\n\v\f\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}
_UNICODE: Final = {"L": r"[^\W\d_]", "Lu": "[A-ZÀ-ÖØ-Þ]", "Ll": "[a-zß-öø-ÿ]", "N": r"\d", "Nd": r"\d"}
_TOKEN: Final = re.compile(
    r"\\Q(.*?)(?:\\E|$)|\\[pP](?:\{\^?(\w+)\}|(\w))|\\(.)|\[:(\^?)(\w+):\]|(\[\^?\]?|\])|(\$)|\(\?P?<(\w+)>", re.DOTALL
)


@functools.lru_cache(maxsize=4096)
def compiled(pattern: str) -> re.Pattern[str] | None:
    """The pattern for `search`; None where Python cannot read it."""
    try:
        return re.compile(_translated(pattern), re.ASCII if pattern.isascii() and r"\p" not in pattern else 0)
    except (re.error, RecursionError, OverflowError):
        return None


def _translated(pattern: str) -> str:
    inside = False
    multiline = re.search(r"\(\?[a-zU]*m", pattern) is not None

    def replace(found: re.Match[str]) -> str:
        nonlocal inside
        literal, name, letter, escaped, negated, named, bracket, dollar, group = found.groups()
        if literal is not None:
            return re.escape(literal)
        if name or letter:
            return _unicode(name or letter, found[0][1], inside=inside)
        if escaped is not None:
            return {"z": r"\Z", "C": "."}.get(escaped, found[0]) if not inside else found[0]
        if named:
            return _posix(found[0], named, negated, inside=inside)
        if bracket is not None:
            if bracket.startswith("[") and inside:
                return "\\" + bracket
            inside = bracket != "]"
            return bracket if bracket in ("[", "[^", "]") else bracket[:-1] + r"\]"
        if group:
            return f"(?P<{group}>"
        return found[0] if inside or multiline or not dollar else r"\Z"

    return _TOKEN.sub(replace, pattern)


def _posix(text: str, name: str, negated: str, *, inside: bool) -> str:
    characters = _CLASSES.get(name)
    if characters is None or negated or not inside:
        return text
    return characters


def _unicode(name: str, letter: str, *, inside: bool) -> str:
    found = _UNICODE.get(name)
    if found is None or inside or letter == "P":
        raise re.error(f"unknown class {name}")
    return found
