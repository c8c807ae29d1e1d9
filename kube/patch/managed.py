"""metadata.managedFields: who owns which field, kept up to date by every write.

`managed_after_update` is what create, update and every patch but apply come to: fields whose value changed are taken from whoever owned
them and given to the writer. Server-side apply (`apply.py`) works on the same `Managers`. Which fields changed: `ownership.py`.

Source: apimachinery `pkg/util/managedfields/internal` (fieldmanager.go and what it chains), structured-merge-diff `merge/update.go`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from kube.memo import Memo, bytes_of
from kube.objects import Object
from kube.patch.elements import ElementError
from kube.patch.fieldset import EMPTY, LEAF, SELF, FieldSet, FieldSetError, covers, difference, difference_below, parse, reconciled, union
from kube.patch.ownership import Changes, changes
from kube.schema.types import StructType

UPDATE_MANAGERS_MAX = 10
"""With more managers of operation Update, the oldest ones are merged into one per version."""

ANCIENT_CHANGES = "ancient-changes"

ResetFields = FieldSet | Callable[[FieldSet], FieldSet]
"""Fields that a write to this (sub)resource cannot change, so nobody comes to own them through it: a set (members and everything
below them are left out), or a filter (for subresources that may write only a few fields)."""

Convert = Callable[[Object, str], tuple[StructType, Object] | None]
"""(object, apiVersion) -> the object in that version, and its type; None when this server does not have that version."""

_NEVER_OWNED: FieldSet = {
    "f:apiVersion": LEAF,
    "f:kind": LEAF,
    "f:metadata": {
        SELF: LEAF,
        "f:name": LEAF,
        "f:namespace": LEAF,
        "f:creationTimestamp": LEAF,
        "f:selfLink": LEAF,
        "f:uid": LEAF,
        "f:clusterName": LEAF,
        "f:generation": LEAF,
        "f:managedFields": LEAF,
        "f:resourceVersion": LEAF,
    },
}


class ManagedFieldsError(ValueError):
    """Entries that are no managedFields."""


class Identity(NamedTuple):
    """What makes an entry the same entry. Of appliers the version is no part: they have one entry, whatever version they apply."""

    manager: str
    operation: str
    api_version: str
    subresource: str

    @property
    def text(self) -> str:
        """Upstream's key of the entry, which decides ties and the order of conflicts."""
        fields = {"manager": self.manager, "operation": self.operation, "apiVersion": self.api_version, "subresource": self.subresource}
        return json.dumps({key: value for key, value in fields.items() if value}, ensure_ascii=False, separators=(",", ":"))


def identity(manager: str, operation: str, api_version: str, subresource: str) -> Identity:
    return Identity(manager or "unknown", operation, "" if operation == "Apply" else api_version, subresource)


class Owner(NamedTuple):
    """One entry: `fields` in `api_version`, last changed at `time` ("" for never). `entry` is its wire form, while nothing has changed."""

    fields: FieldSet
    api_version: str
    time: str = ""
    entry: Object | None = None

    def with_fields(self, fields: FieldSet) -> Owner:
        return self if fields is self.fields else self._replace(fields=fields, entry=None)


Managers = dict[Identity, Owner]

_RECONCILED: Memo[bool] = Memo(512)
"""Field sets, by type and bytes, that are as their type has them: nearly all, for each is looked at again with every write."""


def decode(entries: Sequence[Mapping[str, Any]], *, trusted: bool) -> Managers:
    """The managers of a list of entries. `trusted`: this server wrote them, so the field sets are canonical.
    Raises ManagedFieldsError."""
    found: Managers = {}
    for entry in entries:
        operation, api_version = entry.get("operation"), entry.get("apiVersion")
        if operation not in ("Apply", "Update"):
            raise ManagedFieldsError("operation must be `Apply` or `Update`")
        if not api_version:
            raise ManagedFieldsError("apiVersion must not be empty")
        if entry.get("fieldsType") != "FieldsV1":
            raise ManagedFieldsError(f"invalid fieldsType {entry.get('fieldsType')!r}")
        fields = entry.get("fieldsV1") or EMPTY
        if not trusted:
            try:
                fields = parse(fields)
            except FieldSetError as error:
                raise ManagedFieldsError(str(error)) from None
        who = Identity(
            str(entry.get("manager") or ""), operation, "" if operation == "Apply" else api_version, entry.get("subresource") or ""
        )
        found[who] = Owner(fields, api_version, entry.get("time") or "", dict(entry) if trusted else None)
    return found


def encode(managers: Managers) -> list[Object]:
    """The entries, sorted as upstream sorts them."""

    def order(item: tuple[Identity, Owner]) -> tuple[str, ...]:
        who, owner = item
        return who.operation, owner.time, who.manager, owner.api_version, who.subresource

    return [_entry(who, owner) for who, owner in sorted(managers.items(), key=order)]


def _entry(who: Identity, owner: Owner) -> Object:
    if owner.entry is not None:
        return owner.entry
    entry: Object = {"manager": who.manager} if who.manager else {}
    entry |= {"operation": who.operation, "apiVersion": owner.api_version}
    if owner.time:
        entry["time"] = owner.time
    entry |= {"fieldsType": "FieldsV1", "fieldsV1": owner.fields}
    if who.subresource:
        entry["subresource"] = who.subresource
    return entry


def created_entry(fields: FieldSet, manager: str, api_version: str, time: str) -> Object:
    """The entry of whoever created an object with these fields (already without those that nobody owns)."""
    return _entry(identity(manager, "Update", api_version, ""), Owner(dict(sorted(fields.items())), api_version, time))


def entries_of(obj: Mapping[str, Any] | None) -> Any:
    """The object's managedFields as they are: None when the field is not there."""
    return ((obj or {}).get("metadata") or {}).get("managedFields")


def managed_after_update(
    of: StructType,
    live: Object | None,
    new: Object,
    *,
    manager: str,
    api_version: str,
    subresource: str = "",
    time: str,
    reset_fields: ResetFields | None = None,
    convert: Convert | None = None,
) -> list[Object]:
    """The managedFields of `new`, once `manager` has made it of `live` (None: it is created) with a create, update or patch.

    Both objects are of type `of` in `api_version`, defaulted and in canonical form (what Go writes always is there). `new` carries the
    managedFields that the client sent, if any: an empty list, or one empty entry, resets them; a list that cannot be read counts as none.
    `time` is now, as RFC 3339 in whole seconds. Returns the entries (the live object's own list when nothing changed); an empty list
    means that the object has no managedFields. Raises nothing: nobody owns anything of an
    object that cannot be walked (upstream `managedfields/internal/fieldmanager.go`, UpdateNoErrors).
    """
    entries = entries_of(live) or []
    sent = None if subresource else entries_of(new)
    if _is_reset(sent):
        entries, managers = [], {}
    else:
        managers = _read(sent, trusted=False) if sent and sent is not entries and sent != entries else {}
        if managers:
            entries = []
        else:
            managers = _read(entries, trusted=True)
    if not managers and live is not None and (live.get("metadata") or {}).get("uid"):
        return []
    who = identity(manager, "Update", api_version, subresource)
    try:
        after = updated(of, managers, live, new, who=who, api_version=api_version, time=time, reset_fields=reset_fields, convert=convert)
    except (ElementError, TypeError, AttributeError):  # a list where its type has a map, and the like: validation will tell
        return []
    return entries if after is managers and entries else encode(after)


def _is_reset(sent: Any) -> bool:
    return isinstance(sent, list) and (not sent or (len(sent) == 1 and not _filled(sent[0])))


def _filled(entry: Any) -> bool:
    return bool(entry) and any(value not in (None, "") for value in entry.values())


def _read(entries: Any, *, trusted: bool) -> Managers:
    try:
        return decode(entries, trusted=trusted)
    except ManagedFieldsError:
        return {}


def filtered(fields: FieldSet, reset_fields: ResetFields | None) -> FieldSet:
    """The set without what this (sub)resource cannot change."""
    if not reset_fields or not fields:
        return fields
    return reset_fields(fields) if callable(reset_fields) else difference_below(fields, reset_fields)


def without_never_owned(fields: FieldSet) -> FieldSet:
    """The set without the fields that identify the object or that the server keeps: nobody owns these."""
    return difference(fields, _NEVER_OWNED)


class Versions:
    """The changes from one object to another, seen in each version that some manager's entry is in. The first version's are given."""

    def __init__(
        self,
        of: StructType,
        live: Object | None,
        new: Object,
        *,
        api_version: str,
        reset_fields: ResetFields | None,
        convert: Convert | None,
    ) -> None:
        self._live, self._new, self._convert, self._reset = live, new, convert, reset_fields
        self.own = self._filtered(changes(of, live, new))
        self._known: dict[str, tuple[StructType, Changes] | None] = {api_version: (of, self.own)}

    def _filtered(self, found: Changes) -> Changes:
        if not self._reset:
            return found
        return Changes(filtered(found.owned, self._reset), filtered(found.removed, self._reset))

    def at(self, api_version: str) -> Changes | None:
        """The changes in that version; None when there is no such version. Without a converter every version has the same fields."""
        if self._convert is None:
            return self.own
        known = self._of(api_version)
        return known and known[1]

    def reconciled(self, owner: Owner) -> Owner:
        """The entry, as the schema of its version has it today."""
        known = self._known.get(owner.api_version) if self._convert is None else self._of(owner.api_version)
        if known is None:
            return owner
        text = bytes_of(owner.fields)
        key = (known[0], text)
        if text is not None and _RECONCILED.get(key):
            return owner
        now = owner.with_fields(reconciled(owner.fields, known[0]))
        if now is owner and text is not None:
            _RECONCILED.put(key, True)
        return now

    def _of(self, api_version: str) -> tuple[StructType, Changes] | None:
        if api_version not in self._known and self._convert is not None:
            new = self._convert(self._new, api_version)
            live = self._convert(self._live, api_version) if self._live is not None else None
            self._known[api_version] = (new[0], self._filtered(changes(new[0], live and live[1], new[1]))) if new else None
        return self._known[api_version]


def updated(
    of: StructType,
    managers: Managers,
    live: Object | None,
    new: Object,
    *,
    who: Identity,
    api_version: str,
    time: str,
    reset_fields: ResetFields | None = None,
    convert: Convert | None = None,
) -> Managers:
    """The managers after `who` has turned `live` into `new`; `managers` itself when nothing changed. Raises ElementError."""
    versions = Versions(of, live, new, api_version=api_version, reset_fields=reset_fields, convert=convert)
    if convert is None and versions.own == ({}, {}) and all(owner.entry is not None for owner in managers.values()):
        return managers  # nothing changed, and the entries are this server's own
    own = versions.own
    mine = without_never_owned(own.owned)
    after: Managers = {}
    for each, owner in managers.items():
        found = versions.at(owner.api_version)
        if found is not None:
            now = versions.reconciled(owner)
            if each == who and mine is own.owned and not own.removed and covers(now.fields, mine):
                after[each] = now._replace(time=time, entry=None) if mine else now
                mine = EMPTY  # the writer owned all of it before
                continue
            left = now.with_fields(difference(difference(now.fields, found.owned), found.removed))
            if left.fields:
                after[each] = left
    if mine:
        before = after.get(who)
        after[who] = Owner(union(mine, before.fields) if before else mine, api_version, time)
    elif len(after) == len(managers) and all(after[each] is owner for each, owner in managers.items()):
        return managers
    return _capped(after)


def _capped(managers: Managers) -> Managers:
    """The managers with the oldest updaters merged, version by version, until there are not more than UPDATE_MANAGERS_MAX."""
    updaters = [who for who in managers if who.operation == "Update"]
    excess = len(updaters) - UPDATE_MANAGERS_MAX
    if excess <= 0:
        return managers
    managers = dict(managers)
    updaters.sort(key=lambda who: (managers[who].time, who.text))
    first: dict[str, Identity] = {}
    for who in updaters:
        if excess <= 0:
            break
        owner = managers[who]
        version = owner.api_version
        if version not in first:
            first[version] = who
            continue
        bucket = Identity(ANCIENT_CHANGES, "Update", version, "")
        if bucket not in managers:
            managers[bucket] = managers.pop(first[version])
        managers[bucket] = Owner(union(owner.fields, managers[bucket].fields), version, owner.time)
        del managers[who]
        excess -= 1
    return managers


def with_old_times(live: Object, new: Object) -> Object:
    """`new`, with the times of `live`'s entries when nothing else differs: a write that changes nothing must not look like a change.

    Returns `new` itself when there is something to write. Source: apiserver `handlers/fieldmanager/equality.go`.
    """
    before, after = entries_of(live) or [], entries_of(new) or []
    if not after or len(before) != len(after) or before is after:
        return new
    if [_timeless(each) for each in before] != [_timeless(each) for each in after]:
        return new
    metadata = {**new["metadata"], "managedFields": before}
    candidate = {**new, "metadata": metadata}
    return candidate if candidate == live else new


def _timeless(entry: Mapping[str, Any]) -> Object:
    return {key: value for key, value in entry.items() if key != "time"}
