"""A whole cluster in one process, without sockets: the real server, loops and simulated nodes on the running event loop.

On a `VirtualTimeLoop` time flies whenever everything is idle, so an hour of a cluster costs what happens in it. The parts still meet
only through the API: each has its own client over an ASGI transport, with its own token and user. `cluster.py` makes a Python API of it.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

from apiserver.identity import Authority
from apiserver.registry.kind import User
from apiserver.serving import Built, build
from apiserver.settings import Settings
from apiserver.store.base import Store
from apiserver.store.memory import MemoryStore
from controllers.cloud.local_cloud import LocalCloud
from controllers.cloud.registry import controllers_of
from controllers.manager.accounts import ACCOUNTS, NAMESPACE, ClientOf
from controllers.manager.certificate_signing import Files
from controllers.manager.manager import run_manager
from controllers.manager.registry import Options
from controllers.running import run_controllers
from controllers.scheduler.scheduler import Scheduler
from kube.client.client import Client
from kube.client.informer import Informers
from kube.client.transport import Answer, AsgiTransport, ConnectionFailed, StreamAnswer, Transport
from kube.clock import Clock, LoopClock
from kube.resources import SERVICES
from kube.runtime.events import EventRecorder
from kube.runtime.garbage import seldom
from kubelet.agent import Agents, RuntimeFactory
from kubelet.dns.asking import SERVICE_KEY, ClusterNames
from kubelet.name_servers import ClusterDns
from kubelet.runtime.simulated import SimulatedRuntime
from wherry.access import grant
from wherry.dns_line import DnsLine, run_dns
from wherry.kubelet_line import KubeletLine
from wherry.plan import CLUSTER_DNS, node_names

AUTHENTICATED = "system:authenticated"
MANAGER = "kube-controller-manager"
ADDRESS = "192.0.2.1"
"""Where the `kubernetes` Service says the server is (TEST-NET: nobody listens there)."""


def _account(name: str) -> User:
    """The ServiceAccount of a controller."""
    return User(
        f"system:serviceaccount:{NAMESPACE}:{name}", ("system:serviceaccounts", f"system:serviceaccounts:{NAMESPACE}", AUTHENTICATED)
    )


USERS = {
    "admin": User("admin", ("system:masters", AUTHENTICATED)),
    MANAGER: User("system:kube-controller-manager", (AUTHENTICATED,)),
    "cloud-controller-manager": User("system:cloud-controller-manager", (AUTHENTICATED,)),
    "kube-scheduler": User("system:kube-scheduler", (AUTHENTICATED,)),
    "metrics-server": User("system:metrics-server", (AUTHENTICATED,)),
    "kube-dns": User("system:kube-dns", (AUTHENTICATED,)),
    "kubelet": User("system:node:simulated", ("system:masters", "system:nodes", AUTHENTICATED)),
    **{f"account {each}": _account(each) for each in ACCOUNTS.values()},
}
"""Who there is, each with upstream's rights (RBAC), but for the kubelet, which acts for all nodes: no node's identity would do."""


@dataclass(slots=True)
class InProcessCluster:
    """A running cluster. `client` is the admin's. Components can be stopped and started again by name."""

    built: Built
    clock: Clock
    rng: random.Random
    client: Client
    transport: Transport
    line: Line
    secret: str
    """What the components' tokens begin with: nobody else knows it, should the server be given a port."""
    authority: Authority | None
    kubelets: KubeletLine
    runtime_factory: RuntimeFactory
    dns: DnsLine | None = None
    """How pods ask cluster DNS, if there is one."""
    _starters: dict[str, Callable[[], Coroutine[Any, Any, None]]] = field(default_factory=dict)
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    def make_client(self, name: str) -> Client:
        """A client of one of `USERS`."""
        rng = random.Random(self.rng.getrandbits(64))
        return Client(self.transport, user_agent=name, token=_token(self.secret, name), clock=self.clock, rng=rng)

    def account_clients(self, transport: Transport | None = None) -> ClientOf:
        """The client of each controller of the manager: it acts as its own account, as with --use-service-account-credentials."""

        @cache
        def of(controller: str) -> Client:
            name = f"account {ACCOUNTS[controller]}" if controller in ACCOUNTS else MANAGER
            token, rng = _token(self.secret, name), random.Random(name)
            return Client(transport or self.transport, user_agent=MANAGER, token=token, clock=self.clock, rng=rng)

        return of

    async def restart_server(self, *, down_s: float = 0.0) -> None:
        """Kill the API server at whatever it is doing and start it again, over the same store, `down_s` later."""
        store = self.built.store
        await self.line.cut()
        self.built.abandon()
        await asyncio.sleep(down_s)
        rng = random.Random(self.rng.getrandbits(64))
        self.built = _build(store, self.clock, rng, secret=self.secret, authority=self.authority, kubelets=self.kubelets)
        await self.built.start(advertise_address=ADDRESS, port=6443)
        self.line.connect(self.built)

    def start(self, name: str) -> None:
        """Start (again) a component: `kube-controller-manager`, `kube-scheduler` or `kubelet`."""
        self._tasks[name] = asyncio.get_running_loop().create_task(self._starters[name](), name=name)

    async def kill(self, name: str) -> None:
        """Stop a component at whatever it is waiting for, as kill -9 would: nothing is tidied up through the API."""
        task = self._tasks.pop(name)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    def check(self) -> None:
        """Raise what a component failed with, if one did."""
        for task in self._tasks.values():
            if task.done():
                task.result()

    async def until(self, true: Callable[[], Coroutine[Any, Any, bool]], *, within_s: float = 120, poll_s: float = 0.2) -> None:
        """Wait (on the loop's time) until `true()`. Raises TimeoutError."""
        async with asyncio.timeout(within_s):
            while not await true():
                self.check()
                await asyncio.sleep(poll_s)


def _token(secret: str, name: str) -> str:
    return f"{secret}-{name}"


class Line:
    """The transport to the server of the moment; none while it is down. Cutting it ends every request and stream with it."""

    def __init__(self, built: Built) -> None:
        self._inner: AsgiTransport | None = AsgiTransport(built.app)
        self._requests: set[asyncio.Task[Answer]] = set()

    def connect(self, built: Built) -> None:
        self._inner = AsgiTransport(built.app)

    async def cut(self) -> None:
        inner, self._inner = self._inner, None
        for task in list(self._requests):
            task.cancel()
        await asyncio.gather(*self._requests, return_exceptions=True)
        if inner is not None:
            await inner.close()

    async def request(
        self, method: str, target: str, *, headers: Mapping[str, str], body: bytes | None = None, timeout_s: float | None = 60
    ) -> Answer:
        if self._inner is None:
            await asyncio.sleep(0)
            raise ConnectionFailed("connection refused")
        exchange = self._inner.request(method, target, headers=headers, body=body, timeout_s=timeout_s)
        task = asyncio.get_running_loop().create_task(exchange)
        self._requests.add(task)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            asking = asyncio.current_task()
            if task.cancelled() and not (asking is not None and asking.cancelling()):
                raise ConnectionFailed("connection reset") from None
            task.cancel()
            raise
        finally:
            self._requests.discard(task)

    @asynccontextmanager
    async def stream(self, method: str, target: str, *, headers: Mapping[str, str]) -> AsyncIterator[StreamAnswer]:
        if self._inner is None:
            await asyncio.sleep(0)
            raise ConnectionFailed("connection refused")
        async with self._inner.stream(method, target, headers=headers) as answer:
            yield answer

    async def close(self) -> None:
        await self.cut()


def _build(store: Store, clock: Clock, rng: random.Random, *, secret: str, authority: Authority | None, kubelets: KubeletLine) -> Built:
    tokens = {_token(secret, name): user for name, user in USERS.items()}
    settings = Settings(
        storage="memory",
        authorization_mode=("RBAC",),
        max_requests_inflight=0,
        max_mutating_requests_inflight=0,
        enable_aggregator_routing=True,
    )
    return build(store, clock=clock, rng=rng, tokens=tokens, settings=settings, authority=authority, kubelets=kubelets)


@asynccontextmanager
async def in_process_cluster(
    *,
    nodes: int | Sequence[str] = 3,
    controllers: Sequence[str] | None = ("*",),
    scheduler: bool = True,
    seed: int = 0,
    store: Store | None = None,
    clock: Clock | None = None,
    wrap: Callable[[Transport], Transport] | None = None,
    authority: Authority | None = None,
    runtime_factory: RuntimeFactory = SimulatedRuntime,
    metrics: bool = False,
    cloud: bool = False,
    dns: bool = False,
) -> AsyncIterator[InProcessCluster]:
    """Start a cluster and stop it at the end. `controllers` as in --controllers; None for none at all. `wrap`: what lies
    between the components and the server (a test's faults); the admin's client is always direct. With an `authority`, ServiceAccounts can
    have tokens. `metrics`: whether metrics.k8s.io is served. `cloud`: whether load balancers get addresses. `dns`: whether
    there is cluster DNS, which pods ask; the runtime is then the simulated one, or takes a `lookup` as that does."""
    rng = random.Random(seed)
    clock = clock or LoopClock()
    secret, kubelets = secrets.token_hex(16), KubeletLine()
    first = store or MemoryStore(clock)
    built = _build(first, clock, random.Random(rng.getrandbits(64)), secret=secret, authority=authority, kubelets=kubelets)
    await built.start(advertise_address=ADDRESS, port=6443)
    line = Line(built)
    transport: Transport = wrap(line) if wrap is not None else line
    admin = Client(line, user_agent="wherry", token=_token(secret, "admin"), clock=clock, rng=random.Random(rng.getrandbits(64)))
    names_line = DnsLine() if dns else None
    cluster = InProcessCluster(built, clock, rng, admin, transport, line, secret, authority, kubelets, runtime_factory, names_line)
    names = node_names(nodes) if isinstance(nodes, int) else list(nodes)
    starters = cluster._starters
    if controllers is not None:
        starters["kube-controller-manager"] = lambda: _manager(cluster, list(controllers))
    if scheduler:
        starters["kube-scheduler"] = lambda: _scheduler(cluster)
    if names:
        starters["kubelet"] = lambda: _kubelet(cluster, names)
    if cloud:
        starters["cloud-controller-manager"] = lambda: _cloud(cluster)
    if metrics or cloud or dns:
        await grant(admin)
    if metrics:
        starters["metrics-server"] = lambda: _metrics_server(cluster)
    if names_line is not None:
        starters["kube-dns"] = lambda: _dns(cluster, names_line)
    for name in starters:
        cluster.start(name)
    try:
        with seldom():
            yield cluster
        cluster.check()
    finally:
        for name in list(cluster._tasks):
            await cluster.kill(name)
        await line.close()
        await cluster.built.stop()


async def _with_kit(
    cluster: InProcessCluster, name: str, work: Callable[[Client, Informers, EventRecorder], Coroutine[Any, Any, None]]
) -> None:
    client = cluster.make_client(name)
    rng = random.Random(cluster.rng.getrandbits(64))
    informers = Informers(client, rng=rng)
    events = EventRecorder(client, component=name, clock=cluster.clock, rng=rng)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(informers.run())
        tasks.create_task(events.run())
        tasks.create_task(work(client, informers, events))


async def _manager(cluster: InProcessCluster, controllers: list[str]) -> None:
    async def work(client: Client, _informers: Informers, _events: EventRecorder) -> None:
        rng = random.Random(cluster.rng.getrandbits(64))
        options, client_of = _options(cluster.authority), cluster.account_clients()
        await run_manager(client, clock=cluster.clock, rng=rng, controllers=controllers, options=options, client_of=client_of)

    await _with_kit(cluster, "kube-controller-manager", work)


def _options(authority: Authority | None) -> Options:
    """Without a CA no certificates are signed and none are published."""
    if authority is None:
        return Options()
    files = Files(str(authority.directory / "ca.crt"), str(authority.directory / "ca.key"))
    key = str(authority.directory / "sa.key")
    return Options(root_ca=authority.certificate_pem.decode(), cluster_signing=files, service_account_private_key_file=key)


async def _cloud(cluster: InProcessCluster) -> None:
    client = cluster.make_client("cloud-controller-manager")
    rng = random.Random(cluster.rng.getrandbits(64))
    await run_controllers(controllers_of(LocalCloud()), None, client, clock=cluster.clock, rng=rng)


async def _scheduler(cluster: InProcessCluster) -> None:
    async def work(client: Client, informers: Informers, events: EventRecorder) -> None:
        rng = random.Random(cluster.rng.getrandbits(64))
        await Scheduler(client, informers, clock=cluster.clock, rng=rng, events=events).run()

    await _with_kit(cluster, "kube-scheduler", work)


async def _kubelet(cluster: InProcessCluster, names: list[str]) -> None:
    async def work(client: Client, informers: Informers, events: EventRecorder) -> None:
        rng = random.Random(cluster.rng.getrandbits(64))
        runtime_factory: Any = cluster.runtime_factory
        name_servers = ClusterDns()
        if cluster.dns is not None:
            services, name_servers = informers.of(SERVICES), ClusterDns((CLUSTER_DNS,))
            asking = ClusterNames(lambda: services.get(SERVICE_KEY), rng=rng, exchange=cluster.dns.exchange)
            runtime_factory = partial(runtime_factory, lookup=asking.lookup)
        agents = Agents(
            client,
            node_names=names,
            runtime_factory=runtime_factory,
            informers=informers,
            clock=cluster.clock,
            rng=rng,
            events=events,
            dns=name_servers,
        )
        async with cluster.kubelets.serving(agents):
            await agents.run()

    await _with_kit(cluster, "kubelet", work)


async def _metrics_server(cluster: InProcessCluster) -> None:
    from wherry.metrics_line import run_metrics_server

    await run_metrics_server(cluster.make_client("metrics-server"), cluster.kubelets, cluster.clock)


async def _dns(cluster: InProcessCluster, line: DnsLine) -> None:
    async def work(client: Client, informers: Informers, _events: EventRecorder) -> None:
        await run_dns(client, informers, line, cluster.clock, random.Random(cluster.rng.getrandbits(64)))

    await _with_kit(cluster, "kube-dns", work)
