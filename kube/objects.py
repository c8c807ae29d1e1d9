"""Reading Kubernetes objects: plain dicts, as they go over the wire. Pure functions that answer; nothing here changes its argument."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Object = dict[str, Any]
"""A Kubernetes object as decoded JSON."""


def name_of(obj: Mapping[str, Any]) -> str:
    return str(obj.get("metadata", {}).get("name", ""))


def namespace_of(obj: Mapping[str, Any]) -> str:
    """The namespace, "" for cluster-scoped objects."""
    return str(obj.get("metadata", {}).get("namespace", ""))


def uid_of(obj: Mapping[str, Any]) -> str:
    return str(obj.get("metadata", {}).get("uid", ""))


def key_of(obj: Mapping[str, Any]) -> str:
    """`namespace/name`, or `name` for cluster-scoped objects: the key of caches and work queues."""
    namespace = namespace_of(obj)
    return f"{namespace}/{name_of(obj)}" if namespace else name_of(obj)


def split_key(key: str) -> tuple[str, str]:
    """(namespace, name) of a key; the namespace is "" for cluster-scoped objects."""
    namespace, _, name = key.rpartition("/")
    return namespace, name


def labels_of(obj: Mapping[str, Any]) -> dict[str, str]:
    return obj.get("metadata", {}).get("labels") or {}


def annotations_of(obj: Mapping[str, Any]) -> dict[str, str]:
    return obj.get("metadata", {}).get("annotations") or {}


def owners_of(obj: Mapping[str, Any]) -> list[Object]:
    return obj.get("metadata", {}).get("ownerReferences") or []


def controller_of(obj: Mapping[str, Any]) -> Object | None:
    """The owner reference with `controller: true`, or None."""
    return next((owner for owner in owners_of(obj) if owner.get("controller")), None)


def is_deleting(obj: Mapping[str, Any]) -> bool:
    return bool(obj.get("metadata", {}).get("deletionTimestamp"))


def is_newer(obj: Mapping[str, Any], than: Mapping[str, Any]) -> bool:
    """Whether an object is a later version than the other, or no version of the same object at all. Resource versions are numbers that grow
    (KEP-5504); any other is taken for newer."""
    versions = resource_version_of(obj), resource_version_of(than)
    if uid_of(obj) != uid_of(than) or not all(each.isdecimal() for each in versions):
        return True
    return int(versions[0]) > int(versions[1])


def resource_version_of(obj: Mapping[str, Any]) -> str:
    return str(obj.get("metadata", {}).get("resourceVersion", ""))


def condition_of(obj: Mapping[str, Any], kind: str) -> Object | None:
    """The status condition of type `kind`, or None."""
    return next((each for each in obj.get("status", {}).get("conditions") or [] if each.get("type") == kind), None)


def is_condition_true(obj: Mapping[str, Any], kind: str) -> bool:
    found = condition_of(obj, kind)
    return found is not None and found.get("status") == "True"


def with_condition(conditions: Iterable[Mapping[str, Any]] | None, new: Mapping[str, Any]) -> list[Object]:
    """The conditions with `new` in its type's place; lastTransitionTime stays where the status did not change."""
    out: list[Object] = []
    placed = False
    for old in conditions or ():
        if old.get("type") != new["type"]:
            out.append(dict(old))
            continue
        merged = dict(new)
        if old.get("status") == new.get("status") and "lastTransitionTime" in old:
            merged["lastTransitionTime"] = old["lastTransitionTime"]
        out.append(merged)
        placed = True
    if not placed:
        out.append(dict(new))
    return out


def controller_reference(owner: Mapping[str, Any], *, api_version: str, kind: str) -> Object:
    """An owner reference that makes `owner` the managing controller."""
    return {
        "apiVersion": api_version,
        "kind": kind,
        "name": name_of(owner),
        "uid": uid_of(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }
