"""A webhook's server for tests: HTTPS on 127.0.0.1, with a certificate of a CA of its own. Nothing here is a test."""

from __future__ import annotations

import asyncio
import inspect
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from apiserver.identity import Authority
from kube.clock import RealClock
from kube.http.exchange import Answer, Head
from kube.http.server import HttpServer
from kube.objects import Object

NAMES = ("127.0.0.1", "localhost", "hook.default.svc")


@dataclass(slots=True)
class Posted:
    """A request that the webhook was sent."""

    head: Head
    document: Any


@dataclass(slots=True)
class Raw:
    """An answer that is no document."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


Said = Callable[[Any], Any]
"""What to answer to a document: another one or a Raw; may be async."""


class WebhookServer:
    """`answers` says what is answered at a path; everything else is 404. `posted` is what came, `connections` how many there were."""

    def __init__(self, authority: Authority) -> None:
        self.bundle = b64encode(authority.certificate_pem).decode()
        self.answers: dict[str, Said] = {}
        self.posted: list[Posted] = []
        self.connections: set[Any] = set()
        self.port = 0

    def config(self, path: str, **changes: Any) -> Object:
        """A WebhookClientConfig that leads here."""
        return {"url": f"https://127.0.0.1:{self.port}{path}", "caBundle": self.bundle, **changes}

    def documents(self, path: str = "") -> list[Any]:
        """What was posted to a path, "" for any, in order."""
        return [each.document for each in self.posted if path in ("", each.head.target.partition("?")[0])]

    async def handle(self, head: Head, answer: Answer, reader: asyncio.StreamReader) -> None:
        self.connections.add(answer.writer.get_extra_info("peername"))
        document = orjson.loads(await reader.readexactly(int(head.headers["content-length"])))
        self.posted.append(Posted(head, document))
        answers = self.answers.get(head.target.partition("?")[0])
        if answers is None:
            await answer.send_text(404, "404 page not found")
            return
        said = answers(document)
        said = await said if inspect.isawaitable(said) else said
        raw = said if isinstance(said, Raw) else Raw(orjson.dumps(said))
        await answer.send(raw.status, raw.body, raw.content_type, headers=raw.headers)


@asynccontextmanager
async def webhook_server(directory: Path, names: Sequence[str] = NAMES) -> AsyncIterator[WebhookServer]:
    """A fresh one, with its CA in `directory`, whose certificate is for these names."""
    authority = Authority.load_or_create(directory, RealClock(), name="webhook-ca")
    authority.kept("hook", "hook", server_names=names, client=False)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "hook.crt", directory / "hook.key")
    found = WebhookServer(authority)
    server = HttpServer(found.handle, connections_max=100)
    found.port = await server.start("127.0.0.1", 0, context)
    try:
        yield found
    finally:
        await server.stop()
