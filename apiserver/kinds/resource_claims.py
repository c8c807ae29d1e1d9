"""resource.k8s.io (dynamic resource allocation). Source: kubernetes `pkg/registry/resource`; rules in `validation/resource_claim.py`
and `validation/resource_slice.py`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apiserver.kinds.ages import age
from apiserver.kinds.cells import AGE, NAME, UNSET
from apiserver.kinds.strategy import field, status_is_the_servers, status_subresource
from apiserver.registry.kind import Column, Kind
from apiserver.validation import resource_claim as claim_rules
from apiserver.validation import resource_slice as slice_rules
from kube.objects import Object, is_deleting
from kube.resources import Resource

GROUP = "resource.k8s.io"
DEFINITION = "io.k8s.api.resource.v1."


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
    subresources=(status_subresource(claim_rules.validate_claim_status, keeps_metadata=True),),
    columns=(NAME, Column("State"), AGE),
    row=_claim_row,
    default=default_claim,
    prepare=status_is_the_servers({}),
    validate=claim_rules.validate_claim,
    delete_answers_object=True,
)

RESOURCE_CLAIM_TEMPLATE = Kind(
    resource=Resource(GROUP, "v1", "resourceclaimtemplates", "ResourceClaimTemplate"),
    definition=DEFINITION + "ResourceClaimTemplate",
    singular="resourceclaimtemplate",
    columns=(NAME, AGE),
    default=default_template,
    validate=claim_rules.validate_template,
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
    validate=slice_rules.validate,
    has_generation=True,
    delete_answers_object=True,
)

KINDS = [DEVICE_CLASS, RESOURCE_CLAIM, RESOURCE_CLAIM_TEMPLATE, RESOURCE_SLICE]
