"""A raw HTTPS client of the API, on http.client alone: any method, any bytes, any headers. Nothing here is a test."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kube.client.config import load_kubeconfig, ssl_context

LIMIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, body and headers (lower-case names) of an answer."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Api:
    """One server, as the user of a kubeconfig. A connection for each call, so it does not mind restarts."""

    url: str
    context: ssl.SSLContext

    @classmethod
    def of(cls, kubeconfig: Path) -> Api:
        config = load_kubeconfig(kubeconfig)
        return cls(config.server, ssl_context(config))

    def call(self, method: str, path: str, body: object = None, *, headers: Mapping[str, str] | None = None) -> Answer:
        """`body` is bytes, sent as they are, or something to send as JSON."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        address = urlsplit(self.url)
        connection = http.client.HTTPSConnection(str(address.hostname), address.port, timeout=LIMIT_S, context=self.context)
        try:
            connection.request(method, path, data, {"Content-Type": "application/json", **(headers or {})})
            answer = connection.getresponse()
            return Answer(answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()})
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        """The object at a path. Raises AssertionError when it is not answered with 200."""
        answer = self.call("GET", path)
        assert answer.status == 200, f"GET {path}: {answer.status} {answer.body[:500]!r}"
        return answer.json()

    def is_ready(self) -> bool:
        """Whether /readyz answers ok."""
        try:
            return self.call("GET", "/readyz").status == 200
        except OSError:
            return False
