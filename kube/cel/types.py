"""The types that expressions have before they are evaluated. Source: cel-go `common/types/types.go`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Type:
    """`kind` is the name of a simple type, or list, map, object, optional_type, type, opaque, param. Objects know their fields."""

    kind: str
    params: tuple[Type, ...] = ()
    name: str = ""
    fields: Mapping[str, Type] = field(default_factory=dict, compare=False, hash=False, repr=False)

    def __str__(self) -> str:
        """As messages name it."""
        if self.kind in ("object", "opaque", "param"):
            return self.name
        shown = _SHOWN.get(self.kind, self.kind)
        return f"{shown}({', '.join(map(str, self.params))})" if self.params else shown


_SHOWN: Final = {"null_type": "null"}

BOOL, INT, UINT, DOUBLE = Type("bool"), Type("int"), Type("uint"), Type("double")
STRING, BYTES, NULL, DYN, ERROR = Type("string"), Type("bytes"), Type("null_type"), Type("dyn"), Type("!error!")
TIMESTAMP, DURATION = Type("timestamp"), Type("duration")

SIMPLE: Final = {each.kind: each for each in (BOOL, INT, UINT, DOUBLE, STRING, BYTES, NULL, DYN, TIMESTAMP, DURATION)}


def list_of(item: Type) -> Type:
    return Type("list", (item,))


def map_of(key: Type, value: Type) -> Type:
    return Type("map", (key, value))


def optional_of(value: Type) -> Type:
    return Type("optional_type", (value,))


def type_of(of: Type) -> Type:
    return Type("type", (of,))


def opaque(name: str) -> Type:
    return Type("opaque", (), name)


def param(name: str) -> Type:
    return Type("param", (), name)


def is_dyn(of: Type) -> bool:
    """Nothing is known of the value before it is there."""
    return of.kind in ("dyn", "!error!")


def substitute(of: Type, known: Mapping[str, Type], *, default: Type | None = None) -> Type:
    """A type with its parameters replaced; unknown ones by `default`, where given."""
    if of.kind == "param":
        found = known.get(of.name)
        if found is None:
            return default if default is not None else of
        return substitute(found, known, default=default)
    if not of.params:
        return of
    return Type(of.kind, tuple(substitute(each, known, default=default) for each in of.params), of.name, of.fields)


def unify(wanted: Type, given: Type, known: dict[str, Type]) -> bool:
    """Whether a value of one type may stand where another is wanted; parameters that this settles are put into `known`. One that is settled
    already becomes the more general of the two."""
    one, other = _settled(wanted, known), _settled(given, known)
    if not _unified(one, other, known):
        return False
    for of, with_ in ((wanted, other), (given, one)):
        name = _last_param(of, known)
        if name and with_.kind != "param" and _is_more_general(with_, known[name]):
            known[name] = with_
    return True


def _unified(wanted: Type, given: Type, known: dict[str, Type]) -> bool:
    if wanted == given:
        return True
    if wanted.kind == "param":
        known[wanted.name] = given
        return True
    if given.kind == "param":
        known[given.name] = wanted
        return True
    if is_dyn(wanted) or is_dyn(given):
        return True
    if given.kind == "null_type" and wanted.kind in ("object", "opaque", "timestamp", "duration", "optional_type"):
        return True
    if wanted.kind == "type" == given.kind:  # types are values that any other type may be compared with
        return True
    if wanted.kind != given.kind or wanted.name != given.name or len(wanted.params) != len(given.params):
        return False
    return all(unify(one, other, known) for one, other in zip(wanted.params, given.params, strict=True))


def _settled(of: Type, known: Mapping[str, Type]) -> Type:
    while of.kind == "param" and of.name in known and known[of.name] != of:
        of = known[of.name]
    return of


def _last_param(of: Type, known: Mapping[str, Type]) -> str:
    """The name of the parameter that holds the type which one leads to; "" where it leads to none."""
    name = ""
    while of.kind == "param" and of.name in known and known[of.name] != of:
        name, of = of.name, known[of.name]
    return name


def _is_more_general(one: Type, other: Type) -> bool:
    """Whether less is known of values of one type than of the other's."""
    if is_dyn(one) or is_dyn(other):
        return is_dyn(one) and not is_dyn(other)
    return one.kind == other.kind and any(map(_is_more_general, one.params, other.params))


def joined(a: Type, b: Type, known: dict[str, Type]) -> Type:
    """The type of values of either type."""
    trial = dict(known)
    if unify(a, b, trial):
        known.update(trial)
        return b if is_dyn(b) else a
    return DYN
