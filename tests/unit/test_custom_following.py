"""Events that wait for a webhook: in order, many at once, bounded, and ended by what cannot be converted."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from apiserver.kinds.custom.following import TOGETHER_MAX, WAITING_BYTES_MAX, WAITING_EVENTS_MAX, Following, Unconverted
from apiserver.store.base import Compacted, Deliver, Event
from apiserver.store.memory import MemoryStore
from apiserver.store.subscribers import Subscriber
from kube.clock import LoopClock
from kube.errors import ApiError, InternalError, TooManyRequests

PREFIX = "/registry/x/"


class World:
    """A store, what follows it, and a webhook that waits until it is let go. Values that begin with `!` need it; `!!` it refuses."""

    def __init__(self) -> None:
        self.store = MemoryStore(LoopClock())
        self.told: list[list[str]] = []
        self.asked: list[int] = []
        self.go = asyncio.Event()
        self.following = Following(self._at_once, self._later, lambda events: self.told.append(_values(events)))

    def _at_once(self, events: Sequence[Event]) -> list[Event] | None:
        return None if any(each.kv.value.startswith(b"!") for each in events) else list(events)

    async def _later(self, events: Sequence[Event]) -> list[Event]:
        self.asked.append(len(events))
        await self.go.wait()
        if any(each.kv.value == b"!!" for each in events):
            raise ApiError("no", code=500, reason="")
        return list(events)

    async def write(self, *values: bytes) -> int:
        revision = 0
        for value in values:
            revision = await self.store.create(f"{PREFIX}{await self.store.revision()}", value)
        return revision


def _values(events: Sequence[Event]) -> list[str]:
    return [each.kv.value.decode() for each in events]


async def test_what_needs_no_webhook_is_delivered_at_once() -> None:
    world = World()
    world.following.begin(world.store, PREFIX, 1)
    await world.write(b"a")
    assert (world.told, world.following.waits) == ([["a"]], False)
    await world.following.until(2)


async def test_what_comes_later_waits_its_turn_and_goes_together() -> None:
    world = World()
    world.following.begin(world.store, PREFIX, 1)
    last = await world.write(b"!a", b"b", b"!c")
    assert (world.told, world.following.waits) == ([], True)
    waiting = asyncio.create_task(world.following.until(last))
    earlier = asyncio.create_task(world.following.until(1))
    await asyncio.sleep(0)
    assert (waiting.done(), earlier.done()) == (False, True)
    world.go.set()
    await waiting
    assert [value for some in world.told for value in some] == ["!a", "b", "!c"]
    await world.write(b"d")
    assert world.told[-1] == ["d"]
    world.following.cancel()


async def test_no_more_than_so_many_are_converted_together() -> None:
    world = World()
    await world.write(*[b"!"] * (TOGETHER_MAX + 1))
    world.go.set()
    world.following.begin(world.store, PREFIX, 1)
    await world.following.until(await world.store.revision())
    assert max(world.asked) <= TOGETHER_MAX
    assert sum(map(len, world.told)) == TOGETHER_MAX + 1


async def test_what_cannot_be_converted_ends_it() -> None:
    world = World()
    world.following.begin(world.store, PREFIX, 1)
    last = await world.write(b"!a", b"!!", b"c")
    waiting = asyncio.create_task(world.following.until(last))
    await asyncio.sleep(0)
    world.go.set()
    with pytest.raises(ApiError, match="no"):
        await waiting
    assert isinstance(world.following.failed, Unconverted)
    assert world.told[-1] == [], "the subscriber is told"
    await world.write(b"d")
    assert world.told[-1] == [], "and nothing more"


@pytest.mark.parametrize(
    ("value", "count"), [(b"!", WAITING_EVENTS_MAX + 1), (b"!" * (WAITING_BYTES_MAX // 4), 5)], ids=["too many events", "too many bytes"]
)
async def test_too_much_that_waits_ends_it(value: bytes, count: int) -> None:
    world = World()
    world.following.begin(world.store, PREFIX, 1)
    await world.write(*[value] * count)
    assert world.told == [[]]
    with pytest.raises(TooManyRequests):
        await world.following.until(await world.store.revision())
    world.go.set()
    await asyncio.sleep(0)
    assert world.told == [[]]


async def test_what_ends_in_the_store_has_failed_here(monkeypatch: pytest.MonkeyPatch) -> None:
    world, found = World(), list[Subscriber]()
    subscribe = world.store.subscribe

    def noting(prefix: str, *, after: int, deliver: Deliver) -> Subscriber:
        made = subscribe(prefix, after=after, deliver=deliver)
        assert isinstance(made, Subscriber)
        found.append(made)
        return made

    monkeypatch.setattr(world.store, "subscribe", noting)
    world.following.begin(world.store, PREFIX, 1)
    assert world.following.failed is None
    found[0].fail(Compacted(7))
    assert isinstance(world.following.failed, Compacted)


async def test_a_mistake_of_ours_leaves_nobody_waiting(caplog: pytest.LogCaptureFixture) -> None:
    world = World()

    async def broken(_events: Sequence[Event]) -> list[Event]:
        raise KeyError("metadata")

    following = Following(lambda _events: None, broken, lambda _events: None)
    following.begin(world.store, PREFIX, 1)
    with pytest.raises(InternalError):
        await following.until(await world.write(b"a"))
    assert "KeyError" in caplog.text


async def test_who_has_gone_is_told_nothing() -> None:
    world = World()
    world.following.begin(world.store, PREFIX, 1)
    await world.write(b"!a")
    await asyncio.sleep(0)
    world.following.cancel()
    world.go.set()
    await asyncio.sleep(0)
    assert (world.told, world.following.failed) == ([], None)
