"""What controllers ask of a pod: is it active, ready, available; which one would be missed least; how one is made from a template.

Pure functions over pods as dicts. Creating and deleting them is `pod_control.py`.
Source: upstream `pkg/controller/controller_utils.go` and `pkg/api/v1/pod/util.go`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from kube.clock import parse_time
from kube.objects import Object, annotations_of, condition_of, is_deleting, name_of, namespace_of, uid_of

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
TERMINAL_PHASES = ("Succeeded", "Failed")

_PHASE_ORDER = {"Pending": 0, "Unknown": 1, "Running": 2}
_INT32_MAX = 2**31 - 1
_POD_NAME_MAX = 253


def phase_of(pod: Mapping[str, Any]) -> str:
    return str(pod.get("status", {}).get("phase", ""))


def is_terminal(pod: Mapping[str, Any]) -> bool:
    return phase_of(pod) in TERMINAL_PHASES


def is_active(pod: Mapping[str, Any]) -> bool:
    """Neither finished nor being deleted: it counts as a replica."""
    return not is_terminal(pod) and not is_deleting(pod)


def is_terminating(pod: Mapping[str, Any]) -> bool:
    """Being deleted, and not finished yet."""
    return not is_terminal(pod) and is_deleting(pod)


def is_ready(pod: Mapping[str, Any]) -> bool:
    ready = condition_of(pod, "Ready")
    return ready is not None and ready.get("status") == "True"


def ready_since(pod: Mapping[str, Any]) -> datetime | None:
    """When the pod became ready; None when it is not, or when nobody noted it."""
    ready = condition_of(pod, "Ready")
    if ready is None or ready.get("status") != "True":
        return None
    return parse_time(ready.get("lastTransitionTime"))


def is_available(pod: Mapping[str, Any], *, min_ready_s: int, now: datetime) -> bool:
    """Ready, and has been for at least `min_ready_s`."""
    if not is_ready(pod):
        return False
    if not min_ready_s:
        return True
    since = ready_since(pod)
    return since is not None and since + timedelta(seconds=min_ready_s) <= now


def available_in_s(pods: Iterable[Mapping[str, Any]], *, min_ready_s: int, now: datetime) -> float | None:
    """Seconds until the next ready pod becomes available; None when none is on its way there."""
    waits = [
        (since + timedelta(seconds=min_ready_s) - now).total_seconds()
        for pod in pods
        if min_ready_s and (since := ready_since(pod)) is not None and not is_available(pod, min_ready_s=min_ready_s, now=now)
    ]
    return min(waits, default=None)


# --- which one would be missed least ------------------------------------------------------------------------------------


def deletion_cost(pod: Mapping[str, Any]) -> int:
    """The pod-deletion-cost annotation as upstream reads it: no leading zeros or plus signs, within int32; otherwise 0."""
    text = annotations_of(pod).get(DELETION_COST, "")
    digits = text.removeprefix("-")
    if not digits.isdecimal() or not digits.isascii() or (digits.startswith("0") and len(text) > 1):
        return 0
    cost = int(text)
    return cost if -_INT32_MAX - 1 <= cost <= _INT32_MAX else 0


def ranks_by_node(pods: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """How many active pods each node carries: of two equal pods, the one on the fuller node goes first."""
    return Counter(pod["spec"].get("nodeName", "") for pod in pods if is_active(pod))


def by_deletion_order(pods: Sequence[Object], *, related: Iterable[Mapping[str, Any]] = (), now: datetime) -> list[Object]:
    """The pods, the one to delete first in front. `related` are all pods of sibling controllers, the pods themselves included.

    The order is upstream's ActivePodsWithRanks: unassigned, earlier phase, not ready, cheaper to delete, doubled up on a node,
    ready for a shorter time, restarted more often, younger. Ages are compared by their binary logarithm and equal ones by uid,
    so that which of several pods of about the same age goes is chance.
    """
    ranks = ranks_by_node(related)
    return sorted(pods, key=lambda pod: _deletion_key(pod, ranks, now))


def _deletion_key(pod: Mapping[str, Any], ranks: Mapping[str, int], now: datetime) -> tuple[Any, ...]:
    node = pod["spec"].get("nodeName", "")
    ready = is_ready(pod)
    ready_age = _log_age(ready_since(pod), now) if ready else 0
    regular, sidecar = _restarts(pod)
    return (
        bool(node),
        _PHASE_ORDER.get(phase_of(pod), 0),
        ready,
        deletion_cost(pod),
        -ranks.get(node, 0),
        ready_age,
        -regular,
        -sidecar,
        _log_age(parse_time(pod["metadata"].get("creationTimestamp")), now),
        uid_of(pod),
    )


def _log_age(since: datetime | None, now: datetime) -> int:
    """The binary logarithm of the age in nanoseconds; unknown ages are the youngest."""
    if since is None:
        return -2
    age = now - since
    return int(math.log2(age / timedelta(microseconds=1) * 1000)) if age > timedelta() else -1


def _restarts(pod: Mapping[str, Any]) -> tuple[int, int]:
    """The highest restart count of a regular container, and of a sidecar (a restartable init container)."""
    status = pod.get("status", {})
    regular = max((each.get("restartCount", 0) for each in status.get("containerStatuses") or ()), default=0)
    sidecars = {each["name"] for each in pod["spec"].get("initContainers") or () if each.get("restartPolicy") == "Always"}
    counts = (each.get("restartCount", 0) for each in status.get("initContainerStatuses") or () if each.get("name") in sidecars)
    return regular, max(counts, default=0)


# --- from a template ----------------------------------------------------------------------------------------------------


def generate_name(owner_name: str) -> str:
    """The generateName of an owner's pods: `name-`, or the bare name where a dash would not fit."""
    return f"{owner_name}-" if len(owner_name) < _POD_NAME_MAX else owner_name


def from_template(template: Mapping[str, Any], owner: Mapping[str, Any], reference: Mapping[str, Any]) -> Object:
    """A new pod as the template describes it, controlled by `owner` through `reference`. Shares the template's spec: do not change it."""
    described = template.get("metadata") or {}
    metadata: Object = {
        "generateName": generate_name(name_of(owner)),
        "namespace": namespace_of(owner),
        "ownerReferences": [dict(reference)],
    }
    for field in ("labels", "annotations"):
        if described.get(field):
            metadata[field] = dict(described[field])
    if described.get("finalizers"):
        metadata["finalizers"] = list(described["finalizers"])
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template.get("spec") or {}}
