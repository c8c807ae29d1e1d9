"""What a fresh server holds: its namespaces, priority classes and the `kubernetes` Service. Made through the registry like any other
object, by the manager `kube-apiserver`; what is there already is left as it is.
"""

from __future__ import annotations

import ipaddress
from typing import Final

from apiserver.registry.kind import Context, User
from apiserver.registry.registry import Registries
from kube import errors
from kube.clock import rfc3339
from kube.objects import Object, is_condition_true, namespace_of
from kube.patch.apply import apply
from kube.resources import ENDPOINT_SLICES, ENDPOINTS, NAMESPACES, PRIORITY_CLASSES, SERVICES, Resource
from kube.schema.decode import decode

SERVICE_CIDRS: Final = Resource("networking.k8s.io", "v1", "servicecidrs", "ServiceCIDR", namespaced=False)
NAMESPACE_NAMES: Final = ("kube-system", "kube-public", "kube-node-lease", "default")
PRIORITIES: Final = (
    ("system-node-critical", 2000001000, "Used for system critical pods that must not be moved from their current node."),
    (
        "system-cluster-critical",
        2000000000,
        "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
    ),
)


def first_service_ip(cidr: str) -> str:
    """The address of the `kubernetes` Service: the first of the range."""
    return str(next(iter(ipaddress.ip_network(cidr).hosts())))


def server_context(registries: Registries) -> Context:
    """The server itself, writing."""
    now = registries.clock.now()
    user = User("system:apiserver", ("system:masters", "system:authenticated"))
    return Context(user=user, now=now, verb="create", field_manager="kube-apiserver", timestamp=rfc3339(now))


async def bootstrap(registries: Registries, *, advertise_address: str, port: int) -> None:
    """Make what is missing. Safe to run at every start."""
    for name in NAMESPACE_NAMES:
        await _ensure(registries, NAMESPACES, {"metadata": {"name": name}})
    for name, value, description in PRIORITIES:
        priority: Object = {"metadata": {"name": name}, "value": value, "description": description}
        await _ensure(registries, PRIORITY_CLASSES, priority)
    await _ensure(registries, SERVICE_CIDRS, {"metadata": {"name": "kubernetes"}, "spec": {"cidrs": [registries.service_cidr]}})
    await _serve_cidr(registries)
    labels = {"component": "apiserver", "provider": "kubernetes"}
    service: Object = {
        "metadata": {"name": "kubernetes", "namespace": "default", "labels": labels},
        "spec": {
            "type": "ClusterIP",
            "clusterIP": first_service_ip(registries.service_cidr),
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": port}],
        },
    }
    await _ensure(registries, SERVICES, service)
    if advertise_address:
        await _point(registries, advertise_address, port)


async def _serve_cidr(registries: Registries) -> None:
    """Say in the default ServiceCIDR's status that it gives out addresses, as upstream's controller inside the server does: by apply."""
    registry = registries.get(SERVICE_CIDRS)
    ctx = server_context(registries)
    ctx.subresource, ctx.field_manager, ctx.verb = "status", "kubernetes-service-cidr-controller", "patch"
    message = "Kubernetes default Service CIDR is ready"
    ready: Object = {"type": "Ready", "status": "True", "lastTransitionTime": ctx.timestamp, "message": message}
    names: Object = {"apiVersion": SERVICE_CIDRS.api_version, "kind": SERVICE_CIDRS.kind, "metadata": {"name": "kubernetes"}}

    def change(current: Object | None) -> Object:
        assert current is not None
        if is_condition_true(current, "Ready"):
            return current
        config: Object = {**names, "status": {"conditions": [ready]}}
        manager, version = ctx.field_manager, SERVICE_CIDRS.api_version
        merged = apply(
            registry.type, current, config, manager=manager, api_version=version, subresource="status", time=ctx.timestamp, force=True
        )
        applied: Object = decode(registry.type, merged).value
        return applied

    await registry.write("", "kubernetes", change, ctx, subresource="status", managed=False)


async def _ensure(registries: Registries, resource: Resource, obj: Object) -> None:
    registry = registries.get(resource)
    namespace = namespace_of(obj)
    await registry.cache.catch_up()
    if registry.cache.get(namespace, obj["metadata"]["name"]) is not None:
        return
    obj = {"kind": resource.kind, "apiVersion": resource.api_version, **obj}
    registry.kind.default(obj)
    try:
        await registry.create(namespace, obj, server_context(registries))
    except errors.AlreadyExists:
        return


async def _point(registries: Registries, address: str, port: int) -> None:
    """The Endpoints and EndpointSlice behind the `kubernetes` Service say where this server really is."""
    ports = [{"name": "https", "port": port, "protocol": "TCP"}]
    endpoints: Object = {
        "metadata": {"name": "kubernetes", "namespace": "default", "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
        "subsets": [{"addresses": [{"ip": address}], "ports": ports}],
    }
    slice_: Object = {
        "metadata": {"name": "kubernetes", "namespace": "default", "labels": {"kubernetes.io/service-name": "kubernetes"}},
        "addressType": "IPv6" if ":" in address else "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": ports,
    }
    await _ensure(registries, ENDPOINTS, endpoints)
    await _ensure(registries, ENDPOINT_SLICES, slice_)
    for resource, part in ((ENDPOINTS, "subsets"), (ENDPOINT_SLICES, "endpoints"), (ENDPOINT_SLICES, "ports")):
        wanted = (endpoints if resource is ENDPOINTS else slice_)[part]

        def change(obj: Object, part: str = part, wanted: object = wanted) -> None:
            obj[part] = wanted

        await registries.get(resource).update_with("default", "kubernetes", change, server_context(registries))
