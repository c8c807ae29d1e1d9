"""Shell text into tokens: operators, and words whose quotes and expansions are parts of their own. Pure. Read `syntax.py` next."""

from __future__ import annotations

from dataclasses import dataclass


class ShellSyntaxError(ValueError):
    """The text is not in the part of the shell language that is understood here."""


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a word. `kind`: literal, variable (value: the name), command (the text inside `$( )`), arithmetic."""

    kind: str
    value: str
    quoted: bool = False


Word = tuple[Part, ...]

_OPERATORS = ("&&", "||", ";;", ">>", ">&", "<<", ";", "|", "&", ">", "<", "(", ")", "\n")


@dataclass(frozen=True, slots=True)
class Token:
    """An operator, or a word."""

    operator: str
    word: Word = ()
    descriptor: int | None = None

    @property
    def keyword(self) -> str:
        """The text of an unquoted one-literal word, else ""."""
        if len(self.word) == 1 and self.word[0].kind == "literal" and not self.word[0].quoted:
            return self.word[0].value
        return ""


def tokens(text: str) -> list[Token]:
    return list(_Lexer(text).run())


class _Lexer:
    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0
        self._parts: list[Part] = []
        self._tokens: list[Token] = []

    def run(self) -> list[Token]:
        text = self._text
        while self._at < len(text):
            char = text[self._at]
            if char == "\\" and text[self._at + 1 : self._at + 2] == "\n":
                self._at += 2
            elif char in " \t\r":
                self._flush()
                self._at += 1
            elif char == "#" and not self._parts:
                self._at = text.find("\n", self._at) if "\n" in text[self._at :] else len(text)
            elif not self._operator():
                self._piece(char)
        self._flush()
        return self._tokens

    def _flush(self) -> None:
        if self._parts:
            self._tokens.append(Token("", tuple(self._parts)))
            self._parts = []

    def _operator(self) -> bool:
        found = next((each for each in _OPERATORS if self._text.startswith(each, self._at)), "")
        if not found:
            return False
        if found in ("<<", ";;"):
            raise ShellSyntaxError(f"{found!r} is not understood")
        descriptor = None
        if found[0] in "<>" and len(self._parts) == 1 and self._parts[0].kind == "literal" and self._parts[0].value in ("0", "1", "2"):
            descriptor = int(self._parts.pop().value)
        self._flush()
        self._tokens.append(Token(found, (), descriptor))
        self._at += len(found)
        return True

    def _literal(self, value: str, *, quoted: bool) -> None:
        if self._parts and not quoted and self._parts[-1].kind == "literal" and not self._parts[-1].quoted:
            self._parts[-1] = Part("literal", self._parts[-1].value + value)
        else:
            self._parts.append(Part("literal", value, quoted))

    def _piece(self, char: str) -> None:
        if char == "'":
            end = self._text.find("'", self._at + 1)
            if end < 0:
                raise ShellSyntaxError("unterminated quoted string")
            self._literal(self._text[self._at + 1 : end], quoted=True)
            self._at = end + 1
        elif char == '"':
            self._double()
        elif char == "\\":
            self._literal(self._text[self._at + 1 : self._at + 2], quoted=True)
            self._at += 2
        elif char in "$`":
            self._expansion(quoted=False)
        else:
            self._literal(char, quoted=False)
            self._at += 1

    def _double(self) -> None:
        self._at += 1
        self._parts.append(Part("literal", "", True))
        while self._at < len(self._text) and self._text[self._at] != '"':
            char = self._text[self._at]
            if char == "\\" and self._text[self._at + 1 : self._at + 2] in ('"', "\\", "$", "`", "\n"):
                self._literal(self._text[self._at + 1].replace("\n", ""), quoted=True)
                self._at += 2
            elif char in "$`":
                self._expansion(quoted=True)
            else:
                self._literal(char, quoted=True)
                self._at += 1
        if self._at >= len(self._text):
            raise ShellSyntaxError("unterminated quoted string")
        self._at += 1

    def _expansion(self, *, quoted: bool) -> None:
        text, at = self._text, self._at
        if text[at] == "`":
            end = text.find("`", at + 1)
            if end < 0:
                raise ShellSyntaxError("unterminated `")
            self._add("command", text[at + 1 : end], end + 1, quoted)
        elif text.startswith("$((", at):
            end = text.find("))", at)
            if end < 0:
                raise ShellSyntaxError("unterminated $((")
            self._add("arithmetic", text[at + 3 : end], end + 2, quoted)
        elif text.startswith("$(", at):
            end = _closing(text, at + 1)
            self._add("command", text[at + 2 : end], end + 1, quoted)
        elif text.startswith("${", at):
            end = text.find("}", at)
            if end < 0:
                raise ShellSyntaxError("unterminated ${")
            self._add("variable", text[at + 2 : end], end + 1, quoted)
        else:
            self._name(quoted=quoted)

    def _name(self, *, quoted: bool) -> None:
        end = self._at + 1
        if self._text[end : end + 1] and self._text[end] in "?$!#@*0123456789":
            end += 1
        else:
            while end < len(self._text) and (self._text[end].isalnum() or self._text[end] == "_"):
                end += 1
        name = self._text[self._at + 1 : end]
        if name:
            self._add("variable", name, end, quoted)
        else:
            self._literal("$", quoted=quoted)
            self._at += 1

    def _add(self, kind: str, value: str, end: int, quoted: bool) -> None:
        self._parts.append(Part(kind, value, quoted))
        self._at = end


def _closing(text: str, at: int) -> int:
    """Where the parenthesis opened at `at` is closed."""
    depth, quote = 0, ""
    for index in range(at, len(text)):
        char = text[index]
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        else:
            depth += (char == "(") - (char == ")")
            if depth == 0:
                return index
    raise ShellSyntaxError("unterminated $(")
