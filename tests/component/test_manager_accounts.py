"""Controllers that act as ServiceAccounts of their own: who does what, and for how long a token is used."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import jwt
import pytest

from apiserver.bootstrap.controller_roles import CONTROLLERS as ROLES
from apiserver.identity import Authority
from controllers.manager.accounts import ACCOUNTS, NAMESPACE, AccountClients
from controllers.manager.manager import run_manager
from controllers.manager.registry import CONTROLLERS
from kube.client.account import AccountTokens, AccountTransport
from kube.client.base import Answer, StreamAnswer, Transport
from kube.client.client import Client
from kube.clock import LoopClock
from kube.errors import Forbidden, Unauthorized
from kube.objects import Object
from kube.resources import CONFIG_MAPS, DEPLOYMENTS, PODS, SERVICE_ACCOUNTS, Resource
from tests.virtual import virtual
from wherry.in_process import InProcessCluster, in_process_cluster

REVIEWS = Resource("authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview", namespaced=False)

BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False)


class Witness:
    """A transport that remembers as whom each request was sent."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self.tokens: list[str] = []
        self.seen: set[tuple[str, str, str]] = set()
        """(account, method, the path's last part)."""

    async def request(
        self, method: str, target: str, *, headers: Mapping[str, str], body: bytes | None = None, timeout_s: float | None = 60
    ) -> Answer:
        token = headers["authorization"].removeprefix("Bearer ")
        self.tokens.append(token)
        subject = jwt.decode(token, options={"verify_signature": False})["sub"]
        path = target.partition("?")[0]
        self.seen.add((subject.removeprefix(f"system:serviceaccount:{NAMESPACE}:"), method, path.rpartition("/")[2]))
        return await self._inner.request(method, target, headers=headers, body=body, timeout_s=timeout_s)

    def stream(self, method: str, target: str, *, headers: Mapping[str, str]) -> AbstractAsyncContextManager[StreamAnswer]:
        return self._inner.stream(method, target, headers=headers)

    async def close(self) -> None:
        return


@asynccontextmanager
async def issuing(tmp_path: Path) -> AsyncIterator[InProcessCluster]:
    async with in_process_cluster(nodes=1, controllers=None, authority=Authority.load_or_create(tmp_path, LoopClock())) as cluster:
        yield cluster


def test_the_accounts_are_those_that_upstream_has_roles_for() -> None:
    assert ACCOUNTS.keys() <= CONTROLLERS.keys()
    in_namespaces = {"bootstrap-signer", "token-cleaner"}  # Roles of kube-public and kube-system
    assert set(ACCOUNTS.values()) <= ROLES.keys() | in_namespaces
    assert CONTROLLERS.keys() - ACCOUNTS.keys() == {"serviceaccount-token-controller"}, "which has the manager's own rights upstream, too"


@virtual
async def test_each_controller_acts_as_its_own_account(tmp_path: Path) -> None:
    async with issuing(tmp_path) as cluster:
        manager, witness = cluster.make_client("kube-controller-manager"), Witness(cluster.transport)
        client_of = AccountClients(witness, manager, clock=cluster.clock).of
        running = asyncio.create_task(run_manager(manager, clock=cluster.clock, rng=random.Random(1), client_of=client_of))
        spec = {
            "replicas": 2, "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "c"}]}},
        }  # fmt: skip
        await cluster.client.create(DEPLOYMENTS, _object(DEPLOYMENTS, "web", spec=spec), namespace="default")

        async def ready() -> bool:
            found = await cluster.client.get(DEPLOYMENTS, "web", namespace="default")
            return bool(found.get("status", {}).get("readyReplicas") == 2)

        await cluster.until(ready)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert {account for account, method, what in witness.seen if (method, what) == ("POST", "replicasets")} == {"deployment-controller"}
        assert {account for account, method, what in witness.seen if (method, what) == ("POST", "pods")} == {"replicaset-controller"}
        assert ("service-account-controller", "POST", "serviceaccounts") in witness.seen
        accounts = await cluster.client.list(SERVICE_ACCOUNTS, namespace=NAMESPACE)
        assert {account for account, _, _ in witness.seen} <= {each["metadata"]["name"] for each in accounts["items"]}
        assert len(witness.tokens) > len(set(witness.tokens)) == len({account for account, _, _ in witness.seen}), "one token each"


@virtual
async def test_a_token_is_used_for_most_of_its_time_and_given_up_when_it_is_refused(tmp_path: Path) -> None:
    async with issuing(tmp_path) as cluster:
        witness = Witness(cluster.transport)
        tokens = AccountTokens(cluster.client, NAMESPACE, "someone", clock=cluster.clock)
        someone = Client(AccountTransport(witness, tokens), user_agent="someone", clock=cluster.clock)

        async def who() -> str:
            review = await someone.create(REVIEWS, {"apiVersion": REVIEWS.api_version, "kind": REVIEWS.kind})
            return str(review["status"]["userInfo"]["username"])

        assert await who() == f"system:serviceaccount:{NAMESPACE}:someone"
        await asyncio.sleep(0.8 * 3600 - 1)
        await who()
        assert len(set(witness.tokens)) == 1
        await asyncio.sleep(1)
        await who()
        assert len(set(witness.tokens)) == 2, "a fifth before the end there is another"

        await cluster.client.delete(SERVICE_ACCOUNTS, "someone", namespace=NAMESPACE)
        try:
            await who()
            raise AssertionError("the token of a deleted account still holds")
        except Unauthorized:
            pass
        assert await who() == f"system:serviceaccount:{NAMESPACE}:someone", "made again, with a new token"


@virtual
async def test_a_watch_is_the_accounts_too(tmp_path: Path) -> None:
    async with issuing(tmp_path) as cluster:
        tokens = AccountTokens(cluster.client, NAMESPACE, "someone", clock=cluster.clock)
        someone = Client(AccountTransport(cluster.transport, tokens), user_agent="someone", clock=cluster.clock)
        with pytest.raises(Forbidden):
            await someone.list(PODS)
        role = {"apiGroup": BINDINGS.group, "kind": "ClusterRole", "name": "system:aggregate-to-view"}
        subjects = [{"kind": "ServiceAccount", "name": "someone", "namespace": NAMESPACE}]
        await cluster.client.create(BINDINGS, _object(BINDINGS, "someone", roleRef=role, subjects=subjects))
        events = someone.watch(CONFIG_MAPS, namespace="default", resource_version="")
        await cluster.client.create(CONFIG_MAPS, _object(CONFIG_MAPS, "seen"), namespace="default")
        names = [event.object["metadata"]["name"] async for event in _until(events, "seen")]
        assert names[-1] == "seen"
        assert await someone.list(PODS)


async def _until(events: Any, name: str) -> AsyncIterator[Any]:
    try:
        async for event in events:
            yield event
            if event.object["metadata"]["name"] == name:
                return
    finally:
        await events.aclose()


def _object(resource: Resource, name: str, **fields: Any) -> Object:
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": name}, **fields}
