"""The controller manager: all controllers in one process, sharing one set of informers.

`run_manager` is what `python -m controllers manager` runs while it leads. Which controllers there are: `registry.py`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable

from kube.client.client import Client
from kube.client.informer import Informers
from kube.clock import Clock
from kube.runtime.controller import run_controller
from kube.runtime.events import EventRecorder

from .registry import CONTROLLERS, Options, select

ALL = ("*",)


async def run_manager(
    client: Client, *, clock: Clock, rng: random.Random, controllers: Iterable[str] = ALL, options: Options | None = None
) -> None:
    """Run the selected controllers until cancelled. `controllers` is what the flag `--controllers` says; raises UnknownController."""
    names = select(controllers)
    given = options or Options()
    informers = Informers(client, rng=_new(rng))
    recorders: dict[str, EventRecorder] = {}
    async with asyncio.TaskGroup() as tasks:
        for name in names:
            registered = CONTROLLERS[name]
            events = recorders.get(registered.component)
            if events is None:
                events = EventRecorder(client, component=registered.component, clock=clock, rng=_new(rng))
                recorders[registered.component] = events
                tasks.create_task(events.run(), name=f"{registered.component} events")
            loop = run_controller(
                registered(given), client=client, informers=informers, clock=clock, rng=_new(rng), events=events, workers=registered.workers
            )
            tasks.create_task(loop, name=name)
        tasks.create_task(informers.run(), name="informers")


def _new(rng: random.Random) -> random.Random:
    """A generator of its own for each part, so that what one does changes nothing for the others."""
    return random.Random(rng.getrandbits(64))
