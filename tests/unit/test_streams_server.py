"""The kubelet's server over real connections on 127.0.0.1: who gets in, logs, exec, attach, port-forward, statistics."""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from kubelet.server.callers import Callers, server_context
from tests.unit.kubelet_serving import TOKEN, connect, get, opened, serving

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
