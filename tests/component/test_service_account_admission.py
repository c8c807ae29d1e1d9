"""Which secrets pods may refer to: those of mirror pods none, those of an account that enforces it what that lists."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from kube.objects import Object
from tests.component.served import MERGE, PODS, Api, pod, served
from tests.virtual import virtual

ACCOUNTS = "/api/v1/namespaces/default/serviceaccounts"
MIRROR = {"kubernetes.io/config.mirror": "x"}
END = "is not allowed because service account strict does not reference that"
KEY = {"name": "E", "valueFrom": {"secretKeyRef": {"name": "other", "key": "k"}}}

OF_MIRRORS: dict[str, tuple[Object, str]] = {
    "an account": ({"serviceAccountName": "strict"}, "a mirror pod may not reference service accounts"),
    "a volume": ({"volumes": [{"name": "v", "secret": {"secretName": "s"}}]}, "a mirror pod may not reference secrets"),
    "a pull secret": ({"imagePullSecrets": [{"name": "s"}]}, "a mirror pod may not reference secrets"),
    "a token": (
        {"volumes": [{"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]},
        "a mirror pod may not use ServiceAccountToken volume projections",
    ),
}
OF_ACCOUNTS: dict[str, tuple[Object, str]] = {
    "what is listed": ({"volumes": [{"name": "v", "secret": {"secretName": "own"}}]}, ""),
    "a volume": ({"volumes": [{"name": "v", "secret": {"secretName": "other"}}]}, f'volume with secret.secretName="other" {END} secret'),
    "a variable": ({"env": [KEY]}, f'container c with envVar E referencing secret.secretName="other" {END} secret'),
    "an environment": (
        {"envFrom": [{"secretRef": {"name": "other"}}]},
        f'container c with envFrom referencing secret.secretName="other" {END} secret',
    ),
    "a pull secret": ({"imagePullSecrets": [{"name": "other"}]}, f'imagePullSecrets[0].name="other" {END} imagePullSecret'),
}


@asynccontextmanager
async def strict() -> AsyncIterator[Api]:
    """With an account whose pods use the secret `own` alone."""
    async with served() as api:
        enforced = {"kubernetes.io/enforce-mountable-secrets": "T"}
        account = {"metadata": {"name": "strict", "annotations": enforced}, "secrets": [{"name": "own"}]}
        await api.ok("POST", ACCOUNTS, account)
        yield api


def made(spec: Object, annotations: Object | None = None) -> Object:
    """A pod; what is a container's goes there."""
    of_container: Object = {key: spec[key] for key in ("env", "envFrom") if key in spec}
    out = pod("p", **{key: value for key, value in spec.items() if key not in of_container})
    out["spec"]["containers"] = [{"name": "c", "image": "i", **of_container}]
    out["metadata"]["annotations"] = annotations or {}
    return out


async def refusal(api: Api, method: str, path: str, body: Any, **headers: str) -> str:
    reply = await api.call(method, path, body, **headers)
    assert reply.status < 300 or reply.status in (403, 500), reply.body
    return "" if reply.status < 300 else reply.message.partition(" is forbidden: ")[2] or reply.message


@pytest.mark.parametrize(("spec", "why"), OF_MIRRORS.values(), ids=OF_MIRRORS.keys())
@virtual
async def test_mirror_pods(spec: Object, why: str) -> None:
    async with strict() as api:
        assert await refusal(api, "POST", PODS, made(spec, MIRROR)) == why


@pytest.mark.parametrize(("spec", "why"), OF_ACCOUNTS.values(), ids=OF_ACCOUNTS.keys())
@virtual
async def test_accounts_that_enforce(spec: Object, why: str) -> None:
    async with strict() as api:
        assert await refusal(api, "POST", PODS, made({"serviceAccountName": "strict", **spec})) == why


@virtual
async def test_ephemeral_containers() -> None:
    async with strict() as api:
        await api.ok("POST", PODS, made({"serviceAccountName": "strict"}))
        added = {"spec": {"ephemeralContainers": [{"name": "e", "image": "i", "env": [KEY]}]}}
        why = f'ephemeral container e with envVar E referencing secret.secretName="other" {END} secret'
        assert await refusal(api, "PATCH", f"{PODS}/p/ephemeralcontainers", added, content_type=MERGE) == why
