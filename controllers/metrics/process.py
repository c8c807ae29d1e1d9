"""The metrics server as a process: its certificate, its port, its registration. What `python -m controllers metrics` runs."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import ssl
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from controllers.metrics.access import CONFIG_NAME, CONFIG_NAMESPACE, FrontProxy, User, front_proxy_in
from controllers.metrics.kubelets import Kubelets
from controllers.metrics.registration import SERVER_NAME, Place, register
from controllers.metrics.server import MetricsServer, Request
from controllers.metrics.summaries import RESOLUTION_S, Summaries
from kube.clock import Clock
from kube.errors import ApiError
from kube.http.exchange import Answer, Head, skip_body
from kube.http.server import Handler, HttpServer, peer_certificate
from kube.resources import CONFIG_MAPS
from kube.runtime.component import Component
from kube.runtime.process import cannot_listen

_log = logging.getLogger(__name__)
LIFETIME = dt.timedelta(days=365)
CONNECTIONS_MAX = 1_000
RETRY_S, KEEP_S = 1.0, 60.0
"""How soon what failed is tried again, and how often what was done is looked at again."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line says. `advertise_host`: where the API server finds us, "" for `address`."""

    address: str = "127.0.0.1"
    port: int = 4443
    advertise_host: str = ""
    resolution_s: float = RESOLUTION_S


async def serve(component: Component, settings: Settings) -> None:
    """Serve, and keep registered, until cancelled."""
    certificate, key = self_signed(component.clock)
    kubelets = Kubelets(component.config)
    summaries = Summaries(kubelets.ask, clock=component.clock, resolution_s=settings.resolution_s)
    server = MetricsServer(component.client, summaries, clock=component.clock)
    keeper = _Keeper(component)
    await keeper.learn()
    http = HttpServer(_asked_by_proxy(server, lambda: keeper.front_proxy), connections_max=CONNECTIONS_MAX)
    tls = _context(certificate, key, keeper)
    try:
        try:
            port = await http.start(settings.address, settings.port, tls)
        except OSError as error:
            raise cannot_listen(settings.address, settings.port, error, "--secure-port (or --bind-address)") from error
        await keeper.keep(Place(settings.advertise_host or settings.address, port, certificate.decode()))
    finally:
        await http.stop()
        await summaries.close()
        await kubelets.close()


class _Keeper:
    """Knows whom to believe about who asks, and keeps the registration."""

    def __init__(self, component: Component) -> None:
        self._component = component
        self.front_proxy = FrontProxy("")
        self.context: ssl.SSLContext | None = None

    async def learn(self) -> None:
        """Returns when the ConfigMap has been read."""
        while not await self._learn():
            await asyncio.sleep(RETRY_S)

    async def _learn(self) -> bool:
        try:
            found = front_proxy_in(await self._component.client.get(CONFIG_MAPS, CONFIG_NAME, namespace=CONFIG_NAMESPACE))
        except (ApiError, OSError, ValueError) as error:
            _log.warning("cannot learn who the front proxy is: %s", error)
            return False
        if self.context is not None and found.ca != self.front_proxy.ca:
            self.context.load_verify_locations(cadata=found.ca)
        self.front_proxy = found
        return True

    async def keep(self, place: Place) -> None:
        """Until cancelled."""
        while True:
            try:
                await register(self._component.client, place)
                wait_s = KEEP_S
            except (ApiError, OSError) as error:
                _log.warning("cannot register: %s", error)
                wait_s = RETRY_S
            await asyncio.sleep(wait_s)
            await self._learn()


def _context(certificate: bytes, key: bytes, keeper: _Keeper) -> ssl.SSLContext:
    """TLS that asks for a client certificate of the front proxy's CA."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    with tempfile.TemporaryDirectory() as directory:  # OpenSSL reads certificates from files only; 0700, gone at once
        pair = Path(directory) / "pair.pem"
        pair.touch(0o600)
        pair.write_bytes(certificate + key)
        context.load_cert_chain(pair)
    context.load_verify_locations(cadata=keeper.front_proxy.ca)
    context.verify_mode = ssl.CERT_OPTIONAL
    keeper.context = context
    return context


def _asked_by_proxy(server: MetricsServer, front_proxy: Callable[[], FrontProxy]) -> Handler:
    def user_of(head: Head, answer: Answer) -> User | None:
        proxy = front_proxy()
        return proxy.user_in(head.fields) if proxy.is_it(peer_certificate(answer)) else None

    return handler(server, user_of)


def handler(server: MetricsServer, user_of: Callable[[Head, Answer], User | None]) -> Handler:
    """What a connection's requests are answered with; `user_of` says who asks."""

    async def handle(head: Head, answer: Answer, reader: asyncio.StreamReader) -> None:
        await skip_body(head, reader)
        path, _, query = head.target.partition("?")
        found = await server.answer(Request(head.method, path, query, head.headers, user_of(head, answer)))
        await answer.send(found.status, found.body, found.content_type)

    return handle


def self_signed(clock: Clock) -> tuple[bytes, bytes]:
    """A certificate for the Service's name that vouches for itself, and its key, in PEM. Made anew at each start, kept nowhere."""
    key = ec.generate_private_key(ec.SECP256R1())
    now, name = clock.now(), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, SERVER_NAME)])
    usage = x509.KeyUsage(True, False, False, False, False, True, False, False, False)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - dt.timedelta(minutes=5), now + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(SERVER_NAME)]), critical=False)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate.public_bytes(serialization.Encoding.PEM), pem
