"""Rules (being written)."""

from __future__ import annotations

from collections.abc import Sequence

from apiserver.registry.kind import Context
from kube.errors import FieldError
from kube.objects import Object


def validate(new: Object, old: Object | None, ctx: Context) -> Sequence[FieldError]:
    return ()


def validate_status(new: Object, old: Object | None, ctx: Context) -> Sequence[FieldError]:
    return ()
