"""Requests as a ServiceAccount: a transport that puts the account's token on each, and gets a new token in time.

Not here: what the account may do; roles say that. Source: controller-manager `pkg/clientbuilder/client_builder_dynamic.go`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from kube.client.base import Answer, StreamAnswer, Transport
from kube.client.client import Client
from kube.clock import Clock, parse_time
from kube.errors import AlreadyExists, NotFound
from kube.resources import SERVICE_ACCOUNTS

EXPIRATION_S = 3600
_LIFETIME_MIN_S = 600.0
_GOOD_FOR = 0.8
"""The part of its lifetime for which a token is used."""


class AccountTokens:
    """The token of one ServiceAccount, made with `client`'s rights; the account is made, too, where there is none."""

    def __init__(self, client: Client, namespace: str, name: str, *, clock: Clock) -> None:
        self._client, self._namespace, self._name, self._clock = client, namespace, name, clock
        self._token, self._good_until_s = "", 0.0
        self._one_at_a_time = asyncio.Lock()

    async def token(self) -> str:
        """A token that will hold for a while. Raises ApiError and ConnectionFailed."""
        async with self._one_at_a_time:
            if self._clock.now().timestamp() >= self._good_until_s:
                await self._renew()
            return self._token

    def forget(self, token: str) -> None:
        """That one was refused: get another the next time."""
        if token == self._token:
            self._good_until_s = 0.0

    async def _renew(self) -> None:
        try:
            await self._client.get(SERVICE_ACCOUNTS, self._name, namespace=self._namespace)
        except NotFound:
            metadata = {"name": self._name, "namespace": self._namespace}
            try:
                await self._client.create(SERVICE_ACCOUNTS, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
            except AlreadyExists:
                pass
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": EXPIRATION_S}}
        made = await self._client.create(SERVICE_ACCOUNTS, request, namespace=self._namespace, name=self._name, subresource="token")
        now_s, end = self._clock.now().timestamp(), parse_time(made["status"]["expirationTimestamp"])
        lifetime_s = max(end.timestamp() - now_s if end else 0.0, _LIFETIME_MIN_S)
        self._token, self._good_until_s = made["status"]["token"], now_s + lifetime_s * _GOOD_FOR


class AccountTransport:
    """Another transport, as an account. That one must not have an identity of its own, and is closed by whoever made it."""

    def __init__(self, inner: Transport, tokens: AccountTokens) -> None:
        self._inner, self._tokens = inner, tokens

    async def request(
        self, method: str, target: str, *, headers: Mapping[str, str], body: bytes | None = None, timeout_s: float | None = 60
    ) -> Answer:
        token = await self._tokens.token()
        answer = await self._inner.request(method, target, headers=_with(headers, token), body=body, timeout_s=timeout_s)
        self._look_at(answer.status, token)
        return answer

    @asynccontextmanager
    async def stream(self, method: str, target: str, *, headers: Mapping[str, str]) -> AsyncIterator[StreamAnswer]:
        token = await self._tokens.token()
        async with self._inner.stream(method, target, headers=_with(headers, token)) as answer:
            self._look_at(answer.status, token)
            yield answer

    async def close(self) -> None:
        return

    def _look_at(self, status: int, token: str) -> None:
        if status == 401:
            self._tokens.forget(token)


def _with(headers: Mapping[str, str], token: str) -> dict[str, str]:
    return {**headers, "authorization": f"Bearer {token}"}
