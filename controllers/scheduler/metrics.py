"""The scheduler's metrics, under upstream's names (`pkg/scheduler/metrics/metrics.go`)."""

from __future__ import annotations

from functools import partial

from controllers.scheduler.queue import SchedulingQueue, Where
from kube.runtime.metrics import counter, exponential_buckets, gauge, histogram

ATTEMPTS = counter(
    "scheduler_schedule_attempts",
    "Number of attempts to schedule pods, by the result. 'unschedulable' means a pod could not be scheduled, while 'error' means an"
    " internal scheduler problem.",
    ["result", "profile"],
)
ALGORITHM_DURATION = histogram(
    "scheduler_scheduling_algorithm_duration_seconds",
    "Scheduling algorithm latency in seconds",
    buckets=exponential_buckets(0.001, 2, 15),
).labels()
POD_ATTEMPTS = histogram(
    "scheduler_pod_scheduling_attempts",
    "Number of attempts to successfully schedule a pod.",
    buckets=exponential_buckets(1, 2, 5),
).labels()
SLI_DURATION = histogram(
    "scheduler_pod_scheduling_sli_duration_seconds",
    "E2e latency for a pod being scheduled, from the time the pod enters the scheduling queue and might involve multiple attempts.",
    ["attempts"],
    buckets=exponential_buckets(0.01, 2, 20),
)
PENDING = gauge("scheduler_pending_pods", "Number of pending pods, by the queue type.", ["queue"])
PREEMPTION_ATTEMPTS = counter("scheduler_preemption_attempts", "Total preemption attempts in the cluster till now").labels()
PREEMPTION_VICTIMS = histogram(
    "scheduler_preemption_victims", "Number of selected preemption victims", buckets=exponential_buckets(1, 2, 7)
).labels()


def show_pending(queue: SchedulingQueue) -> None:
    """Have the gauge of pending pods ask that queue from now on."""
    for where in (Where.ACTIVE, Where.BACKOFF, Where.UNSCHEDULABLE, Where.GATED):
        PENDING.labels(where.value).set_function(partial(_size, queue, where))


def _size(queue: SchedulingQueue, where: Where) -> float:
    return queue.sizes()[where]
