"""ServiceAccounts and their tokens (`/token`). Source: kubernetes `pkg/registry/core/serviceaccount`."""

from __future__ import annotations

import copy
from datetime import datetime
from typing import Any

from apiserver.kinds.ages import age
from apiserver.kinds.cells import AGE, NAME
from apiserver.registry.kind import Context, Kind, Subresource
from apiserver.registry.metadata import fill_new
from apiserver.validation import service_account as validation
from kube.clock import rfc3339
from kube.errors import BadRequest, NotImplementedByServer, conflict, invalid, invalid_object, not_found
from kube.objects import Object
from kube.resources import NODES, PODS, SECRETS, SERVICE_ACCOUNTS

TOKEN_LIFETIME_S = 3600
TOKEN_REQUEST = "io.k8s.api.authentication.v1.TokenRequest"
_BINDABLE = {"Pod": PODS, "Secret": SECRETS, "Node": NODES}


def default_token_request(body: Object) -> None:
    """Fill in how long a token lives."""
    spec = body.setdefault("spec", {})
    if spec.get("expirationSeconds") is None:
        spec["expirationSeconds"] = TOKEN_LIFETIME_S


async def issue_token(registries: Any, account: Object | None, namespace: str, name: str, body: Object, ctx: Context) -> Object:
    """POST `/token`: a TokenRequest with its status filled in.

    `registries.issue_token(account, spec)` gives the status, and fills in the spec's audiences when there are none; the uid of what the
    token is bound to is in the spec that it gets. Raises Invalid, NotFound (the account, or what the token is to be bound to), Conflict
    (the bound object's uid is another), BadRequest, NotImplementedByServer (no issuer)."""
    if account is None:
        raise not_found("serviceaccounts", "", name)
    meta, spec = body.setdefault("metadata", {}), body.setdefault("spec", {})
    _check_metadata(meta, namespace, name)
    fill_new(body, timestamp=rfc3339(ctx.now), rng=registries.rng)
    problems = validation.validate_token_request(body)
    if problems:
        raise invalid_object("TokenRequest", "authentication.k8s.io", "", problems)
    wanted = copy.deepcopy(spec)
    if spec.get("boundObjectRef"):
        wanted["boundObjectRef"]["uid"] = await _bound_uid(registries, spec["boundObjectRef"], namespace, name)
    issuer = getattr(registries, "issue_token", None)
    if issuer is None:
        raise NotImplementedByServer("this server has no issuer of service account tokens")
    body["status"] = await issuer(account, wanted)
    spec["audiences"] = wanted.get("audiences")
    return body


def _check_metadata(meta: Object, namespace: str, name: str) -> None:
    given = (("name", name, "service account name"), ("namespace", namespace, "service account namespace"))
    problems = [
        invalid(f"metadata.{key}", meta[key], f"must match the {what} if specified")
        for key, wanted, what in given
        if meta.get(key) and meta[key] != wanted
    ]
    if problems:
        raise invalid_object("TokenRequest", "authentication.k8s.io", name, problems)
    meta["name"], meta["namespace"] = name, namespace


async def _bound_uid(registries: Any, reference: Object, namespace: str, account: str) -> str:
    """The uid of the Pod, Secret or Node that the token is to live and die with."""
    group, _, version = (reference.get("apiVersion") or "").rpartition("/")
    kind, name = reference.get("kind") or "", reference.get("name") or ""
    resource = _BINDABLE.get(kind) if not group else None
    if resource is None:
        raise BadRequest(f"cannot bind token to object of type {group}/{version}, Kind={kind}")
    found = await registries.get(resource).get(namespace if resource.namespaced else "", name)
    if kind == "Pod" and found["spec"].get("serviceAccountName", "") != account:
        why = f'cannot bind token for serviceaccount "{account}" to pod running with different serviceaccount name.'
        raise BadRequest(why)
    uid = reference.get("uid")
    if uid and uid != found["metadata"]["uid"]:
        why = (
            f"the UID in the bound object reference ({uid}) does not match the UID in record. "
            "The object might have been deleted and then recreated"
        )
        raise conflict(kind, "", name, why)
    return str(found["metadata"]["uid"])


def _prepare(new: Object, _old: Object | None, _ctx: Context) -> None:
    """Of the secrets, only their names are kept."""
    if new.get("secrets"):
        new["secrets"] = [{"name": each["name"]} if each.get("name") else {} for each in new["secrets"]]


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
            definition=TOKEN_REQUEST,
            default=default_token_request,
            create=issue_token,
        ),
    ),
    columns=(NAME, AGE),
    row=_row,
    prepare=_prepare,
    validate=validation.validate,
    delete_answers_object=True,
)

KINDS = [SERVICE_ACCOUNT]
