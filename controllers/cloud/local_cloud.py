"""The cloud of a cluster that is not in one: what it knows of its machines, and which addresses its load balancers have. Pure.

There is no inventory besides the Node objects: a machine is there as long as its Node. Two states can be told by the annotation
`wherry.io/instance-state` of a Node, so that what follows can be seen: `stopped` and `terminated`.
Load balancers are addresses from a range, and `balancer.py` listens there. The range is one of loopback, because there everything of this
machine can listen without being root, and nothing outside is in the way. There is a range for each family, and a Service has an address of
each of its families that there is a range for; without any such, one of the first range: what is relayed can change its family.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from kube.objects import Object, annotations_of, name_of

from .balancing import Network

STATE: Final = "wherry.io/instance-state"
STOPPED, TERMINATED = "stopped", "terminated"
RANGE: Final = "127.100.0.0/16"


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

    load_balancer_ranges: tuple[Network, ...] = field(default_factory=lambda: ranges(RANGE))
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

    def addresses(self, service: Object, taken: Collection[str]) -> list[str]:
        """The addresses of the Service's load balancer, one for each family: the one it has, the one it asks for, or the first that is
        free. Raises NoAddress."""
        families = service["spec"].get("ipFamilies") or ()
        by_family = {f"IPv{each.version}": each for each in self.load_balancer_ranges}
        wanted = [by_family[each] for each in families if each in by_family] or list(self.load_balancer_ranges[:1])
        asked = service["spec"].get("loadBalancerIP") or ""
        if asked and not any(_is_in(asked, each) for each in wanted):
            raise NoAddress(f"spec.loadBalancerIP {asked} is not in {' or '.join(map(str, wanted))}")
        if asked in taken:
            raise NoAddress(f"spec.loadBalancerIP {asked} is another load balancer's")
        had = [each for each in (asked, *addresses_of(service)) if each and each not in taken]
        return [next((each for each in had if _is_in(each, own)), "") or _first_free(own, taken) for own in wanted]


def ranges(text: str) -> tuple[Network, ...]:
    """One range of addresses, or one of each family with a comma between. Raises ValueError."""
    found = tuple(ipaddress.ip_network(each.strip()) for each in text.split(","))
    if len({each.version for each in found}) < len(found):
        raise ValueError("there can be one range of each family")
    return found


def _first_free(of: Network, taken: Collection[str]) -> str:
    for each in of.hosts():
        if str(each) not in taken:
            return str(each)
    raise NoAddress(f"all addresses of {of} are taken")


def _is_in(address: str, of: Network) -> bool:
    try:
        return ipaddress.ip_address(address) in of
    except ValueError:
        return False


def ingress_of(service: Mapping[str, Any]) -> list[Object]:
    """Where the Service's load balancer is, according to its status."""
    return list(((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ())


def addresses_of(service: Mapping[str, Any]) -> list[str]:
    """The addresses of that."""
    return [each["ip"] for each in ingress_of(service) if each.get("ip")]
