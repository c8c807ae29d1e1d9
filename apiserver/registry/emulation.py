"""Which kinds are served: those that the Kubernetes version to be played has, without the fields that it did not have, and of those the
ones that are switched on. Pure.

The kinds are written for one version (`definitions.DEFAULT_VERSION`). `emulated` fits them to the definitions of another: a kind or a
version of a kind that these lack is not served, though the server still keeps such objects for its own use (the addresses of Services,
say); what hooks set (defaults, mostly) is dropped where that version has no such field. What a client sends meets the version's own types
when it is decoded. What is switched off (`enablement.py`, and the gate of a kind) is kept in the same way, if it is on by default.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from apiserver.registry.enablement import RuntimeConfig, check, in_versions, is_stable, name_of
from apiserver.registry.kind import Context, Conversion, Kind, Prepare, Subresource
from kube.objects import Object
from kube.schema.definitions import DEFAULT_VERSION, Definitions
from kube.schema.types import ListType, MapType, StructType, Type

_SUBRESOURCES_SINCE: Final = {("pods", "resize"): (1, 33)}
_GENERATION_SINCE: Final = {"pods": (1, 33)}
_DEPRECATED_SINCE: Final = {"endpoints": (1, 33)}
"""What no definition tells: since when a kind has a subresource, counts generations, warns its users."""


EVERYTHING_AS_USUAL: Final = RuntimeConfig()


@dataclass(frozen=True, slots=True)
class Emulated:
    """The kinds as one version has them: those that it serves, and those that are kept for the server's own use. `waiting` says of what
    was switched on in vain which gate is closed."""

    served: tuple[Kind, ...]
    hidden: tuple[Kind, ...]
    waiting: tuple[str, ...] = ()


def emulated(
    kinds: Iterable[Kind],
    definitions: Definitions,
    config: RuntimeConfig = EVERYTHING_AS_USUAL,
    gates: frozenset[str] = frozenset(),
) -> Emulated:
    """Fit `kinds` to the version of `definitions` and to what is switched on: `gates` are the features that are. Raises RuntimeConfigError
    where the configuration asks for what this version, or this server, does not have."""
    known = [(kind, _in_version(kind, definitions) if definitions.has(kind.definition) else None) for kind in kinds]
    check([each for _, each in known if each is not None], definitions, config)
    served: list[Kind] = []
    hidden: list[Kind] = []
    waiting: list[str] = []
    for kind, there in known:
        fitted = in_versions(there, config) if there is not None else None
        if fitted is not None and (not kind.gate or kind.gate in gates):
            served.append(fitted)
        elif fitted is not None:
            waiting.append(f"{name_of(kind.resource)} is disabled because the {kind.gate} feature gate is disabled")
        elif is_stable(kind.resource.version):
            hidden.append(kind)
    return Emulated(tuple(served), tuple(hidden), tuple(waiting))


def _in_version(kind: Kind, definitions: Definitions) -> Kind:
    return kind if definitions.version == DEFAULT_VERSION else _fitted(kind, definitions)


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
