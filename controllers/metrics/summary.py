"""What a kubelet's /stats/summary says of usage. Pure. Source of the shape: `k8s.io/kubelet/pkg/apis/stats/v1alpha1`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from kube.clock import parse_time
from kube.quantity import Format, Quantity, from_value


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU in nanocores, the memory's working set in bytes."""

    cpu_nanos: int
    memory_bytes: int

    @property
    def quantities(self) -> dict[str, str]:
        """As metrics.k8s.io shows it."""
        return {"cpu": str(Quantity(self.cpu_nanos)), "memory": str(from_value(self.memory_bytes, Format.BINARY_SI))}


@dataclass(frozen=True, slots=True)
class PodUsage:
    """A pod's containers, and when the oldest of them was measured."""

    containers: Mapping[str, Usage]
    timestamp: datetime


@dataclass(frozen=True, slots=True)
class Summary:
    """One node. `pods` are by (namespace, name); one with a container that was not measured is not among them."""

    node: Usage | None
    timestamp: datetime | None
    pods: Mapping[tuple[str, str], PodUsage] = field(default_factory=dict)


def read_summary(document: Any) -> Summary:
    """Raises ValueError for what is no summary."""
    try:
        node = document["node"]
        pods = dict(_pods(document.get("pods") or ()))
        return Summary(_usage(node), _time(node), pods)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a summary: {type(error).__name__}: {error}") from error


def _pods(pods: Iterable[Any]) -> Iterable[tuple[tuple[str, str], PodUsage]]:
    for pod in pods:
        measured = [(each, _usage(each), _time(each)) for each in pod.get("containers") or ()]
        times = [time for _, _, time in measured if time is not None]
        usages = {str(each["name"]): usage for each, usage, _ in measured if usage is not None}
        if measured and len(usages) == len(times) == len(measured):
            reference = pod["podRef"]
            yield (str(reference["namespace"]), str(reference["name"])), PodUsage(usages, min(times))


def _usage(stats: Any) -> Usage | None:
    cpu, memory = (stats.get("cpu") or {}).get("usageNanoCores"), (stats.get("memory") or {}).get("workingSetBytes")
    return None if cpu is None or memory is None else Usage(int(cpu), int(memory))


def _time(stats: Any) -> datetime | None:
    return parse_time((stats.get("cpu") or {}).get("time"))
