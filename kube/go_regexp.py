"""What Go's regexp says of a pattern that it cannot read. The reading is Go's (RE2), whatever engine runs the pattern later.

Source: Go `src/regexp/syntax/parse.go`. Not here: limits on the size of what a pattern compiles to.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

REPEAT_MAX: Final = 1000

_POSIX: Final = "alnum alpha ascii blank cntrl digit graph lower print punct space upper word xdigit"
_SCRIPTS: Final = (
    "arabic armenian bengali bopomofo cyrillic devanagari ethiopic georgian greek gujarati gurmukhi han hangul hebrew hiragana kannada "
    "katakana khmer lao latin malayalam mongolian myanmar oriya sinhala tamil telugu thaana thai tibetan common inherited"
)
_CATEGORIES: Final = frozenset(
    {"Any", "Assigned", "Ascii", "Lc"} | {unicodedata.category(chr(code)) for code in range(0x3000)} | set("CLMNPSZ")
)
_COUNT: Final = re.compile(r"\{(0|[1-9][0-9]*)(?:(,)(0|[1-9][0-9]*)?)?\}", re.ASCII)
_NAME: Final = re.compile(r"[0-9A-Za-z_]+")
_PERL: Final = frozenset("dDsSwW")


class _Problem(ValueError):
    """The text is what comes after `error parsing regexp: `."""


def _problem(code: str, shown: str) -> _Problem:
    return _Problem(f"{code}: `{shown}`")


def regexp_problem(pattern: str) -> str:
    """What Go says of a pattern; "" when it is fine."""
    try:
        _Reader(pattern).read()
    except _Problem as problem:
        return f"error parsing regexp: {problem}"
    return ""


class _Reader:
    def __init__(self, pattern: str) -> None:
        self._text = pattern
        self._at = 0
        self._open = 0  # groups that are not closed yet
        self._has_item = False  # something that may be repeated is right before
        self._repeat = -1  # where the repetition right before begins

    def read(self) -> None:
        while self._at < len(self._text):
            before, repeat = self._at, -1
            char = self._text[self._at]
            if char == "(":
                self._group()
            elif char == ")":
                self._close()
            elif char == "|":
                self._at, self._has_item = self._at + 1, False
            elif char in "*+?" or (char == "{" and self._count(before)):
                repeat = self._repetition(before)
            else:
                self._item(char)
            self._repeat = repeat
        if self._open:
            raise _problem("missing closing )", self._text)

    def _item(self, char: str) -> None:
        self._has_item = True
        if char == "[":
            self._class()
        elif char == "\\":
            self._outer_escape()
        else:
            self._at += 1

    # --- groups

    def _group(self) -> None:
        if self._text.startswith("(?", self._at):
            self._perl_group()
        else:
            self._at, self._open, self._has_item = self._at + 1, self._open + 1, False

    def _close(self) -> None:
        if not self._open:
            raise _problem("unexpected )", self._text)
        self._at, self._open, self._has_item = self._at + 1, self._open - 1, True

    def _perl_group(self) -> None:
        start, rest = self._at, self._text[self._at :]
        named = 4 if len(rest) > 4 and rest.startswith("(?P<") else 3 if len(rest) > 3 and rest.startswith("(?<") else 0
        if named:
            end = rest.find(">")
            if end < 0 or not _NAME.fullmatch(rest[named:end]):
                raise _problem("invalid named capture", rest[: end + 1] if end >= 0 else rest)
            self._at, self._open, self._has_item = start + end + 1, self._open + 1, False
            return
        negated, flagged, at = False, False, start + 2
        while at < len(self._text):
            char = self._text[at]
            at += 1
            if char in "imsU":
                flagged = True
            elif char == "-" and not negated:
                negated, flagged = True, False
            elif char in ":)" and (flagged or not negated):
                self._at = at
                if char == ":":
                    self._open, self._has_item = self._open + 1, False
                return
            else:
                break
        raise _problem("invalid or unsupported Perl syntax", self._text[start:at])

    # --- repetitions

    def _count(self, at: int) -> bool:
        return _COUNT.match(self._text, at) is not None

    def _repetition(self, before: int) -> int:
        found = _COUNT.match(self._text, before)
        self._at = found.end() if found is not None else before + 1
        if found is not None:
            least, most = int(found[1]), int(found[3]) if found[3] else -1 if found[2] else int(found[1])
            if least > REPEAT_MAX or most > REPEAT_MAX or 0 <= most < least:
                raise _problem("invalid repeat count", self._text[before : self._at])
        if self._text.startswith("?", self._at):
            self._at += 1
        if self._repeat >= 0:
            raise _problem("invalid nested repetition operator", self._text[self._repeat : self._at])
        if not self._has_item:
            raise _problem("missing argument to repetition operator", self._text[before : self._at])
        return before

    # --- escapes

    def _outer_escape(self) -> None:
        following = self._text[self._at + 1 : self._at + 2]
        if following and following in "AbBz":
            self._at += 2
        elif following == "C":
            raise _problem("invalid escape sequence", self._text[self._at : self._at + 2])
        elif following == "Q":
            end = self._text.find("\\E", self._at + 2)
            self._at = end + 2 if end >= 0 else len(self._text)
        elif not self._named_escape(following):
            self._escape()

    def _named_escape(self, following: str) -> bool:
        """A class: `\\d`, `\\pL`, `\\p{Greek}`."""
        if following and following in _PERL:
            self._at += 2
            return True
        if not following or following not in "pP":
            return False
        rest = self._text[self._at :]
        if rest[2:3] == "{":
            end = rest.find("}")
            if end < 0:
                raise _problem("invalid character class range", rest)
            shown, name = rest[: end + 1], rest[3:end]
        else:
            shown, name = rest[:3], rest[2:3]
        if not _is_unicode_class(name.removeprefix("^")):
            raise _problem("invalid character class range", shown)
        self._at += len(shown)
        return True

    def _escape(self) -> str:
        """The character that an escape stands for."""
        start = self._at
        char = self._text[start + 1 : start + 2]
        if not char:
            raise _problem("trailing backslash at end of expression", "")
        self._at += 2
        if char in "01234567":
            found = re.compile("[0-7]{1,3}").match(self._text, start + 1)
            assert found is not None
            if char == "0" or len(found[0]) > 1:
                self._at = found.end()
                return chr(int(found[0], 8))
        elif char == "x":
            return self._hexadecimal(start)
        elif char in "afnrtv":
            return {"a": "\a", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}[char]
        elif char.isascii() and not char.isalnum():
            return char
        raise _problem("invalid escape sequence", self._text[start : self._at])

    def _hexadecimal(self, start: int) -> str:
        found = re.compile(r"\\x(?:\{([0-9A-Fa-f]+)\}|([0-9A-Fa-f]{2}))").match(self._text, start)
        if found is not None and int(found[1] or found[2], 16) <= 0x10FFFF:
            self._at = found.end()
            return chr(int(found[1] or found[2], 16))
        upto = re.compile(r"\\x(?:\{[0-9A-Fa-f]*[^0-9A-Fa-f]?|.{0,2})", re.DOTALL).match(self._text, start)
        raise _problem("invalid escape sequence", upto[0] if upto is not None else "\\x")

    # --- classes

    def _class(self) -> None:
        start = self._at
        self._at += 2 if self._text.startswith("[^", start) else 1
        first = True
        while first or not self._text.startswith("]", self._at):
            first = False
            if self._posix_class():
                continue
            if self._text.startswith("\\", self._at) and self._named_escape(self._text[self._at + 1 : self._at + 2]):
                continue
            self._range(start)
        self._at += 1

    def _posix_class(self) -> bool:
        if not self._text.startswith("[:", self._at):
            return False
        end = self._text.find(":]", self._at + 2)
        if end < 0:
            return False
        name = self._text[self._at + 2 : end]
        if name.removeprefix("^") not in _POSIX.split():
            raise _problem("invalid character class range", self._text[self._at : end + 2])
        self._at = end + 2
        return True

    def _range(self, start: int) -> None:
        begin = self._at
        low = self._class_char(start)
        following = self._text[self._at : self._at + 2]
        if len(following) == 2 and following[0] == "-" and following[1] != "]":
            self._at += 1
            if self._class_char(start) < low:
                raise _problem("invalid character class range", self._text[begin : self._at])

    def _class_char(self, start: int) -> str:
        if self._at >= len(self._text):
            raise _problem("missing closing ]", self._text[start:])
        if self._text[self._at] == "\\":
            return self._escape()
        self._at += 1
        return self._text[self._at - 1]


def _is_unicode_class(name: str) -> bool:
    plain = name.replace("_", "").replace("-", "").replace(" ", "")
    return plain.capitalize() in _CATEGORIES or plain.lower() in _SCRIPTS.split()
