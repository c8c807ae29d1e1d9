"""Putting a server together and running it: store, registries, identity, app, uvicorn. `build` is what tests use, too.

Read `app.py` for what a request meets, and `settings.py` for what can be set.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import hashlib
import ipaddress
import logging
import random
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import uvicorn

from apiserver.admission.chain import chain_of
from apiserver.app import App, Pipeline, create_app
from apiserver.bootstrap import Place, bootstrap, first_service_ip
from apiserver.bootstrap.cluster_roles import AGENTS
from apiserver.bootstrap.rules import rules
from apiserver.ended_connection import ServedConnection
from apiserver.front_proxy import FrontProxy, published
from apiserver.handlers import extension_target
from apiserver.handlers.backends import Trust
from apiserver.handlers.documents import Documents
from apiserver.handlers.extension_documents import Extensions
from apiserver.handlers.server import Server
from apiserver.identity import Authority, server_context, server_names
from apiserver.kinds import all_kinds
from apiserver.loops import start_loops
from apiserver.metrics import RequestMetrics
from apiserver.pipeline.authentication import AUTHENTICATED, Authenticator, read_token_file
from apiserver.pipeline.limits import InFlight
from apiserver.pipeline.node_authorizer import NodeAuthorizer
from apiserver.pipeline.rbac import rule_of
from apiserver.pipeline.rbac_authorizer import RbacAuthorizer
from apiserver.registry.authorization import AllowAll, Authorizer, DenyAll, Union
from apiserver.registry.emulation import emulated
from apiserver.registry.kind import User
from apiserver.registry.registry import Registries
from apiserver.service_accounts import ServiceAccountTokens
from apiserver.settings import Settings
from apiserver.store.base import Compacted, FutureRevision, Store
from apiserver.store.memory import MemoryStore
from apiserver.token_review import TokenReviewer
from apiserver.version import git_version
from apiserver.webhook_client import WebhookClient
from kube.client.config import ClientConfig, write_kubeconfig
from kube.clock import Clock, RealClock
from kube.runtime.garbage import settle
from kube.schema import definitions

log: Final = logging.getLogger("wherry.apiserver")
COMPACTION_S: Final = 300.0
GC_THRESHOLDS: Final = (10_000, 10, 10)
TEST_NET: Final = "192.0.2.1"


@dataclass(slots=True)
class Built:
    """A server, put together but not listening. `start` it, use `app`, `stop` it."""

    app: App
    server: Server
    store: Store
    _tasks: list[asyncio.Task[Any]]
    webhooks: WebhookClient
    client_ca: str = ""
    """The CA of client certificates (PEM), "" where there is none."""
    front_proxy: Mapping[str, str] = field(default_factory=dict)
    """What extension API servers are told of us (`front_proxy.py`)."""
    node: NodeAuthorizer | None = None
    """Where nodes are authorized by what belongs to them."""

    async def start(self, *, advertise_address: str, port: int) -> None:
        """Load the caches, make the bootstrap objects, begin the server's own loops and compaction."""
        place = Place(advertise_address, port, self.client_ca, self.front_proxy)
        if (openid := self.server.extra.get("openid")) is not None:
            openid.locate(advertise_address, port)
        await self.server.registries.rbac.start()
        if self.node is not None:
            await self.node.start()
        await bootstrap(self.server.registries, place)
        self._tasks.extend(await start_loops(self.server, place))
        self.server.extra["started"] = True
        self._tasks.append(asyncio.get_running_loop().create_task(compact_forever(self.store)))

    def abandon(self) -> None:
        """Forget this server as if it had been killed: nothing is finished, the store stays open for the next one."""
        self.server.stopping = True
        for task in self._tasks:
            task.cancel()
        self.server.registries.close()

    async def stop(self) -> None:
        self.server.stopping = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.server.registries.close()
        await self.webhooks.close()
        await self.store.close()


def build(
    store: Store,
    *,
    clock: Clock,
    rng: random.Random,
    tokens: dict[str, User] | None = None,
    settings: Settings | None = None,
    authority: Authority | None = None,
    kubelets: Any = None,
) -> Built:
    """A server over `store`. `tokens` are static bearer tokens besides those of the settings' file."""
    settings = settings or Settings()
    known = read_token_file(settings.token_auth_file) if settings.token_auth_file else {}
    known |= {hashlib.sha256(token.encode()).digest(): user for token, user in (tokens or {}).items()}
    version = definitions.load(settings.emulated_version)
    kinds = emulated(all_kinds(), version, settings.versions, settings.gates)
    for each in kinds.waiting:
        log.warning("%s", each)
    registries = Registries(
        kinds.served,
        store,
        definitions=version,
        clock=clock,
        rng=rng,
        admission=chain_of(settings.enable_admission_plugins, settings.disable_admission_plugins),
        service_cidr=settings.service_cluster_ip_range,
        hidden=kinds.hidden,
        gates=settings.gates,
    )
    registries.rbac = RbacAuthorizer(registries)
    node = NodeAuthorizer(registries, [rule_of(each) for each in rules(AGENTS["system:node"])])
    authorizers: dict[str, Authorizer] = {"AlwaysAllow": AllowAll(), "AlwaysDeny": DenyAll(), "Node": node, "RBAC": registries.rbac}
    registries.authorizer = Union([authorizers[each] for each in settings.authorization_mode])
    webhooks = WebhookClient(
        lambda reference: extension_target.find(registries, reference, rng, endpoints=settings.enable_aggregator_routing), clock
    )
    registries.webhooks = webhooks
    accounts = ServiceAccountTokens(registries, authority, settings.issuer) if authority is not None else None
    if accounts is not None:
        registries.issue_token = accounts.issue
    server = Server(
        registries,
        clock,
        rng,
        kubelets=kubelets,
        kubelet_address_types=settings.kubelet_preferred_address_types,
        aggregator_routing=settings.enable_aggregator_routing,
    )
    extensions = server.extra["extensions"] = Extensions()
    server.extra["documents"] = Documents(registries, extensions, git_version=git_version(settings.emulated_version))
    server.extra["openid"] = accounts.published() if accounts is not None else None
    limits = InFlight(settings.max_requests_inflight, settings.max_mutating_requests_inflight)
    authenticator = Authenticator(known, accounts.user if accounts is not None else None)
    reviewing: Any = registries  # what only the hook of TokenReview asks for
    reviewing.authenticate_token = TokenReviewer(authenticator, accounts, settings.issuer)
    client_ca = authority.certificate_pem.decode() if authority is not None else ""
    app = create_app(Pipeline(server, authenticator, limits, RequestMetrics()))
    return Built(app, server, store, [], webhooks, client_ca, node=node if "Node" in settings.authorization_mode else None)


async def compact_forever(store: Store) -> None:
    """Every five minutes, forget what was overwritten more than five minutes ago (upstream's `--etcd-compaction-interval`)."""
    before = await store.revision()
    while True:
        await asyncio.sleep(COMPACTION_S)
        now = await store.revision()
        try:
            if before > 1:
                await store.compact(before)
        except (Compacted, FutureRevision):
            pass
        except Exception:
            log.exception("compaction failed; trying again in %s s", COMPACTION_S)
        before = now


class KubeletConnections:
    """TLS to node agents: their certificate must come from the cluster CA (and be one for servers); ours says kube-apiserver. To extension
    API servers it is the front proxy's."""

    def __init__(self, authority: Authority, front_proxy: FrontProxy) -> None:
        self._front_proxy = front_proxy
        authority.kept("apiserver-kubelet-client", "kube-apiserver", ["system:masters"])
        self._context = ssl.create_default_context(cadata=authority.certificate_pem.decode())
        self._context.check_hostname = False  # nodes are dialled by address; the chain and the server usage are checked
        self._context.verify_mode = ssl.CERT_REQUIRED
        self._unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # no system CAs: reading them takes 25 ms, and nothing is verified
        self._unverified.check_hostname = False
        self._unverified.verify_mode = ssl.CERT_NONE
        directory = authority.directory
        self._context.load_cert_chain(directory / "apiserver-kubelet-client.crt", directory / "apiserver-kubelet-client.key")

    async def open(self, host: str, port: int, node: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(host, port, ssl=self._context, limit=1 << 18)

    async def dial(self, host: str, port: int, *, tls: bool) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """To a pod or an endpoint, without a certificate of ours. Theirs is not verified: nothing says who they should be."""
        return await asyncio.open_connection(host, port, ssl=self._unverified if tls else None, limit=1 << 18)

    async def extension(self, host: str, port: int, trust: Trust) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        context = self._front_proxy.context(trust)
        return await asyncio.open_connection(host, port, ssl=context, server_hostname=trust.server_name, limit=1 << 18)


async def open_store(settings: Settings, clock: Clock) -> Store:
    """The store of the settings. Raises StoreUnusable."""
    if settings.storage == "memory":
        return MemoryStore(clock)
    from apiserver.store.sqlite import SQLiteStore

    return await SQLiteStore.open(settings.data_dir / "state.db", clock=clock)


def listen(settings: Settings) -> socket.socket:
    """The bound socket. Raises OSError with a text that names the flag."""
    family = socket.AF_INET6 if ":" in settings.bind_address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((settings.bind_address, settings.secure_port))
        sock.listen(2048)
    except OSError as error:
        sock.close()
        where = f"{settings.bind_address}:{settings.secure_port}"
        raise OSError(f"cannot listen on {where}: {error.strerror}. Choose another with --secure-port (or --bind-address)") from error
    sock.setblocking(False)
    return sock


def issue_kubeconfigs(authority: Authority, settings: Settings, server_url: str) -> None:
    """The admin's kubeconfig, and those asked for with --issue-kubeconfig."""
    admin = authority.kept("admin", "admin", ["system:masters"])
    base = ClientConfig(server=server_url, ca_data=authority.certificate_pem)
    _write(base, admin.certificate, admin.key, settings.data_dir / "kubeconfig", "admin")
    for asked in settings.issue_kubeconfig:
        names = [asked.user.removeprefix("system:node:"), "localhost", "127.0.0.1"] if asked.user.startswith("system:node:") else []
        file_name = asked.user.replace(":", "-").replace("/", "-")
        pair = authority.kept(f"user-{file_name}", asked.user, asked.groups, server_names=names)
        asked.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        config = ClientConfig(server=asked.server or server_url, ca_data=authority.certificate_pem)
        _write(config, pair.certificate, pair.key, asked.path, asked.user)


def _write(base: ClientConfig, certificate: bytes, key: bytes, path: Path, user: str) -> None:
    config = ClientConfig(server=base.server, ca_data=base.ca_data, client_cert_data=certificate, client_key_data=key)
    write_kubeconfig(path, config, user_name=user)


async def run(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM. Raises what `__main__` turns into a clear message."""
    clock = RealClock()
    rng = random.Random()
    sock = listen(settings)
    try:
        authority = Authority.load_or_create(settings.data_dir / "pki", clock)
        service_ip = first_service_ip(settings.service_cluster_ip_range)
        names = server_names(settings.bind_address, service_ip, [settings.advertise_host, *settings.tls_san])
        authority.kept("apiserver", "kube-apiserver", server_names=names, client=False)
        front_proxy = FrontProxy.load_or_create(settings.data_dir / "pki" / "front-proxy", clock)
        store = await open_store(settings, clock)
    except BaseException:
        sock.close()
        raise
    kubelets = KubeletConnections(authority, front_proxy)
    built = build(store, clock=clock, rng=rng, settings=settings, authority=authority, kubelets=kubelets)
    built.front_proxy = published(front_proxy.ca)
    port = sock.getsockname()[1]
    url = f"https://{_host(settings)}:{port}"
    try:
        issue_kubeconfigs(authority, settings, url)
        await built.start(advertise_address=advertise_address(settings), port=port)
        collect_less()
        await _serve(built, settings, authority, sock, url)
    finally:
        sock.close()
        await built.stop()


def collect_less() -> None:
    """Have the garbage collector leave alone what is there now, which stays, and look less often at the rest: most garbage here is in no
    cycle, and each look at a few hundred thousand cached objects holds up every request."""
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def advertise_address(settings: Settings) -> str:
    """The address that the `kubernetes` Service's endpoints name: the flag's, the bound one, or this host's own; "" where there is
    none but loopback, which the API does not allow there."""
    for each in (settings.advertise_address, settings.bind_address):
        if each and not ipaddress.ip_address(each).is_loopback and not ipaddress.ip_address(each).is_unspecified:
            return each
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
        probe.connect((TEST_NET, 9))  # sends nothing: it only asks the kernel which of our addresses it would use
        found = str(probe.getsockname()[0])
        if not ipaddress.ip_address(found).is_loopback:
            return found
    return ""


def _host(settings: Settings) -> str:
    if settings.advertise_host:
        return settings.advertise_host
    host = "127.0.0.1" if settings.bind_address in ("0.0.0.0", "::", "") else settings.bind_address
    return f"[{host}]" if ":" in host else host


async def _serve(built: Built, settings: Settings, authority: Authority, sock: socket.socket, url: str) -> None:
    config = uvicorn.Config(
        built.app,
        http=ServedConnection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nothing here asks who the client is but by its credentials
        date_header=True,
        timeout_keep_alive=180,
        timeout_graceful_shutdown=5,
        backlog=2048,
    )
    config.load()
    config.ssl = server_context(authority, "apiserver")
    server = uvicorn.Server(config)
    built.server.extra["serving_url"] = url
    async with _signals(server, built):
        log.info("serving on %s (data in %s, storage %s)", url, settings.data_dir, settings.storage)
        settle()
        await server.serve(sockets=[sock])


@contextlib.asynccontextmanager
async def _signals(server: uvicorn.Server, built: Built) -> AsyncIterator[None]:
    """SIGINT and SIGTERM end the watches and then the server; a second one ends it at once."""
    loop = asyncio.get_running_loop()
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign, assignment]

    def stop() -> None:
        if built.server.stopping:
            server.force_exit = True
        built.server.stopping = True
        for registry in built.server.registries.all():
            registry.cache.close()
        server.should_exit = True

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


__all__ = ["AUTHENTICATED", "Built", "build", "run"]
