"""What most kinds do on writes, to build their hooks from: who may write the status, what a status write may not touch.

Not here: rules (see `apiserver/validation/`) and defaults (each kind's own). Source: the `strategy.go` files of upstream's registries.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from apiserver.registry.kind import Column, Context, Prepare, Subresource, Validate
from kube.objects import Object

CREATED_AT = (Column("Name", format="name"), Column("Created At", type="date"))
"""The columns of kinds that upstream has no printer for."""

_RESET_METADATA = (
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "labels",
    "annotations",
    "finalizers",
    "ownerReferences",
)


def created_at_row(obj: Object, _now: datetime) -> list[Any]:
    """The row of `CREATED_AT`."""
    return [obj["metadata"].get("name", ""), obj["metadata"].get("creationTimestamp")]


def keep(new: Object, old: Object, *fields: str) -> None:
    """Give top-level fields of `new` the value (or the absence) that they have in `old`."""
    for field in fields:
        if field in old:
            new[field] = old[field]
        else:
            new.pop(field, None)


def keep_metadata(new: Object, old: Object) -> None:
    """For status writes of newer kinds, which change no metadata (upstream's ResetObjectMetaForStatus)."""
    keep(new["metadata"], old["metadata"], *_RESET_METADATA)


def status_is_the_servers(zero: Object) -> Prepare:
    """A Prepare of the main resource: the status starts as `zero`, and writes leave it as it was."""

    def prepare(new: Object, old: Object | None, _ctx: Context) -> None:
        if old is None:
            new["status"] = copy.deepcopy(zero)
        else:
            keep(new, old, "status")

    return prepare


def only_status(new: Object, old: Object | None, _ctx: Context) -> None:
    """A Prepare of `/status`: metadata and status may change, the rest not."""
    assert old is not None
    keep(new, old, *((new.keys() | old.keys()) - {"kind", "apiVersion", "metadata", "status"}))


def only_status_without_metadata(new: Object, old: Object | None, ctx: Context) -> None:
    """A Prepare of `/status` for kinds whose status writes leave all metadata alone."""
    assert old is not None
    only_status(new, old, ctx)
    keep_metadata(new, old)


def status_subresource(
    validate: Validate | None = None,
    *,
    keeps_metadata: bool = False,
    prepare: Prepare | None = None,
    reset: Sequence[tuple[str, ...]] = (),
    metadata_passes: Sequence[str] = ("update",),
) -> Subresource:
    """`/status` with the usual prepare. `keeps_metadata`: see `only_status_without_metadata`. `reset`: more field paths it never sets."""
    usual = only_status_without_metadata if keeps_metadata else only_status
    fields: list[tuple[str, ...]] = [("spec",), *reset]
    if keeps_metadata:
        fields.append(("metadata",))
    return Subresource(
        "status", prepare=prepare or usual, validate=validate, reset_fields=tuple(fields), metadata_passes=tuple(metadata_passes)
    )


def after(*steps: Prepare) -> Prepare:
    """A Prepare that does several, in order."""

    def prepare(new: Object, old: Object | None, ctx: Context) -> None:
        for step in steps:
            step(new, old, ctx)

    return prepare


def field(*path: str) -> Callable[[Object], str]:
    """A selectable field: the string at a path, "" where there is none."""

    def read(obj: Object) -> str:
        value: Any = obj
        for part in path:
            value = value.get(part) if isinstance(value, dict) else None
        return "" if value is None else str(value)

    return read


def flag(*path: str) -> Callable[[Object], str]:
    """A selectable boolean: `true` or `false`."""
    read = field(*path)
    return lambda obj: "true" if read(obj) == "True" else "false"
