"""A question about the cluster's names, and its answer. Pure.

    <service>.<namespace>.svc.<domain>                      A, AAAA: its ClusterIPs; headless: its ready endpoints; ExternalName: CNAME
    <hostname>.<service>.<namespace>.svc.<domain>           A, AAAA of the endpoint with that hostname (10-244-0-5 where it has none)
    _<port>._<protocol>.<service>.<namespace>.svc.<domain>  SRV, and what it leads to as additional records
    <10-244-0-5>.<namespace>.pod.<domain>                   A, AAAA: that address, whether there is such a pod or not ("pods insecure")
    dns-version.<domain>                                    TXT
    <reversed>.in-addr.arpa, .ip6.arpa                      PTR of ClusterIPs and of ready endpoints

A name that is there without a record of that type is NODATA (no error, no answers), any other in the domain NXDOMAIN, both with the zone's
SOA. Source: kubernetes/dns `docs/specification.md`; CoreDNS `plugin/kubernetes` (kubernetes.go, parse.go, reverse.go), `backend_lookup.go`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from kubelet.dns.world import Endpoint, Port, Service, World

NOERROR, NXDOMAIN = "NOERROR", "NXDOMAIN"
SCHEMA_VERSION = "1.1.0"
"""Which version of the specification the answers are of, as CoreDNS says."""
VERSION_TTL_S = 28_800
SOA_TTL_S_MAX = 300
_CHAIN_MAX = 8
"""CNAMEs that are followed, one after the other."""
_REVERSE = (("in-addr", "arpa"), ("ip6", "arpa"))


@dataclass(frozen=True, slots=True)
class Zone:
    """What is answered for: a domain ("cluster.local", in lower case), for how long, and the name server's address ("" for none)."""

    domain: str = "cluster.local"
    ttl_s: int = 30
    server: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """A resource record of class IN, its data as in a zone file; names end in a dot where they are data."""

    name: str
    type: str
    ttl_s: int
    data: str


@dataclass(frozen=True, slots=True)
class Answer:
    """`elsewhere`: the last CNAME leads out of the zone, to that name; whoever knows it may add what it has."""

    rcode: str = NOERROR
    answers: tuple[Record, ...] = ()
    authority: tuple[Record, ...] = ()
    additional: tuple[Record, ...] = ()
    elsewhere: str = ""


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a name leads: an address (or, `is_alias`, a name), and on which port; `owner` is whose address it is."""

    owner: str
    host: str
    port: Port | None = None
    is_alias: bool = False


class _NoSuchName(Exception):
    pass


def answer(name: str, type_: str, world: World, zone: Zone) -> Answer | None:
    """What there is for `name` (no dot at its end, any case); None when it is not ours to say: somebody else's name, or an address
    that nothing here has. Types other than those in the table have no data."""
    labels = tuple(name.lower().split(".")) if name else ()
    if labels[-2:] in _REVERSE:
        return _reverse(name, type_, labels, world, zone)
    domain = tuple(zone.domain.split("."))
    if labels[-len(domain) :] != domain:
        return None
    if "\\" in name:  # a label with a dot or the like in it: nobody here is called so
        return Answer(NXDOMAIN, authority=(soa(world, zone),))
    return _forward(name, type_, labels[: -len(domain)], world, zone)


def _forward(name: str, type_: str, labels: Sequence[str], world: World, zone: Zone) -> Answer:
    try:
        if own := _own(name, type_, labels, world, zone):
            return own
        targets = list(_targets(labels, world, zone))
    except _NoSuchName:
        return Answer(NXDOMAIN, authority=(soa(world, zone),))
    if targets and targets[0].is_alias:
        return _alias(name, type_, targets[0].host, world, zone)
    if type_ == "SRV":
        return _srv(name, targets, world, zone)
    return _or_no_data(_addresses(name, type_, targets, zone), world, zone)


def _own(name: str, type_: str, labels: Sequence[str], world: World, zone: Zone) -> Answer | None:
    """The zone's own names; None for all others."""
    match tuple(labels):
        case () if type_ == "SOA":
            return Answer(answers=(soa(world, zone),))
        case () if type_ == "NS":
            server = f"ns.dns.{zone.domain}"
            extra = (Record(server, _type_of(zone.server), zone.ttl_s, zone.server),) if zone.server else ()
            return Answer(answers=(Record(name, "NS", zone.ttl_s, f"{server}."),), additional=extra)
        case () | ("svc",) | ("pod",) | ("dns",):
            return _or_no_data((), world, zone)
        case ("ns", "dns"):
            has = zone.server and _type_of(zone.server) == type_
            return _or_no_data((Record(name, type_, zone.ttl_s, zone.server),) if has else (), world, zone)
        case ("dns-version",):
            found = (Record(name, "TXT", VERSION_TTL_S, f'"{SCHEMA_VERSION}"'),) if type_ == "TXT" else ()
            return _or_no_data(found, world, zone)
    return None


def _targets(labels: Sequence[str], world: World, zone: Zone) -> Iterator[_Target]:
    """Where a name below `svc` or `pod` leads. Raises _NoSuchName; a name that leads nowhere yet is there has no targets."""
    *rest, namespace, kind = labels if len(labels) > 1 else ("", *labels)
    if kind not in ("svc", "pod") or not world.has_namespace(namespace) or len(rest) > 3:
        raise _NoSuchName
    if not rest:
        return
    if kind == "pod":
        yield _pod(rest)
        return
    service = world.service(namespace, rest[-1])
    if service is None:
        raise _NoSuchName
    found = list(_of_service(service, rest[:-1], world, zone))
    if not found:
        raise _NoSuchName
    yield from found


def _of_service(service: Service, before: Sequence[str], world: World, zone: Zone) -> Iterator[_Target]:
    """`before`: the labels before the Service's: none, a hostname, or a port and its protocol."""
    owner = f"{service.name}.{service.namespace}.svc.{zone.domain}"
    hostname = before[0] if len(before) == 1 else ""
    wanted = (before[0].removeprefix("_"), before[1].removeprefix("_")) if len(before) == 2 else None
    if service.external_name:
        if not hostname:
            yield _Target(owner, service.external_name, is_alias=True)
    elif service.is_headless or hostname:
        for endpoint, port in _endpoints(service, world):
            if hostname in ("", endpoint.hostname) and _is_wanted(port, wanted):
                yield _Target(f"{endpoint.hostname}.{owner}", endpoint.address, port)
    else:
        for port in service.ports or (None,):
            if _is_wanted(port, wanted):
                yield from (_Target(owner, address, port) for address in service.addresses)


def _endpoints(service: Service, world: World) -> Iterator[tuple[Endpoint, Port | None]]:
    for each in world.slices(service.namespace, service.name):
        yield from ((endpoint, port) for endpoint in each.endpoints for port in each.ports or (None,))


def _is_wanted(port: Port | None, wanted: tuple[str, str] | None) -> bool:
    return wanted is None or (port is not None and (port.name, port.protocol) == wanted)


def _pod(rest: Sequence[str]) -> _Target:
    if len(rest) > 1:
        raise _NoSuchName
    text = rest[0].replace("-", ".") if rest[0].count("-") == 3 and "--" not in rest[0] else rest[0].replace("-", ":")
    try:
        return _Target("", str(ipaddress.ip_address(text)))
    except ValueError:
        raise _NoSuchName from None


# --- answers ------------------------------------------------------------------------------------------------------------------


def _alias(name: str, type_: str, target: str, world: World, zone: Zone, seen: tuple[str, ...] = ()) -> Answer:
    """A CNAME, and where that leads to a name of the zone, what is there; not in circles."""
    record = Record(name, "CNAME", zone.ttl_s, f"{target}.")
    if type_ not in ("A", "AAAA", "CNAME"):
        return _or_no_data((), world, zone)
    if type_ == "CNAME":
        return Answer(answers=(record,))
    if not target.endswith(f".{zone.domain}"):
        return Answer(answers=(record,), elsewhere=target)
    if target in (name.lower(), *seen) or len(seen) >= _CHAIN_MAX:
        return _or_no_data((), world, zone)
    further = _further(target, type_, world, zone, (*seen, name.lower()))
    return replace(further, answers=(record, *further.answers), authority=()) if further.answers else _or_no_data((), world, zone)


def _further(target: str, type_: str, world: World, zone: Zone, seen: tuple[str, ...]) -> Answer:
    try:
        targets = list(_targets(target.removesuffix(f".{zone.domain}").split("."), world, zone))
    except _NoSuchName:
        return Answer()
    if targets and targets[0].is_alias:
        return _alias(target, type_, targets[0].host, world, zone, seen)
    return Answer(answers=_addresses(target, type_, targets, zone))


def _addresses(name: str, type_: str, targets: Sequence[_Target], zone: Zone) -> tuple[Record, ...]:
    hosts = dict.fromkeys(each.host for each in targets)
    return tuple(Record(name, type_, zone.ttl_s, each) for each in hosts if _type_of(each) == type_)


def _srv(name: str, targets: Sequence[_Target], world: World, zone: Zone) -> Answer:
    """Of equal priority, each with an equal part of the weight (CoreDNS: 100 shared out)."""
    weight = max(100 // len(targets), 1) if targets else 0
    found = dict.fromkeys((each.port.number, each.owner) for each in targets if each.port is not None)
    extra = dict.fromkeys((each.owner, each.host) for each in targets if each.port is not None)
    return _or_no_data(
        tuple(Record(name, "SRV", zone.ttl_s, f"0 {weight} {number} {owner}.") for number, owner in found),
        world,
        zone,
        tuple(Record(owner, _type_of(host), zone.ttl_s, host) for owner, host in extra),
    )


def _reverse(name: str, type_: str, labels: Sequence[str], world: World, zone: Zone) -> Answer | None:
    address = address_of(labels)
    found = list(dict.fromkeys(_names_at(address, world, zone))) if address else []
    if not found:
        return None
    return _or_no_data(tuple(Record(name, "PTR", zone.ttl_s, f"{each}.") for each in found if type_ == "PTR"), world, zone)


def _names_at(address: str, world: World, zone: Zone) -> Iterable[str]:
    """A ClusterIP has one name; an endpoint one for each of its Services."""
    for service in world.services_at(address):
        return [f"{service.name}.{service.namespace}.svc.{zone.domain}"]
    return (f"{each.hostname}.{name}.{namespace}.svc.{zone.domain}" for (namespace, name), each in world.endpoints_at(address))


def address_of(labels: Sequence[str]) -> str:
    """The address that a name below in-addr.arpa or ip6.arpa is about; "" where it is not whole."""
    digits = [each.lower() for each in reversed(labels[:-2])]
    try:
        if labels[-2] == "in-addr":
            return str(ipaddress.IPv4Address(".".join(digits))) if len(digits) == 4 else ""
        if len(digits) != 32 or any(len(each) != 1 for each in digits):
            return ""
        return str(ipaddress.IPv6Address(int("".join(digits), 16)))
    except ValueError:
        return ""


def soa(world: World, zone: Zone) -> Record:
    """The zone's SOA. Its serial is when something last changed."""
    ttl_s, domain = zone.ttl_s, zone.domain
    data = f"ns.dns.{domain}. hostmaster.{domain}. {world.changed_at_s} 7200 1800 86400 {ttl_s}"
    return Record(domain, "SOA", min(ttl_s, SOA_TTL_S_MAX), data)


def _or_no_data(found: tuple[Record, ...], world: World, zone: Zone, additional: tuple[Record, ...] = ()) -> Answer:
    return Answer(answers=found, additional=additional) if found else Answer(authority=(soa(world, zone),))


def _type_of(address: str) -> str:
    return "AAAA" if ":" in address else "A"
