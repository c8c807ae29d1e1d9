"""Ownership through the scale subresource: `spec.replicas` of a Scale is the parent's replicas field, and so is its owner.

A write to scale goes: `scale_entries` of the parent, an update or apply on the Scale object with these entries, then `parent_entries`.
Times are the parent's: who comes to own replicas only through scale has none.
Source: apimachinery `pkg/util/managedfields/scalehandler.go`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kube.objects import Object
from kube.patch.fieldset import difference, has, of_path
from kube.patch.managed import Managers, Owner, decode, encode

SCALE_VERSION = "autoscaling/v1"

REPLICAS = ("f:spec", "f:replicas")
"""The replicas field of a Scale, and of most parents."""

ReplicasPaths = Mapping[str, tuple[str, ...] | None]
"""apiVersion of the parent -> its replicas field, as path elements; None where that version has no scale. Versions that are not listed
are unknown, and their entries are dropped."""


def scale_entries(entries: Sequence[Object], paths: ReplicasPaths) -> list[Object]:
    """The managedFields of the Scale: one entry for each of the parent's that owns replicas. Raises ManagedFieldsError."""
    found: Managers = {}
    for who, owner in decode(entries, trusted=True).items():
        path = paths.get(owner.api_version)
        if path and has(owner.fields, path):
            found[who] = Owner(of_path(*REPLICAS), SCALE_VERSION, owner.time)
    return encode(found)


def parent_entries(entries: Sequence[Object], scaled: Sequence[Object], *, api_version: str, paths: ReplicasPaths) -> list[Object]:
    """The parent's managedFields after a write through scale has left the Scale with the entries `scaled`.
    `api_version` is the parent's in that request. Raises ManagedFieldsError."""
    before, scale = decode(entries, trusted=True), decode(scaled, trusted=True)
    after: Managers = {}
    for who, owner in before.items():
        if owner.api_version not in paths:
            continue
        path = paths[owner.api_version]
        if not path or not has(owner.fields, path) or scale.pop(who, None) is not None:
            after[who] = owner
            continue
        left = owner.with_fields(difference(owner.fields, of_path(*path)))
        if left.fields:
            after[who] = left
    replicas: Any = paths[api_version]
    for who, owner in scale.items():
        if has(owner.fields, REPLICAS):
            known = before.get(who)
            after[who] = Owner(of_path(*replicas), api_version, known.time if known else "")
    return encode(after)
