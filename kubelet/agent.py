"""The kubelet: one process, one node or hundreds. Routes pods to their workers; decides nothing about them.

    agents = Agents(
        client, node_names=["node-1"], runtime_factory=SimulatedRuntime, informers=informers, clock=clock, rng=rng, events=events
    )
    await agents.run()          # until cancelled; `informers` is run by whoever made it

Read `worker.py` next (one pod), `heartbeat.py` for the Node and its Lease, `server/server.py` for what the API server asks of a kubelet.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from kube.client.client import Client
from kube.client.informer import Informer, Informers
from kube.client.sharing import Sharing
from kube.clock import Clock
from kube.objects import Object, is_deleting, key_of, name_of, uid_of
from kube.resources import NODES, PODS, SERVICES
from kube.runtime.events import EventRecorder
from kubelet.allocation import Allocations
from kubelet.beats import Beats
from kubelet.heartbeat import Heartbeat
from kubelet.host import Host
from kubelet.name_servers import ClusterDns
from kubelet.node import DEFAULT_CAPACITY, NodeFacts, allocatable_of
from kubelet.observed import TERMINAL_PHASES
from kubelet.reporter import Reporter
from kubelet.runtime.addresses import cidr_of_index
from kubelet.runtime.base import ContainerEvent, RuntimeService
from kubelet.runtime.simulated import SimulatedRuntime
from kubelet.service_links import ServiceLinks
from kubelet.sizes import allocated_by_status
from kubelet.volumes.followed import Followed
from kubelet.worker import PodWorker

log = logging.getLogger(__name__)

REGISTRATIONS_MAX = 16
"""How many nodes register at the same time."""
POD_CIDR_WAIT_S = 1.0
"""How long a new node waits for somebody to assign its podCIDR before it takes one of its own."""
CIDR_LOOK_S = 0.05
"""How often it looks whether somebody has."""
RELOOK_S = 60.0
"""How often every pod is looked at although nothing was reported (upstream's sync frequency)."""


class RuntimeFactory(Protocol):
    """Makes one node's runtime. `SimulatedRuntime` itself is one (or `partial(SimulatedRuntime, stages=...)`)."""

    def __call__(self, *, clock: Clock, rng: random.Random, node_name: str, node_ip: str, pod_cidr: str) -> RuntimeService: ...


class NodeAgent:
    """One node of the process: its runtime, its heartbeat, its pods' workers (by uid)."""

    def __init__(self, host: Host, heartbeat: Heartbeat, index: int) -> None:
        self.host, self.heartbeat, self.name = host, heartbeat, host.name
        self.workers: dict[str, PodWorker] = {}
        self.node: Object = {}
        self.has_cidr = False
        self.allocations = Allocations(lambda: self.node, self.workers, host.clock)
        self._cidr = cidr_of_index(index)
        host.released = self._released
        host.forgotten = self._forgotten
        host.runtime.subscribe(self._on_event)

    async def start(self) -> None:
        """Runtime ready, Node registered."""
        await self.host.runtime.start()
        self.observed(await self.heartbeat.register())

    async def close(self) -> None:
        for worker in list(self.workers.values()):
            await worker.close()
        await self.host.runtime.close()

    def observed(self, node: Object) -> None:
        """The API has this version of the Node."""
        self.node = node
        self.heartbeat.observed(node)
        if self.host.attachments.observed(node):
            for worker in [self.workers[uid] for uid in self.host.attachments.users() if uid in self.workers]:
                worker.poke()
        cidr = node.get("spec", {}).get("podCIDR")
        if cidr:
            self.has_cidr = True
            if cidr != self._cidr:
                self._cidr = cidr
                self.host.runtime.set_pod_cidr(cidr)

    def _on_event(self, event: ContainerEvent) -> None:
        if worker := self.workers.get(event.pod_uid):
            worker.event(event.kind)

    # --- pods ---------------------------------------------------------------------------------------------------------------

    def take(self, pod: Object) -> None:
        """A pod is bound to this node, or has changed."""
        worker = self.workers.get(uid_of(pod))
        if worker is not None:
            self.allocations.take(worker, pod)
            return
        worker = self.workers[uid_of(pod)] = PodWorker(self.host, allocated_by_status(pod))
        is_running = bool(pod.get("status", {}).get("startTime"))
        if not worker.is_finished and (is_running or is_deleting(pod)):
            self.allocations.keep(worker, pod)
        elif not worker.is_finished and (refusal := self.allocations.admit(pod)):
            worker.reject(refusal.reason, refusal.message)
            return
        worker.poke()

    def drop(self, pod: Object) -> None:
        """The pod is gone from the API."""
        if worker := self.workers.get(uid_of(pod)):
            worker.remove()

    def _released(self, worker: PodWorker) -> None:
        self.allocations.release(worker.uid)
        self.host.attachments.release(worker.uid)
        if self.host.followed is not None:
            self.host.followed.release(worker.uid)

    def _forgotten(self, worker: PodWorker) -> None:
        self._released(worker)
        if self.workers.get(worker.uid) is worker:
            del self.workers[worker.uid]


class Agents:
    """All nodes of the process. See the module."""

    def __init__(
        self,
        client: Client,
        *,
        node_names: Sequence[str],
        runtime_factory: RuntimeFactory,
        informers: Informers,
        clock: Clock,
        rng: random.Random,
        events: EventRecorder | None,
        server_port: int = 0,
        node_ip: str = "127.0.0.1",
        capacity: Mapping[str, str] | None = None,
        reserved: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        taints: Sequence[Object] = (),
        pod_cidr_wait_s: float = POD_CIDR_WAIT_S,
        dns: ClusterDns | None = None,
    ) -> None:
        """`server_port` is what Nodes say about the kubelet server (`set_server_port` sets it later); events=None records none."""
        if not node_names or len(set(node_names)) != len(node_names):
            raise ValueError("node_names must name at least one node, each once")
        self._client, self._informers, self._clock, self._rng, self._events = client, informers, clock, rng, events
        self._pod_cidr_wait_s, self._dns = pod_cidr_wait_s, dns or ClusterDns()
        self.reporter = Reporter(client, rng=random.Random(rng.getrandbits(64)))
        self.followed = Followed(client, rng)
        self.nodes: dict[str, NodeAgent] = {}
        alike = NodeFacts(
            name="",
            ips=(node_ip,),
            runtime_version="",
            capacity={**DEFAULT_CAPACITY, **(capacity or {})},
            reserved=reserved or {},
            labels=labels or {},
            taints=taints,
            port=server_port,
        )
        allocatable = allocatable_of(alike)
        for index, name in enumerate(node_names):
            runtime = runtime_factory(clock=clock, rng=rng, node_name=name, node_ip=node_ip, pod_cidr=cidr_of_index(index))
            facts = replace(
                alike,
                name=name,
                runtime_version=f"{runtime.name}://{runtime.version}",
                machine_id=f"{rng.getrandbits(128):032x}",
                boot_id=f"{rng.getrandbits(128):032x}",
            )
            self.nodes[name] = self._node(index, facts, runtime, allocatable)

    def _node(self, index: int, facts: NodeFacts, runtime: RuntimeService, allocatable: Mapping[str, str]) -> NodeAgent:
        heartbeat = Heartbeat(self._client, facts, runtime, clock=self._clock, rng=self._rng, events=self._events)
        host = Host(
            name=facts.name,
            ips=facts.ips,
            runtime=runtime,
            client=self._client,
            clock=self._clock,
            rng=self._rng,
            reporter=self.reporter,
            events=self._events,
            released=lambda worker: None,
            forgotten=lambda worker: None,
            attachments=heartbeat.attachments,
            allocatable=allocatable,
            followed=self.followed,
            dns=self._dns,
        )
        return NodeAgent(host, heartbeat, index)

    def set_server_port(self, port: int) -> None:
        """The kubelet server's port; call it before `run`."""
        for node in self.nodes.values():
            node.heartbeat.set_port(port)

    # --- running ------------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Be the kubelet of all nodes, until cancelled."""
        try:
            await self._register()
            beats = Beats(self._rng)
            for node in self.nodes.values():
                node.heartbeat.begin(beats)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(beats.run(), name="heartbeats")
                tasks.create_task(self._follow_pods(), name="pods")
        finally:
            for node in self.nodes.values():
                await node.close()
            await self.followed.close()
            await self.reporter.close()

    async def _register(self) -> None:
        waiting, answers = iter(self.nodes.values()), Sharing()

        async def register() -> None:
            for node in waiting:
                await node.start()
                answers.share(node.node)  # until the cache has it

        async with asyncio.TaskGroup() as tasks:
            for _ in range(min(REGISTRATIONS_MAX, len(self.nodes))):
                tasks.create_task(register())

    async def _follow_pods(self) -> None:
        nodes = self._informer(NODES, "metadata.name")
        nodes.add_handler(self._on_node)
        await self._wait_for_cidrs()
        services = self._informers.of(SERVICES)
        links = ServiceLinks(services)
        for node in self.nodes.values():
            node.host.links = links
        pods = self._informer(PODS, "spec.nodeName")
        await services.wait_synced()
        await pods.wait_synced()
        for pod in sorted(pods.list(), key=_admission_order):
            self._on_pod(None, pod)
        pods.add_handler(self._on_pod)
        while True:
            for node in self.nodes.values():
                node.allocations.retry()
            await asyncio.sleep(RELOOK_S * (1 + self._rng.random() / 2))
            self._relook()

    def _informer(self, resource: object, field: str) -> Informer:
        """One informer for all nodes: exact when there is one node, else of everything that has one."""
        selector = f"{field}={next(iter(self.nodes))}" if len(self.nodes) == 1 else "spec.nodeName!=" if field == "spec.nodeName" else ""
        return self._informers.of(PODS if resource is PODS else NODES, field_selector=selector)

    async def _wait_for_cidrs(self) -> None:
        try:
            async with asyncio.timeout(self._pod_cidr_wait_s):
                while not all(node.has_cidr for node in self.nodes.values()):
                    await asyncio.sleep(CIDR_LOOK_S)
        except TimeoutError:
            log.info("no podCIDR was assigned to some nodes: they use their own")

    def _relook(self) -> None:
        """Look at every pod whose runtime may end things without an event getting through. Simulated ones never lose any."""
        for node in self.nodes.values():
            if not isinstance(node.host.runtime, SimulatedRuntime):
                for worker in node.workers.values():
                    worker.poke()

    # --- what the API tells ---------------------------------------------------------------------------------------------------

    def _on_node(self, old: Object | None, new: Object | None) -> None:
        if new is not None and (node := self.nodes.get(name_of(new))):
            node.observed(new)

    def _on_pod(self, old: Object | None, new: Object | None) -> None:
        pod = new if new is not None else old
        node = self.nodes.get((pod or {}).get("spec", {}).get("nodeName") or "")
        if node is None or pod is None:
            return
        if new is None:
            node.drop(pod)
        else:
            if old is not None and uid_of(old) != uid_of(new):
                node.drop(old)
            self.reporter.observed(new)
            node.take(new)

    # --- for the server ---------------------------------------------------------------------------------------------------------

    def worker_of(self, namespace: str, name: str) -> PodWorker | None:
        """The worker of the pod with that name, on whichever node it is."""
        key = f"{namespace}/{name}"
        for node in self.nodes.values():
            for worker in node.workers.values():
                if worker.key == key:
                    return worker
        return None

    def pods(self) -> Iterable[Object]:
        """All pods of all nodes, as last seen."""
        return (worker.pod for node in self.nodes.values() for worker in node.workers.values())


def _admission_order(pod: Object) -> tuple[bool, str, str]:
    """Pods that run already come first, then the oldest."""
    is_new = not pod.get("status", {}).get("startTime") and pod.get("status", {}).get("phase") not in TERMINAL_PHASES
    return is_new, pod["metadata"].get("creationTimestamp") or "", key_of(pod)
