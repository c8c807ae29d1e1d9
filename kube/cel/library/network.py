"""IP addresses and CIDR blocks. Source: apiserver `pkg/cel/library/{ip,cidr}.go`."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from kube.cel.literals import is_one
from kube.cel.syntax import CelError
from kube.cel.values import Opaque, no_overload

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_BITS: Final = re.compile(r"0|[1-9][0-9]{0,2}")


class IP(Opaque):
    type_name = "net.IP"
    __slots__ = ("address",)

    def __init__(self, address: _Address) -> None:
        self.address = address

    def key(self) -> _Address:
        return self.address

    def text(self) -> str:
        return str(self.address)


class CIDR(Opaque):
    type_name = "net.CIDR"
    __slots__ = ("address", "bits")

    def __init__(self, address: _Address, bits: int) -> None:
        self.address, self.bits = address, bits

    def key(self) -> tuple[_Address, int]:
        return self.address, self.bits

    def text(self) -> str:
        return f"{self.address}/{self.bits}"

    @property
    def network(self) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
        return ipaddress.ip_network(f"{self.address}/{self.bits}", strict=False)


def _address(text: Any) -> _Address:
    if not isinstance(text, str):
        raise no_overload()
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise CelError(f'IP Address "{text}" parse error during conversion from string: ParseAddr("{text}"): unable to parse IP') from None
    if isinstance(address, ipaddress.IPv6Address):
        if "%" in text:
            raise CelError(f'IP address with zone value "{text}" is not allowed')
        if address.ipv4_mapped is not None:
            raise CelError(f'IPv4-mapped IPv6 address "{text}" is not allowed')
    return address


def parse_cidr(text: Any) -> CIDR:
    if not isinstance(text, str):
        raise no_overload()
    host, slash, bits = text.rpartition("/")
    if not slash:
        raise _no_cidr(text, "no '/'")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise _no_cidr(text, f'ParseAddr("{host}"): unable to parse IP') from None
    if "%" in host:
        raise _no_cidr(text, "IPv6 zones cannot be present in a prefix")
    if _BITS.fullmatch(bits) is None:
        raise _no_cidr(text, f'bad bits after slash: "{bits}"')
    if int(bits) > address.max_prefixlen:
        raise _no_cidr(text, "prefix length out of range")
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        raise CelError(f'{_NOT_CIDR}IPv4-mapped IPv6 address "{text}" is not allowed')
    return CIDR(address, int(bits))


_NOT_CIDR: Final = "network address parse error during conversion from string: "


def _no_cidr(text: str, why: str) -> CelError:
    return CelError(f'{_NOT_CIDR}{_NOT_CIDR}netip.ParsePrefix("{text}"): {why}')


def ip(value: Any) -> IP:
    return IP(value.address) if isinstance(value, CIDR) else IP(_address(value))


def contains_ip(block: CIDR, other: Any) -> bool:
    address = other.address if isinstance(other, IP) else _address(other)
    return address.version == block.address.version and address in block.network


def contains_cidr(block: CIDR, other: Any) -> bool:
    inner = other if isinstance(other, CIDR) else parse_cidr(other)
    if inner.address.version != block.address.version or inner.bits < block.bits:
        return False
    return inner.network.network_address in block.network


def _is_global(address: _Address) -> bool:
    is_broadcast = str(address) == "255.255.255.255"
    return not (address.is_unspecified or address.is_loopback or address.is_multicast or address.is_link_local or is_broadcast)


def _is_link_local_multicast(address: _Address) -> bool:
    block = "224.0.0.0/24" if address.version == 4 else "ff02::/16"
    return address in ipaddress.ip_network(block)


FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "ip": ip,
    "isIP": is_one(_address),
    "ip.isCanonical": lambda text: str(_address(text)) == text,
    "family": lambda of: of.address.version,
    "isUnspecified": lambda of: of.address.is_unspecified,
    "isLoopback": lambda of: of.address.is_loopback,
    "isLinkLocalMulticast": lambda of: _is_link_local_multicast(of.address),
    "isLinkLocalUnicast": lambda of: of.address.is_link_local,
    "isGlobalUnicast": lambda of: _is_global(of.address),
    "cidr": parse_cidr,
    "isCIDR": is_one(parse_cidr),
    "containsIP": contains_ip,
    "containsCIDR": contains_cidr,
    "masked": lambda block: CIDR(block.network.network_address, block.bits),
    "prefixLength": lambda block: block.bits,
}
