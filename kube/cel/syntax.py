"""The tree of an expression. Every node has its place in the text; the checker adds its type and, to calls, their overloads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from kube.cel.types import DYN, Type


class CelError(Exception):
    """What goes wrong while an expression is evaluated; the text is cel-go's."""


class CostError(Exception):
    """An evaluation that costs more than it may. Nothing in an expression can let go of it."""


class CompileError(ValueError):
    """An expression that cannot be compiled. The text is cel-go's: one problem after the other, each with the line it is in."""


@dataclass(slots=True, eq=False)
class Node:
    at: int
    type: Type = field(default=DYN, init=False)


@dataclass(slots=True, eq=False)
class Const(Node):
    value: Any


@dataclass(slots=True, eq=False)
class Ident(Node):
    name: str


@dataclass(slots=True, eq=False)
class Select(Node):
    operand: Node
    field: str
    test_only: bool = False
    """has(operand.field)"""


@dataclass(slots=True, eq=False)
class Call(Node):
    function: str
    target: Node | None
    args: Sequence[Node]
    overloads: list[str] = field(default_factory=list, init=False)


@dataclass(slots=True, eq=False)
class CreateList(Node):
    items: Sequence[Node]
    optional: frozenset[int] = frozenset()


@dataclass(slots=True, eq=False)
class CreateMap(Node):
    entries: Sequence[tuple[Node, Node]]
    optional: frozenset[int] = frozenset()


@dataclass(slots=True, eq=False)
class CreateStruct(Node):
    name: str
    fields: Sequence[tuple[str, Node]]
    places: Sequence[int]
    """Where the colon of each field is."""
    optional: frozenset[int] = frozenset()


@dataclass(slots=True, eq=False)
class Comprehension(Node):
    """A loop over a list or a map: `accumulator` begins as `init`, becomes `step` for each item while `condition` is true; then comes
    `result`. `macro` names what it was written as."""

    macro: str
    variables: tuple[str, ...]
    range: Node
    accumulator: str
    init: Node
    condition: Node
    step: Node
    result: Node
