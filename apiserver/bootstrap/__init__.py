"""What a fresh server holds, and what every start puts right: all that `kubectl get` shows before anybody has done anything.

`bootstrap` makes it, through the registry like any other object. The objects are data, and what becomes of those that are there already
is pure: `cluster.py` (namespaces, priority classes, the `kubernetes` Service), `rbac.py`, `flow_control.py`, `api_services.py`. `ensure.py`
carries it out. What goes on afterwards is in `apiserver/loops/`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from apiserver.bootstrap import api_services, cluster, flow_control, rbac
from apiserver.bootstrap.cluster import first_service_ip
from apiserver.bootstrap.ensure import Wanted, ensure, server_context
from apiserver.registry.registry import Registries
from kube import errors
from kube.objects import Object, name_of, uid_of
from kube.resources import IP_ADDRESSES, SERVICES, Resource

log: Final = logging.getLogger("wherry.apiserver")


@dataclass(frozen=True, slots=True)
class Place:
    """Where this server is: what the `kubernetes` Service points at, the CA of client certificates (PEM, "" for none), and what else
    extension API servers are told of it."""

    advertise_address: str
    port: int
    client_ca: str = ""
    front_proxy: Mapping[str, str] = field(default_factory=dict)


async def bootstrap(registries: Registries, place: Place) -> None:
    """Make what is missing, and put right what is the server's. Safe to run at every start, and by several servers at once."""
    await ensure(registries, [*cluster.namespaces(), *cluster_wide(registries)])
    await ensure(registries, within_namespaces(registries, place))
    await _ensure_service(registries, place)
    await _remove_outdated_flow_control(registries)
    await _remove_outdated_api_services(registries)


def cluster_wide(registries: Registries) -> Iterator[Wanted]:
    """What is in no namespace, but for the namespaces."""
    yield from cluster.cluster_objects(registries.service_cidr)
    yield from rbac.cluster_objects(registries.gates)
    yield from flow_control.objects()
    yield from api_services.objects(_built_in(registries))


def within_namespaces(registries: Registries, place: Place) -> Iterator[Wanted]:
    """What is in the system's namespaces."""
    yield from rbac.namespaced_objects()
    yield from cluster.config_maps(client_ca=place.client_ca, front_proxy=place.front_proxy, now=registries.clock.now())


async def _ensure_service(registries: Registries, place: Place) -> None:
    """The `kubernetes` Service, at its address even when a server that was killed has claimed that and not got any further."""
    service = list(cluster.kubernetes_service(registries.service_cidr, advertise_address=place.advertise_address, port=place.port))
    try:
        await ensure(registries, service)
    except errors.Invalid:
        await _release_service_ip(registries)
        try:
            await ensure(registries, service)
        except errors.ApiError as error:
            log.warning("cannot make the kubernetes Service now, and will try again: %s", error)


async def _release_service_ip(registries: Registries) -> None:
    """Give back the address of the `kubernetes` Service if it is claimed for that Service, which is not there."""
    addresses = registries.get(IP_ADDRESSES)
    entry = addresses.cache.get("", first_service_ip(registries.service_cidr))
    if entry is None or registries.get(SERVICES).cache.get("default", "kubernetes") is not None:
        return
    address = addresses.cache.object_of(entry)
    reference = (address.get("spec") or {}).get("parentRef") or {}
    if (reference.get("namespace"), reference.get("name")) == ("default", "kubernetes"):
        await _remove(registries, IP_ADDRESSES, [address])


async def _remove_outdated_flow_control(registries: Registries) -> None:
    """Remove the flow schemas and priority levels of an earlier version that are still the server's."""
    wanted = list(flow_control.objects())
    for resource in (flow_control.FLOW_SCHEMAS, flow_control.PRIORITY_LEVELS):
        present = await registries.get(resource).list_objects()
        names = [name_of(each.obj) for each in wanted if each.resource == resource]
        gone = set(flow_control.outdated(present, names))
        await _remove(registries, resource, [each for each in present if name_of(each) in gone])


async def _remove_outdated_api_services(registries: Registries) -> None:
    present = await registries.get(api_services.API_SERVICES).list_objects()
    names = [name_of(each.obj) for each in api_services.objects(_built_in(registries))]
    await _remove(registries, api_services.API_SERVICES, api_services.outdated(present, names, managed=api_services.ON_START))


async def _remove(registries: Registries, resource: Resource, objects: Iterable[Object]) -> None:
    for each in objects:
        try:
            context = server_context(registries, verb="delete")
            await registries.get(resource).delete("", name_of(each), {"preconditions": {"uid": uid_of(each)}}, context)
        except (errors.NotFound, errors.Conflict):
            continue


def _built_in(registries: Registries) -> set[tuple[str, str]]:
    """The groups and versions that this server has of itself."""
    found = {(kind.resource.group, kind.resource.version) for kind in registries.kinds}
    return found | {(each.resource.group, each.resource.version) for kind in registries.kinds for each in kind.conversions}


__all__ = ["Place", "bootstrap", "first_service_ip", "server_context"]
