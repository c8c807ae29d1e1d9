"""Nodes. Source: kubernetes `pkg/apis/core/validation/validation.go` (ValidateNode, ValidateNodeUpdate). Taints are reported below
`metadata`: so does upstream.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from apiserver.validation.ip import cidr_warnings, is_valid_legacy_cidr, parse_cidr
from apiserver.validation.metadata import complaints, validate_label_name
from apiserver.validation.names import is_config_map_key, is_dns1123_label, is_dns1123_subdomain, is_valid_label_value
from apiserver.validation.requirements import quantity_value
from kube.errors import FieldError, duplicate, invalid, not_allowed, not_supported, required
from kube.objects import Object
from kube.quantity import parse

if TYPE_CHECKING:
    from apiserver.registry.kind import Context

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_CIDR_FIXED = 'node updates may not change podCIDR except from "" to valid'


def validate(new: Object, old: Object | None, ctx: Context) -> list[FieldError]:
    """A write of the node: an update is checked as a new node too."""
    errors = _node_errors(new)
    if old is not None:
        errors += _update_errors(new, old)
    if not errors:
        ctx.warnings += _warnings(new.get("spec") or {})
    return errors


def _warnings(spec: Object) -> list[str]:
    found: list[str] = []
    if spec.get("configSource") is not None:
        found.append("spec.configSource: the feature is removed")
    if spec.get("externalID"):
        found.append("spec.externalID: this field is deprecated, and is unused by Kubernetes")
    for index, cidr in enumerate(spec.get("podCIDRs") or ()):
        found += cidr_warnings(f"spec.podCIDRs[{index}]", cidr)
    return found


def validate_status(new: Object, old: Object | None, ctx: Context) -> list[FieldError]:
    """A write of the status."""
    assert old is not None
    return _update_errors(new, old)


def _node_errors(node: Object) -> list[FieldError]:
    spec = node.get("spec") or {}
    errors = taint_errors(spec.get("taints") or (), "metadata.taints") + _resource_errors(node)
    return errors + _pod_cidr_errors(spec.get("podCIDRs") or [])


def _pod_cidr_errors(cidrs: list[str]) -> list[FieldError]:
    path = "spec.podCIDRs"
    errors = [
        error for index, each in enumerate(cidrs) for error in complaints(f"{path}[{index}]", each, is_valid_legacy_cidr(each, strict=True))
    ]
    if len(cidrs) < 2:
        return errors
    parsed = [parse_cidr(each) for each in cidrs]
    bad = next((each for each, found in zip(cidrs, parsed, strict=True) if found is None), None)
    if bad is not None:
        why = f"invalid PodCIDRs. failed to check with dual stack with error:invalid CIDR address: {bad}"
        errors.append(FieldError("InternalError", path, f"Internal error: {why}"))
    families = {found[1].version for found in parsed if found is not None}
    if bad is not None or len(families) < 2 or len(cidrs) > 2:
        errors.append(invalid(path, cidrs, "may specify no more than one CIDR for each IP family"))
    return errors + [duplicate(f"{path}[{index}]", each) for index, each in enumerate(cidrs) if each in cidrs[:index]]


def _resource_errors(node: Object) -> list[FieldError]:
    errors: list[FieldError] = []
    for name in ("capacity", "allocatable"):
        for resource, text in ((node.get("status") or {}).get(name) or {}).items():
            errors += quantity_value(resource, parse(text), f"status.{name}.{resource}")
    return errors


def taint_errors(taints: Sequence[Object], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[tuple[str, str]] = set()
    for index, taint in enumerate(taints):
        at, key, effect = f"{path}[{index}]", taint.get("key") or "", taint.get("effect") or ""
        errors += validate_label_name(key, f"{at}.key")
        problems = is_valid_label_value(taint.get("value") or "")
        if problems:
            errors.append(invalid(f"{at}.value", taint.get("value") or "", ";".join(problems)))
        if not effect:
            errors.append(required(f"{at}.effect"))
        elif effect not in EFFECTS:
            errors.append(not_supported(f"{at}.effect", effect, EFFECTS))
        if (key, effect) in seen:
            shown = {"Key": key, "Value": taint.get("value") or "", "Effect": effect, "TimeAdded": taint.get("timeAdded")}
            found = duplicate(at, shown)
            errors.append(FieldError(found.reason, at, f"{found.message}: taints must be unique by key and effect pair"))
            continue
        seen.add((key, effect))
    return errors


def _update_errors(new: Object, old: Object) -> list[FieldError]:
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    errors = _resource_errors(new) + _address_errors((new.get("status") or {}).get("addresses") or [])
    errors += _fixed_errors(spec, before)
    source = spec.get("configSource")
    if source is not None:
        errors += _config_source_errors(source, "spec.configSource", in_status=False)
    for name, each in ((new.get("status") or {}).get("config") or {}).items():
        if name in ("assigned", "active", "lastKnownGood") and each is not None:
            errors += _config_source_errors(each, f"status.config.{name}", in_status=True)
    errors += taint_errors(spec.get("taints") or (), "metadata.taints")
    if (spec.get("externalID") or "") != (before.get("externalID") or ""):
        errors.append(not_allowed("spec.externalID", "may not be updated"))
    return errors


def _address_errors(addresses: list[Object]) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, each in enumerate(addresses):
        if each in addresses[:index]:
            shown = {"Type": each.get("type") or "", "Address": each.get("address") or ""}
            errors.append(duplicate(f"status.addresses[{index}]", shown))
    return errors


def _fixed_errors(spec: Object, before: Object) -> list[FieldError]:
    """podCIDRs and providerID may be set once."""
    errors: list[FieldError] = []
    cidrs, had = spec.get("podCIDRs") or [], before.get("podCIDRs") or []
    if had:
        changed = 1 if len(cidrs) != len(had) else sum(new != old for new, old in zip(cidrs, had, strict=True))
        errors += [not_allowed("spec.podCIDRs", _CIDR_FIXED)] * changed
    if before.get("providerID") and before["providerID"] != spec.get("providerID"):
        errors.append(not_allowed("spec.providerID", 'node updates may not change providerID except from "" to valid'))
    return errors


def _config_source_errors(source: Object, path: str, *, in_status: bool) -> list[FieldError]:
    config_map = source.get("configMap")
    if config_map is None:
        return [invalid(path, source, "exactly one reference subfield must be non-nil")]
    at = f"{path}.configMap"
    errors: list[FieldError] = []
    for name in ("uid", "resourceVersion"):
        if in_status and not config_map.get(name):
            errors.append(required(f"{at}.{name}", f"{name} must be set in status"))
        elif not in_status and config_map.get(name):
            errors.append(not_allowed(f"{at}.{name}", f"{name} must not be set in spec"))
    for name, rule in (("namespace", is_dns1123_label), ("name", is_dns1123_subdomain), ("kubeletConfigKey", is_config_map_key)):
        value = config_map.get(name) or ""
        errors += complaints(f"{at}.{name}", value, rule(value)) if value else [required(f"{at}.{name}", f"{name} must be set")]
    return errors
