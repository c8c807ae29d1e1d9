"""The kinds of apps/v1."""

from __future__ import annotations

from apiserver.kinds.apps import controller_revision, daemon_set, deployment, replica_set, stateful_set
from apiserver.registry.kind import Kind

KINDS: list[Kind] = [
    *controller_revision.KINDS,
    *daemon_set.KINDS,
    *deployment.KINDS,
    *replica_set.KINDS,
    *stateful_set.KINDS,
]
