"""ResourceSlices. Source: kubernetes `pkg/apis/resource/validation/validation.go`. Not here: shared counters beyond their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apiserver.validation.affinity import validate_node_selector
from apiserver.validation.devices import attribute_name, attribute_value, bounded, driver_name, label_name, pool_name, repeated, taint
from apiserver.validation.metadata import complaints, immutable
from apiserver.validation.names import is_dns1123_subdomain
from kube.errors import FieldError, invalid, required, too_many
from kube.objects import Object
from kube.quantity import parse

if TYPE_CHECKING:
    from apiserver.registry.kind import Context

DEVICES_MAX, ATTRIBUTES_MAX, TAINTS_MAX = 128, 32, 16
_WHERE = ("nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection")
_ONE = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required"


def validate(new: Object, old: Object | None, _ctx: Context) -> list[FieldError]:
    spec = new.get("spec") or {}
    errors = driver_name(spec.get("driver") or "", "spec.driver") + _pool(spec.get("pool") or {}, "spec.pool") + _where(spec)
    devices = spec.get("devices") or []
    errors += bounded(devices, DEVICES_MAX, _device, "spec.devices")
    errors += repeated([each.get("name") or "" for each in devices], "spec.devices", ".name")
    if old is not None:
        before = old.get("spec") or {}
        errors += immutable(spec.get("driver"), before.get("driver"), "spec.driver")
        errors += immutable((spec.get("pool") or {}).get("name"), (before.get("pool") or {}).get("name"), "spec.pool.name")
        errors += immutable(spec.get("nodeName"), before.get("nodeName"), "spec.nodeName")
    return errors


def _pool(pool: Object, path: str) -> list[FieldError]:
    count, generation = pool.get("resourceSliceCount") or 0, pool.get("generation") or 0
    errors = pool_name(pool.get("name") or "", f"{path}.name")
    if count <= 0:
        errors.append(invalid(f"{path}.resourceSliceCount", count, "must be greater than zero"))
    if generation < 0:
        errors.append(invalid(f"{path}.generation", generation, "must be greater than or equal to zero"))
    return errors


def _where(spec: Object) -> list[FieldError]:
    """The nodes that can reach the devices: said in one way."""
    given = [name for name in _WHERE if spec.get(name) not in (None, False)]
    if len(given) != 1:
        shown = "{" + ", ".join(f"`{name}`" for name in given) + "}"
        return [required("spec", _ONE)] if not given else [invalid("spec", shown, f"{_ONE}, but multiple fields are set")]
    node, nodes = spec.get("nodeName"), spec.get("nodeSelector")
    if node is not None:
        return complaints("spec.nodeName", node, is_dns1123_subdomain(node)) if node else [required("spec.nodeName")]
    if nodes is None:
        return []
    errors = validate_node_selector(nodes, "spec.nodeSelector")
    terms = nodes.get("nodeSelectorTerms") or []
    if len(terms) > 1:
        errors.append(invalid("spec.nodeSelector.nodeSelectorTerms", terms, "must have exactly one node selector term"))
    return errors


def _device(device: Object, path: str) -> list[FieldError]:
    errors = label_name(device.get("name") or "", f"{path}.name")
    attributes, capacity = device.get("attributes") or {}, device.get("capacity") or {}
    for key, value in sorted(attributes.items()):
        at = f"{path}.attributes[{key}]"
        errors += attribute_name(key, at) + attribute_value(value, at)
    for key, value in sorted(capacity.items()):
        at = f"{path}.capacity[{key}]"
        errors += attribute_name(key, at)
        if parse(value.get("value") or "0").nano < 0:
            errors.append(invalid(f"{at}.value", value["value"], "must be greater than or equal to 0"))
    if len(attributes) + len(capacity) > ATTRIBUTES_MAX:
        errors.append(too_many(path, len(attributes) + len(capacity), ATTRIBUTES_MAX))
    return errors + bounded(device.get("taints") or [], TAINTS_MAX, taint, f"{path}.taints")
