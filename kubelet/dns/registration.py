"""How cluster DNS makes itself known: the Service `kube-system/kube-dns` at an address that kubelets give to pods, and where that leads.

At an address that others can reach the Service has an EndpointSlice. On loopback, which an EndpointSlice may not have, it has none; where
DNS answers is in an annotation in both cases. deviates: the Service kube-dns has no selector and says in an annotation where DNS answers
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Iterable
from dataclasses import dataclass

from kube.client.client import Client
from kube.errors import NotFound
from kube.objects import Object, annotations_of
from kube.resources import ENDPOINT_SLICES, SERVICES, Resource
from kubelet.dns.world import SERVICE_NAME

NAME, NAMESPACE = "kube-dns", "kube-system"
MANAGER = "kube-dns"
PORT = 53
ANSWERS_AT = "wherry.dev/dns-server"
"""The annotation: an address and a port that reach DNS from where it runs, without any Service."""
_LABELS = {"k8s-app": NAME, "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS"}
"""As CoreDNS's: dashboards and `kubectl cluster-info` find it by them."""
_PORTS = (("dns", "UDP"), ("dns-tcp", "TCP"))
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """Where DNS is: the Service's ClusterIP, and the address and port where it listens, as others reach it."""

    cluster_ip: str
    address: str
    port: int

    @property
    def is_reachable(self) -> bool:
        """Whether the address can be in an EndpointSlice."""
        address = ipaddress.ip_address(self.address)
        return not (address.is_loopback or address.is_link_local or address.is_unspecified or address.is_multicast)

    @property
    def text(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


def objects(place: Place) -> Iterable[tuple[Resource, Object]]:
    """What there should be."""
    ports = [{"name": name, "protocol": protocol, "port": PORT, "targetPort": place.port} for name, protocol in _PORTS]
    spec = {"type": "ClusterIP", "clusterIP": place.cluster_ip, "clusterIPs": [place.cluster_ip], "ports": ports}
    yield SERVICES, _object(SERVICES, {"spec": spec}, annotations={ANSWERS_AT: place.text})
    if place.is_reachable:
        endpoints = {
            "addressType": "IPv6" if ":" in place.address else "IPv4",
            "endpoints": [{"addresses": [place.address], "conditions": {"ready": True}}],
            "ports": [{"name": name, "protocol": protocol, "port": place.port} for name, protocol in _PORTS],
        }
        labels = {SERVICE_NAME: NAME, "endpointslice.kubernetes.io/managed-by": MANAGER}
        yield ENDPOINT_SLICES, _object(ENDPOINT_SLICES, endpoints, labels=labels)


def _object(resource: Resource, body: Object, *, labels: Object | None = None, annotations: Object | None = None) -> Object:
    metadata: Object = {"name": NAME, "namespace": NAMESPACE, "labels": {**_LABELS, **(labels or {})}}
    if annotations:
        metadata["annotations"] = annotations
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, **body}


async def register(client: Client, place: Place) -> None:
    """Make it so. Raises ApiError (the ClusterIP may be another Service's), OSError."""
    for resource, wanted in objects(place):
        await client.apply(resource, wanted, field_manager=MANAGER, force=True)
    if not place.is_reachable:
        try:
            await client.delete(ENDPOINT_SLICES, NAME, namespace=NAMESPACE)
        except NotFound:
            pass
    _log.info("registered %s/%s, %s, at %s", NAMESPACE, NAME, place.cluster_ip, place.text)


def answers_at(service: Object) -> tuple[str, int] | None:
    """Where DNS answers, as its Service says; None where it does not say so."""
    host, _, port = annotations_of(service).get(ANSWERS_AT, "").rpartition(":")
    try:
        address = str(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        return None
    return (address, int(port)) if port.isdigit() and 0 < int(port) < 65536 else None
