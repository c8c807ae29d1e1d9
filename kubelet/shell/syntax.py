"""Shell text into a tree: words, commands, pipelines, lists, `if`, `while`, `until`, `for`, `{ }`, `( )`. Pure.

What is not understood (functions, `case`, here-documents, background jobs, process substitution) raises `ShellSyntaxError`.
"""

from __future__ import annotations

from collections.abc import Sequence
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


@dataclass(frozen=True, slots=True)
class Redirect:
    """`descriptor` 0, 1 or 2; `operator` is one of < > >> >&."""

    descriptor: int
    operator: str
    target: Word


@dataclass(frozen=True, slots=True)
class Command:
    """A simple command: assignments, words, redirections."""

    assignments: tuple[tuple[str, Word], ...]
    words: tuple[Word, ...]
    redirects: tuple[Redirect, ...]


@dataclass(frozen=True, slots=True)
class Pipeline:
    commands: tuple[Node, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Sequence_:
    """Commands with what joins each to the one before: `;`, `&&` or `||`."""

    items: tuple[tuple[str, Node], ...]


@dataclass(frozen=True, slots=True)
class If:
    condition: Node
    body: Node
    otherwise: Node | None


@dataclass(frozen=True, slots=True)
class Loop:
    """`while` (or `until`, with `wants` False)."""

    condition: Node
    body: Node
    wants: bool


@dataclass(frozen=True, slots=True)
class For:
    name: str
    words: tuple[Word, ...]
    body: Node


@dataclass(frozen=True, slots=True)
class Group:
    """`{ }` or `( )`, with redirections of its own (so have loops and ifs, which are wrapped in one)."""

    body: Node
    redirects: tuple[Redirect, ...]


Node = Command | Pipeline | Sequence_ | If | Loop | For | Group

_OPERATORS = ("&&", "||", ";;", ">>", ">&", "<<", ";", "|", "&", ">", "<", "(", ")", "\n")
_RESERVED = frozenset(["if", "then", "elif", "else", "fi", "while", "until", "do", "done", "for", "in", "{", "}", "!"])
_REFUSED = frozenset(["case", "esac", "function", "select"])


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


def parse(text: str) -> Node:
    """The tree of a script. Raises ShellSyntaxError."""
    return _Parser(tokens(text)).script()


# --- words ----------------------------------------------------------------------------------------------------------------


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


# --- commands ---------------------------------------------------------------------------------------------------------------


class _Parser:
    def __init__(self, found: Sequence[Token]) -> None:
        self._tokens, self._at = found, 0

    def script(self) -> Node:
        body = self._list(())
        if self._at < len(self._tokens):
            raise ShellSyntaxError(f"unexpected {self._describe()}")
        return body

    def _peek(self) -> Token:
        return self._tokens[self._at] if self._at < len(self._tokens) else Token("end")

    def _describe(self) -> str:
        token = self._peek()
        return repr(token.operator or "".join(part.value for part in token.word))

    def _next(self) -> Token:
        token = self._peek()
        self._at += 1
        return token

    def _expect(self, keyword: str) -> None:
        token = self._next()
        if (token.keyword or token.operator) != keyword:
            raise ShellSyntaxError(f"expected {keyword!r}")

    def _skip_breaks(self) -> None:
        while self._peek().operator in (";", "\n"):
            self._at += 1

    def _list(self, until: Sequence[str]) -> Node:
        """Commands up to one of the words or operators in `until`, which is left in place."""
        items: list[tuple[str, Node]] = []
        joined = ";"
        self._skip_breaks()
        while self._peek().operator != "end" and (self._peek().keyword or self._peek().operator) not in until:
            items.append((joined, self._pipeline()))
            joined = self._joint()
            if joined == "":
                break
        return Sequence_(tuple(items))

    def _joint(self) -> str:
        """What joins the next command; "" when the list ends here."""
        operator = self._peek().operator
        if operator in ("&&", "||"):
            self._at += 1
            self._skip_breaks()
            return operator
        if operator in (";", "\n"):
            self._skip_breaks()
            return ";"
        if operator == "&":
            raise ShellSyntaxError("background jobs are not understood")
        return "" if operator else ";"

    def _pipeline(self) -> Node:
        negated = self._peek().keyword == "!"
        if negated:
            self._at += 1
        commands = [self._command()]
        while self._peek().operator == "|":
            self._at += 1
            self._skip_breaks()
            commands.append(self._command())
        return commands[0] if len(commands) == 1 and not negated else Pipeline(tuple(commands), negated)

    def _command(self) -> Node:
        token = self._peek()
        keyword = token.keyword
        if keyword in _REFUSED:
            raise ShellSyntaxError(f"{keyword!r} is not understood")
        if keyword == "if":
            return self._redirected(self._if())
        if keyword in ("while", "until"):
            return self._redirected(self._while(keyword))
        if keyword == "for":
            return self._redirected(self._for())
        if keyword == "{" or token.operator == "(":
            self._at += 1
            closing = "}" if keyword else ")"
            body = self._list((closing,))
            self._expect(closing)
            return self._redirected(body)
        return self._simple()

    def _redirected(self, node: Node) -> Node:
        redirects: list[Redirect] = []
        while self._peek().operator and self._peek().operator[0] in "<>":
            redirects.append(self._redirect())
        return Group(node, tuple(redirects))

    def _if(self) -> Node:
        self._at += 1
        condition = self._list(("then",))
        self._expect("then")
        body = self._list(("elif", "else", "fi"))
        keyword = self._peek().keyword
        if keyword == "elif":
            return If(condition, body, self._if())
        otherwise = None
        if keyword == "else":
            self._at += 1
            otherwise = self._list(("fi",))
        self._expect("fi")
        return If(condition, body, otherwise)

    def _while(self, keyword: str) -> Node:
        self._at += 1
        condition = self._list(("do",))
        return Loop(condition, self._body(), keyword == "while")

    def _body(self) -> Node:
        self._expect("do")
        body = self._list(("done",))
        self._expect("done")
        return body

    def _for(self) -> Node:
        self._at += 1
        name = self._next().keyword
        self._skip_breaks()
        words: list[Word] = []
        if self._peek().keyword == "in":
            self._at += 1
            while self._peek().operator == "":
                words.append(self._next().word)
            self._skip_breaks()
        return For(name, tuple(words), self._body())

    def _simple(self) -> Node:
        assignments: list[tuple[str, Word]] = []
        words: list[Word] = []
        redirects: list[Redirect] = []
        while True:
            token = self._peek()
            if token.operator and token.operator[0] in "<>":
                redirects.append(self._redirect())
            elif token.operator:
                break
            else:
                self._at += 1
                assignment = None if words else _assignment(token.word)
                if assignment:
                    assignments.append(assignment)
                else:
                    words.append(token.word)
        if not (assignments or words or redirects):
            raise ShellSyntaxError(f"unexpected {self._describe()}")
        if self._peek().operator == "(" and words:
            raise ShellSyntaxError("functions are not understood")
        return Command(tuple(assignments), tuple(words), tuple(redirects))

    def _redirect(self) -> Redirect:
        token = self._next()
        target = self._next()
        if target.operator:
            raise ShellSyntaxError("a redirection lacks its target")
        default = 0 if token.operator == "<" else 1
        return Redirect(default if token.descriptor is None else token.descriptor, token.operator, target.word)


def _assignment(word: Word) -> tuple[str, Word] | None:
    """`name=value` as (name, the value's parts)."""
    if not word or word[0].kind != "literal" or word[0].quoted or "=" not in word[0].value:
        return None
    name, _, rest = word[0].value.partition("=")
    if not name.isidentifier():
        return None
    return name, (Part("literal", rest), *word[1:])
