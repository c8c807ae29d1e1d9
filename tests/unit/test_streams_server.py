"""The kubelet's server over real connections on 127.0.0.1: who gets in, logs, exec, attach, port-forward, statistics."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import random
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from kube.clock import RealClock
from kube.objects import Object
from kubelet.runtime.base import ContainerConfig, SandboxConfig
from kubelet.runtime.simulated import SimulatedRuntime
from kubelet.server import channels, port_forward, spdy, websocket
from kubelet.server.callers import Callers, server_context
from kubelet.server.server import KubeletServer

TOKEN = "let-me-in"
OPENED: list[asyncio.StreamWriter] = []
"""The clients' connections of the running test."""


@dataclass
class Worker:
    """What of a PodWorker the server uses."""

    pod: Object
    host: Any

    @property
    def key(self) -> str:
        return f"default/{self.pod['metadata']['name']}"

    @property
    def uid(self) -> str:
        return str(self.pod["metadata"]["uid"])


class Agents:
    """What of kubelet.agent.Agents the server uses: one node, pods with one container each."""

    def __init__(self) -> None:
        self.clock = RealClock()
        self.runtime = SimulatedRuntime(clock=self.clock, rng=random.Random(1))
        self.host = SimpleNamespace(runtime=self.runtime, clock=self.clock, name="n1")
        self.workers: dict[str, Worker] = {}
        facts = SimpleNamespace(port=10250)
        self.nodes = {"n1": SimpleNamespace(name="n1", workers=self.workers, host=self.host, heartbeat=SimpleNamespace(facts=facts))}

    def worker_of(self, namespace: str, name: str) -> Worker | None:
        return self.workers.get(name) if namespace == "default" else None

    async def add(self, name: str, script: str = "sleep 3600") -> Worker:
        container = {"name": "c", "image": "busybox", "command": ["sh", "-c", script]}
        metadata = {"name": name, "namespace": "default", "uid": f"uid-{name}"}
        pod: Object = {"metadata": metadata, "spec": {"nodeName": "n1", "containers": [container]}, "status": {}}
        sandbox = await self.runtime.run_pod_sandbox(SandboxConfig(pod))
        container_id = await self.runtime.create_container(sandbox.id, ContainerConfig(container, "ref"))
        await self.runtime.start_container(container_id)
        self.workers[name] = Worker(pod, self.host)
        return self.workers[name]


@asynccontextmanager
async def serving(**rest: Any) -> AsyncIterator[tuple[Agents, KubeletServer]]:
    agents = Agents()
    server = KubeletServer(agents, rest.get("context"), authenticate=rest.get("callers", Callers(tokens=[TOKEN])))  # type: ignore[arg-type]
    await server.start()
    try:
        yield agents, server
    finally:
        await server.stop()
        await agents.runtime.close()
        for writer in OPENED:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in OPENED), return_exceptions=True)
        OPENED.clear()


@dataclass
class Answered:
    status: int
    headers: dict[str, str]
    body: bytes


async def opened(server: KubeletServer, **tls: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, **tls)
    OPENED.append(writer)
    return reader, writer


async def connect(server: KubeletServer, head: str, **tls: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, Answered]:
    """Send a request head; the connection, and the answer's head."""
    reader, writer = await opened(server, **tls)
    writer.write(head.replace("\n", "\r\n").encode() + b"\r\n\r\n")
    async with asyncio.timeout(20):
        raw = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = raw.split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in lines if each)}
    return reader, writer, Answered(int(first.split()[1]), headers, b"")


async def get(server: KubeletServer, path: str, *, token: str = TOKEN, **tls: Any) -> Answered:
    """One plain request, its whole answer."""
    reader, writer, answered = await connect(
        server, f"GET {path} HTTP/1.1\nHost: kubelet\nConnection: close\nAuthorization: Bearer {token}", **tls
    )
    async with asyncio.timeout(20):
        raw = await reader.read()
    writer.close()
    answered.body = dechunked(raw) if answered.headers.get("transfer-encoding") == "chunked" else raw
    return answered


def dechunked(raw: bytes) -> bytes:
    out = b""
    while raw:
        size, _, raw = raw.partition(b"\r\n")
        out, raw = out + raw[: int(size, 16)], raw[int(size, 16) + 2 :]
    return out


def query(**values: Any) -> str:
    return "&".join(f"{key}={quote(each)}" for key, value in values.items() for each in ([value] if isinstance(value, str) else value))


# --- who gets in --------------------------------------------------------------------------------------------------------------------


async def test_without_a_credential_nobody_gets_in() -> None:
    async with serving(callers=Callers()) as (_, server):
        assert (await get(server, "/healthz", token="")).status == 401
        assert (await get(server, "/pods", token=TOKEN)).status == 401


async def test_a_token_gets_in_and_a_wrong_one_does_not() -> None:
    async with serving() as (_, server):
        assert (await get(server, "/healthz")).body == b"ok"
        assert (await get(server, "/healthz", token="other")).status == 401


class Pki:
    """A CA, and certificates from it."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.ca = self._signed(name, [], self.key, is_ca=True)
        self.pem = self.ca.public_bytes(serialization.Encoding.PEM)

    def _signed(self, name: str, groups: list[str], key: ec.EllipticCurvePrivateKey, *, is_ca: bool = False) -> x509.Certificate:
        subject = x509.Name(
            [*(x509.NameAttribute(NameOID.ORGANIZATION_NAME, each) for each in groups), x509.NameAttribute(NameOID.COMMON_NAME, name)]
        )
        issuer = subject if is_ca else x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])
        now = dt.datetime.now(dt.UTC)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
        builder = (
            builder.serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(1))
            .not_valid_after(now + dt.timedelta(1))
        )
        builder = builder.add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        if is_ca:
            usage = x509.KeyUsage(
                digital_signature=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=True,
                crl_sign=True,
                encipher_only=False,
                decipher_only=False,
            )
            builder = builder.add_extension(usage, critical=True)
        return builder.sign(self.key, hashes.SHA256())

    def issue(self, name: str, *groups: str) -> tuple[Path, Path]:
        """(certificate file, key file)."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate, private = self.folder / f"{self.name}-{name}.crt", self.folder / f"{self.name}-{name}.key"
        certificate.write_bytes(self._signed(name, list(groups), key).public_bytes(serialization.Encoding.PEM))
        pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        private.write_bytes(key.private_bytes(*pem))
        return certificate, private


def client_context(pair: tuple[Path, Path] | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if pair:
        context.load_cert_chain(*pair)
    return context


CLIENTS: dict[str, tuple[str, tuple[str, ...], int]] = {
    "the API server's certificate": ("kube-apiserver", (), 200),
    "a certificate of the masters": ("somebody", ("system:masters",), 200),
    "a node's certificate": ("system:node:n2", ("system:nodes",), 401),
    "no certificate": ("", (), 401),
}


@pytest.mark.parametrize(("name", "groups", "status"), CLIENTS.values(), ids=CLIENTS.keys())
async def test_client_certificates(name: str, groups: tuple[str, ...], status: int, tmp_path: Path) -> None:
    pki = Pki(tmp_path, "cluster-ca")
    certificate, key = pki.issue("n1")
    context = server_context(certificate=certificate, key=key, client_ca=pki.pem)
    async with serving(context=context, callers=Callers()) as (_, server):
        answered = await get(server, "/healthz", token="", ssl=client_context(pki.issue(name, *groups) if name else None))
        assert answered.status == status


async def test_the_metrics_server_reads_statistics_and_nothing_else(tmp_path: Path) -> None:
    pki = Pki(tmp_path, "cluster-ca")
    certificate, key = pki.issue("n1")
    context = server_context(certificate=certificate, key=key, client_ca=pki.pem)
    reader = client_context(pki.issue("system:metrics-server"))
    async with serving(context=context, callers=Callers()) as (agents, server):
        await agents.add("web")
        found = {path: (await get(server, path, token="", ssl=reader)).status for path in READABLE}
        assert found == READABLE


READABLE = {
    "/stats/summary": 200,
    "/metrics/resource": 200,
    "/pods": 401,
    "/containerLogs/default/web/c": 401,
    "/run/default/web/c?cmd=echo+hello": 401,
    "/healthz": 401,
}


async def test_a_certificate_of_another_ca_does_not_get_in(tmp_path: Path) -> None:
    ours, theirs = Pki(tmp_path, "ours"), Pki(tmp_path, "theirs")
    certificate, key = ours.issue("n1")
    context = server_context(certificate=certificate, key=key, client_ca=ours.pem)
    async with serving(context=context, callers=Callers()) as (_, server):
        with pytest.raises((OSError, EOFError)):
            await get(server, "/healthz", token="", ssl=client_context(theirs.issue("kube-apiserver", "system:masters")))


# --- plain requests -----------------------------------------------------------------------------------------------------------------

PLAIN: dict[str, tuple[str, int, str]] = {
    "health": ("/healthz", 200, "ok"),
    "the pods": ("/pods", 200, '"kind": "PodList"'),
    "statistics": ("/stats/summary", 200, '"podRef": {"name": "web"'),
    "the kubelet's metrics": ("/metrics", 200, "# HELP"),
    "resource metrics": ("/metrics/resource", 200, 'pod_memory_working_set_bytes{namespace="default",pod="web"}'),
    "its configuration": ("/configz", 200, '"port": 10250'),
    "a command's output": ("/run/default/web/c?cmd=echo+hello", 200, "hello"),
    "the node's logs are not served": ("/logs/", 405, "disabled"),
    "an unknown path": ("/nothing", 404, "not found"),
    "a log of a pod that is not there": ("/containerLogs/default/nope/c", 404, 'pod "nope" does not exist'),
    "a log of a container that is not there": ("/containerLogs/default/web/x", 404, "is not available"),
    "exec without an upgrade": ("/exec/default/web/c?command=ls&output=1", 400, "Upgrade request required"),
    "exec without a command": ("/exec/default/web/c?output=1", 400, "at least one command"),
    "exec in a container that is not there": ("/exec/default/web/x?command=ls&output=1", 404, "container not found"),
    "exec in a pod of another uid": ("/exec/default/web/other-uid/c?command=ls&output=1", 404, "does not exist"),
    "bad log options": ("/containerLogs/default/web/c?tailLines=-1", 422, "tailLines"),
    "a previous container that never was": ("/containerLogs/default/web/c?previous=true", 400, "not found"),
}


@pytest.mark.parametrize(("path", "status", "text"), PLAIN.values(), ids=PLAIN.keys())
async def test_plain_requests(path: str, status: int, text: str) -> None:
    async with serving() as (agents, server):
        await agents.add("web")
        answered = await get(server, path)
        assert answered.status == status
        assert text in answered.body.decode()


async def test_a_connection_serves_one_request_after_the_other() -> None:
    async with serving() as (_, server):
        reader, writer = await opened(server)
        for _ in range(3):
            writer.write(f"GET /healthz HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
            assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
            assert await reader.readexactly(2) == b"ok"
        writer.close()


HEADS = {
    "garbage": (b"\x00\x01\r\n\r\n", b"400"),
    "a head without end": (b"GET /" + b"x" * 70_000, b"431"),
    "a body too large": (b"POST /pods HTTP/1.1\r\nAuthorization: Bearer let-me-in\r\nContent-Length: 99999999\r\n\r\n", b"413"),
}


@pytest.mark.parametrize(("raw", "status"), HEADS.values(), ids=HEADS.keys())
async def test_bad_requests_are_answered_and_the_connection_closed(raw: bytes, status: bytes) -> None:
    async with serving() as (_, server):
        reader, writer = await opened(server)
        writer.write(raw)
        async with asyncio.timeout(20):
            assert (await reader.read()).split(b" ")[1] == status
        writer.close()


async def test_a_log_is_served_in_part() -> None:
    async with serving() as (agents, server):
        await agents.add("done", "echo one; echo two; echo three; exit 0")
        assert (await get(server, "/containerLogs/default/done/c?tailLines=2")).body == b"two\nthree\n"
        assert (await get(server, "/containerLogs/default/done/c?limitBytes=5")).body == b"one\nt"
        assert (await get(server, "/containerLogs/default/done/c?timestamps=true&tailLines=1")).body.endswith(b"Z three\n")


async def test_following_a_log_sends_lines_as_they_come_and_ends_with_the_container() -> None:
    async with serving() as (agents, server):
        worker = await agents.add("talks", "echo first; sleep 3600")
        head = f"GET /containerLogs/default/talks/c?follow=true HTTP/1.1\nAuthorization: Bearer {TOKEN}"
        reader, writer, answered = await connect(server, head)
        assert answered.status == 200
        async with asyncio.timeout(20):
            assert await reader.readuntil(b"first\n\r\n") == b"6\r\nfirst\n\r\n"
            (container,) = await agents.runtime.list_containers(worker.uid)
            await agents.runtime.stop_container(container.id, timeout_s=0)
            assert (await reader.read()).endswith(b"0\r\n\r\n")
        writer.close()


# --- a WebSocket client -----------------------------------------------------------------------------------------------------------------


class WebSocketClient:
    """The client's side: masked frames out, plain frames in."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, server: KubeletServer, path: str, protocol: str) -> WebSocketClient:
        lines = [
            f"GET {path} HTTP/1.1",
            f"Authorization: Bearer {TOKEN}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            f"Sec-WebSocket-Protocol: {protocol}",
        ]
        reader, writer, answered = await connect(server, "\n".join(lines))
        assert (answered.status, answered.headers.get("sec-websocket-protocol")) == (101, protocol)
        return cls(reader, writer)

    def send(self, data: bytes, *, is_text: bool = False) -> None:
        self.writer.write(websocket.frame(websocket.TEXT if is_text else websocket.BINARY, data, mask=b"abcd"))

    async def message(self) -> bytes | None:
        """The next message; None when the server closes."""
        async with asyncio.timeout(20):
            try:
                first, length = await self.reader.readexactly(2)
                if length == 126:
                    (length,) = struct.unpack(">H", await self.reader.readexactly(2))
                elif length == 127:
                    (length,) = struct.unpack(">Q", await self.reader.readexactly(8))
                payload = await self.reader.readexactly(length)
            except EOFError:
                return None
        return None if first & 0x0F == websocket.CLOSE else payload

    async def channels(self) -> dict[int, bytes]:
        """Everything until the end, by channel."""
        found: dict[int, bytes] = {}
        while (message := await self.message()) is not None:
            found[message[0]] = found.get(message[0], b"") + message[1:]
        self.writer.close()
        return found

    # --- as a pipe for SPDY

    async def read_exactly(self, count: int) -> bytes:
        self.left = getattr(self, "left", b"")
        while len(self.left) < count:
            message = await self.message()
            if message is None:
                raise EOFError
            self.left += message
        data, self.left = self.left[:count], self.left[count:]
        return data


async def test_exec_over_a_websocket() -> None:
    async with serving() as (agents, server):
        await agents.add("web")
        path = "/exec/default/web/c?" + query(command=["sh", "-c", "echo out; echo err >&2; exit 3"], output="1", error="1")
        client = await WebSocketClient.open(server, path, channels.V5)
        found = await client.channels()
        assert (found[1], found[2]) == (b"out\n", b"err\n")
        assert json.loads(found[3])["details"]["causes"] == [{"reason": "ExitCode", "message": "3"}]


async def test_stdin_ends_with_the_closing_message_of_v5() -> None:
    async with serving() as (agents, server):
        await agents.add("web")
        client = await WebSocketClient.open(server, "/exec/default/web/c?" + query(command="cat", input="1", output="1"), channels.V5)
        client.send(b"\x00" + b"x" * 100_000)
        client.send(b"\xff\x00")
        found = await client.channels()
        assert len(found[1]) == 100_000
        assert json.loads(found[3])["status"] == "Success"


async def test_a_terminal_echoes_and_prompts() -> None:
    async with serving() as (agents, server):
        await agents.add("web")
        path = "/exec/default/web/c?" + query(command="sh", input="1", output="1", tty="1")
        client = await WebSocketClient.open(server, path, channels.V4)
        client.send(b'\x04{"Width":80,"Height":24}')
        client.send(b"\x00echo hi\r")
        client.send(b"\x00exit\r")
        found = await client.channels()
        assert found[1] == b"/ # echo hi\r\nhi\r\n/ # exit\r\n"


async def test_base64_channels_and_plain_error_texts_of_v1() -> None:
    async with serving() as (agents, server):
        await agents.add("web")
        path = "/exec/default/web/c?" + query(command="false", output="1")
        client = await WebSocketClient.open(server, path, channels.V1)
        assert (await client.channels())[3] == b"command terminated with non-zero exit code: exit status 1"
        client = await WebSocketClient.open(server, path.replace("false", "true"), channels.V4_BASE64)
        assert (await client.message()) == b"1"
        status = await client.message()
        assert status is not None
        assert status.startswith(b"3")


async def test_an_unknown_subprotocol_is_refused() -> None:
    async with serving() as (agents, server):
        await agents.add("web")
        with pytest.raises(AssertionError, match="400"):
            await WebSocketClient.open(server, "/exec/default/web/c?command=ls&output=1", "v9.channel.k8s.io")


async def test_attach_shows_the_log_and_ends_with_the_container() -> None:
    async with serving() as (agents, server):
        worker = await agents.add("talks", "echo hello; sleep 3600")
        client = await WebSocketClient.open(server, "/attach/default/talks/c?output=1", channels.V5)
        assert await client.message() == b"\x01"
        assert await client.message() == b"\x01hello\n"
        (container,) = await agents.runtime.list_containers(worker.uid)
        await agents.runtime.stop_container(container.id, timeout_s=0)
        assert json.loads((await client.channels())[3])["status"] == "Success"


async def test_a_client_that_goes_ends_its_command() -> None:
    async with serving() as (agents, server):
        await agents.add("web")
        client = await WebSocketClient.open(server, "/exec/default/web/c?command=sleep&command=3600&output=1", channels.V5)
        assert await client.message() == b"\x01"
        client.writer.close()
        async with asyncio.timeout(20):
            while server._connections:
                await asyncio.sleep(0.01)


# --- a SPDY client --------------------------------------------------------------------------------------------------------------------


class SpdyClient:
    """The client's side of a SPDY connection."""

    def __init__(self, read_exactly: Any, write: Any) -> None:
        self._read, self._write = read_exactly, write
        self._codec, self._next = spdy.HeaderCodec(), 1
        self.received: dict[int, bytes] = {}
        self.ended: set[int] = set()

    def open(self, **headers: str) -> int:
        stream, self._next = self._next, self._next + 2
        self._control(spdy.SYN_STREAM, struct.pack(">IIBB", stream, 0, 0, 0) + self._codec.encode(headers))
        return stream

    def _control(self, kind: int, payload: bytes) -> None:
        self._write(struct.pack(">II", (1 << 31) | (3 << 16) | kind, len(payload)) + payload)

    def send(self, stream: int, data: bytes, *, fin: bool = False) -> None:
        self._write(struct.pack(">II", stream, ((1 if fin else 0) << 24) | len(data)) + data)

    async def until_ended(self, *streams: int) -> None:
        """Read frames until these streams have ended."""
        async with asyncio.timeout(20):
            while set(streams) - self.ended:
                await self._frame()

    async def _frame(self) -> None:
        first, second = struct.unpack(">II", await self._read(8))
        payload = await self._read(second & 0xFFFFFF)
        if first >> 31:
            return
        self.received[first] = self.received.get(first, b"") + payload
        if second >> 24 & spdy.FLAG_FIN:
            self.ended.add(first)


async def spdy_client(server: KubeletServer, path: str, protocol: str) -> tuple[SpdyClient, asyncio.StreamWriter]:
    lines = [f"POST {path} HTTP/1.1", f"Authorization: Bearer {TOKEN}", "Connection: Upgrade", "Upgrade: SPDY/3.1"]
    lines.append(f"X-Stream-Protocol-Version: {protocol}")
    reader, writer, answered = await connect(server, "\n".join(lines))
    assert (answered.status, answered.headers.get("x-stream-protocol-version")) == (101, protocol.split(",")[0])
    return SpdyClient(reader.readexactly, writer.write), writer


async def test_exec_over_spdy() -> None:
    async with serving() as (agents, server):
        await agents.add("web")
        path = "/exec/default/web/c?" + query(command=["sh", "-c", "echo out; echo err >&2; exit 3"], output="1", error="1")
        client, writer = await spdy_client(server, path, "v4.channel.k8s.io,v3.channel.k8s.io")
        error, out, err = client.open(streamType="error"), client.open(streamType="stdout"), client.open(streamType="stderr")
        await client.until_ended(error, out, err)
        assert (client.received[out], client.received[err]) == (b"out\n", b"err\n")
        assert json.loads(client.received[error])["reason"] == "NonZeroExitCode"
        writer.close()


async def test_much_goes_both_ways_over_spdy() -> None:
    async with serving() as (agents, server):
        await agents.add("web")
        client, writer = await spdy_client(
            server, "/exec/default/web/c?" + query(command="cat", input="1", output="1"), "v4.channel.k8s.io"
        )
        error, stdin, out = client.open(streamType="error"), client.open(streamType="stdin"), client.open(streamType="stdout")
        for _ in range(30):
            client.send(stdin, b"x" * 100_000)
        client.send(stdin, b"", fin=True)
        await client.until_ended(error, out)
        assert len(client.received[out]) == 3_000_000
        assert json.loads(client.received[error])["status"] == "Success"
        writer.close()


async def test_port_forward_over_spdy() -> None:
    async with serving() as (agents, server):
        await agents.add("web")
        client, writer = await spdy_client(server, "/portForward/default/web", port_forward.SPDY_PROTOCOL)
        for request in ("0", "1"):
            error = client.open(streamType="error", port="8080", requestID=request)
            stream = client.open(streamType="data", port="8080", requestID=request)
            client.send(stream, b"GET / HTTP/1.1\r\n\r\n")
            await client.until_ended(stream, error)
            assert client.received[stream].startswith(b"HTTP/1.1 200 OK")
            assert client.received.get(error, b"") == b""
        writer.close()


async def test_port_forward_through_a_websocket_tunnel() -> None:
    async with serving() as (agents, server):
        await agents.add("web")
        tunnel = await WebSocketClient.open(server, "/portForward/default/web", port_forward.TUNNEL_PROTOCOL)
        client = SpdyClient(tunnel.read_exactly, tunnel.send)
        error = client.open(streamType="error", port="80", requestID="0")
        stream = client.open(streamType="data", port="80", requestID="0")
        client.send(stream, b"GET / HTTP/1.1\r\n\r\n")
        await client.until_ended(stream, error)
        assert b"Wherry simulates this pod" in client.received[stream]
        tunnel.writer.close()


async def test_port_forward_over_websocket_channels() -> None:
    async with serving() as (agents, server):
        await agents.add("web")
        client = await WebSocketClient.open(server, "/portForward/default/web?ports=80,8080", channels.V4)
        client.send(b"\x02GET / HTTP/1.1\r\n\r\n")
        client.send(b"\x00GET / HTTP/1.1\r\n\r\n")
        found = await client.channels()
        assert found[0].startswith(struct.pack("<H", 80) + b"HTTP/1.1 200 OK")
        assert found[2].startswith(struct.pack("<H", 8080) + b"HTTP/1.1 200 OK")
        assert (found[1], found[3]) == (struct.pack("<H", 80), struct.pack("<H", 8080))


async def test_a_bad_port_is_told_on_the_error_stream() -> None:
    async with serving() as (agents, server):
        await agents.add("web")
        client, writer = await spdy_client(server, "/portForward/default/web", port_forward.SPDY_PROTOCOL)
        error = client.open(streamType="error", port="0", requestID="0")
        stream = client.open(streamType="data", port="0", requestID="0")
        await client.until_ended(stream, error)
        assert b"invalid port" in client.received[error]
        writer.close()
