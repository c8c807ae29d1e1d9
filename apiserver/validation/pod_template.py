"""The rules of PodTemplates. Source: kubernetes `pkg/apis/core/validation` (ValidatePodTemplate)."""

from __future__ import annotations

from collections.abc import Sequence

from apiserver.validation.pod_warnings import Warned, is_new_generation, template_warnings
from apiserver.validation.podspec import validate_template
from kube.errors import FieldError
from kube.objects import Object


def validate(new: Object, old: Object | None, ctx: Warned | None = None) -> Sequence[FieldError]:
    errors = validate_template(new.get("template") or {}, "template")
    if ctx is not None and not errors and is_new_generation(new, old):
        ctx.warnings += template_warnings(new.get("template"), "template")
    return errors
