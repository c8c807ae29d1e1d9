"""The rules of Jobs. Policies are in `job_policies.py`, the status in `job_status.py`. Source: kubernetes `pkg/apis/batch/validation`.

An update is checked like a new Job and then once more with the old one at hand: errors of the spec are listed twice, as upstream does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from apiserver.validation.job_policies import validate_pod_failure_policy, validate_pod_replacement_policy, validate_success_policy
from apiserver.validation.job_status import validate_job_status
from apiserver.validation.metadata import complaints, has_bad_label_value, immutable, same, validate_label_selector
from apiserver.validation.names import is_dns1123_label, is_dns1123_subdomain, is_http_path
from apiserver.validation.pod_warnings import is_new_generation, name_warnings, template_warnings
from apiserver.validation.podspec import validate_template
from apiserver.validation.workloads import counts_not_negative, mismatch, template_labels
from kube.errors import FieldError, invalid, not_supported, required, too_long
from kube.labels import LabelSelectorError, from_object
from kube.objects import Object, is_condition_true

if TYPE_CHECKING:
    from apiserver.registry.kind import Context

CONTROLLER_UID, JOB_NAME = "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"
LEGACY_CONTROLLER_UID, LEGACY_JOB_NAME = "controller-uid", "job-name"
_COUNTS = (
    "parallelism",
    "completions",
    "activeDeadlineSeconds",
    "backoffLimit",
    "ttlSecondsAfterFinished",
    "backoffLimitPerIndex",
    "maxFailedIndexes",
)
_PARALLELISM_MAX = _FAILED_INDEXES_MAX = _COMPLETIONS_SOFT_MAX = 100_000
_HIGH_COMPLETIONS_MAX = 10_000
_MANAGER_CHARS_MAX = 63
_UNTRACKABLE = (
    "In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, "
    "Kubernetes might not be able to track completedIndexes when a big number of indexes fail"
)
_IMMUTABLE = ("completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy")

Errors = list[FieldError]


def validate(new: Object, old: Object | None, ctx: Context | None = None) -> Sequence[FieldError]:
    """A write of the Job itself."""
    bad_values = old is not None and has_bad_label_value(old["spec"].get("selector"))
    had_labels = template_labels(old["spec"].get("template") or {}) if old is not None else None
    prefixed = old is None or {CONTROLLER_UID, JOB_NAME} <= set(had_labels or ())
    spec = _spec(new["spec"], ctx, bad_values=bad_values)
    errors = _generated_selector(new, prefixed=prefixed) + spec + _pod_names(new)
    if old is not None:
        errors += spec + _changes(new, old)
    if ctx is not None and not errors:
        if old is None:
            ctx.warnings += name_warnings(new["metadata"].get("name") or "", "Pod names and hostnames")
        if is_new_generation(new, old):
            ctx.warnings += job_warnings(new["spec"], "spec")
    return errors


def job_warnings(spec: Object, path: str) -> list[str]:
    """What is odd in a JobSpec, though valid."""
    found = []
    completions, parallelism = spec.get("completions") or 0, spec.get("parallelism") or 0
    if spec.get("completionMode") == "Indexed" and completions > _COMPLETIONS_SOFT_MAX and parallelism > _HIGH_COMPLETIONS_MAX:
        found.append(f"{path}: {_UNTRACKABLE}")
    return found + template_warnings(spec.get("template"), f"{path}.template")


def _spec(spec: Object, ctx: Context | None, *, bad_values: bool) -> Errors:
    errors = validate_job_spec(spec, "spec")
    selector = spec.get("selector")
    if selector is None:
        errors.append(required("spec.selector"))
    else:
        errors += validate_label_selector(selector, "spec.selector", allow_bad_values=bad_values)
    template = spec.get("template") or {}
    if not _matches(selector, template_labels(template) or {}):
        errors.append(mismatch(template, "spec.template", ctx))
    return errors


def _matches(selector: Object | None, labels: dict[str, str]) -> bool:
    try:
        return from_object(selector).matches(labels)
    except LabelSelectorError:
        return True


def _generated_selector(job: Object, *, prefixed: bool) -> Errors:
    """The labels that the server made, and a selector that they satisfy. `prefixed`: in their present spelling too."""
    spec, meta = job["spec"], job["metadata"]
    if spec.get("manualSelector") or spec.get("selector") is None:
        return []
    labels = template_labels(spec.get("template") or {}) or {}
    expected = {LEGACY_CONTROLLER_UID: meta.get("uid") or "", LEGACY_JOB_NAME: meta.get("name") or ""}
    if prefixed:
        expected |= {CONTROLLER_UID: expected[LEGACY_CONTROLLER_UID], JOB_NAME: expected[LEGACY_JOB_NAME]}
    errors: Errors = []
    for key, value in expected.items():
        at = f"spec.template.metadata.labels[{key}]"
        if key not in labels:
            errors.append(required(at, f"must be '{value}'"))
        elif labels[key] != value:
            errors.append(invalid(at, labels, f"must be '{value}'"))
    if not _matches(spec["selector"], expected):
        errors.append(invalid("spec.selector", spec["selector"], "`selector` not auto-generated"))
    return errors


def _pod_names(job: Object) -> Errors:
    """An Indexed job's pods are called after it, with the index behind."""
    spec, name = job["spec"], job["metadata"].get("name") or ""
    completions = spec.get("completions") or 0
    if spec.get("completionMode") != "Indexed" or completions <= 0:
        return []
    last = f"{name}-{completions - 1}"
    if not is_dns1123_label(last):
        return []
    return [invalid("metadata.name", name, f"will not able to create pod with invalid DNS label: {last}")]


# --- JobSpec, also of CronJobs ----------------------------------------------------------------------------------------


def validate_job_spec(spec: Object, path: str) -> Errors:
    """A JobSpec but for its selector."""
    errors = counts_not_negative(spec, _COUNTS, path)
    if spec.get("maxFailedIndexes") is not None and spec.get("backoffLimitPerIndex") is None:
        errors.append(required(f"{path}.backoffLimitPerIndex", "when maxFailedIndexes is specified"))
    manager = spec.get("managedBy")
    if manager is not None:
        errors += _domain_prefixed(manager, f"{path}.managedBy")
        if len(manager) > _MANAGER_CHARS_MAX:
            errors.append(too_long(f"{path}.managedBy", _MANAGER_CHARS_MAX))
    errors += _completion_mode(spec, path)
    if spec.get("podFailurePolicy") is not None:
        errors += validate_pod_failure_policy(spec, f"{path}.podFailurePolicy")
    if spec.get("successPolicy") is not None:
        errors += validate_success_policy(spec, f"{path}.successPolicy")
    errors += validate_pod_replacement_policy(spec, f"{path}.podReplacementPolicy")
    template = spec.get("template") or {}
    return errors + validate_template(template, f"{path}.template") + _restart_policy(spec, template, f"{path}.template.spec.restartPolicy")


def _domain_prefixed(text: str, path: str) -> Errors:
    if not text:
        return [required(path)]
    domain, _, rest = text.partition("/")
    if not domain or not rest:
        return [invalid(path, text, 'must be a domain-prefixed path (such as "acme.io/foo")')]
    return complaints(path, domain, is_dns1123_subdomain(domain)) + complaints(path, rest, is_http_path(rest))


def _completion_mode(spec: Object, path: str) -> Errors:
    mode = spec.get("completionMode")
    if mode == "Indexed":
        return _indexed(spec, path)
    errors: Errors = []
    if mode is not None and mode != "NonIndexed":
        return [not_supported(f"{path}.completionMode", mode, ["NonIndexed", "Indexed"])]
    for name in ("backoffLimitPerIndex", "maxFailedIndexes"):
        if spec.get(name) is not None:
            errors.append(invalid(f"{path}.{name}", spec[name], "requires indexed completion mode"))
    return errors


def _indexed(spec: Object, path: str) -> Errors:
    completions, parallelism = spec.get("completions"), spec.get("parallelism") or 0
    failed = spec.get("maxFailedIndexes")
    errors: Errors = []
    if completions is None:
        errors.append(required(f"{path}.completions", "when completion mode is Indexed"))
    if parallelism > _PARALLELISM_MAX:
        why = f"must be less than or equal to {_PARALLELISM_MAX} when completion mode is Indexed"
        errors.append(invalid(f"{path}.parallelism", parallelism, why))
    if failed is not None and completions is not None and failed > completions:
        errors.append(invalid(f"{path}.maxFailedIndexes", failed, "must be less than or equal to completions"))
    if failed is not None and failed > _FAILED_INDEXES_MAX:
        errors.append(invalid(f"{path}.maxFailedIndexes", failed, f"must be less than or equal to {_FAILED_INDEXES_MAX}"))
    if completions is None or completions <= _COMPLETIONS_SOFT_MAX or spec.get("backoffLimitPerIndex") is None:
        return errors
    if failed is None:
        why = f"must be specified when completions is above {_COMPLETIONS_SOFT_MAX}"
        errors.append(required(f"{path}.maxFailedIndexes", why))
    why = f"must be less than or equal to {_HIGH_COMPLETIONS_MAX} when completions are above {_COMPLETIONS_SOFT_MAX}"
    why += " and used with backoff limit per index"
    for name, value in (("parallelism", parallelism), ("maxFailedIndexes", failed or 0)):
        if value > _HIGH_COMPLETIONS_MAX:
            errors.append(invalid(f"{path}.{name}", value, why))
    return errors


def _restart_policy(spec: Object, template: Object, path: str) -> Errors:
    policy = (template.get("spec") or {}).get("restartPolicy") or ""
    if policy in ("", "Always"):
        return [required(path, 'valid values: "OnFailure", "Never"')]
    if policy not in ("OnFailure", "Never"):
        return [not_supported(path, policy, ["OnFailure", "Never"])]
    if spec.get("podFailurePolicy") is not None and policy != "Never":
        return [invalid(path, policy, 'only "Never" is supported when podFailurePolicy is specified')]
    return []


# --- updates ----------------------------------------------------------------------------------------------------------


def _changes(new: Object, old: Object) -> Errors:
    spec, before = new["spec"], old["spec"]
    errors = _completions_change(spec, before)
    errors += immutable(spec.get("selector"), before.get("selector"), "spec.selector")
    template = spec.get("template") or {}
    fixed = before.get("template") or {}
    if _is_at_rest(old):
        fixed = _with_changeable_parts(fixed, template)
        errors += immutable(template.get("spec"), fixed.get("spec"), "spec.template.spec")
    elif not same(template, fixed):
        errors += immutable(template, fixed, "spec.template")
    for name in _IMMUTABLE:
        errors += immutable(spec.get(name), before.get(name), f"spec.{name}")
    return errors


def _is_at_rest(job: Object) -> bool:
    """Whether a suspended job has no pods: it never started, or its controller says that it is suspended."""
    status = job.get("status") or {}
    if not job["spec"].get("suspend") or status.get("active"):
        return False
    return status.get("startTime") is None or is_condition_true(job, "Suspended")


def _completions_change(spec: Object, before: Object) -> Errors:
    """An Indexed job can be scaled: completions together with parallelism."""
    completions = spec.get("completions")
    if spec.get("completionMode") != "Indexed":
        return immutable(completions, before.get("completions"), "spec.completions")
    if completions in (None, before.get("completions")) or completions == spec.get("parallelism"):
        return []
    return [invalid("spec.completions", completions, "can only be modified in tandem with spec.parallelism")]


def _with_changeable_parts(old: Object, new: Object) -> Object:
    """The old template with what may change while no pod of a suspended job runs: where pods go, and what they ask for."""
    meta, pod = dict(old.get("metadata") or {}), dict(old.get("spec") or {})
    new_meta, new_pod = new.get("metadata") or {}, new.get("spec") or {}
    for name in ("annotations", "labels"):
        meta[name] = new_meta.get(name)
    for name in ("nodeSelector", "tolerations", "schedulingGates"):
        pod[name] = new_pod.get(name)
    affinity = {name: value for name, value in (pod.get("affinity") or {}).items() if name != "nodeAffinity"}
    if nodes := (new_pod.get("affinity") or {}).get("nodeAffinity"):
        affinity["nodeAffinity"] = nodes
    pod["affinity"] = affinity
    for part in ("containers", "initContainers"):
        resources = {each.get("name"): each.get("resources") for each in new_pod.get(part) or ()}
        if pod.get(part):
            pod[part] = [{**each, "resources": resources.get(each.get("name"))} for each in pod[part]]
    return {**old, "metadata": meta, "spec": pod}


def validate_status(new: Object, old: Object | None, _ctx: object = None) -> Sequence[FieldError]:
    """A write of jobs/status."""
    assert old is not None
    return validate_job_status(new, old)
