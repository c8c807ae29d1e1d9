"""IP addresses and CIDRs as upstream validates them: strict (new fields) and legacy (fields older than strict validation).

Source: apimachinery `pkg/util/validation/ip.go`. Each function answers with complaints; an empty list when all is well.
"""

from __future__ import annotations

import functools
import ipaddress
import json
import re

IP = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_TEXT_MAX = 256
_leading_zeros_re = re.compile(r"(?<![0-9a-fA-F:])0+(?=[0-9])")

_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_canonical_ipv4_re = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}")
"""What most addresses are: then there is nothing to find fault with."""

_NOT_AN_IP = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
_NOT_A_CIDR = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"


def parse_ip(value: str) -> IP | None:
    """The address as Go's ParseIPSloppy reads it: leading zeros in IPv4 parts are ignored, IPv4-mapped IPv6 is IPv4. None: not one."""
    return _parse_ip(value) if len(value) <= _TEXT_MAX else None


@functools.lru_cache(maxsize=4096)
def _parse_ip(value: str) -> IP | None:
    """Remembered: a pod's address is looked at in each of its updates, and by several rules."""
    if "%" in value or not value.isascii():
        return None
    try:
        found = ipaddress.ip_address(_without_leading_zeros(value))
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        return found.ipv4_mapped
    return found


def _without_leading_zeros(value: str) -> str:
    if "." not in value:
        return value
    head, colon, tail = value.rpartition(":")
    return head + colon + _leading_zeros_re.sub("", tail)


def is_mapped(value: str) -> bool:
    """Whether it is an IPv4 address written as IPv6 (`::ffff:1.2.3.4`)."""
    return ":" in value and isinstance(parse_ip(value), ipaddress.IPv4Address)


def _strict_ip_errors(value: str) -> list[str]:
    if _without_leading_zeros(value) != value:
        return ["must not have leading 0s"]
    return ["must not be an IPv4-mapped IPv6 address"] if is_mapped(value) else []


def is_valid_ip(value: str) -> list[str]:
    """A valid IP address in canonical form (RFC 5952)."""
    if _canonical_ipv4_re.fullmatch(value):
        return []
    found = parse_ip(value)
    if found is None:
        return [_NOT_AN_IP]
    errors = _strict_ip_errors(value)
    if not errors and str(found) != value:
        errors.append(f"must be in canonical form ({json.dumps(str(found))})")
    return errors


def is_valid_legacy_ip(value: str, *, strict: bool = False) -> list[str]:
    """An IP address in any form that older fields accept; `strict` (StrictIPCIDRValidation) refuses the ambiguous ones."""
    if _canonical_ipv4_re.fullmatch(value):
        return []
    if parse_ip(value) is None:
        return [_NOT_AN_IP]
    return _strict_ip_errors(value) if strict else []


def parse_cidr(value: str) -> tuple[IP, Network] | None:
    """(address, network) of `address/length`; None: not one."""
    address, slash, length = value.partition("/")
    found = parse_ip(address)
    if found is None or not slash or not length.isdecimal() or not length.isascii():
        return None
    bits = int(length)
    if ":" in address and isinstance(found, ipaddress.IPv4Address):
        bits -= 96
    if not 0 <= bits <= found.max_prefixlen:
        return None
    return found, ipaddress.ip_network((found, bits), strict=False)


def _strict_cidr_errors(value: str, address: IP, network: Network) -> list[str]:
    text, _, length = value.partition("/")
    if _without_leading_zeros(text) != text or (len(length) > 1 and length.startswith("0")):
        return ["must not have leading 0s in IP or prefix length"]
    if is_mapped(text):
        return ["must not have an IPv4-mapped IPv6 address"]
    return [] if address == network.network_address else ["must not have bits set beyond the prefix length"]


def is_valid_legacy_cidr(value: str, *, strict: bool = False) -> list[str]:
    """A CIDR in any form that older fields accept."""
    found = parse_cidr(value)
    if found is None:
        return [_NOT_A_CIDR]
    return _strict_cidr_errors(value, *found) if strict else []


def is_valid_cidr(value: str) -> list[str]:
    """A CIDR in canonical form, without bits beyond the prefix length."""
    found = parse_cidr(value)
    if found is None:
        return [_NOT_A_CIDR]
    errors = _strict_cidr_errors(value, *found)
    if not errors and str(found[1]) != value:
        errors.append(f"must be in canonical form ({json.dumps(str(found[1]))})")
    return errors


def is_valid_interface_address(value: str) -> list[str]:
    """`address/length` with a complete address, in canonical form (DRA network device data)."""
    found = parse_cidr(value)
    if found is None:
        return ["must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)"]
    canonical = f"{found[0]}/{found[1].prefixlen}"
    return [] if value == canonical else [f"must be in canonical form ({json.dumps(canonical)})"]


def ip_warnings(path: str, value: str) -> list[str]:
    """What to warn of in a legacy IP field that validates."""
    if ":" not in value and not _leading_zeros_re.search(value):
        return []  # most addresses, and seen with each status of a pod
    found = parse_ip(value)
    if found is None:
        return []
    quoted, canonical = json.dumps(value), json.dumps(str(found))
    if _strict_ip_errors(value):
        return [f"{path}: non-standard IP address {quoted} is invalid: use {canonical}"]
    if ":" in value and str(found) != value:
        return [f"{path}: IPv6 address {quoted} should be in RFC 5952 canonical format ({canonical})"]
    return []


def cidr_warnings(path: str, value: str) -> list[str]:
    """What to warn of in a legacy CIDR field that validates."""
    parsed = parse_cidr(value)
    if parsed is None:
        return []
    address, network = parsed
    quoted, canonical = json.dumps(value), json.dumps(str(network))
    warnings = []
    if address != network.network_address:
        single = json.dumps(f"{address}/{address.max_prefixlen}")
        warnings.append(f"{path}: CIDR value {quoted} is ambiguous in this context (should be {canonical} or {single}?)")
    text, _, length = value.partition("/")
    if _strict_ip_errors(text) or (len(length) > 1 and length.startswith("0")):
        warnings.append(f"{path}: non-standard CIDR value {quoted} is invalid: use {canonical}")
    if not warnings and ":" in value and canonical != quoted:
        warnings.append(f"{path}: IPv6 CIDR value {quoted} should be in RFC 5952 canonical format ({canonical})")
    return warnings
