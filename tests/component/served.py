"""An API server in process, and a client that shows answers as they are: status, headers and body."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson

from apiserver.identity import Authority
from apiserver.registry.kind import User
from apiserver.serving import Built, build
from apiserver.settings import Settings
from apiserver.store.memory import MemoryStore
from kube.client.transport import AsgiTransport
from kube.clock import LoopClock
from kube.objects import Object

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
PARTIAL = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"
_TOKEN = "of-the-test"
_EVENTS_S = 5.0


@dataclass
class Reply:
    """An answer. `body` is parsed where it is JSON."""

    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def message(self) -> str:
        return str(self.body["message"])


@dataclass
class Api:
    """The server and an admin's connection to it."""

    built: Built
    transport: AsgiTransport
    agent: str = "tester/1"
    _watches: list[asyncio.Task[None]] = field(default_factory=list)

    async def call(self, method: str, path: str, body: Any = None, **headers: str | None) -> Reply:
        """One request. Header names take underscores for dashes; None leaves one out."""
        sent = {"authorization": f"Bearer {_TOKEN}", "user-agent": self.agent}
        data = body if isinstance(body, bytes | None) else body.encode() if isinstance(body, str) else orjson.dumps(body)
        if data is not None:
            sent["content-type"] = "application/json"
        for name, value in headers.items():
            sent[name.replace("_", "-")] = value  # type: ignore[assignment]
        answer = await self.transport.request(method, path, headers={k: v for k, v in sent.items() if v is not None}, body=data)
        is_json = answer.headers.get("content-type", "").startswith("application/json")
        return Reply(answer.status, answer.headers, orjson.loads(answer.body) if is_json and answer.body else answer.body.decode())

    async def ok(self, method: str, path: str, body: Any = None, **headers: str | None) -> Any:
        """The body of a request that must succeed."""
        reply = await self.call(method, path, body, **headers)
        assert reply.status < 300, reply.body
        return reply.body

    async def events(self, path: str, count: int, **headers: str) -> list[Object]:
        """The first `count` events of a watch, or those that came within a few (virtual) seconds."""
        sent = {"authorization": f"Bearer {_TOKEN}", **{name.replace("_", "-"): value for name, value in headers.items()}}
        found: list[Object] = []
        async with self.transport.stream("GET", path, headers=sent) as answer:
            assert answer.status == 200, await answer.read()
            rest = b""
            try:
                async with asyncio.timeout(_EVENTS_S):
                    async for chunk in answer.chunks():
                        *lines, rest = (rest + chunk).split(b"\n")
                        found += map(orjson.loads, lines)
                        if len(found) >= count:
                            break
            except TimeoutError:
                pass
        return found[:count] if count else found


@asynccontextmanager
async def served(*, authority: Authority | None = None, **settings: Any) -> AsyncIterator[Api]:
    """A fresh server with namespace and service account `default`; `settings` as in `Settings`. With an `authority` it issues tokens."""
    clock, rng = LoopClock(), random.Random(7)
    admin = User("admin", ("system:masters", "system:authenticated"))
    chosen = Settings(storage="memory", **{"max_requests_inflight": 0, "max_mutating_requests_inflight": 0, **settings})
    built = build(MemoryStore(clock), clock=clock, rng=rng, tokens={_TOKEN: admin}, settings=chosen, authority=authority)
    await built.start(advertise_address="", port=6443)
    api = Api(built, AsgiTransport(built.app))
    try:
        await api.ok("POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})
        yield api
    finally:
        await api.transport.close()
        await built.stop()


CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


def config_map(name: str, data: Mapping[str, str] | None = None, **metadata: Any) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}, "data": dict(data or {})}


def pod(name: str, **spec: Any) -> Object:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "c"}], **spec}}


def deployment(name: str, replicas: int = 1) -> Object:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "c:1"}]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}
