"""From a checked tree to a Python closure. Variables live in a list, each in a place that is known beforehand.

Errors go up as CelError; `&&`, `||` and the loops over them let go of an error that does not matter in the end.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from kube.cel.declarations import TYPE_NAMES
from kube.cel.library import FUNCTIONS
from kube.cel.syntax import Call, CelError, Comprehension, Const, CreateList, CreateMap, Ident, Node, Select
from kube.cel.values import NONE, Duration, Optional, UInt, no_overload

Run = Callable[[list[Any]], Any]
_PLAIN: Final = frozenset({"int", "string", "bool"})
_COMPARE: Final = {"_<_": operator.lt, "_<=_": operator.le, "_>_": operator.gt, "_>=_": operator.ge}
_ZEROS: Final[Mapping[str, Any]] = {"double": 0.0, "uint": UInt(0), "duration": Duration(0)}
_ORDERED: Final = frozenset({"int", "string", "double", "timestamp", "duration"})


def compile_node(node: Node, variables: Sequence[str]) -> tuple[Run, int]:
    """(the closure, how many places it needs: first those of `variables`, then its own)"""
    compiler = _Compiler(variables)
    run = compiler.of(node)
    return run, compiler.places


class _Compiler:
    def __init__(self, variables: Sequence[str]) -> None:
        self._places = {name: place for place, name in enumerate(variables)}
        self.places = len(variables)

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

    # --- loops

    def _loop(self, node: Comprehension) -> Run:
        before = dict(self._places)
        values = self.of(node.range)
        init = self.of(node.init)
        places = [self._place(name) for name in node.variables]
        accumulator = self._place(node.accumulator)
        step, condition, result = self.of(node.step), self.of(node.condition), self.of(node.result)
        self._places = before
        if node.macro == "bind":
            return _bound(accumulator, init, result)
        loop = _quantified if node.macro in ("all", "exists") else _folded
        return loop(_Loop(values, places, accumulator, init, condition, step, result, is_all=node.macro == "all"))

    def _place(self, name: str) -> int:
        self._places[name] = self.places
        self.places += 1
        return self.places - 1


class _Loop:
    __slots__ = ("accumulator", "condition", "init", "is_all", "places", "result", "step", "values")

    def __init__(
        self, values: Run, places: list[int], accumulator: int, init: Run, condition: Run, step: Run, result: Run, *, is_all: bool
    ) -> None:
        self.values, self.places, self.accumulator, self.init = values, places, accumulator, init
        self.condition, self.step, self.result, self.is_all = condition, step, result, is_all

    def assign(self, v: list[Any]) -> Iterable[None]:
        """Put each item of the range into its place."""
        values = self.values(v)
        if len(self.places) == 1:
            (place,) = self.places
            if not isinstance(values, list | Mapping):
                raise no_overload()
            for each in values:
                v[place] = each
                yield None
            return
        first, second = self.places
        pairs = enumerate(values) if isinstance(values, list) else values.items() if isinstance(values, Mapping) else None
        if pairs is None:
            raise no_overload()
        for one, other in pairs:
            v[first], v[second] = one, other
            yield None


def _quantified(loop: _Loop) -> Run:
    """all and exists: one that decides ends it; errors count only when nothing decides."""
    step, accumulator, start = loop.step, loop.accumulator, loop.is_all

    def run(v: list[Any]) -> bool:
        failed: CelError | None = None
        v[accumulator] = start
        for _ in loop.assign(v):
            try:
                if step(v) is not start:
                    return not start
            except CelError as error:
                failed = failed or error
        if failed is not None:
            raise failed
        return start

    return run


def _folded(loop: _Loop) -> Run:
    def run(v: list[Any]) -> Any:
        v[loop.accumulator] = loop.init(v)
        for _ in loop.assign(v):
            v[loop.accumulator] = loop.step(v)
        return loop.result(v)

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
            raise no_overload() from None

    return run


def _has(operand: Run, field: str) -> Run:
    def run(v: list[Any]) -> bool:
        of = operand(v)
        if isinstance(of, Optional):
            return of.has and isinstance(of.value, Mapping) and field in of.value
        if not isinstance(of, Mapping):
            raise no_overload()
        return field in of

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
    Comprehension: _Compiler._loop,
}
