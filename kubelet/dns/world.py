"""What cluster DNS knows of the cluster: namespaces, Services, the ready endpoints of EndpointSlices. Handlers of informers keep it so."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

from kube.clock import Clock
from kube.objects import Object, labels_of, name_of, namespace_of

SERVICE_NAME = "kubernetes.io/service-name"
"""The label that says whose slice it is."""
Key = tuple[str, str]
"""Namespace, name."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Port:
    """`name` is "" where it has none; `protocol` in lower case."""

    name: str
    protocol: str
    number: int


@dataclass(frozen=True, slots=True)
class Service:
    """`external_name` is what an ExternalName Service leads to, "" for all others; `addresses` its ClusterIPs, none when it is headless."""

    namespace: str
    name: str
    addresses: tuple[str, ...] = ()
    is_headless: bool = False
    external_name: str = ""
    ports: tuple[Port, ...] = ()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address; `hostname` is what the slice says or, where it says nothing, the address with dashes."""

    address: str
    hostname: str


@dataclass(frozen=True, slots=True)
class Slice:
    """The ready endpoints of (a part of) a Service, each with all these ports."""

    service: Key
    endpoints: tuple[Endpoint, ...]
    ports: tuple[Port, ...]


def service_of(obj: Object) -> Service:
    """What matters of a Service."""
    spec = obj.get("spec") or {}
    given = spec.get("clusterIPs") or ([spec["clusterIP"]] if spec.get("clusterIP") else [])
    return Service(
        namespace_of(obj).lower(),
        name_of(obj).lower(),
        tuple(each for each in given if each != "None"),
        "None" in given,
        _external_name(spec) if spec.get("type") == "ExternalName" else "",
        _ports(spec),
    )


def slice_of(obj: Object) -> Slice:
    """What matters of an EndpointSlice. Endpoints that say nothing of being ready are (the API's rule)."""
    namespace, name = namespace_of(obj), labels_of(obj).get(SERVICE_NAME, "")
    found = []
    if obj.get("addressType") in ("IPv4", "IPv6"):
        for each in obj.get("endpoints") or ():
            if (each.get("conditions") or {}).get("ready") is not False:
                found += [Endpoint(address, (each.get("hostname") or dashed(address)).lower()) for address in each["addresses"]]
    return Slice((namespace, name), tuple(found), _ports(obj))


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
    ports = holder.get("ports") or ()
    return tuple(
        Port((each.get("name") or "").lower(), (each.get("protocol") or "TCP").lower(), each["port"]) for each in ports if each.get("port")
    )


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
        self._slices: dict[Key, dict[str, Slice]] = {}
        self._services_at: dict[str, set[Key]] = {}
        self._slices_at: dict[str, set[tuple[Key, str]]] = {}

    # --- what informers tell ------------------------------------------------------------------------------------------------

    def take_namespace(self, old: Object | None, new: Object | None) -> None:
        if new is not None:
            self._namespaces.add(name_of(new))
        elif old is not None:
            self._namespaces.discard(name_of(old))

    def take_service(self, old: Object | None, new: Object | None) -> None:
        if old is not None:
            was = self._services.pop((namespace_of(old), name_of(old)), None)
            for address in was.addresses if was is not None else ():
                _remove(self._services_at, plain(address), (namespace_of(old), name_of(old)))
        if new is not None:
            key = namespace_of(new), name_of(new)
            now = self._services[key] = service_of(new)
            for address in now.addresses:
                self._services_at.setdefault(plain(address), set()).add(key)
        self._changed()

    def take_slice(self, old: Object | None, new: Object | None) -> None:
        if old is not None:
            self._drop_slice(slice_of(old).service, name_of(old))
        if new is not None:
            now = slice_of(new)
            self._slices.setdefault(now.service, {})[name_of(new)] = now
            for each in now.endpoints:
                self._slices_at.setdefault(plain(each.address), set()).add((now.service, name_of(new)))
        self._changed()

    def _drop_slice(self, service: Key, name: str) -> None:
        was = self._slices.get(service, {}).pop(name, None)
        if not self._slices.get(service):
            self._slices.pop(service, None)
        for each in was.endpoints if was is not None else ():
            _remove(self._slices_at, plain(each.address), (service, name))

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
        found = self._slices.get((namespace, name), {})
        return [found[each] for each in sorted(found)]

    def services_at(self, address: str) -> Iterable[Service]:
        return [self._services[key] for key in sorted(self._services_at.get(address, ()))]

    def endpoints_at(self, address: str) -> Iterator[tuple[Key, Endpoint]]:
        for service, name in sorted(self._slices_at.get(address, ())):
            yield from ((service, each) for each in self._slices[service][name].endpoints if plain(each.address) == address)


def _remove(index: dict[str, set[T]], address: str, member: T) -> None:
    members = index.get(address, set())
    members.discard(member)
    if not members:
        index.pop(address, None)
