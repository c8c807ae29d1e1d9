"""Endpoints. Source: kubernetes `pkg/apis/core/validation/validation.go` (ValidateEndpoints)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apiserver.validation.ip import is_valid_legacy_ip, parse_ip
from apiserver.validation.metadata import complaints
from apiserver.validation.names import is_dns1123_label, is_dns1123_subdomain, is_qualified_name, is_valid_port_num
from kube.errors import FieldError, invalid, not_supported, required
from kube.objects import Object

if TYPE_CHECKING:
    from apiserver.registry.kind import Context

PROTOCOLS = ("SCTP", "TCP", "UDP")


def validate(new: Object, old: Object | None, _ctx: Context) -> list[FieldError]:
    """Addresses that the stored object has already are not looked at again."""
    known = {each.get("ip") or "" for subset in (old or {}).get("subsets") or () for each in _addresses(subset)}
    return [error for index, each in enumerate(new.get("subsets") or ()) for error in _subset(each, f"subsets[{index}]", known)]


def _addresses(subset: Object) -> list[Object]:
    return [*(subset.get("addresses") or ()), *(subset.get("notReadyAddresses") or ())]


def _subset(subset: Object, path: str, known: set[str]) -> list[FieldError]:
    errors = [] if _addresses(subset) else [required(path, "must specify `addresses` or `notReadyAddresses`")]
    for name in ("addresses", "notReadyAddresses"):
        for index, address in enumerate(subset.get(name) or ()):
            errors += _address(address, f"{path}.{name}[{index}]", known)
    ports = subset.get("ports") or ()
    for index, port in enumerate(ports):
        errors += _port(port, f"{path}.ports[{index}]", needs_name=len(ports) > 1)
    return errors


def _address(address: Object, path: str, known: set[str]) -> list[FieldError]:
    ip = address.get("ip") or ""
    errors = [] if ip in known else complaints(f"{path}.ip", ip, is_valid_legacy_ip(ip, strict=True))
    if address.get("hostname"):
        errors += complaints(f"{path}.hostname", address["hostname"], is_dns1123_label(address["hostname"]))
    if address.get("nodeName") is not None:
        errors += complaints(f"{path}.nodeName", address["nodeName"], is_dns1123_subdomain(address["nodeName"]))
    return errors + special_ip_errors(ip, f"{path}.ip")


def special_ip_errors(ip: str, path: str) -> list[FieldError]:
    """Addresses that cannot be anyone's endpoint: unspecified, loopback, link-local."""
    found = parse_ip(ip)
    if found is None:
        return [invalid(path, ip, "must be a valid IP address")]
    errors: list[FieldError] = []
    if found.is_unspecified:
        errors.append(invalid(path, ip, f"may not be unspecified ({ip})"))
    if found.is_loopback:
        errors.append(invalid(path, ip, "may not be in the loopback range (127.0.0.0/8, ::1/128)"))
    if found.is_link_local:
        errors.append(invalid(path, ip, "may not be in the link-local range (169.254.0.0/16, fe80::/10)"))
    if _is_link_local_multicast(ip):
        errors.append(invalid(path, ip, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"))
    return errors


def _is_link_local_multicast(ip: str) -> bool:
    found = parse_ip(ip)
    assert found is not None
    packed = found.packed
    return packed[:3] == b"\xe0\x00\x00" if found.version == 4 else packed[0] == 0xFF and packed[1] & 0x0F == 0x02


def _port(port: Object, path: str, *, needs_name: bool) -> list[FieldError]:
    name, protocol, number = port.get("name") or "", port.get("protocol") or "", port.get("port") or 0
    errors: list[FieldError] = []
    if name:
        errors += complaints(f"{path}.name", name, is_dns1123_label(name))
    elif needs_name:
        errors.append(required(f"{path}.name"))
    errors += complaints(f"{path}.port", number, is_valid_port_num(number))
    if not protocol:
        errors.append(required(f"{path}.protocol"))
    elif protocol not in PROTOCOLS:
        errors.append(not_supported(f"{path}.protocol", protocol, PROTOCOLS))
    if port.get("appProtocol") is not None:
        errors += complaints(f"{path}.appProtocol", port["appProtocol"], is_qualified_name(port["appProtocol"]))
    return errors
