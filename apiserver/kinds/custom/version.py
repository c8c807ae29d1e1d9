"""One version of a definition, compiled: how its objects are decoded, pruned, defaulted and validated. Made once, used for every request.

Decoding keeps what came (upstream keeps custom resources as free maps): the metadata is read like any other object's, fields without a
schema are dropped and told, nulls that may not be are dropped. Source: apiextensions-apiserver `apiserver/customresource_handler.go`
(unstructuredSchemaCoercer, unstructuredDefaulter).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from apiserver.handlers.patch_bodies import repeated
from apiserver.validation.custom.defaulting import compile_defaults, pruned_defaults
from apiserver.validation.custom.pruning import CoerceError, Pruner, clean_check
from apiserver.validation.custom.schema import Node
from apiserver.validation.custom.validator import Validator
from kube.objects import Object
from kube.patch.golang import int64s
from kube.schema import strict
from kube.schema.decode import DecodeError, decode_clean
from kube.schema.leaves import LeafError
from kube.schema.strict import Pairs
from kube.schema.structural import object_type
from kube.schema.types import StructType


class Version:
    """See the module. `given` is the entry of spec.versions, `meta` the type of ObjectMeta."""

    def __init__(self, given: Object, *, group: str, kind: str, meta: StructType) -> None:
        self.name: str = given["name"]
        self.group, self.kind = group, kind
        self.api_version = f"{group}/{self.name}"
        self._meta = meta
        node: Node = (given.get("schema") or {}).get("openAPIV3Schema") or {"x-kubernetes-preserve-unknown-fields": True}
        self.node = pruned_defaults(node, meta)
        self._is_clean = clean_check(self.node)
        self._fill = compile_defaults(self.node)
        self.validator = Validator(self.node, kind, (given.get("subresources") or {}).get("scale"), api_version=self.api_version)
        self.type = object_type(self.node, meta, name=f"{self.api_version} {kind}")
        self.type.decoder, self.type.walk = self._decode, self._walk

    def default(self, obj: Object) -> None:
        """Put in what the object leaves out."""
        if self._fill is not None:
            self._fill(obj)

    def prune(self, obj: Object) -> None:
        """Drop what this version has no schema for. The metadata is taken as it is."""
        if not self._is_clean(obj):
            Pruner(self._meta).whole(self.node, obj)

    # --- decoding

    def _decode(self, value: Any) -> Any:
        """The clean case. Raises LeafError for anything else."""
        if type(value) is not dict or not self._is_clean(value):
            raise LeafError("")
        out: Object = orjson.loads(orjson.dumps(value)) if self._fill is not None else dict(value)
        meta = decode_clean(self._meta, value.get("metadata") or {})
        if meta is None:
            raise LeafError("")
        out["metadata"] = meta.value
        return out

    def _walk(self, value: Any) -> tuple[Any, list[str]]:
        """The exact case: (object, strict errors). Raises DecodeError."""
        out, told = _copied(value)
        meta, found = _metadata(self._meta, out)
        try:
            unknown = Pruner(self._meta).whole(self.node, out)
        except CoerceError as error:
            raise DecodeError(str(error)) from None
        out["metadata"] = meta
        return out, [*told, *found, *(f'unknown field "{each}"' for each in unknown)]


def bodies_of(versions: Mapping[str, Version], meta: StructType) -> None:
    """Tell each version's type how bodies are read that say they are something else (see `StructType.named`)."""
    by_name = {each.name: each.type for each in versions.values()}
    any_version = next(iter(versions.values()))
    unknown, foreign = _without_schema(meta), _foreign(meta)

    def named(group: str, version: str, kind: str) -> StructType:
        if (group, kind) != (any_version.group, any_version.kind):
            return foreign
        return by_name.get(version, unknown)

    for each in by_name.values():
        each.named = named


def _without_schema(meta: StructType) -> StructType:
    """A version that the definition does not have: nothing but metadata is kept."""

    def walk(value: Any) -> tuple[Any, list[str]]:
        out, told = _copied(value)
        known, found = _metadata(meta, out)
        unknown = Pruner(meta).whole(None, out)
        out["metadata"] = known
        return out, [*told, *found, *(f'unknown field "{each}"' for each in unknown)]

    return _walked(walk)


def _foreign(meta: StructType) -> StructType:
    """Another kind altogether: everything is kept, until somebody looks at the kind."""

    def walk(value: Any) -> tuple[Any, list[str]]:
        out, told = _copied(value)
        out["metadata"], found = _metadata(meta, out)
        return out, [*told, *found]

    return _walked(walk)


def _walked(walk: Any) -> StructType:
    of = StructType("", "", dict, open=True)
    of.decoder, of.walk = _odd, walk
    return of


def _odd(_value: object) -> object:
    raise LeafError("")


def _copied(value: Any) -> tuple[Object, list[str]]:
    """(a fresh object, what there is to say of repeated keys)."""
    told = list(dict.fromkeys(_repeated(value)))
    plain = int64s(strict.plain(value))
    return (orjson.loads(orjson.dumps(plain)) if plain else {}), told


def _repeated(value: Any) -> Iterator[str]:
    return repeated(value) if isinstance(value, Pairs) else iter(())


def _metadata(meta: StructType, obj: Object) -> tuple[Any, list[str]]:
    """The canonical metadata, and what there is to say of its fields."""
    found, told = strict.walk(meta, obj.get("metadata") or {})
    return found, [f'{each.partition(chr(34))[0]}"metadata.{each.partition(chr(34))[2]}' for each in told]
