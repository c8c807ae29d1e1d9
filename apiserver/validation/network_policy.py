"""NetworkPolicies. Source: kubernetes `pkg/apis/networking/validation/validation.go`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apiserver.validation.ip import Network, cidr_warnings, is_valid_legacy_cidr, parse_cidr
from apiserver.validation.metadata import complaints, validate_label_selector
from apiserver.validation.names import is_valid_port_name, is_valid_port_num
from kube.errors import FieldError, invalid, not_allowed, not_supported, required
from kube.objects import Object

if TYPE_CHECKING:
    from apiserver.registry.kind import Context

PROTOCOLS = ("TCP", "UDP", "SCTP")
POLICY_TYPES = ("Ingress", "Egress")


def validate(new: Object, old: Object | None, ctx: Context) -> list[FieldError]:
    """CIDRs that the stored policy has already may stay as they are."""
    spec = new.get("spec") or {}
    known = _cidrs((old or {}).get("spec") or {})
    errors = validate_label_selector(spec.get("podSelector"), "spec.podSelector")
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for index, rule in enumerate(spec.get(direction) or []):
            path = f"spec.{direction}[{index}]"
            for number, port in enumerate(rule.get("ports") or []):
                errors += _port(port, f"{path}.ports[{number}]")
            for number, peer in enumerate(rule.get(peers) or []):
                errors += _peer(peer, f"{path}.{peers}[{number}]", known)
                ctx.warnings += _block_warnings(peer.get("ipBlock") or {}, f"{path}.{peers}[{number}].ipBlock")
    return errors + _types(spec.get("policyTypes") or [])


def _cidrs(spec: Object) -> set[str]:
    rules = [(rule, peers) for direction, peers in (("ingress", "from"), ("egress", "to")) for rule in spec.get(direction) or ()]
    blocks = [peer.get("ipBlock") or {} for rule, peers in rules for peer in rule.get(peers) or ()]
    return {cidr for block in blocks for cidr in (block.get("cidr"), *(block.get("except") or ())) if cidr}


def _types(types: list[str]) -> list[FieldError]:
    if len(types) > len(POLICY_TYPES):
        return [invalid("spec.policyTypes", types, "may not specify more than two policyTypes")]
    return [not_supported(f"spec.policyTypes[{index}]", each, POLICY_TYPES) for index, each in enumerate(types) if each not in POLICY_TYPES]


def _port(port: Object, path: str) -> list[FieldError]:
    protocol, number, end = port.get("protocol"), port.get("port"), port.get("endPort")
    errors: list[FieldError] = []
    if protocol is not None and protocol not in PROTOCOLS:
        errors.append(not_supported(f"{path}.protocol", protocol, PROTOCOLS))
    if isinstance(number, str):
        if end is not None:
            errors.append(invalid(f"{path}.endPort", end, "may not be specified when `port` is non-numeric"))
        return errors + complaints(f"{path}.port", number, is_valid_port_name(number))
    if number is None:
        why = "may not be specified when `port` is not specified"
        return errors if end is None else [*errors, invalid(f"{path}.endPort", end, why)]
    errors += complaints(f"{path}.port", number, is_valid_port_num(number))
    if end is not None:
        if end < number:
            errors.append(invalid(f"{path}.endPort", number, "must be greater than or equal to `port`"))
        errors += complaints(f"{path}.endPort", end, is_valid_port_num(end))
    return errors


def _peer(peer: Object, path: str, known: set[str]) -> list[FieldError]:
    errors: list[FieldError] = []
    selectors = [name for name in ("podSelector", "namespaceSelector") if peer.get(name) is not None]
    for name in selectors:
        errors += validate_label_selector(peer[name], f"{path}.{name}")
    block = peer.get("ipBlock")
    if block is not None:
        errors += _block(block, f"{path}.ipBlock", known)
    if not selectors and block is None:
        errors.append(required(path, "must specify a peer"))
    elif selectors and block is not None:
        errors.append(not_allowed(path, "may not specify both ipBlock and another peer"))
    return errors


def _block(block: Object, path: str, known: set[str]) -> list[FieldError]:
    cidr = block.get("cidr") or ""
    if not cidr:
        return [required(f"{path}.cidr")]
    errors = _cidr(cidr, f"{path}.cidr", known)
    outer = parse_cidr(cidr)
    if outer is None:
        return errors
    for index, each in enumerate(block.get("except") or []):
        at, inner = f"{path}.except[{index}]", parse_cidr(each)
        errors += _cidr(each, at, known)
        if inner is not None and not _is_strictly_inside(inner[1], outer[1]):
            errors.append(invalid(at, each, "must be a strict subset of `cidr`"))
    return errors


def _block_warnings(block: Object, path: str) -> list[str]:
    found = cidr_warnings(f"{path}.cidr", block.get("cidr") or "")
    for index, each in enumerate(block.get("except") or []):
        found += cidr_warnings(f"{path}.except[{index}]", each)
    return found


def _cidr(cidr: str, path: str, known: set[str]) -> list[FieldError]:
    return [] if cidr in known else complaints(path, cidr, is_valid_legacy_cidr(cidr, strict=True))


def _is_strictly_inside(small: Network, big: Network) -> bool:
    return small.prefixlen > big.prefixlen and small.version == big.version and small.network_address in big
