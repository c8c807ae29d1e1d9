"""The rules of ControllerRevisions: their data never changes. Source: kubernetes `pkg/apis/apps/validation`.

Upstream compares the data as text: in another order, or with other white space, it is other data (`Kind.texts`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from apiserver.validation.metadata import IMMUTABLE, not_negative
from kube.errors import FieldError, invalid, required
from kube.objects import Object

if TYPE_CHECKING:
    from apiserver.registry.kind import Context


def validate(new: Object, old: Object | None, ctx: Context) -> Sequence[FieldError]:
    errors = not_negative(new.get("revision"), "revision")
    data = new.get("data")
    if old is None and not isinstance(data, dict):
        errors = [*errors, required("data", "data is mandatory" if data is None else "data must be a valid JSON object")]
    if old is not None and ctx.texts.get("data") != ctx.old_texts.get("data"):
        errors.append(invalid("data", new.get("data"), IMMUTABLE))
    return errors
