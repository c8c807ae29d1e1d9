"""ResourceClaims, their templates, and DeviceClasses. Source: kubernetes `pkg/apis/resource/validation/validation.go`.

Not here: the device status that drivers write, beyond its names, and what is behind feature gates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from apiserver.validation.affinity import validate_node_selector
from apiserver.validation.devices import (
    CONFIG_MAX,
    SELECTORS_MAX,
    attribute_name,
    bounded,
    driver_name,
    label_name,
    opaque_config,
    pool_name,
    repeated,
    selector,
    subdomain_name,
    toleration,
)
from apiserver.validation.metadata import IMMUTABLE, complaints, immutable, same, validate_annotations, validate_labels
from apiserver.validation.names import is_dns1123_subdomain
from apiserver.validation.requirements import is_extended
from kube.errors import FieldError, duplicate, invalid, not_allowed, not_supported, required
from kube.objects import Object

if TYPE_CHECKING:
    from apiserver.registry.kind import Context

REQUESTS_MAX = CONSTRAINTS_MAX = RESULTS_MAX = 32
FIRST_AVAILABLE_MAX, TOLERATIONS_MAX = 8, 16
RESERVED_MAX = 256
MODES = ("All", "ExactCount")
_ONE = "exactly one of `exactly` or `firstAvailable` is required"


# --- the spec ---------------------------------------------------------------------------------------------------------


def validate_claim(new: Object, old: Object | None, _ctx: Context) -> list[FieldError]:
    errors = _claim_spec(new.get("spec") or {}, "spec")
    return errors + (_fixed(new, old) if old is not None else [])


def validate_template(new: Object, old: Object | None, _ctx: Context) -> list[FieldError]:
    spec = new.get("spec") or {}
    meta = spec.get("metadata") or {}
    errors = validate_labels(meta.get("labels"), "spec.metadata.labels")
    errors += validate_annotations(meta.get("annotations"), "spec.metadata.annotations")
    errors += _claim_spec(spec.get("spec") or {}, "spec.spec")
    return errors + (_fixed(new, old) if old is not None else [])


def _fixed(new: Object, old: Object) -> list[FieldError]:
    return immutable(new.get("spec") or {}, old.get("spec") or {}, "spec")


def _claim_spec(spec: Object, path: str) -> list[FieldError]:
    devices, at = spec.get("devices") or {}, f"{path}.devices"
    requests = devices.get("requests") or []
    known = _request_names(requests)
    errors = bounded(requests, REQUESTS_MAX, _request, f"{at}.requests")
    errors += repeated([each.get("name") or "" for each in requests], f"{at}.requests", ".name")
    for index, constraint in enumerate(devices.get("constraints") or []):
        errors += _constraint(constraint, f"{at}.constraints[{index}]", known)
    for index, config in enumerate(devices.get("config") or []):
        errors += _requests_of(config, f"{at}.config[{index}]", known) + opaque_config(config, f"{at}.config[{index}]")
    return errors


def _request_names(requests: Sequence[Object]) -> set[str]:
    """Requests, and the parts of those that have several, as `request/part`."""
    names: set[str] = set()
    for request in requests:
        name = request.get("name") or ""
        names |= {name, *(f"{name}/{each.get('name') or ''}" for each in request.get("firstAvailable") or ())}
    return names


def _request(request: Object, path: str) -> list[FieldError]:
    exactly, several = request.get("exactly"), request.get("firstAvailable") or []
    errors = label_name(request.get("name") or "", f"{path}.name")
    if exactly is None and not several:
        return [*errors, required(path, _ONE)]
    if exactly is not None and several:
        return [*errors, invalid(path, None, f"{_ONE}, but multiple fields are set")]
    if exactly is not None:
        return errors + _wanted(exactly, f"{path}.exactly")
    errors += bounded(several, FIRST_AVAILABLE_MAX, _part, f"{path}.firstAvailable")
    return errors + repeated([each.get("name") or "" for each in several], f"{path}.firstAvailable", ".name")


def _part(part: Object, path: str) -> list[FieldError]:
    return label_name(part.get("name") or "", f"{path}.name") + _wanted(part, path)


def _wanted(wanted: Object, path: str) -> list[FieldError]:
    mode, count = wanted.get("allocationMode") or "", wanted.get("count") or 0
    errors = subdomain_name(wanted.get("deviceClassName") or "", f"{path}.deviceClassName")
    errors += bounded(wanted.get("selectors") or [], SELECTORS_MAX, selector, f"{path}.selectors")
    if mode == "All" and count:
        errors.append(invalid(f"{path}.count", count, "must not be specified when allocationMode is 'All'"))
    elif mode == "ExactCount" and count <= 0:
        errors.append(invalid(f"{path}.count", count, "must be greater than zero"))
    elif mode not in MODES:
        errors.append(not_supported(f"{path}.allocationMode", mode, MODES))
    return errors + bounded(wanted.get("tolerations") or [], TOLERATIONS_MAX, toleration, f"{path}.tolerations")


def _requests_of(part: Object, path: str, known: set[str]) -> list[FieldError]:
    names = part.get("requests") or []
    errors = [
        invalid(f"{path}.requests[{index}]", name, "must be the name of a request in the claim or the name of a request and a subrequest")
        for index, name in enumerate(names)
        if name not in known
    ]
    return errors + repeated(names, f"{path}.requests")


def _constraint(constraint: Object, path: str, known: set[str]) -> list[FieldError]:
    errors = _requests_of(constraint, path, known)
    attribute, distinct = constraint.get("matchAttribute"), constraint.get("distinctAttribute")
    if attribute is None and distinct is None:
        return [*errors, required(f"{path}.matchAttribute")]
    for name, given in (("matchAttribute", attribute), ("distinctAttribute", distinct)):
        if given is not None:
            errors += attribute_name(given, f"{path}.{name}", needs_domain=True)
    return errors


# --- the status -------------------------------------------------------------------------------------------------------


def validate_claim_status(new: Object, old: Object | None, _ctx: Context) -> list[FieldError]:
    """An allocation does not change while it lasts, and it lasts while somebody reserved it."""
    status, before = new.get("status") or {}, (old or {}).get("status") or {}
    allocation, had = status.get("allocation"), before.get("allocation")
    reserved = status.get("reservedFor") or []
    errors = bounded(reserved, RESERVED_MAX, _consumer, "status.reservedFor")
    for index, each in enumerate(reserved):
        if any(each.get("uid") == other.get("uid") for other in reserved[:index]):
            errors.append(duplicate(f"status.reservedFor[{index}].uid", each.get("uid")))
    if reserved and allocation is None:
        errors.append(not_allowed("status.reservedFor", "may not be specified when `allocated` is not set"))
    if allocation is not None and had is not None and not same(allocation, had):
        errors.append(invalid("status.allocation", allocation, IMMUTABLE))
    elif allocation is not None and had is None:
        errors += _allocation(allocation, _request_names(((new.get("spec") or {}).get("devices") or {}).get("requests") or []))
    if (
        not same(reserved, before.get("reservedFor") or [])
        and new["metadata"].get("deletionTimestamp")
        and len(reserved) > len(before.get("reservedFor") or [])
    ):
        errors.append(
            not_allowed("status.reservedFor", "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set")
        )
    return errors


def _consumer(consumer: Object, path: str) -> list[FieldError]:
    return [required(f"{path}.{name}") for name in ("resource", "name", "uid") if not consumer.get(name)]


def _allocation(allocation: Object, known: set[str]) -> list[FieldError]:
    path, devices, nodes = "status.allocation", allocation.get("devices") or {}, allocation.get("nodeSelector")
    errors: list[FieldError] = []
    for index, result in enumerate(devices.get("results") or []):
        at, name = f"{path}.devices.results[{index}]", result.get("request") or ""
        if name not in known:
            errors.append(
                invalid(f"{at}.request", name, "must be the name of a request in the claim or the name of a request and a subrequest")
            )
        errors += driver_name(result.get("driver") or "", f"{at}.driver")
        errors += pool_name(result.get("pool") or "", f"{at}.pool")
        errors += label_name(result.get("device") or "", f"{at}.device")
    return errors + (validate_node_selector(nodes, f"{path}.nodeSelector") if nodes is not None else [])


# --- classes ----------------------------------------------------------------------------------------------------------


def validate_device_class(new: Object, _old: Object | None, _ctx: Context) -> list[FieldError]:
    spec = new.get("spec") or {}
    errors = bounded(spec.get("selectors") or [], SELECTORS_MAX, selector, "spec.selectors")
    errors += bounded(spec.get("config") or [], CONFIG_MAX, opaque_config, "spec.config")
    name = spec.get("extendedResourceName")
    if name is not None and not is_extended(name):
        problems = is_dns1123_subdomain(name.partition("/")[0]) or ["must be a valid extended resource name"]
        errors += complaints("spec.extendedResourceName", name, problems)
    return errors
