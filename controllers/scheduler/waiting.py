"""Pods that have a node, but wait for permission to be bound. Whoever made them wait allows or rejects them; time rejects them, too.

Source: `pkg/scheduler/framework/runtime/waiting_pods_map.go`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping

from controllers.scheduler.framework import Code, Rejection
from controllers.scheduler.pod_info import PodInfo
from kube.schema.gotime import format_duration

TIMEOUT_S_MAX = 900.0


class WaitingPod:
    """`plugins`: those that have to allow it, and for how many seconds each may take."""

    def __init__(self, pod: PodInfo, node: str, plugins: Mapping[str, float]) -> None:
        self.pod, self.node = pod, node
        self._pending = {name: min(timeout_s, TIMEOUT_S_MAX) for name, timeout_s in plugins.items()}
        self._told: asyncio.Future[Rejection | None] = asyncio.get_running_loop().create_future()

    @property
    def pending(self) -> frozenset[str]:
        """The plugins that have not allowed it yet."""
        return frozenset(self._pending)

    def allow(self, plugin: str) -> None:
        """The plugin has nothing against it any more; when none has, it is bound."""
        self._pending.pop(plugin, None)
        if not self._pending and not self._told.done():
            self._told.set_result(None)

    def reject(self, plugin: str, message: str) -> None:
        """It is not bound, and goes back to the queue."""
        if not self._told.done():
            self._told.set_result(Rejection(plugin, Code.UNSCHEDULABLE, (message,)))

    async def outcome(self) -> Rejection | None:
        """Wait until it is decided; None when it may be bound."""
        loop = asyncio.get_running_loop()
        timers = [loop.call_later(timeout_s, self._time_is_up, name, timeout_s) for name, timeout_s in self._pending.items()]
        try:
            return await self._told
        finally:
            for timer in timers:
                timer.cancel()

    def _time_is_up(self, plugin: str, timeout_s: float) -> None:
        if plugin in self._pending:
            waited = format_duration(round(timeout_s * 1e9))
            self.reject(plugin, f"rejected due to timeout after waiting {waited} at plugin {plugin}")


class WaitingPods:
    """By pod key. Plugins are given it with their parts."""

    def __init__(self) -> None:
        self._pods: dict[str, WaitingPod] = {}

    def __iter__(self) -> Iterator[WaitingPod]:
        return iter(list(self._pods.values()))

    def get(self, key: str) -> WaitingPod | None:
        return self._pods.get(key)

    def put(self, waiting: WaitingPod) -> None:
        self._pods[waiting.pod.key] = waiting

    def remove(self, waiting: WaitingPod) -> None:
        if self._pods.get(waiting.pod.key) is waiting:
            del self._pods[waiting.pod.key]
