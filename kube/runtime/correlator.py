"""Which events are worth recording, and which only count: pure, time is an argument.

The same event again becomes a higher count of the first one; ten events that differ only by message become one "combined" event; one source
may tell of one object 25 times at once and then once in five minutes. Source: client-go `tools/record/events_cache.go`.

What is remembered of thousands of events is little: digests in the place of what they have in common, and of the first of them its name,
its time and how often it came.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Generic, TypeVar

from kube.objects import Object
from kube.runtime.rates import TokenBucket

ENTRIES_MAX = 4096
SIMILAR_MAX = 10
SIMILAR_S = 600.0
SPAM_BURST = 25
SPAM_QPS = 1 / 300
_FIELDS = ("kind", "namespace", "name", "uid", "apiVersion")
COMBINED = "(combined from similar events): "

V = TypeVar("V")


class _Recent(Generic[V]):
    """The values of the keys used last, at most ENTRIES_MAX."""

    def __init__(self) -> None:
        self._values: OrderedDict[bytes, V] = OrderedDict()

    def get(self, key: bytes) -> V | None:
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def get_or_put(self, key: bytes, make: Callable[[], V]) -> V:
        value = self.get(key)
        if value is None:
            value = make()
            self.put(key, value)
        return value

    def put(self, key: bytes, value: V) -> None:
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > ENTRIES_MAX:
            self._values.popitem(last=False)


@dataclass(slots=True)
class _Similar:
    """Events that differ by message only: the digests of the messages, the oldest first."""

    messages: tuple[bytes, ...] = ()
    last: float = float("-inf")


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was recorded under one key, as it is known to be on the server."""

    name: str
    first: str
    count: int


class Correlator:
    """Decides on one event after the other."""

    def __init__(self) -> None:
        self._similar: _Recent[_Similar] = _Recent()
        self._seen: _Recent[_Seen] = _Recent()
        self._spam: _Recent[TokenBucket] = _Recent()

    def correlate(self, event: Object, now: float) -> tuple[Object, bool] | None:
        """(the event to record, whether it is there already and has a new count); None when it is one too many. Does not change `event`."""
        about = _about(event)
        event, key = self._aggregated(event, about, now)
        before = self._seen.get(key)
        if before is not None:
            metadata = event["metadata"] | {"name": before.name}
            event = event | {"metadata": metadata, "firstTimestamp": before.first, "count": before.count + 1}
        self._seen.put(key, _Seen(event["metadata"]["name"], event["firstTimestamp"], event["count"]))
        bucket = self._spam.get_or_put(_digest(*about), lambda: TokenBucket(qps=SPAM_QPS, burst=SPAM_BURST))
        return (event, before is not None) if bucket.take(now) else None

    def _aggregated(self, event: Object, about: tuple[str, ...], now: float) -> tuple[Object, bytes]:
        """The event, or the combined one in its place, and the key it is counted under."""
        group = (*about, event["type"], event["reason"], event["reportingComponent"], event["reportingInstance"])
        message = _digest(event["message"])
        similar = self._similar.get_or_put(_digest(*group), _Similar)
        if now - similar.last > SIMILAR_S:
            similar.messages = ()
        if message not in similar.messages:
            similar.messages = (*similar.messages, message)
        similar.last = now
        if len(similar.messages) < SIMILAR_MAX:
            return event, _digest(*group, event["involvedObject"].get("fieldPath", ""), event["message"])
        similar.messages = similar.messages[1:]
        return event | {"message": COMBINED + event["message"]}, _digest(*group)


def _about(event: Object) -> tuple[str, ...]:
    """Who tells, and of what."""
    source, about = event["source"], event["involvedObject"]
    return source.get("component", ""), source.get("host", ""), *(about.get(each, "") for each in _FIELDS)


def _digest(*parts: str) -> bytes:
    return blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).digest()
