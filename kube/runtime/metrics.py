"""Metrics, under upstream's names, in the one registry of the process.

`counter`, `gauge` and `histogram` may be called again for the same name: they give the metric that is there. Names without a source here
are from k8s.io/component-base/metrics and client-go `tools/metrics`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kube.runtime import process_metrics
from kube.runtime.instruments import CONTENT_TYPE, Counter, Family, Gauge, Histogram, V

__all__ = ["CONTENT_TYPE", "counter", "exponential_buckets", "exposition", "gauge", "histogram"]

_made: dict[str, Family[Any]] = {}


def _once(name: str, documentation: str, labels: Sequence[str], make: Callable[[], V], kind: str) -> Family[V]:
    found = _made.get(name)
    if found is None:
        found = _made[name] = Family(name, documentation, labels, make, kind)
    if found.kind != kind:
        raise ValueError(f"the metric {name} is of another type")
    return found


def counter(name: str, documentation: str, labels: Sequence[str] = ()) -> Family[Counter]:
    """The counter of that name; it is shown with the suffix `_total`."""
    return _once(name, documentation, labels, Counter, Counter.kind)


def gauge(name: str, documentation: str, labels: Sequence[str] = ()) -> Family[Gauge]:
    return _once(name, documentation, labels, Gauge, Gauge.kind)


def histogram(name: str, documentation: str, labels: Sequence[str] = (), *, buckets: Sequence[float]) -> Family[Histogram]:
    """The histogram of that name; buckets in the unit that the name says, ascending."""
    bounds = tuple(buckets)
    return _once(name, documentation, labels, lambda: Histogram(bounds), Histogram.kind)


def exposition() -> bytes:
    """Everything, as /metrics shows it."""
    lines = [*process_metrics.lines(), *(line for each in _made.values() for line in each.lines())]
    return ("\n".join(lines) + "\n").encode()


def exponential_buckets(start: float, factor: float, count: int) -> list[float]:
    return [start * factor**i for i in range(count)]


# --- work queues (k8s.io/component-base/metrics/prometheus/workqueue) -----------------------------------------------------

_QUEUE_BUCKETS = exponential_buckets(1e-8, 10, 10)
QUEUE_DEPTH = gauge("workqueue_depth", "Current depth of workqueue", ["name"])
QUEUE_ADDS = counter("workqueue_adds", "Total number of adds handled by workqueue", ["name"])
QUEUE_RETRIES = counter("workqueue_retries", "Total number of retries handled by workqueue", ["name"])
QUEUE_WAIT = histogram(
    "workqueue_queue_duration_seconds",
    "How long in seconds an item stays in workqueue before being requested.",
    ["name"],
    buckets=_QUEUE_BUCKETS,
)
QUEUE_WORK = histogram(
    "workqueue_work_duration_seconds",
    "How long in seconds processing an item from workqueue takes.",
    ["name"],
    buckets=_QUEUE_BUCKETS,
)
QUEUE_UNFINISHED = gauge(
    "workqueue_unfinished_work_seconds",
    "How many seconds of work has done that is in progress and hasn't been observed by work_duration.",
    ["name"],
)
QUEUE_LONGEST = gauge(
    "workqueue_longest_running_processor_seconds",
    "How many seconds has the longest running processor for workqueue been running.",
    ["name"],
)

# --- controllers (controller-runtime pkg/internal/controller/metrics) -----------------------------------------------------

RECONCILES = counter("controller_runtime_reconcile", "Total number of reconciliations per controller", ["controller", "result"])
RECONCILE_ERRORS = counter("controller_runtime_reconcile_errors", "Total number of reconciliation errors per controller", ["controller"])
RUNNING_CONTROLLERS = gauge(
    "running_managed_controllers", "Indicates where instances of a controller are currently running", ["name", "manager"]
)

# --- clients (k8s.io/component-base/metrics/prometheus/restclient) --------------------------------------------------------

CLIENT_REQUESTS = counter(
    "rest_client_requests", "Number of HTTP requests, partitioned by status code, method, and host.", ["code", "method", "host"]
)


class RequestCounts:
    """Counts the requests of one client, at little cost."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._children: dict[tuple[int | str, str], Counter] = {}

    def add(self, code: int | str, method: str) -> None:
        """`code` is the status, or `<error>` where no answer came."""
        child = self._children.get((code, method))
        if child is None:
            child = self._children[(code, method)] = CLIENT_REQUESTS.labels(str(code), method, self._host)
        child.inc()


# --- leader election and events -------------------------------------------------------------------------------------------

LEADER = gauge(
    "leader_election_master_status",
    "Gauge of if the reporting system is master of the relevant lease, 0 indicates backup, 1 indicates master."
    " 'name' is the string used to identify the lease. Please make sure to group by name.",
    ["name"],
)
EVENTS_DROPPED = counter("event_recorder_dropped", "Events that were not recorded, by reason (full, spam, failed)", ["reason"])
