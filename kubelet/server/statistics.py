"""What a node says about usage: /stats/summary (JSON) and /metrics/resource (Prometheus text). Pure, from the runtime's statistics.

Shapes: `k8s.io/kubelet/pkg/apis/stats/v1alpha1`, and upstream's `pkg/kubelet/metrics/collectors/resource_metrics.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from kube.clock import rfc3339
from kube.objects import Object, name_of, namespace_of, uid_of
from kubelet.runtime.base import ContainerStats


def summary(node_name: str, pods: Iterable[Object], stats: Sequence[ContainerStats], now: datetime) -> Object:
    """The Summary of one node."""
    by_pod = _by_pod(stats)
    found = [_pod_stats(pod, by_pod[uid_of(pod)], now) for pod in pods if uid_of(pod) in by_pod]
    node = {"nodeName": node_name, "startTime": rfc3339(now)} | _usage(stats, now)
    return {"node": node, "pods": found}


def _by_pod(stats: Sequence[ContainerStats]) -> dict[str, list[ContainerStats]]:
    by_pod: dict[str, list[ContainerStats]] = {}
    for each in stats:
        by_pod.setdefault(each.pod_uid, []).append(each)
    return by_pod


def _pod_stats(pod: Object, stats: Sequence[ContainerStats], now: datetime) -> Object:
    reference = {"name": name_of(pod), "namespace": namespace_of(pod), "uid": uid_of(pod)}
    start = pod.get("status", {}).get("startTime") or rfc3339(now)
    containers = [{"name": each.name, "startTime": start} | _usage([each], now) for each in stats]
    return {"podRef": reference, "startTime": start, "containers": containers} | _usage(stats, now)


def _usage(stats: Sequence[ContainerStats], now: datetime) -> Object:
    memory = sum(each.memory_working_set_bytes for each in stats)
    return {
        "cpu": {
            "time": rfc3339(now),
            "usageNanoCores": sum(each.cpu_usage_nano_cores for each in stats),
            "usageCoreNanoSeconds": sum(each.cpu_usage_core_nanos for each in stats),
        },
        "memory": {"time": rfc3339(now), "usageBytes": memory, "workingSetBytes": memory, "rssBytes": memory},
    }


def resource_metrics(pods: Iterable[Object], stats: Sequence[ContainerStats]) -> str:
    """The node's, its pods' and their containers' usage, as metrics-server reads it."""
    by_uid = {uid_of(pod): pod for pod in pods}
    known = [each for each in stats if each.pod_uid in by_uid]
    cpu = [({"container": each.name} | _labels(by_uid[each.pod_uid]), each.cpu_usage_core_nanos / 1e9, each) for each in known]
    memory = [({"container": each.name} | _labels(by_uid[each.pod_uid]), float(each.memory_working_set_bytes), each) for each in known]
    by_pod = _by_pod(known)
    pod_cpu = [(_labels(by_uid[uid]), sum(each.cpu_usage_core_nanos for each in group) / 1e9, group[0]) for uid, group in by_pod.items()]
    pod_memory = [
        (_labels(by_uid[uid]), float(sum(each.memory_working_set_bytes for each in group)), group[0]) for uid, group in by_pod.items()
    ]
    total_cpu, total_memory = sum(each[1] for each in cpu), sum(each[1] for each in memory)
    started = [(labels, each.started_at.timestamp(), each) for labels, _, each in cpu if each.started_at is not None]
    any_of = known[0] if known else None
    lines = [
        *_family("container_cpu_usage_seconds_total", "counter", cpu),
        *_family("container_memory_working_set_bytes", "gauge", memory),
        *_family("container_start_time_seconds", "gauge", started),
        *_family("node_cpu_usage_seconds_total", "counter", [({}, total_cpu, any_of)]),
        *_family("node_memory_working_set_bytes", "gauge", [({}, total_memory, any_of)]),
        *_family("pod_cpu_usage_seconds_total", "counter", pod_cpu),
        *_family("pod_memory_working_set_bytes", "gauge", pod_memory),
        *_family("resource_scrape_error", "gauge", [({}, 0.0, None)]),
    ]
    return "\n".join(lines) + "\n"


def _labels(pod: Object) -> dict[str, str]:
    return {"namespace": namespace_of(pod), "pod": name_of(pod)}


def _family(name: str, kind: str, samples: Iterable[tuple[Mapping[str, str], float, ContainerStats | None]]) -> Iterable[str]:
    yield f"# TYPE {name} {kind}"
    for labels, value, stats in samples:
        shown = ",".join(f'{key}="{text}"' for key, text in sorted(labels.items()))
        stamp = f" {int(stats.timestamp.timestamp() * 1000)}" if stats else ""
        number = repr(value).removesuffix(".0")  # every digit counts: usage is the difference of two large numbers
        yield f"{name}{{{shown}}} {number}{stamp}" if shown else f"{name} {number}{stamp}"
