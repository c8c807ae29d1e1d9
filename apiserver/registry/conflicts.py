"""What a write is told that meets something else than it expected: upstream's words. Pure.

Source: apiserver `pkg/registry/generic/registry/store.go`, `pkg/storage/errors.go`.
"""

from __future__ import annotations

from typing import Final

from kube import errors
from kube.objects import Object
from kube.resources import Resource

MODIFIED: Final = "the object has been modified; please apply your changes to the latest version and try again"


def exists(resource: Resource, meta: Object, *, is_deleted: bool) -> errors.AlreadyExists:
    """A new object, whose metadata that is, meets one of its name; `is_deleted`: which waits for its end."""
    error = errors.already_exists(resource.plural, resource.group, meta["name"])
    if meta.get("generateName"):
        error.message += ", the server was not able to generate a unique name for the object"
        error.details = {**(error.details or {}), "retryAfterSeconds": 1}
    if is_deleted:
        error.message = f"object is being deleted: {error.message}"
    return error


def modified(resource: Resource, name: str) -> errors.Conflict:
    """The object is not any more what the write was made of."""
    return errors.conflict(resource.plural, resource.group, name, MODIFIED)


def other_uid(resource: Resource, name: str, key: str, asked: str, found: str, *, dry_run: bool) -> errors.Conflict:
    """A write of one object meets another one of its name (`found` "": none). `key` is where it is stored."""
    if dry_run:
        key = key.removeprefix("/registry")
    why = (
        f"StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: "
        f"UID in precondition: {asked}, UID in object meta: {found}"
    )
    return errors.conflict(resource.plural, resource.group, name, why)
