"""Server-side apply: a client says which fields it has an opinion on; the server keeps who owns what and refuses to take from others.

The order of things, in `_Application.run`: merge the configuration into the live object; take out what the applier owned last time, has
given up now, and nobody else owns; find the fields that thereby change under somebody else's hands (conflicts); settle the entries.
Applying the same configuration twice changes nothing, not even a time.

Reading, checking and merging along the type is in `typed.py`, entries in `managed.py`. Source: structured-merge-diff `merge/update.go`,
apimachinery `pkg/util/managedfields/internal` (structuredmerge.go, lastappliedmanager.go, lastappliedupdater.go, skipnonapplied.go).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from kube.errors import ApiError, BadRequest, Conflict
from kube.objects import Object, annotations_of, name_of, namespace_of
from kube.patch.elements import ElementError, path_text
from kube.patch.fieldset import FieldSet, difference, has, intersection, paths, reconciled, union, with_named_members
from kube.patch.managed import (
    Convert,
    Identity,
    ManagedFieldsError,
    Managers,
    Owner,
    ResetFields,
    Versions,
    decode,
    encode,
    entries_of,
    filtered,
    identity,
    updated,
    without_never_owned,
)
from kube.patch.ownership import changes
from kube.patch.patched_text import text_of
from kube.patch.typed import SchemaError, check, fields_of, merged, without
from kube.schema.goquote import quote
from kube.schema.types import StructType

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
"""What client-side apply remembers of its last configuration."""

KUBECTL = "kubectl"
"""The manager for which an object that client-side apply has made is taken over without conflicts."""

BEFORE_FIRST_APPLY = "before-first-apply"
"""The manager of everything that was there when ownership began to be tracked."""

ANNOTATIONS_BYTES_MAX = 256 * 1024


class FieldConflict(NamedTuple):
    """A field that would change although `manager` owns it. `path` is as messages print it."""

    manager: Identity
    path: str
    elements: tuple[str, ...]

    @property
    def owner(self) -> str:
        """The manager as messages print it: `"ctl" with subresource "status" using apps/v1`."""
        text = quote(self.manager.manager)
        if self.manager.subresource:
            text += f" with subresource {quote(self.manager.subresource)}"
        return f"{text} using {self.manager.api_version}" if self.manager.operation == "Update" else text


class ApplyConflict(Conflict):
    """409: fields of others would change. `conflicts` are sorted by manager, then by field."""

    # The reason that goes over the wire is Conflict's. These two only keep this class out of the way of `kube.errors.from_status`,
    # which finds classes by code and reason.
    code: ClassVar[int] = 0
    reason: ClassVar[str] = "FieldManagerConflict"

    def __init__(self, conflicts: Sequence[FieldConflict]) -> None:
        self.conflicts = list(conflicts)
        causes = [{"reason": "FieldManagerConflict", "message": f"conflict with {each.owner}", "field": each.path} for each in conflicts]
        super().__init__(_message(conflicts), details={"causes": causes}, code=Conflict.code, reason=Conflict.reason)


def _message(conflicts: Sequence[FieldConflict]) -> str:
    if len(conflicts) == 1:
        return f"Apply failed with 1 conflict: conflict with {conflicts[0].owner}: {conflicts[0].path}"
    lines: list[str] = []
    for owner in dict.fromkeys(each.manager for each in conflicts):
        mine = [each for each in conflicts if each.manager == owner]
        lines.append(f"conflicts with {mine[0].owner}:")
        lines.extend(f"- {each.path}" for each in mine)
    return f"Apply failed with {len(conflicts)} conflicts: " + "\n".join(lines)


def apply(
    of: StructType,
    live: Object | None,
    config: Object,
    *,
    manager: str,
    api_version: str,
    subresource: str = "",
    time: str,
    force: bool = False,
    reset_fields: ResetFields | None = None,
    convert: Convert | None = None,
) -> Object:
    """The object that results when `manager` applies `config` to `live` (None: it is created), its managedFields included.

    `config` is the client's body as parsed, in `api_version`; `live` is in that version too, in canonical form. `time` is now, as RFC 3339
    in whole seconds. The result is not canonical yet: it may have nulls, empty maps and lists where everything was taken away, and values
    as the client wrote them; decode and default it. It shares what did not change with `live` and `config`, which stay as they are.
    A result that equals `live` (entries included) is nothing to write; `managed.with_old_times` compares after decoding.

    Raises ApplyConflict (409), BadRequest (the configuration has managedFields), and ApiError 500 for what does not fit the type.
    """
    try:
        managers = decode(entries_of(live) or [], trusted=True)
    except ManagedFieldsError as error:
        raise ApiError(f"failed to decode managed fields: {error}") from None
    work = _Application(of, live, config, managers, manager, api_version, subresource, time, reset_fields, convert)
    try:
        result = work.run(force=force)
    except ApplyConflict as error:
        if manager != KUBECTL:
            raise
        result = work.run_over_client_side_apply(error.conflicts)
    except ElementError as error:
        raise ApiError(f"failed to create typed live object ({described(live or {})}): {error}") from None
    return _with_last_applied(result, config) if manager == KUBECTL else result


def check_object_type(config: Object, *, api_version: str, kind: str) -> None:
    """Raises BadRequest when what is applied is not of this version and kind."""
    if config.get("apiVersion") != api_version or config.get("kind") != kind:
        raise BadRequest(f"invalid object type: {_kind_text(config)}")


def _kind_text(obj: Object) -> str:
    """`apps/v1, Kind=Deployment`; what cannot be read is empty."""
    api_version, kind = obj.get("apiVersion") or "", obj.get("kind") or ""
    if not isinstance(api_version, str) or api_version.count("/") > 1:
        return "/, Kind="
    group, _, version = api_version.rpartition("/")
    return f"{group}/{version}, Kind={kind if isinstance(kind, str) else ''}"


def described(obj: Object) -> str:
    """`namespace/name; apps/v1, Kind=Deployment`: how messages name what was to be applied."""
    metadata = obj.get("metadata")
    if not isinstance(metadata, dict):
        return f"/; {_kind_text(obj)}"
    return f"{namespace_of(obj)}/{name_of(obj)}; {_kind_text(obj)}"


@dataclass(frozen=True, slots=True)
class _Application:
    """One apply request. `run` may be tried twice (the second time with force); it changes nothing here."""

    of: StructType
    live: Object | None
    config: Object
    managers: Managers
    manager: str
    api_version: str
    subresource: str
    time: str
    reset_fields: ResetFields | None
    convert: Convert | None

    def run(self, *, force: bool) -> Object:
        managers = self._tracked()
        self._check()
        who = identity(self.manager, "Apply", self.api_version, self.subresource)
        last = managers.get(who)
        mine = filtered(fields_of(self.of, self.config), self.reset_fields)
        managers[who] = Owner(mine, self.api_version, last.time if last else "")
        new = merged(self.of, self.live or {}, self.config)
        if last is not None and (last.api_version != self.api_version or difference(last.fields, mine)):
            new = self._pruned(new, managers, last)
        after = self._settled(managers, who, new, force=force)
        return self._result(after, who, last, new)

    def _tracked(self) -> Managers:
        """The managers, as the schema has them today; of an object that has none yet, one that owns all there is."""
        if self.managers or self.live is None:
            return {each: self._reconciled(owner) for each, owner in self.managers.items()}
        who = identity(BEFORE_FIRST_APPLY, "Update", self.api_version, self.subresource)
        return dict(
            updated(
                self.of,
                {},
                None,
                self.live,
                who=who,
                api_version=self.api_version,
                time=self.time,
                reset_fields=self.reset_fields,
                convert=self.convert,
            )
        )

    def _reconciled(self, owner: Owner) -> Owner:
        """The entry, as the schema of its version has it today."""
        there = self._at(self.live, owner.api_version) if self.convert or owner.api_version == self.api_version else None
        return owner if there is None else owner.with_fields(reconciled(owner.fields, there[0]))

    def _check(self) -> None:
        entries = entries_of(self.config) if isinstance(self.config.get("metadata"), dict) else None
        if isinstance(entries, list) and all(isinstance(each, dict) for each in entries):
            raise BadRequest("metadata.managedFields must be nil")
        try:
            check(self.of, self.config)
        except SchemaError as error:
            raise ApiError(f"failed to create typed patch object ({described(self.config)}): {error}") from None

    def _at(self, obj: Any, version: str) -> tuple[StructType, Any] | None:
        """The object in another version, with its type."""
        if self.convert is None or version == self.api_version:
            return self.of, obj
        return self.convert(obj, version)

    def _pruned(self, new: Object, managers: Managers, last: Owner) -> Object:
        """`new` without what the applier owned last time and nobody (the new configuration included) owns now."""
        then = self._at(new, last.api_version)
        if then is None:
            return new
        of, full = then
        given_up = with_named_members(last.fields, of)
        rest = without(of, full, given_up)
        rest = self._with_owned(of, full, rest, managers, last.api_version)
        removed = intersection(difference(_named(of, full), _named(of, rest)), given_up)
        pruned: Object = without(of, full, removed)
        if self.convert is None or last.api_version == self.api_version:
            return pruned
        back = self.convert(pruned, self.api_version)
        return back[1] if back else new

    def _with_owned(self, of: StructType, full: Any, rest: Any, managers: Managers, version: str) -> Any:
        """`rest`, with everything of `full` back that some manager owns. Managers of other versions are asked in their version."""
        owned: dict[str, FieldSet] = {}
        for owner in managers.values():
            at = owner.api_version if self.convert is not None else version
            owned[at] = union(owned.get(at, {}), owner.fields)
        for at in sorted(owned, key=lambda each: each != version):
            if at == version:
                rest = _kept(of, full, rest, owned[at])
                continue
            there, less = self._at(full, at), self._at(rest, at)
            if there is None or less is None:
                continue
            kept = self._at(_kept(there[0], there[1], less[1], owned[at]), version) if self.convert else None
            rest = kept[1] if kept else rest
        return rest

    def _settled(self, managers: Managers, who: Identity, new: Object, *, force: bool) -> Managers:
        """The managers once `new` is there: what changed is no longer the others'. Raises ApplyConflict unless that is wanted."""
        versions = Versions(self.of, self.live, new, api_version=self.api_version, reset_fields=self.reset_fields, convert=self.convert)
        after: Managers = {}
        conflicts: list[FieldConflict] = []
        for each, owner in sorted(managers.items(), key=lambda item: item[0].text):
            if each == who:
                after[each] = owner
                continue
            found = versions.at(owner.api_version)
            if found is None:
                continue
            conflicts += [FieldConflict(each, path_text(path), path) for path in paths(intersection(owner.fields, found.owned))]
            left = owner.with_fields(difference(difference(owner.fields, found.owned), found.removed))
            if left.fields:
                after[each] = left
        if conflicts and not force:
            raise ApplyConflict(conflicts)
        return after

    def _result(self, managers: Managers, who: Identity, last: Owner | None, new: Object) -> Object:
        fields = without_never_owned(managers[who].fields)
        unchanged = new == self.live
        if not fields:
            del managers[who]
        elif unchanged and last is not None and last.fields == fields and last.api_version == self.api_version:
            managers[who] = last
        else:
            managers[who] = Owner(fields, self.api_version, (last.time if last else "") if unchanged else self.time)
        base = self.live if unchanged and self.live is not None else new
        metadata = {name: value for name, value in (base.get("metadata") or {}).items() if name != "managedFields"}
        entries = encode(managers)
        if entries:
            metadata["managedFields"] = entries
        return {**base, "metadata": metadata}

    def run_over_client_side_apply(self, conflicts: list[FieldConflict]) -> Object:
        """Tries again with force when all conflicts are about fields that kubectl's client-side apply has set to what they are."""
        mine = self._last_applied_fields()
        if mine is None:
            raise ApplyConflict(conflicts)
        left = [each for each in conflicts if not has(mine, each.elements)]
        if left:
            raise ApplyConflict(left)
        return self.run(force=True)

    def _last_applied_fields(self) -> FieldSet | None:
        """The fields of the last client-side configuration that still are what it said; None when there is none that can be read."""
        text = annotations_of(self.live or {}).get(LAST_APPLIED)
        if not text or self.live is None:
            return None
        try:
            last = json.loads(text)
            if not isinstance(last, dict) or (last.get("apiVersion"), last.get("kind")) != (self.api_version, self.config.get("kind")):
                return None
            check(self.of, last)
            found = changes(self.of, last, self.live)
        except ValueError:  # not JSON, or not of this type
            return None
        return difference(difference(fields_of(self.of, last), found.owned), found.removed)


def _named(of: StructType, value: Any) -> FieldSet:
    return with_named_members(fields_of(of, value), of)


def _kept(of: StructType, full: Any, rest: Any, owned: FieldSet) -> Any:
    """`full` without what is not in `rest` and not owned."""
    gone = difference(difference(_named(of, full), _named(of, rest)), with_named_members(owned, of))
    return without(of, full, gone)


def _with_last_applied(result: Object, config: Object) -> Object:
    """The result, its last-applied annotation (if it has one) up to date, so that client-side apply still works afterwards."""
    annotations = annotations_of(result)
    if not annotations.get(LAST_APPLIED):
        return result
    text = _last_applied_text(config)
    updated_annotations = {**annotations, LAST_APPLIED: text}
    if sum(len(key.encode()) + len(value.encode()) for key, value in updated_annotations.items()) > ANNOTATIONS_BYTES_MAX:
        del updated_annotations[LAST_APPLIED]
    return {**result, "metadata": {**result["metadata"], "annotations": updated_annotations}}


def _last_applied_text(config: Object) -> str:
    """The configuration as client-side apply writes it: sorted, without the annotation itself, one line."""
    metadata = config.get("metadata")
    if isinstance(metadata, dict) and isinstance(metadata.get("annotations"), dict):
        annotations = {key: value for key, value in metadata["annotations"].items() if key != LAST_APPLIED}
        config = {**config, "metadata": {**metadata, "annotations": annotations}}
    return f"{text_of(config)}\n"
