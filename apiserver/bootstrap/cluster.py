"""Namespaces, priority classes, the default ServiceCIDR, the `kubernetes` Service and what is behind it, ConfigMaps. Pure.

Sources: kubernetes `pkg/controlplane/controller` (systemnamespaces, kubernetesservice, defaultservicecidr, clusterauthenticationtrust,
legacytokentracking), `pkg/controlplane/reconcilers`, `pkg/registry/scheduling/rest`.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from apiserver.bootstrap.ensure import Wanted
from kube.objects import Object, labels_of
from kube.resources import CONFIG_MAPS, ENDPOINT_SLICES, ENDPOINTS, NAMESPACES, PRIORITY_CLASSES, SERVICES, Resource

SERVICE_CIDRS: Final = Resource("networking.k8s.io", "v1", "servicecidrs", "ServiceCIDR", namespaced=False)
DEFAULT_CIDR: Final = "kubernetes"
CIDR_MANAGER: Final = "kubernetes-service-cidr-controller"
CIDR_IS_READY: Final = "Kubernetes default Service CIDR is ready"
NAMESPACE_NAMES: Final = ("kube-system", "kube-public", "kube-node-lease", "default")
PRIORITIES: Final = (
    ("system-node-critical", 2000001000, "Used for system critical pods that must not be moved from their current node."),
    (
        "system-cluster-critical",
        2000000000,
        "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
    ),
)
_KUBERNETES: Final = {"name": "kubernetes", "namespace": "default"}
_CA_FILE: Final = "client-ca-file"


def first_service_ip(cidr: str) -> str:
    """The address of the `kubernetes` Service: the first of the (first) range."""
    return str(next(iter(ipaddress.ip_network(cidr.split(",")[0].strip()).hosts())))


def namespaces() -> Iterator[Wanted]:
    """The system's namespaces and the default one."""
    for name in NAMESPACE_NAMES:
        yield Wanted(NAMESPACES, {"metadata": {"name": name}})


def cluster_objects(service_cidr: str) -> Iterator[Wanted]:
    """What is in no namespace."""
    for name, value, description in PRIORITIES:
        yield Wanted(PRIORITY_CLASSES, {"metadata": {"name": name}, "value": value, "description": description})
    yield default_cidr(service_cidr)


def default_cidr(service_cidr: str) -> Wanted:
    """The ServiceCIDR of the server's own range, or ranges (separated by a comma)."""
    cidrs = [each.strip() for each in service_cidr.split(",")]
    return Wanted(SERVICE_CIDRS, {"metadata": {"name": DEFAULT_CIDR}, "spec": {"cidrs": cidrs}})


def kubernetes_service(service_cidr: str, *, advertise_address: str, port: int) -> Iterator[Wanted]:
    """The Service by which pods find this server; with an address, the Endpoints and EndpointSlice that say where it really is."""
    https = {"name": "https", "port": port, "protocol": "TCP"}
    service: Object = {
        "metadata": {**_KUBERNETES, "labels": {"component": "apiserver", "provider": "kubernetes"}},
        "spec": {
            "type": "ClusterIP",
            "ipFamilyPolicy": "SingleStack",
            "clusterIP": first_service_ip(service_cidr),
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": port}],
        },
    }
    yield Wanted(SERVICES, service, _settled_service)
    if not advertise_address:
        return
    endpoints: Object = {
        "metadata": {**_KUBERNETES, "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
        "subsets": [{"addresses": [{"ip": advertise_address}], "ports": [https]}],
    }
    yield Wanted(ENDPOINTS, endpoints, _settled_endpoints)
    slice_: Object = {
        "metadata": {**_KUBERNETES, "labels": {"kubernetes.io/service-name": "kubernetes"}},
        "addressType": "IPv6" if ":" in advertise_address else "IPv4",
        "endpoints": [{"addresses": [advertise_address], "conditions": {"ready": True}}],
        "ports": [https],
    }
    yield Wanted(ENDPOINT_SLICES, slice_, _settled_endpoints)


def config_maps(*, client_ca: str, now: datetime, front_proxy: Mapping[str, str] | None = None) -> Iterator[Wanted]:
    """What extension API servers trust, and since when the use of legacy ServiceAccount tokens is tracked. `client_ca`: PEM, or ""."""
    data = {**({_CA_FILE: client_ca} if client_ca else {}), **(front_proxy or {})}
    if data:
        name = {"name": "extension-apiserver-authentication", "namespace": "kube-system"}
        yield Wanted(CONFIG_MAPS, {"metadata": name, "data": data}, _settled_authentication)
    name = {"name": "kube-apiserver-legacy-service-account-token-tracking", "namespace": "kube-system"}
    yield Wanted(CONFIG_MAPS, {"metadata": name, "data": {"since": now.strftime("%Y-%m-%d")}}, _settled_tracking)


# --- what becomes of what there is --------------------------------------------------------------------------------------


def _settled_service(present: Object, wanted: Object) -> Object | None:
    """The ports are the server's."""
    if present["spec"].get("ports") == wanted["spec"]["ports"]:
        return None
    return {**present, "spec": {**present["spec"], "ports": wanted["spec"]["ports"]}}


def _settled_endpoints(present: Object, wanted: Object) -> Object | None:
    """Addresses, ports and the label that says whose they are."""
    parts: Object = {key: wanted[key] for key in ("subsets", "endpoints", "ports") if key in wanted}
    labels = {**labels_of(present), **labels_of(wanted)}
    if labels == labels_of(present) and all(present.get(key) == value for key, value in parts.items()):
        return None
    return {**present, "metadata": {**present["metadata"], "labels": labels}, **parts}


def _settled_authentication(present: Object, wanted: Object) -> Object | None:
    """Ours are added to the CAs, names and headers that are trusted already: there may be other servers."""
    before: dict[str, str] = present.get("data") or {}
    data = before | {key: _together(before.get(key, ""), value) for key, value in wanted["data"].items()}
    return None if data == before else {**present, "data": data}


def _together(trusted: str, ours: str) -> str:
    """Certificates, or JSON lists: all there are, ours last."""
    if ours.startswith("["):
        known = _listed(trusted)
        return json.dumps([*known, *(each for each in json.loads(ours) if each not in known)]) if known else ours
    if ours.strip() in trusted:
        return trusted
    return f"{trusted.strip()}\n{ours}" if trusted.strip() else ours


def _listed(text: str) -> list[str]:
    """A JSON list of strings; none for what is not one."""
    try:
        found = json.loads(text or "[]")
    except ValueError:
        return []
    return found if isinstance(found, list) and all(isinstance(each, str) for each in found) else []


def _settled_tracking(present: Object, wanted: Object) -> Object | None:
    """A date that cannot be read starts anew."""
    try:
        datetime.strptime((present.get("data") or {}).get("since", ""), "%Y-%m-%d")
    except ValueError:
        return {**present, "data": wanted["data"]}
    return None
