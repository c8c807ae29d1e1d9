"""What is on the wire: the short cut for whole answers gives what uvicorn itself would, and keeps a connection in order."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from kube.client.config import load_kubeconfig, ssl_context
from tests.system.running import Up

pytestmark = pytest.mark.system
LIMIT_S = 30.0


@contextmanager
def connected(cluster: Up) -> Iterator[ssl.SSLSocket]:
    config = load_kubeconfig(cluster.data_dir / "kubeconfig")
    host, _, port = config.server.removeprefix("https://").rpartition(":")
    with (
        socket.create_connection((host, int(port)), timeout=LIMIT_S) as raw,
        ssl_context(config).wrap_socket(raw, server_hostname=host) as tls,
    ):
        yield tls


def answers(tls: ssl.SSLSocket, count: int) -> list[tuple[int, dict[str, str], bytes]]:
    """So many answers, in order; fewer where the server ends the connection."""
    found: list[tuple[int, dict[str, str], bytes]] = []
    file = tls.makefile("rb")
    while len(found) < count and (line := file.readline()):
        headers: dict[str, str] = {}
        while each := file.readline().strip():
            name, _, value = each.decode().partition(":")
            headers[name.lower()] = value.strip()
        found.append((int(line.split()[1]), headers, file.read(int(headers.get("content-length", "0")))))
    return found


def test_pipelined_requests_are_answered_in_their_order(cluster: Up) -> None:
    with connected(cluster) as tls:
        paths = ("/api/v1/namespaces/default", "/api/v1/namespaces/nothing", "/version", "/api/v1/namespaces")
        tls.sendall(b"".join(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for path in paths))
        found = answers(tls, 4)
    assert [status for status, _, _ in found] == [200, 404, 200, 200]
    assert b'"kind":"Namespace"' in found[0][2]
    assert b"gitVersion" in found[2][2]
    for _, headers, body in found:
        assert "date" in headers
        assert "audit-id" in headers
        assert headers["content-type"] == "application/json"
        assert int(headers["content-length"]) == len(body)


def test_a_client_that_asks_for_the_end_gets_it(cluster: Up) -> None:
    with connected(cluster) as tls:
        tls.sendall(b"GET /api/v1/namespaces/default HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" * 2)
        found = answers(tls, 2)
    assert [(status, headers.get("connection")) for status, headers, _ in found] == [(200, "close")]


def test_a_large_answer_is_whole(cluster: Up) -> None:
    with connected(cluster) as tls:
        tls.sendall(b"GET /openapi/v2 HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\n\r\nGET /version HTTP/1.1\r\nHost: x\r\n\r\n")
        found = answers(tls, 2)
    assert [status for status, _, _ in found] == [200, 200]
    assert len(found[0][2]) > 1 << 20
