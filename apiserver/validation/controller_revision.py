"""The rules of ControllerRevisions: their data never changes. Source: kubernetes `pkg/apis/apps/validation`."""

from __future__ import annotations

from collections.abc import Sequence

from apiserver.validation.metadata import immutable, not_negative
from kube.errors import FieldError, required
from kube.objects import Object


def validate(new: Object, old: Object | None, _ctx: object = None) -> Sequence[FieldError]:
    errors = [required("data", "data is mandatory")] if new.get("data") is None else []
    errors += not_negative(new.get("revision"), "revision")
    return errors if old is None else errors + immutable(new.get("data"), old.get("data"), "data")
