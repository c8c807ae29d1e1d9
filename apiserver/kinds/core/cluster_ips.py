"""Cluster IPs: an address is claimed by creating the IPAddress object that is named by it, so that claims are atomic in the store.

Source: kubernetes `pkg/registry/core/service/ipallocator` (MetaAllocator). Read `service_allocation.py` first.
"""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from apiserver.registry.kind import Context, User
from apiserver.validation.ip import Network, parse_cidr, parse_ip
from kube.errors import AlreadyExists, Invalid, NotFound
from kube.objects import Object, condition_of, is_deleting
from kube.resources import IP_ADDRESSES, Resource

SERVICE_CIDRS = Resource("networking.k8s.io", "v1", "servicecidrs", "ServiceCIDR", namespaced=False)
MANAGER = "ipallocator.k8s.io"
FAMILY_LABEL, MANAGER_LABEL = "ipaddress.kubernetes.io/ip-family", "ipaddress.kubernetes.io/managed-by"
TRIES_MAX = 65536
"""How many addresses of a range are looked at before it counts as full."""

SYSTEM = User("system:apiserver", ("system:masters",))


class RangeFull(Exception):
    """No address is left."""

    def __str__(self) -> str:
        return "range is full"


class NotAllocated(Exception):
    """An address that was asked for cannot be had; the text is upstream's."""


@dataclass(frozen=True, slots=True)
class Range:
    """The addresses of one CIDR that Services may have: without the network's own and (IPv4) the broadcast address."""

    network: Network

    @property
    def first(self) -> int:
        return int(self.network.network_address) + 1

    @property
    def last(self) -> int:
        return int(self.network.broadcast_address) - (1 if self.network.version == 4 else 0)

    @property
    def size(self) -> int:
        return max(0, self.last - self.first + 1)

    @property
    def static_size(self) -> int:
        """How many addresses at the start are kept for those who ask for one (KEP-3070)."""
        return 0 if self.size <= 16 else min(max(16, self.size // 16), 256)

    def __contains__(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
        return address.version == self.network.version and self.first <= int(address) <= self.last

    def candidates(self, rng: random.Random) -> Iterator[str]:
        """Addresses to try: the upper part from a random one on, then the part kept for static ones."""
        split = self.first + self.static_size
        kind = ipaddress.IPv4Address if self.network.version == 4 else ipaddress.IPv6Address
        for low, high in ((split, self.last), (self.first, split - 1)):
            count = high - low + 1
            if count <= 0:
                continue
            start = rng.randrange(count)
            for step in range(min(count, TRIES_MAX)):
                yield str(kind(low + (start + step) % count))


def configured(service_cidr: str) -> list[Range]:
    """The ranges of `--service-cluster-ip-range` (one, or two of different families separated by a comma)."""
    parsed = (parse_cidr(each.strip()) for each in service_cidr.split(","))
    return [Range(found[1]) for found in parsed if found is not None]


def families(service_cidr: str) -> list[str]:
    """The families that the cluster is configured for, the default first."""
    return [f"IPv{each.network.version}" for each in configured(service_cidr)]


async def ranges(registries: Any) -> list[Range]:
    """All ranges that are ready now: the configured ones and those of ServiceCIDR objects."""
    found = {each.network: each for each in configured(registries.service_cidr)}
    unready: set[Network] = set()
    for obj in await registries.get(SERVICE_CIDRS).list_objects(""):
        for cidr in obj["spec"].get("cidrs") or ():
            parsed = parse_cidr(cidr)
            if parsed is None:
                continue
            if _is_ready(obj):
                found[parsed[1]] = Range(parsed[1])
            else:
                unready.add(parsed[1])
    wanted = families(registries.service_cidr)
    return [each for network, each in found.items() if network not in unready and f"IPv{network.version}" in wanted]


def _is_ready(service_cidr: Object) -> bool:
    """Without a Ready condition it serves addresses too, for servers that run without controllers."""
    ready = condition_of(service_cidr, "Ready")
    return not is_deleting(service_cidr) and (ready is None or ready.get("status") == "True")


async def claim(registries: Any, service: Object, ip: str, ctx: Context) -> None:
    """Claim one address for a service. Raises NotAllocated."""
    address = parse_ip(ip)
    if address is None or not any(address in each for each in await ranges(registries)):
        if ctx.dry_run and address is not None:
            first = configured(registries.service_cidr)[0]
            raise NotAllocated(f"the provided IP ({ip}) is not in the valid range. The range of valid IPs is {first.network}")
        raise NotAllocated("the provided network does not match the current range")
    if ctx.dry_run:
        return
    try:
        await _create(registries, service, str(address), ctx)
    except AlreadyExists:
        raise NotAllocated("provided IP is already allocated") from None
    except Invalid as error:
        raise NotAllocated(error.message) from None


async def claim_any(registries: Any, service: Object, family: str, ctx: Context) -> str:
    """Claim a free address of a family. Raises RangeFull. A dry run claims nothing and answers with the network's own address."""
    addresses = registries.get(IP_ADDRESSES)
    for each in await ranges(registries):
        if f"IPv{each.network.version}" != family:
            continue
        if ctx.dry_run:
            return str(each.network.network_address)
        for ip in each.candidates(registries.rng):
            if await _exists(addresses, ip):
                continue
            try:
                await _create(registries, service, ip, ctx)
            except AlreadyExists:
                continue
            except Invalid:
                raise RangeFull from None  # no address can be a Service's that has no name: upstream tries them all and says the same
            return ip
    raise RangeFull


async def _exists(addresses: Any, ip: str) -> bool:
    try:
        await addresses.get("", ip)
    except NotFound:
        return False
    return True


async def _create(registries: Any, service: Object, ip: str, ctx: Context) -> None:
    meta, address = service["metadata"], parse_ip(ip)
    assert address is not None
    obj = {
        "kind": IP_ADDRESSES.kind,
        "apiVersion": IP_ADDRESSES.api_version,
        "metadata": {"name": ip, "labels": {FAMILY_LABEL: f"IPv{address.version}", MANAGER_LABEL: MANAGER}},
        "spec": {"parentRef": {"resource": "services", "namespace": meta["namespace"], "name": meta.get("name", "")}},
    }
    await registries.get(IP_ADDRESSES).create("", obj, system_context(ctx, "create"))


async def release(registries: Any, ip: str, ctx: Context) -> None:
    """Give an address back; one that nobody holds is fine."""
    address = parse_ip(ip)
    if address is None:
        return
    try:
        await registries.get(IP_ADDRESSES).delete("", str(address), {}, system_context(ctx, "delete"))
    except NotFound:
        pass


def system_context(ctx: Context, verb: str) -> Context:
    """The server's own request, made while it serves `ctx`."""
    return replace(
        ctx,
        user=SYSTEM,
        verb=verb,
        subresource="",
        dry_run=False,
        field_manager="kube-apiserver" if verb == "create" else "",
        api_version="",
        warnings=[],
    )
