"""resource.k8s.io (dynamic resource allocation). Source: kubernetes `pkg/registry/resource`, `pkg/apis/resource/v1/defaults.go`; rules in
`validation/resource_claim.py`, `validation/resource_claim_status.py` and `validation/resource_slice.py`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apiserver.kinds.ages import age
from apiserver.kinds.cells import AGE, NAME, UNSET
from apiserver.kinds.strategy import field, only_status_without_metadata, status_is_the_servers, status_subresource
from apiserver.registry.kind import Column, Context, Kind
from apiserver.validation import resource_claim as claim_rules
from apiserver.validation import resource_claim_status as status_rules
from apiserver.validation import resource_slice as slice_rules
from kube.clock import rfc3339
from kube.errors import NotFound, invalid_object, not_allowed
from kube.objects import Object, is_deleting, labels_of, name_of, namespace_of
from kube.resources import NAMESPACES, Resource

GROUP = "resource.k8s.io"
DEFINITION = "io.k8s.api.resource.v1."
ADMIN_LABEL = "resource.kubernetes.io/admin-access"
_GATED_ATTRIBUTES = ("bools", "ints", "strings", "versions")
_GATED_DEVICE_FIELD = "nodeAllocatableResourceMappings"


def default_claim_spec(spec: Object) -> None:
    """Exactly one device of each request, where it is not said; tolerations with no operator are Equal."""
    for request in (spec.get("devices") or {}).get("requests") or ():
        for wanted in (request.get("exactly"), *(request.get("firstAvailable") or ())):
            if wanted is None:
                continue
            if not wanted.get("allocationMode"):
                wanted["allocationMode"] = "ExactCount"
            if wanted["allocationMode"] == "ExactCount" and not wanted.get("count"):
                wanted["count"] = 1
            for toleration in wanted.get("tolerations") or ():
                if not toleration.get("operator"):
                    toleration["operator"] = "Equal"


def default_claim(claim: Object) -> None:
    default_claim_spec(claim.setdefault("spec", {}))


def default_template(template: Object) -> None:
    default_claim_spec(template.setdefault("spec", {}).setdefault("spec", {}))


# --- writes -----------------------------------------------------------------------------------------------------------


async def _check_admin_access(claim: Object, old: Object | None, _ctx: Context, registries: Any) -> None:
    """Access to devices that are in use is given only in namespaces whose label says so. Raises Invalid."""
    requests = ((claim.get("spec") or {}).get("devices") or {}).get("requests") or ()
    if old is not None or not any((each.get("exactly") or {}).get("adminAccess") for each in requests):
        return
    try:
        namespace: Object = await registries.get(NAMESPACES).get("", namespace_of(claim))
    except NotFound:
        namespace = {"metadata": {}}
    if labels_of(namespace).get(ADMIN_LABEL) != "true":
        why = f"admin access to devices requires the `{ADMIN_LABEL}: true` label on the containing namespace"
        raise invalid_object("ResourceClaim", GROUP, name_of(claim), [not_allowed("[]", why)])


def _prepare_claim_status(new: Object, old: Object | None, ctx: Context) -> None:
    """What drivers said of devices goes when those are allocated no more."""
    assert old is not None
    only_status_without_metadata(new, old, ctx)
    status = new.get("status") or {}
    gone = _allocated(old.get("status") or {}) - _allocated(status)
    devices = [each for each in status.get("devices") or () if status_rules.device_key(each) not in gone]
    if devices:
        status["devices"] = devices
    else:
        status.pop("devices", None)


def _allocated(status: Object) -> set[status_rules.DeviceKey]:
    results = ((status.get("allocation") or {}).get("devices") or {}).get("results") or ()
    return {status_rules.device_key(each) for each in results}


def _prepare_slice(new: Object, old: Object | None, ctx: Context) -> None:
    """A taint says since when it is there. Fields behind gates that are off are dropped, unless the slice uses them already."""
    for taint in (each for device in _devices(new) for each in device.get("taints") or ()):
        if taint.get("timeAdded") is None:
            taint["timeAdded"] = rfc3339(ctx.now)
    for name, holders in ((_GATED_DEVICE_FIELD, _devices), *((each, _attributes) for each in _GATED_ATTRIBUTES)):
        if old is None or not any(name in each for each in holders(old)):
            for each in holders(new):
                each.pop(name, None)


def _devices(resource_slice: Object) -> list[Object]:
    return (resource_slice.get("spec") or {}).get("devices") or []


def _attributes(resource_slice: Object) -> list[Object]:
    return [each for device in _devices(resource_slice) for each in (device.get("attributes") or {}).values()]


# --- rows -------------------------------------------------------------------------------------------------------------


def _claim_row(claim: Object, now: datetime) -> list[Any]:
    status, words = claim.get("status") or {}, ["deleted"] if is_deleting(claim) else []
    if status.get("allocation") is None:
        words += [] if words else ["pending"]
    else:
        words += ["allocated", "reserved"] if status.get("reservedFor") else ["allocated"]
    return [claim["metadata"].get("name", ""), ",".join(words), age(claim, now)]


def _slice_row(resource_slice: Object, now: datetime) -> list[Any]:
    spec = resource_slice.get("spec") or {}
    return [
        resource_slice["metadata"].get("name", ""),
        spec.get("nodeName") or UNSET,
        spec.get("driver", ""),
        (spec.get("pool") or {}).get("name", ""),
        age(resource_slice, now),
    ]


# --- data -------------------------------------------------------------------------------------------------------------

DEVICE_CLASS = Kind(
    resource=Resource(GROUP, "v1", "deviceclasses", "DeviceClass", namespaced=False),
    definition=DEFINITION + "DeviceClass",
    singular="deviceclass",
    columns=(NAME, AGE),
    validate=claim_rules.validate_device_class,
    has_generation=True,
    delete_answers_object=True,
)

RESOURCE_CLAIM = Kind(
    resource=Resource(GROUP, "v1", "resourceclaims", "ResourceClaim"),
    definition=DEFINITION + "ResourceClaim",
    singular="resourceclaim",
    subresources=(status_subresource(status_rules.validate_claim_status, keeps_metadata=True, prepare=_prepare_claim_status),),
    columns=(NAME, Column("State"), AGE),
    row=_claim_row,
    default=default_claim,
    prepare=status_is_the_servers({}),
    validate=claim_rules.validate_claim,
    begin=_check_admin_access,
    delete_answers_object=True,
)

RESOURCE_CLAIM_TEMPLATE = Kind(
    resource=Resource(GROUP, "v1", "resourceclaimtemplates", "ResourceClaimTemplate"),
    definition=DEFINITION + "ResourceClaimTemplate",
    singular="resourceclaimtemplate",
    columns=(NAME, AGE),
    default=default_template,
    validate=claim_rules.validate_template,
    metadata_passes=("create", "update"),
    delete_answers_object=True,
)

RESOURCE_SLICE = Kind(
    resource=Resource(GROUP, "v1", "resourceslices", "ResourceSlice", namespaced=False),
    definition=DEFINITION + "ResourceSlice",
    singular="resourceslice",
    columns=(NAME, Column("Node"), Column("Driver"), Column("Pool"), AGE),
    row=_slice_row,
    selectable={"spec.nodeName": field("spec", "nodeName"), "spec.driver": field("spec", "driver")},
    unknown_field="field label not supported for resource.k8s.io/v1, Kind=ResourceSlice: {name}",
    prepare=_prepare_slice,
    validate=slice_rules.validate,
    metadata_passes=("update",),
    has_generation=True,
    delete_answers_object=True,
)

KINDS = [DEVICE_CLASS, RESOURCE_CLAIM, RESOURCE_CLAIM_TEMPLATE, RESOURCE_SLICE]
