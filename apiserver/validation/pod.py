"""The rules of the Pod kind: creation, and the few changes that a running pod allows.

The spec's own rules are in `podspec.py`. Source: kubernetes `pkg/apis/core/validation/validation.go` (ValidatePodCreate and the
functions after it). Where upstream says the same twice (once for the spec, once for the change), so does this.
"""

from __future__ import annotations

from collections.abc import Sequence

from apiserver.validation.affinity import validate_tolerations
from apiserver.validation.containers import image_whitespace
from apiserver.validation.metadata import same
from apiserver.validation.names import range_error
from apiserver.validation.pod_annotations import (
    MIRROR,
    is_of_interest,
    validate_annotation_updates,
    validate_pod_annotations,
    validate_profiles_match,
)
from apiserver.validation.pod_resize import validate_changes
from apiserver.validation.pod_status import address_warnings, validate_status
from apiserver.validation.pod_warnings import Warned, name_warnings, pod_warnings
from apiserver.validation.podspec import INT32_MAX, validate_pod_spec
from kube.errors import FieldError, invalid, not_allowed, required
from kube.memo import Memo, bytes_of
from kube.objects import Object, annotations_of, name_of

_CHANGEABLE = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n"
)
_NODE_TERMS = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"

Errors = list[FieldError]


def validate(new: Object, old: Object | None, ctx: Warned | None = None) -> Sequence[FieldError]:
    """A write of the Pod itself. Only creation warns, for people seldom change pods."""
    if old is not None:
        return _update(new, old)
    spec, annotations = new["spec"], annotations_of(new)
    text = bytes_of(spec) if not (annotations and is_of_interest(annotations)) else None
    warnings = _FINE.get(text)
    if warnings is None:
        errors = _create(new)
        if errors:
            return errors
        warnings = tuple(pod_warnings(spec, annotations))
        if text is not None and b'"ephemeral":' not in text:
            _FINE.put(text, warnings)
    if ctx is not None:
        ctx.warnings += name_warnings(name_of(new), "the Pod's hostname")
        ctx.warnings += warnings
    return []


_FINE: Memo[tuple[str, ...]] = Memo()
"""The warnings of specs of new pods with nothing wrong. Not of those with ephemeral volumes, whose claims are named after the pod, and not
of pods whose annotations have a say."""


def _whole(pod: Object) -> Errors:
    """Annotations and spec, whatever is written."""
    spec = pod["spec"]
    errors = validate_pod_annotations(annotations_of(pod), spec, "metadata.annotations")
    errors += validate_pod_spec(spec, "spec", pod_name=name_of(pod), is_pod=True)
    if not spec.get("serviceAccountName"):
        errors += _tokens(spec)
    for name in ("containers", "initContainers"):
        for index, container in enumerate(spec.get(name) or ()):
            errors += image_whitespace(container, f"spec.{name}[{index}]")
    return errors


def _tokens(spec: Object) -> Errors:
    why = "must not be specified when serviceAccountName is not set"
    return [
        not_allowed(f"spec.volumes[{number}].projected.sources[{index}].serviceAccountToken", why)
        for number, volume in enumerate(spec.get("volumes") or ())
        for index, source in enumerate((volume.get("projected") or {}).get("sources") or ())
        if source.get("serviceAccountToken") is not None
    ]


def _create(pod: Object) -> Errors:
    spec = pod["spec"]
    errors = _whole(pod)
    if spec.get("ephemeralContainers"):
        errors.append(not_allowed("spec.ephemeralContainers", "cannot be set on create"))
    if spec.get("nodeName") and spec.get("schedulingGates"):
        errors.append(not_allowed("spec.nodeName", "cannot be set until all schedulingGates have been cleared"))
    return errors + validate_profiles_match(annotations_of(pod), spec, "spec")


# --- updates ----------------------------------------------------------------------------------------------------------


def _update(new: Object, old: Object) -> Errors:
    spec, before = new["spec"], old["spec"]
    errors = _whole(new) + _annotation_updates(new, old)
    for name in ("containers", "initContainers"):
        found, stop = _container_updates(spec.get(name) or [], before.get(name) or [], f"spec.{name}")
        errors += found
        if stop:
            return errors
    found, stop = _deadline_update(spec.get("activeDeadlineSeconds"), before.get("activeDeadlineSeconds"))
    errors += found
    if stop:
        return errors
    errors += _toleration_updates(spec.get("tolerations") or [], before.get("tolerations") or [])
    errors += _gate_updates(spec.get("schedulingGates") or [], before.get("schedulingGates") or [])
    if same(spec, before):
        return errors
    allowed = _with_allowed_changes_undone(spec, before)
    if before.get("schedulingGates"):
        errors += _gated_updates(allowed, before)
    if not same(allowed, before):
        errors.append(not_allowed("spec", _CHANGEABLE))
    return errors


def _annotation_updates(new: Object, old: Object) -> Errors:
    after, before = annotations_of(new), annotations_of(old)
    if not after and not before:
        return []
    errors = validate_annotation_updates(after, before, "metadata.annotations")
    return errors + validate_pod_annotations(after, new["spec"], "metadata.annotations")


def _container_updates(new: list[Object], old: list[Object], path: str) -> tuple[Errors, bool]:
    if len(new) != len(old):
        return [not_allowed(path, "pod updates may not add or remove containers")], True
    errors: Errors = []
    for index, container in enumerate(new):
        if not container.get("image"):
            errors.append(required(f"{path}[{index}].image"))
        errors += image_whitespace(container, f"{path}[{index}]")
    return errors, False


def _deadline_update(new: int | None, old: int | None) -> tuple[Errors, bool]:
    """A deadline can be set, and then only come nearer."""
    path = "spec.activeDeadlineSeconds"
    if new is None:
        return ([] if old is None else [invalid(path, None, "must not update from a positive integer to nil value")]), False
    if not 0 <= new <= INT32_MAX:
        return [invalid(path, new, range_error(0, INT32_MAX))], True
    if old is not None and old < new:
        return [invalid(path, new, "must be less than or equal to previous value")], True
    return [], False


def _toleration_updates(new: list[Object], old: list[Object]) -> Errors:
    def without_seconds(toleration: Object) -> Object:
        return {key: value for key, value in toleration.items() if key != "tolerationSeconds" and value not in (None, "")}

    kept = [without_seconds(each) for each in new]
    if any(without_seconds(each) not in kept for each in old):
        return [not_allowed("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds")]
    return validate_tolerations(new, "spec.tolerations")


def _gate_updates(new: list[Object], old: list[Object]) -> Errors:
    known = {each.get("name") for each in old}
    added = {each.get("name") or "": index for index, each in enumerate(new) if each.get("name") not in known}
    why = "only deletion is allowed, but found new scheduling gate '{}'"
    return [not_allowed(f"spec.schedulingGates[{index}].name", why.format(name)) for name, index in added.items()]


def _with_allowed_changes_undone(spec: Object, before: Object) -> Object:
    """The new spec with everything that may change put back; what differs still, may not."""
    undone = dict(spec)
    for name in ("containers", "initContainers"):
        if spec.get(name):
            undone[name] = [{**each, "image": old.get("image")} for each, old in zip(spec[name], before[name], strict=True)]
    for name in ("activeDeadlineSeconds", "tolerations", "schedulingGates"):
        undone[name] = before.get(name)
    if (before.get("terminationGracePeriodSeconds") or 0) < 0 and spec.get("terminationGracePeriodSeconds") == 1:
        undone["terminationGracePeriodSeconds"] = before["terminationGracePeriodSeconds"]
    return undone


# --- gated pods -------------------------------------------------------------------------------------------------------


def _gated_updates(spec: Object, before: Object) -> Errors:
    """While scheduling gates hold a pod, its node selector and node affinity may grow; `spec` is put back in place."""
    errors: Errors = []
    selector, old_selector = spec.get("nodeSelector") or {}, before.get("nodeSelector") or {}
    if any(selector.get(key) != value for key, value in old_selector.items()):
        why = "only additions to spec.nodeSelector are allowed (no mutations or deletions)"
        errors.append(invalid("spec.nodeSelector", selector, why))
    spec["nodeSelector"] = before.get("nodeSelector")
    affinity, old_affinity = spec.get("affinity") or {}, before.get("affinity") or {}
    new_nodes, old_nodes = affinity.get("nodeAffinity"), old_affinity.get("nodeAffinity")
    if not same(new_nodes, old_nodes):
        errors += _node_affinity_update(new_nodes or {}, old_nodes or {})
        spec["affinity"] = {**affinity, "nodeAffinity": old_nodes}
        if all(same(value, None) for value in spec["affinity"].values()):
            spec["affinity"] = before.get("affinity")
    return errors


def _node_affinity_update(new: Object, old: Object) -> Errors:
    def terms(affinity: Object) -> list[Object]:
        return (affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}).get("nodeSelectorTerms") or []

    after, before = terms(new), terms(old)
    if not before:
        return []
    if len(after) != len(before):
        return [invalid(_NODE_TERMS, after, "no additions/deletions to non-empty NodeSelectorTerms list are allowed")]
    why = "only additions are allowed (no mutations or deletions)"
    return [
        invalid(f"{_NODE_TERMS}[{index}]", term, why) for index, term in enumerate(after) if not _has_only_additions(term, before[index])
    ]


def _has_only_additions(new: Object, old: Object) -> bool:
    parts = ("matchExpressions", "matchFields")
    if not any(old.get(part) for part in parts) and any(new.get(part) for part in parts):
        return False
    return all(same((new.get(part) or [])[: len(old.get(part) or [])], old.get(part) or []) for part in parts)


# --- subresources -----------------------------------------------------------------------------------------------------


def validate_ephemeral_containers_update(new: Object, old: Object | None, _ctx: object = None) -> Sequence[FieldError]:
    """A write of pods/ephemeralcontainers: they can be added, nothing else."""
    assert old is not None
    errors = _whole(new) + _annotation_updates(new, old)
    if MIRROR in annotations_of(old):
        return [not_allowed("[]", "static pods do not support ephemeral containers")]
    by_name = {each.get("name"): each for each in new["spec"].get("ephemeralContainers") or ()}
    for container in old["spec"].get("ephemeralContainers") or ():
        name = container.get("name")
        if name not in by_name:
            errors.append(not_allowed("spec.ephemeralContainers", f'existing ephemeral containers "{name}" may not be removed\n'))
        elif not same(container, by_name[name]):
            errors.append(not_allowed("spec.ephemeralContainers", f'existing ephemeral containers "{name}" may not be changed\n'))
    return errors


def validate_resize(new: Object, old: Object | None, _ctx: object = None) -> Sequence[FieldError]:
    """A write of pods/resize."""
    assert old is not None
    if MIRROR in annotations_of(old):
        return [not_allowed("[]", "static pods cannot be resized")]
    if (old["spec"].get("os") or {}).get("name") == "windows":
        return [not_allowed("[]", "windows pods cannot be resized")]
    return _whole(new) + validate_changes(new, old)


def validate_status_update(new: Object, old: Object | None, ctx: Warned | None = None) -> Sequence[FieldError]:
    """A write of pods/status."""
    assert old is not None
    errors = _annotation_updates(new, old) + validate_status(new, old)
    if ctx is not None and not errors:
        ctx.warnings += address_warnings(new)
    return errors
