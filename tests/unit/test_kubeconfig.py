"""Kubeconfig files: what can be read, what is refused and in which words, and how they are written."""

from __future__ import annotations

import asyncio
import base64
import datetime
import ipaddress
import ssl
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from kube.client.client import Client
from kube.client.config import ClientConfig, ConfigError, load_kubeconfig, ssl_context, write_kubeconfig
from kube.client.transport import ConnectionFailed
from kube.http.exchange import Answer, Head
from kube.http.server import HttpServer
from kube.resources import NODES


def certificate() -> tuple[bytes, bytes]:
    """A self-signed certificate and its key, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, start, start + datetime.timedelta(days=36500))
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("kubernetes")])
    builder = builder.add_extension(names, critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    made = builder.sign(key, hashes.SHA256())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return made.public_bytes(serialization.Encoding.PEM), pem


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def content() -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [
            {"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "shop"}},
            {"name": "there", "context": {"cluster": "c"}},
        ],
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:6443", "certificate-authority-data": encoded(b"CA")}}],
        "users": [{"name": "u", "user": {"token": "s3cret"}}],
    }


def write(folder: Path, what: Any) -> Path:
    file = folder / "config"
    file.write_text(what if isinstance(what, str) else yaml.safe_dump(what))
    return file


def test_the_current_context_is_read(tmp_path: Path) -> None:
    config = load_kubeconfig(write(tmp_path, content()))
    assert config == ClientConfig(server="https://127.0.0.1:6443", ca_data=b"CA", token="s3cret", namespace="shop")
    assert "s3cret" not in repr(config)


def test_another_context_can_be_asked_for(tmp_path: Path) -> None:
    config = load_kubeconfig(write(tmp_path, content()), context="there")
    assert (config.namespace, config.token) == ("default", "")


def test_files_are_found_beside_the_kubeconfig(tmp_path: Path) -> None:
    given = content()
    given["clusters"][0]["cluster"] = {"server": "https://x", "certificate-authority": "pki/ca.crt", "tls-server-name": "kubernetes"}
    given["users"][0]["user"] = {
        "client-certificate": "me.crt",
        "client-key": str(tmp_path / "me.key"),
        "tokenFile": "token",
        "token": "old",
    }
    (tmp_path / "pki").mkdir()
    for name, text in (("pki/ca.crt", "CA"), ("me.crt", "CERT"), ("me.key", "KEY"), ("token", " fresh\n")):
        (tmp_path / name).write_text(text)
    config = load_kubeconfig(write(tmp_path, given))
    assert (config.ca_data, config.client_cert_data, config.client_key_data) == (b"CA", b"CERT", b"KEY")
    assert (config.token, config.tls_server_name) == ("fresh", "kubernetes")


def changed(*steps: Any, to: Any) -> dict[str, Any]:
    given: Any = content()
    at = given
    for step in steps[:-1]:
        at = at[step]
    at[steps[-1]] = to
    return dict(given)


CLUSTER = ("clusters", 0, "cluster")
USER = ("users", 0, "user")
REFUSED: list[tuple[str, Any, str]] = [
    ("no YAML", "a: [", "not YAML"),
    ("no mapping", "- a", "holds no mapping"),
    ("no current context", changed("current-context", to=""), "current-context: there is none"),
    ("an unknown context", changed("current-context", to="x"), "contexts: there is none named 'x'"),
    ("an unknown cluster", changed("clusters", to=[]), "clusters: there is none named 'c'"),
    ("an unknown user", changed("users", to=None), "users: there is none named 'u'"),
    ("clusters of another type", changed("clusters", to="x"), "clusters: must be a list"),
    ("no server", changed(*CLUSTER, "server", to=""), "clusters[c].cluster.server: required"),
    ("a server that is no URL", changed(*CLUSTER, "server", to="localhost"), "is not an http(s) URL"),
    ("a server of another type", changed(*CLUSTER, "server", to=5), "clusters[c].cluster.server: must be a string"),
    ("a broken CA", changed(*CLUSTER, "certificate-authority-data", to="&"), "certificate-authority-data: not base64"),
    ("a CA file that is not there", changed(*CLUSTER, to={"server": "https://x", "certificate-authority": "no"}), "No such file"),
    ("insecure of another type", changed(*CLUSTER, "insecure-skip-tls-verify", to="yes"), "must be true or false"),
    ("an exec plugin", changed(*USER, to={"exec": {"command": "x"}}), "users[u].user.exec: this way to authenticate is not supported"),
    ("a certificate without its key", changed(*USER, to={"client-certificate-data": encoded(b"x")}), "only good together"),
    ("a token file that is not there", changed(*USER, to={"tokenFile": "no"}), "users[u].user.tokenFile"),
]


@pytest.mark.parametrize(("given", "message"), [each[1:] for each in REFUSED], ids=[each[0] for each in REFUSED])
def test_what_cannot_be_used_is_refused_naming_file_and_field(tmp_path: Path, given: Any, message: str) -> None:
    file = write(tmp_path, given)
    with pytest.raises(ConfigError) as caught:
        load_kubeconfig(file)
    assert message in str(caught.value)
    assert str(file) in str(caught.value)


def test_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_kubeconfig(tmp_path / "none")


def test_what_is_written_reads_back_the_same_and_is_for_its_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "new" / "kubeconfig"
    config = ClientConfig(
        server="https://x:1",
        ca_data=b"CA",
        token="t",
        client_cert_data=b"C",
        client_key_data=b"K",
        namespace="n",
        insecure_skip_tls_verify=True,
        tls_server_name="s",
    )
    write_kubeconfig(file, ClientConfig(server="https://old"))
    write_kubeconfig(file, config)
    assert load_kubeconfig(file) == config
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(file.parent.iterdir()) == [file]


def test_tls_is_verified_unless_the_file_says_otherwise() -> None:
    pem, key = certificate()
    context = ssl_context(ClientConfig(server="https://x", ca_data=pem, client_cert_data=pem, client_key_data=key))
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert len(context.get_ca_certs()) == 1
    insecure = ssl_context(ClientConfig(server="https://x", insecure_skip_tls_verify=True))
    assert insecure.verify_mode is ssl.CERT_NONE


@pytest.fixture
def served(tmp_path: Path) -> tuple[ssl.SSLContext, bytes]:
    """A server's TLS and the certificate it shows."""
    pem, key = certificate()
    file = tmp_path / "server.pem"
    file.write_bytes(pem + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context, pem


async def test_a_client_talks_to_the_server_its_kubeconfig_trusts_and_to_no_other(served: tuple[ssl.SSLContext, bytes]) -> None:
    async def handler(head: Head, answer: Answer, _reader: asyncio.StreamReader) -> None:
        await answer.send_json({"kind": "Pod", "of": head.target})

    context, theirs = served
    http = HttpServer(handler, connections_max=10)
    server = f"https://127.0.0.1:{await http.start('127.0.0.1', 0, context)}"
    ours, _ = certificate()
    trusted = [
        ClientConfig(server=server, ca_data=theirs),
        ClientConfig(server=server, ca_data=theirs, tls_server_name="kubernetes"),
        ClientConfig(server=server, insecure_skip_tls_verify=True),
    ]
    for config in trusted:
        client = Client.from_config(config, user_agent="test")
        assert await client.get(NODES, "n") == {"kind": "Pod", "of": "/api/v1/nodes/n"}
        await client.close()
    for config in (ClientConfig(server=server, ca_data=ours), ClientConfig(server=server, ca_data=theirs, tls_server_name="other")):
        client = Client.from_config(config, user_agent="test")
        with pytest.raises(ConnectionFailed, match="certificate verify failed"):
            await client.create(NODES, {})
        await client.close()
    await http.stop()


def test_certificates_that_are_none_are_refused() -> None:
    pem, _ = certificate()
    with pytest.raises(ConfigError, match="certificate-authority"):
        ssl_context(ClientConfig(server="https://x", ca_data=b"CA"))
    with pytest.raises(ConfigError, match="client-certificate"):
        ssl_context(ClientConfig(server="https://x", client_cert_data=pem, client_key_data=b"KEY"))
