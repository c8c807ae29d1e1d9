"""Which resolvers know everybody else's names: `--upstream`, or the host's /etc/resolv.conf."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PORT = 53
RESOLVERS_MAX = 15
"""As CoreDNS's `forward`."""


@dataclass(frozen=True, slots=True)
class Resolver:
    address: str
    port: int = PORT


def resolver(text: str) -> Resolver:
    """`10.0.0.2`, `10.0.0.2:5353`, `[fd00::2]:5353`, `fd00::2`. Raises ValueError."""
    host, port = text, ""
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        port = port.removeprefix(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    number = int(port) if port.isdigit() else PORT if not port else 0
    if not 0 < number < 65536:
        raise ValueError(f"{text!r}: {port!r} is not a port")
    return Resolver(str(ipaddress.ip_address(host)), number)


def read_upstream(text: str) -> list[Resolver]:
    """Addresses with commas between them, or a file as resolv.conf(5) has it; "" for none. Raises ValueError."""
    if text.startswith("/"):
        return in_resolv_conf(Path(text))
    found = [resolver(each.strip()) for each in text.split(",") if each.strip()]
    if len(found) > RESOLVERS_MAX:
        raise ValueError(f"more than {RESOLVERS_MAX} resolvers")
    return found


def in_resolv_conf(path: Path) -> list[Resolver]:
    """The `nameserver`s of a file; none where it is not there."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return []
    found = []
    for words in (line.split() for line in lines):
        if words[:1] == ["nameserver"] and len(words) > 1:
            try:
                found.append(Resolver(str(ipaddress.ip_address(words[1].partition("%")[0]))))
            except ValueError:
                continue
    return found[:RESOLVERS_MAX]


def without(found: Sequence[Resolver], address: str, port: int) -> list[Resolver]:
    """Those that are not ourselves, who listen there: a question would never come to an end."""
    listens = ipaddress.ip_address(address)
    return [
        each
        for each in found
        if not (
            each.port == port and (ipaddress.ip_address(each.address) == listens or (listens.is_unspecified and _is_here(each.address)))
        )
    ]


def _is_here(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback
