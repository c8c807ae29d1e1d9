"""Which IP families a Service gets: pure. Families are "IPv4" and "IPv6"; `families` below are those that the cluster is configured for,
its default first. Source: kubernetes `pkg/registry/core/service/storage/alloc.go` (initIPFamilyFields).
"""

from __future__ import annotations

from collections.abc import Sequence

from apiserver.validation.ip import parse_ip
from apiserver.validation.service import validate_cluster_ips
from kube.errors import FieldError, invalid
from kube.objects import Object

SINGLE, PREFER_DUAL, REQUIRE_DUAL = "SingleStack", "PreferDualStack", "RequireDualStack"
HEADLESS = "None"
_OTHER = {"IPv4": "IPv6", "IPv6": "IPv4"}
_POLICY = "spec.ipFamilyPolicy"


def family_of(ip: str) -> str:
    """The family of an address that parses."""
    found = parse_ip(ip)
    return "IPv6" if found is not None and found.version == 6 else "IPv4"


def is_bare(spec: Object) -> bool:
    """Headless without a selector: its endpoints are anyone's, so it may have families that the cluster has not."""
    return spec.get("clusterIP") == HEADLESS and not spec.get("selector")


def settle(spec: Object, old: Object | None, families: Sequence[str]) -> list[FieldError]:
    """Fill in ipFamilyPolicy and ipFamilies of a spec, in place; `old` is the spec before an update. Answers what is wrong."""
    if spec.get("type") == "ExternalName" or _keeps_preference(spec, old):
        return []
    if spec.get("ipFamilyPolicy") is None:
        spec["ipFamilyPolicy"] = (old or {}).get("ipFamilyPolicy") or (REQUIRE_DUAL if is_bare(spec) else SINGLE)
    errors = validate_cluster_ips(spec, old)
    if errors:
        return errors
    errors = (_narrow(spec, old) if old is not None else []) + _single_errors(spec) + _infer(spec, families)
    if errors:
        return errors
    if is_bare(spec):
        _settle_bare(spec, families)
        return []
    return _settle_configured(spec, families)


def _keeps_preference(spec: Object, old: Object | None) -> bool:
    """A PreferDualStack service is not widened or narrowed because the cluster changed."""
    if old is None or spec.get("ipFamilyPolicy") != PREFER_DUAL or old.get("ipFamilyPolicy") != PREFER_DUAL:
        return False
    if old.get("type") != spec.get("type") or spec.get("type") not in ("ClusterIP", "NodePort", "LoadBalancer"):
        return False
    return all((spec.get(each) or []) == (old.get(each) or []) for each in ("clusterIPs", "ipFamilies"))


def _narrow(spec: Object, old: Object) -> list[FieldError]:
    policy, errors = spec["ipFamilyPolicy"], []
    for name, what in (("clusterIPs", "cluster IP"), ("ipFamilies", "IP family")):
        new_values, old_values = spec.get(name) or [], old.get(name) or []
        if policy == SINGLE:
            if new_values == old_values and len(new_values) > 1:
                spec[name] = new_values[:1]
        elif new_values and len(new_values) == 1 and len(old_values) == 2 and new_values[0] == old_values[0]:
            errors.append(invalid(_POLICY, policy, f"must be 'SingleStack' to release the secondary {what}"))
    return errors


def _single_errors(spec: Object) -> list[FieldError]:
    if spec["ipFamilyPolicy"] != SINGLE:
        return []
    why = "must be 'RequireDualStack' or 'PreferDualStack' when multiple {} are specified"
    pairs = (("clusterIPs", "cluster IPs"), ("ipFamilies", "IP families"))
    return [invalid(_POLICY, SINGLE, why.format(what)) for name, what in pairs if len(spec.get(name) or []) == 2]


def _infer(spec: Object, families: Sequence[str]) -> list[FieldError]:
    """Families that were not given follow the addresses that were."""
    errors: list[FieldError] = []
    ips = spec.get("clusterIPs") or []
    for index, ip in enumerate(ips):
        if ip == HEADLESS:
            break
        if index < len(spec.get("ipFamilies") or []):
            continue
        family = family_of(ip)
        if family in families:
            spec["ipFamilies"] = [*(spec.get("ipFamilies") or []), family]
        else:
            errors.append(invalid(f"spec.clusterIPs[{index}]", ips, f"{family} is not configured on this cluster"))
    return errors


def _settle_bare(spec: Object, families: Sequence[str]) -> None:
    chosen = spec.get("ipFamilies") or [families[0]]
    if len(chosen) < 2 and spec["ipFamilyPolicy"] != SINGLE:
        chosen = [*chosen, _OTHER[chosen[0]]]
    spec["ipFamilies"] = chosen


def _settle_configured(spec: Object, families: Sequence[str]) -> list[FieldError]:
    errors: list[FieldError] = []
    if spec["ipFamilyPolicy"] == REQUIRE_DUAL and len(families) < 2:
        errors.append(invalid(_POLICY, REQUIRE_DUAL, "this cluster is not configured for dual-stack services"))
    for index, family in enumerate(spec.get("ipFamilies") or []):
        if family not in families:
            errors.append(invalid(f"spec.ipFamilies[{index}]", family, "not configured on this cluster"))
    if errors:
        return errors
    chosen = spec.get("ipFamilies") or [families[0]]
    if spec["ipFamilyPolicy"] != SINGLE and len(chosen) == 1 and len(families) == 2:
        chosen = [*chosen, _OTHER[chosen[0]]]
    spec["ipFamilies"] = chosen
    return []
