"""The kinds of batch/v1."""

from __future__ import annotations

from apiserver.kinds.batch import cron_job, job
from apiserver.registry.kind import Kind

KINDS: list[Kind] = [*cron_job.KINDS, *job.KINDS]
