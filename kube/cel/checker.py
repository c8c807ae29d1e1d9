"""Finds the type of every expression, and which overloads its calls may be. Source: cel-go `checker/checker.go`, `checker/errors.go`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from kube.cel import types
from kube.cel.declarations import TYPE_NAMES, Overload, functions
from kube.cel.library.formatting import format_problem
from kube.cel.literals import LITERALS, SECONDS
from kube.cel.parser import located
from kube.cel.syntax import (
    Call,
    CompileError,
    Comprehension,
    Const,
    CreateList,
    CreateMap,
    CreateStruct,
    Ident,
    Node,
    Select,
)
from kube.cel.types import Type, is_dyn, joined, substitute, unify
from kube.cel.values import type_of

PROBLEMS_MAX: Final = 100


Structs = Callable[[str], "Type | None"]
"""The type that a name stands for in `Name{field: value}`, None for no such type."""


def check(node: Node, text: str, variables: Mapping[str, Type], structs: Structs | None = None) -> tuple[Node, frozenset[str]]:
    """(the tree, with calls of functions in namespaces named as such; the variables it uses). Raises CompileError."""
    checker = _Checker(variables, structs)
    found = checker.check(node)
    if not checker.problems:
        checker.settle(found)
    if checker.problems:
        shown = sorted(checker.problems, key=lambda each: each[0])[:PROBLEMS_MAX]
        raise CompileError("\n".join(located(text, at, message) for at, message in shown))
    return found, frozenset(checker.used)


class _Checker:
    def __init__(self, variables: Mapping[str, Type], structs: Structs | None) -> None:
        self._structs = structs
        self._variables: dict[str, Type] = dict(variables)
        self._global = frozenset(variables)
        self._known: dict[str, Type] = {}
        self._fresh = 0
        self._nodes: list[Node] = []
        self.used: set[str] = set()
        self.problems: list[tuple[int, str]] = []

    def _problem(self, at: int, message: str) -> Type:
        if (at, message) not in self.problems:
            self.problems.append((at, message))
        return types.ERROR

    def _param(self) -> Type:
        self._fresh += 1
        return types.param(f"_var{self._fresh}")

    def _shown(self, of: Type) -> Type:
        return substitute(of, self._known, default=types.DYN)

    def settle(self, root: Node) -> None:
        """Types without parameters, once all is known; and what literals must be."""
        for node in self._nodes:
            node.type = self._shown(node.type)
        for node in self._nodes:
            if isinstance(node, Call) and node.function in LITERALS:
                argument = node.args[-1] if node.args else None
                if isinstance(argument, Const) and not _is_fine(node.function, argument.value):
                    self._problem(argument.at, f"invalid {node.function} argument")
            elif isinstance(node, Call) and node.function == "format":
                self._format(node)
        self._alike(root)

    def _format(self, node: Call) -> None:
        text, values = node.target, node.args[0] if len(node.args) == 1 else None
        if isinstance(text, Const) and isinstance(text.value, str) and isinstance(values, CreateList):
            found = format_problem(text.value, values.items)
            if found is not None:
                self._problem((found[0] or node).at, found[1])

    def _alike(self, node: Node) -> None:
        """Elements of literals are of one type, but for what is formatted."""
        if isinstance(node, Call) and node.function == "format":
            return
        if isinstance(node, CreateList):
            self._of_one_type(node.items, node.optional)
        elif isinstance(node, CreateMap):
            self._of_one_type([key for key, _ in node.entries], frozenset())
            self._of_one_type([value for _, value in node.entries], node.optional)
        for each in children(node):
            self._alike(each)

    def _of_one_type(self, nodes: Sequence[Node], optional: frozenset[int]) -> None:
        found = [each.type.params[0] if at in optional and each.type.params else each.type for at, each in enumerate(nodes)]
        for node, of in zip(nodes, found, strict=True):
            if of != found[0]:
                self._problem(node.at, f"expected type '{found[0]}' but found '{of}'")
                return

    def check(self, node: Node) -> Node:
        replaced, found = _CHECKS[type(node)](self, node)
        replaced.type = found
        self._nodes.append(replaced)
        return replaced

    # --- names

    def _const(self, node: Const) -> tuple[Node, Type]:
        return node, type_of(node.value)

    def _ident(self, node: Ident) -> tuple[Node, Type]:
        found = self._named(node.name.removeprefix("."))
        if found is None:
            found = self._problem(node.at, f"undeclared reference to '{node.name}' (in container '')")
        return node, found

    def _named(self, name: str) -> Type | None:
        if name in self._variables:
            if name in self._global:
                self.used.add(name)
            return self._variables[name]
        return types.type_of(TYPE_NAMES[name]) if name in TYPE_NAMES else None

    def _select(self, node: Select) -> tuple[Node, Type]:
        name = dotted(node)
        if name and name.partition(".")[0] not in self._variables and name in TYPE_NAMES and not node.test_only:
            return Ident(node.at, name), types.type_of(TYPE_NAMES[name])
        if name in self._global and not node.test_only:  # a variable with a dot in its name
            self.used.add(name)
            return Ident(node.at, name), self._variables[name]
        node.operand = self.check(node.operand)
        found = self._field(node, self._shown(node.operand.type), node.field)
        return node, types.BOOL if node.test_only and found is not types.ERROR else found

    def _field(self, node: Node, of: Type, name: str) -> Type:
        if of.kind == "map":
            return of.params[1]
        if of.kind == "object":
            found = of.fields.get(name)
            return found if found is not None else self._problem(node.at, f"undefined field '{name}'")
        if of.kind == "optional_type":
            inner = self._field(node, of.params[0], name)
            return types.optional_of(inner) if inner is not types.ERROR else inner
        if is_dyn(of) or of.kind == "param":
            return types.DYN
        if str(of).startswith("kubernetes."):  # declared as a message, which nobody has described
            return self._problem(node.at, f"unexpected failed resolution of '{of}'")
        return self._problem(node.at, f"type '{of}' does not support field selection")

    # --- calls

    def _call(self, node: Call) -> tuple[Node, Type]:
        if node.target is not None:
            space = dotted(node.target)
            name = f"{space}.{node.function}"
            if space and space.partition(".")[0] not in self._variables and name in functions():
                node = Call(node.at, name, None, node.args)
        if node.function == "_?._":
            return self._optional_select(node)
        if node.target is not None:
            node.target = self.check(node.target)
        node.args = [self.check(each) for each in node.args]
        overloads = functions().get(node.function)
        if overloads is None:
            return node, self._problem(node.at, f"undeclared reference to '{node.function}' (in container '')")
        return node, self._resolved(node, overloads)

    def _optional_select(self, node: Call) -> tuple[Node, Type]:
        operand = self.check(node.args[0])
        node.args = [operand, self.check(node.args[1])]
        field = node.args[1]
        assert isinstance(field, Const)
        of = self._shown(operand.type)
        found = self._field(node, of.params[0] if of.kind == "optional_type" else of, field.value)
        node.overloads = ["select_optional_field"]
        return node, types.optional_of(found) if found is not types.ERROR else found

    def _resolved(self, node: Call, overloads: Sequence[Overload]) -> Type:
        arguments = [*([node.target] if node.target is not None else []), *node.args]
        given = [each.type for each in arguments]
        if any(each is types.ERROR for each in given):
            return types.ERROR
        result: Type | None = None
        is_settled = all(not each.params and each.kind != "param" for each in given)
        for overload in overloads:
            if overload.is_member != (node.target is not None) or len(overload.params) != len(given):
                continue
            fresh = self._instance(overload)
            trial = self._known if is_settled and not overload.free else dict(self._known)
            if all(unify(wanted, each, trial) for wanted, each in zip(fresh.params, given, strict=True)):
                self._known = trial
                node.overloads.append(overload.id)
                mine = substitute(fresh.result, self._known)
                if result is None:
                    result = mine
                elif not is_dyn(result) and mine != result:
                    result = types.DYN
        return result if result is not None else self._no_overload(node, given)

    def _no_overload(self, node: Call, given: Sequence[Type]) -> Type:
        shown = [str(self._shown(each)) for each in given]
        applied = f"({', '.join(shown)})" if node.target is None else f"{shown[0]}.({', '.join(shown[1:])})"
        return self._problem(node.at, f"found no matching overload for '{node.function}' applied to '{applied}'")

    def _instance(self, overload: Overload) -> Overload:
        if not overload.free:
            return overload
        known = {name: self._param() for name in overload.free}
        params = tuple(substitute(each, known) for each in overload.params)
        return Overload(overload.id, overload.name, overload.is_member, params, substitute(overload.result, known))

    # --- literals

    def _element(self, node: Node, *, optional: bool) -> tuple[Node, Type]:
        checked = self.check(node)
        if not optional:
            return checked, checked.type
        of = substitute(checked.type, self._known)
        if of.kind == "optional_type":
            return checked, of.params[0]
        return checked, types.DYN if is_dyn(of) else self._problem(node.at, f"expected type 'optional_type({of})' but found '{of}'")

    def _same(self, wanted: Type | None, given: Type) -> Type:
        """One type for all."""
        return given if wanted is None else joined(wanted, given, self._known)

    def _list(self, node: CreateList) -> tuple[Node, Type]:
        of: Type | None = None
        items: list[Node] = []
        for index, each in enumerate(node.items):
            item, found = self._element(each, optional=index in node.optional)
            items.append(item)
            of = self._same(of, found)
        node.items = items
        return node, types.list_of(of if of is not None else self._param())

    def _map(self, node: CreateMap) -> tuple[Node, Type]:
        keys: Type | None = None
        values: Type | None = None
        entries: list[tuple[Node, Node]] = []
        for index, (key, value) in enumerate(node.entries):
            checked = self.check(key)
            keys = self._same(keys, checked.type)
            item, found = self._element(value, optional=index in node.optional)
            values = self._same(values, found)
            entries.append((checked, item))
        node.entries = entries
        return node, types.map_of(keys or self._param(), values or self._param())

    def _struct(self, node: CreateStruct) -> tuple[Node, Type]:
        of = self._structs(node.name) if self._structs is not None else None
        if of is None:
            return node, self._problem(node.at, f"undeclared reference to '{node.name}' (in container '')")
        fields: list[tuple[str, Node]] = []
        for index, (name, value) in enumerate(node.fields):
            checked, given = self._element(value, optional=index in node.optional)
            fields.append((name, checked))
            wanted = of.fields.get(name)
            if wanted is None:
                self._problem(node.places[index], f"undefined field '{name}'")
            elif given is not types.ERROR and not unify(wanted, given, self._known):
                why = f"expected type of field '{name}' is '{wanted}' but provided type is '{self._shown(given)}'"
                self._problem(node.places[index], why)
        node.fields = fields
        return node, of

    # --- loops

    def _loop(self, node: Comprehension) -> tuple[Node, Type]:
        node.range = self.check(node.range)
        before = dict(self._variables)
        node.init = self.check(node.init)
        self._variables |= self._loop_variables(node)
        self._variables[node.accumulator] = node.init.type
        node.condition = self.check(node.condition)
        node.step = self.check(node.step)
        for part, wanted in ((node.condition, types.BOOL), (node.step, node.init.type)):
            if part.type is not types.ERROR and not unify(wanted, part.type, self._known):
                self._problem(part.at, f"expected type '{self._shown(wanted)}' but found '{self._shown(part.type)}'")
        self._variables = {**before, node.accumulator: self._shown_param(node.init.type)}
        node.result = self.check(node.result)
        self._variables = before
        return node, node.result.type

    def _shown_param(self, of: Type) -> Type:
        return substitute(of, self._known)

    def _loop_variables(self, node: Comprehension) -> dict[str, Type]:
        of, names = substitute(node.range.type, self._known), node.variables
        if of.kind == "list":
            found = [of.params[0]] if len(names) == 1 else [types.INT, of.params[0]]
        elif of.kind == "map":
            found = [of.params[0]] if len(names) == 1 else list(of.params)
        else:
            if not is_dyn(of) and of.kind != "param":
                why = f"expression of type '{self._shown(of)}' cannot be range of a comprehension (must be list, map, or dynamic)"
                self._problem(node.range.at, why)
            found = [types.DYN] * len(names)
        return dict(zip(names, found, strict=True))


def _is_fine(function: str, value: Any) -> bool:
    if isinstance(value, str):
        return LITERALS[function](value)
    return not (function == "timestamp" and type(value) is int) or value in SECONDS


def dotted(node: Node) -> str:
    """`a.b.c` as one name; "" for anything else."""
    if isinstance(node, Ident):
        return node.name
    if isinstance(node, Select) and not node.test_only:
        before = dotted(node.operand)
        return f"{before}.{node.field}" if before else ""
    return ""


def children(node: Node) -> Sequence[Node]:
    """The nodes right below one."""
    if isinstance(node, Select):
        return [node.operand]
    if isinstance(node, Call):
        return [*([node.target] if node.target is not None else []), *node.args]
    if isinstance(node, CreateList):
        return node.items
    if isinstance(node, CreateMap):
        return [each for entry in node.entries for each in entry]
    if isinstance(node, CreateStruct):
        return [value for _, value in node.fields]
    if isinstance(node, Comprehension):
        return [node.range, node.init, node.condition, node.step, node.result]
    return ()


_CHECKS: Final[Mapping[type, Callable[[Any, Any], tuple[Node, Type]]]] = {
    Const: _Checker._const,
    Ident: _Checker._ident,
    Select: _Checker._select,
    Call: _Checker._call,
    CreateList: _Checker._list,
    CreateMap: _Checker._map,
    CreateStruct: _Checker._struct,
    Comprehension: _Checker._loop,
}
