"""ResourceSlices: the devices that a driver offers, and the nodes that can use them.

Source: kubernetes `pkg/apis/resource/validation/validation.go`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apiserver.validation.affinity import validate_node_selector
from apiserver.validation.device_capacity import exclusive_capacity, shared_capacity
from apiserver.validation.devices import (
    KEY_MAX,
    attribute_name,
    attribute_value,
    binding_conditions,
    bounded,
    driver_name,
    label_name,
    mapped,
    named,
    pool_name,
    required_label,
    taint,
    unique,
)
from apiserver.validation.metadata import complaints, immutable, same
from apiserver.validation.names import is_dns1123_subdomain
from kube.errors import FieldError, invalid, required
from kube.objects import Object

if TYPE_CHECKING:
    from apiserver.registry.kind import Context

DEVICES_MAX, DETAILED_DEVICES_MAX = 128, 64
ATTRIBUTES_MAX, TAINTS_MAX = 32, 16
COUNTER_SETS_MAX, COUNTERS_MAX, CONSUMED_SETS_MAX = 8, 32, 2
LABEL_MAX = 63
_FLAGS = ("allNodes", "perDeviceNodeSelection")
_ONE = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required"
_ONE_OF_DEVICE = (
    "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true in the "
    "ResourceSlice spec"
)
_NONE_OF_DEVICE = (
    "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec"
)
_UNSET_OR_TRUE = "must be either unset or set to true"

Errors = list[FieldError]


def validate(new: Object, old: Object | None, ctx: Context) -> Errors:
    spec, before = new.get("spec") or {}, (old or {}).get("spec") or {}
    errors = _errors(spec, before, is_new=old is None)
    driver = spec.get("driver") or ""
    if not errors and driver != driver.lower():
        ctx.warnings.append(f'spec.driver: driver names should be lowercase; "{driver}" contains uppercase characters')
    return errors


def _errors(spec: Object, before: Object, *, is_new: bool) -> Errors:
    errors = driver_name(spec.get("driver") or "", "spec.driver") + _pool(spec.get("pool") or {}, "spec.pool")
    if not is_new:
        errors += immutable((spec.get("pool") or {}).get("name"), (before.get("pool") or {}).get("name"), "spec.pool.name")
        errors += immutable(spec.get("driver"), before.get("driver"), "spec.driver")
        errors += immutable(spec.get("nodeName"), before.get("nodeName"), "spec.nodeName")
    errors += _where(spec)
    if spec.get("sharedCounters") and spec.get("devices"):
        errors.append(invalid("spec", "", "only one of `sharedCounters` or `devices` is allowed"))
    return errors + _devices(spec, before) + _counter_sets(spec.get("sharedCounters") or [], "spec.sharedCounters")


def _pool(pool: Object, path: str) -> Errors:
    count, generation = pool.get("resourceSliceCount") or 0, pool.get("generation") or 0
    errors = pool_name(pool.get("name") or "", f"{path}.name")
    if count <= 0:
        errors.append(invalid(f"{path}.resourceSliceCount", count, "must be greater than zero"))
    if generation < 0:
        errors.append(invalid(f"{path}.generation", generation, "must be greater than or equal to zero"))
    return errors


# --- which nodes ------------------------------------------------------------------------------------------------------


def _where(spec: Object) -> Errors:
    """The nodes that can reach the devices: said in one way."""
    given: list[str] = []
    errors = _node_name(spec.get("nodeName"), "spec.nodeName", "must be either unset or set to a non-empty string", given)
    selector = spec.get("nodeSelector")
    errors += _node_selector(selector, "spec.nodeSelector", given)
    if selector is not None and len(selector.get("nodeSelectorTerms") or ()) != 1:
        terms = selector.get("nodeSelectorTerms")
        errors.append(invalid("spec.nodeSelector.nodeSelectorTerms", terms, "must have exactly one node selector term"))
    for name in _FLAGS:
        errors += _flag(spec.get(name), name, f"spec.{name}", given)
    if not given:
        errors.append(required("spec", _ONE))
    elif len(given) > 1:
        errors.append(invalid("spec", _listed(given), f"{_ONE}, but multiple fields are set"))
    return errors


def _listed(names: list[str]) -> str:
    return "{" + ", ".join(f"`{name}`" for name in names) + "}"


def _node_name(name: str | None, path: str, why: str, given: list[str]) -> Errors:
    if name is None:
        return []
    if not name:
        return [invalid(path, name, why)]
    given.append("nodeName")
    return complaints(path, name, is_dns1123_subdomain(name))


def _node_selector(selector: Object | None, path: str, given: list[str]) -> Errors:
    if selector is None:
        return []
    given.append("nodeSelector")
    return validate_node_selector(selector, path)


def _flag(value: bool | None, name: str, path: str, given: list[str]) -> Errors:
    if value is False:
        return [invalid(path, value, _UNSET_OR_TRUE)]
    given += [name] if value else []
    return []


def _device_nodes(device: Object, path: str, *, each_says: bool) -> Errors:
    """The same for one device, where `each_says` its own nodes."""
    if not each_says:
        some = any(device.get(name) is not None for name in ("nodeName", "nodeSelector", "allNodes"))
        return [invalid(path, None, _NONE_OF_DEVICE)] if some else []
    given: list[str] = []
    errors = _node_name(device.get("nodeName"), f"{path}.nodeName", "must not be empty", given)
    errors += _node_selector(device.get("nodeSelector"), f"{path}.nodeSelector", given)
    errors += _flag(device.get("allNodes"), "allNodes", f"{path}.allNodes", given)
    if not given:
        errors.append(required(path, _ONE_OF_DEVICE))
    elif len(given) > 1:
        errors.append(invalid(path, _listed(given), _ONE_OF_DEVICE))
    return errors


# --- devices ----------------------------------------------------------------------------------------------------------


def _devices(spec: Object, before: Object) -> Errors:
    """Fewer devices fit where they have taints or consume counters."""
    devices = spec.get("devices") or []
    detailed = any(each.get("taints") or each.get("consumesCounters") for each in devices)
    known = {named(each): each for each in before.get("devices") or ()}

    def check(device: Object, path: str) -> Errors:
        return _device(device, known.get(named(device)), path, each_says=bool(spec.get("perDeviceNodeSelection")))

    return unique(devices, DETAILED_DEVICES_MAX if detailed else DEVICES_MAX, check, "spec.devices", named)


def _device(device: Object, before: Object | None, path: str, *, each_says: bool) -> Errors:
    errors = label_name(named(device), f"{path}.name")
    attributes, capacity = device.get("attributes") or {}, device.get("capacity") or {}
    count = len(attributes) + len(capacity)
    if count > ATTRIBUTES_MAX:
        errors.append(invalid(path, count, f"the total number of attributes and capacities must not exceed {ATTRIBUTES_MAX}"))
    errors += mapped(attributes, None, KEY_MAX, attribute_name, attribute_value, f"{path}.attributes")
    amounts = shared_capacity if device.get("allowMultipleAllocations") else exclusive_capacity
    errors += mapped(capacity, None, KEY_MAX, attribute_name, amounts, f"{path}.capacity")
    if before is None or not same(device.get("taints"), before.get("taints")):
        errors += bounded(device.get("taints") or [], TAINTS_MAX, taint, f"{path}.taints")
    consumed = device.get("consumesCounters") or []
    errors += unique(consumed, CONSUMED_SETS_MAX, _consumption, f"{path}.consumesCounters", lambda each: each.get("counterSet") or "")
    return errors + _device_nodes(device, path, each_says=each_says) + binding_conditions(device, path)


def _counter_sets(sets: list[Object], path: str) -> Errors:
    return unique(sets, COUNTER_SETS_MAX, _counter_set, path, named)


def _counter_set(counters: Object, path: str) -> Errors:
    return required_label(named(counters), f"{path}.name") + _counters(counters, path)


def _consumption(consumed: Object, path: str) -> Errors:
    return required_label(consumed.get("counterSet") or "", f"{path}.counterSet") + _counters(consumed, path)


def _counters(holder: Object, path: str) -> Errors:
    counters = holder.get("counters") or {}
    return mapped(counters, COUNTERS_MAX, LABEL_MAX, label_name, _any, f"{path}.counters") if counters else [required(f"{path}.counters")]


def _any(_value: Any, _path: str) -> Errors:
    """Any quantity will do."""
    return []
