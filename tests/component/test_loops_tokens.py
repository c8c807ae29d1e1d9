"""Tokens in Secrets and ranges of addresses, with the whole cluster."""

from __future__ import annotations

import base64
from pathlib import Path

from apiserver.identity import Authority
from apiserver.legacy_tokens import LAST_USED
from controllers.manager.service_account_token import NAME, TYPE
from controllers.manager.service_cidr import FINALIZER, SERVICE_CIDRS
from kube.client.client import Client
from kube.clock import LoopClock
from kube.errors import NotFound, Unauthorized
from kube.objects import Object, is_condition_true
from kube.resources import SECRETS, SERVICE_ACCOUNTS, Resource
from tests.virtual import virtual
from wherry.in_process import in_process_cluster

REVIEWS = Resource("authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview", namespaced=False)


@virtual
async def test_a_secret_gets_a_token_that_holds_as_long_as_its_account(tmp_path: Path) -> None:
    authority = Authority.load_or_create(tmp_path, LoopClock())
    async with in_process_cluster(nodes=0, authority=authority) as cluster:
        client = cluster.client
        await client.create(SERVICE_ACCOUNTS, {"metadata": {"name": "bot", "namespace": "default"}})
        metadata = {"name": "bot-token", "namespace": "default", "annotations": {NAME: "bot"}}
        await client.create(SECRETS, {"metadata": metadata, "type": TYPE})
        tokens: list[str] = []

        async def filled() -> bool:
            data: Object = (await client.get(SECRETS, "bot-token", namespace="default")).get("data") or {}
            tokens[:] = [base64.b64decode(data["token"]).decode()] if data.get("token") else []
            return data.keys() >= {"token", "ca.crt", "namespace"}

        await cluster.until(filled)
        bot = Client(cluster.transport, user_agent="bot", token=tokens[0], clock=cluster.clock, rng=cluster.rng)
        review = await bot.create(REVIEWS, {"apiVersion": REVIEWS.api_version, "kind": REVIEWS.kind})
        assert review["status"]["userInfo"]["username"] == "system:serviceaccount:default:bot"
        used = (await client.get(SECRETS, "bot-token", namespace="default"))["metadata"]["labels"][LAST_USED]
        assert used == cluster.clock.now().strftime("%Y-%m-%d")
        await client.delete(SERVICE_ACCOUNTS, "bot", namespace="default")

        async def gone() -> bool:
            try:
                await client.get(SECRETS, "bot-token", namespace="default")
            except NotFound:
                return True
            return False

        await cluster.until(gone)
        try:
            await bot.create(REVIEWS, {"apiVersion": REVIEWS.api_version, "kind": REVIEWS.kind})
        except Unauthorized:
            return
        raise AssertionError("the token still holds")


@virtual
async def test_a_new_range_of_addresses_is_ready_and_can_go() -> None:
    async with in_process_cluster(nodes=0) as cluster:
        client = cluster.client
        await client.create(SERVICE_CIDRS, {"metadata": {"name": "more"}, "spec": {"cidrs": ["10.99.0.0/24"]}})

        async def ready() -> bool:
            found = await client.get(SERVICE_CIDRS, "more")
            return is_condition_true(found, "Ready") and found["metadata"].get("finalizers") == [FINALIZER]

        await cluster.until(ready)
        await client.delete(SERVICE_CIDRS, "more")

        async def gone() -> bool:
            names = [each["metadata"]["name"] for each in (await client.list(SERVICE_CIDRS))["items"]]
            return "more" not in names

        await cluster.until(gone)
