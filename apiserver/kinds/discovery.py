"""discovery.k8s.io: EndpointSlices. Source: kubernetes `pkg/registry/discovery/endpointslice`; rules in `validation/endpoint_slice.py`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apiserver.kinds.ages import age
from apiserver.kinds.cells import AGE, NAME, UNSET, first_few
from apiserver.registry.kind import Column, Kind
from apiserver.validation import endpoint_slice as validation
from kube.objects import Object
from kube.resources import ENDPOINT_SLICES


def default(endpoint_slice: Object) -> None:
    for port in endpoint_slice.get("ports") or ():
        if port.get("name") is None:
            port["name"] = ""
        if port.get("protocol") is None:
            port["protocol"] = "TCP"


def _row(endpoint_slice: Object, now: datetime) -> list[Any]:
    ports = [str(each["port"]) if each.get("port") is not None else each.get("name") or "" for each in endpoint_slice.get("ports") or ()]
    addresses = [address for each in endpoint_slice.get("endpoints") or () for address in each.get("addresses") or ()]
    return [
        endpoint_slice["metadata"].get("name", ""),
        endpoint_slice.get("addressType", ""),
        first_few(ports, empty=UNSET),
        first_few(addresses, empty=UNSET),
        age(endpoint_slice, now),
    ]


ENDPOINT_SLICE = Kind(
    resource=ENDPOINT_SLICES,
    definition="io.k8s.api.discovery.v1.EndpointSlice",
    singular="endpointslice",
    columns=(NAME, Column("AddressType"), Column("Ports"), Column("Endpoints"), AGE),
    row=_row,
    default=default,
    validate=validation.validate,
    has_generation=True,
)

KINDS = [ENDPOINT_SLICE]
