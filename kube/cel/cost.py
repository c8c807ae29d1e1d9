"""What evaluating an expression may cost at most, by the sizes that its variables can have.

Source: cel-go `checker/cost.go`, `common/cost.go`; apiserver `pkg/cel/library/cost.go` (functions of Kubernetes).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from kube.cel.cost_functions import FUNCTION_COSTS
from kube.cel.range import FREE, UNKNOWN, Range, fixed, scaled
from kube.cel.syntax import Call, Comprehension, Const, CreateList, CreateMap, CreateStruct, Ident, Node, Select

Path = tuple[str, ...]
SizeOf = Callable[[Path], int | None]
"""The largest number of elements (characters) of what is at a path: `("self", "names", "@items")`; None where nothing is known."""

_ONE: Final = fixed(1)
_LIST, _MAP, _STRUCT = fixed(10), fixed(30), fixed(40)
_TRAVERSAL: Final = 0.1
_EQUALITY: Final = frozenset({"equals", "not_equals"})


class Entry(NamedTuple):
    """How large keys and values of a container are."""

    is_list: bool
    key: Range
    value: Range


@dataclass(slots=True)
class _Local:
    path: Path
    size: Range | None
    entry: Entry | None


def estimate(tree: Node, size_of: SizeOf) -> Range:
    """The least and the most that an evaluation costs. `tree` is checked."""
    return _Coster(size_of).cost(tree)


def least_of_loops(tree: Node) -> Mapping[Node, int]:
    """What each turn of a loop costs at least, whatever the values are, without the loops in it."""
    coster = _Coster(lambda _: None)
    coster.cost(tree)
    return coster.turns


class _Coster:
    def __init__(self, size_of: SizeOf) -> None:
        self._size_of = size_of
        self.turns: dict[Node, int] = {}
        self.rights: dict[Node, int] = {}  # what the right sides of && and || cost at least
        self._paths: dict[Node, Path] = {}
        self._sizes: dict[Node, Range] = {}
        self._entries: dict[Node, Entry] = {}
        self._locals: dict[str, list[_Local]] = {}

    # --- sizes

    def path(self, node: Node) -> Path:
        if isinstance(node, Ident) and self._local(node.name) is not None:
            return self._local(node.name).path  # type: ignore[union-attr]
        return self._paths.get(node, ())

    def _local(self, name: str) -> _Local | None:
        found = self._locals.get(name)
        return found[-1] if found else None

    def known_size(self, node: Node) -> Range | None:
        if node in self._sizes:
            return self._sizes[node]
        own = _size_of_literal(node)
        if own is not None:
            return own
        path = self.path(node)
        most = self._size_of(path) if path else None
        if most is not None:
            self._sizes[node] = Range(0, most)
            return self._sizes[node]
        if node.type.kind in ("int", "uint", "double", "bool", "timestamp", "duration"):
            return _ONE
        local = self._local(node.name) if isinstance(node, Ident) else None
        return local.size if local is not None else None

    def size(self, node: Node) -> Range:
        return self.known_size(node) or UNKNOWN

    def size_below(self, node: Node) -> Range:
        """Of the items of a list."""
        path = self.path(node)
        most = self._size_of((*path, "@items")) if path else None
        return Range(0, most) if most is not None else UNKNOWN

    def entry(self, node: Node) -> Entry | None:
        if node in self._entries:
            return self._entries[node]
        local = self._local(node.name) if isinstance(node, Ident) else None
        return local.entry if local is not None else None

    # --- costs

    def cost(self, node: Node) -> Range:
        return _COSTS[type(node)](self, node)

    def _const(self, _node: Const) -> Range:
        return FREE

    def _ident(self, node: Ident) -> Range:
        local = self._local(node.name)
        self._paths[node] = local.path if local is not None else (node.name,)
        return _ONE

    def _select(self, node: Select) -> Range:
        found = self.cost(node.operand)
        if node.test_only:
            return found
        if node.operand.type.kind in ("map", "object", "opaque", "param"):
            found += _ONE
        self._paths[node] = (*self.path(node.operand), node.field)
        return found

    def _call(self, node: Call) -> Range:
        if node.function == "dyn":
            return _ONE + self.cost(node.args[0])
        costs = [self.cost(each) for each in node.args]
        if not node.overloads:
            return FREE
        target = self.cost(node.target) if node.target is not None else FREE
        total: Range | None = None
        size: Range | None = None
        for overload in node.overloads:
            cost, result = self._overload(node, overload, costs)
            total = cost if total is None else total | cost
            if result is not None:
                size = result if size is None else size | result
            if overload in ("index_list", "index_map"):
                of = self.entry(node.args[0])
                size = of.value if of is not None else None
                self._paths[node] = (*self.path(node.args[0]), "@items" if overload == "index_list" else "@values")
            if size is None:
                size = self.known_size(node)
        if size is not None:
            self._sizes[node] = size
        return target + (total or FREE)

    def _overload(self, node: Call, overload: str, costs: Sequence[Range]) -> tuple[Range, Range | None]:
        """(the cost, arguments included; the size of the result)"""
        arguments = sum(costs, FREE)
        own = FUNCTION_COSTS.get(node.function)
        if own is not None:
            found = own(self, node, overload)
            if found is not None:
                return found[0] + arguments, found[1]
        special = _OVERLOADS.get(overload) or (_equality if overload in _EQUALITY or overload.startswith(_ORDERED_TEXT) else None)
        if special is not None:
            return special(self, node, costs)
        return _ONE + arguments, None

    def _list(self, node: CreateList) -> Range:
        found, size = Range(0 if _is_constant(node) else _LIST.least, _LIST.most), None
        for each in node.items:
            found += self.cost(each)
            size = self.size(each) if size is None else size | self.size(each)
        self._entries[node] = Entry(True, _ONE, size or Range(0, 0))
        return found

    def _map(self, node: CreateMap) -> Range:
        found, keys, values = Range(0 if _is_constant(node) else _MAP.least, _MAP.most), None, None
        for key, value in node.entries:
            found += self.cost(key) + self.cost(value)
            keys = self.size(key) if keys is None else keys | self.size(key)
            values = self.size(value) if values is None else values | self.size(value)
        self._entries[node] = Entry(False, keys or Range(0, 0), values or Range(0, 0))
        return found

    def _struct(self, node: CreateStruct) -> Range:
        return sum((self.cost(value) for _, value in node.fields), _STRUCT)

    # --- loops

    def _loop(self, node: Comprehension) -> Range:
        found = self.cost(node.range) + self.cost(node.init)
        self._push(node.accumulator, _Local(self.path(node.init), self.known_size(node.init), self.entry(node.init)))
        if node.macro == "bind":
            found += self.cost(node.result)
            self._locals[node.accumulator].pop()
            return found
        for name, local in zip(node.variables, self._loop_locals(node), strict=True):
            self._push(name, local)
        once = self.cost(node.condition) + self.cost(node.step)
        again = self.rights.get(node.step, 0) if node.macro in ("all", "exists") else 0  # until the end the right side is asked
        self.turns[node] = max(1, once.least + again - 1)  # the accumulator itself is free
        for name in node.variables:
            self._locals[name].pop()
        found += self.cost(node.result)
        self._locals[node.accumulator].pop()
        count = self.size(node.range)
        self._keep_size(node, count)
        return found + count * once

    def _keep_size(self, node: Comprehension, count: Range) -> None:
        if isinstance(node.init, Const):
            size = self.known_size(node.init)
            if size is not None:
                self._sizes[node] = size
            return
        self._sizes[node] = count
        entry = self.entry(node.step)
        if entry is not None:
            self._entries[node] = entry

    def _loop_locals(self, node: Comprehension) -> list[_Local]:
        entry, path = self.entry(node.range), self.path(node.range)
        is_list = entry.is_list if entry is not None else node.range.type.kind == "list"
        key, value = (entry.key, entry.value) if entry is not None else (None, None)
        if len(node.variables) == 1:
            return [_Local((*path, "@items"), value, None)] if is_list else [_Local((*path, "@keys"), key, None)]
        keys = _Local((*path, "@indices" if is_list else "@keys"), key, None)
        return [keys, _Local((*path, "@items" if is_list else "@values"), value, None)]

    def _push(self, name: str, local: _Local) -> None:
        self._locals.setdefault(name, []).append(local)

    # --- for functions

    def keep_entry(self, node: Node, entry: Entry | None) -> None:
        if entry is not None:
            self._entries[node] = entry


def _is_constant(node: Node) -> bool:
    """Literals of constants are made once, not every time."""
    if isinstance(node, CreateList):
        return all(map(_is_constant, node.items))
    if isinstance(node, CreateMap):
        return all(_is_constant(key) and _is_constant(value) for key, value in node.entries)
    return isinstance(node, Const)


def _size_of_literal(node: Node) -> Range | None:
    if isinstance(node, Const):
        return fixed(len(node.value)) if isinstance(node.value, str | bytes) else _ONE
    if isinstance(node, CreateList):
        return fixed(len(node.items))
    return fixed(len(node.entries)) if isinstance(node, CreateMap) else None


# --- what standard overloads cost

Found = tuple[Range, "Range | None"]


def _logic(coster: _Coster, node: Call, costs: Sequence[Range]) -> Found:
    coster.rights[node] = costs[1].least
    return Range(costs[0].least, (costs[0] + costs[1]).most), None


def _conditional(coster: _Coster, node: Call, costs: Sequence[Range]) -> Found:
    yes, no = node.args[1], node.args[2]
    one, other = coster.entry(yes), coster.entry(no)
    if one is not None and other is not None:
        coster.keep_entry(node, Entry(one.is_list, one.key | other.key, one.value | other.value))
    return costs[0] + (costs[1] | costs[2]), coster.size(yes) | coster.size(no)


def _sum(coster: _Coster, node: Call) -> Range:
    left, right = node.args
    one, other = coster.entry(left), coster.entry(right)
    if one is not None and other is not None:
        coster.keep_entry(node, Entry(one.is_list, one.key | other.key, one.value | other.value))
    return coster.size(left) + coster.size(right)


def _add_text(coster: _Coster, node: Call, costs: Sequence[Range]) -> Found:
    size = _sum(coster, node)
    return scaled(size, _TRAVERSAL) + sum(costs, FREE), size


def _add_list(coster: _Coster, node: Call, costs: Sequence[Range]) -> Found:
    return _ONE + sum(costs, FREE), _sum(coster, node)


def _equality(coster: _Coster, node: Call, costs: Sequence[Range]) -> Found:
    most = min(coster.size(node.args[0]).most, coster.size(node.args[1]).most)
    return scaled(Range(1 if most else 0, most), _TRAVERSAL) + sum(costs, FREE), None


def _in_list(coster: _Coster, node: Call, costs: Sequence[Range]) -> Found:
    return coster.size(node.args[1]) + sum(costs, FREE), None


def _argument(coster: _Coster, node: Call, costs: Sequence[Range]) -> Found:
    return scaled(coster.size(node.args[0]), _TRAVERSAL) + sum(costs, FREE), None


def _matches(coster: _Coster, node: Call, costs: Sequence[Range]) -> Found:
    if node.target is None:
        return _ONE + sum(costs, FREE), None
    text = scaled(coster.size(node.target) + _ONE, _TRAVERSAL)
    return text * scaled(coster.size(node.args[0]), 0.25) + sum(costs, FREE), None


def _contains(coster: _Coster, node: Call, costs: Sequence[Range]) -> Found:
    assert node.target is not None
    return scaled(coster.size(node.target), _TRAVERSAL) * scaled(coster.size(node.args[0]), _TRAVERSAL) + sum(costs, FREE), None


def _format(coster: _Coster, node: Call, costs: Sequence[Range]) -> Found:
    assert node.target is not None
    return scaled(coster.size(node.target), _TRAVERSAL) + sum(costs, FREE), None


_ORDERED_TEXT: Final = tuple(f"{name}_{of}" for name in ("less", "less_equals", "greater", "greater_equals") for of in ("string", "bytes"))
_OVERLOADS: Final[Mapping[str, Callable[[_Coster, Call, Sequence[Range]], Found]]] = {
    "logical_and": _logic,
    "logical_or": _logic,
    "conditional": _conditional,
    "add_string": _add_text,
    "add_bytes": _add_text,
    "add_list": _add_list,
    "in_list": _in_list,
    "starts_with_string": _argument,
    "ends_with_string": _argument,
    "string_to_bytes": _argument,
    "bytes_to_string": _argument,
    "matches_string": _matches,
    "contains_string": _contains,
    "string_format": _format,
}
_COSTS: Final[Mapping[type, Callable[[Any, Any], Range]]] = {
    Const: _Coster._const,
    Ident: _Coster._ident,
    Select: _Coster._select,
    Call: _Coster._call,
    CreateList: _Coster._list,
    CreateMap: _Coster._map,
    CreateStruct: _Coster._struct,
    Comprehension: _Coster._loop,
}
