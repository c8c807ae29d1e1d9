"""certificates.k8s.io: CertificateSigningRequests. Who may sign or approve is admission's. Source: kubernetes
`pkg/registry/certificates/certificates`; rules in `validation/certificate_request.py`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apiserver.kinds.ages import age, human_duration
from apiserver.kinds.cells import AGE, NAME, NONE
from apiserver.kinds.strategy import field, keep
from apiserver.registry.kind import Column, Context, Kind, Subresource
from apiserver.validation import certificate_request as validation
from kube.clock import rfc3339
from kube.objects import Object
from kube.resources import Resource


def _prepare(new: Object, old: Object | None, ctx: Context) -> None:
    """The requester is who asks; nothing of the spec or the status changes afterwards."""
    if old is not None:
        keep(new, old, "spec", "status")
        return
    spec = new["spec"]
    for name in ("username", "uid", "groups", "extra"):
        spec.pop(name, None)
    user = ctx.user
    given: dict[str, Any] = {"username": user.name, "uid": user.uid, "groups": list(user.groups)}
    given["extra"] = {key: list(values) for key, values in user.extra.items()}
    spec.update({name: value for name, value in given.items() if value})
    new["status"] = {}


def _stamp(conditions: list[Object], before: list[Object], ctx: Context) -> None:
    """Fill in the times of conditions; a transition's time stays while the status does."""
    now = rfc3339(ctx.now)
    for condition in conditions:
        if not condition.get("lastUpdateTime"):
            condition["lastUpdateTime"] = now
        if not condition.get("lastTransitionTime"):
            same = (each for each in before if all(each.get(key) == condition.get(key) for key in ("type", "status")))
            condition["lastTransitionTime"] = next((each["lastTransitionTime"] for each in same if each.get("lastTransitionTime")), now)


def _prepare_approval(new: Object, old: Object | None, ctx: Context) -> None:
    """`/approval` changes the conditions alone."""
    assert old is not None
    keep(new, old, "spec")
    before = old.get("status") or {}
    conditions = (new.get("status") or {}).get("conditions") or []
    _stamp(conditions, before.get("conditions") or [], ctx)
    new["status"] = {key: value for key, value in before.items() if key != "conditions"}
    if conditions:
        new["status"]["conditions"] = conditions


def _prepare_status(new: Object, old: Object | None, ctx: Context) -> None:
    """`/status` sets the certificate and other conditions; those of an approval stay as they were (adding one is refused later)."""
    assert old is not None
    keep(new, old, "spec")
    conditions = (new.setdefault("status", {})).get("conditions") or []
    before = (old.get("status") or {}).get("conditions") or []
    for kind in ("Approved", "Denied"):
        places = [index for index, each in enumerate(conditions) if each.get("type") == kind]
        had = [each for each in before if each.get("type") == kind]
        if len(places) == len(had):
            for place, value in zip(places, had, strict=True):
                conditions[place] = value
    _stamp(conditions, before, ctx)


def _row(request: Object, now: datetime) -> list[Any]:
    spec, seconds = request.get("spec") or {}, (request.get("spec") or {}).get("expirationSeconds")
    return [
        request["metadata"].get("name", ""),
        age(request, now),
        spec.get("signerName") or NONE,
        spec.get("username", ""),
        NONE if seconds is None else human_duration(seconds),
        _condition_cell(request.get("status") or {}),
    ]


def _condition_cell(status: Object) -> str:
    kinds = {each.get("type") for each in status.get("conditions") or ()}
    words = ["Denied" if "Denied" in kinds else "Approved" if "Approved" in kinds else "Pending"]
    if "Failed" in kinds:
        words.append("Failed")
    if status.get("certificate"):
        words.append("Issued")
    return ",".join(words)


CERTIFICATE_SIGNING_REQUEST = Kind(
    resource=Resource("certificates.k8s.io", "v1", "certificatesigningrequests", "CertificateSigningRequest", namespaced=False),
    definition="io.k8s.api.certificates.v1.CertificateSigningRequest",
    singular="certificatesigningrequest",
    short_names=("csr",),
    subresources=(
        Subresource(
            "approval",
            prepare=_prepare_approval,
            validate=validation.validate_approval,
            reset_fields=(("spec",), ("status", "certificate")),
        ),
        Subresource(
            "status",
            prepare=_prepare_status,
            validate=validation.validate_status,
            reset_fields=(("spec",), ("status", "conditions")),
        ),
    ),
    columns=(NAME, AGE, Column("SignerName"), Column("Requestor"), Column("RequestedDuration"), Column("Condition")),
    row=_row,
    selectable={"spec.signerName": field("spec", "signerName")},
    prepare=_prepare,
    validate=validation.validate,
    status_reset_fields=(("spec",), ("status",)),
    name_rule="path-segment",
)

KINDS = [CERTIFICATE_SIGNING_REQUEST]
