"""The rules of ReplicaSets and ReplicationControllers.

Source: kubernetes `pkg/apis/apps/validation`, `pkg/apis/core/validation` and their registries (selectors of ReplicaSets do not change).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from apiserver.validation.metadata import immutable
from apiserver.validation.pod_warnings import warn_of_template
from apiserver.validation.podspec import validate_template
from apiserver.validation.workloads import (
    counts_not_negative,
    mismatch,
    not_above_replicas,
    template_labels,
    validate_always_restarts,
    validate_selector_and_template,
)
from kube.errors import FieldError, required
from kube.objects import Object

if TYPE_CHECKING:
    from apiserver.registry.kind import Context

_COUNTS = ("replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration")
_BOUNDED = ("fullyLabeledReplicas", "readyReplicas", "availableReplicas")


def validate_replicated_template(template: Object, path: str) -> list[FieldError]:
    """The pod template of ReplicaSets and of Deployments, of which upstream speaks as ReplicaSets here."""
    return validate_template(template, path) + validate_always_restarts(template, path, "ReplicaSet")


def validate_replica_set(new: Object, old: Object | None, ctx: Context | None = None) -> Sequence[FieldError]:
    spec = new["spec"]
    errors = counts_not_negative(spec, ("replicas", "minReadySeconds"), "spec")
    errors += validate_selector_and_template(spec, validate_replicated_template, empty="deployment", ctx=ctx)
    if old is not None:
        errors += immutable(spec.get("selector"), old["spec"].get("selector"), "spec.selector")
    if not errors:
        warn_of_template(ctx, new, old)
    return errors


def validate_replica_set_status(new: Object, _old: Object | None, _ctx: object = None) -> Sequence[FieldError]:
    return _status(new.get("status") or {})


def validate_replication_controller(new: Object, old: Object | None, ctx: Context | None = None) -> Sequence[FieldError]:
    """An update is checked like a new one."""
    errors = _replication_controller(new["spec"], ctx)
    if not errors:
        warn_of_template(ctx, new, old)
    return errors


def _replication_controller(spec: Object, ctx: Context | None) -> list[FieldError]:
    errors = counts_not_negative(spec, ("minReadySeconds",), "spec")
    selector = spec.get("selector") or {}
    if not selector:
        errors.append(required("spec.selector"))
    errors += counts_not_negative(spec, ("replicas",), "spec")
    template = spec.get("template")
    if template is None:
        return [*errors, required("spec.template")]
    labels = template_labels(template) or {}
    if any(labels.get(key) != value for key, value in selector.items()):
        errors.append(mismatch(template, "spec.template", ctx))
    errors += validate_template(template, "spec.template")
    return errors + validate_always_restarts(template, "spec.template", "ReplicationController")


def validate_replication_controller_status(new: Object, _old: Object | None, _ctx: object = None) -> Sequence[FieldError]:
    return _status(new.get("status") or {})


def _status(status: Object) -> list[FieldError]:
    return counts_not_negative(status, _COUNTS, "status") + not_above_replicas(status, _BOUNDED)
