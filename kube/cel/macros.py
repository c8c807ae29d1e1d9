"""Calls that are no calls: has, all, exists, exists_one, map, filter, those over two variables, sortBy, and optMap, optFlatMap.

They become comprehensions, as in cel-go, so that what they cost is the same. Source: cel-go `parser/macro.go`, `ext/comprehensions.go`,
`cel/library.go` (optional types).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from kube.cel.syntax import Call, Comprehension, Const, CreateList, CreateMap, Ident, Node, Select

ACCUMULATOR: Final = "@result"
_UNUSED: Final = "#unused"
_SORTED: Final = "@__sortBy_input__"

Problem = Callable[[int, str], Exception]


def expanded(at: int, name: str, target: Node | None, args: Sequence[Node], problem: Problem) -> Node:
    """A call, or what it stands for."""
    if target is None:
        return _has(at, args, problem) if name == "has" and len(args) == 1 else Call(at, name, None, args)
    macro = _MACROS.get((name, len(args)))
    return macro(at, name, target, args, problem) if macro is not None else Call(at, name, target, args)


def _has(at: int, args: Sequence[Node], problem: Problem) -> Node:
    (of,) = args
    if not isinstance(of, Select) or of.test_only:
        raise problem(of.at, "invalid argument to has() macro")
    return Select(at, of.operand, of.field, test_only=True)


def _variables(args: Sequence[Node], count: int, name: str, problem: Problem) -> tuple[str, ...]:
    names = []
    for each in args[:count]:
        if not isinstance(each, Ident):
            raise problem(each.at, "argument must be a simple name")
        if each.name == ACCUMULATOR:
            raise problem(each.at, "iteration variable overwrites accumulator variable")
        names.append(each.name)
    if count == 2 and names[0] == names[1]:
        raise problem(args[1].at, f"duplicate variable name: {names[0]}")
    return tuple(names)


def _quantifier(at: int, name: str, target: Node, args: Sequence[Node], problem: Problem) -> Node:
    """all, exists: they stop early."""
    count = len(args) - 1
    variables, accu = _variables(args, count, name, problem), Ident(at, ACCUMULATOR)
    is_all = name == "all"
    going: Node = accu if is_all else Call(at, "!_", None, [accu])
    condition = Call(at, "@not_strictly_false", None, [going])
    step = Call(at, "_&&_" if is_all else "_||_", None, [Ident(at, ACCUMULATOR), args[-1]])
    return Comprehension(at, name, variables, target, ACCUMULATOR, Const(at, is_all), condition, step, Ident(at, ACCUMULATOR))


def _exists_one(at: int, name: str, target: Node, args: Sequence[Node], problem: Problem) -> Node:
    variables, one = _variables(args, len(args) - 1, name, problem), Const(at, 1)
    more = Call(at, "_+_", None, [Ident(at, ACCUMULATOR), one])
    step = Call(at, "_?_:_", None, [args[-1], more, Ident(at, ACCUMULATOR)])
    result = Call(at, "_==_", None, [Ident(at, ACCUMULATOR), Const(at, 1)])
    return Comprehension(at, "exists_one", variables, target, ACCUMULATOR, Const(at, 0), Const(at, True), step, result)


def _listed(at: int, macro: str, variables: tuple[str, ...], target: Node, value: Node, keep: Node | None) -> Node:
    step: Node = Call(at, "_+_", None, [Ident(at, ACCUMULATOR), CreateList(at, [value])])
    if keep is not None:
        step = Call(at, "_?_:_", None, [keep, step, Ident(at, ACCUMULATOR)])
    return Comprehension(at, macro, variables, target, ACCUMULATOR, CreateList(at, []), Const(at, True), step, Ident(at, ACCUMULATOR))


def _filter(at: int, name: str, target: Node, args: Sequence[Node], problem: Problem) -> Node:
    variables = _variables(args, 1, name, problem)
    return _listed(at, "map", variables, target, Ident(args[0].at, variables[0]), args[1])


def _map(at: int, name: str, target: Node, args: Sequence[Node], problem: Problem) -> Node:
    variables = _variables(args, 1, name, problem)
    return _listed(at, "map", variables, target, args[-1], args[1] if len(args) == 3 else None)


def _transform_list(at: int, name: str, target: Node, args: Sequence[Node], problem: Problem) -> Node:
    variables = _variables(args, 2, name, problem)
    return _listed(at, "map", variables, target, args[-1], args[2] if len(args) == 4 else None)


def _transform_map(at: int, name: str, target: Node, args: Sequence[Node], problem: Problem) -> Node:
    variables = _variables(args, 2, name, problem)
    insert = [Ident(at, ACCUMULATOR), *([args[-1]] if name == "transformMapEntry" else [Ident(at, variables[0]), args[-1]])]
    step: Node = Call(at, "cel.@mapInsert", None, insert)
    if len(args) == 4:
        step = Call(at, "_?_:_", None, [args[2], step, Ident(at, ACCUMULATOR)])
    return Comprehension(at, "fold", variables, target, ACCUMULATOR, CreateMap(at, []), Const(at, True), step, Ident(at, ACCUMULATOR))


def _opt_map(at: int, name: str, target: Node, args: Sequence[Node], problem: Problem) -> Node:
    """The value, made into another one, where there is any."""
    (variable,) = _variables(args, 1, name, problem)
    bound = Comprehension(
        at, "bind", (_UNUSED,), CreateList(at, []), variable, Call(at, "value", target, []), Const(at, False), Ident(at, variable), args[1]
    )
    value: Node = Call(at, "optional.of", None, [bound]) if name == "optMap" else bound
    return Call(at, "_?_:_", None, [Call(at, "hasValue", target, []), value, Call(at, "optional.none", None, [])])


def _sort_by(at: int, name: str, target: Node, args: Sequence[Node], problem: Problem) -> Node:
    """By what an expression makes of each element."""
    if not isinstance(target, CreateList | Select | Ident | Comprehension | Call):
        raise problem(target.at, "sortBy can only be applied to a list, identifier, comprehension, call or select expression")
    keys = _map(at, name, Ident(at, _SORTED), args, problem)
    sort = Call(at, "@sortByAssociatedKeys", Ident(at, _SORTED), [keys])
    return Comprehension(at, "bind", (_UNUSED,), CreateList(at, []), _SORTED, target, Const(at, False), Ident(at, _SORTED), sort)


_MACROS: Final = {
    ("all", 2): _quantifier,
    ("exists", 2): _quantifier,
    ("exists_one", 2): _exists_one,
    ("existsOne", 2): _exists_one,
    ("map", 2): _map,
    ("map", 3): _map,
    ("filter", 2): _filter,
    ("all", 3): _quantifier,
    ("exists", 3): _quantifier,
    ("exists_one", 3): _exists_one,
    ("existsOne", 3): _exists_one,
    ("transformList", 3): _transform_list,
    ("transformList", 4): _transform_list,
    ("transformMap", 3): _transform_map,
    ("transformMap", 4): _transform_map,
    ("transformMapEntry", 3): _transform_map,
    ("transformMapEntry", 4): _transform_map,
    ("sortBy", 2): _sort_by,
    ("optMap", 2): _opt_map,
    ("optFlatMap", 2): _opt_map,
}
