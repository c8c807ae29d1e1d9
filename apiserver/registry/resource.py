"""The one generic path by which every kind is created, read, updated and deleted. A kind's differences are in its `Kind`.

Read `kind.py` first. `Registry` serves one resource, `registry.Registries` are all of them. Objects given in are plain dicts in the hub
version and may be changed; objects handed out are fresh. Source: apiserver `pkg/registry/generic/registry/store.go` and `registry/rest`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import orjson

from apiserver.registry import conflicts, deletion
from apiserver.registry.admission import Attributes
from apiserver.registry.cache import Entry, ResourceCache
from apiserver.registry.changes import count_generation, dedup_owners, null_empty_lists, same
from apiserver.registry.converting import ConvertingStore
from apiserver.registry.kind import Context, Finish, Kind, Subresource
from apiserver.registry.metadata import check_no_version, ensure_namespace, fill_new, keep_system_fields, resource_version_number, wipe_new
from apiserver.registry.ownership import Ownership
from apiserver.store.base import KeyExists, RevisionMismatch, Store
from apiserver.validation.metadata import update_errors, validate_managed_fields, validate_object_meta, validate_object_meta_update
from kube import errors
from kube.clock import rfc3339
from kube.labels import Selector
from kube.objects import Object, is_deleting
from kube.patch.managed import with_old_times
from kube.schema.member_text import compacted, member_text
from kube.schema.types import StructType

if TYPE_CHECKING:
    from apiserver.registry.registry import Registries

CONFLICT_RETRIES_MAX: Final = 8
GENERATED_NAME_TRIES: Final = 8
LEASE_SHARED_S: Final = 60

Change = Callable[[Object | None], Object]
"""From the present object (None: there is none) to the wanted one. Called again with a fresh object after a conflict."""


@dataclass(slots=True)
class Written:
    """The outcome of a write: the object as it now is, and its bytes as GET would answer them (None for a dry run)."""

    obj: Object
    body: bytes | None
    created: bool = False
    deleted: bool = False


class Registry:
    """Everything there is to do with one resource."""

    def __init__(self, kind: Kind, registries: Registries) -> None:
        self.kind, self.registries = kind, registries
        self.resource = kind.resource
        self.store: Store = kind.custom.view(registries) if kind.custom is not None else registries.store
        self._converting: ConvertingStore | None = None
        if kind.custom is not None and kind.custom.is_converted:
            self._converting = cast("ConvertingStore", self.store)
        self.cache = ResourceCache(kind, self.store, self._converting.follow if self._converting is not None else None)
        self._lease: tuple[int, float] = (0, 0.0)
        self._subresources = {each.name: each for each in kind.subresources}
        self.ownership = Ownership(kind, registries.definitions, self._converting)

    @property
    def type(self) -> StructType:
        return self.ownership.type

    def not_found(self, name: str) -> errors.NotFound:
        return errors.not_found(self.resource.plural, self.resource.group, name)

    def subresource(self, name: str) -> Subresource:
        return self._subresources[name]

    # --- reading --------------------------------------------------------------------------------------------------

    async def entry(self, namespace: str, name: str) -> Entry:
        """The present entry. Raises NotFound."""
        found = await self._present(namespace, name)
        if found is None:
            raise self.not_found(name)
        return found

    async def _present(self, namespace: str, name: str) -> Entry | None:
        if self._converting is not None:
            kv = await self.store.get(self.cache.key(namespace, name))
            return self.cache.entry_of(kv) if kv is not None else None
        await self.cache.catch_up()
        return self.cache.get(namespace, name)

    async def get(self, namespace: str, name: str) -> Object:
        return self.cache.object_of(await self.entry(namespace, name))

    async def list_objects(self, namespace: str = "", label_selector: Selector | None = None) -> list[Object]:
        """All objects (of a namespace), fresh, in key order."""
        await self.cache.catch_up()
        return [
            self.cache.object_of(entry)
            for entry in self.cache.entries(namespace)
            if label_selector is None or label_selector.matches(entry.labels)
        ]

    # --- creating -------------------------------------------------------------------------------------------------

    async def create(self, namespace: str, obj: Object, ctx: Context, *, options: Object | None = None) -> Object:
        """Create from a decoded, defaulted object. Raises AlreadyExists, Invalid, Forbidden, ..."""
        return (await self.write_new(namespace, obj, ctx, options=options)).obj

    async def write_new(self, namespace: str, obj: Object, ctx: Context, *, options: Object | None = None, managed: bool = True) -> Written:
        """`create`, with the bytes. `managed` False: the caller (server-side apply) has set managedFields already."""
        kind = self.kind
        meta = obj.setdefault("metadata", {})
        if namespace:
            meta["namespace"] = namespace
        else:
            meta.pop("namespace", None)
        wipe_new(meta)
        dedup_owners(meta, ctx)
        if managed and ctx.field_manager:
            await self._own(obj, None, ctx)
        attributes = Attributes(kind, "CREATE", namespace, meta.get("name", ""), obj, None, ctx, self.registries, options or {})
        await self.registries.admission.mutate(attributes)
        ensure_namespace(obj, namespace)
        generated = not meta.get("name") and bool(meta.get("generateName"))
        for attempt in range(GENERATED_NAME_TRIES):
            if generated:
                meta.pop("name", None)
            try:
                return await self._create_once(namespace, obj, ctx, attributes, first=attempt == 0)
            except errors.AlreadyExists:
                if not generated or attempt == GENERATED_NAME_TRIES - 1:
                    raise
        raise AssertionError("unreachable")

    async def _create_once(self, namespace: str, obj: Object, ctx: Context, attributes: Attributes, *, first: bool) -> Written:
        fill_new(obj, timestamp=ctx.timestamp or rfc3339(ctx.now), rng=self.registries.rng)
        finish = await self.kind.begin(obj, None, ctx, self.registries) if self.kind.begin else None
        writing = self._create_begun(namespace, obj, ctx, attributes, first=first)
        return await (writing if finish is None else _finished(writing, finish))

    async def _create_begun(self, namespace: str, obj: Object, ctx: Context, attributes: Attributes, *, first: bool) -> Written:
        kind, meta = self.kind, obj["metadata"]
        if first:
            kind.prepare(obj, None, ctx)
            if kind.has_generation:
                meta["generation"] = 1
        namespaced, legacy = self.resource.namespaced, kind.legacy_finalizers
        warned = len(ctx.warnings)
        problems = validate_object_meta(meta, namespaced=namespaced, name_rule=kind.name_rule, legacy_finalizers=legacy)
        own = kind.validate(obj, None, ctx)
        problems = list(own) if own and kind.metadata_last else [*problems, *own]
        if problems:
            del ctx.warnings[warned:]  # what is refused is not warned of
            raise errors.invalid_object(obj.get("kind") or self.resource.kind, self.resource.group, meta.get("name", ""), problems)
        attributes.name = meta["name"]
        await self.registries.admission.validate(attributes)
        key = self.cache.key(namespace, meta["name"])
        if not ctx.dry_run:
            check_no_version(meta)
        present = await self._present(namespace, meta["name"])
        if present is not None:
            raise self._exists(present, meta)
        value, hint = await self._prepared(obj, ctx)
        if ctx.dry_run:
            return Written(obj, None, created=True)
        try:
            lease = await self._lease_for(kind.ttl_s) if kind.ttl_s else 0
            revision = await self.store.create(key, value, lease=lease, hint=hint)
        except KeyExists as error:
            raise self._exists(None, meta) from error
        meta["resourceVersion"] = str(revision)
        return Written(obj, self.cache.encoding.served(value, revision), created=True)

    # --- updating -------------------------------------------------------------------------------------------------

    async def update_with(
        self, namespace: str, name: str, change: Callable[[Object], None], ctx: Context, *, subresource: str = ""
    ) -> Object:
        """Read, let `change` edit a fresh copy in place, write; again on conflict. Raises NotFound, Invalid, ..."""

        def edited(current: Object | None) -> Object:
            if current is None:
                raise self.not_found(name)
            change(current)
            return current

        return (await self.write(namespace, name, edited, ctx, subresource=subresource)).obj

    async def write(
        self,
        namespace: str,
        name: str,
        change: Change,
        ctx: Context,
        *,
        subresource: str = "",
        may_create: bool = False,
        managed: bool = True,
        replace: bool = False,
        shares: bool = False,
        options: Object | None = None,
    ) -> Written:
        """Update (or with `may_create`, create) `name` by `change`, until it goes through or cannot. Raises Conflict when the
        wanted object carries a resourceVersion that is not the present one. `replace`: a PUT, whose uid is a precondition. `shares`:
        `change` leaves the object that it is given as it is, and nobody changes in place what its outcome shares with that."""
        for attempt in range(CONFLICT_RETRIES_MAX):
            entry = await self._present(namespace, name)
            if entry is None:
                if not may_create:
                    raise self.not_found(name)
                return await self._create_by_update(namespace, name, change, ctx, options=options, managed=managed)
            try:
                return await self._update_once(
                    entry, change, ctx, subresource=subresource, managed=managed, replace=replace, shares=shares, options=options
                )
            except RevisionMismatch as error:
                if attempt == CONFLICT_RETRIES_MAX - 1:
                    raise conflicts.modified(self.resource, name) from error
        raise AssertionError("unreachable")

    async def _create_by_update(
        self, namespace: str, name: str, change: Change, ctx: Context, *, options: Object | None, managed: bool
    ) -> Written:
        obj = change(None)
        meta = obj.setdefault("metadata", {})
        if meta.get("uid") and not managed:
            why = f"uid mismatch: the provided object specified uid {meta['uid']}, and no existing object was found"
            raise errors.conflict(self.resource.plural, self.resource.group, name, why)
        if meta.get("uid"):
            raise self._other_uid(namespace, name, meta["uid"], "", ctx)
        resource_version_number(meta.get("resourceVersion"))
        meta.pop("resourceVersion", None)
        ctx.verb = "create"
        return await self.write_new(namespace, obj, ctx, options=options, managed=managed)

    async def _update_once(
        self,
        entry: Entry,
        change: Change,
        ctx: Context,
        *,
        subresource: str,
        managed: bool,
        replace: bool,
        shares: bool,
        options: Object | None,
    ) -> Written:
        kind = self.kind
        old = self.cache.object_of(entry)
        if self._converting is None:
            new = change(old if shares else self.cache.object_of(entry))
        else:
            new = await self.ownership.converting(lambda: change(old if shares else self.cache.object_of(entry)))
        meta = new.setdefault("metadata", {})
        if replace and meta.get("uid") and meta["uid"] != old["metadata"]["uid"]:
            raise self._other_uid(entry.namespace, entry.name, meta["uid"], old["metadata"]["uid"], ctx)
        dedup_owners(meta, ctx)
        if managed and ctx.field_manager:
            await self._own(new, old, ctx)
        attributes = Attributes(kind, "UPDATE", entry.namespace, entry.name, new, old, ctx, self.registries, options or {})
        await self.registries.admission.mutate(attributes)
        self._check_version(entry, resource_version_number(new["metadata"].get("resourceVersion")))
        ensure_namespace(new, entry.namespace)
        keep_system_fields(new, old)
        part = self._subresources.get(subresource)
        finish = await kind.begin(new, old, ctx, self.registries) if kind.begin and part is None else None
        writing = self._update_begun(entry, new, old, part, attributes, managed=managed)
        return await (writing if finish is None else _finished(writing, finish))

    def _check_version(self, entry: Entry, asked: int) -> None:
        """Whether the version that a client names is the present one. Who changes objects on their way in has been asked by then. Raises
        Invalid, Conflict."""
        if not asked and not self.kind.unconditional_update:
            problem = errors.invalid("metadata.resourceVersion", 0, "must be specified for an update")
            raise errors.invalid_object(self.resource.plural, self.resource.group, entry.name, [problem])
        if asked and asked != entry.revision:
            raise conflicts.modified(self.resource, entry.name)

    async def _update_begun(
        self, entry: Entry, new: Object, old: Object, part: Subresource | None, attributes: Attributes, *, managed: bool
    ) -> Written:
        kind, ctx, encoding = self.kind, attributes.ctx, self.cache.encoding
        if part is not None and part.prepare is not None:
            part.prepare(new, old, ctx)
        else:
            kind.prepare(new, old, ctx)
        if kind.has_generation:
            count_generation(new, old)
        if kind.texts:
            self._have_texts(new, old, entry, ctx)
        validate = part.validate if part is not None and part.validate is not None else kind.validate
        warned = len(ctx.warnings)
        problems = [*self._metadata_problems(new["metadata"], old["metadata"], part), *validate(new, old, ctx)]
        if problems:
            del ctx.warnings[warned:]
            group = self.resource.group if kind.custom is None else new.get("apiVersion", "").rpartition("/")[0]
            raise errors.invalid_object(new.get("kind") or self.resource.kind, group, entry.name, problems)
        await self.registries.admission.validate(attributes)
        if not managed:
            new = with_old_times(old, new)
        value, hint = await self._prepared(new, ctx)
        if (value == entry.value or same(new, old)) and not await self._is_stale(entry, hint):
            return Written(old, encoding.served(entry.value, entry.revision))
        if deletion.is_released(kind, new, old):
            return await self._remove_released(entry, new, ctx)
        if ctx.dry_run:
            new["metadata"]["resourceVersion"] = str(entry.revision)
            return Written(new, None)
        lease = await self._lease_for(kind.ttl_s) if kind.ttl_s else 0
        revision = await self.store.update(entry.key, value, expected=entry.revision, lease=lease, hint=hint, previous=entry.value)
        new["metadata"]["resourceVersion"] = str(revision)
        return Written(new, encoding.served(value, revision))

    def _metadata_problems(self, new: Object, old: Object, part: Subresource | None) -> list[errors.FieldError]:
        """What is wrong with an update's metadata. Looked at once, and again as often as upstream does only to list what is wrong."""
        kind, namespaced = self.kind, self.resource.namespaced
        legacy = kind.legacy_finalizers
        if not validate_managed_fields(new.get("managedFields") or (), "") and _is_same_but_for_owners(new, old):
            return []
        once = validate_object_meta(new, namespaced=namespaced, name_rule="path-segment", legacy_finalizers=legacy)
        if not once and not validate_object_meta_update(new, old):
            return []
        passes = part.metadata_passes if part is not None and part.validate is not None else kind.metadata_passes
        return update_errors(new, old, namespaced=namespaced, name_rule=kind.name_rule, passes=passes, legacy_finalizers=legacy)

    async def _remove_released(self, entry: Entry, new: Object, ctx: Context) -> Written:
        """The last finalizer of a deleted object is gone: so is the object. Upstream answers with it as it was to be."""
        revision = entry.revision
        if not ctx.dry_run:
            revision = await self.store.delete(entry.key, expected=entry.revision)
            await self._after_delete(new, ctx)
        new["metadata"]["resourceVersion"] = str(entry.revision)
        return Written(new, None if ctx.dry_run else self.cache.encoding.served(self._encoded(new), revision), deleted=True)

    # --- deleting -------------------------------------------------------------------------------------------------

    async def delete(self, namespace: str, name: str, options: Object, ctx: Context) -> Object:
        """Delete by DeleteOptions; the object as it was, or as it now waits for its finalizers or its grace period."""
        return (await self.remove(namespace, name, options, ctx)).obj

    async def remove(self, namespace: str, name: str, options: Object, ctx: Context) -> Written:
        """`delete`, telling whether the object is gone (`deleted`) or waits."""
        for attempt in range(CONFLICT_RETRIES_MAX):
            entry = await self.entry(namespace, name)
            try:
                return await self._remove_once(entry, options, ctx)
            except RevisionMismatch as error:
                if attempt == CONFLICT_RETRIES_MAX - 1:
                    raise conflicts.modified(self.resource, name) from error
        raise AssertionError("unreachable")

    async def _remove_once(self, entry: Entry, options: Object, ctx: Context) -> Written:
        kind, old = self.kind, self.cache.object_of(entry)
        attributes = Attributes(kind, "DELETE", entry.namespace, entry.name, None, old, ctx, self.registries, options)
        await self.registries.admission.mutate(attributes)
        deletion.check_preconditions(kind, old, options)
        await self.registries.admission.validate(attributes)
        outcome = deletion.plan(kind, old, options, ctx.now)
        if outcome.gone:
            return await self._remove_now(entry, old, outcome, options, ctx)
        if outcome.obj is old or ctx.dry_run or same(outcome.obj, old):
            return Written(outcome.obj, None)
        revision = await self._store_marked(entry, outcome.obj)
        outcome.obj["metadata"]["resourceVersion"] = str(revision)
        return Written(outcome.obj, None)

    async def _store_marked(self, entry: Entry, obj: Object) -> int:
        value, hint = await self._prepared(obj)
        return await self.store.update(entry.key, value, expected=entry.revision, hint=hint)

    async def _remove_now(self, entry: Entry, old: Object, outcome: deletion.Outcome, options: Object, ctx: Context) -> Written:
        if ctx.dry_run:
            return Written(outcome.obj, None, deleted=True)
        revision = entry.revision
        if outcome.told_first:
            revision = await self._store_marked(entry, outcome.obj)
        try:
            revision = await self.store.delete(entry.key, expected=revision)
        except RevisionMismatch as error:
            if not outcome.told_first:
                raise
            if error.current is None:
                return Written(outcome.obj, None, deleted=True)  # somebody else has removed it, which is as good
            uid = old["metadata"]["uid"]
            return await self.remove(entry.namespace, entry.name, {**options, "preconditions": {"uid": uid}}, ctx)
        await self._after_delete(old, ctx)
        outcome.obj["metadata"]["resourceVersion"] = str(revision)
        return Written(outcome.obj, None, deleted=True)

    async def _after_delete(self, old: Object, ctx: Context) -> None:
        hook = getattr(self.kind, "after_delete", None)
        if hook is not None:
            await hook(old, ctx, self.registries)

    async def _is_stale(self, entry: Entry, hint: Any) -> bool:
        """Whether an entry is to be written anew even when nothing about it changes (upstream's origState.stale)."""
        if self.kind.custom is None:
            return False
        if self._converting is not None:
            return not await self._converting.is_stored_as(entry.key, entry.revision, hint)
        view: Any = self.store
        return bool(view.is_stale(entry.key, entry.revision))

    # --- parts ----------------------------------------------------------------------------------------------------

    def _have_texts(self, new: Object, old: Object, entry: Entry, ctx: Context) -> None:
        """Have both texts of what is kept as text at hand. A patch, which sends none, writes anew what it leaves alone."""
        for name in self.kind.texts:
            before = ctx.old_texts[name] = member_text(entry.value, name) or b"null"
            if name not in ctx.texts and name in new:
                value = orjson.dumps(new[name])
                ctx.texts[name] = compacted(before) if value == orjson.dumps(old.get(name)) else value

    async def _own(self, new: Object, old: Object | None, ctx: Context) -> None:
        """Keep managedFields."""
        if self._converting is None:
            self.ownership.update(new, old, ctx)
        else:
            await self.ownership.converting(lambda: self.ownership.update(new, old, ctx))

    async def _prepared(self, obj: Object, ctx: Context | None = None) -> tuple[bytes, Any]:
        """The bytes to write, and the hint that goes with them; `obj` becomes what will be read back."""
        if self._converting is None:
            return self._encoded(obj, ctx), obj
        hint = await self._converting.prepare(obj)
        return self.cache.encoding.encode(obj), hint

    def _encoded(self, obj: Object, ctx: Context | None = None) -> bytes:
        """The bytes to store; `obj` becomes what will be read back."""
        if self.kind.custom is not None:
            if self.kind.custom.as_stored is not None:
                self.kind.custom.as_stored(obj)
            return self.cache.encoding.encode(obj)
        texts = ctx.texts if ctx is not None and self.kind.texts else {}
        value = self.cache.encoding.encode(obj, texts)
        if b":[]" in value:
            null_empty_lists(self.type, obj)
            value = self.cache.encoding.encode(obj, texts)
        return value

    async def _lease_for(self, ttl_s: int) -> int:
        """A store lease that ends `ttl_s` from now; writes of one minute share one."""
        lease, until = self._lease
        now = self.registries.clock.monotonic()
        if now >= until:
            lease = await self.store.grant_lease(ttl_s + LEASE_SHARED_S)
            self._lease = (lease, now + LEASE_SHARED_S)
        return lease

    def _exists(self, present: Entry | None, meta: Object) -> errors.AlreadyExists:
        deleted = present is not None and b'"deletionTimestamp"' in present.value and is_deleting(self.cache.object_of(present))
        return conflicts.exists(self.resource, meta, is_deleted=deleted)

    def _other_uid(self, namespace: str, name: str, asked: str, found: str, ctx: Context) -> errors.Conflict:
        return conflicts.other_uid(self.resource, name, self.cache.key(namespace, name), asked, found, dry_run=ctx.dry_run)


async def _finished(writing: Awaitable[Written], finish: Finish) -> Written:
    """The outcome of a write, once what was claimed for it has been told whether it went through."""
    try:
        written = await writing
    except BaseException:
        await finish(False)
        raise
    await finish(True)
    return written


def _is_same_but_for_owners(new: Object, old: Object) -> bool:
    """Metadata as it was, apart from managedFields: nothing that was fine is wrong now."""
    return {**new, "managedFields": None} == {**old, "managedFields": None}
