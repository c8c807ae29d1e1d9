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
_IN_BRACKET: Final = _EXPRESSION.replace("'!', ", "'!', '\\u003F', ")
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
    except (LexError, _Problem) as problem:
        raise CompileError(located(text, problem.at, str(problem))) from None


class _Parser:
    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

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
        if token.kind == "eof" and kind != ":":
            raise _Problem(token.at, f"Syntax error: missing '{kind}' at '<EOF>'")
        raise _Problem(token.at, f"Syntax error: mismatched input '{token.text}' expecting '{kind}'")

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
        operand = self._member(self._primary(_EXPRESSION))
        return Call(token.at, f"{token.kind}_", None, [operand]) if count % 2 else operand

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
            found = self._expression()
            self._expect(")")
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
            raise _Problem(token.at, f"Syntax error: no viable alternative at input '.{token.text}'")
        self._take()
        name = f".{token.text}" if leading else token.text
        if self._now.kind == "(":
            opening = self._take()
            return macros.expanded(opening.at, token.text if leading is None else name, None, self._arguments(), _Problem)
        if token.text in RESERVED:
            raise _Problem(token.at, f"reserved identifier: {token.text}")
        return Ident(token.at, name)

    def _arguments(self) -> list[Node]:
        found: list[Node] = []
        if self._accept(")"):
            return found
        found.append(self._expression(_IN_CALL))
        while self._accept(","):
            found.append(self._expression())
        self._expect(")")
        return found

    def _list(self) -> Node:
        opening = self._take()
        items: list[Node] = []
        optional: set[int] = set()
        while self._now.kind not in ("]", "eof"):
            if self._accept("?"):
                optional.add(len(items))
            items.append(self._expression())
            if not self._accept(","):
                break
        self._expect("]")
        return CreateList(opening.at, items, frozenset(optional))

    def _map(self) -> Node:
        opening = self._take()
        entries: list[tuple[Node, Node]] = []
        optional: set[int] = set()
        while self._now.kind not in ("}", "eof"):
            if self._accept("?"):
                optional.add(len(entries))
            key = self._expression()
            self._expect(":")
            entries.append((key, self._expression()))
            if not self._accept(","):
                break
        self._expect("}")
        return CreateMap(opening.at, entries, frozenset(optional))

    # --- what follows a primary

    def _member(self, found: Node) -> Node:
        while True:
            token = self._now
            if token.kind == ".":
                found = self._select(found)
            elif token.kind == "[":
                self._take()
                function = "_[?_]" if self._accept("?") else "_[_]"
                index = self._expression(_IN_BRACKET if function == "_[_]" else _EXPRESSION)
                self._expect("]")
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
            if _dotted(operand) and not optional:  # it could still be the name of a message
                raise _Problem(token.at, f"Syntax error: mismatched input '{token.text}' expecting IDENTIFIER")
            raise _Problem(token.at, f"Syntax error: no viable alternative at input '.{token.text}'")
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
        while self._now.kind != "}":
            if self._accept("?"):
                optional.add(len(fields))
            token = self._now
            if token.kind not in ("ident", "quoted"):
                expected = "{'}', ',', '?', IDENTIFIER, ESC_IDENTIFIER}" if not fields else "{'}', '?', IDENTIFIER, ESC_IDENTIFIER}"
                raise _Problem(token.at, f"Syntax error: mismatched input '{token.text}' expecting {expected}")
            key = self._take()
            places.append(self._expect(":").at)
            fields.append((str(key.value) if key.kind == "quoted" else key.text, self._expression()))
            if not self._accept(","):
                break
        self._expect("}")
        return CreateStruct(opening.at, _dotted(name), fields, places, frozenset(optional))


def _dotted(node: Node) -> str:
    """`a.b.c` as one name; "" for anything else."""
    if isinstance(node, Ident):
        return node.name
    if isinstance(node, Select) and not node.test_only:
        before = _dotted(node.operand)
        return f"{before}.{node.field}" if before else ""
    return ""
