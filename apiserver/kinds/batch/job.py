"""batch/v1 Job. Source: kubernetes `pkg/registry/batch/job/strategy.go` and `pkg/apis/batch/v1/defaults.go`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apiserver.kinds.ages import age, human_duration
from apiserver.kinds.pod_features import drop_disabled_template_fields
from apiserver.kinds.podspec import default_template
from apiserver.kinds.workload import keep_status, prepare_status, status_subresource
from apiserver.kinds.workload_columns import AGE, CONTAINERS, IMAGES, NAME, SELECTOR, container_cells, selector_cell
from apiserver.registry.kind import Column, Context, Kind
from apiserver.validation import job as validation
from kube.clock import parse_time
from kube.objects import Object, is_condition_true, is_deleting, name_of
from kube.resources import JOBS

CONTROLLER_UID = "batch.kubernetes.io/controller-uid"
JOB_NAME = "batch.kubernetes.io/job-name"
LEGACY_CONTROLLER_UID = "controller-uid"
LEGACY_JOB_NAME = "job-name"
NO_LIMIT = 2**31 - 1


# --- defaults ---------------------------------------------------------------------------------------------------------


def default(job: Object) -> None:
    spec = job.setdefault("spec", {})
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = spec["parallelism"] = 1
    values = {
        "parallelism": 1,
        "backoffLimit": NO_LIMIT if spec.get("backoffLimitPerIndex") is not None else 6,
        "completionMode": "NonIndexed",
        "suspend": False,
        "manualSelector": False,
        "podReplacementPolicy": "Failed" if spec.get("podFailurePolicy") is not None else "TerminatingOrFailed",
    }
    for name, value in values.items():
        if spec.get(name) is None:
            spec[name] = value
    default_labels(job)
    default_pod_failure_policy(spec)
    default_template(spec)


def default_labels(job: Object) -> None:
    """A Job without labels has those of its template."""
    labels = ((job["spec"].get("template") or {}).get("metadata") or {}).get("labels")
    if labels and not job.setdefault("metadata", {}).get("labels"):
        job["metadata"]["labels"] = dict(labels)


def default_pod_failure_policy(spec: Object) -> None:
    for rule in (spec.get("podFailurePolicy") or {}).get("rules") or ():
        for pattern in rule.get("onPodConditions") or ():
            if not pattern.get("status"):
                pattern["status"] = "True"


# --- writes -----------------------------------------------------------------------------------------------------------


def prepare(job: Object, old: Object | None, _ctx: Context) -> None:
    keep_status(job, old)
    drop_disabled_template_fields(job, old)
    if old is None and not job["spec"].get("manualSelector"):
        generate_selector(job)
        default_labels(job)


def generate_selector(job: Object) -> None:
    """Labels on the template by which this Job alone finds its pods. What the client set is left for validation to judge."""
    meta = job["metadata"]
    name = meta.get("name") or ""
    template = job["spec"].setdefault("template", {}).setdefault("metadata", {})
    ours = {
        LEGACY_JOB_NAME: name,
        JOB_NAME: name,
        LEGACY_CONTROLLER_UID: meta["uid"],
        CONTROLLER_UID: meta["uid"],
    }
    template["labels"] = {**ours, **(template.get("labels") or {})}
    selector = job["spec"].setdefault("selector", {})
    labels = selector.get("matchLabels") or {}
    if CONTROLLER_UID not in labels:
        selector["matchLabels"] = {**labels, CONTROLLER_UID: meta["uid"]}


# --- rows -------------------------------------------------------------------------------------------------------------


def _completions_cell(job: Object) -> str:
    spec, done = job["spec"], (job.get("status") or {}).get("succeeded") or 0
    if spec.get("completions") is not None:
        return f"{done}/{spec['completions']}"
    parallelism = spec.get("parallelism") or 0
    return f"{done}/1 of {parallelism}" if parallelism > 1 else f"{done}/1"


def _duration_cell(job: Object, now: datetime) -> str:
    status = job.get("status") or {}
    started, ended = parse_time(status.get("startTime")), parse_time(status.get("completionTime"))
    return human_duration(((ended or now) - started).total_seconds()) if started else ""


def _status_cell(job: Object) -> str:
    if is_condition_true(job, "Complete"):
        return "Complete"
    if is_condition_true(job, "Failed"):
        return "Failed"
    if is_deleting(job):
        return "Terminating"
    for condition in ("Suspended", "FailureTarget", "SuccessCriteriaMet"):
        if is_condition_true(job, condition):
            return condition
    return "Running"


def _row(job: Object, now: datetime) -> list[Any]:
    spec = job["spec"]
    return [
        name_of(job),
        _status_cell(job),
        _completions_cell(job),
        _duration_cell(job, now),
        age(job, now),
        *container_cells(spec.get("template")),
        selector_cell(spec.get("selector")),
    ]


JOB = Kind(
    resource=JOBS,
    definition="io.k8s.api.batch.v1.Job",
    singular="job",
    categories=("all",),
    subresources=(status_subresource(validation.validate_status, prepare_status),),
    columns=(
        NAME,
        Column("Status", description="Where the job stands."),
        Column("Completions", description="Pods that succeeded, of those wanted."),
        Column("Duration", description="Time from start to completion."),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ),
    row=_row,
    selectable={"status.successful": lambda job: str((job.get("status") or {}).get("succeeded") or 0)},
    unknown_field="field label {quoted} not supported for batchv1.Job",
    default=default,
    prepare=prepare,
    validate=validation.validate,
    metadata_passes=("create", "update"),
    has_generation=True,
    default_orphan=True,
)

KINDS = [JOB]
