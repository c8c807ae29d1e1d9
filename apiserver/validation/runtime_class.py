"""RuntimeClasses. Source: kubernetes `pkg/apis/node/validation/validation.go`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apiserver.validation.affinity import validate_tolerations
from apiserver.validation.metadata import complaints, immutable, validate_labels
from apiserver.validation.names import is_dns1123_label
from apiserver.validation.node_labels import DEPRECATED_LABELS
from apiserver.validation.requirements import validate_requirements
from kube.errors import FieldError, duplicate, required
from kube.objects import Object

if TYPE_CHECKING:
    from apiserver.registry.kind import Context


def validate(new: Object, old: Object | None, ctx: Context) -> list[FieldError]:
    handler, overhead, scheduling = new.get("handler") or "", new.get("overhead"), new.get("scheduling")
    errors = complaints("handler", handler, is_dns1123_label(handler)) if handler else [required("handler")]
    if overhead is not None:
        errors += validate_requirements({"limits": overhead.get("podFixed") or {}}, "overhead")
    if scheduling is not None:
        errors += validate_labels(scheduling.get("nodeSelector"), "scheduling.nodeSelector")
        errors += _tolerations(scheduling.get("tolerations") or [], "scheduling.tolerations")
        labels = sorted(set(scheduling.get("nodeSelector") or {}) & set(DEPRECATED_LABELS))
        ctx.warnings += [f"scheduling.nodeSelector: {DEPRECATED_LABELS[key]}" for key in labels]
    if old is not None:
        errors += immutable(handler, old.get("handler") or "", "handler")
    return errors


def _tolerations(tolerations: list[Object], path: str) -> list[FieldError]:
    """No toleration may be there twice."""
    errors = validate_tolerations(tolerations, path)
    for index, each in enumerate(tolerations):
        if each in tolerations[:index]:
            errors.append(duplicate(f"{path}[{index}]", go_toleration(each)))
    return errors


def go_toleration(toleration: Object) -> Object:
    """A toleration as Go prints its internal type."""
    texts = {name[0].upper() + name[1:]: toleration.get(name) or "" for name in ("key", "operator", "value", "effect")}
    return {**texts, "TolerationSeconds": toleration.get("tolerationSeconds")}
