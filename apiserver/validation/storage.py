"""storage.k8s.io: StorageClasses, VolumeAttributesClasses, VolumeAttachments, CSIDrivers, CSINodes, CSIStorageCapacities.

Source: kubernetes `pkg/apis/storage/validation/validation.go`. The path `spec.attachedRequired` is upstream's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from apiserver.validation.metadata import IMMUTABLE, NOT_NEGATIVE, complaints, immutable, not_negative, same, validate_label_selector
from apiserver.validation.names import byte_length, is_dns1123_subdomain, is_qualified_name, range_error
from apiserver.validation.node_labels import DEPRECATED_LABELS, term_warnings
from apiserver.validation.volume import validate_inline
from apiserver.validation.volume_sources import csi_driver_name
from kube.errors import FieldError, duplicate, invalid, not_allowed, not_supported, required, too_long
from kube.objects import Object
from kube.quantity import parse

if TYPE_CHECKING:
    from apiserver.registry.kind import Context

RECLAIM_POLICIES = ("Delete", "Retain")
BINDING_MODES = ("Immediate", "WaitForFirstConsumer")
GROUP_POLICIES = ("File", "None", "ReadWriteOnceWithFSType")
LIFECYCLE_MODES = ("Persistent", "Ephemeral")
PARAMETERS_MAX, PARAMETERS_BYTES_MAX = 512, 256 * 1024
NODE_ID_MAX = 256
ERROR_MESSAGE_MAX = 1024
INT32_MAX = (1 << 31) - 1
TOKEN_MIN_S, TOKEN_MAX_S = 600, 1 << 32
UPDATE_PERIOD_MIN_S = 10


# --- classes ----------------------------------------------------------------------------------------------------------


def validate_storage_class(new: Object, old: Object | None, ctx: Context) -> list[FieldError]:
    policy, mode = new.get("reclaimPolicy"), new.get("volumeBindingMode")
    errors = _provisioner(new.get("provisioner") or "", "provisioner")
    errors += _parameters(new.get("parameters") or {}, may_be_empty=True)
    if policy and policy not in RECLAIM_POLICIES:
        errors.append(not_supported("reclaimPolicy", policy, RECLAIM_POLICIES))
    if mode is None:
        errors.append(required("volumeBindingMode"))
    elif mode not in BINDING_MODES:
        errors.append(not_supported("volumeBindingMode", mode, BINDING_MODES))
    errors += _topologies(new.get("allowedTopologies") or [], "allowedTopologies")
    if old is not None:
        for name in ("parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"):
            errors += immutable(new.get(name), old.get(name), name)
    ctx.warnings += _class_warnings(new.get("allowedTopologies") or [])
    return errors


def _class_warnings(terms: Sequence[Object]) -> list[str]:
    found: list[str] = []
    for index, term in enumerate(terms):
        for number, requirement in enumerate(term.get("matchLabelExpressions") or []):
            if (key := requirement.get("key")) in DEPRECATED_LABELS:
                found.append(f"allowedTopologies[{index}].matchLabelExpressions[{number}].key: {DEPRECATED_LABELS[key]}")
    return found


def validate_volume_attributes_class(new: Object, old: Object | None, _ctx: Context) -> list[FieldError]:
    """Of an update, first what must not change."""
    errors = _provisioner(new.get("driverName") or "", "driverName")
    errors += _parameters(new.get("parameters") or {}, may_be_empty=False)
    if old is None:
        return errors
    names = [name for name in ("driverName", "parameters") if not same(new.get(name), old.get(name))]
    return [*(not_allowed(name, f"updates to {name} are forbidden.") for name in names), *errors]


def _provisioner(name: str, path: str) -> list[FieldError]:
    lower = name.lower()
    return complaints(path, lower, is_qualified_name(lower)) if name else [required(path)]


def _parameters(parameters: Object, *, may_be_empty: bool) -> list[FieldError]:
    path = "parameters"
    if len(parameters) > PARAMETERS_MAX:
        return [too_long(path, PARAMETERS_MAX)]
    errors = [invalid(path, key, "field can not be empty.") for key in parameters if not key]
    if sum(byte_length(key) + byte_length(value) for key, value in parameters.items()) > PARAMETERS_BYTES_MAX:
        errors.append(too_long(path, PARAMETERS_BYTES_MAX))
    if not parameters and not may_be_empty:
        errors.append(required(path, "must contain at least one key/value pair"))
    return errors


def _topologies(terms: Sequence[Object], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: list[dict[str, set[str]]] = [{} for _ in terms]  # upstream's list begins with so many empty ones, which empty terms are like
    for index, term in enumerate(terms):
        at = f"{path}[{index}].matchLabelExpressions"
        found: dict[str, set[str]] = {}
        for number, requirement in enumerate(term.get("matchLabelExpressions") or []):
            key, values = requirement.get("key") or "", requirement.get("values") or []
            errors += _topology(key, values, f"{at}[{number}]")
            if key in found:
                errors.append(duplicate(f"{at}[{number}].key", key))
            found[key] = set(values)
        errors += [duplicate(at, "") for each in seen if each == found]
        seen.append(found)
    return errors


def _topology(key: str, values: Sequence[str], path: str) -> list[FieldError]:
    errors = [] if values else [required(f"{path}.values")]
    errors += [duplicate(f"{path}.values[{index}]", each) for index, each in enumerate(values) if each in values[:index]]
    return errors + complaints(f"{path}.key", key, is_qualified_name(key))


# --- attachments ------------------------------------------------------------------------------------------------------


def validate_volume_attachment(new: Object, old: Object | None, _ctx: Context) -> list[FieldError]:
    """A new one, or a changed one, whose spec is to be what it was."""
    spec, status = new.get("spec") or {}, new.get("status") or {}
    attacher, node = spec.get("attacher") or "", spec.get("nodeName") or ""
    errors = csi_driver_name(attacher, "spec.attacher") if attacher else [required("spec.attacher")]
    errors += _source(spec.get("source") or {}, "spec.source")
    errors += complaints("spec.nodeName", node, is_dns1123_subdomain(node))
    errors += _parameters_of_attachment(status.get("attachmentMetadata") or {}, "status.attachmentMetadata")
    for name in ("attachError", "detachError"):
        errors += _volume_error(status.get(name) or {}, f"status.{name}")
    volume = (spec.get("source") or {}).get("persistentVolumeName")
    if volume is not None:
        errors += complaints("spec.source.persistentVolumeName", volume, is_dns1123_subdomain(volume))
    if old is not None and not same(spec, old.get("spec") or {}):
        errors.append(invalid("spec", spec, IMMUTABLE))
    return errors


def _volume_error(error: Object, path: str) -> list[FieldError]:
    """The limit that a long message is told is upstream's, which is that of the metadata."""
    code = error.get("errorCode")
    long = byte_length(error.get("message") or "") > ERROR_MESSAGE_MAX
    errors = [too_long(f"{path}.message", PARAMETERS_BYTES_MAX)] if long else []
    return [*errors, invalid(f"{path}.errorCode", code, range_error(0, INT32_MAX))] if code is not None and code < 0 else errors


def _parameters_of_attachment(metadata: Object, path: str) -> list[FieldError]:
    size = sum(byte_length(key) + byte_length(value) for key, value in metadata.items())
    return [too_long(path, PARAMETERS_BYTES_MAX)] if size > PARAMETERS_BYTES_MAX else []


def _source(source: Object, path: str) -> list[FieldError]:
    inline, name = source.get("inlineVolumeSpec"), source.get("persistentVolumeName")
    one = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"
    if inline is None and name is None:
        return [required(path, one)]
    if inline is not None and name is not None:
        return [not_allowed(path, one)]
    if inline is not None:
        return validate_inline(inline, f"{path}.inlineVolumeSpec")
    return [] if name else [required(f"{path}.persistentVolumeName", "must specify non empty persistentVolumeName")]


# --- drivers ----------------------------------------------------------------------------------------------------------


def validate_csi_driver(new: Object, old: Object | None, ctx: Context) -> list[FieldError]:
    spec, before = new.get("spec") or {}, (old or {}).get("spec") or {}
    errors = [required(f"spec.{path}") for name, path in _DRIVER_FLAGS if spec.get(name) is None]
    errors += _group_policy(spec.get("fsGroupPolicy"), "spec.fsGroupPolicy")
    errors += _token_requests(spec.get("tokenRequests") or [], "spec.tokenRequests")
    modes = spec.get("volumeLifecycleModes") or []
    errors += [not_supported("spec.volumeLifecycleModes", each, LIFECYCLE_MODES) for each in modes if each not in LIFECYCLE_MODES]
    period, path = spec.get("nodeAllocatableUpdatePeriodSeconds"), "spec.nodeAllocatableUpdatePeriodSeconds"
    if period is not None and period < UPDATE_PERIOD_MIN_S:
        errors.append(invalid(path, period, f"must be greater than or equal to {UPDATE_PERIOD_MIN_S} seconds"))
    if old is not None:
        errors += immutable(spec.get("attachRequired"), before.get("attachRequired"), "spec.attachedRequired")
        errors += immutable(modes, before.get("volumeLifecycleModes") or [], "spec.volumeLifecycleModes")
    has_new_requests = bool(spec.get("tokenRequests")) and not same(spec["tokenRequests"], before.get("tokenRequests"))
    if not errors and has_new_requests and spec.get("serviceAccountTokenInSecrets") is None:
        ctx.warnings.append(
            "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible logging of "
            "tokens in volume attributes"
        )
    return errors


_DRIVER_FLAGS = (("attachRequired", "attachedRequired"), ("podInfoOnMount", "podInfoOnMount"), ("storageCapacity", "storageCapacity"))


def _group_policy(policy: str | None, path: str) -> list[FieldError]:
    if policy is None:
        return [required(path)]
    return [] if policy in GROUP_POLICIES else [not_supported(path, policy, GROUP_POLICIES)]


def _token_requests(requests: Sequence[Object], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[str] = set()
    for index, request in enumerate(requests):
        at, audience, seconds = f"{path}[{index}]", request.get("audience") or "", request.get("expirationSeconds")
        if audience in seen:
            errors.append(duplicate(f"{at}.audience", audience))
            continue
        seen.add(audience)
        if seconds is not None and seconds < TOKEN_MIN_S:
            errors.append(invalid(f"{at}.expirationSeconds", seconds, "may not specify a duration less than 10 minutes"))
        if seconds is not None and seconds > TOKEN_MAX_S:
            errors.append(invalid(f"{at}.expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds"))
    return errors


def validate_csi_node(new: Object, old: Object | None, _ctx: Context) -> list[FieldError]:
    """A driver's entry may come and go, but not change (but for how many volumes it can attach)."""
    path, drivers = "spec.drivers", (new.get("spec") or {}).get("drivers") or []
    errors: list[FieldError] = []
    names: set[str] = set()
    for index, driver in enumerate(drivers):
        errors += _node_driver(driver, names, f"{path}[{index}]")
    before = {each.get("name"): each for each in ((old or {}).get("spec") or {}).get("drivers") or ()}
    for driver in drivers:
        known = before.get(driver.get("name"))
        if known is not None and not same({**driver, "allocatable": None}, {**known, "allocatable": None}):
            errors.append(invalid(path, driver, IMMUTABLE))
    return errors


def _node_driver(driver: Object, names: set[str], path: str) -> list[FieldError]:
    name, node_id = driver.get("name") or "", driver.get("nodeID") or ""
    errors = csi_driver_name(name, f"{path}.name")
    if not node_id:
        errors.append(required(f"{path}.nodeID"))
    elif byte_length(node_id) > NODE_ID_MAX:
        errors.append(invalid(f"{path}.nodeID", node_id, f"must be {NODE_ID_MAX} characters or less"))
    errors += not_negative((driver.get("allocatable") or {}).get("count"), f"{path}.allocatable.count")
    if name in names:
        errors.append(duplicate(f"{path}.name", name))
    names.add(name)
    keys: set[str] = set()
    for key in driver.get("topologyKeys") or []:
        if not key:
            errors.append(required(path))
        if key in keys:
            errors.append(duplicate(path, key))
        keys.add(key)
        errors += complaints(path, key, is_qualified_name(key))
    return errors


def _topology_warnings(selector: Object, path: str) -> list[str]:
    labels = sorted(set(selector.get("matchLabels") or {}) & set(DEPRECATED_LABELS))
    return [*term_warnings(selector, path), *(f"{path}.matchLabels.{key}: {DEPRECATED_LABELS[key]}" for key in labels)]


def validate_csi_storage_capacity(new: Object, old: Object | None, ctx: Context) -> list[FieldError]:
    name = new.get("storageClassName") or ""
    errors = validate_label_selector(new.get("nodeTopology"), "nodeTopology")
    errors += complaints("storageClassName", name, is_dns1123_subdomain(name))
    text = new.get("capacity")
    if text is not None and parse(text).nano < 0:
        errors.append(invalid("capacity", text, NOT_NEGATIVE))
    ctx.warnings += _topology_warnings(new.get("nodeTopology") or {}, "nodeTopology")
    if old is not None:
        errors += immutable(new.get("nodeTopology"), old.get("nodeTopology"), "nodeTopology")
        errors += immutable(name, old.get("storageClassName") or "", "storageClassName")
    return errors
