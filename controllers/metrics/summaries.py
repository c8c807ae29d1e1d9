"""The nodes' summaries, kept for as long as they are fresh: whoever asks meanwhile gets the same, and nobody is asked for nobody.

deviates: nodes are asked when somebody wants to know, not every 15 s; upstream's metrics-server scrapes all the time
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from controllers.metrics.summary import Summary, read_summary
from kube.clock import Clock
from kube.errors import ApiError
from kube.objects import Object, name_of

_log = logging.getLogger(__name__)
RESOLUTION_S = 15.0
AT_ONCE_MAX = 64
"""How many nodes are asked at once."""
NODE_S_MAX = 5.0
KEPT_MAX = 100_000

Ask = Callable[[Object], Awaitable[bytes]]
"""async (Node) -> the body of its /stats/summary. Raises OSError, ApiError, TimeoutError."""


@dataclass(frozen=True, slots=True)
class _Kept:
    asked_at: datetime
    summary: Summary | None


class Summaries:
    """See the module. `resolution_s` is for how long a summary is fresh."""

    def __init__(self, ask: Ask, *, clock: Clock, resolution_s: float = RESOLUTION_S) -> None:
        self._ask, self._clock = ask, clock
        self.resolution_s = resolution_s
        self._kept: dict[str, _Kept] = {}
        self._asking: dict[str, asyncio.Task[Summary | None]] = {}
        self._slots = asyncio.Semaphore(AT_ONCE_MAX)

    async def of(self, nodes: Iterable[Object]) -> dict[str, Summary]:
        """The summaries of those nodes that have one, by name."""
        found = list(nodes)
        summaries = await asyncio.gather(*(self._of(node) for node in found))
        return {name_of(node): summary for node, summary in zip(found, summaries, strict=True) if summary is not None}

    async def _of(self, node: Object) -> Summary | None:
        name = name_of(node)
        kept = self._kept.get(name)
        if kept is not None and self._clock.now() - kept.asked_at < timedelta(seconds=self.resolution_s):
            return kept.summary
        asking = self._asking.get(name)
        if asking is None:
            asking = self._asking[name] = asyncio.get_running_loop().create_task(self._asked(node), name=f"summary of {name}")
            asking.add_done_callback(lambda _: self._asking.pop(name, None))
        return await asyncio.shield(asking)

    async def _asked(self, node: Object) -> Summary | None:
        at = self._clock.now()
        summary: Summary | None = None
        try:
            async with self._slots, asyncio.timeout(NODE_S_MAX):
                summary = read_summary(json.loads(await self._ask(node)))
        except (OSError, ApiError, TimeoutError, ValueError) as error:
            _log.warning("node %s: no summary: %s", name_of(node), error or type(error).__name__)
        if len(self._kept) >= KEPT_MAX:
            self._kept.clear()
        self._kept[name_of(node)] = _Kept(at, summary)
        return summary

    async def close(self) -> None:
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
