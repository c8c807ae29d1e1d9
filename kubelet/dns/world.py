"""What cluster DNS knows of the cluster: namespaces, Services, the ready endpoints of EndpointSlices. Handlers of informers keep it so."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol, TypeVar

from kube.clock import Clock
from kube.objects import Object, labels_of, name_of, namespace_of

SERVICE_NAME = "kubernetes.io/service-name"
"""The label that says whose slice it is."""
Key = tuple[str, str]
"""Namespace, name."""
K = TypeVar("K")
T = TypeVar("T", bound="Service | Slice")


@dataclass(frozen=True, slots=True, order=True)
class Port:
    """`name` is "" where it has none; `protocol` in lower case."""

    name: str
    protocol: str
    number: int


@dataclass(frozen=True, slots=True, order=True)
class Service:
    """`external_name` is what an ExternalName Service leads to, "" for all others; `addresses` its ClusterIPs, none when it is headless."""

    namespace: str
    name: str
    addresses: tuple[str, ...] = ()
    is_headless: bool = False
    external_name: str = ""
    ports: tuple[Port, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """One address; `hostname` is what the slice says or, where it says nothing, the address with dashes."""

    address: str
    hostname: str


@dataclass(frozen=True, slots=True, order=True)
class Slice:
    """The ready endpoints of (a part of) a Service, each with all these ports."""

    service: Key
    name: str
    endpoints: tuple[Endpoint, ...]
    ports: tuple[Port, ...]


def service_of(obj: Object) -> Service:
    """What matters of a Service."""
    spec = obj.get("spec") or {}
    given = spec.get("clusterIPs") or ([spec["clusterIP"]] if spec.get("clusterIP") else [])
    return Service(
        namespace_of(obj),
        name_of(obj),
        tuple(each for each in given if each != "None"),
        "None" in given,
        _external_name(spec) if spec.get("type") == "ExternalName" else "",
        _ports(spec),
    )


def slice_of(obj: Object) -> Slice:
    """What matters of an EndpointSlice. Endpoints that say nothing of being ready are (the API's rule)."""
    found = []
    if obj.get("addressType") in ("IPv4", "IPv6"):
        for each in obj.get("endpoints") or ():
            if (each.get("conditions") or {}).get("ready") is not False:
                found += [Endpoint(address, each.get("hostname") or dashed(address)) for address in each["addresses"]]
    return Slice(slice_owner(obj), name_of(obj), tuple(found), _ports(obj))


def slice_owner(obj: Object) -> Key:
    """The Service of an EndpointSlice."""
    return namespace_of(obj), labels_of(obj).get(SERVICE_NAME, "")


def dashed(address: str) -> str:
    """The hostname of an endpoint that has none: 10-244-0-5, fd00--5 (CoreDNS's choice)."""
    return address.replace(".", "-").replace(":", "-")


def plain(address: str) -> str:
    """An address as all who mean it write it; anything else as it is."""
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return address


def _external_name(spec: Object) -> str:
    """A name; an address is none (CoreDNS does not answer for such Services either)."""
    text = str(spec.get("externalName") or "").rstrip(".")
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return text.lower()
    return ""


def _ports(holder: Object) -> tuple[Port, ...]:
    given = holder.get("ports") or ()
    return _shared(tuple((each.get("name") or "", each.get("protocol") or "TCP", each["port"]) for each in given if each.get("port")))


@lru_cache(maxsize=1024)
def _shared(ports: tuple[tuple[str, str, int], ...]) -> tuple[Port, ...]:
    """Thousands of Services have the same ports."""
    return tuple(Port(name.lower(), protocol.lower(), number) for name, protocol, number in ports)


class World(Protocol):
    """What answers are made from. Names are in lower case, addresses plain."""

    @property
    def changed_at_s(self) -> int:
        """When it last changed, in seconds since 1970."""
        ...

    def has_namespace(self, name: str) -> bool: ...

    def service(self, namespace: str, name: str) -> Service | None: ...

    def slices(self, namespace: str, name: str) -> Iterable[Slice]: ...

    def services_at(self, address: str) -> Iterable[Service]:
        """Those with that ClusterIP."""
        ...

    def endpoints_at(self, address: str) -> Iterable[tuple[Key, Endpoint]]:
        """The ready endpoints with that address, each with its Service's key."""
        ...


class KnownWorld:
    """A World that its `take_...` methods, which are handlers of informers, keep."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._changed_at_s = int(clock.now().timestamp())
        self._namespaces: set[str] = set()
        self._services: dict[Key, Service] = {}
        self._slices: dict[Key, tuple[Slice, ...]] = {}
        self._services_at: dict[str, tuple[Service, ...]] = {}
        self._slices_at: dict[str, tuple[Slice, ...]] = {}

    # --- what informers tell ------------------------------------------------------------------------------------------------

    def take_namespace(self, old: Object | None, new: Object | None) -> None:
        if new is not None:
            self._namespaces.add(name_of(new))
        elif old is not None:
            self._namespaces.discard(name_of(old))

    def take_service(self, old: Object | None, new: Object | None) -> None:
        key = (namespace_of(old or new or {}), name_of(old or new or {}))
        if was := self._services.pop(key, None):
            for address in was.addresses:
                _remove(self._services_at, plain(address), was)
        if new is not None:
            now = self._services[key] = service_of(new)
            for address in now.addresses:
                _add(self._services_at, plain(address), now)
        self._changed()

    def take_slice(self, old: Object | None, new: Object | None) -> None:
        if old is not None:
            owner, name = slice_owner(old), name_of(old)
            for was in [each for each in self._slices.get(owner, ()) if each.name == name]:
                _remove(self._slices, owner, was)
                for address in {plain(each.address) for each in was.endpoints}:
                    _remove(self._slices_at, address, was)
        if new is not None:
            now = slice_of(new)
            _add(self._slices, now.service, now)
            for address in {plain(each.address) for each in now.endpoints}:
                _add(self._slices_at, address, now)
        self._changed()

    def _changed(self) -> None:
        self._changed_at_s = int(self._clock.now().timestamp())

    # --- what answers need ---------------------------------------------------------------------------------------------------

    @property
    def changed_at_s(self) -> int:
        return self._changed_at_s

    def has_namespace(self, name: str) -> bool:
        return name in self._namespaces

    def service(self, namespace: str, name: str) -> Service | None:
        return self._services.get((namespace, name))

    def slices(self, namespace: str, name: str) -> Iterable[Slice]:
        return self._slices.get((namespace, name), ())

    def services_at(self, address: str) -> Iterable[Service]:
        return self._services_at.get(address, ())

    def endpoints_at(self, address: str) -> Iterator[tuple[Key, Endpoint]]:
        for each in self._slices_at.get(address, ()):
            yield from ((each.service, endpoint) for endpoint in each.endpoints if plain(endpoint.address) == address)


def _add(index: dict[K, tuple[T, ...]], key: K, member: T) -> None:
    """In the order of their names: the same world gives the same answers. Nearly always there is one."""
    index[key] = tuple(sorted((*index.get(key, ()), member)))


def _remove(index: dict[K, tuple[T, ...]], key: K, member: T) -> None:
    left = tuple(each for each in index.get(key, ()) if each is not member)
    if left:
        index[key] = left
    else:
        index.pop(key, None)
