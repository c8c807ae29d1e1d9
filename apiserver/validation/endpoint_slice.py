"""EndpointSlices. Source: kubernetes `pkg/apis/discovery/validation/validation.go`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from apiserver.validation.endpoints import PROTOCOLS, special_ip_errors
from apiserver.validation.ip import ip_warnings, is_valid_ip, parse_ip
from apiserver.validation.metadata import complaints, immutable
from apiserver.validation.names import is_dns1123_label, is_dns1123_subdomain, is_qualified_name, is_valid_label_value
from kube.errors import FieldError, duplicate, invalid, not_allowed, not_supported, required, too_many
from kube.objects import Object, labels_of

if TYPE_CHECKING:
    from apiserver.registry.kind import Context

ADDRESS_TYPES = ("FQDN", "IPv4", "IPv6")
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
_OUR_CONTROLLERS = ("endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io")
ADDRESSES_MAX, PORTS_MAX, ENDPOINTS_MAX, HINTS_MAX, TOPOLOGY_MAX = 100, 20000, 1000, 8, 16


def validate(new: Object, old: Object | None, ctx: Context) -> list[FieldError]:
    kind = new.get("addressType") or ""
    errors: list[FieldError] = []
    if not kind:
        errors.append(required("addressType"))
    elif kind not in ADDRESS_TYPES:
        errors.append(not_supported("addressType", kind, ADDRESS_TYPES))
    endpoints, ports = new.get("endpoints") or [], new.get("ports") or []
    known = {address for each in (old or {}).get("endpoints") or () for address in each.get("addresses") or ()}
    errors += _endpoints(endpoints, kind, known) + _ports(ports)
    if old is not None:
        errors += immutable(kind, old.get("addressType") or "", "addressType")
    if not errors and kind == "FQDN" and (old is None or old.get("addressType") != "FQDN"):
        ctx.warnings.append("spec.addressType: FQDN endpoints are deprecated")
    if labels_of(new).get(MANAGED_BY) not in _OUR_CONTROLLERS:
        for index, endpoint in enumerate(endpoints):
            for number, address in enumerate(endpoint.get("addresses") or []):
                ctx.warnings += ip_warnings(f"endpoints[{index}].addresses[{number}]", address)
    return errors


def _endpoints(endpoints: Sequence[Object], kind: str, known: set[str]) -> list[FieldError]:
    if len(endpoints) > ENDPOINTS_MAX:
        return [too_many("endpoints", len(endpoints), ENDPOINTS_MAX)]
    return [error for index, each in enumerate(endpoints) for error in _endpoint(each, f"endpoints[{index}]", kind, known)]


def _endpoint(endpoint: Object, path: str, kind: str, known: set[str]) -> list[FieldError]:
    addresses = endpoint.get("addresses") or []
    errors: list[FieldError] = []
    if not addresses:
        errors.append(required(f"{path}.addresses", "must contain at least 1 address"))
    elif len(addresses) > ADDRESSES_MAX:
        errors.append(too_many(f"{path}.addresses", len(addresses), ADDRESSES_MAX))
    for index, address in enumerate(addresses):
        errors += _address(address, f"{path}.addresses[{index}]", f"{path}.addresses", kind, known)
    if endpoint.get("nodeName") is not None:
        errors += complaints(f"{path}.nodeName", endpoint["nodeName"], is_dns1123_subdomain(endpoint["nodeName"]))
    errors += _topology(endpoint, path)
    if endpoint.get("hostname") is not None:
        errors += complaints(f"{path}.hostname", endpoint["hostname"], is_dns1123_label(endpoint["hostname"]))
    hints = endpoint.get("hints")
    return errors + (_hints(hints, f"{path}.hints") if hints is not None else [])


def _address(address: str, at: str, path: str, kind: str, known: set[str]) -> list[FieldError]:
    if kind == "FQDN":
        return complaints(at, address, is_dns1123_subdomain(address))
    if kind not in ("IPv4", "IPv6"):
        return []
    if address in known:
        return []
    errors, found = complaints(at, address, is_valid_ip(address)), parse_ip(address)
    if found is None:
        return errors
    if f"IPv{found.version}" != kind:
        article = "an IPv4" if kind == "IPv4" else "an IPv6"
        errors.append(invalid(path, address, f"must be {article} address"))
    return errors + special_ip_errors(address, at)


def _topology(endpoint: Object, path: str) -> list[FieldError]:
    topology = endpoint.get("deprecatedTopology") or {}
    if len(topology) > TOPOLOGY_MAX:
        return [too_many(f"{path}.deprecatedTopology", len(topology), TOPOLOGY_MAX)]
    errors: list[FieldError] = []
    for key, value in topology.items():
        errors += complaints(f"{path}.deprecatedTopology", key, is_qualified_name(key))
        errors += complaints(f"{path}.deprecatedTopology", value, is_valid_label_value(value))
    if topology.get("topology.kubernetes.io/zone") is not None:
        errors.append(
            not_allowed(f"{path}.deprecatedTopology[topology.kubernetes.io/zone]", "deprecated topology keys can not include zone")
        )
    return errors


def _hints(hints: Object, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for field, rule in (("forZones", is_valid_label_value), ("forNodes", is_dns1123_subdomain)):
        given = hints.get(field) or []
        if len(given) > HINTS_MAX:
            return [*errors, too_many(f"{path}.{field}", len(given), HINTS_MAX)]
        seen: set[str] = set()
        for index, each in enumerate(given):
            at, name = f"{path}.{field}[{index}].name", each.get("name") or ""
            if name in seen:
                errors.append(duplicate(at, name))
            seen.add(name)
            errors += complaints(at, name, rule(name))
    return errors


def _ports(ports: Sequence[Object]) -> list[FieldError]:
    if len(ports) > PORTS_MAX:
        return [too_many("ports", len(ports), PORTS_MAX)]
    errors: list[FieldError] = []
    names: set[str] = set()
    for index, port in enumerate(ports):
        path, name, protocol = f"ports[{index}]", port.get("name") or "", port.get("protocol") or ""
        if name:
            errors += complaints(f"{path}.name", name, is_dns1123_label(name))
        if name in names:
            errors.append(duplicate(f"{path}.name", name))
        names.add(name)
        if not protocol:
            errors.append(required(f"{path}.protocol"))
        elif protocol not in PROTOCOLS:
            errors.append(not_supported(f"{path}.protocol", protocol, PROTOCOLS))
        if port.get("appProtocol") is not None:
            errors += complaints(f"{path}.appProtocol", port["appProtocol"], is_qualified_name(port["appProtocol"]))
    return errors
