"""batch/v1 CronJob. Source: kubernetes `pkg/registry/batch/cronjob/strategy.go` and `pkg/apis/batch/v1/defaults.go`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apiserver.kinds.ages import age, since
from apiserver.kinds.batch.job import default_pod_failure_policy
from apiserver.kinds.pod_features import drop_disabled_fields
from apiserver.kinds.podspec import default_template
from apiserver.kinds.workload import keep_status, status_subresource
from apiserver.kinds.workload_columns import AGE, CONTAINERS, IMAGES, NAME, NONE, SELECTOR, container_cells, selector_cell
from apiserver.registry.kind import Column, Context, Kind
from apiserver.validation import cron_job as validation
from kube.objects import Object, name_of
from kube.resources import CRON_JOBS


def default(cron_job: Object) -> None:
    """The Job's own defaults wait for the Job; only its pod template is filled in here."""
    spec = cron_job.setdefault("spec", {})
    if not spec.get("concurrencyPolicy"):
        spec["concurrencyPolicy"] = "Allow"
    for name, value in (("suspend", False), ("successfulJobsHistoryLimit", 3), ("failedJobsHistoryLimit", 1)):
        if spec.get(name) is None:
            spec[name] = value
    job = spec.setdefault("jobTemplate", {})
    job.setdefault("metadata", {})
    job_spec = job.setdefault("spec", {})
    job_spec.setdefault("template", {})
    default_pod_failure_policy(job_spec)
    default_template(job_spec)


def _pod_spec(cron_job: Object) -> Object:
    found: Object = cron_job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return found


def prepare(cron_job: Object, old: Object | None, _ctx: Context) -> None:
    keep_status(cron_job, old)
    drop_disabled_fields(_pod_spec(cron_job), _pod_spec(old) if old else None)


def _row(cron_job: Object, now: datetime) -> list[Any]:
    spec, status = cron_job["spec"], cron_job.get("status") or {}
    job_spec = (spec.get("jobTemplate") or {}).get("spec") or {}
    suspend = spec.get("suspend")
    return [
        name_of(cron_job),
        spec.get("schedule") or "",
        spec.get("timeZone") or NONE,
        "<unset>" if suspend is None else str(bool(suspend)),
        len(status.get("active") or ()),
        since(status["lastScheduleTime"], now) if status.get("lastScheduleTime") else NONE,
        age(cron_job, now),
        *container_cells(job_spec.get("template")),
        selector_cell(job_spec.get("selector")),
    ]


CRON_JOB = Kind(
    resource=CRON_JOBS,
    definition="io.k8s.api.batch.v1.CronJob",
    singular="cronjob",
    short_names=("cj",),
    categories=("all",),
    subresources=(status_subresource(validation.validate_status, metadata_passes=()),),
    columns=(
        NAME,
        Column("Schedule", description="When it runs, in cron format."),
        Column("Timezone", description="The time zone of the schedule."),
        Column("Suspend", "boolean", description="Whether no further runs start."),
        Column("Active", "integer", description="Jobs running now."),
        Column("Last Schedule", description="Time since the last run was due."),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ),
    row=_row,
    default=default,
    prepare=prepare,
    validate=validation.validate,
    metadata_passes=("update",),
    has_generation=True,
)

KINDS = [CRON_JOB]
