"""The expressions of KWOK's ResourceUsage and Metric objects: CEL, as far as they need it, over `node`, `pod` and `container`.

    "kwok.x-k8s.io/usage-cpu" in pod.metadata.annotations
      ? Quantity(pod.metadata.annotations["kwok.x-k8s.io/usage-cpu"]) : Quantity("1m")
    Quantity("10m") * (pod.SinceSecond() / 60.0)

Parsed by `kube/cel`, compiled once into closures. Numbers are floats throughout, Quantities are numbers, what is not there is nothing
(null), which is in nothing and equal to nothing else. What is not understood is refused when it is read, by name (`StageError`).
Source: KWOK `pkg/utils/cel`, `pkg/kwok/metrics/evaluator.go`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from kube.cel.parser import parse
from kube.cel.syntax import Call, CompileError, Const, CreateList, Ident, Node, Select
from kube.clock import parse_time
from kube.objects import Object
from kube.quantity import QuantityError
from kube.quantity import parse as parse_quantity
from kubelet.stages.query import StageError

VARIABLES: Final = ("node", "pod", "container")


@dataclass(frozen=True, slots=True)
class World:
    """What an expression is about, and what it may ask. `usage` and `cumulative`: (of a pod or a node, resource, container or "") ->
    cores or bytes; None where an expression may not ask that."""

    now: datetime
    rand: Callable[[], float]
    objects: Mapping[str, Object | None] = field(default_factory=dict)
    usage: Callable[[Object, str, str], float] | None = None
    cumulative: Callable[[Object, str, str], float] | None = None
    started: Callable[[Object], float] | None = None


class Unanswered(Exception):
    """The expression has no value for this object; the text says why."""


Compiled = Callable[[World], Any]


class Expression:
    """A compiled expression. Raises StageError for what is not understood."""

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            self._run = _compiled(parse(text))
        except CompileError as error:
            raise StageError(f"expression {text!r}: {str(error).splitlines()[0]}") from error
        except StageError as error:
            raise StageError(f"expression {text!r}: {error}") from error

    def number(self, world: World) -> float:
        """Raises Unanswered."""
        value = self._value(world)
        if isinstance(value, bool):
            return 1.0 if value else 0.0
        if isinstance(value, int | float):
            return float(value)
        raise Unanswered(f"expression {self.text!r}: {value!r} is no number")

    def string(self, world: World) -> str:
        """Raises Unanswered."""
        value = self._value(world)
        if isinstance(value, str):
            return value
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, int | float):
            return repr(value).removesuffix(".0")
        raise Unanswered(f"expression {self.text!r}: {value!r} is no text")

    def _value(self, world: World) -> Any:
        try:
            return self._run(world)
        except (TypeError, ValueError, KeyError, IndexError, ZeroDivisionError, OverflowError, AttributeError) as error:
            raise Unanswered(f"expression {self.text!r}: {error}") from error


# --- compiling ----------------------------------------------------------------------------------------------------------------------


def _compiled(node: Node) -> Compiled:
    if isinstance(node, Const):
        value = float(node.value) if isinstance(node.value, int) and not isinstance(node.value, bool) else node.value
        return lambda _: value
    if isinstance(node, Ident):
        return _variable(node.name)
    if isinstance(node, Select):
        return _field(node)
    if isinstance(node, CreateList):
        items = [_compiled(each) for each in node.items]
        return lambda world: [each(world) for each in items]
    if isinstance(node, Call):
        return _call(node)
    raise StageError(f"{type(node).__name__} is not understood")


def _variable(name: str) -> Compiled:
    if name not in VARIABLES:
        raise StageError(f"there is no {name!r}, only {', '.join(VARIABLES)}")
    return lambda world: world.objects.get(name)


def _field(node: Select) -> Compiled:
    operand, name = _compiled(node.operand), node.field

    def select(world: World) -> Any:
        value = operand(world)
        return value.get(name) if isinstance(value, Mapping) else None

    return (lambda world: select(world) is not None) if node.test_only else select


def _call(node: Call) -> Compiled:
    args = [_compiled(each) for each in node.args]
    special = _SPECIAL.get(node.function)
    if special is not None and node.target is None:
        return special(args)
    plain = _OPERATORS.get(node.function)
    if plain is not None and node.target is None:
        return lambda world: plain(*(each(world) for each in args))
    asking = _FUNCTIONS.get(node.function)
    if asking is None:
        raise StageError(f"function {node.function!r} is not understood")
    everything = args if node.target is None else [_compiled(node.target), *args]
    return lambda world: asking(world, *(each(world) for each in everything))


def _conditional(args: Sequence[Compiled]) -> Compiled:
    condition, yes, no = args
    return lambda world: yes(world) if condition(world) else no(world)


def _and(args: Sequence[Compiled]) -> Compiled:
    return lambda world: all(each(world) for each in args)


def _or(args: Sequence[Compiled]) -> Compiled:
    return lambda world: any(each(world) for each in args)


_SPECIAL: Final[Mapping[str, Callable[[Sequence[Compiled]], Compiled]]] = {"_?_:_": _conditional, "_&&_": _and, "_||_": _or}


def _in(value: Any, values: Any) -> bool:
    return values is not None and value in values


def _indexed(values: Any, key: Any) -> Any:
    if isinstance(values, list):
        return values[int(key)]
    return values.get(key) if isinstance(values, Mapping) else None


_OPERATORS: Final[Mapping[str, Callable[..., Any]]] = {
    "_+_": operator.add,
    "_-_": operator.sub,
    "_*_": operator.mul,
    "_/_": operator.truediv,
    "_%_": operator.mod,
    "-_": operator.neg,
    "!_": operator.not_,
    "_==_": operator.eq,
    "_!=_": operator.ne,
    "_<_": operator.lt,
    "_<=_": operator.le,
    "_>_": operator.gt,
    "_>=_": operator.ge,
    "@in": _in,
    "_[_]": _indexed,
}


# --- functions ----------------------------------------------------------------------------------------------------------------------


def _quantity(_world: World, text: Any) -> float:
    if not isinstance(text, str):
        raise ValueError(f"{text!r} is no quantity")
    try:
        return parse_quantity(text).nano / 1e9
    except QuantityError as error:
        raise ValueError(f"{text!r}: {error}") from error


def _moment(value: Any) -> datetime:
    found = parse_time(value) if isinstance(value, str) else value
    if not isinstance(found, datetime):
        raise ValueError(f"{value!r} is no time")
    return found


def _since(world: World, obj: Any) -> float:
    return (world.now - _moment((obj or {}).get("metadata", {}).get("creationTimestamp"))).total_seconds()


def _usage(world: World, obj: Any, resource: str, container: str = "") -> float:
    if world.usage is None:
        raise ValueError("usage cannot be asked for here")
    return world.usage(obj, resource, container)


def _cumulative(world: World, obj: Any, resource: str, container: str = "") -> float:
    if world.cumulative is None:
        raise ValueError("usage cannot be asked for here")
    return world.cumulative(obj, resource, container)


def _started(world: World, node: Any) -> float:
    if world.started is None:
        raise ValueError("containers cannot be counted here")
    return world.started(node)


_FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "Quantity": _quantity,
    "Now": lambda world: world.now,
    "now": lambda world: world.now,
    "Rand": lambda world: world.rand(),
    "UnixSecond": lambda _, moment: _moment(moment).timestamp(),
    "SinceSecond": _since,
    "Usage": _usage,
    "CumulativeUsage": _cumulative,
    "StartedContainersTotal": _started,
    "startedContainersTotal": _started,
    "size": lambda _, value: float(len(value or ())),
    "startsWith": lambda _, text, start: (text or "").startswith(start),
    "endsWith": lambda _, text, end: (text or "").endswith(end),
    "contains": lambda _, text, part: part in (text or ""),
    "double": lambda _, value: float(value),
    "int": lambda _, value: float(int(float(value))),
    "string": lambda _, value: value if isinstance(value, str) else repr(value).removesuffix(".0"),
}
"""The receiver of a method comes first, as it does in the call of a function of that name."""
