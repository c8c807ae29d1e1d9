"""Counters, gauges and histograms, and Prometheus' text format. Which ones there are is in `metrics.py`.

For one thread, the event loop's: nothing is locked. This is what components use of Prometheus' own client library, the rest of which
(servers, gateways, metrics of many processes) is 3 MB of modules in each of them.
Source: Prometheus' `docs/instrumenting/exposition_formats.md`; numbers are written as its clients in Go write them.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar, Final, Generic, Protocol, TypeVar

CONTENT_TYPE: Final = "text/plain; version=1.0.0; charset=utf-8"
_PLAIN_MIN, _PLAIN_MAX = 1e-4, 1e6
"""Numbers between these are written without an exponent."""


class Value(Protocol):
    """What a family has for each set of label values."""

    kind: ClassVar[str]

    def samples(self, name: str, labels: str) -> Iterator[str]:
        """Its lines. `labels` are written already, without braces."""
        ...


V = TypeVar("V", bound=Value)


class Family(Generic[V]):
    """A metric by name. `labels` gives the value for some label values, or the only one where it has no labels."""

    def __init__(self, name: str, help: str, label_names: Sequence[str], make: Callable[[], V], kind: str) -> None:
        self.name, self.kind = f"{name}_total" if kind == Counter.kind else name, kind
        self._help, self._label_names, self._make = help, tuple(label_names), make
        self._values: dict[tuple[str, ...], V] = {}
        if not label_names:
            self.labels()

    def labels(self, *values: str) -> V:
        """Raises ValueError for another number of values than there are label names."""
        found = self._values.get(values)
        if found is None:
            if len(values) != len(self._label_names):
                raise ValueError(f"{self.name} has the labels {self._label_names}, not {values}")
            found = self._values[values] = self._make()
        return found

    def lines(self) -> Iterator[str]:
        yield from head(self.name, self.kind, self._help)
        for values, each in self._values.items():
            yield from each.samples(self.name, labelled(zip(self._label_names, values, strict=True)))


class Counter:
    """A number that only grows."""

    kind: ClassVar[str] = "counter"
    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, amount: float = 1) -> None:
        self.value += amount

    def samples(self, name: str, labels: str) -> Iterator[str]:
        yield sample(name, labels, self.value)


class Gauge:
    """A number that is what it is now."""

    kind: ClassVar[str] = "gauge"
    __slots__ = ("_function", "_value")

    def __init__(self) -> None:
        self._value = 0.0
        self._function: Callable[[], float] | None = None

    @property
    def value(self) -> float:
        return self._value if self._function is None else self._function()

    def set(self, value: float) -> None:
        self._value, self._function = value, None

    def set_function(self, function: Callable[[], float]) -> None:
        """Have it ask whenever it is shown."""
        self._function = function

    def inc(self, amount: float = 1) -> None:
        self._value += amount

    def dec(self, amount: float = 1) -> None:
        self._value -= amount

    def samples(self, name: str, labels: str) -> Iterator[str]:
        yield sample(name, labels, self.value)


class Histogram:
    """How many of what was observed are at most so large, for each of `bounds` (ascending; infinity is added)."""

    kind: ClassVar[str] = "histogram"
    __slots__ = ("_bounds", "_counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    def samples(self, name: str, labels: str) -> Iterator[str]:
        before = f"{labels}," if labels else ""
        so_far = 0
        for bound, count in zip((*self._bounds, math.inf), self._counts, strict=True):
            so_far += count
            yield sample(f"{name}_bucket", f'{before}le="{number(bound)}"', so_far)
        yield sample(f"{name}_sum", labels, self.sum)
        yield sample(f"{name}_count", labels, so_far)


# --- text -----------------------------------------------------------------------------------------------------------------


def head(name: str, kind: str, help: str) -> Iterator[str]:
    """The two lines before a metric's samples."""
    yield f"# HELP {name} {_escaped(help)}"
    yield f"# TYPE {name} {kind}"


def sample(name: str, labels: str, value: float) -> str:
    """One line; `labels` as `labelled` writes them."""
    return f"{name}{{{labels}}} {number(value)}" if labels else f"{name} {number(value)}"


def labelled(labels: Iterator[tuple[str, str]]) -> str:
    """Label names and values, by name."""
    return ",".join(f'{name}="{_escaped(value).replace(_QUOTE, _ESCAPED_QUOTE)}"' for name, value in sorted(labels))


_QUOTE, _ESCAPED_QUOTE = '"', '\\"'


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def number(value: float) -> str:
    """As Go writes a float64 in the shortest way: `1`, `0.005`, `1.2345678e+07`, `+Inf`."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    text = repr(float(value)).removesuffix(".0")
    if "e" in text or value == 0 or _PLAIN_MIN <= abs(value) < _PLAIN_MAX:
        return text
    sign, text = ("-", text[1:]) if value < 0 else ("", text)
    whole, _, rest = text.partition(".")
    digits = (whole + rest).rstrip("0")
    return f"{sign}{digits[0]}{'.' if len(digits) > 1 else ''}{digits[1:]}e+{len(whole) - 1:02}"
