"""Playing an earlier or later Kubernetes version: which kinds it serves, and objects without the fields that it did not have. Pure.

The kinds are written for one version (`definitions.DEFAULT_VERSION`). `emulated` fits them to the definitions of another: a kind or a
version of a kind that these lack is not served, though the server still keeps such objects for its own use (the addresses of Services,
say); what hooks set (defaults, mostly) is dropped where that version has no such field. What a client sends meets the version's own types
when it is decoded.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from apiserver.registry.kind import Context, Conversion, Kind, Prepare, Subresource
from kube.objects import Object
from kube.schema.definitions import DEFAULT_VERSION, Definitions
from kube.schema.types import ListType, MapType, StructType, Type

_SUBRESOURCES_SINCE: Final = {("pods", "resize"): (1, 33)}
_GENERATION_SINCE: Final = {"pods": (1, 33)}
_DEPRECATED_SINCE: Final = {"endpoints": (1, 33)}
"""What no definition tells: since when a kind has a subresource, counts generations, warns its users."""


@dataclass(frozen=True, slots=True)
class Emulated:
    """The kinds as one version has them: those that it serves, and those that are kept for the server's own use."""

    served: tuple[Kind, ...]
    hidden: tuple[Kind, ...]


def emulated(kinds: Iterable[Kind], definitions: Definitions) -> Emulated:
    """Fit `kinds` to the version of `definitions`."""
    if definitions.version == DEFAULT_VERSION:
        return Emulated(tuple(kinds), ())
    served: list[Kind] = []
    hidden: list[Kind] = []
    for kind in kinds:
        if definitions.has(kind.definition):
            served.append(_fitted(kind, definitions))
        else:
            hidden.append(kind)
    return Emulated(tuple(served), tuple(hidden))


@dataclass(frozen=True, slots=True)
class _Dropper:
    """Drops what a kind does not have in its version. `counts` False: not even a metadata.generation."""

    of: StructType
    counts: bool

    def after(self, inner: Prepare) -> Prepare:
        def prepare(new: Object, old: Object | None, ctx: Context) -> None:
            inner(new, old, ctx)
            prune(self.of, new)
            if not self.counts:
                new["metadata"].pop("generation", None)

        return prepare


def _fitted(kind: Kind, definitions: Definitions) -> Kind:
    version, plural = _number(definitions.version), kind.resource.plural
    parts = [each for each in kind.subresources if version >= _SUBRESOURCES_SINCE.get((plural, each.name), version)]
    drop = _Dropper(definitions.type(kind.definition), counts=version >= _GENERATION_SINCE.get(plural, version))
    fitted = replace(
        kind,
        subresources=tuple(_fitted_part(each, drop) for each in parts if _has(definitions, each)),
        conversions=tuple(_fitted_conversion(each, definitions) for each in kind.conversions if definitions.has(each.definition)),
        deprecation=kind.deprecation if version >= _DEPRECATED_SINCE.get(plural, version) else "",
    )
    if kind.create is not None:
        return fitted  # never stored: a review says what it always says

    def default(obj: Object) -> None:
        kind.default(obj)
        prune(drop.of, obj)

    return replace(fitted, default=default, prepare=drop.after(kind.prepare))


def _has(definitions: Definitions, part: Subresource) -> bool:
    return not part.definition or definitions.has(part.definition)


def _fitted_part(part: Subresource, drop: _Dropper) -> Subresource:
    return part if part.prepare is None or part.definition else replace(part, prepare=drop.after(part.prepare))


def _fitted_conversion(conversion: Conversion, definitions: Definitions) -> Conversion:
    of = definitions.type(conversion.definition)

    def default(obj: Object) -> None:
        conversion.default(obj)
        prune(of, obj)

    def from_hub(obj: Object) -> None:
        conversion.from_hub(obj)
        prune(of, obj)

    return replace(conversion, default=default, from_hub=from_hub)


def prune(of: Type, value: Any) -> None:
    """Drop the fields that a type has not, in place and all the way down."""
    if isinstance(of, StructType) and isinstance(value, dict):
        for name in [each for each in value if each not in of.fields]:
            del value[name]
        for name, each in value.items():
            prune(of.fields[name].type, each)
    elif isinstance(of, ListType) and isinstance(value, list):
        for each in value:
            prune(of.item, each)
    elif isinstance(of, MapType) and isinstance(value, dict):
        for each in value.values():
            prune(of.value, each)


def _number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))
