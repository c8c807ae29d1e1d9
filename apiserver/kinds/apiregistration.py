"""apiregistration.k8s.io: APIServices, as data. Source: kube-aggregator `pkg/registry/apiservice`; rules in `validation/api_service.py`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apiserver.kinds.ages import age
from apiserver.kinds.cells import AGE, NAME
from apiserver.kinds.strategy import keep, status_subresource
from apiserver.registry.kind import Column, Context, Kind
from apiserver.validation import api_service as validation
from kube.clock import rfc3339
from kube.objects import Object, condition_of
from kube.resources import Resource


def default(api_service: Object) -> None:
    service = (api_service.get("spec") or {}).get("service")
    if service is not None and service.get("port") is None:
        service["port"] = 443


def _prepare(new: Object, old: Object | None, ctx: Context) -> None:
    """Groups that this server serves itself are available at once."""
    if old is not None:
        keep(new, old, "status")
        return
    new["status"] = {}
    if (new.get("spec") or {}).get("service") is None:
        new["status"]["conditions"] = [
            {
                "type": "Available",
                "status": "True",
                "lastTransitionTime": rfc3339(ctx.now),
                "reason": "Local",
                "message": "Local APIServices are always available",
            }
        ]


def _prepare_status(new: Object, old: Object | None, _ctx: Context) -> None:
    assert old is not None
    keep(new, old, "spec")
    keep(new["metadata"], old["metadata"], "labels", "annotations", "finalizers", "ownerReferences")


def _row(api_service: Object, now: datetime) -> list[Any]:
    service = (api_service.get("spec") or {}).get("service")
    where = f"{service.get('namespace', '')}/{service.get('name', '')}" if service else "Local"
    available, cell = condition_of(api_service, "Available"), "Unknown"
    if available is not None:
        status = available.get("status", "")
        cell = status if status == "True" else f"{status} ({available.get('reason', '')})"
    return [api_service["metadata"].get("name", ""), where, cell, age(api_service, now)]


API_SERVICE = Kind(
    resource=Resource("apiregistration.k8s.io", "v1", "apiservices", "APIService", namespaced=False),
    definition="io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIService",
    singular="apiservice",
    categories=("api-extensions",),
    storage="apiregistration.k8s.io/apiservices",
    subresources=(status_subresource(validation.validate_status, prepare=_prepare_status, reset=(("metadata",),)),),
    columns=(NAME, Column("Service"), Column("Available"), AGE),
    row=_row,
    default=default,
    prepare=_prepare,
    validate=validation.validate,
    name_rule="path-segment",
    unconditional_update=False,
    legacy_finalizers=False,
)

KINDS = [API_SERVICE]
