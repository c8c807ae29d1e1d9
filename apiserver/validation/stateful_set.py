"""The rules of StatefulSets. Source: kubernetes `pkg/apis/apps/validation`.

The claims of volumeClaimTemplates count as volumes of the template, for they will be the pods'.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from apiserver.validation.metadata import complaints, not_negative, same, validate_annotations, validate_labels
from apiserver.validation.names import is_dns1123_label
from apiserver.validation.pod_annotations import validate_pod_annotations
from apiserver.validation.pod_warnings import is_new_generation, template_warnings
from apiserver.validation.podspec import validate_template
from apiserver.validation.volume_claim import claim_warnings, validate_claim_spec
from apiserver.validation.workloads import (
    amount_of,
    collision_count_kept,
    counts_not_negative,
    int_or_percent,
    not_above_100_percent,
    not_above_replicas,
    validate_always_restarts,
    validate_selector_and_template,
)
from kube.errors import FieldError, invalid, not_allowed, not_supported, required
from kube.objects import Object

if TYPE_CHECKING:
    from apiserver.registry.kind import Context

_CHANGEABLE = (
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
)
_FORBIDDEN = (
    "updates to statefulset spec for fields other than "
    + ", ".join(f"'{name}'" for name in _CHANGEABLE[:-1])
    + f" and '{_CHANGEABLE[-1]}' are forbidden"
)
_COUNTS = ("replicas", "readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas", "observedGeneration", "collisionCount")
_BOUNDED = ("readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas")

Errors = list[FieldError]


def validate(new: Object, old: Object | None, ctx: Context | None = None) -> Sequence[FieldError]:
    """A write of the StatefulSet itself."""
    spec, before = new["spec"], old["spec"] if old is not None else {}
    errors = _spec(spec, before, ctx)
    if old is not None:
        fixed = {name: value for name, value in spec.items() if name not in _CHANGEABLE}
        if not same(fixed, {name: value for name, value in before.items() if name not in _CHANGEABLE}):
            errors.append(not_allowed("spec", _FORBIDDEN))
    if ctx is not None and not errors and is_new_generation(new, old):
        ctx.warnings += _warnings(spec, "" if old is None else ".Spec")
    return errors


def _warnings(spec: Object, part: str) -> list[str]:
    """`part` is what upstream calls the spec of a claim in paths: nothing at first, `Spec` later."""
    found = template_warnings(spec.get("template"), "spec.template")
    for index, claim in enumerate(spec.get("volumeClaimTemplates") or ()):
        found += claim_warnings(claim.get("spec") or {}, f"spec.volumeClaimTemplates[{index}]{part}")
    if (spec.get("revisionHistoryLimit") or 0) < 0:
        found.append("spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended")
    return found


def _spec(spec: Object, before: Object, ctx: Context | None) -> Errors:
    policy = spec.get("podManagementPolicy")
    errors: Errors = []
    if not policy:
        errors.append(required("spec.podManagementPolicy"))
    elif policy not in ("OrderedReady", "Parallel"):
        errors.append(invalid("spec.podManagementPolicy", policy, "must be 'OrderedReady' or 'Parallel'"))
    errors += _strategy(spec.get("updateStrategy") or {}, "spec.updateStrategy")
    errors += _retention(spec.get("persistentVolumeClaimRetentionPolicy"), "spec.persistentVolumeClaimRetentionPolicy")
    if not before:
        for index, claim in enumerate(spec.get("volumeClaimTemplates") or ()):
            errors += validate_claim_spec(claim.get("spec") or {}, f"spec.volumeClaimTemplates[{index}].spec")
    errors += counts_not_negative(spec, ("replicas", "minReadySeconds"), "spec")
    errors += not_negative((spec.get("ordinals") or {}).get("start"), "spec.ordinals.start")
    service = spec.get("serviceName")
    if service and not before:
        errors += complaints("spec.serviceName", service, is_dns1123_label(service))
    return errors + _selector_and_template(spec, ctx)


def _selector_and_template(spec: Object, ctx: Context | None) -> Errors:
    claims = spec.get("volumeClaimTemplates") or []

    def check(template: Object, path: str) -> Errors:
        """The template's labels and annotations are looked at twice."""
        meta = template.get("metadata") or {}
        labels, annotations = meta.get("labels"), meta.get("annotations")
        errors = validate_template(_with_claims(template, claims), path) + validate_labels(labels, f"{path}.labels")
        errors += validate_annotations(annotations, f"{path}.annotations")
        return errors + validate_pod_annotations(annotations, template.get("spec") or {}, f"{path}.annotations")

    errors = validate_selector_and_template(spec, check, empty="statefulset", unreadable="", ctx=ctx)
    return errors + validate_always_restarts(spec.get("template") or {}, "spec.template", "StatefulSet")


def _with_claims(template: Object, claims: list[Object]) -> Object:
    """The template as its pods will be: the claims are its first volumes, one takes the place of a volume of its name. What they are called
    is the controller's business."""
    pod = {name: value for name, value in (template.get("spec") or {}).items() if name not in ("hostname", "subdomain")}
    if not claims:
        return {**template, "spec": pod}
    names = list(dict.fromkeys((claim.get("metadata") or {}).get("name") or "" for claim in claims))
    volumes: list[Object] = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in names]
    volumes += [volume for volume in pod.get("volumes") or () if volume.get("name") not in names]
    return {**template, "spec": {**pod, "volumes": volumes}}


def _strategy(strategy: Object, path: str) -> Errors:
    kind, rolling = strategy.get("type"), strategy.get("rollingUpdate")
    if not kind:
        return [required(path)]
    if kind not in ("RollingUpdate", "OnDelete"):
        return [invalid(path, strategy, "must be 'RollingUpdate' or 'OnDelete'")]
    if rolling is None:
        return []
    if kind == "OnDelete":
        return [invalid(f"{path}.rollingUpdate", rolling, "only allowed for updateStrategy 'RollingUpdate'")]
    return _rolling(rolling, f"{path}.rollingUpdate")


def _rolling(rolling: Object, path: str) -> Errors:
    errors = not_negative(rolling.get("partition"), f"{path}.partition")
    unavailable = rolling.get("maxUnavailable")
    if unavailable is not None:
        at = f"{path}.maxUnavailable"
        errors += int_or_percent(unavailable, at)
        if not amount_of(unavailable):
            errors.append(invalid(at, unavailable, "cannot be 0"))
        errors += not_above_100_percent(unavailable, at)
    return errors


def _retention(policy: Object | None, path: str) -> Errors:
    if policy is None:
        return []
    known = ("Retain", "Delete")
    return [
        not_supported(f"{path}.{name}", policy.get(name) or "", known)
        for name in ("whenDeleted", "whenScaled")
        if policy.get(name) not in known
    ]


def validate_status(new: Object, old: Object | None, _ctx: object = None) -> Sequence[FieldError]:
    """A write of statefulsets/status."""
    assert old is not None
    status = new.get("status") or {}
    errors = counts_not_negative(status, _COUNTS, "status")
    errors += not_above_replicas(status, _BOUNDED, ready="status.readyReplicas")
    return errors + collision_count_kept(new, old)
