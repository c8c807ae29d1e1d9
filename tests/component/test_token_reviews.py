"""TokenReview: whose token it is, for whom it is good, and why it is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from apiserver.identity import Authority
from kube.clock import LoopClock
from kube.objects import Object
from tests.component.served import Api, pod, served
from tests.virtual import virtual

REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
SELF_REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
ACCOUNTS = "/api/v1/namespaces/default/serviceaccounts"
SELF = "https://kubernetes.default.svc"
PODS = "/api/v1/namespaces/default/pods"


@asynccontextmanager
async def issuing(tmp_path: Path) -> AsyncIterator[Api]:
    async with served(authority=Authority.load_or_create(tmp_path, LoopClock())) as api:
        await api.ok("POST", ACCOUNTS, {"metadata": {"name": "robot"}})
        yield api


async def token_for(api: Api, **spec: Any) -> str:
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    return str((await api.ok("POST", f"{ACCOUNTS}/robot/token", body))["status"]["token"])


async def reviewed(api: Api, token: str, *audiences: str) -> Object:
    spec = {"token": token, **({"audiences": audiences} if audiences else {})}
    answer = await api.ok("POST", REVIEWS, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec})
    return dict(answer["status"])


@virtual
async def test_a_token_is_its_accounts_for_those_it_names(tmp_path: Path) -> None:
    async with issuing(tmp_path) as api:
        own, others = await token_for(api), await token_for(api, audiences=["vault", "db"])
        status = await reviewed(api, own)
        assert status["authenticated"] is True
        assert status["audiences"] == [SELF]
        user = status["user"]
        assert user["username"] == "system:serviceaccount:default:robot"
        assert user["groups"] == ["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"]
        assert user["extra"]["authentication.kubernetes.io/credential-id"][0].startswith("JTI=")
        assert (await reviewed(api, others, "other", "vault"))["audiences"] == ["vault"]
        for token, named, asked in ((own, f'["{SELF}"]', ("vault",)), (others, '["vault" "db"]', ())):
            target = '["vault"]' if asked else f'["{SELF}"]'
            why = f"[invalid bearer token, token audiences {named} is invalid for the target audiences {target}]"
            assert await reviewed(api, token, *asked) == {"user": {}, "error": why}


@virtual
async def test_what_is_no_token_is_nobodys_and_a_static_one_is_the_servers_own(tmp_path: Path) -> None:
    async with issuing(tmp_path) as api:
        for garbage in ("garbage", "a.b.c", "of-the-test "):
            assert await reviewed(api, garbage) == {"user": {}, "error": "invalid bearer token"}
        status = await reviewed(api, "of-the-test")
        assert status["user"]["username"] == "admin"
        assert status["audiences"] == [SELF]
        assert await reviewed(api, "of-the-test", "vault") == {"user": {}, "error": "invalid bearer token"}
        elsewhere = await token_for(api)
        parts = elsewhere.split(".")
        refused = await reviewed(api, ".".join([*parts[:2], parts[2][:-8] + "AAAAAAAA"]))
        assert refused["error"] == "[invalid bearer token, go-jose/go-jose: error in cryptographic primitive]"


@virtual
async def test_a_token_ends_with_its_time_its_account_and_what_it_is_bound_to(tmp_path: Path) -> None:
    async with issuing(tmp_path) as api:
        made = await api.ok("POST", PODS, pod("p", serviceAccountName="robot"))
        bound = await token_for(api, boundObjectRef={"kind": "Pod", "apiVersion": "v1", "name": "p"})
        extra = (await reviewed(api, bound))["user"]["extra"]
        assert extra["authentication.kubernetes.io/pod-name"] == ["p"]
        assert extra["authentication.kubernetes.io/pod-uid"] == [made["metadata"]["uid"]]
        await api.ok("DELETE", f"{PODS}/p", {"gracePeriodSeconds": 0})
        assert (await reviewed(api, bound))["error"] == "[invalid bearer token, service account token has been invalidated]"

        secrets = "/api/v1/namespaces/default/secrets"
        await api.ok("POST", secrets, {"metadata": {"name": "s"}})
        kept = await token_for(api, boundObjectRef={"kind": "Secret", "apiVersion": "v1", "name": "s"})
        await api.ok("POST", SELF_REVIEWS, {}, authorization=f"Bearer {kept}")
        await api.ok("DELETE", f"{secrets}/s")
        assert (await reviewed(api, kept))["error"] == "[invalid bearer token, service account token has been invalidated]"
        assert (await api.call("POST", SELF_REVIEWS, {}, authorization=f"Bearer {kept}")).status == 401

        short, long = await token_for(api, expirationSeconds=600), await token_for(api)
        await asyncio.sleep(600 + 59)
        assert (await reviewed(api, short))["authenticated"] is True
        await asyncio.sleep(2)
        assert (await reviewed(api, short))["error"] == "[invalid bearer token, service account token has expired]"
        await api.ok("DELETE", f"{ACCOUNTS}/robot")
        assert (await reviewed(api, long))["error"] == '[invalid bearer token, serviceaccounts "robot" not found]'


@virtual
async def test_a_token_bound_to_a_pod_names_the_pods_node(tmp_path: Path) -> None:
    async with issuing(tmp_path) as api:
        node = await api.ok("POST", "/api/v1/nodes", {"metadata": {"name": "n"}})
        await api.ok("POST", PODS, pod("p", serviceAccountName="robot", nodeName="n"))
        extra = (await reviewed(api, await token_for(api, boundObjectRef={"kind": "Pod", "apiVersion": "v1", "name": "p"})))["user"][
            "extra"
        ]
        assert extra["authentication.kubernetes.io/node-name"] == ["n"]
        assert extra["authentication.kubernetes.io/node-uid"] == [node["metadata"]["uid"]]
