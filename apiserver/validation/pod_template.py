"""The rules of PodTemplates. Source: kubernetes `pkg/apis/core/validation` (ValidatePodTemplate)."""

from __future__ import annotations

from collections.abc import Sequence

from apiserver.validation.podspec import validate_template
from kube.errors import FieldError
from kube.objects import Object


def validate(new: Object, _old: Object | None, _ctx: object = None) -> Sequence[FieldError]:
    return validate_template(new.get("template") or {}, "template")
