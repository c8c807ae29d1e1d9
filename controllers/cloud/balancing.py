"""What a load balancer does: where it listens for a Service, and where a connection to it may go. Pure; `balancer.py` does it.

A `Frontend` is an address and port of a Service, a `Backend` an endpoint of it. As upstream's proxy has it, ready endpoints count, and
those that terminate but still serve where there is no ready one (KEP-1672, `pkg/proxy/topology.go`). Every node is behind this balancer, so
`externalTrafficPolicy: Local` only takes out the endpoints of nodes that take no traffic, and without any such node there is nothing behind
it. Only TCP is relayed: other ports have a `PortProblem`, and so have those that cannot be listened on.
"""

from __future__ import annotations

import errno
import ipaddress
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from kube.objects import Object, annotations_of, key_of, namespace_of

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Place = tuple[str, int]
"""An address and a port."""
PortKey = tuple[str, int, str]
"""An address ("" for all of a Service), a port and its protocol."""

SOURCE_RANGES: Final = "service.beta.kubernetes.io/load-balancer-source-ranges"
"""The older way to say `spec.loadBalancerSourceRanges`, which comes first."""
AFFINITY_S: Final = 10800
PREFIX: Final = "wherry.io/"


@dataclass(frozen=True, slots=True)
class Frontend:
    """A port of a Service at one of its balancer's addresses. Only clients within `sources` are served (None: all are); each keeps
    its backend for `affinity_s` after its last connection (0: it does not)."""

    service: str
    address: str
    port: int
    port_name: str = ""
    sources: tuple[Network, ...] | None = None
    affinity_s: float = 0

    @property
    def place(self) -> Place:
        return self.address, self.port

    def admits(self, client: str) -> bool:
        """Whether connections from that address are for it."""
        if self.sources is None:
            return True
        try:
            address = ipaddress.ip_address(client.partition("%")[0])
        except ValueError:
            return False
        return any(address in each for each in self.sources)


@dataclass(frozen=True, slots=True)
class Backend:
    """An endpoint; `namespace` and `pod` name the pod behind it, "" where there is none that may be trusted to be it."""

    address: str
    port: int
    namespace: str = ""
    pod: str = ""

    def __str__(self) -> str:
        where = f"{self.address}:{self.port}" if ":" not in self.address else f"[{self.address}]:{self.port}"
        return f"pod {self.namespace}/{self.pod} ({where})" if self.pod else where


@dataclass(frozen=True, slots=True)
class PortProblem:
    """Why a port does not answer. `reason` is an event's, and with PREFIX the `error` of a PortStatus, whose format is that of a qualified
    name (`foo.example.com/CamelCase`). `is_passing`: it is worth another try."""

    reason: str
    message: str
    is_passing: bool = False


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to be done with listeners: close those, open these, and have these go on under other rules."""

    close: tuple[Place, ...] = ()
    open: tuple[Frontend, ...] = ()
    keep: tuple[Frontend, ...] = ()


# --- where to listen --------------------------------------------------------------------------------------------------


def frontends(service: Object, addresses: Iterable[str]) -> list[Frontend]:
    """What is listened on for the Service: its TCP ports, at every address."""
    spec, key, sources = service["spec"], key_of(service), source_ranges(service)
    affinity_s = _affinity_s(spec)
    ports = [each for each in spec.get("ports") or () if _protocol(each) == "TCP"]
    return [Frontend(key, address, each["port"], each.get("name") or "", sources, affinity_s) for address in addresses for each in ports]


def changes(open: Mapping[Place, Frontend], wanted: Iterable[Frontend]) -> Changes:
    """From what is open for a Service to what is wanted."""
    by_place = {each.place: each for each in wanted}
    return Changes(
        close=tuple(place for place in open if place not in by_place),
        open=tuple(each for place, each in by_place.items() if place not in open),
        keep=tuple(each for place, each in by_place.items() if place in open and open[place] != each),
    )


def source_ranges(service: Object) -> tuple[Network, ...] | None:
    """From where clients may come; None: from everywhere. What is no range lets nobody in."""
    asked = list(service["spec"].get("loadBalancerSourceRanges") or ())
    if not asked:
        asked = [each for each in annotations_of(service).get(SOURCE_RANGES, "").split(",") if each.strip()]
    if not asked:
        return None
    return tuple(each for each in map(_network, asked) if each is not None)


def _network(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        return None


def _affinity_s(spec: Object) -> float:
    if spec.get("sessionAffinity") != "ClientIP":
        return 0
    said = ((spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}).get("timeoutSeconds")
    return AFFINITY_S if said is None else float(said)


def _protocol(port: Object) -> str:
    return str(port.get("protocol") or "TCP")


# --- where connections go ---------------------------------------------------------------------------------------------


def backends(service: Object, frontend: Frontend, slices: Iterable[Object], nodes: Collection[str]) -> tuple[Backend, ...]:
    """Where a connection to the frontend may go, in a fixed order. `slices` are the Service's, `nodes` those that take traffic."""
    if not nodes:
        return ()
    is_local = service["spec"].get("externalTrafficPolicy") == "Local"
    ready, leaving = set(), set()
    for each in _of_family(slices, frontend.address):
        port = _port_of(each, frontend.port_name)
        for endpoint in (each.get("endpoints") or ()) if port else ():
            if not endpoint.get("addresses") or (is_local and endpoint.get("nodeName") not in nodes):
                continue
            backend = _backend(endpoint, port, namespace_of(service))
            conditions = endpoint.get("conditions") or {}
            if is_ready(conditions):
                ready.add(backend)
            elif conditions.get("serving") and conditions.get("terminating"):
                leaving.add(backend)
    return tuple(sorted(ready or leaving, key=lambda backend: (backend.address, backend.port, backend.pod)))


def is_ready(conditions: Object) -> bool:
    """Whether it is to be sent to. Nothing said means yes; `publishNotReadyAddresses` is in what slices say already."""
    return conditions.get("ready") is not False


def _of_family(slices: Iterable[Object], address: str) -> list[Object]:
    """Slices of the frontend's own family; where there are none, of the other: a relay can change it."""
    known = list(slices)
    own, other = ("IPv6", "IPv4") if ":" in address else ("IPv4", "IPv6")
    return [each for each in known if each.get("addressType") == own] or [each for each in known if each.get("addressType") == other]


def _port_of(of: Object, name: str) -> int:
    """The port of the slice by its name; 0 where it has none."""
    found = (each for each in of.get("ports") or () if (each.get("name") or "") == name and _protocol(each) == "TCP")
    return next((each.get("port") or 0 for each in found), 0)


def _backend(endpoint: Object, port: int, namespace: str) -> Backend:
    """A pod is reached with our rights, so only one of the Service's own namespace is taken for what is behind the endpoint."""
    target = endpoint.get("targetRef") or {}
    is_own = target.get("kind") == "Pod" and target.get("namespace") == namespace and bool(target.get("name"))
    return Backend(endpoint["addresses"][0], port, *((namespace, target["name"]) if is_own else ("", "")))


# --- what does not work -----------------------------------------------------------------------------------------------


def unsupported(service: Object) -> dict[PortKey, PortProblem]:
    """The ports that are not relayed because of their protocol."""
    found = {}
    for each in service["spec"].get("ports") or ():
        if (protocol := _protocol(each)) != "TCP":
            message = f"port {each['port']}/{protocol} does not answer: this load balancer relays TCP only"
            found["", each["port"], protocol] = PortProblem("ProtocolNotSupported", message)
    return found


def listen_problem(frontend: Frontend, error: OSError) -> PortProblem:
    """Why the frontend's port cannot be listened on, and what to do about it."""
    address, port = frontend.place
    if error.errno in (errno.EACCES, errno.EPERM):
        what = (
            f"port {port} needs root or net.ipv4.ip_unprivileged_port_start={port} (`sysctl -w`), or choose another port: "
            "1024 and higher need no right"
        )
        return PortProblem("PortForbidden", what, True)
    if error.errno == errno.EADDRINUSE:
        what = f"port {port} of {address} is in use by another program: end that one, or choose another port"
        return PortProblem("PortInUse", what, True)
    if error.errno == errno.EADDRNOTAVAIL:
        what = (
            f"{address} is no address of this machine: give it that address (on macOS `sudo ifconfig lo0 alias {address}`), or choose "
            "another --load-balancer-range"
        )
        return PortProblem("AddressNotAvailable", what, True)
    text = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
    return PortProblem("PortNotAvailable", f"port {port} of {address} cannot be listened on: {text}", True)


def port_statuses(service: Object, address: str, problems: Mapping[PortKey, PortProblem]) -> list[Object]:
    """`ports` of the LoadBalancerIngress of that address: every port of the Service, or none where all is well (an entry is due for all
    or for none)."""
    ports = [(each["port"], _protocol(each)) for each in service["spec"].get("ports") or ()]
    found = [(port, protocol, problems.get((address, port, protocol)) or problems.get(("", port, protocol))) for port, protocol in ports]
    if not any(problem for _, _, problem in found):
        return []
    return [
        {"port": port, "protocol": protocol, **({"error": PREFIX + problem.reason} if problem else {})} for port, protocol, problem in found
    ]


# --- which backend ----------------------------------------------------------------------------------------------------


def order(backends: Sequence[Backend], turn: int, *, preferred: Backend | None = None, failing: Collection[Backend] = ()) -> list[Backend]:
    """In which order they are tried: each in its turn, the client's own first, and last what has just failed."""
    begin = turn % len(backends) if backends else 0
    rotated = [*backends[begin:], *backends[:begin]]
    return sorted(rotated, key=lambda each: (each in failing, each != preferred))
