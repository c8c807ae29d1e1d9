"""CronJobs: a Job whenever the schedule says so, and no more old ones kept than asked for.

Promises: at most one Job for each scheduled time (its name is made of that time, so a second one cannot exist); after a long silence
only the latest missed time is made up for; concurrencyPolicy and startingDeadlineSeconds are honoured; the status lists what runs.
Read first: `cron_schedule.py`. Source: upstream `pkg/controller/cronjob/cronjob_controllerv2.go`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from kube.clock import parse_time, rfc3339
from kube.errors import AlreadyExists, ApiError
from kube.objects import (
    Object,
    controller_of,
    controller_reference,
    is_deleting,
    key_of,
    name_of,
    namespace_of,
    resource_version_of,
    uid_of,
)
from kube.resources import CRON_JOBS, JOBS
from kube.runtime.controller import Run
from kube.runtime.perform import Action, Create, Delete, Record, perform

from .cron_schedule import Schedule, ScheduleError, parse, zone_of
from .index import CONTROLLER, with_controllers
from .job_verdict import is_finished, true_condition
from .own_writes import OwnWrites
from .status import omit_zeros, same_status

SCHEDULED_AT = "batch.kubernetes.io/cronjob-scheduled-timestamp"
MISSED_MAX = 100
LATE_S = 0.1
"""How long after its time a schedule is looked at, so as not to be a moment early."""


@dataclass(slots=True)
class Plan:
    """What to do, the status that follows from what is known, and when the schedule is due next. `starts` is the time of a new Job."""

    actions: list[Action] = field(default_factory=list)
    status: Object = field(default_factory=dict)
    again_s: float | None = None
    starts: datetime | None = None


def plan(desired: Object, observed: Sequence[Object], now: datetime) -> Plan:
    """What to do about a CronJob. `observed` are its Jobs."""
    out = Plan(status=dict(desired.get("status") or {}))
    _follow_jobs(desired, observed, out)
    out.actions += _old_jobs(desired, observed)
    if is_deleting(desired) or desired["spec"].get("suspend"):
        return out
    try:
        schedule = _schedule(desired, out)
    except ScheduleError:
        return out
    due, missed = latest_due(desired, schedule, now)
    following = schedule.after(now)
    out.again_s = (following - now).total_seconds() + LATE_S if following is not None else None
    if missed > MISSED_MAX:
        message = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
        out.actions.append(_warning(desired, "TooManyMissedTimes", message))
    if due is not None:
        _start(desired, observed, due, now, out)
    return out


def _warning(cron_job: Object, reason: str, message: str) -> Record:
    return Record(cron_job, "Warning", reason, message)


def _schedule(cron_job: Object, out: Plan) -> Schedule:
    """The parsed schedule. What cannot be read is told in an event, then raised as ScheduleError."""
    spec = cron_job["spec"]
    zone_name, text = spec.get("timeZone"), spec.get("schedule", "")
    try:
        zone = zone_of(zone_name) if zone_name else UTC
    except ScheduleError as error:
        out.actions.append(_warning(cron_job, "UnknownTimeZone", f'invalid timeZone: "{zone_name}": {error}'))
        raise
    try:
        return parse(text, zone)
    except ScheduleError as error:
        out.actions.append(_warning(cron_job, "UnparseableSchedule", f'unparseable schedule: "{text}" : {error}'))
        raise


def latest_due(cron_job: Object, schedule: Schedule, now: datetime) -> tuple[datetime | None, int]:
    """The latest time that was due and not served, and how many were missed (counted to just above MISSED_MAX)."""
    spec, status = cron_job["spec"], cron_job.get("status") or {}
    since = parse_time(status.get("lastScheduleTime")) or parse_time(cron_job["metadata"].get("creationTimestamp")) or now
    deadline_s = spec.get("startingDeadlineSeconds")
    if deadline_s is not None:
        since = max(since, now - timedelta(seconds=deadline_s))
    due, count = None, 0
    each = schedule.after(since)
    while each is not None and each <= now:
        due, count = each, count + 1
        if count > MISSED_MAX:  # far behind: find the latest by going back from now in growing steps, instead of from the start
            return _latest_before(schedule, each, now), count
        each = schedule.after(each)
    return due, count


def _latest_before(schedule: Schedule, known: datetime, now: datetime) -> datetime:
    """The last time due up to `now`, of which `known` is an earlier one."""
    back = timedelta(minutes=2)
    while now - back > known:
        found = schedule.after(now - back)
        if found is not None and found <= now:
            return _last_from(schedule, found, now)
        back *= 2
    return _last_from(schedule, known, now)


def _last_from(schedule: Schedule, found: datetime, now: datetime) -> datetime:
    while (following := schedule.after(found)) is not None and following <= now:
        found = following
    return found


def _start(cron_job: Object, jobs: Sequence[Object], due: datetime, now: datetime, out: Plan) -> None:
    """Start the Job of that time, unless it is too late or another one stands in the way."""
    spec = cron_job["spec"]
    deadline_s = spec.get("startingDeadlineSeconds")
    if deadline_s is not None and due + timedelta(seconds=deadline_s) < now:
        from email.utils import format_datetime  # a package of 1 MB for what is seldom said

        when = format_datetime(due.astimezone(UTC))
        out.actions.append(_warning(cron_job, "MissSchedule", f"Missed scheduled time to start a job: {when}"))
        return
    name = job_name(cron_job, due)
    if any(name_of(each) == name for each in jobs) or any(each.get("name") == name for each in out.status.get("active") or ()):
        return
    active = [each for each in jobs if uid_of(each) in {ref["uid"] for ref in out.status.get("active") or ()}]
    if spec.get("concurrencyPolicy") == "Forbid" and active:
        message = "Not starting job because prior execution is running and concurrency policy is Forbid"
        out.actions.append(Record(cron_job, "Normal", "JobAlreadyActive", message))
        return
    if spec.get("concurrencyPolicy") == "Replace":
        out.actions += [_deletion(cron_job, each) for each in active]
        out.status["active"] = []
    out.actions.append(Create(JOBS, new_job(cron_job, due)))
    out.starts = due


def job_name(cron_job: Object, due: datetime) -> str:
    """One name for one scheduled time: the minutes since 1970."""
    return f"{name_of(cron_job)}-{int(due.timestamp()) // 60}"


def new_job(cron_job: Object, due: datetime) -> Object:
    template = cron_job["spec"].get("jobTemplate") or {}
    described = template.get("metadata") or {}
    zone_name = cron_job["spec"].get("timeZone")
    local = due.astimezone(zone_of(zone_name)) if zone_name else due
    text = local.isoformat(timespec="seconds").replace("+00:00", "Z")
    metadata: Object = {
        "name": job_name(cron_job, due),
        "namespace": namespace_of(cron_job),
        "annotations": {**(described.get("annotations") or {}), SCHEDULED_AT: text},
        "ownerReferences": [controller_reference(cron_job, api_version=CRON_JOBS.api_version, kind=CRON_JOBS.kind)],
    }
    if described.get("labels"):
        metadata["labels"] = dict(described["labels"])
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template.get("spec") or {}}


# --- the Jobs there are -----------------------------------------------------------------------------------------------------


def _follow_jobs(cron_job: Object, jobs: Sequence[Object], out: Plan) -> None:
    """Take finished and vanished Jobs off the list of active ones, and note the latest success."""
    active = list(out.status.get("active") or ())
    listed = {each["uid"] for each in active}
    for job in jobs:
        finished = true_condition(job, "Complete") or true_condition(job, "Failed")
        if uid_of(job) not in listed and finished is None:
            message = f"Saw a job that the controller did not create or forgot: {name_of(job)}"
            out.actions.append(_warning(cron_job, "UnexpectedJob", message))
        elif uid_of(job) in listed and finished is not None:
            active = [each for each in active if each["uid"] != uid_of(job)]
            message = f"Saw completed job: {name_of(job)}, condition: {finished['type']}"
            out.actions.append(Record(cron_job, "Normal", "SawCompletedJob", message))
        if true_condition(job, "Complete") is not None:
            _note_success(job, out)
    there = {uid_of(job) for job in jobs}
    for each in [each for each in active if each["uid"] not in there]:
        out.actions.append(Record(cron_job, "Normal", "MissingJob", f"Active job went missing: {each.get('name')}"))
        active.remove(each)
    out.status["active"] = active


def _note_success(job: Object, out: Plan) -> None:
    ended = (job.get("status") or {}).get("completionTime") or ""
    out.status["lastSuccessfulTime"] = max(ended, out.status.get("lastSuccessfulTime") or "")


def _old_jobs(cron_job: Object, jobs: Sequence[Object]) -> list[Action]:
    """The oldest finished Jobs beyond the history limits go."""
    actions: list[Action] = []
    for condition, limit in (("Complete", "successfulJobsHistoryLimit"), ("Failed", "failedJobsHistoryLimit")):
        keep = cron_job["spec"].get(limit)
        finished = [job for job in jobs if true_condition(job, condition) is not None and not is_deleting(job)]
        if keep is not None and len(finished) > keep:
            oldest = sorted(finished, key=lambda job: ((job.get("status") or {}).get("startTime") or "", name_of(job)))
            actions += [_deletion(cron_job, job) for job in oldest[: len(finished) - keep]]
    return actions


def _deletion(cron_job: Object, job: Object) -> Action:
    done = Record(cron_job, "Normal", "SuccessfulDelete", f"Deleted job {name_of(job)}")
    failed = Record(cron_job, "Warning", "FailedDelete", "Deleted job: {error}")
    return Delete(JOBS, namespace_of(job), name_of(job), uid=uid_of(job), propagation="Background", done=done, failed=failed)


class CronJobController:
    """Keys are namespace/name of CronJobs."""

    name = "cronjob"

    def start(self, run: Run) -> None:
        self.run = run
        self.cron_jobs = run.informers.of(CRON_JOBS)
        self.jobs = with_controllers(run.informers.of(JOBS))
        self.writes = OwnWrites(self.jobs)
        self.cron_jobs.add_handler(lambda old, new: run.queue.add(key_of(new)) if new is not None else None)
        self.jobs.add_handler(self._job_changed)

    async def reconcile(self, key: str) -> float | None:
        cron_job = self.cron_jobs.get(key)
        if cron_job is None:
            return None
        jobs = self.writes.without_gone(self.jobs.by_index(CONTROLLER, uid_of(cron_job)))
        todo = plan(cron_job, jobs, self.run.clock.now())
        others = [each for each in todo.actions if not isinstance(each, Create)]
        by_uid = {uid_of(job): job for job in jobs}
        answers = await perform(others, client=self.run.client, events=self.run.events)
        for action, answer in zip(others, answers, strict=True):
            if isinstance(action, Delete):
                self.writes.note_deleted(by_uid[action.uid], answer)
        error: ApiError | None = None
        for create in todo.actions:
            if isinstance(create, Create):
                error = await self._create(cron_job, create.obj, todo)
        await self._tell(cron_job, todo.status)
        if error is not None:
            raise error
        return todo.again_s

    async def _create(self, cron_job: Object, job: Object, todo: Plan) -> ApiError | None:
        """Create the Job of this time and put it on the list; the failure, if there was one."""
        try:
            created = await self.run.client.create(JOBS, job)
        except AlreadyExists:
            created = await self.run.client.get(JOBS, name_of(job), namespace=namespace_of(job))
            if (controller_of(created) or {}).get("uid") != uid_of(cron_job):
                return None  # somebody else's Job has the name: this time is lost
        except ApiError as error:
            self.run.events.record(cron_job, "Warning", "FailedCreate", f"Error creating job: {error}")
            return error
        else:
            self.run.events.record(cron_job, "Normal", "SuccessfulCreate", f"Created job {name_of(created)}")
        self.writes.note(created)
        if todo.starts is not None:
            todo.status["lastScheduleTime"] = rfc3339(todo.starts)
        if not is_finished(created):
            todo.status["active"] = [*(todo.status.get("active") or ()), _reference(created)]
        return None

    async def _tell(self, cron_job: Object, status: Object) -> None:
        if not same_status(status, cron_job.get("status")):
            changed = {**cron_job, "status": omit_zeros(status)}
            self.cron_jobs.put(await self.run.client.update(CRON_JOBS, changed, subresource="status"))

    def _job_changed(self, old: Object | None, new: Object | None) -> None:
        for job in (old, new):
            owner = controller_of(job) if job is not None else None
            if job is not None and owner is not None and owner.get("kind") == CRON_JOBS.kind:
                self.run.queue.add(f"{namespace_of(job)}/{owner['name']}")


def _reference(job: Object) -> Object:
    return {
        "kind": "Job",
        "apiVersion": "batch/v1",
        "namespace": namespace_of(job),
        "name": name_of(job),
        "uid": uid_of(job),
        "resourceVersion": resource_version_of(job),
    }
