"""The controller manager: all controllers in one process.

`run_manager` is what `python -m controllers manager` runs while it leads. Which controllers there are: `registry.py`.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

from controllers.running import run_controllers
from kube.client.client import Client
from kube.clock import Clock

from .accounts import ClientOf
from .registry import CONTROLLERS, Options, select

ALL = ("*",)


async def run_manager(
    client: Client,
    *,
    clock: Clock,
    rng: random.Random,
    controllers: Iterable[str] = ALL,
    options: Options | None = None,
    client_of: ClientOf | None = None,
) -> None:
    """Run the selected controllers until cancelled. `controllers` is what the flag `--controllers` says; raises UnknownController.

    `client_of` is for controllers that act as somebody else than `client` (`accounts.py`)."""
    options = options or Options()
    chosen = {name: CONTROLLERS[name] for name in select(controllers) if CONTROLLERS[name].gate in {"", *options.gates}}
    await run_controllers(chosen, options, client, clock=clock, rng=rng, client_of=client_of)
