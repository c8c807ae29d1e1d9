"""ServiceAccounts and their tokens (`/token`). Source: kubernetes `pkg/registry/core/serviceaccount`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apiserver.kinds.ages import age
from apiserver.kinds.cells import AGE, NAME
from apiserver.registry.kind import Context, Kind, Subresource
from apiserver.validation import service_account as validation
from kube.errors import BadRequest, NotImplementedByServer, invalid_object, not_found
from kube.objects import Object
from kube.resources import SERVICE_ACCOUNTS

TOKEN_LIFETIME_S = 3600


async def issue_token(registries: Any, account: Object | None, namespace: str, name: str, body: Object, ctx: Context) -> Object:
    """POST `/token`: a TokenRequest with its status filled in. Raises Invalid, NotFound, NotImplementedByServer (no issuer)."""
    if account is None:
        raise not_found("serviceaccounts", "", name)
    meta = body.setdefault("metadata", {})
    if meta.get("name") and meta["name"] != name:
        raise BadRequest(f"the name of the object ({meta['name']}) does not match the name on the URL ({name})")
    meta.setdefault("name", name)
    meta.setdefault("namespace", namespace)
    spec = body.setdefault("spec", {})
    spec.setdefault("audiences", None)
    if spec.get("expirationSeconds") is None:
        spec["expirationSeconds"] = TOKEN_LIFETIME_S
    spec.setdefault("boundObjectRef", None)
    problems = validation.validate_token_request(body)
    if problems:
        raise invalid_object("TokenRequest", "authentication.k8s.io", "", problems)
    issuer = getattr(registries, "issue_token", None)
    if issuer is None:
        raise NotImplementedByServer("this server has no issuer of service account tokens")
    answer: Object = await issuer(account, body, ctx)
    return answer


def _row(account: Object, now: datetime) -> list[Any]:
    return [account["metadata"].get("name", ""), age(account, now)]


SERVICE_ACCOUNT = Kind(
    resource=SERVICE_ACCOUNTS,
    definition="io.k8s.api.core.v1.ServiceAccount",
    singular="serviceaccount",
    short_names=("sa",),
    subresources=(
        Subresource(
            "token",
            ("create",),
            group="authentication.k8s.io",
            version="v1",
            kind="TokenRequest",
            definition="io.k8s.api.authentication.v1.TokenRequest",
            create=issue_token,
        ),
    ),
    columns=(NAME, AGE),
    row=_row,
    validate=validation.validate,
    delete_answers_object=True,
)

KINDS = [SERVICE_ACCOUNT]
