"""Running several controllers in one process, sharing one set of informers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from typing import TypeVar

from controllers.selection import Registered
from kube.client.client import Client
from kube.client.informer import Informers
from kube.clock import Clock
from kube.runtime.controller import run_controller
from kube.runtime.events import EventRecorder

O = TypeVar("O")  # noqa: E741 - as in selection.py


async def run_controllers(
    chosen: Mapping[str, Registered[O]],
    options: O,
    client: Client,
    *,
    clock: Clock,
    rng: random.Random,
    client_of: Callable[[str], Client] | None = None,
) -> None:
    """Make these controllers and run them until cancelled. Those whose events have the same source share its recorder.

    `client` is what all of them look through; `client_of` says for a controller's name which one it acts with, if that is another."""
    informers = Informers(client, rng=_new(rng))
    recorders: dict[str, EventRecorder] = {}
    async with asyncio.TaskGroup() as tasks:
        for name, registered in chosen.items():
            acting = client_of(name) if client_of is not None else client
            events = recorders.get(registered.component)
            if events is None:
                events = EventRecorder(acting, component=registered.component, clock=clock, rng=_new(rng))
                recorders[registered.component] = events
                tasks.create_task(events.run(), name=f"{registered.component} events")
            loop = run_controller(
                registered(options),
                client=acting,
                informers=informers,
                clock=clock,
                rng=_new(rng),
                events=events,
                workers=registered.workers,
            )
            tasks.create_task(loop, name=name)
        tasks.create_task(informers.run(), name="informers")


def _new(rng: random.Random) -> random.Random:
    """A generator of its own for each part, so that what one does changes nothing for the others."""
    return random.Random(rng.getrandbits(64))
