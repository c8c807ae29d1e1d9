"""Which events are worth recording, and which only count: pure, time is an argument.

The same event again becomes a higher count of the first one; ten events that differ only by message become one "combined" event; one source
may tell of one object 25 times at once and then once in five minutes. Source: client-go `tools/record/events_cache.go`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from kube.objects import Object
from kube.runtime.rates import TokenBucket

ENTRIES_MAX = 4096
SIMILAR_MAX = 10
SIMILAR_S = 600.0
SPAM_BURST = 25
SPAM_QPS = 1 / 300
COMBINED = "(combined from similar events): "

V = TypeVar("V")


class _Recent(Generic[V]):
    """The values of the keys used last, at most ENTRIES_MAX."""

    def __init__(self) -> None:
        self._values: OrderedDict[tuple[str, ...], V] = OrderedDict()

    def get(self, key: tuple[str, ...]) -> V | None:
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def get_or_put(self, key: tuple[str, ...], make: Callable[[], V]) -> V:
        value = self.get(key)
        if value is None:
            value = make()
            self.put(key, value)
        return value

    def put(self, key: tuple[str, ...], value: V) -> None:
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > ENTRIES_MAX:
            self._values.popitem(last=False)


@dataclass(slots=True)
class _Similar:
    """Events that differ by message only."""

    messages: dict[str, None] = field(default_factory=dict)
    last: float = float("-inf")


@dataclass(slots=True)
class Seen:
    """What was recorded under one key: the event as it is known to be on the server."""

    event: Object
    count: int


class Correlator:
    """Decides on one event after the other."""

    def __init__(self) -> None:
        self._similar: _Recent[_Similar] = _Recent()
        self._seen: _Recent[Seen] = _Recent()
        self._spam: _Recent[TokenBucket] = _Recent()

    def correlate(self, event: Object, now: float) -> tuple[Object, bool] | None:
        """(the event to record, whether it is there already and has a new count); None when it is one too many. Does not change `event`."""
        event, key = self._aggregated(event, now)
        before = self._seen.get(key)
        if before is not None:
            first = before.event
            event = {
                **event,
                "metadata": first["metadata"],
                "firstTimestamp": first["firstTimestamp"],
                "count": before.count + 1,
            }
        self._seen.put(key, Seen(event, event["count"]))
        bucket = self._spam.get_or_put(_object_key(event), lambda: TokenBucket(qps=SPAM_QPS, burst=SPAM_BURST))
        return (event, before is not None) if bucket.take(now) else None

    def _aggregated(self, event: Object, now: float) -> tuple[Object, tuple[str, ...]]:
        """The event, or the combined one in its place, and the key it is counted under."""
        group = (*_object_key(event), event["type"], event["reason"], event["reportingComponent"], event["reportingInstance"])
        similar = self._similar.get_or_put(group, _Similar)
        if now - similar.last > SIMILAR_S:
            similar.messages.clear()
        similar.messages[event["message"]] = None
        similar.last = now
        if len(similar.messages) < SIMILAR_MAX:
            return event, (*group, event["involvedObject"].get("fieldPath", ""), event["message"])
        del similar.messages[next(iter(similar.messages))]
        return {**event, "message": COMBINED + event["message"]}, group


def _object_key(event: Object) -> tuple[str, ...]:
    """Who tells, and of what."""
    source, about = event["source"], event["involvedObject"]
    fields = ("kind", "namespace", "name", "uid", "apiVersion")
    return (source.get("component", ""), source.get("host", ""), *(about.get(each, "") for each in fields))
