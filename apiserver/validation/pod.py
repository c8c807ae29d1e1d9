"""Rules (being written)."""

from __future__ import annotations

from collections.abc import Sequence

from apiserver.registry.kind import Context
from kube.errors import FieldError
from kube.objects import Object


def validate(new: Object, old: Object | None, ctx: Context) -> Sequence[FieldError]:
    return ()


def validate_status_update(new: Object, old: Object | None, ctx: Context) -> Sequence[FieldError]:
    return ()


def validate_ephemeral_containers_update(new: Object, old: Object | None, ctx: Context) -> Sequence[FieldError]:
    return ()


def validate_resize(new: Object, old: Object | None, ctx: Context) -> Sequence[FieldError]:
    return ()
