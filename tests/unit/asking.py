"""An app that answers what it was asked, and a client of it. Nothing here is a test."""

from __future__ import annotations

import random
from typing import Any

import orjson

from kube.client.client import Client
from kube.client.transport import AsgiTransport
from kube.objects import Object
from kube.resources import Resource

ROLES = Resource("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", namespaced=False)


class Echo:
    """An app that remembers what it was asked and answers what it was told to."""

    def __init__(self, *answers: tuple[int, Any]) -> None:
        self.answers = list(answers) or [(200, {})]
        self.asked: list[tuple[str, str, Any]] = []
        self.headers: dict[str, str] = {}
        self.answer_headers: list[tuple[bytes, bytes]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = (await receive())["body"]
        query = scope["query_string"].decode()
        target = scope["raw_path"].decode() + (f"?{query}" if query else "")
        self.asked.append((scope["method"], target, orjson.loads(body) if body else None))
        self.headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        status, answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        await send({"type": "http.response.start", "status": status, "headers": self.answer_headers})
        await send({"type": "http.response.body", "body": answer if isinstance(answer, bytes) else orjson.dumps(answer)})


def client_of(app: Any) -> Client:
    return Client(AsgiTransport(app), user_agent="tester/1.0", token="s3cret", rng=random.Random(0))


POD: Object = {"metadata": {"name": "web", "namespace": "default"}}
