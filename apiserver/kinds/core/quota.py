"""LimitRanges and ResourceQuotas. Rules are in `validation/quota.py`.

Source: kubernetes `pkg/registry/core/limitrange` and `pkg/registry/core/resourcequota`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apiserver.kinds.ages import age
from apiserver.kinds.cells import AGE, NAME
from apiserver.kinds.podspec import round_resources
from apiserver.kinds.strategy import CREATED_AT, created_at_row, status_is_the_servers, status_subresource
from apiserver.registry.kind import Column, Context, Kind
from apiserver.validation import quota as validation
from kube.objects import Object
from kube.resources import Resource


def default_limit_range(limit_range: Object) -> None:
    """Container limits default from max, requests from limits and then from min."""
    for item in (limit_range.get("spec") or {}).get("limits") or ():
        for name in ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio"):
            if item.get(name):
                round_resources(item[name])
        if item.get("type") == "Container":
            default = {**(item.get("max") or {}), **(item.get("default") or {})}
            request = {**(item.get("min") or {}), **default, **(item.get("defaultRequest") or {})}
            for name, amounts in (("default", default), ("defaultRequest", request)):
                if amounts:
                    item[name] = amounts


def prepare_limit_range(limit_range: Object, old: Object | None, _ctx: Context) -> None:
    """One without a name is called by its uid (upstream: by a UUID of its own)."""
    meta = limit_range["metadata"]
    if old is None and not meta.get("name"):
        meta["name"] = meta["uid"]


def default_quota(quota: Object) -> None:
    for part, names in (("spec", ("hard",)), ("status", ("hard", "used"))):
        for name in names:
            amounts = (quota.get(part) or {}).get(name)
            if amounts:
                round_resources(amounts)


def _quota_row(quota: Object, now: datetime) -> list[Any]:
    status = quota.get("status") or {}
    hard, used = status.get("hard") or {}, status.get("used") or {}
    shown = {name: f"{name}: {used.get(name, '0')}/{hard[name]}" for name in sorted(hard)}
    requests = ", ".join(text for name, text in shown.items() if not name.startswith("limits"))
    limits = ", ".join(text for name, text in shown.items() if name.startswith("limits"))
    return [quota["metadata"].get("name", ""), requests, limits, age(quota, now)]


LIMIT_RANGE = Kind(
    resource=Resource("", "v1", "limitranges", "LimitRange"),
    definition="io.k8s.api.core.v1.LimitRange",
    singular="limitrange",
    short_names=("limits",),
    columns=CREATED_AT,
    row=created_at_row,
    default_table=True,
    default=default_limit_range,
    prepare=prepare_limit_range,
    validate=validation.validate_limit_range,
    metadata_passes=("create",),
    create_on_update=True,
)

RESOURCE_QUOTA = Kind(
    resource=Resource("", "v1", "resourcequotas", "ResourceQuota"),
    definition="io.k8s.api.core.v1.ResourceQuota",
    singular="resourcequota",
    short_names=("quota",),
    subresources=(status_subresource(validation.validate_quota_status),),
    columns=(NAME, Column("Request"), Column("Limit"), AGE),
    row=_quota_row,
    default=default_quota,
    prepare=status_is_the_servers({}),
    validate=validation.validate_quota,
    metadata_passes=("update",),
    delete_answers_object=True,
)

KINDS = [LIMIT_RANGE, RESOURCE_QUOTA]
