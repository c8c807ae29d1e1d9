"""A subscription whose events are converted before they are delivered: in order, many in one call, and at once where nothing waits.

Bounded: events wait while a webhook is called, up to a number of them and of bytes. Beyond that, or when a conversion fails, the
subscription has failed; its subscriber is told by a delivery of nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from apiserver.store.base import Deliver, Event, Store, StoreError, Subscription
from kube.errors import ApiError, InternalError, TooManyRequests

log: Final = logging.getLogger("wherry.apiserver")
WAITING_EVENTS_MAX: Final = 10_000
WAITING_BYTES_MAX: Final = 32 << 20
TOGETHER_MAX: Final = 500

AtOnce = Callable[[Sequence[Event]], list[Event] | None]
"""The events as they are to be delivered; None where a webhook has to be called for that."""

Later = Callable[[Sequence[Event]], Awaitable[list[Event]]]
"""The same, whatever it takes. Raises ApiError."""


class Unconverted(StoreError):
    """An event could not be converted. `error` is what requests are told."""

    def __init__(self, error: ApiError) -> None:
        super().__init__(error.message)
        self.error = error


class Following:
    """See the module. `begin` it; a `Subscription`."""

    def __init__(self, at_once: AtOnce, later: Later, deliver: Deliver) -> None:
        self._failed: Unconverted | None = None
        self._at_once, self._later, self._deliver = at_once, later, deliver
        self._source: Subscription | None = None
        self._waiting: list[Event] = []
        self._waiting_bytes = 0
        self._task: asyncio.Task[None] | None = None
        self._progress = asyncio.Event()
        self._is_over = False

    def begin(self, store: Store, prefix: str, after: int) -> None:
        """Raises Compacted."""
        self._source = store.subscribe(prefix, after=after, deliver=self._take)
        if self._is_over:
            self._source.cancel()

    @property
    def failed(self) -> StoreError | None:
        """What cannot be converted, or why the store has ended it."""
        return self._failed or (self._source.failed if self._source is not None else None)

    @property
    def waits(self) -> bool:
        """Whether there are events that are not delivered yet."""
        return bool(self._waiting)

    async def until(self, revision: int) -> None:
        """Wait until every event up to a revision, the present one or an earlier one, is delivered. Raises ApiError where one cannot be."""
        while self._waiting and self._waiting[0].kv.mod_revision <= revision:
            await self._progress.wait()
        if self._failed is not None:
            raise self._failed.error

    def cancel(self) -> None:
        self._end()
        if self._task is not None:
            self._task.cancel()

    def _end(self) -> None:
        self._is_over = True
        if self._source is not None:
            self._source.cancel()
        self._waiting.clear()
        self._advance()

    def _advance(self) -> None:
        """Wake those who wait for events to be delivered."""
        progress, self._progress = self._progress, asyncio.Event()
        progress.set()

    def _fail(self, error: ApiError) -> None:
        if self._is_over:
            return
        self._failed = Unconverted(error)
        self._end()
        self._deliver([])

    def _take(self, events: Sequence[Event]) -> None:
        if self._is_over:
            return
        if not self._waiting and (found := self._at_once(events)) is not None:
            self._deliver(found)
            return
        self._waiting.extend(events)
        self._waiting_bytes += sum([len(each.kv.value) for each in events])
        if len(self._waiting) > WAITING_EVENTS_MAX or self._waiting_bytes > WAITING_BYTES_MAX:
            self._fail(TooManyRequests("storage is (re)initializing", details={"retryAfterSeconds": 1}))
        elif self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        try:
            while self._waiting:
                some = self._waiting[:TOGETHER_MAX]
                found = await self._later(some)
                if self._is_over:
                    return
                self._deliver(found)
                del self._waiting[: len(some)]
                self._waiting_bytes -= sum([len(each.kv.value) for each in some])
                self._advance()
        except ApiError as error:
            self._fail(error)
        except Exception:
            log.exception("an event of a custom resource could not be converted")
            self._fail(InternalError("Internal error occurred: an object could not be converted"))
        finally:
            self._task = None
