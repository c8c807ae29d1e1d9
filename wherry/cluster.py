"""`wherry.Cluster`: a whole cluster inside a Python program, for tests of operators, controllers and charts. Read docs/python-api.md first.

The real server, loops and simulated nodes (`in_process.py`) run on an event loop in a thread of their own (`loop_thread.py`), and share
nothing with other clusters of the same program. Time is the cluster's own, unless it is asked to be real: see `Cluster`.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from apiserver.identity import Authority
from apiserver.store.base import Event
from controllers.manager.local_volume import standard_class
from controllers.manager.registry import select
from kube.clock import LoopClock, RealClock
from kube.errors import AlreadyExists
from kube.objects import Object, condition_of, is_condition_true, name_of, namespace_of
from kube.resources import NODES, SERVICE_ACCOUNTS, STORAGE_CLASSES
from kubelet.runtime.simulated import SimulatedRuntime
from kubelet.stages.simulation import Simulation, documents
from wherry.conditions import Condition, check_of, described
from wherry.endpoint import Endpoint, serving
from wherry.in_process import InProcessCluster, in_process_cluster
from wherry.loop_thread import LoopEnded, LoopThread, StandingTimeLoop
from wherry.sync_client import Manifests, SyncClient, UnknownKind, read_manifests

T = TypeVar("T")
TimeMode = Literal["auto", "real"]
Stages = str | Path | Mapping[str, Any] | Iterable[str | Path | Mapping[str, Any]]
"""One file or Stage object, or several."""
START_TIME: Final = datetime(2026, 1, 1, tzinfo=UTC)
START_S: Final = 60.0
ESTABLISH_S: Final = 10.0
"""How long `apply` waits for a kind whose CustomResourceDefinition has just been made."""
_POLL_S: Final = {"auto": 1.0, "real": 0.1}
_WARNINGS_MAX: Final = 10


class ClusterError(RuntimeError):
    """Something that this cluster cannot do; the text says why, and what to do instead."""


class NotRunning(ClusterError):
    """The cluster is not running (yet, or any more)."""


@dataclass(slots=True)
class _Changes:
    """Counts the writes to the store, and wakes who waits for the next."""

    count: int = 0
    waiting: list[asyncio.Future[None]] = field(default_factory=list)

    def deliver(self, events: Sequence[Event]) -> None:
        self.count += len(events)
        waiting, self.waiting = self.waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def later_than(self, seen: int, until: float) -> None:
        """Returns once there has been a write after the first `seen`, or when the loop's time is `until`."""
        if self.count > seen:
            return
        future = asyncio.get_running_loop().create_future()
        self.waiting.append(future)
        try:
            async with asyncio.timeout_at(until):
                await future
        except TimeoutError:
            pass


class ClusterClock:
    """The cluster's time."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def now(self) -> datetime:
        """What the cluster takes the time to be (UTC)."""
        return self._cluster._now()

    def advance(self, delta: timedelta | None = None, /, **parts: float) -> None:
        """As `Cluster.advance`."""
        self._cluster.advance(delta, **parts)


class Cluster:
    """A cluster to be used in a `with` block (or between `start` and `stop`). Methods may be called from any thread.

    `time`: "auto" (the default): time stands still, but flies while something waits for it: `wait_until`, `wait_for` and `advance` pass
    minutes in milliseconds, and between calls nothing happens. The same seed and calls give the same cluster. "real": the machine's time,
    and a port, so that other programs can take part (`kubeconfig`).
    `nodes`: how many, or their names. `controllers`: as --controllers of kube-controller-manager; None for none at all.
    `stages`: what simulated pods do (docs/simulation.md): files, or KWOK's objects; a Stage replaces the default of the same name.
    `metrics`: whether there is a metrics server (`metrics.k8s.io`), which HorizontalPodAutoscalers need.
    `cloud`: whether there is a cloud controller manager, which gives Services of type LoadBalancer their addresses.
    `dns`: whether there is cluster DNS, which `nslookup`, `dig` and `getent hosts` in pods ask.
    """

    def __init__(
        self,
        *,
        nodes: int | Sequence[str] = 3,
        time: TimeMode = "auto",
        controllers: Sequence[str] | None = ("*",),
        scheduler: bool = True,
        seed: int = 0,
        start_time: datetime | None = None,
        stages: Stages = (),
        metrics: bool = False,
        cloud: bool = False,
        dns: bool = False,
    ) -> None:
        if time not in _POLL_S:
            raise ValueError(f'time={time!r}: expected "auto" or "real"')
        if isinstance(nodes, str) or (isinstance(nodes, int) and not 0 <= nodes <= 10_000):
            raise ValueError(f"nodes={nodes!r}: expected a number from 0 to 10000, or a list of names")
        if start_time is not None and time == "real":
            raise ValueError('start_time is for time="auto": real time is what it is')
        if start_time is not None and start_time.tzinfo is None:
            raise ValueError("start_time needs a time zone")
        if controllers is not None:
            select(list(controllers))
        self._nodes, self._controllers, self._scheduler, self._seed = nodes, controllers, scheduler, seed
        self._time: TimeMode = time
        self._start_time = start_time or START_TIME
        self._simulation = _simulation(stages)
        self._metrics, self._cloud, self._dns = metrics, cloud, dns
        self._thread: LoopThread | None = None
        self._inner: InProcessCluster | None = None
        self._client: SyncClient | None = None
        self._endpoint: Endpoint | None = None
        self._changes = _Changes()
        self.clock: Final = ClusterClock(self)

    # --- life -----------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start it; returns when its nodes are Ready. Raises what a component failed with."""
        if self._thread is not None:
            raise ClusterError("a Cluster is started once; make another one")
        factory = _real_loop if self._time == "real" else StandingTimeLoop
        self._thread = LoopThread(self._main, factory, name="wherry cluster")
        self._thread.start()

    def stop(self) -> None:
        """Stop it; it is gone. Does nothing the second time."""
        self._client, thread = None, self._thread
        if thread is not None:
            thread.stop()

    def __enter__(self) -> Cluster:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def _main(self, ready: asyncio.Event) -> None:
        async with AsyncExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wherry-")))
            clock = RealClock() if self._time == "real" else LoopClock(self._start_time)
            authority = Authority.load_or_create(directory / "pki", clock)
            inner = self._inner = await stack.enter_async_context(
                in_process_cluster(
                    nodes=self._nodes,
                    controllers=self._controllers,
                    scheduler=self._scheduler,
                    seed=self._seed,
                    clock=clock,
                    authority=authority,
                    runtime_factory=partial(SimulatedRuntime, simulation=self._simulation),
                    metrics=self._metrics,
                    cloud=self._cloud,
                    dns=self._dns,
                )
            )
            store = inner.built.store
            subscription = store.subscribe("/registry/", after=await store.revision(), deliver=self._changes.deliver)
            stack.callback(subscription.cancel)
            if self._time == "real":
                self._endpoint = await stack.enter_async_context(serving(inner, authority, directory))
            await inner.until(partial(self._is_up, inner), within_s=START_S, poll_s=0.02)
            with suppress(AlreadyExists):
                await inner.client.create(STORAGE_CLASSES, standard_class())
            self._client = SyncClient(inner.client, self._call)
            ready.set()
            await asyncio.get_running_loop().create_future()

    async def _is_up(self, inner: InProcessCluster) -> bool:
        """Whether the nodes, and with all controllers the default ServiceAccount, are there: pods can be made."""
        nodes = (await inner.client.list(NODES))["items"]
        if len(nodes) < (self._nodes if isinstance(self._nodes, int) else len(self._nodes)):
            return False
        if not all(is_condition_true(node, "Ready") for node in nodes):
            return False
        if self._controllers is None or "*" not in self._controllers or any(each.startswith("-") for each in self._controllers):
            return True
        accounts = (await inner.client.list(SERVICE_ACCOUNTS, namespace="default"))["items"]
        return bool(accounts) and not any(node["spec"].get("taints") for node in nodes)

    def _call(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run something on the cluster's loop. Raises NotRunning, and what a component has failed with."""
        thread, inner = self._thread, self._inner
        if thread is None or inner is None:
            raise NotRunning("the cluster has not been started: use `with Cluster() as cluster:`")

        async def checked() -> T:
            result = await work()
            inner.check()
            return result

        try:
            return thread.call(checked)
        except LoopEnded as error:
            raise NotRunning("the cluster has been stopped") from error

    # --- access ---------------------------------------------------------------------------------------------------------

    @property
    def client(self) -> SyncClient:
        """The admin's client."""
        if self._client is None:
            raise NotRunning("the cluster is not running: use `with Cluster() as cluster:`")
        return self._client

    @property
    def kubeconfig(self) -> Path:
        """A kubeconfig of the admin, for other programs and libraries. It is gone when the cluster is. Only with time="real"."""
        return self._served().kubeconfig

    @property
    def url(self) -> str:
        """Where the API server listens. Only with time="real"."""
        return self._served().url

    def _served(self) -> Endpoint:
        if self._time != "real":
            raise ClusterError('this cluster has a time of its own, in which other programs cannot take part: use Cluster(time="real")')
        if self._endpoint is None or self._client is None:
            raise NotRunning("the cluster is not running: use `with Cluster() as cluster:`")
        return self._endpoint

    def apply(self, source: Manifests, *, namespace: str | None = None) -> list[Object]:
        """Apply manifests: YAML or JSON text, the path of a file or a directory, or objects. The objects as they are now.

        What has no namespace goes to `namespace` ("default"). Kinds may be those of CustomResourceDefinitions applied just before."""
        applied = []
        for manifest in read_manifests(source):
            self._await_kind(manifest)
            applied.append(self.client.apply(manifest, namespace=namespace))
        return applied

    def _await_kind(self, manifest: Mapping[str, Any]) -> None:
        try:
            self.client.resource(manifest)
        except UnknownKind:
            group = str(manifest["apiVersion"]).rpartition("/")[0]
            definitions = [each["spec"] for each in self.client.list("CustomResourceDefinition", namespace=None)]
            if not any(each["group"] == group and each["names"]["kind"] == manifest["kind"] for each in definitions):
                raise
            self.wait_until(lambda: self._knows(manifest), timeout_s=ESTABLISH_S, what=f"the kind {manifest['kind']} is served")

    def _knows(self, manifest: Mapping[str, Any]) -> bool:
        try:
            self.client.resource(manifest)
        except UnknownKind:
            return False
        return True

    # --- time -----------------------------------------------------------------------------------------------------------

    def advance(self, delta: timedelta | None = None, /, **parts: float) -> None:
        """Let time pass: `advance(hours=1)`, or a timedelta. All that falls due happens, in order. Only with time="auto"."""
        seconds = (delta or timedelta(**parts)).total_seconds()
        if seconds < 0:
            raise ValueError("time does not go back")
        if self._time == "real":
            raise ClusterError('real time cannot be advanced: use Cluster(time="auto"), or wait_until')
        self._call(lambda: asyncio.sleep(seconds))

    def wait_until(self, true: Callable[[], T], *, timeout_s: float = 60.0, poll_s: float | None = None, what: str = "") -> T:
        """Let time pass until `true()` is; its answer. It is asked after every change in the cluster, and every `poll_s`.

        Raises TimeoutError, naming `what`, after `timeout_s` of the cluster's time."""
        poll_s = poll_s or _POLL_S[self._time]
        seen, now = self._call(self._moment)
        deadline = now + timeout_s
        while not (answer := true()):
            if now >= deadline:
                raise TimeoutError(f"not within {timeout_s:g} s of the cluster's time: {what or 'what was waited for'}\n{self.describe()}")
            self._call(partial(self._changes.later_than, seen, min(deadline, now + poll_s)))
            seen, now = self._call(self._moment)
        return answer

    async def _moment(self) -> tuple[int, float]:
        return self._changes.count, asyncio.get_running_loop().time()

    def wait_for(
        self,
        what: str | tuple[str, str] | Mapping[str, Any],
        name: str = "",
        condition: Condition = "Ready",
        *,
        namespace: str | None = None,
        timeout_s: float = 60.0,
    ) -> Object:
        """Let time pass until an object is as wanted; the object ({} when it is to be gone).

        `condition`: a condition that is to be True ("Ready", "Available=False" for another value), "phase=Running", "create", "delete",
        "rollout" (of a Deployment, StatefulSet or DaemonSet), or a function of the object. Raises TimeoutError, which tells its status."""
        check = check_of(condition)
        last: Object | None = None

        def holds() -> bool:
            nonlocal last
            try:
                last = self.client.find(what, name, namespace=namespace)
            except UnknownKind:
                last = None
            return check(last)

        try:
            self.wait_until(holds, timeout_s=timeout_s)
        except TimeoutError:
            wanted = "the function is true" if callable(condition) else condition
            title = what if isinstance(what, str) else what[1] if isinstance(what, tuple) else what["kind"]
            which = name or ("" if isinstance(what, str | tuple) else name_of(what))
            text = f"{title} {which}: not within {timeout_s:g} s of the cluster's time: {wanted}; it is: {described(last)}"
            raise TimeoutError(f"{text}\n{self.describe()}") from None
        return last or {}

    def _now(self) -> datetime:
        async def now() -> datetime:
            assert self._inner is not None
            return self._inner.clock.now()

        return self._call(now)

    # --- faults ---------------------------------------------------------------------------------------------------------

    def kill(self, component: str) -> None:
        """Stop a component where it stands: "kube-controller-manager", "kube-scheduler" or "kubelet" (all nodes)."""
        self._component(lambda inner: inner.kill(component))

    def revive(self, component: str) -> None:
        """Start a component that was killed."""

        async def revived(inner: InProcessCluster) -> None:
            inner.start(component)

        self._component(revived)

    def restart_server(self, *, down_s: float = 0.0) -> None:
        """Kill the API server, cutting every request and watch, and start it again `down_s` later over the same data."""
        self._component(lambda inner: inner.restart_server(down_s=down_s))

    def _component(self, act: Callable[[InProcessCluster], Coroutine[Any, Any, None]]) -> None:
        async def acted() -> None:
            assert self._inner is not None
            try:
                await act(self._inner)
            except KeyError as error:
                raise ValueError(f"there is no component {error} (running)") from None

        self._call(acted)

    # --- what is there ----------------------------------------------------------------------------------------------------

    def describe(self) -> str:
        """The pods and the latest warnings, as text: what one wants to know when a test has failed."""
        lines = [_pod_line(pod) for pod in self.client.list("Pod", namespace=None)] or ["there are no pods"]
        events = [each for each in self.client.list("Event", namespace=None) if each.get("type") == "Warning"]
        events.sort(key=lambda each: each.get("lastTimestamp") or each.get("eventTime") or "")
        for each in events[-_WARNINGS_MAX:]:
            about = each.get("involvedObject") or {}
            lines.append(
                f"warning: {about.get('kind')} {about.get('namespace')}/{about.get('name')}: {each.get('reason')}: {each.get('message')}"
            )
        return "\n".join(lines)


def _pod_line(pod: Object) -> str:
    status = pod.get("status") or {}
    waiting = [
        f"{each['name']}: {each['state']['waiting'].get('reason')}"
        for each in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ()))
        if "waiting" in (each.get("state") or {})
    ]
    ready = (condition_of(pod, "Ready") or {}).get("status", "Unknown")
    parts = [
        f"pod {namespace_of(pod)}/{name_of(pod)}: {status.get('phase')}",
        f"Ready={ready}",
        f"node={pod['spec'].get('nodeName') or 'none'}",
    ]
    return ", ".join([*parts, *waiting])


def _simulation(given: Stages) -> Simulation:
    """The defaults and what is given. Raises StageError, OSError."""
    sources = [given] if isinstance(given, str | Path | Mapping) else list(given)
    found = [[dict(each)] if isinstance(each, Mapping) else documents(Path(each)) for each in sources]
    return Simulation.of(obj for objects in found for obj in objects)


def _real_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
