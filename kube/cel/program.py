"""From a checked tree to a Python closure. Variables live in a list, each in a place that is known beforehand.

Errors go up as CelError; `&&`, `||` and the loops over them let go of an error that does not matter in the end.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from kube.cel.cost_functions import CHECK
from kube.cel.declarations import TYPE_NAMES
from kube.cel.guards import guarded
from kube.cel.library import FUNCTIONS
from kube.cel.library.mutation import made
from kube.cel.syntax import Call, CelError, Comprehension, Const, CostError, CreateList, CreateMap, CreateStruct, Ident, Node, Select
from kube.cel.values import NONE, Duration, Optional, Struct, UInt, no_overload

Run = Callable[[list[Any]], Any]
_PLAIN: Final = frozenset({"int", "string", "bool"})
COST_MAX: Final = 1_000_000
"""Of one evaluation: upstream's limit of a call. Only loops are counted, each turn by what it costs at least."""

_TOO_MUCH: Final = "operation cancelled: actual cost limit exceeded"
_COMPARE: Final = {"_<_": operator.lt, "_<=_": operator.le, "_>_": operator.gt, "_>=_": operator.ge}
_GO_NAMES: Final = {type(None): "Null", bool: "Bool", int: "Int", UInt: "Uint", float: "Double", str: "String", bytes: "Bytes"}
_ZEROS: Final[Mapping[str, Any]] = {"double": 0.0, "uint": UInt(0), "duration": Duration(0)}
_ORDERED: Final = frozenset({"int", "string", "double", "timestamp", "duration"})


def compile_node(node: Node, variables: Sequence[str], turns: Mapping[Node, int]) -> tuple[Run, int]:
    """(the closure, how many places it needs: first those of `variables`, then what loops have cost so far, then its own)

    `turns`: what each turn of a loop costs at least. An evaluation whose loops cost more than COST_MAX raises CostError.
    """
    compiler = _Compiler(variables, turns)
    run = compiler.of(node)
    return run, compiler.places


class _Compiler:
    def __init__(self, variables: Sequence[str], turns: Mapping[Node, int]) -> None:
        self._places = {name: place for place, name in enumerate(variables)}
        self._cost, self.places = len(variables), len(variables) + 1
        self._turns = turns

    def of(self, node: Node) -> Run:
        return _COMPILERS[type(node)](self, node)

    def _const(self, node: Const) -> Run:
        value = node.value
        return lambda _v: value

    def _ident(self, node: Ident) -> Run:
        name = node.name.removeprefix(".")
        place = self._places.get(name)
        if place is None:
            named = TYPE_NAMES[name]
            return lambda _v: named
        return lambda v: v[place]

    def _select(self, node: Select) -> Run:
        operand, field = self.of(node.operand), node.field
        return _has(operand, field) if node.test_only else _field(operand, field)

    # --- calls

    def _call(self, node: Call) -> Run:
        special = _SPECIAL.get(node.function)
        if special is not None:
            return special(*map(self.of, node.args))
        arguments = [*([node.target] if node.target is not None else []), *node.args]
        kinds = [each.type.kind for each in arguments]
        if node.function in ("_==_", "_!=_") and kinds[0] in _PLAIN and kinds[1] == kinds[0]:
            return _binary(operator.eq if node.function == "_==_" else operator.ne, *map(self.of, arguments))
        if node.function in _COMPARE and kinds[0] in _ORDERED and kinds[1] == kinds[0]:
            return _ordered(_COMPARE[node.function], *map(self.of, arguments))
        runs = [self.of(each) for each in arguments]
        function = FUNCTIONS[node.function]
        if node.function == "sum" and node.type.kind in _ZEROS:
            return _binary(function, runs[0], self._const(Const(node.at, _ZEROS[node.type.kind])))
        if node.function == "check":
            return _costly(_binary(function, *runs), self._cost, CHECK)
        guard = guarded(node, arguments)
        if guard is not None:
            return _guarded(function, runs, guard)
        if len(runs) == 1:
            return _unary(function, runs[0])
        if len(runs) == 2:
            return _binary(function, *runs)
        return lambda v: function(*[run(v) for run in runs])

    # --- literals

    def _list(self, node: CreateList) -> Run:
        runs = [(self.of(each), index in node.optional) for index, each in enumerate(node.items)]
        if not node.optional:
            plain = [run for run, _ in runs]
            return lambda v: [run(v) for run in plain]

        def make(v: list[Any]) -> list[Any]:
            out = []
            for run, optional in runs:
                value = run(v)
                if not optional:
                    out.append(value)
                elif value.has:
                    out.append(value.value)
            return out

        return make

    def _map(self, node: CreateMap) -> Run:
        runs = [(self.of(key), self.of(value), index in node.optional) for index, (key, value) in enumerate(node.entries)]

        def make(v: list[Any]) -> dict[Any, Any]:
            out: dict[Any, Any] = {}
            for key, run, optional in runs:
                name, value = key(v), run(v)
                if name in out:
                    raise CelError(f"insert failed: key {name} already exists")
                if not optional:
                    out[name] = value
                elif value.has:
                    out[name] = value.value
            return out

        return make

    def _struct(self, node: CreateStruct) -> Run:
        runs = [(name, self.of(value), index in node.optional) for index, (name, value) in enumerate(node.fields)]
        type_name = node.name

        def make(v: list[Any]) -> Struct:
            out: dict[str, Any] = {}
            for name, run, optional in runs:
                value = run(v)
                if not optional:
                    out[name] = value
                elif value.has:
                    out[name] = value.value
            return made(type_name, out)

        return make

    # --- loops

    def _loop(self, node: Comprehension) -> Run:
        before = dict(self._places)
        values = self.of(node.range)
        init = self.of(node.init)
        places = [self._place(name) for name in node.variables]
        accumulator = self._place(node.accumulator)
        if node.macro == "bind":
            result, self._places = self.of(node.result), before
            return _bound(accumulator, init, result)
        loop = _Loop(values, places, accumulator, self._cost, self._turns.get(node, 1))
        if node.macro in ("all", "exists"):
            run = _quantified(loop, self.of(node.step), is_all=node.macro == "all")
        elif node.macro == "map":
            keep, value = _collected_parts(node.step)
            run = _collected(loop, self.of(value), self.of(keep) if keep is not None else None)
        else:
            run = _folded(loop, init, self.of(node.step), self.of(node.result))
        self._places = before
        return run

    def _place(self, name: str) -> int:
        self._places[name] = self.places
        self.places += 1
        return self.places - 1


def _collected_parts(step: Node) -> tuple[Node | None, Node]:
    """(what decides whether an element is kept, if anything does; what it becomes)"""
    keep = None
    assert isinstance(step, Call)
    if step.function == "_?_:_":
        keep, step = step.args[0], step.args[1]
    assert isinstance(step, Call)
    assert isinstance(step.args[1], CreateList)
    return keep, step.args[1].items[0]


class _Loop:
    __slots__ = ("accumulator", "cost", "places", "turn", "values")

    def __init__(self, values: Run, places: list[int], accumulator: int, cost: int, turn: int) -> None:
        self.values, self.places, self.accumulator = values, places, accumulator
        self.cost, self.turn = cost, turn

    def assign(self, v: list[Any]) -> Iterable[None]:
        """Put each item of the range into its place; count what that costs."""
        values, cost, turn = self.values(v), self.cost, self.turn
        if not isinstance(values, list | Mapping):
            raise CelError(f"got 'types.{_GO_NAMES.get(type(values), type(values).__name__)}', expected iterable type")
        if len(self.places) == 1:
            (place,) = self.places
            for v[place] in values:
                v[cost] += turn
                if v[cost] > COST_MAX:
                    raise CostError(_TOO_MUCH)
                yield None
            return
        first, second = self.places
        for v[first], v[second] in enumerate(values) if isinstance(values, list) else values.items():
            v[cost] += turn
            if v[cost] > COST_MAX:
                raise CostError(_TOO_MUCH)
            yield None


def _quantified(loop: _Loop, step: Run, *, is_all: bool) -> Run:
    """all and exists: one that decides ends it; errors count only when nothing decides."""
    accumulator = loop.accumulator

    def run(v: list[Any]) -> bool:
        failed: CelError | None = None
        v[accumulator] = is_all
        for _ in loop.assign(v):
            try:
                if step(v) is not is_all:
                    return not is_all
            except CelError as error:
                failed = failed or error
        if failed is not None:
            raise failed
        return is_all

    return run


def _collected(loop: _Loop, value: Run, keep: Run | None) -> Run:
    """map and filter: appends, where the tree says to add lists of one."""

    def run(v: list[Any]) -> list[Any]:
        if keep is None:
            return [value(v) for _ in loop.assign(v)]
        return [value(v) for _ in loop.assign(v) if _is_true(keep(v))]

    return run


def _is_true(value: Any) -> bool:
    if value is True or value is False:
        return bool(value)
    raise no_overload()


def _folded(loop: _Loop, init: Run, step: Run, result: Run) -> Run:
    accumulator = loop.accumulator

    def run(v: list[Any]) -> Any:
        v[accumulator] = init(v)
        for _ in loop.assign(v):
            v[accumulator] = step(v)
        return result(v)

    return run


def _bound(place: int, init: Run, result: Run) -> Run:
    def run(v: list[Any]) -> Any:
        v[place] = init(v)
        return result(v)

    return run


# --- parts


def _field(operand: Run, field: str) -> Run:
    def run(v: list[Any]) -> Any:
        of = operand(v)
        try:
            return of[field]
        except KeyError:
            raise CelError(f"no such key: {field}") from None
        except TypeError:
            if isinstance(of, Optional):
                return _optional_field(of, field)
            raise _without_fields(of, field) from None

    return run


def _without_fields(of: Any, field: str) -> CelError:
    """What is said of a value that has no fields at all: null, too, is only one that lacks this."""
    if isinstance(of, list):
        return CelError("unsupported index type 'string' in list")
    return CelError(f"no such key: {field}")


def _has(operand: Run, field: str) -> Run:
    def run(v: list[Any]) -> bool:
        of = operand(v)
        if isinstance(of, Optional):
            return of.has and isinstance(of.value, Mapping) and field in of.value
        if isinstance(of, list):
            raise _without_fields(of, field)
        return isinstance(of, Mapping) and field in of

    return run


def _optional_field(of: Any, field: str) -> Optional:
    if isinstance(of, Optional):
        if not of.has:
            return NONE
        of = of.value
    if not isinstance(of, Mapping):
        raise no_overload()
    return Optional(of[field]) if field in of else NONE


def _optional_select(operand: Run, field: Run) -> Run:
    return lambda v: _optional_field(operand(v), field(v))


def _unary(function: Callable[[Any], Any], argument: Run) -> Run:
    return lambda v: function(argument(v))


def _costly(run: Run, place: int, cost: int) -> Run:
    """Counts what a call costs before it is made."""

    def costing(v: list[Any]) -> Any:
        v[place] += cost
        if v[place] > COST_MAX:
            raise CostError(_TOO_MUCH)
        return run(v)

    return costing


def _guarded(function: Callable[..., Any], runs: Sequence[Run], guard: Callable[[Sequence[Any]], None]) -> Run:
    def run(v: list[Any]) -> Any:
        values = [each(v) for each in runs]
        guard(values)
        return function(*values)

    return run


def _binary(function: Callable[[Any, Any], Any], left: Run, right: Run) -> Run:
    return lambda v: function(left(v), right(v))


def _ordered(function: Callable[[Any, Any], Any], left: Run, right: Run) -> Run:
    def run(v: list[Any]) -> Any:
        try:
            return function(left(v), right(v))
        except TypeError:
            raise no_overload() from None

    return run


def _logic(is_and: bool) -> Callable[[Run, Run], Run]:
    """One side that decides is enough, whatever becomes of the other."""
    decides = not is_and

    def make(left: Run, right: Run) -> Run:
        def run(v: list[Any]) -> bool:
            failed: CelError | None = None
            for side in (left, right):
                try:
                    found = side(v)
                except CelError as error:
                    failed = failed or error
                    continue
                if found is decides:
                    return not is_and
                if found is not is_and:
                    failed = failed or no_overload()
            if failed is not None:
                raise failed
            return is_and

        return run

    return make


def _condition(test: Run, yes: Run, no: Run) -> Run:
    def run(v: list[Any]) -> Any:
        found = test(v)
        if found is True:
            return yes(v)
        if found is False:
            return no(v)
        raise no_overload()

    return run


def _not(operand: Run) -> Run:
    def run(v: list[Any]) -> bool:
        found = operand(v)
        if found is True or found is False:
            return not found
        raise no_overload()

    return run


_SPECIAL: Final[Mapping[str, Callable[..., Run]]] = {
    "_&&_": _logic(is_and=True),
    "_||_": _logic(is_and=False),
    "_?_:_": _condition,
    "!_": _not,
    "@not_strictly_false": lambda operand: operand,
    "_?._": _optional_select,
}

_COMPILERS: Final[Mapping[type, Callable[[Any, Any], Run]]] = {
    Const: _Compiler._const,
    Ident: _Compiler._ident,
    Select: _Compiler._select,
    Call: _Compiler._call,
    CreateList: _Compiler._list,
    CreateMap: _Compiler._map,
    CreateStruct: _Compiler._struct,
    Comprehension: _Compiler._loop,
}
