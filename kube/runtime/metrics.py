"""Metrics, under upstream's names, in the process's one Prometheus registry.

`counter`, `gauge` and `histogram` may be called again for the same name: they give the metric that is there. Names without a source here
are from k8s.io/component-base/metrics and client-go `tools/metrics`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import prometheus_client
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics import MetricWrapperBase

prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]

CONTENT_TYPE = prometheus_client.CONTENT_TYPE_LATEST

M = TypeVar("M", bound=MetricWrapperBase)

_made: dict[str, MetricWrapperBase] = {}


def _once(kind: type[M], name: str, documentation: str, labels: Sequence[str], **rest: object) -> M:
    found = _made.get(name)
    if found is None:
        found = _made[name] = kind(name, documentation, labels, registry=REGISTRY, **rest)  # type: ignore[arg-type]
    if not isinstance(found, kind):
        raise ValueError(f"the metric {name} is of another type")
    return found


def counter(name: str, documentation: str, labels: Sequence[str] = ()) -> Counter:
    """The counter of that name; it is shown with the suffix `_total`."""
    return _once(Counter, name, documentation, labels)


def gauge(name: str, documentation: str, labels: Sequence[str] = ()) -> Gauge:
    return _once(Gauge, name, documentation, labels)


def histogram(name: str, documentation: str, labels: Sequence[str] = (), *, buckets: Sequence[float]) -> Histogram:
    """The histogram of that name; buckets in the unit that the name says."""
    return _once(Histogram, name, documentation, labels, buckets=tuple(buckets))


def exposition(registry: CollectorRegistry = REGISTRY) -> bytes:
    """Everything, as /metrics shows it."""
    return generate_latest(registry)


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
