"""The way in: an expression over declared variables becomes a `Program`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kube.cel.checker import Structs, check, children
from kube.cel.cost import least_of_loops
from kube.cel.library import FUNCTIONS
from kube.cel.literals import pattern
from kube.cel.parser import parse
from kube.cel.program import compile_node
from kube.cel.syntax import Call, CelError, CompileError, Const, CostError, Node
from kube.cel.types import Type

__all__ = ["CelError", "CompileError", "CostError", "Program", "compile_expression"]


class Program:
    """A compiled expression. `type` is its result's, `uses` the variables that it mentions, `tree` the checked tree.

    `spent` is what the loops of the last evaluation have cost at least.
    `problem` is why nothing can be evaluated although the expression compiles: a pattern in it is none. "" where all is well.
    """

    __slots__ = ("_names", "_places", "_run", "problem", "spent", "tree", "type", "uses")

    def __init__(self, tree: Node, uses: frozenset[str], names: tuple[str, ...]) -> None:
        self.tree, self.type, self.uses = tree, tree.type, uses
        self._names = names
        self._run, self._places = compile_node(tree, names, least_of_loops(tree))
        self.problem = _made_wrong(tree)
        self.spent = 0

    def evaluate(self, values: Mapping[str, Any]) -> Any:
        """The value. Raises CelError, or CostError."""
        places: list[Any] = [values.get(name) for name in self._names]
        places.append(0)
        places += [None] * (self._places - len(places))
        self.spent = 0
        try:
            found = self._run(places)
            self.spent = places[len(self._names)]
            return found
        except (TypeError, AttributeError, OverflowError, RecursionError) as wrong:
            raise CelError("no such overload") from wrong


_CONVERSIONS: Final = frozenset(("bool", "bytes", "double", "duration", "int", "string", "timestamp", "uint"))


def _made_wrong(node: Node) -> str:
    """What goes wrong with what is worked out once and for all: patterns, and conversions of constants."""
    if isinstance(node, Call) and len(node.args) == 1 and isinstance(node.args[0], Const):
        try:
            if node.function in ("find", "findAll"):
                pattern(node.args[0].value)
            elif node.function in _CONVERSIONS and node.target is None:
                FUNCTIONS[node.function](node.args[0].value)
        except CelError as problem:
            return str(problem)
    return next(filter(None, map(_made_wrong, children(node))), "")


def compile_expression(text: str, variables: Mapping[str, Type], structs: Structs | None = None) -> Program:
    """`structs`: the types that may be written as `Name{field: value}`. Raises CompileError."""
    tree, uses = check(parse(text), text, variables, structs)
    return Program(tree, uses, tuple(variables))
