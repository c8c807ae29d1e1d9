"""The rules of CronJobs. The syntax of schedules is in `cron_schedule.py`. Source: kubernetes `pkg/apis/batch/validation`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from zoneinfo import available_timezones

from apiserver.validation.cron_schedule import CronError, check_schedule
from apiserver.validation.job import job_warnings, validate_job_spec
from apiserver.validation.pod_warnings import Warned, is_new_generation, name_warnings
from apiserver.validation.workloads import counts_not_negative
from kube.errors import FieldError, invalid, not_supported, required
from kube.objects import Object

_NAME_CHARS_MAX = 63 - 11  # the controller appends a dash and ten digits to make a job's name
_DOCUMENTATION = "https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/"
_POLICIES = ("Allow", "Forbid", "Replace")
_zone_part_re = re.compile(r"[A-Za-z.\-_0-9+]{1,14}", re.ASCII)

Errors = list[FieldError]


def validate(new: Object, old: Object | None, ctx: Warned | None = None) -> Sequence[FieldError]:
    """A write of the CronJob itself."""
    errors = _spec(new["spec"], old["spec"] if old is not None else None)
    name = new["metadata"].get("name") or ""
    if old is None and len(name) > _NAME_CHARS_MAX:
        errors.append(invalid("metadata.name", name, f"must be no more than {_NAME_CHARS_MAX} characters"))
    if ctx is not None and not errors:
        ctx.warnings += _warnings(new, old)
    return errors


def _warnings(new: Object, old: Object | None) -> list[str]:
    spec = new["spec"]
    found = [] if old is not None else name_warnings(new["metadata"].get("name") or "", "Pod names and hostnames")
    if is_new_generation(new, old):
        found += job_warnings((spec.get("jobTemplate") or {}).get("spec") or {}, "spec.jobTemplate.spec")
    if "TZ" in spec["schedule"]:
        found.append(f"CRON_TZ or TZ used in {spec['schedule']} is not officially supported, see {_DOCUMENTATION} for more details")
    return found


def _spec(spec: Object, before: Object | None) -> Errors:
    schedule, zone = spec.get("schedule") or "", spec.get("timeZone")
    errors: Errors = []
    if schedule:
        errors += _schedule(schedule, zone, zone_allowed="TZ" in ((before or {}).get("schedule") or ""))
    else:
        errors.append(required("spec.schedule"))
    errors += counts_not_negative(spec, ("startingDeadlineSeconds",), "spec")
    if before is None or before.get("timeZone") != zone:
        errors += _time_zone(zone, "spec.timeZone")
    policy = spec.get("concurrencyPolicy") or ""
    if policy not in _POLICIES:
        path = "spec.concurrencyPolicy"
        errors.append(not_supported(path, policy, _POLICIES) if policy else required(path))
    errors += _job_template((spec.get("jobTemplate") or {}).get("spec") or {}, "spec.jobTemplate.spec")
    return errors + counts_not_negative(spec, ("successfulJobsHistoryLimit", "failedJobsHistoryLimit"), "spec")


def _schedule(schedule: str, zone: str | None, *, zone_allowed: bool) -> Errors:
    """`zone_allowed`: the stored schedule names a time zone already, from before the timeZone field."""
    path = "spec.schedule"
    errors: Errors = []
    plain = schedule
    if schedule.startswith(("TZ=", "CRON_TZ=")):
        name, _, plain = schedule.partition(" ")
        place = name.partition("=")[2]
        if not _is_zone(place):
            errors.append(invalid(path, schedule, f"provided bad location {place}: unknown time zone {place}"))
    if not errors:
        try:
            check_schedule(plain.strip(" ") if plain != schedule else schedule)
        except CronError as problem:
            errors.append(invalid(path, schedule, str(problem)))
    if "TZ" in schedule:
        if not zone_allowed:
            errors.append(invalid(path, schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"))
        elif zone is not None:
            errors.append(invalid(path, schedule, "cannot use both timeZone field and TZ or CRON_TZ in schedule"))
    return errors


def _time_zone(zone: str | None, path: str) -> Errors:
    if zone is None:
        return []
    if not zone:
        return [invalid(path, zone, "timeZone must be nil or non-empty string")]
    unknown = invalid(path, zone, f"unknown time zone {zone}")
    if any(part in (".", "..") or part.startswith("-") or not _zone_part_re.fullmatch(part) for part in zone.split("/")):
        return [unknown]
    errors: Errors = []
    if zone.lower() == "local":
        errors.append(invalid(path, zone, "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"))
    if zone != "Local" and not _is_zone(zone):
        errors.append(unknown)
    return errors


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _is_zone(name: str) -> bool:
    return name in ("", "UTC", "Local") or name in _zones()


def _job_template(spec: Object, path: str) -> Errors:
    """Its selector will be made for each Job."""
    errors = validate_job_spec(spec, path)
    if spec.get("selector") is not None:
        errors.append(invalid(f"{path}.selector", spec["selector"], "`selector` will be auto-generated"))
    if spec.get("manualSelector"):
        errors.append(not_supported(f"{path}.manualSelector", True, ["nil", "false"]))
    return errors


def validate_status(_new: Object, _old: Object | None, _ctx: object = None) -> Sequence[FieldError]:
    """A write of cronjobs/status: upstream checks nothing here that the types do not say."""
    return ()
