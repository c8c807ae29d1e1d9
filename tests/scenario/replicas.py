"""Two replicas of every loop, as processes would be: each with its own line to the server, leader election, and somebody who starts it
again when it ends. `kill` is kill -9: the line is cut first, so that nothing is tidied up through the API.

What runs is `kube.runtime.component.Component`, as in `python -m controllers ... --leader-elect`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from controllers.cloud.local_cloud import LocalCloud
from controllers.cloud.registry import controllers_of
from controllers.manager.manager import run_manager
from controllers.running import run_controllers
from controllers.scheduler.scheduler import Scheduler
from kube.client.client import Client
from kube.client.config import ClientConfig
from kube.client.informer import Informers
from kube.client.transport import Answer, ConnectionFailed, StreamAnswer, Transport
from kube.runtime.component import Component
from kube.runtime.election import LeadershipLost
from kube.runtime.events import EventRecorder
from wherry.in_process import InProcessCluster

Work = Callable[[Component, "Line"], Coroutine[object, object, None]]
RESTART_S = 1.0
"""So long after a process has ended by itself its keeper starts it again."""


class Line:
    """One process's way to the server. Cut, it carries nothing, and what is under way is lost."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self._cut = asyncio.Event()

    def cut(self) -> None:
        self._cut.set()

    async def request(
        self, method: str, target: str, *, headers: Mapping[str, str], body: bytes | None = None, timeout_s: float | None = 60
    ) -> Answer:
        cut = self._cut
        if cut.is_set():
            await asyncio.sleep(0)
            raise ConnectionFailed("no route to host")
        answer = await self._inner.request(method, target, headers=headers, body=body, timeout_s=timeout_s)
        if cut.is_set():
            raise ConnectionFailed("no route to host")
        return answer

    @asynccontextmanager
    async def stream(self, method: str, target: str, *, headers: Mapping[str, str]) -> AsyncIterator[StreamAnswer]:
        if self._cut.is_set():
            await asyncio.sleep(0)
            raise ConnectionFailed("no route to host")
        async with self._inner.stream(method, target, headers=headers) as answer:
            yield answer

    async def close(self) -> None:
        self.cut()


@dataclass(slots=True)
class Leaders:
    """Who leads each loop, now and until when; two at once are noted in `doubled`."""

    doubled: list[str] = field(default_factory=list)
    of: dict[str, list[str]] = field(default_factory=dict)
    vacant_since: dict[str, float] = field(default_factory=dict)
    vacant_s: list[float] = field(default_factory=list)
    """How long nobody led, each time that somebody followed."""

    def begins(self, component: str, replica: str) -> None:
        leading = self.of.setdefault(component, [])
        leading.append(replica)
        if len(leading) > 1:
            self.doubled.append(f"{leading} lead at once")
        if component in self.vacant_since:
            self.vacant_s.append(asyncio.get_running_loop().time() - self.vacant_since.pop(component))

    def ends(self, component: str, replica: str) -> None:
        self.of[component].remove(replica)
        self.vacant_since[component] = asyncio.get_running_loop().time()


class Replicas:
    """All processes, by name: `kube-scheduler 0`, `kube-scheduler 1`, ..."""

    def __init__(self, cluster: InProcessCluster, rng: random.Random, works: Mapping[str, Work]) -> None:
        self._cluster, self._rng, self._works = cluster, rng, works
        self.leaders = Leaders()
        self.names = [f"{component} {number}" for component in works for number in range(2)]
        self._lines: dict[str, Line] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, name: str) -> None:
        self._tasks[name] = asyncio.create_task(self._keep(name), name=name)

    async def kill(self, name: str) -> None:
        """kill -9."""
        self._lines[name].cut()
        await self.stop(name)

    async def stop(self, name: str) -> None:
        """SIGTERM: it may release its lease."""
        task = self._tasks.pop(name)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    def cut(self, name: str) -> None:
        """Nothing of it reaches the server any more, nor anything of the server it, until it ends and is started again."""
        self._lines[name].cut()

    def check(self) -> None:
        for task in self._tasks.values():
            if task.done():
                task.result()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Replicas]:
        for name in self.names:
            self.start(name)
        try:
            yield self
            self.check()
        finally:
            for name in list(self._tasks):
                await self.kill(name)

    async def _keep(self, name: str) -> None:
        """Run the process, and run it again whenever it ends because it no longer leads."""
        while True:
            with suppress(LeadershipLost):
                await self._run(name)
            await asyncio.sleep(RESTART_S)

    async def _run(self, name: str) -> None:
        component = name.partition(" ")[0]
        line = self._lines[name] = Line(self._cluster.transport)
        rng = random.Random(self._rng.getrandbits(64))
        client = Client(line, user_agent=name, token=f"{self._cluster.secret}-{component}", clock=self._cluster.clock, rng=rng)
        events = EventRecorder(client, component=component, clock=self._cluster.clock, rng=rng)
        config = ClientConfig(server="https://localhost")
        process = Component(component, config, client, Informers(client, rng=rng), events, self._cluster.clock, rng)

        async def work(process: Component) -> None:
            self.leaders.begins(component, name)
            try:
                await self._works[component](process, line)
            finally:
                self.leaders.ends(component, name)

        await process.run(work, elect=True)


def loops(cluster: InProcessCluster, controllers: Sequence[str]) -> dict[str, Work]:
    """Every loop there is; of the manager these controllers (as in --controllers)."""

    async def manager(process: Component, line: Line) -> None:
        accounts = cluster.account_clients(line)
        await run_manager(process.client, clock=process.clock, rng=process.rng, controllers=controllers, client_of=accounts)

    async def scheduler(process: Component, _line: Line) -> None:
        await Scheduler(process.client, process.informers, clock=process.clock, rng=process.rng, events=process.events).run()

    async def cloud(process: Component, _line: Line) -> None:
        await run_controllers(controllers_of(LocalCloud()), None, process.client, clock=process.clock, rng=process.rng)

    return {"kube-controller-manager": manager, "kube-scheduler": scheduler, "cloud-controller-manager": cloud}
