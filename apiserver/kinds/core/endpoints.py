"""Endpoints. Source: kubernetes `pkg/registry/core/endpoint`; rules in `validation/endpoints.py`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apiserver.kinds.ages import age
from apiserver.kinds.cells import AGE, NAME, NONE, first_few
from apiserver.registry.kind import Column, Kind
from apiserver.validation import endpoints as validation
from kube.objects import Object
from kube.resources import ENDPOINTS as RESOURCE


def default(endpoints: Object) -> None:
    for subset in endpoints.get("subsets") or ():
        for port in subset.get("ports") or ():
            if not port.get("protocol"):
                port["protocol"] = "TCP"


def _row(endpoints: Object, now: datetime) -> list[Any]:
    subsets = endpoints.get("subsets") or ()
    shown: list[str] = []
    for subset in subsets:
        ips = [each.get("ip", "") for each in subset.get("addresses") or ()]
        ports = subset.get("ports")
        shown += [_host_port(ip, port.get("port", 0)) for port in ports for ip in ips] if ports else ips
    return [endpoints["metadata"].get("name", ""), first_few(shown, empty="") if subsets else NONE, age(endpoints, now)]


def _host_port(ip: str, port: int) -> str:
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


ENDPOINTS = Kind(
    resource=RESOURCE,
    definition="io.k8s.api.core.v1.Endpoints",
    singular="endpoints",
    short_names=("ep",),
    storage="services/endpoints",
    columns=(NAME, Column("Endpoints"), AGE),
    row=_row,
    default=default,
    validate=validation.validate,
    create_on_update=True,
    deprecation="v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
)

KINDS = [ENDPOINTS]
