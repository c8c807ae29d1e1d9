"""IPAddresses and ServiceCIDRs. Source: kubernetes `pkg/apis/networking/validation/validation.go`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apiserver.validation.ip import is_valid_cidr, is_valid_ip, parse_cidr
from apiserver.validation.metadata import IMMUTABLE, complaints, immutable
from apiserver.validation.names import is_dns1123_subdomain, is_path_segment_name
from kube.errors import FieldError, invalid, required
from kube.objects import Object

if TYPE_CHECKING:
    from apiserver.registry.kind import Context

_FAMILIES = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"


def validate_ip_address(new: Object, old: Object | None, _ctx: Context) -> list[FieldError]:
    """The name is the address, in canonical form."""
    parent, path = (new.get("spec") or {}).get("parentRef"), "spec.parentRef"
    name = new["metadata"].get("name") or ""
    errors = complaints("metadata.name", name, is_valid_ip(name)) if name else []
    errors += _parent(parent, path)
    return errors if old is None else errors + immutable(parent, (old.get("spec") or {}).get("parentRef"), path)


def _parent(parent: Object | None, path: str) -> list[FieldError]:
    if parent is None:
        return [required(path)]
    group, resource, namespace, parent_name = (parent.get(each) or "" for each in ("group", "resource", "namespace", "name"))
    errors = complaints(f"{path}.group", group, is_dns1123_subdomain(group)) if group else []
    errors += _segment(resource, f"{path}.resource") + _segment(parent_name, f"{path}.name")
    return errors + (_segment(namespace, f"{path}.namespace") if namespace else [])


def _segment(value: str, path: str) -> list[FieldError]:
    return complaints(path, value, is_path_segment_name(value)) if value else [required(path)]


def validate_service_cidr(new: Object, old: Object | None, _ctx: Context) -> list[FieldError]:
    given, path = (new.get("spec") or {}).get("cidrs"), "spec.cidrs"
    cidrs: list[str] = given or []
    if old is None:
        return _cidrs(cidrs, path)
    before = (old.get("spec") or {}).get("cidrs") or []
    if len(cidrs) < len(before) or (len(cidrs) > len(before) and (len(before), len(cidrs)) != (1, 2)):
        return [invalid(path, given, IMMUTABLE)]
    errors = [
        invalid(f"{path}[{index}]", new_one, IMMUTABLE)
        for index, (new_one, old_one) in enumerate(zip(cidrs, before, strict=False))
        if new_one != old_one
    ]
    return errors + (_cidrs(cidrs, path) if len(cidrs) > len(before) else [])


def _cidrs(cidrs: list[str], path: str) -> list[FieldError]:
    """One, or one of each family."""
    if not cidrs:
        return [required(path, "at least one CIDR required")]
    if len(cidrs) > 2:
        return [invalid(path, {"CIDRs": cidrs}, "may only hold up to 2 values")]
    errors = [error for index, each in enumerate(cidrs) for error in complaints(f"{path}[{index}]", each, is_valid_cidr(each))]
    families = [found[1].version if found is not None else None for found in map(parse_cidr, cidrs)]
    if len(families) == 2 and families[0] == families[1] is not None:
        errors.append(invalid(path, cidrs, _FAMILIES))
    return errors


def validate_service_cidr_status(_new: Object, _old: Object | None, _ctx: Context) -> list[FieldError]:
    return []
