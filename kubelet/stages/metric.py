"""KWOK's `Metric`: a page of metrics that a simulated node serves, in Prometheus' text format, its values expressions.

`spec.path` is `/metrics/nodes/{nodeName}/...`; the kubelet's server answers there for each of its nodes.
Source: https://kwok.sigs.k8s.io/docs/user/metrics-configuration/, `pkg/kwok/metrics/metrics.go`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kube.objects import Object, name_of
from kubelet.stages.expression import Expression, Unanswered, World
from kubelet.stages.query import StageError

KINDS = ("counter", "gauge", "histogram")
DIMENSIONS = ("node", "pod", "container")
NODE = "{nodeName}"
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")

Objects = Mapping[str, Object | None]
"""By variable: node, pod, container."""


@dataclass(frozen=True, slots=True)
class Bucket:
    le: float
    value: Expression
    is_hidden: bool


@dataclass(frozen=True, slots=True)
class Series:
    """One metric of a page."""

    name: str
    help: str
    kind: str
    dimension: str
    labels: Sequence[tuple[str, Expression]]
    value: Expression | None
    buckets: Sequence[Bucket]


@dataclass(frozen=True, slots=True)
class Metric:
    """One page, compiled."""

    name: str
    path: str
    series: Sequence[Series]

    def node_in(self, path: str) -> str | None:
        """The node that a request's path is about; None for a path that is not this page's."""
        before, _, after = self.path.partition(NODE)
        if not path.startswith(before) or not path.endswith(after) or len(path) <= len(before) + len(after):
            return None
        node = path[len(before) : len(path) - len(after)]
        return node if "/" not in node else None

    def page(self, objects: Mapping[str, Sequence[Objects]], world: Callable[[Objects], World]) -> str:
        """The text. `objects` are those of each dimension."""
        lines = [line for each in self.series for line in _lines(each, objects[each.dimension], world)]
        return "\n".join(lines) + "\n"


def _lines(series: Series, objects: Iterable[Objects], world: Callable[[Objects], World]) -> Iterator[str]:
    samples = [line for each in objects for line in _samples(series, world(each))]
    if samples:
        if series.help:
            yield f"# HELP {series.name} {series.help}"
        yield f"# TYPE {series.name} {series.kind}"
        yield from samples


def _samples(series: Series, world: World) -> list[str]:
    """Those of one object; none where an expression has no value for it."""
    try:
        labels = [(name, value.string(world)) for name, value in series.labels]
        if series.kind == "histogram":
            return list(_histogram(series, labels, world))
        assert series.value is not None
        return [f"{series.name}{_shown(labels)} {_number(series.value.number(world))}"]
    except Unanswered:
        return []


def _histogram(series: Series, labels: list[tuple[str, str]], world: World) -> Iterator[str]:
    count, total, below = 0.0, 0.0, 0.0
    for bucket in series.buckets:
        amount = bucket.value.number(world)
        count += amount
        total += amount * (below + bucket.le) / 2
        below = bucket.le
        if not bucket.is_hidden:
            yield f"{series.name}_bucket{_shown([*labels, ('le', _number(bucket.le))])} {_number(count)}"
    yield f"{series.name}_bucket{_shown([*labels, ('le', '+Inf')])} {_number(count)}"
    yield f"{series.name}_sum{_shown(labels)} {_number(total)}"
    yield f"{series.name}_count{_shown(labels)} {_number(count)}"


def _number(value: float) -> str:
    return repr(value).removesuffix(".0")


def _shown(labels: Sequence[tuple[str, str]]) -> str:
    if not labels:
        return ""
    escaped = [(name, value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')) for name, value in labels]
    return "{" + ",".join(f'{name}="{value}"' for name, value in escaped) + "}"


# --- reading ------------------------------------------------------------------------------------------------------------------------


def compiled_metric(obj: Object) -> Metric:
    """A Metric object, ready to use. Raises StageError."""
    name, spec = name_of(obj), obj.get("spec") or {}
    path = str(spec.get("path") or "")
    try:
        if not path.startswith("/metrics/") or path.count(NODE) != 1:
            raise StageError(f"spec.path {path!r}: it must begin with /metrics/ and have {NODE} in it, once")
        return Metric(name, path, tuple(_series(each) for each in spec.get("metrics") or ()))
    except StageError as error:
        raise StageError(f"Metric {name}: {error}") from error


def _series(entry: Mapping[str, Any]) -> Series:
    name, kind, dimension = str(entry.get("name") or ""), entry.get("kind"), entry.get("dimension") or "node"
    if not _NAME.fullmatch(name):
        raise StageError(f"metric name {name!r} is none that Prometheus has")
    if kind not in KINDS:
        raise StageError(f"metric {name}: kind {kind!r} is not understood")
    if dimension not in DIMENSIONS:
        raise StageError(f"metric {name}: dimension {dimension!r} is not understood")
    if kind != "histogram" and not entry.get("value"):
        raise StageError(f"metric {name}: it needs a value")
    buckets = [Bucket(float(each["le"]), Expression(str(each["value"])), bool(each.get("hidden"))) for each in entry.get("buckets") or ()]
    labels = [(str(each["name"]), Expression(str(each["value"]))) for each in entry.get("labels") or ()]
    value = Expression(str(entry["value"])) if kind != "histogram" else None
    help_text = " ".join(str(entry.get("help") or "").split())
    return Series(name, help_text, kind, dimension, tuple(labels), value, tuple(sorted(buckets, key=lambda each: each.le)))
