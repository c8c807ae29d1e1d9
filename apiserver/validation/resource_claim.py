"""ResourceClaims, their templates, and DeviceClasses. Their status is in `resource_claim_status.py`.

Source: kubernetes `pkg/apis/resource/validation/validation.go`. A claim's spec never changes, so an update is only asked whether it did.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from apiserver.validation.devices import (
    CONFIG_MAX,
    REQUESTS_MAX,
    SELECTORS_MAX,
    bounded,
    label_name,
    named,
    opaque_config,
    qualified_attribute_name,
    selector,
    toleration,
    unique,
)
from apiserver.validation.metadata import complaints, immutable, validate_annotations, validate_labels
from apiserver.validation.names import is_dns1123_subdomain
from apiserver.validation.requirements import is_extended
from kube.errors import FieldError, invalid, not_supported, required
from kube.objects import Object

if TYPE_CHECKING:
    from apiserver.registry.kind import Context

CONSTRAINTS_MAX, FIRST_AVAILABLE_MAX = 32, 8
MODES = ("All", "ExactCount")
_ONE = "exactly one of `exactly` or `firstAvailable` is required"
_ONE_ATTRIBUTE = 'exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set'
_NO_REQUEST = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"

Errors = list[FieldError]


def validate_claim(new: Object, old: Object | None, _ctx: Context) -> Errors:
    return _claim_spec(new.get("spec") or {}, "spec") if old is None else _fixed(new, old)


def validate_template(new: Object, old: Object | None, _ctx: Context) -> Errors:
    """An update is judged like a new one, too, although nothing of it may change."""
    spec = new.get("spec") or {}
    meta = spec.get("metadata") or {}
    errors = validate_annotations(meta.get("annotations"), "spec.metadata.annotations")
    errors += validate_labels(meta.get("labels"), "spec.metadata.labels")
    errors += _claim_spec(spec.get("spec") or {}, "spec.spec")
    return errors if old is None else errors + _fixed(new, old)


def _fixed(new: Object, old: Object) -> Errors:
    return immutable(new.get("spec") or {}, old.get("spec") or {}, "spec")


# --- requests ---------------------------------------------------------------------------------------------------------


def _claim_spec(spec: Object, path: str) -> Errors:
    devices, at = spec.get("devices") or {}, f"{path}.devices"
    known = request_names(spec)

    def constraint(each: Object, where: str) -> Errors:
        return _constraint(each, where, known)

    def config(each: Object, where: str) -> Errors:
        return requests_of(each, where, known) + opaque_config(each, where)

    errors = unique(devices.get("requests") or [], REQUESTS_MAX, _request, f"{at}.requests", named)
    errors += bounded(devices.get("constraints") or [], CONSTRAINTS_MAX, constraint, f"{at}.constraints")
    return errors + bounded(devices.get("config") or [], CONFIG_MAX, config, f"{at}.config")


def request_names(spec: Object) -> set[str]:
    """A claim's requests, and the parts of those that have several, as `request/part`."""
    names: set[str] = set()
    for request in (spec.get("devices") or {}).get("requests") or ():
        name = named(request)
        names |= {name, *(f"{name}/{named(each)}" for each in request.get("firstAvailable") or ())}
    return names


def _request(request: Object, path: str) -> Errors:
    exactly, several = request.get("exactly"), request.get("firstAvailable") or []
    errors = label_name(named(request), f"{path}.name")
    if exactly is None and not several:
        return [*errors, required(path, _ONE)]
    if exactly is not None and several:
        return [*errors, invalid(path, None, f"{_ONE}, but multiple fields are set")]
    if exactly is not None:
        return errors + _wanted(exactly, f"{path}.exactly")
    return errors + unique(several, FIRST_AVAILABLE_MAX, _part, f"{path}.firstAvailable", named)


def _part(part: Object, path: str) -> Errors:
    return label_name(named(part), f"{path}.name") + _wanted(part, path)


def _wanted(wanted: Object, path: str) -> Errors:
    mode, count, device_class = wanted.get("allocationMode") or "", wanted.get("count") or 0, wanted.get("deviceClassName") or ""
    at = f"{path}.deviceClassName"
    errors = complaints(at, device_class, is_dns1123_subdomain(device_class)) if device_class else [required(at)]
    errors += bounded(wanted.get("selectors") or [], SELECTORS_MAX, selector, f"{path}.selectors")
    if mode == "All" and count:
        errors.append(invalid(f"{path}.count", count, "must not be specified when allocationMode is 'All'"))
    elif mode == "ExactCount" and count <= 0:
        errors.append(invalid(f"{path}.count", count, "must be greater than zero"))
    elif mode not in MODES:
        errors.append(not_supported(f"{path}.allocationMode", mode, MODES))
    return errors + bounded(wanted.get("tolerations") or [], None, toleration, f"{path}.tolerations")


def requests_of(part: Object, path: str, known: set[str]) -> Errors:
    """The `requests` of a constraint or a configuration: names that the claim has, each once."""
    names: Sequence[str] = part.get("requests") or []
    return unique(names, REQUESTS_MAX, lambda name, at: request_reference(name, at, known), f"{path}.requests")


def request_reference(name: str, path: str, known: set[str]) -> Errors:
    steps = name.split("/")
    if len(steps) > 2:
        return [invalid(path, name, _NO_REQUEST)]
    errors = [error for step in steps for error in label_name(step, path)]
    return errors if name in known else [*errors, invalid(path, name, _NO_REQUEST)]


def _constraint(constraint: Object, path: str, known: set[str]) -> Errors:
    errors = requests_of(constraint, path, known)
    for name in ("matchAttribute", "distinctAttribute"):
        if constraint.get(name) is not None:
            return errors + qualified_attribute_name(constraint[name], f"{path}.{name}")
    return [*errors, required(path, _ONE_ATTRIBUTE)]


# --- classes ----------------------------------------------------------------------------------------------------------


def validate_device_class(new: Object, _old: Object | None, _ctx: Context) -> Errors:
    spec = new.get("spec") or {}
    errors = bounded(spec.get("selectors") or [], SELECTORS_MAX, selector, "spec.selectors")
    errors += bounded(spec.get("config") or [], CONFIG_MAX, opaque_config, "spec.config")
    name = spec.get("extendedResourceName")
    if name is not None and not is_extended(name):
        errors.append(invalid("spec.extendedResourceName", name, "must be a valid extended resource name"))
    return errors
