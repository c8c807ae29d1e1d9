"""Who owns which field: keeps metadata.managedFields on every write of one kind, in whatever version the writer speaks.

The rules are in `kube/patch/managed.py` and `apply.py`; here they meet a kind's versions and subresources.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import orjson

from apiserver.registry.converting import ConvertingStore
from apiserver.registry.kind import Context, Conversion, Custom, Kind
from kube.errors import ApiError
from kube.memo import Memo
from kube.objects import Object
from kube.patch.fieldset import FieldSet, of_path, union
from kube.patch.managed import Convert, created_entry, entries_of, filtered, managed_after_update, without_never_owned
from kube.patch.ownership import changes
from kube.schema.definitions import Definitions
from kube.schema.types import StructType

T = TypeVar("T")


class _Wanted(Exception):
    """Work cannot go on before an object is converted."""

    def __init__(self, obj: Object, key: tuple[str, bytes]) -> None:
        super().__init__(key[0])
        self.obj, self.key = obj, key


class Ownership:
    """The managedFields of one kind. `store` converts it, where a webhook does."""

    def __init__(self, kind: Kind, definitions: Definitions, store: ConvertingStore | None = None) -> None:
        self._kind, self._definitions, self._store = kind, definitions, store
        self._known: dict[tuple[str, bytes], Object | ApiError] = {}  # what has been converted for the work at hand
        self._conversions: Mapping[str, Conversion] = {each.resource.api_version: each for each in kind.conversions}
        self._api_version = kind.resource.api_version
        self._type: StructType | None = None
        self._reset_fields: dict[str, FieldSet] = {}
        self._of_shapes: Memo[FieldSet] = Memo()

    @property
    def type(self) -> StructType:
        """The type of the hub version."""
        if self._type is None:
            custom = self._kind.custom
            self._type = custom.type if custom is not None else self._definitions.type(self._kind.definition)
        return self._type

    def update(self, new: Object, old: Object | None, ctx: Context) -> None:
        """Keep `new`'s managedFields after a create, update or patch of `old` (None: it is created). Both are of the hub version."""
        version = ctx.api_version or self._api_version
        if old is None and ctx.likeness is not None and version == self._api_version and self._create_alike(new, ctx):
            return
        of, live, wanted = self.type, old, new
        if version != self._api_version:
            of, wanted = self._must(new, version)
            live = self._must(old, version)[1] if old is not None else None
        try:
            entries = managed_after_update(
                of,
                live,
                wanted,
                manager=ctx.field_manager,
                api_version=version,
                subresource=ctx.subresource,
                time=ctx.timestamp,
                reset_fields=self.reset_fields(ctx.subresource),
                convert=self.converter(old, new),
            )
        except ApiError:  # a webhook does not convert it: upstream clears them, too
            entries = []
        if entries:
            new["metadata"]["managedFields"] = entries
        else:
            new["metadata"].pop("managedFields", None)

    def _create_alike(self, new: Object, ctx: Context) -> bool:
        """The one entry of a new object, its fields put together from those of its metadata and what is remembered of the rest. False
        where there is nothing to remember."""
        likeness = ctx.likeness
        assert likeness is not None
        if likeness.known is None or entries_of(new) is not None:
            return False
        fields = likeness.known.fields
        if fields is None:
            rest = {key: value for key, value in new.items() if key not in ("kind", "apiVersion", "metadata")}
            fields = likeness.known.fields = filtered(changes(self.type, None, rest).owned, self.reset_fields(""))
        meta = new["metadata"]
        shape = _shape(meta)
        own = self._of_shapes.get(shape)
        if own is None:
            own = without_never_owned(changes(likeness.of.metadata_only, None, {"metadata": meta}).owned)
            self._of_shapes.put(shape, own)
        meta["managedFields"] = [created_entry({**own, **fields}, ctx.field_manager, self._api_version, ctx.timestamp)]
        return True

    def converter(self, *objects: Object | None) -> Convert | None:
        """What turns objects of this kind into the versions their entries are in; None where all entries are of the only version."""
        if self._conversions:
            return self.convert
        own = self._api_version
        for obj in objects:
            for each in entries_of(obj) or ():
                if isinstance(each, dict) and each.get("apiVersion") != own:
                    return self.convert
        return None

    def convert(self, obj: Object, api_version: str) -> tuple[StructType, Object] | None:
        """A copy of `obj` (of any version of this kind) in `api_version`, and its type; None when this server has no such version."""
        if self._kind.custom is not None:
            converted = self._renamed if self._store is None else self._converted
            return converted(self._kind.custom, obj, api_version)
        target = self._conversions.get(api_version)
        if target is None and api_version != self._api_version:
            return None
        source = self._conversions.get(obj.get("apiVersion", ""))
        if source is target:
            return (self.type if target is None else self._definitions.type(target.definition)), obj
        copy: Object = orjson.loads(orjson.dumps(obj))
        if source is not None:
            source.to_hub(copy)
        if target is None:
            copy["kind"], copy["apiVersion"] = self._kind.resource.kind, self._api_version
            return self.type, copy
        target.from_hub(copy)
        copy["kind"], copy["apiVersion"] = target.resource.kind, api_version
        return self._definitions.type(target.definition), copy

    @staticmethod
    def _renamed(custom: Custom, obj: Object, api_version: str) -> tuple[StructType, Object] | None:
        """A custom resource in another version: the same, but for the name."""
        of = custom.types.get(api_version)
        return (of, {**obj, "apiVersion": api_version}) if of is not None else None

    def _converted(self, custom: Custom, obj: Object, api_version: str) -> tuple[StructType, Object] | None:
        """The same, as a webhook has converted it. Raises what `converting` waits for, and ApiError."""
        of = custom.types.get(api_version)
        if of is None or obj.get("apiVersion") == api_version:
            return (of, obj) if of is not None else None
        found = self._known.get(key := (api_version, orjson.dumps(obj)))
        if found is None:
            raise _Wanted(obj, key)
        if isinstance(found, ApiError):
            raise found
        return of, found

    async def converting(self, work: Callable[[], T]) -> T:
        """What `work` comes to, where a webhook converts between the versions. It is begun anew for each conversion that it needs, until
        all are known: so it must leave everything as it is until it is through. Raises what it raises."""
        assert self._store is not None
        known: dict[tuple[str, bytes], Object | ApiError] = {}
        while True:
            self._known = known
            try:
                return work()
            except _Wanted as wanted:
                obj, key = wanted.obj, wanted.key
            finally:
                self._known = {}
            try:
                known[key] = await self._store.in_version(obj, key[0])
            except ApiError as error:
                known[key] = error

    def _must(self, obj: Object, api_version: str) -> tuple[StructType, Object]:
        found = self.convert(obj, api_version)
        assert found is not None, f"a request came in for {api_version}, which {self._kind.resource.plural} do not have"
        return found

    def reset_fields(self, subresource: str) -> FieldSet:
        """The fields that a write to this (sub)resource never sets."""
        found = self._reset_fields.get(subresource)
        if found is None:
            found = {}
            for path in self._reset_paths(subresource):
                found = union(found, of_path(*[each if each.startswith("f:") else f"f:{each}" for each in path]))
            self._reset_fields[subresource] = found
        return found

    def _reset_paths(self, subresource: str) -> tuple[tuple[str, ...], ...]:
        parts = {each.name: each for each in self._kind.subresources}
        if subresource:
            part = parts.get(subresource)
            return part.reset_fields if part is not None else ()
        return self._kind.status_reset_fields if "status" in parts else ()


def _shape(meta: Object) -> tuple[Any, ...]:
    """All of a new object's metadata that decides who owns what in it: which fields it has, and the keys of its maps and lists."""
    owners = meta.get("ownerReferences")
    return (
        tuple(meta),
        tuple(meta.get("labels") or ()),
        tuple(meta.get("annotations") or ()),
        tuple(meta.get("finalizers") or ()),
        tuple([(owner.get("uid"), *owner) for owner in owners]) if owners else (),
    )
