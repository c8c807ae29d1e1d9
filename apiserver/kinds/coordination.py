"""coordination.k8s.io: Leases. Source: kubernetes `pkg/registry/coordination/lease`; rules in `validation/coordination.py`.

Strategy and preferredHolder are behind a feature gate that is off: they are dropped, as upstream does.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apiserver.kinds.ages import age
from apiserver.kinds.cells import AGE, NAME
from apiserver.registry.kind import Column, Context, Kind
from apiserver.validation import coordination as validation
from kube.objects import Object
from kube.resources import LEASES


def _prepare(new: Object, old: Object | None, _ctx: Context) -> None:
    spec, before = new.get("spec") or {}, (old or {}).get("spec") or {}
    if before.get("strategy") is None and before.get("preferredHolder") is None:
        spec.pop("strategy", None)
        spec.pop("preferredHolder", None)


def _row(lease: Object, now: datetime) -> list[Any]:
    return [lease["metadata"].get("name", ""), (lease.get("spec") or {}).get("holderIdentity") or "", age(lease, now)]


LEASE = Kind(
    resource=LEASES,
    definition="io.k8s.api.coordination.v1.Lease",
    singular="lease",
    columns=(NAME, Column("Holder"), AGE),
    row=_row,
    prepare=_prepare,
    validate=validation.validate,
    metadata_passes=("update",),
    create_on_update=True,
    unconditional_update=False,
    legacy_finalizers=False,
)

KINDS = [LEASE]
