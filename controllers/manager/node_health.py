"""How healthy a node is, which taints follow from that, and how fast a zone's nodes may be given up. Pure.

Source: upstream `pkg/controller/nodelifecycle/node_lifecycle_controller.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Any, NamedTuple

from kube.clock import rfc3339
from kube.objects import Object, condition_of, labels_of

NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"

_BY_CONDITION = {
    "Ready": {"False": NOT_READY, "Unknown": UNREACHABLE},
    "MemoryPressure": {"True": "node.kubernetes.io/memory-pressure"},
    "DiskPressure": {"True": "node.kubernetes.io/disk-pressure"},
    "NetworkUnavailable": {"True": "node.kubernetes.io/network-unavailable"},
    "PIDPressure": {"True": "node.kubernetes.io/pid-pressure"},
}
_NO_SCHEDULE = frozenset({UNSCHEDULABLE, *(key for each in _BY_CONDITION.values() for key in each.values())})
_NO_EXECUTE = frozenset({NOT_READY, UNREACHABLE})
_TOLD_BY_NODE = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")
"""The conditions that a node's agent tells; they are unknown once it is silent. NetworkUnavailable is told by others."""

UNHEALTHY_SHARE = 0.55
LARGE_ZONE = 50


class EvictionRates(NamedTuple):
    """How many nodes of a zone may be given up a second: in most zones, and in a large one that is partly disrupted."""

    usual: float = 0.1
    disrupted: float = 0.01


USUAL_RATES = EvictionRates()


def ready_status(node: Mapping[str, Any]) -> str:
    """ "True", "False" or "Unknown"; a node that never told is Unknown."""
    ready = condition_of(node, "Ready")
    return "Unknown" if ready is None else str(ready.get("status", "Unknown"))


def silenced_conditions(node: Object, now: datetime) -> list[Object]:
    """The node's conditions when nothing has been heard of it for too long."""
    conditions = [dict(each) for each in (node.get("status") or {}).get("conditions") or ()]
    by_type = {each["type"]: each for each in conditions}
    for kind in _TOLD_BY_NODE:
        told = by_type.get(kind)
        if told is None:
            conditions.append(
                {
                    "type": kind,
                    "status": "Unknown",
                    "reason": "NodeStatusNeverUpdated",
                    "message": "Kubelet never posted node status.",
                    "lastHeartbeatTime": node["metadata"].get("creationTimestamp"),
                    "lastTransitionTime": rfc3339(now),
                }
            )
        elif told.get("status") != "Unknown":
            told |= {
                "status": "Unknown",
                "reason": "NodeStatusUnknown",
                "message": "Kubelet stopped posting node status.",
                "lastTransitionTime": rfc3339(now),
            }
    return conditions


def wanted_taints(node: Object, now: datetime, *, may_evict: bool, keep_pods: bool) -> list[Object] | None:
    """The node's taints as they should be; None when they are. `may_evict` allows a new NoExecute taint, `keep_pods` takes them away."""
    current = list(node["spec"].get("taints") or ())
    schedule = {key for kind, keys in _BY_CONDITION.items() if (key := keys.get((condition_of(node, kind) or {}).get("status", "")))}
    if node["spec"].get("unschedulable"):
        schedule.add(UNSCHEDULABLE)
    if condition_of(node, "Ready") is None:  # it has not told anything yet: the taint that admission gave it stays
        schedule |= {NOT_READY} & {each["key"] for each in current if each.get("effect") == "NoSchedule"}
    wanted = _swapped(current, "NoSchedule", schedule, _NO_SCHEDULE, now)
    wanted = _swapped(wanted, "NoExecute", _execute(node, current, may_evict=may_evict, keep_pods=keep_pods), _NO_EXECUTE, now)
    return None if wanted == current else wanted


def _execute(node: Object, current: Sequence[Object], *, may_evict: bool, keep_pods: bool) -> set[str]:
    """Which NoExecute taint the node should have. One that it has may always be swapped for the other."""
    key = {"False": NOT_READY, "Unknown": UNREACHABLE}.get(ready_status(node)) if condition_of(node, "Ready") else None
    if key is None or keep_pods:
        return set()
    is_tainted = any(each.get("effect") == "NoExecute" and each["key"] in _NO_EXECUTE for each in current)
    return {key} if may_evict or is_tainted else set()


def _swapped(current: Sequence[Object], effect: str, wanted: set[str], managed: frozenset[str], now: datetime) -> list[Object]:
    """The taints, of which those of this effect with managed keys are now exactly the wanted ones."""
    kept = [each for each in current if each.get("effect") != effect or each["key"] not in managed or each["key"] in wanted]
    there = {each["key"] for each in kept if each.get("effect") == effect}
    return [*kept, *({"key": key, "effect": effect, "timeAdded": rfc3339(now)} for key in sorted(wanted - there))]


def needs_no_execute(node: Object) -> bool:
    """Whether the node is not ready, has told so, and its pods have not been told to go yet."""
    if condition_of(node, "Ready") is None or ready_status(node) == "True":
        return False
    return not any(each.get("effect") == "NoExecute" and each["key"] in _NO_EXECUTE for each in node["spec"].get("taints") or ())


# --- zones ----------------------------------------------------------------------------------------------------------------------


class Zone(Enum):
    NORMAL = auto()
    PARTLY_DISRUPTED = auto()
    FULLY_DISRUPTED = auto()


@dataclass(frozen=True, slots=True)
class ZoneHealth:
    state: Zone
    size: int


def zone_of(node: Mapping[str, Any]) -> str:
    labels = labels_of(node)
    return f"{labels.get('topology.kubernetes.io/region', '')}:{labels.get('topology.kubernetes.io/zone', '')}"


def zones(nodes: Iterable[Mapping[str, Any]]) -> dict[str, ZoneHealth]:
    """The state of each zone: fully disrupted when no node is ready, partly when most are not (and more than two)."""
    counts: dict[str, list[int]] = {}
    for node in nodes:
        count = counts.setdefault(zone_of(node), [0, 0])
        count[ready_status(node) == "True"] += 1
    return {zone: ZoneHealth(_state(bad, good), bad + good) for zone, (bad, good) in counts.items()}


def _state(not_ready: int, ready: int) -> Zone:
    if ready == 0 and not_ready > 0:
        return Zone.FULLY_DISRUPTED
    if not_ready > 2 and not_ready / (not_ready + ready) >= UNHEALTHY_SHARE:
        return Zone.PARTLY_DISRUPTED
    return Zone.NORMAL


def is_all_disrupted(health: Mapping[str, ZoneHealth]) -> bool:
    """Every zone is down: rather than the nodes, it is we who are cut off. Nobody is evicted then."""
    return bool(health) and all(each.state is Zone.FULLY_DISRUPTED for each in health.values())


def evictions_per_s(zone: ZoneHealth, rates: EvictionRates = USUAL_RATES) -> float:
    """How many nodes of the zone may be given up a second; 0 for none: a small zone in trouble is left alone."""
    if zone.state is not Zone.PARTLY_DISRUPTED:
        return rates.usual
    return rates.disrupted if zone.size > LARGE_ZONE else 0.0
