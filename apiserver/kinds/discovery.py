"""discovery.k8s.io: EndpointSlices. Source: kubernetes `pkg/registry/discovery/endpointslice`; rules in `validation/endpoint_slice.py`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apiserver.kinds.ages import age
from apiserver.kinds.cells import AGE, NAME, UNSET, first_few
from apiserver.registry.kind import Column, Context, Kind
from apiserver.validation import endpoint_slice as validation
from kube.objects import Object, labels_of
from kube.resources import ENDPOINT_SLICES


def default(endpoint_slice: Object) -> None:
    for port in endpoint_slice.get("ports") or ():
        if port.get("name") is None:
            port["name"] = ""
        if port.get("protocol") is None:
            port["protocol"] = "TCP"


def _prepare(new: Object, old: Object | None, _ctx: Context) -> None:
    """Labels count as a new generation too. The topology of v1beta1 stays only in endpoints that nobody changes."""
    if old is None:
        new["metadata"]["generation"] = 1
        _drop_topology(new)
        return
    if new.get("endpoints") != old.get("endpoints"):
        _drop_topology(new)
    ignored = ("kind", "apiVersion", "metadata")
    changed = any(new.get(key) != old.get(key) for key in (new.keys() | old.keys()).difference(ignored))
    if changed or labels_of(new) != labels_of(old):
        new["metadata"]["generation"] = (old["metadata"].get("generation") or 0) + 1


def _drop_topology(endpoint_slice: Object) -> None:
    for endpoint in endpoint_slice.get("endpoints") or ():
        endpoint.pop("deprecatedTopology", None)


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
    prepare=_prepare,
    validate=validation.validate,
    metadata_passes=("create",),
)

KINDS = [ENDPOINT_SLICE]
