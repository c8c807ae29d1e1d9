"""CronJobs: when they are due, what they start, what they keep."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from controllers.manager.cron_job import LATE_S, plan
from controllers.manager.cron_schedule import ScheduleError, parse, zone_of
from kube.clock import rfc3339
from kube.objects import Object, name_of
from kube.runtime.perform import Action, Create, Delete, Record

NOW = datetime(2026, 1, 1, 12, 0, 30, tzinfo=UTC)  # a Thursday


@pytest.mark.parametrize(
    ("text", "after", "want"),
    [
        pytest.param("* * * * *", "2026-01-01T12:00:30", "2026-01-01T12:01:00", id="every minute, on the minute"),
        pytest.param("*/15 * * * *", "2026-01-01T12:00:00", "2026-01-01T12:15:00", id="steps"),
        pytest.param("5 4 * * *", "2026-01-01T12:00:00", "2026-01-02T04:05:00", id="tomorrow"),
        pytest.param("0 0 1 * *", "2026-01-31T00:00:00", "2026-02-01T00:00:00", id="the first of the month"),
        pytest.param("0 0 29 2 *", "2026-01-01T00:00:00", "2028-02-29T00:00:00", id="a leap day"),
        pytest.param("0 9 * * mon-fri", "2026-01-02T10:00:00", "2026-01-05T09:00:00", id="weekdays by name"),
        pytest.param("0 0 13 * 5", "2026-01-01T00:00:00", "2026-01-02T00:00:00", id="either of two given days will do"),
        pytest.param("0 0 13 * *", "2026-01-01T00:00:00", "2026-01-13T00:00:00", id="a star leaves the other day to decide"),
        pytest.param("0 0 */2 * 5", "2026-01-02T00:00:00", "2026-01-03T00:00:00", id="a star with a step is no star"),
        pytest.param("0 12 * jan,jul *", "2026-01-31T12:00:00", "2026-07-01T12:00:00", id="months by name"),
        pytest.param("30/10 * * * *", "2026-01-01T12:31:00", "2026-01-01T12:40:00", id="a step from a number goes to the end"),
        pytest.param("@hourly", "2026-01-01T12:00:30", "2026-01-01T13:00:00", id="words"),
        pytest.param("@every 1h30m", "2026-01-01T12:00:30", "2026-01-01T13:30:30", id="intervals"),
        pytest.param("TZ=Europe/Berlin 0 9 * * *", "2026-01-01T12:00:00", "2026-01-02T08:00:00", id="a zone in the text"),
    ],
)
def test_when_a_schedule_is_due_next(text: str, after: str, want: str) -> None:
    found = parse(text).after(datetime.fromisoformat(after).replace(tzinfo=UTC))
    assert found == datetime.fromisoformat(want).replace(tzinfo=UTC)


def test_a_day_that_never_comes_is_never_due() -> None:
    assert parse("0 0 30 2 *").after(NOW) is None


def test_an_hour_that_summer_time_skips_is_not_due_that_day() -> None:
    schedule = parse("30 2 * * *", zone_of("Europe/Berlin"))
    found = schedule.after(datetime(2026, 3, 28, 12, 0, tzinfo=UTC))
    assert found == datetime(2026, 3, 30, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("* * * *", id="four fields"),
        pytest.param("60 * * * *", id="a minute too many"),
        pytest.param("5-1 * * * *", id="a range backwards"),
        pytest.param("*/0 * * * *", id="a step of nothing"),
        pytest.param("x * * * *", id="words that mean nothing"),
        pytest.param("@never", id="descriptors that mean nothing"),
        pytest.param("@every soon", id="intervals that mean nothing"),
        pytest.param("TZ=No/Where * * * * *", id="a zone that does not exist"),
    ],
)
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ScheduleError):
        parse(text)


def cron_job(**rest: Any) -> Object:
    status = rest.pop("status", {"lastScheduleTime": "2026-01-01T11:59:00Z"})
    metadata = {"name": "tick", "namespace": "ns", "uid": "cj", "creationTimestamp": "2026-01-01T00:00:00Z"}
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"template": {}}}
    spec = {"schedule": "* * * * *", "concurrencyPolicy": "Allow", "jobTemplate": template, **rest}
    return {"kind": "CronJob", "metadata": metadata, "spec": spec, "status": status}


def job(name: str, condition: str = "", **status: Any) -> Object:
    conditions = [{"type": condition, "status": "True"}] if condition else []
    owners = [{"uid": "cj", "controller": True}]
    return {
        "metadata": {"name": name, "namespace": "ns", "uid": name, "ownerReferences": owners},
        "spec": {},
        "status": {"conditions": conditions, **status},
    }


def active(*names: str) -> Object:
    return {"active": [{"uid": each, "name": each} for each in names], "lastScheduleTime": "2026-01-01T11:59:00Z"}


def created(actions: list[Action]) -> list[Object]:
    return [each.obj for each in actions if isinstance(each, Create)]


def reasons(actions: list[Action]) -> list[str]:
    return [each.reason for each in actions if isinstance(each, Record)]


def test_a_due_time_starts_a_job_named_after_it() -> None:
    todo = plan(cron_job(), [], NOW)
    [made] = created(todo.actions)
    assert made["metadata"]["name"] == f"tick-{int(datetime(2026, 1, 1, 12, 0, tzinfo=UTC).timestamp()) // 60}"
    assert made["metadata"]["annotations"] == {"batch.kubernetes.io/cronjob-scheduled-timestamp": "2026-01-01T12:00:00Z"}
    assert made["metadata"]["labels"] == {"a": "b"}
    assert todo.again_s == 30 + LATE_S


def test_the_time_is_told_in_the_zone_of_the_cron_job() -> None:
    [made] = created(plan(cron_job(timeZone="Europe/Berlin"), [], NOW).actions)
    assert made["metadata"]["annotations"] == {"batch.kubernetes.io/cronjob-scheduled-timestamp": "2026-01-01T13:00:00+01:00"}


def test_nothing_starts_twice() -> None:
    assert created(plan(cron_job(status={"lastScheduleTime": "2026-01-01T12:00:00Z"}), [], NOW).actions) == []
    name = name_of(created(plan(cron_job(), [], NOW).actions)[0])
    assert created(plan(cron_job(), [job(name)], NOW).actions) == []


def test_after_a_silence_only_the_latest_time_is_made_up_for() -> None:
    [made] = created(plan(cron_job(status={"lastScheduleTime": "2026-01-01T11:30:00Z"}), [], NOW).actions)
    assert made["metadata"]["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"] == "2026-01-01T12:00:00Z"


def test_after_a_very_long_silence_that_is_told_too() -> None:
    todo = plan(cron_job(status={"lastScheduleTime": "2025-06-01T00:00:00Z"}), [], NOW)
    [made] = created(todo.actions)
    assert made["metadata"]["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"] == "2026-01-01T12:00:00Z"
    assert reasons(todo.actions) == ["TooManyMissedTimes"]


def test_a_time_that_is_over_its_deadline_is_missed() -> None:
    status = {"lastScheduleTime": "2026-01-01T11:00:00Z"}
    assert created(plan(cron_job(schedule="0 * * * *", startingDeadlineSeconds=10, status=status), [], NOW).actions) == []
    assert len(created(plan(cron_job(schedule="0 * * * *", startingDeadlineSeconds=40, status=status), [], NOW).actions)) == 1


@pytest.mark.parametrize(
    ("policy", "starts", "deletes", "told"),
    [
        pytest.param("Allow", 1, [], [], id="Allow starts another one"),
        pytest.param("Forbid", 0, [], ["JobAlreadyActive"], id="Forbid does not"),
        pytest.param("Replace", 1, ["old"], [], id="Replace deletes the old one first"),
    ],
)
def test_a_job_that_still_runs(policy: str, starts: int, deletes: list[str], told: list[str]) -> None:
    todo = plan(cron_job(concurrencyPolicy=policy, status=active("old")), [job("old")], NOW)
    assert len(created(todo.actions)) == starts
    assert [each.name for each in todo.actions if isinstance(each, Delete)] == deletes
    assert reasons(todo.actions) == told


def test_a_suspended_cron_job_starts_nothing_but_follows_its_jobs() -> None:
    todo = plan(cron_job(suspend=True, status=active("old")), [job("old", "Complete", completionTime="2026-01-01T11:00:00Z")], NOW)
    assert created(todo.actions) == []
    assert todo.status["active"] == []
    assert todo.status["lastSuccessfulTime"] == "2026-01-01T11:00:00Z"
    assert reasons(todo.actions) == ["SawCompletedJob"]


def test_jobs_that_vanish_or_appear_unasked_are_told() -> None:
    todo = plan(cron_job(suspend=True, status=active("lost")), [job("stranger")], NOW)
    assert sorted(reasons(todo.actions)) == ["MissingJob", "UnexpectedJob"]
    assert todo.status["active"] == []


def test_the_oldest_finished_jobs_go() -> None:
    jobs = [job(f"s{each}", "Complete", startTime=rfc3339(NOW - timedelta(hours=each))) for each in range(4)]
    jobs += [job(f"f{each}", "Failed", startTime=rfc3339(NOW - timedelta(hours=each))) for each in range(3)]
    todo = plan(cron_job(suspend=True, successfulJobsHistoryLimit=3, failedJobsHistoryLimit=1), jobs, NOW)
    assert sorted(each.name for each in todo.actions if isinstance(each, Delete)) == ["f1", "f2", "s3"]


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        pytest.param({"schedule": "soon"}, "UnparseableSchedule", id="a schedule that cannot be read is told"),
        pytest.param({"timeZone": "No/Where"}, "UnknownTimeZone", id="a zone that does not exist is told"),
    ],
)
def test_what_cannot_be_understood_is_told(spec: Object, reason: str) -> None:
    todo = plan(cron_job(**spec), [], NOW)
    assert reasons(todo.actions) == [reason]
    assert todo.again_s is None
