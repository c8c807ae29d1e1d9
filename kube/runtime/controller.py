"""The shape of every control loop: informers fill a queue with keys, workers look at the world again for each key.

A controller says what it watches (`start`) and what to do for a key (`reconcile`); `run_controller` does the rest: it waits for
the first lists, runs the workers, retries with back-off and counts. Read `queue.py` for what the queue promises.
"""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from kube.client.client import Client
from kube.client.informer import Informers
from kube.clock import Clock
from kube.errors import Conflict, NotFound
from kube.runtime import metrics
from kube.runtime.events import EventRecorder
from kube.runtime.queue import WorkQueue

__all__ = ["Controller", "Run", "Ticking", "run_controller"]


@dataclass(frozen=True, slots=True)
class Run:
    """What a controller is given to work with."""

    client: Client
    informers: Informers
    queue: WorkQueue
    clock: Clock
    rng: random.Random
    events: EventRecorder
    log: logging.Logger


class Controller(Protocol):
    """See the module."""

    name: str
    """As in upstream's `--controllers` flag and metrics: `deployment`."""

    def start(self, run: Run) -> None:
        """Register informers and their handlers: `run.informers.of(PODS).add_handler(lambda old, new: run.queue.add(...))`."""
        ...

    async def reconcile(self, key: str) -> float | None:
        """Look at the world again and do what is missing; the seconds after which to look once more, or None.

        Raising means: again, after a back-off. Conflict and NotFound are nothing to speak of; all else is logged."""
        ...


@runtime_checkable
class Ticking(Protocol):
    """A controller that also sweeps, every `tick_s` seconds."""

    tick_s: float

    async def tick(self) -> None: ...


async def run_controller(
    controller: Controller,
    *,
    client: Client,
    informers: Informers,
    clock: Clock,
    rng: random.Random,
    events: EventRecorder,
    workers: int = 5,
) -> None:
    """Run a controller until cancelled. The informers must be run by someone else."""
    queue = WorkQueue(rng=rng, name=controller.name)
    asked = informers.scoped()
    log = logging.getLogger(f"controller.{controller.name}")
    run = Run(client=client, informers=asked, queue=queue, clock=clock, rng=rng, events=events, log=log)
    running = metrics.RUNNING_CONTROLLERS.labels(controller.name, "")
    try:
        controller.start(run)
        await asked.wait_synced()
        running.set(1)
        async with asyncio.TaskGroup() as tasks:
            for number in range(workers):
                tasks.create_task(_Worker(controller, queue, log).run(), name=f"{controller.name} worker {number}")
            if isinstance(controller, Ticking):
                tasks.create_task(_tick(controller, log), name=f"{controller.name} tick")
    finally:
        running.set(0)
        queue.shut_down()


class _Worker:
    """Takes keys from the queue, one after the other."""

    def __init__(self, controller: Controller, queue: WorkQueue, log: logging.Logger) -> None:
        self._controller, self._queue, self._log = controller, queue, log
        name = controller.name
        self._results = {result: metrics.RECONCILES.labels(name, result) for result in ("success", "requeue_after", "error")}
        self._errors = metrics.RECONCILE_ERRORS.labels(name)

    async def run(self) -> None:
        while True:
            key = await self._queue.get()
            try:
                await self._reconcile(key)
            finally:
                self._queue.done(key)

    async def _reconcile(self, key: str) -> None:
        try:
            again_s = await self._controller.reconcile(key)
        except Exception as error:
            end_if_cancelled(error)
            self._failed(key, error)
            return
        self._queue.forget(key)
        if again_s is not None:
            self._queue.add_after(key, again_s)
        self._results["success" if again_s is None else "requeue_after"].inc()

    def _failed(self, key: str, error: Exception) -> None:
        self._queue.add_rate_limited(key)
        self._results["error"].inc()
        self._errors.inc()
        if not isinstance(error, Conflict | NotFound):
            log_failure(self._log, f"reconciling {key!r} failed", error)


def end_if_cancelled(error: Exception) -> None:
    """Raise CancelledError where the task was told to end, and `error`, raised on the way out, has taken its place."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError from error


def log_failure(log: logging.Logger, what: str, error: Exception) -> None:
    """An error of the world in one line, one of ours with its traceback."""
    from_the_world = getattr(error, "http_code", None) is not None or isinstance(error, OSError)
    log.warning("%s: %s", what, error, exc_info=None if from_the_world else error)


async def _tick(controller: Ticking, log: logging.Logger) -> None:
    while True:
        await asyncio.sleep(controller.tick_s)
        try:
            await controller.tick()
        except Exception as error:
            end_if_cancelled(error)
            log_failure(log, "a sweep failed", error)
