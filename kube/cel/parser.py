"""From text to tree. Problems are told as cel-go's parser tells them, which is ANTLR's way. Source: cel-go `parser/parser.go`, `CEL.g4`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kube.cel import macros
from kube.cel.lexer import RESERVED, LexError, Token, tokens_of
from kube.cel.syntax import Call, CompileError, Const, CreateList, CreateMap, CreateStruct, Ident, Node, Select
from kube.cel.values import UInt

DEPTH_MAX: Final = 250
CODE_POINTS_MAX: Final = 100_000
INT_MAX, UINT_MAX = 2**63 - 1, 2**64 - 1
_BEGINS: Final = frozenset({"[", "{", "(", ".", "-", "!", "const", "int", "uint", "ident"})
_EXPRESSION: Final = "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}"
_IN_BRACKET: Final = _EXPRESSION.replace("'!', ", "'!', '?', ")
_IN_LIST: Final = _IN_BRACKET.replace("'[', ", "'[', ']', ").replace("'.', ", "'.', ',', ")
_IN_MAP: Final = _IN_BRACKET.replace("'{', ", "'{', '}', ").replace("'.', ", "'.', ',', ")
_IN_CALL: Final = _EXPRESSION.replace("'(', ", "'(', ')', ")
_RELATIONS: Final = frozenset({"==", "!=", "<", "<=", ">", ">=", "in"})


class _Problem(Exception):
    def __init__(self, at: int, message: str) -> None:
        super().__init__(message)
        self.at = at


def located(text: str, at: int, message: str) -> str:
    """A problem as cel-go shows it: where it is, what it is, and the line with a mark below."""
    before = text[:at]
    line, column = before.count("\n") + 1, at - (before.rfind("\n") + 1)
    lines = text.split("\n")
    shown = lines[line - 1] if line <= len(lines) else ""
    return f"ERROR: <input>:{line}:{column + 1}: {message}\n | {shown}\n | {'.' * column}^"


def parse(text: str) -> Node:
    """Raises CompileError."""
    if len(text) > CODE_POINTS_MAX:
        raise CompileError(f"ERROR: <input>:0:0: expression code point size exceeds limit: size: {len(text)}, limit {CODE_POINTS_MAX}")
    try:
        return _Parser(tokens_of(text)).whole()
    except LexError as unread:
        raise CompileError(_first(text, unread)) from None
    except _Problem as problem:
        raise CompileError(located(text, problem.at, str(problem))) from None


def _first(text: str, unread: LexError) -> str:
    """The first thing that is wrong with a text that cannot be read to its end: it may come before that."""
    try:
        _Parser(tokens_of(text[: unread.at])).whole()
    except (LexError, _Problem) as problem:
        if problem.at < unread.at:
            return located(text, problem.at, str(problem))
    return located(text, unread.at, str(unread))


class _Parser:
    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0
        self._open: list[str] = []
        """What closes the brackets that are open."""

    @property
    def _now(self) -> Token:
        return self._tokens[self._at]

    @property
    def _next(self) -> Token:
        return self._tokens[min(self._at + 1, len(self._tokens) - 1)]

    def _take(self) -> Token:
        token = self._now
        if token.kind != "eof":
            self._at += 1
        return token

    def _accept(self, kind: str) -> Token | None:
        return self._take() if self._now.kind == kind else None

    def _expect(self, kind: str) -> Token:
        token = self._now
        if token.kind == kind:
            return self._take()
        if self._next.kind == kind and token.kind != "eof":
            raise _Problem(token.at, f"Syntax error: extraneous input '{token.text}' expecting '{kind}'")
        if self._may_follow(token, kind):
            raise _Problem(token.at, f"Syntax error: missing '{kind}' at '{token.text}'")
        raise _Problem(token.at, f"Syntax error: mismatched input '{token.text}' expecting '{kind}'")

    def _may_follow(self, token: Token, kind: str) -> bool:
        """Whether `token` can come right behind a `kind`, so that it is this alone that is missing."""
        if kind == ":":
            return token.kind in _BEGINS
        around = self._open[-1] if self._open else "eof"
        return token.kind == around or (token.kind == "," and around != "eof")

    def _close(self) -> None:
        """The end of a bracket."""
        self._expect(self._open.pop())

    def _close_items(self, count: int, *, ends_in_comma: bool) -> None:
        """The end of a list, map or message, which may come behind a comma; of an empty one, too."""
        kind = self._open.pop()
        if not count:
            self._accept(",")
        token = self._now
        if token.kind != kind and count and not ends_in_comma:
            how = "extraneous" if token.kind != "eof" and self._next.kind in (kind, ",") else "mismatched"
            raise _Problem(token.at, f"Syntax error: {how} input '{token.text}' expecting {{'{kind}', ','}}")
        self._expect(kind)

    def _is_item(self, count: int, begins: frozenset[str] = _BEGINS) -> bool:
        """Whether another item comes: what is no end of an empty bracket, and what begins one in one that is not."""
        token = self._now
        return token.kind == "?" or token.kind in begins if count else token.kind not in (self._open[-1], ",")

    def _unexpected(self, expected: str = _EXPRESSION) -> _Problem:
        token = self._now
        how = "extraneous" if token.kind != "eof" and self._next.kind in _BEGINS else "mismatched"
        return _Problem(token.at, f"Syntax error: {how} input '{token.text}' expecting {expected}")

    # --- expressions, loosest first

    def whole(self) -> Node:
        found = self._expression()
        token = self._now
        if token.kind != "eof":
            how = "extraneous" if self._next.kind == "eof" else "mismatched"
            raise _Problem(token.at, f"Syntax error: {how} input '{token.text}' expecting <EOF>")
        return found

    def _expression(self, expected: str = _EXPRESSION) -> Node:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise _Problem(self._now.at, f"expression recursion limit exceeded: {DEPTH_MAX}")
        condition = self._or(expected)
        token = self._accept("?")
        if token is not None:
            yes = self._or(_EXPRESSION)
            self._expect(":")
            condition = Call(token.at, "_?_:_", None, [condition, yes, self._expression()])
        self._depth -= 1
        return condition

    def _chain(self, operators: frozenset[str] | set[str], below: Callable[[str], Node], expected: str) -> Node:
        found = below(expected)
        while self._now.kind in operators:
            token = self._take()
            name = "@in" if token.kind == "in" else f"_{token.kind}_"
            found = Call(token.at, name, None, [found, below(_EXPRESSION)])
        return found

    def _or(self, expected: str) -> Node:
        return self._chain({"||"}, self._and, expected)

    def _and(self, expected: str) -> Node:
        return self._chain({"&&"}, self._relation, expected)

    def _relation(self, expected: str) -> Node:
        return self._chain(_RELATIONS, self._sum, expected)

    def _sum(self, expected: str) -> Node:
        return self._chain({"+", "-"}, self._product, expected)

    def _product(self, expected: str) -> Node:
        return self._chain({"*", "/", "%"}, self._unary, expected)

    def _unary(self, expected: str) -> Node:
        token = self._now
        if token.kind not in ("!", "-"):
            return self._member(self._primary(expected))
        count = 0
        while self._now.kind == token.kind:
            self._take()
            count += 1
        if token.kind == "-" and self._now.kind in ("int", "const") and self._now.at == token.at + count and count % 2:
            number = self._now
            if number.kind == "int" or isinstance(number.value, float):
                self._take()
                return self._member(Const(token.at, self._bounded(-number.value, number)))
        if self._now.kind not in _BEGINS:
            raise self._no_operand(token.kind)
        operand = self._member(self._primary(_EXPRESSION))
        return Call(token.at, f"{token.kind}_", None, [operand]) if count % 2 else operand

    def _no_operand(self, operator: str) -> _Problem:
        now = self._now
        if operator == "-":
            return _Problem(now.at, f"Syntax error: no viable alternative at input '-{'' if now.kind == 'eof' else now.text}'")
        return _Problem(now.at, f"Syntax error: extraneous input '{now.text}' expecting {_EXPRESSION}")

    def _bounded(self, value: int | float, token: Token) -> int | float:
        if isinstance(value, int) and not -(2**63) <= value <= INT_MAX:
            raise _Problem(token.at, "invalid int literal")
        return value

    # --- primaries

    def _primary(self, expected: str) -> Node:
        token = self._now
        if token.kind == "const":
            return Const(self._take().at, token.value)
        if token.kind in ("int", "uint"):
            self._take()
            if token.kind == "int":
                return Const(token.at, self._bounded(token.value, token))
            if token.value > UINT_MAX:
                raise _Problem(token.at, "invalid uint literal")
            return Const(token.at, UInt(token.value))
        if token.kind == "(":
            self._take()
            self._open.append(")")
            found = self._expression()
            self._close()
            return found
        if token.kind == "[":
            return self._list()
        if token.kind == "{":
            return self._map()
        if token.kind in ("ident", "."):
            return self._name()
        raise self._unexpected(expected)

    def _name(self) -> Node:
        leading = self._accept(".")
        token = self._now
        if token.kind != "ident":
            raise self._no_name(leading or token)
        self._take()
        name = f".{token.text}" if leading else token.text
        if token.text in RESERVED:
            raise _Problem(token.at, f"reserved identifier: {token.text}")
        if self._now.kind == "(":
            opening = self._take()
            return macros.expanded(opening.at, token.text if leading is None else name, None, self._arguments(), _Problem)
        return Ident(token.at, name)

    def _no_name(self, dot: Token) -> _Problem:
        """What follows a dot and is no name; the blanks between them are shown, too."""
        token = self._now
        shown = "." if token.kind == "eof" else f".{' ' * (token.at - dot.at - 1)}{token.text}"
        return _Problem(token.at, f"Syntax error: no viable alternative at input '{shown}'")

    def _arguments(self) -> list[Node]:
        found: list[Node] = []
        if self._accept(")"):
            return found
        self._open.append(")")
        if self._now.kind == "," and self._next.kind in _BEGINS | {")"}:
            raise _Problem(self._now.at, f"Syntax error: extraneous input ',' expecting {_IN_CALL}")
        found.append(self._expression(_IN_CALL))
        while self._accept(","):
            found.append(self._expression())
        self._close()
        return found

    def _list(self) -> Node:
        opening = self._take()
        items: list[Node] = []
        optional: set[int] = set()
        self._open.append("]")
        ends_in_comma = False
        while self._is_item(len(items)):
            if self._accept("?"):
                optional.add(len(items))
            items.append(self._expression(_EXPRESSION if items or optional else _IN_LIST))
            ends_in_comma = self._accept(",") is not None
            if not ends_in_comma:
                break
        self._close_items(len(items), ends_in_comma=ends_in_comma)
        return CreateList(opening.at, items, frozenset(optional))

    def _map(self) -> Node:
        opening = self._take()
        entries: list[tuple[Node, Node]] = []
        optional: set[int] = set()
        self._open.append("}")
        ends_in_comma = False
        while self._is_item(len(entries)):
            if self._accept("?"):
                optional.add(len(entries))
            key = self._expression(_EXPRESSION if entries or optional else _IN_MAP)
            self._expect(":")
            entries.append((key, self._expression()))
            ends_in_comma = self._accept(",") is not None
            if not ends_in_comma:
                break
        self._close_items(len(entries), ends_in_comma=ends_in_comma)
        return CreateMap(opening.at, entries, frozenset(optional))

    # --- what follows a primary

    def _member(self, found: Node) -> Node:
        while True:
            token = self._now
            if token.kind == ".":
                found = self._select(found)
            elif token.kind == "[":
                self._take()
                self._open.append("]")
                function = "_[?_]" if self._accept("?") else "_[_]"
                index = self._expression(_IN_BRACKET if function == "_[_]" else _EXPRESSION)
                self._close()
                found = Call(token.at, function, None, [found, index])
            elif token.kind == "{" and _dotted(found):
                found = self._struct(found)
            else:
                return found

    def _select(self, operand: Node) -> Node:
        dot = self._take()
        optional = self._accept("?") is not None
        token = self._now
        if token.kind not in ("ident", "quoted"):
            if optional:
                raise _Problem(token.at, f"Syntax error: mismatched input '{token.text}' expecting {{IDENTIFIER, ESC_IDENTIFIER}}")
            if _dotted(operand) and token.kind == "const":  # it could still be the name of a message
                raise _Problem(token.at, f"Syntax error: mismatched input '{token.text}' expecting IDENTIFIER")
            raise self._no_name(dot)
        self._take()
        if optional:
            return Call(dot.at, "_?._", None, [operand, Const(token.at, token.value)])
        if token.kind == "ident" and self._now.kind == "(":
            opening = self._take()
            return macros.expanded(opening.at, token.text, operand, self._arguments(), _Problem)
        return Select(dot.at, operand, token.value)

    def _struct(self, name: Node) -> Node:
        opening = self._take()
        fields: list[tuple[str, Node]] = []
        places: list[int] = []
        optional: set[int] = set()
        self._open.append("}")
        ends_in_comma = False
        while self._now.kind != "}" and not (self._now.kind == "," and not fields):
            if self._accept("?"):
                optional.add(len(fields))
            token = self._now
            if token.kind not in ("ident", "quoted"):
                expected = "{'}', ',', '?', IDENTIFIER, ESC_IDENTIFIER}" if not fields else "{'}', '?', IDENTIFIER, ESC_IDENTIFIER}"
                raise _Problem(token.at, f"Syntax error: mismatched input '{token.text}' expecting {expected}")
            key = self._take()
            places.append(self._expect(":").at)
            fields.append((str(key.value) if key.kind == "quoted" else key.text, self._expression()))
            ends_in_comma = self._accept(",") is not None
            if not ends_in_comma:
                break
        self._close_items(len(fields), ends_in_comma=ends_in_comma)
        return CreateStruct(opening.at, _dotted(name), fields, places, frozenset(optional))


def _dotted(node: Node) -> str:
    """`a.b.c` as one name; "" for anything else."""
    if isinstance(node, Ident):
        return node.name
    if isinstance(node, Select) and not node.test_only:
        before = _dotted(node.operand)
        return f"{before}.{node.field}" if before else ""
    return ""
