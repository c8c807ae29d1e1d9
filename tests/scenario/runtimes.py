"""Simulated runtimes that see whether two pods of one name ever run at once, on whatever nodes."""

from __future__ import annotations

import random

from kube.clock import Clock
from kube.objects import Object, key_of, uid_of
from kubelet.runtime.base import OwnFiles, SandboxConfig, SandboxStatus
from kubelet.runtime.simulated import SimulatedRuntime


class Runtimes:
    """Makes each node's runtime; `doubled` says who ran twice."""

    def __init__(self) -> None:
        self.doubled: list[str] = []
        self._running: dict[str, tuple[str, str]] = {}
        """By pod uid: its key and its node."""

    def __call__(self, *, clock: Clock, rng: random.Random, node_name: str, node_ip: str, pod_cidr: str) -> SimulatedRuntime:
        self._running = {uid: seen for uid, seen in self._running.items() if seen[1] != node_name}  # `restore` says what still is
        return _WatchedRuntime(self, clock=clock, rng=rng, node_name=node_name, node_ip=node_ip, pod_cidr=pod_cidr)

    def runs(self, pod: Object, node: str) -> None:
        others = [seen[1] for uid, seen in self._running.items() if seen[0] == key_of(pod) and uid != uid_of(pod)]
        self.doubled += [f"{key_of(pod)} runs on {other} and, anew, on {node}" for other in others]
        self._running[uid_of(pod)] = (key_of(pod), node)

    def has_ended(self, uid: str) -> None:
        self._running.pop(uid, None)


class _WatchedRuntime(SimulatedRuntime):
    def __init__(self, runtimes: Runtimes, *, clock: Clock, rng: random.Random, node_name: str, node_ip: str, pod_cidr: str) -> None:
        super().__init__(clock=clock, rng=rng, node_name=node_name, node_ip=node_ip, pod_cidr=pod_cidr)
        self._seen_by = runtimes

    async def restore(self, pod: Object, own_files: OwnFiles | None = None) -> None:
        await super().restore(pod, own_files)
        if await self.list_pod_sandboxes(uid_of(pod)):
            self._seen_by.runs(pod, self._node_name)

    async def run_pod_sandbox(self, config: SandboxConfig) -> SandboxStatus:
        self._seen_by.runs(config.pod, self._node_name)
        return await super().run_pod_sandbox(config)

    async def stop_pod_sandbox(self, sandbox_id: str) -> None:
        known = self._sandboxes.get(sandbox_id)
        await super().stop_pod_sandbox(sandbox_id)
        if known is not None and known.sandbox.id == sandbox_id:
            self._seen_by.has_ended(known.uid)
