"""Shell text into a tree: words, commands, pipelines, lists, `if`, `while`, `until`, `for`, `{ }`, `( )`. Pure.

What is not understood (functions, `case`, here-documents, background jobs, process substitution) raises `ShellSyntaxError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kubelet.shell.words import Part, ShellSyntaxError, Token, Word, tokens


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


_REFUSED = frozenset(["case", "esac", "function", "select"])


def parse(text: str) -> Node:
    """The tree of a script. Raises ShellSyntaxError."""
    return _Parser(tokens(text)).script()


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
