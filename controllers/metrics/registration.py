"""How the metrics server makes itself known: a Service, where that leads, and the APIService `v1beta1.metrics.k8s.io`.

At an address that others can reach the Service has an EndpointSlice; at a name, or on loopback, which an EndpointSlice may not have, it is
an ExternalName. deviates: `kubectl get svc` shows an ExternalName where the metrics server runs on the API server's own machine
"""

from __future__ import annotations

import base64
import ipaddress
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from controllers.metrics.documents import GROUP, VERSION
from kube.client.client import Client
from kube.errors import NotFound
from kube.objects import Object, name_of
from kube.resources import ENDPOINT_SLICES, SERVICES, Resource

_log = logging.getLogger(__name__)
NAME, NAMESPACE = "metrics-server", "kube-system"
SERVER_NAME = f"{NAME}.{NAMESPACE}.svc"
"""What the server's certificate must be for."""
MANAGER = "metrics-server"
API_SERVICES = Resource("apiregistration.k8s.io", "v1", "apiservices", "APIService", namespaced=False)
_LABELS = {"k8s-app": NAME}
PORT = 443


@dataclass(frozen=True, slots=True)
class Place:
    """Where the API server finds this server: an address or a name, and a port. `ca` (PEM): who vouches for its certificate; "" where
    nobody need do so."""

    host: str
    port: int
    ca: str = ""

    @property
    def is_address(self) -> bool:
        """Whether it can be in an EndpointSlice."""
        try:
            address = ipaddress.ip_address(self.host)
        except ValueError:
            return False
        return not (address.is_loopback or address.is_link_local or address.is_unspecified or address.is_multicast)


def objects(place: Place) -> Iterable[tuple[Resource, Object]]:
    """What there should be."""
    yield SERVICES, _object(SERVICES, NAME, _service(place))
    if place.is_address:
        kind = "IPv6" if ":" in place.host else "IPv4"
        endpoints = {
            "addressType": kind,
            "endpoints": [{"addresses": [place.host], "conditions": {"ready": True}}],
            "ports": [{"name": "https", "port": place.port, "protocol": "TCP"}],
        }
        labels = {"kubernetes.io/service-name": NAME, "endpointslice.kubernetes.io/managed-by": MANAGER}
        yield ENDPOINT_SLICES, _object(ENDPOINT_SLICES, NAME, endpoints, labels)
    port = PORT if place.is_address else place.port
    spec: Object = {
        "group": GROUP,
        "version": VERSION,
        "groupPriorityMinimum": 100,
        "versionPriority": 100,
        "service": {"name": NAME, "namespace": NAMESPACE, "port": port},
    }
    spec |= {"caBundle": base64.b64encode(place.ca.encode()).decode()} if place.ca else {"insecureSkipTLSVerify": True}
    yield API_SERVICES, _object(API_SERVICES, f"{VERSION}.{GROUP}", {"spec": spec})


def _service(place: Place) -> Object:
    if place.is_address:
        return {"spec": {"type": "ClusterIP", "ports": [{"name": "https", "port": PORT, "protocol": "TCP", "targetPort": place.port}]}}
    host = "localhost" if place.host in ("127.0.0.1", "::1", "") else place.host
    return {"spec": {"type": "ExternalName", "externalName": host}}


def _object(resource: Resource, name: str, body: Object, labels: Object | None = None) -> Object:
    metadata: Object = {"name": name, "labels": {**_LABELS, **(labels or {})}}
    if resource.namespaced:
        metadata["namespace"] = NAMESPACE
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, **body}


async def register(client: Client, place: Place) -> None:
    """Make it so. Raises ApiError, OSError."""
    for resource, wanted in objects(place):
        if resource is SERVICES:
            await _remove_other_type(client, wanted)
        await client.apply(resource, wanted, field_manager=MANAGER, force=True)
    if not place.is_address:
        await _remove(client, ENDPOINT_SLICES, NAME)
    _log.info("registered %s.%s at %s:%d", VERSION, GROUP, place.host, place.port)


async def _remove_other_type(client: Client, wanted: Object) -> None:
    """A Service of another type is made anew: its address and ports would not go by themselves."""
    try:
        present: Any = await client.get(SERVICES, name_of(wanted), namespace=NAMESPACE)
    except NotFound:
        return
    if present["spec"].get("type") != wanted["spec"]["type"]:
        await _remove(client, SERVICES, name_of(wanted))


async def _remove(client: Client, resource: Resource, name: str) -> None:
    try:
        await client.delete(resource, name, namespace=NAMESPACE)
    except NotFound:
        return
