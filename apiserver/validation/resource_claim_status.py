"""The status of ResourceClaims: what was allocated, who uses it, what drivers say of the devices.

Source: kubernetes `pkg/apis/resource/validation/validation.go` (validateResourceClaimStatusUpdate).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from apiserver.validation.affinity import validate_node_selector
from apiserver.validation.devices import (
    CONFIG_MAX,
    binding_conditions,
    bounded,
    driver_name,
    json_object,
    label_name,
    opaque_config,
    pool_name,
    unique,
)
from apiserver.validation.ip import is_valid_interface_address
from apiserver.validation.metadata import complaints, immutable, same, validate_conditions
from apiserver.validation.names import byte_length
from apiserver.validation.resource_claim import request_names, request_reference, requests_of
from kube.errors import FieldError, invalid, not_allowed, not_supported, required, too_long, too_many
from kube.objects import Object

if TYPE_CHECKING:
    from apiserver.registry.kind import Context

RESERVED_MAX, RESULTS_MAX, CONDITIONS_MAX, IPS_MAX = 256, 32, 8, 16
INTERFACE_NAME_MAX, HARDWARE_ADDRESS_MAX = 256, 128
SOURCES = ("FromClaim", "FromClass")
_NO_NEW_USERS = "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set"
_NOT_NORMAL = "uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with lowercase hexadecimal characters"
_uuid_re = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)

Errors = list[FieldError]
DeviceKey = tuple[str, str, str, str]


def device_key(device: Object) -> DeviceKey:
    """What tells the devices of a claim apart."""
    driver, pool, name, share = (device.get(each) or "" for each in ("driver", "pool", "device", "shareID"))
    return driver, pool, name, share


def validate_claim_status(new: Object, old: Object | None, _ctx: Context) -> Errors:
    """An allocation does not change while it lasts, and it lasts while somebody reserved it."""
    status, before = new.get("status") or {}, (old or {}).get("status") or {}
    allocation, had = status.get("allocation"), before.get("allocation")
    allocated = {device_key(each) for each in ((allocation or {}).get("devices") or {}).get("results") or ()}
    errors = unique(status.get("reservedFor") or [], RESERVED_MAX, _consumer, "status.reservedFor", lambda each: each.get("uid") or "")
    errors += unique(status.get("devices") or [], None, lambda each, at: _device(each, at, allocated), "status.devices", device_key)
    errors += _reservations(status, before, deleted=bool(new["metadata"].get("deletionTimestamp")))
    if allocation is not None and had is not None:
        return errors + immutable(allocation, had, "status.allocation")
    return errors + (_allocation(allocation, request_names(new.get("spec") or {})) if allocation is not None else [])


def _consumer(consumer: Object, path: str) -> Errors:
    return [required(f"{path}.{name}") for name in ("resource", "name", "uid") if not consumer.get(name)]


def _reservations(status: Object, before: Object, *, deleted: bool) -> Errors:
    reserved, path = status.get("reservedFor") or [], "status.reservedFor"
    if not reserved:
        return []
    if status.get("allocation") is None:
        return [not_allowed(path, "may not be specified when `allocated` is not set")]
    had = before.get("reservedFor") or []
    added = any(not any(same(each, other) for other in had) for each in reserved)
    return [not_allowed(path, _NO_NEW_USERS)] if deleted and added else []


# --- allocations ------------------------------------------------------------------------------------------------------


def _allocation(allocation: Object, known: set[str]) -> Errors:
    path, devices, nodes = "status.allocation", allocation.get("devices") or {}, allocation.get("nodeSelector")
    results, config = devices.get("results") or [], devices.get("config") or []
    errors = bounded(results, RESULTS_MAX, lambda each, at: _result(each, at, known), f"{path}.devices.results")
    errors += bounded(config, 2 * CONFIG_MAX, lambda each, at: _config(each, at, known), f"{path}.devices.config")
    return errors + (validate_node_selector(nodes, f"{path}.nodeSelector") if nodes is not None else [])


def _result(result: Object, path: str, known: set[str]) -> Errors:
    errors = request_reference(result.get("request") or "", f"{path}.request", known)
    return errors + _device_names(result, path) + binding_conditions(result, path) + _share(result, path)


def _device_names(device: Object, path: str) -> Errors:
    errors = driver_name(device.get("driver") or "", f"{path}.driver")
    errors += pool_name(device.get("pool") or "", f"{path}.pool")
    return errors + label_name(device.get("device") or "", f"{path}.device")


def _share(device: Object, path: str) -> Errors:
    share, at = device.get("shareID"), f"{path}.shareID"
    if share is None:
        return []
    if not _uuid_re.fullmatch(share):
        length = byte_length(share)
        problem = "invalid UUID format" if length == 36 else f"invalid UUID length: {length}"
        return [invalid(at, share, f"error validating uid: {problem}")]
    return [] if share == share.lower() else [invalid(at, share, _NOT_NORMAL)]


def _config(config: Object, path: str, known: set[str]) -> Errors:
    source, at = config.get("source") or "", f"{path}.source"
    errors: Errors = []
    if source not in SOURCES:
        errors.append(not_supported(at, source, SOURCES) if source else required(at))
    return errors + requests_of(config, path, known) + opaque_config(config, path)


# --- what drivers say -------------------------------------------------------------------------------------------------


def _device(device: Object, path: str, allocated: set[DeviceKey]) -> Errors:
    errors = _device_names(device, path) + _share(device, path)
    if device_key(device) not in allocated:
        errors.append(invalid(path, {}, "must be an allocated device in the claim"))
    conditions, data = device.get("conditions") or [], device.get("data")
    if len(conditions) > CONDITIONS_MAX:
        errors.append(too_many(f"{path}.conditions", len(conditions), CONDITIONS_MAX))
    errors += validate_conditions(conditions, f"{path}.conditions")
    if data is not None:
        errors += json_object(data, f"{path}.data")
    return errors + _network(device.get("networkData") or {}, f"{path}.networkData")


def _network(data: Object, path: str) -> Errors:
    errors: Errors = []
    for name, limit in (("interfaceName", INTERFACE_NAME_MAX), ("hardwareAddress", HARDWARE_ADDRESS_MAX)):
        if byte_length(data.get(name) or "") > limit:
            errors.append(too_long(f"{path}.{name}", limit))
    return errors + unique(data.get("ips") or [], IPS_MAX, _address, f"{path}.ips")


def _address(address: str, path: str) -> Errors:
    return complaints(path, address, is_valid_interface_address(address))
