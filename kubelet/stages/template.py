"""The part of Go's text/template that Stage templates use, and KWOK's functions for them.

Understood: `{{ }}` with `-` trimming, comments, variables (`$x := ...`, `$x = ...`), `if`/`else if`/`else`, `range` (with index and
element), `with`, `end`, pipelines, parentheses, literals, field paths (`.a.b`, `$x.a`), and the functions in `functions()`. Anything else
raises `StageError`. Missing fields are nil, as with KWOK's maps. Output is text; Stage templates are YAML.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kubelet.stages.query import StageError

Functions = Mapping[str, Callable[..., Any]]
_ACTION = re.compile(r"\{\{(-\s)?(.*?)(\s-)?\}\}", re.DOTALL)
_WORD = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\]|\\.)*"|`[^`]*`)|(?P<number>-?\d+(?:\.\d+)?)|(?P<assign>:=|=)|(?P<punct>[()|,])
    |(?P<variable>\$[A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*)|(?P<path>\.[A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*)|(?P<name>[A-Za-z_][A-Za-z0-9_]*))""",
    re.VERBOSE,
)
_DEPTH_MAX = 50


@dataclass
class _Scope:
    """Variables and dot while rendering."""

    dot: Any
    functions: Functions
    variables: dict[str, Any] = field(default_factory=dict)

    def inner(self, dot: Any) -> _Scope:
        return _Scope(dot, self.functions, dict(self.variables))


Node = Callable[[_Scope], str]
Expression = Callable[[_Scope], Any]


class Template:
    """A parsed template. `is_static` when it has no actions, so that its output never changes."""

    def __init__(self, text: str) -> None:
        self.text = text
        parser = _Parser(list(_pieces(text)), text)
        self._nodes = parser.block(until=(), depth=0)[0]
        self.is_static = parser.count == 0

    def render(self, dot: Any, functions: Functions) -> str:
        """The output for `dot`. Raises StageError when a function fails."""
        scope = _Scope(dot, functions, {"$": dot})
        try:
            return "".join(node(scope) for node in self._nodes)
        except (TypeError, ValueError, KeyError, IndexError) as error:
            raise StageError(f"template failed: {error}") from error


def _pieces(text: str) -> Iterator[tuple[bool, str]]:
    """(is an action, text), trimmed as the dashes say."""
    at, trim = 0, False
    for match in _ACTION.finditer(text):
        plain = text[at : match.start()]
        plain = plain.lstrip() if trim else plain
        yield False, plain.rstrip() if match[1] else plain
        yield True, match[2].strip()
        at, trim = match.end(), bool(match[3])
    yield False, text[at:].lstrip() if trim else text[at:]


class _Parser:
    def __init__(self, pieces: list[tuple[bool, str]], text: str) -> None:
        self._pieces, self._at, self.count = pieces, 0, 0
        if "{{" in "".join(piece for is_action, piece in pieces if not is_action):
            raise StageError(f"template {text[:60]!r}: an action is not closed")

    def block(self, *, until: Sequence[str], depth: int) -> tuple[list[Node], str]:
        """Nodes up to one of the words in `until`, and the action that ended them."""
        if depth > _DEPTH_MAX:
            raise StageError("template is nested too deeply")
        nodes: list[Node] = []
        while self._at < len(self._pieces):
            is_action, piece = self._pieces[self._at]
            self._at += 1
            if not is_action:
                nodes.append(_text(piece))
                continue
            self.count += 1
            word = piece.split(maxsplit=1)[0] if piece else ""
            if word in until:
                return nodes, piece
            nodes.append(self._action(word, piece, depth))
        if until:
            raise StageError("template lacks an {{ end }}")
        return nodes, ""

    def _action(self, word: str, piece: str, depth: int) -> Node:
        rest = piece[len(word) :]
        if word.startswith("/*"):
            return _text("")
        if word == "if":
            return self._if(rest, depth)
        if word in ("range", "with"):
            return self._loop(word, rest, depth)
        if word in ("define", "template", "block", "break", "continue", "else", "end"):
            raise StageError(f"template: {{{{ {word} }}}} is not understood here")
        return _statement(piece)

    def _if(self, condition: str, depth: int) -> Node:
        test = _expression(condition)
        body, ended = self.block(until=("else", "end"), depth=depth + 1)
        other = self._else(ended, depth)

        def render(scope: _Scope) -> str:
            nodes = body if truthy(test(scope)) else other
            return "".join(node(scope) for node in nodes)

        return render

    def _else(self, ended: str, depth: int) -> list[Node]:
        if ended == "end":
            return []
        rest = ended[len("else") :].strip()
        if not rest:
            return self.block(until=("end",), depth=depth + 1)[0]
        word, _, condition = rest.partition(" ")
        if word != "if":
            raise StageError(f"template: {{{{ {ended} }}}} is not understood")
        return [self._if(condition, depth + 1)]

    def _loop(self, word: str, rest: str, depth: int) -> Node:
        names, expression = _names(rest)
        body, ended = self.block(until=("else", "end"), depth=depth + 1)
        other = self._else(ended, depth)

        def render(scope: _Scope) -> str:
            value = expression(scope)
            if not truthy(value):
                return "".join(node(scope) for node in other)
            turns = _items(value) if word == "range" else [(None, value)]
            return "".join(_turn(scope, body, names, key, each) for key, each in turns)

        return render


def _turn(scope: _Scope, body: list[Node], names: list[str], key: Any, value: Any) -> str:
    inner = scope.inner(value)
    if names:
        inner.variables[names[-1]] = value
        if len(names) == 2:
            inner.variables[names[0]] = key
    return "".join(node(inner) for node in body)


def _items(value: Any) -> list[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        return sorted(value.items())
    return list(enumerate(range(value) if isinstance(value, int) else value))


def _names(text: str) -> tuple[list[str], Expression]:
    """`$i, $x := pipeline` as its names and its expression."""
    match = re.match(r"\s*(\$\w+)\s*(?:,\s*(\$\w+)\s*)?:=(.*)$", text, re.DOTALL)
    if match is None:
        return [], _expression(text)
    return [name for name in (match[1], match[2]) if name], _expression(match[3])


def _text(text: str) -> Node:
    return lambda scope: text


def _statement(piece: str) -> Node:
    match = re.match(r"(\$\w+)\s*:?=(?!=)(.*)$", piece, re.DOTALL)
    if match is None:
        expression = _expression(piece)
        return lambda scope: printed(expression(scope))
    name, value = match[1], _expression(match[2])

    def assign(scope: _Scope) -> str:
        scope.variables[name] = value(scope)
        return ""

    return assign


# --- expressions --------------------------------------------------------------------------------------------------------


def _expression(text: str) -> Expression:
    words, at = [], 0
    while text[at:].strip():
        match = _WORD.match(text, at)
        if match is None:
            raise StageError(f"template: cannot read {text[at:].strip()!r}")
        words.append((str(match.lastgroup), match.group(0).strip()))
        at = match.end()
    expression, rest = _pipeline(words, 0)
    if rest != len(words):
        raise StageError(f"template: cannot read {text.strip()!r}")
    return expression


_Words = list[tuple[str, str]]


def _pipeline(words: _Words, at: int) -> tuple[Expression, int]:
    command, at = _command(words, at)
    value: Expression = lambda scope: command(scope, [])  # noqa: E731
    while at < len(words) and words[at][1] == "|":
        following, at = _command(words, at + 1)
        value = _piped(value, following)
    return value, at


def _piped(value: Expression, command: Callable[[_Scope, list[Any]], Any]) -> Expression:
    return lambda scope: command(scope, [value(scope)])


def _command(words: _Words, at: int) -> tuple[Callable[[_Scope, list[Any]], Any], int]:
    """A function with arguments, or one operand."""
    if at < len(words) and words[at][0] == "name" and words[at][1] not in ("true", "false", "nil"):
        name, arguments = words[at][1], []
        at += 1
        while at < len(words) and words[at][1] not in ("|", ")"):
            argument, at = _operand(words, at)
            arguments.append(argument)
        return _call(name, arguments), at
    operand, at = _operand(words, at)
    return lambda scope, piped: operand(scope), at


def _call(name: str, arguments: list[Expression]) -> Callable[[_Scope, list[Any]], Any]:
    def call(scope: _Scope, piped: list[Any]) -> Any:
        function = scope.functions.get(name) or BUILTINS.get(name)
        if function is None:
            raise StageError(f"template: there is no function {name!r}")
        return function(*(argument(scope) for argument in arguments), *piped)

    return call


def _operand(words: _Words, at: int) -> tuple[Expression, int]:
    if at >= len(words):
        raise StageError("template: an operand is missing")
    kind, word = words[at]
    if word == "(":
        inner, at = _pipeline(words, at + 1)
        if at >= len(words) or words[at][1] != ")":
            raise StageError("template: a parenthesis is not closed")
        return inner, at + 1
    if kind in ("path", "variable"):
        return _path(word), at + 1
    if kind == "name" and word not in ("true", "false", "nil"):
        return (lambda scope: _call(word, [])(scope, [])), at + 1
    if kind == "punct" or kind == "assign":
        raise StageError(f"template: cannot read {word!r}")
    value = {"true": True, "false": False, "nil": None}.get(word) if kind == "name" else _literal(word)
    return (lambda scope: value), at + 1


def _literal(word: str) -> Any:
    return word[1:-1] if word.startswith("`") else json.loads(word)


def _path(word: str) -> Expression:
    head, *keys = word.split(".") if word.startswith("$") else ["", *filter(None, word.split("."))]

    def walk(scope: _Scope) -> Any:
        value = scope.variables.get(head) if head else scope.dot
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value

    return walk


# --- values -------------------------------------------------------------------------------------------------------------


def truthy(value: Any) -> bool:
    """Go templates' truth: everything but false, 0, nil and what is empty."""
    return bool(value)


def printed(value: Any) -> str:
    if value is None:
        return "<no value>"
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else json.dumps(value) if isinstance(value, dict | list) else str(value)


def _indexed(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, Mapping):
            value = value.get(key)
        elif isinstance(value, list) and isinstance(key, int) and 0 <= key < len(value):
            value = value[key]
        else:
            return None
    return value


def _first_true(*values: Any) -> Any:
    return next((each for each in values if truthy(each)), values[-1] if values else None)


def _first_false(*values: Any) -> Any:
    return next((each for each in values if not truthy(each)), values[-1] if values else None)


BUILTINS: Functions = {
    "or": _first_true,
    "and": _first_false,
    "not": lambda value: not truthy(value),
    "eq": lambda value, *others: any(value == each for each in others),
    "ne": lambda value, other: value != other,
    "lt": lambda value, other: value < other,
    "le": lambda value, other: value <= other,
    "gt": lambda value, other: value > other,
    "ge": lambda value, other: value >= other,
    "len": lambda value: len(value or ()),
    "index": _indexed,
    "default": lambda default, value=None: value if truthy(value) else default,
    "dict": lambda *pairs: dict(zip(pairs[::2], pairs[1::2], strict=True)),
    "list": lambda *values: list(values),
    "print": lambda *values: "".join(map(printed, values)),
    "Quote": lambda value: json.dumps(printed("" if value is None else value)),
    "quote": lambda value: json.dumps(printed("" if value is None else value)),
    "YAML": lambda value, *indent: json.dumps(value),
    "toJson": lambda value: json.dumps(value),
}
"""The functions that need nothing from outside. Those that do (Now, NodeIP, PodIPWith, ...) are handed to `render`."""
