"""How promises of a store are registered as scenarios, and who watches that they are kept. Nothing here is a promise."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from apiserver.store.base import (
    Event,
    KeyValue,
    Store,
)

Scenario = Callable[[Store], Awaitable[None]]
SCENARIOS: dict[str, Scenario] = {}
PODS = "/registry/pods/"


def promise(text: str) -> Callable[[Scenario], Scenario]:
    """Register a scenario under the sentence that it holds the store to."""

    def register(scenario: Scenario) -> Scenario:
        assert text not in SCENARIOS
        SCENARIOS[text] = scenario
        return scenario

    return register


class Cache:
    """A subscriber that checks what it is told: its prefix only, in order, nothing twice; `state` is the world it believes in."""

    def __init__(self, prefix: str, after: int) -> None:
        self.prefix, self.newest = prefix, after
        self.events: list[Event] = []
        self.state: dict[str, KeyValue] = {}

    def deliver(self, events: Sequence[Event]) -> None:
        assert events, "deliver is called with one or more events"
        for event in events:
            kv = event.kv
            assert kv.key.startswith(self.prefix)
            assert kv.mod_revision > self.newest
            self.newest = kv.mod_revision
            self.events.append(event)
            if event.deleted:
                self.state.pop(kv.key, None)
            else:
                self.state[kv.key] = kv

    def revisions(self) -> list[int]:
        return [event.kv.mod_revision for event in self.events]


def follow(store: Store, prefix: str, *, after: int) -> Cache:
    cache = Cache(prefix, after)
    store.subscribe(prefix, after=after, deliver=cache.deliver)
    return cache


async def keys(store: Store, prefix: str, *, revision: int = 0) -> list[str]:
    return [kv.key for kv in (await store.list(prefix, revision=revision)).items]
