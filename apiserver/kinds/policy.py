"""policy/v1 PodDisruptionBudget. Source: kubernetes `pkg/registry/policy/poddisruptionbudget/strategy.go`.

Evictions, which ask these budgets, are in `pod_eviction.py`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apiserver.kinds.ages import age
from apiserver.kinds.workload import keep_status, status_subresource
from apiserver.kinds.workload_columns import AGE, NAME
from apiserver.registry.kind import Column, Context, Kind
from apiserver.validation import policy as validation
from kube.objects import Object, name_of
from kube.resources import POD_DISRUPTION_BUDGETS

_EMPTY_STATUS = {"disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0}


def prepare(budget: Object, old: Object | None, _ctx: Context) -> None:
    keep_status(budget, old, _EMPTY_STATUS)


def _amount(value: int | str | None) -> str:
    return "N/A" if value is None else str(value)


def _row(budget: Object, now: datetime) -> list[Any]:
    spec, status = budget["spec"], budget.get("status") or {}
    return [
        name_of(budget),
        _amount(spec.get("minAvailable")),
        _amount(spec.get("maxUnavailable")),
        status.get("disruptionsAllowed") or 0,
        age(budget, now),
    ]


POD_DISRUPTION_BUDGET = Kind(
    resource=POD_DISRUPTION_BUDGETS,
    definition="io.k8s.api.policy.v1.PodDisruptionBudget",
    singular="poddisruptionbudget",
    short_names=("pdb",),
    subresources=(status_subresource(validation.validate_status, metadata_passes=()),),
    columns=(
        NAME,
        Column("Min Available", description="Pods that must stay available."),
        Column("Max Unavailable", description="Pods that may be unavailable."),
        Column("Allowed Disruptions", "integer", description="Pods that may be evicted now."),
        AGE,
    ),
    row=_row,
    prepare=prepare,
    validate=validation.validate,
    name_rule="path-segment",
    metadata_passes=(),
    legacy_finalizers=False,
    has_generation=True,
    unconditional_update=False,
)

KINDS: list[Kind] = [POD_DISRUPTION_BUDGET]
