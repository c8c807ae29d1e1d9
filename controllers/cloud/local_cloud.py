"""The cloud of a cluster that is not in one: what it knows of its machines, and which addresses its load balancers have. Pure.

There is no inventory besides the Node objects: a machine is there as long as its Node. Two states can be told by the annotation
`wherry.io/instance-state` of a Node, so that what follows can be seen: `stopped` and `terminated`.
Load balancers are addresses from a range and nothing else: it is the proxies of nodes that listen there. The range is one of loopback,
because there everything of this machine can listen without being root, and nothing outside is in the way. Behind simulated pods no program
runs, so nothing answers there either.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from kube.objects import Object, annotations_of, name_of

STATE: Final = "wherry.io/instance-state"
STOPPED, TERMINATED = "stopped", "terminated"
RANGE: Final = "127.100.0.0/16"

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class NoAddress(ValueError):
    """There is none to be had; the text says why."""


@dataclass(frozen=True, slots=True)
class Instance:
    """What the cloud knows of a node's machine."""

    provider_id: str
    instance_type: str
    zone: str
    region: str
    addresses: tuple[Mapping[str, str], ...]


@dataclass(frozen=True, slots=True)
class LocalCloud:
    """See the module. Empty names are not told."""

    load_balancer_range: Network = field(default_factory=lambda: ipaddress.ip_network(RANGE))
    zone: str = "local-a"
    region: str = "local"
    instance_type: str = "local"

    def instance(self, node: Object) -> Instance:
        own = node["spec"].get("providerID") or f"wherry://{name_of(node)}"
        addresses = tuple((node.get("status") or {}).get("addresses") or ())
        return Instance(own, self.instance_type, self.zone, self.region, addresses)

    def exists(self, node: Object) -> bool:
        return annotations_of(node).get(STATE) != TERMINATED

    def is_shut_down(self, node: Object) -> bool:
        return annotations_of(node).get(STATE) == STOPPED

    def address(self, service: Object, taken: Collection[str]) -> str:
        """The address of the Service's load balancer: the one it has, the one it asks for, or the first that is free. Raises NoAddress."""
        own = [each for each in addresses_of(service) if self._is_ours(each) and each not in taken]
        wanted = service["spec"].get("loadBalancerIP") or ""
        if wanted:
            return self._checked(wanted, taken)
        return own[0] if own else self._first_free(taken)

    def _checked(self, wanted: str, taken: Collection[str]) -> str:
        if not self._is_ours(wanted):
            raise NoAddress(f"spec.loadBalancerIP {wanted} is not in {self.load_balancer_range}")
        if wanted in taken:
            raise NoAddress(f"spec.loadBalancerIP {wanted} is another load balancer's")
        return wanted

    def _first_free(self, taken: Collection[str]) -> str:
        for each in self.load_balancer_range.hosts():
            if str(each) not in taken:
                return str(each)
        raise NoAddress(f"all addresses of {self.load_balancer_range} are taken")

    def _is_ours(self, address: str) -> bool:
        try:
            return ipaddress.ip_address(address) in self.load_balancer_range
        except ValueError:
            return False


def addresses_of(service: Mapping[str, Any]) -> list[str]:
    """Where the Service's load balancer is, according to its status."""
    ingress: Iterable[Mapping[str, Any]] = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    return [each["ip"] for each in ingress if each.get("ip")]
