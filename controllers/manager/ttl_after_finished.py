"""Finished Jobs with `spec.ttlSecondsAfterFinished` are deleted, with their pods, when that time is over.

Source: upstream `pkg/controller/ttlafterfinished`.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from kube.clock import parse_time
from kube.errors import NotFound
from kube.objects import Object, is_deleting, key_of, name_of, namespace_of, resource_version_of, split_key, uid_of
from kube.resources import JOBS
from kube.runtime.controller import Run
from kube.runtime.perform import Action, Delete, perform

from .job_verdict import true_condition


def expires_at(job: Object) -> datetime | None:
    """When the Job may be deleted; None while it is not finished, or where it may stay."""
    ttl_s = job["spec"].get("ttlSecondsAfterFinished")
    finished = true_condition(job, "Complete") or true_condition(job, "Failed")
    if ttl_s is None or finished is None or is_deleting(job):
        return None
    since = parse_time(finished.get("lastTransitionTime"))
    return None if since is None else since + timedelta(seconds=ttl_s)


def plan(desired: Object, now: datetime) -> list[Action]:
    """Delete the Job if its time is over, unless it changes meanwhile."""
    end = expires_at(desired)
    if end is None or end > now:
        return []
    version, uid = resource_version_of(desired), uid_of(desired)
    return [Delete(JOBS, namespace_of(desired), name_of(desired), uid=uid, resource_version=version, propagation="Foreground")]


class TtlAfterFinishedController:
    """Keys are namespace/name of Jobs."""

    name = "ttl-after-finished"

    def start(self, run: Run) -> None:
        self.run = run
        self.jobs = run.informers.of(JOBS)
        self.jobs.add_handler(self._changed)

    def _changed(self, old: Object | None, new: Object | None) -> None:
        if new is not None and expires_at(new) is not None:
            self.run.queue.add(key_of(new))

    async def reconcile(self, key: str) -> float | None:
        job = self.jobs.get(key)
        end = expires_at(job) if job is not None else None
        if job is None or end is None:
            return None
        remaining_s = (end - self.run.clock.now()).total_seconds()
        if remaining_s > 0:
            return remaining_s
        namespace, name = split_key(key)
        try:  # ask the server: somebody may have changed its mind about the time
            fresh = await self.run.client.get(JOBS, name, namespace=namespace)
        except NotFound:
            return None
        await perform(plan(fresh, self.run.clock.now()), client=self.run.client, events=self.run.events)
        return None
