"""An expression's text as tokens. Source: cel-go `parser/gen/CEL.g4`, `parser/unescape.go`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

_RESERVED: Final = "as break const continue else for function if import let loop package namespace return var void while"
RESERVED: Final = frozenset(_RESERVED.split())
_STRING: Final = r"""[rR]?(?:\"\"\"(?:[^\\]|\\.)*?\"\"\"|'''(?:[^\\]|\\.)*?'''|"(?:[^"\\\n\r]|\\.)*"|'(?:[^'\\\n\r]|\\.)*')"""
_RAW: Final = r"""[rR](?:\"\"\".*?\"\"\"|'''.*?'''|"[^"\n\r]*"|'[^'\n\r]*')"""
_TOKEN: Final = re.compile(
    rf"""(?P<space>[ \t\r\n\f]+|//[^\n]*)
    |(?P<bytes>[bB](?:{_RAW}|{_STRING}))
    |(?P<string>{_RAW}|{_STRING})
    |(?P<float>(?:[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+|\.[0-9]+(?:[eE][+-]?[0-9]+)?))
    |(?P<uint>(?:0x[0-9A-Fa-f]+|[0-9]+)[uU])
    |(?P<int>0x[0-9A-Fa-f]+|[0-9]+)
    |(?P<ident>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<quoted>`[A-Za-z0-9_.\-/ ]+`)
    |(?P<op>==|!=|<=|>=|&&|\|\||[-+*/%<>!?:.,()\[\]{{}}])""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE: Final = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|([0-3][0-7]{2})|(.))", re.DOTALL)
_NUMBERED: Final = "xuU0123"
_DIGITS: Final = re.compile(r"[0-9A-Fa-f]*.?")
"""What is still read of an escape that has too few digits."""
_SIMPLE: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"} | {each: each for each in "\\'\"`?"}


class LexError(ValueError):
    """(place, message)"""

    def __init__(self, at: int, message: str) -> None:
        super().__init__(message)
        self.at = at


@dataclass(frozen=True, slots=True)
class Token:
    """`kind` is that of the pattern's groups, the operator itself, `in`, or `eof`."""

    kind: str
    text: str
    at: int
    value: Any = None


def tokens_of(text: str) -> list[Token]:
    """Raises LexError."""
    return [*_tokens(text), Token("eof", "<EOF>", len(text))]


def _tokens(text: str) -> Iterator[Token]:
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise LexError(at, f"Syntax error: token recognition error at: '{_unread(text, at)}'")
        kind, word = str(found.lastgroup), found[0]
        if kind != "space":
            yield _token(kind, word, at)
        at = found.end()


def _unread(text: str, at: int) -> str:
    """What the lexer had read before it gave up."""
    if text[at] in "'\"":
        end = re.compile(r"[\n\r]|$").search(text, at)
        assert end is not None
        return text[at : end.end()].replace("\n", "\\n").replace("\r", "\\r")
    if text[at] == "`":
        quoted = re.compile("`[A-Za-z0-9_.\\-/ ]*").match(text, at)
        assert quoted is not None
        return quoted[0]
    return text[at : at + 2] if text[at] in "=&|" else text[at]


def _token(kind: str, word: str, at: int) -> Token:
    if kind == "op" or (kind == "ident" and word == "in"):
        return Token(word, word, at)
    if kind == "ident" and word in ("true", "false", "null"):
        return Token("const", word, at, {"true": True, "false": False, "null": None}[word])
    if kind == "string":
        return Token("const", word, at, _unquoted(word, at))
    if kind == "bytes":
        return Token("const", word, at, _bytes(word[1:], at))
    if kind == "float":
        return Token("const", word, at, float(word))
    if kind in ("int", "uint"):
        return Token(kind, word, at, int(word.rstrip("uU"), 0 if word.startswith("0x") else 10))
    return Token("quoted", word, at, word[1:-1]) if kind == "quoted" else Token(kind, word, at, word)


def _body(word: str) -> tuple[str, bool]:
    """(between the quotes, whether backslashes mean themselves)"""
    raw = word[0] in "rR"
    word = word[1:] if raw else word
    return (word[3:-3] if word[:3] in ('"""', "'''") else word[1:-1]).replace("\r\n", "\n"), raw


def _unquoted(word: str, at: int) -> str:
    body, raw = _body(word)
    return body if raw else _ESCAPE.sub(lambda found: _character(found, word, at), body)


def _character(found: re.Match[str], word: str, at: int) -> str:
    """What an escape in `word`, which is at `at`, stands for. Raises LexError."""
    two, four, eight, octal, simple = found.groups()
    if octal:
        return chr(int(octal, 8))
    if two or four or eight:
        point = int(two or four or eight, 16)
        if point > 0x10FFFF or 0xD800 <= point <= 0xDFFF:
            raise LexError(at, "invalid unicode code point")
        return chr(point)
    if simple not in _SIMPLE:
        end = found.end() + (3 if word[:3] in ('"""', "'''") else 1)
        if simple in _NUMBERED and (digits := _DIGITS.match(word, end)):
            end = digits.end()
        raise LexError(at, f"Syntax error: token recognition error at: '{word[:end]}'")
    return _SIMPLE[simple]


def _bytes(word: str, at: int) -> bytes:
    body, raw = _body(word)
    if raw:
        return body.encode()
    out, last = bytearray(), 0
    for found in _ESCAPE.finditer(body):
        out += body[last : found.start()].encode()
        two, _, _, octal, _ = found.groups()
        out += bytes([int(two, 16) if two else int(octal, 8)]) if two or octal else _character(found, word, at + 1).encode()
        last = found.end()
    return bytes(out + body[last:].encode())
