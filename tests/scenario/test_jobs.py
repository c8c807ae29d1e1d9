"""Jobs and CronJobs under faults and kills, by seeds: every index runs once, a CronJob that forbids it never has two Jobs at a time, and
every run that is due is made once."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from kube.clock import parse_time
from kube.objects import Object, annotations_of, is_condition_true, name_of
from kube.resources import CRON_JOBS, JOBS, PODS
from tests.scenario.invariants import OneRun
from tests.scenario.scene import Scene, insist, scene
from tests.scenario.seeds import seeds
from tests.virtual import run_virtual

COMPLETIONS, PARALLELISM = 6, 3
RUNS = 2
CONTROLLERS = ("job-controller", "cronjob-controller", "garbage-collector-controller", "pod-garbage-collector-controller")


def job_spec(*, mode: str, completions: int = COMPLETIONS, parallelism: int = PARALLELISM, run_s: float = 2) -> dict[str, Any]:
    container = {"name": "main", "image": "work:1", "command": ["sh", "-c", f"sleep {run_s}"]}
    pod = {"restartPolicy": "Never", "containers": [container]}
    return {"completions": completions, "parallelism": parallelism, "completionMode": mode, "template": {"spec": pod}}


def job(name: str, mode: str) -> Object:
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": "default"}, "spec": job_spec(mode=mode)}


def cron_job() -> Object:
    metadata = {"name": "tick", "namespace": "default"}
    spec = {
        "schedule": "* * * * *",
        "concurrencyPolicy": "Forbid",
        "successfulJobsHistoryLimit": 10,
        "jobTemplate": {"spec": job_spec(mode="NonIndexed", completions=1, parallelism=1, run_s=20)},
    }
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": metadata, "spec": spec}


async def scenario(seed: int) -> None:
    promises = (OneRun(completions=COMPLETIONS, parallelism=PARALLELISM),)
    async with scene(seed, nodes=2, controllers=CONTROLLERS, promises=promises) as stage:
        client = stage.cluster.client
        await client.create(CRON_JOBS, cron_job())
        for mode in ("Indexed", "NonIndexed"):
            await client.create(JOBS, job(mode.lower(), mode))
        troubles = asyncio.create_task(stage.trouble())
        await stage.until(lambda: are_complete(stage))
        await troubles
        await stage.trouble()
        await stage.until(lambda: has_run(stage))
        stage.calm()
        await check_jobs(stage)
        await insist(lambda: client.delete(CRON_JOBS, "tick", namespace="default"))
        for each in await stage.listed(JOBS):
            if name_of(each) in ("indexed", "nonindexed"):
                await client.delete(JOBS, name_of(each), namespace="default", propagation_policy="Background")
        await stage.until(lambda: nothing_left(stage))


async def are_complete(stage: Scene) -> bool:
    jobs = {name_of(each): each for each in await stage.listed(JOBS)}
    return all(is_condition_true(jobs[name], "Complete") for name in ("indexed", "nonindexed"))


async def has_run(stage: Scene) -> bool:
    return len(await ticks(stage)) >= RUNS


async def ticks(stage: Scene) -> list[Object]:
    return [each for each in await stage.listed(JOBS) if name_of(each).startswith("tick-")]


async def check_jobs(stage: Scene) -> None:
    """Each was counted right, and the runs of the CronJob are one for each minute of their time, never two at once."""
    jobs = {name_of(each): each for each in await stage.listed(JOBS)}
    for name in ("indexed", "nonindexed"):
        status = jobs[name]["status"]
        assert (status.get("succeeded"), status.get("failed", 0), status.get("active", 0)) == (COMPLETIONS, 0, 0), status
        assert not status.get("uncountedTerminatedPods")
    assert jobs["indexed"]["status"]["completedIndexes"] == f"0-{COMPLETIONS - 1}"
    runs = sorted(await ticks(stage), key=lambda each: annotations_of(each)["batch.kubernetes.io/cronjob-scheduled-timestamp"])
    for earlier, later in pairwise(runs):
        was = parse_time(annotations_of(earlier)["batch.kubernetes.io/cronjob-scheduled-timestamp"])
        due = parse_time(annotations_of(later)["batch.kubernetes.io/cronjob-scheduled-timestamp"])
        assert was is not None
        assert due == was + timedelta(minutes=1), f"{name_of(earlier)} was followed by {name_of(later)}"
        over, began = parse_time(earlier["status"].get("completionTime")), parse_time(later["metadata"]["creationTimestamp"])
        assert over is not None
        assert began is not None
        assert over <= began, f"{name_of(later)} was made while {name_of(earlier)} ran"


async def nothing_left(stage: Scene) -> bool:
    return not any([await stage.listed(each) for each in (JOBS, PODS)])


@pytest.mark.parametrize("seed", seeds(55))
def test_every_run_is_made_once_whatever_is_killed_and_lost(seed: int) -> None:
    run_virtual(lambda: scenario(seed))
