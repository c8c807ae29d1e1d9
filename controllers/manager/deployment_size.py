"""How large each ReplicaSet of a Deployment shall be: rolling forward, scaling down old ones, scaling in proportion.

Pure arithmetic over sizes; who writes them is `deployment.py`. Source: upstream `pkg/controller/deployment/{rolling,sync}.go` and
`util/deployment_util.go`, whose rounding this keeps.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kube.objects import Object, annotations_of, name_of

from .deployment_revision import DESIRED_REPLICAS, MAX_REPLICAS, by_age, replica_annotations


def wanted_replicas(obj: Mapping[str, Any]) -> int:
    replicas = obj["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def available_replicas(replica_set: Mapping[str, Any]) -> int:
    return int(replica_set.get("status", {}).get("availableReplicas") or 0)


def actual_replicas(replica_set: Mapping[str, Any]) -> int:
    return int(replica_set.get("status", {}).get("replicas") or 0)


def is_rolling(deployment: Object) -> bool:
    return str((deployment["spec"].get("strategy") or {}).get("type", "RollingUpdate")) == "RollingUpdate"


def scaled(value: Any, total: int, *, round_up: bool) -> int:
    """An IntOrString of `total`: a number as it is, a percentage rounded. Raises ValueError for anything else."""
    if isinstance(value, int):
        return value
    text = str(value)
    if not text.endswith("%"):
        raise ValueError(f"invalid value for IntOrString: {text!r} is neither a number nor a percentage")
    share = int(text.removesuffix("%")) * total / 100
    return math.ceil(share) if round_up else math.floor(share)


def _fenceposts(deployment: Object) -> tuple[int, int]:
    """(surge, unavailable) in pods. Both zero would never get anywhere, so then one may be unavailable."""
    rolling = (deployment["spec"].get("strategy") or {}).get("rollingUpdate") or {}
    total = wanted_replicas(deployment)
    surge = scaled(rolling.get("maxSurge", 0), total, round_up=True)
    unavailable = scaled(rolling.get("maxUnavailable", 0), total, round_up=False)
    return surge, 1 if surge == 0 and unavailable == 0 else unavailable


def max_surge(deployment: Object) -> int:
    return _fenceposts(deployment)[0] if is_rolling(deployment) else 0


def replica_annotations_of(deployment: Object) -> dict[str, str]:
    """What every ReplicaSet is annotated with when it is sized."""
    return replica_annotations(wanted_replicas(deployment), max_surge(deployment))


def max_unavailable(deployment: Object) -> int:
    total = wanted_replicas(deployment)
    if not is_rolling(deployment) or total == 0:
        return 0
    return min(_fenceposts(deployment)[1], total)


def new_size(deployment: Object, all_sizes: int, own_size: int) -> int:
    """How large the new ReplicaSet may be now. `all_sizes` is the sum of all, `own_size` (part of it) its own."""
    total = wanted_replicas(deployment)
    if not is_rolling(deployment):
        return total
    ceiling = total + max_surge(deployment)
    if all_sizes >= ceiling:
        return own_size
    return own_size + min(ceiling - all_sizes, total - own_size)


def old_sizes(deployment: Object, new: Object, old: Iterable[Object]) -> dict[str, int]:
    """The sizes, by name, of old ReplicaSets that may shrink: unhealthy pods first, then healthy ones while enough are available."""
    active = [each for each in by_age(old) if wanted_replicas(each) > 0]
    sizes = {name_of(each): wanted_replicas(each) for each in active}
    least = wanted_replicas(deployment) - max_unavailable(deployment)
    new_unavailable = wanted_replicas(new) - available_replicas(new)
    room = sum(sizes.values()) + wanted_replicas(new) - least - new_unavailable
    if not active or room <= 0:
        return {}
    before = dict(sizes)
    _drop_unhealthy(active, sizes, room)
    # A status lags behind a spec that was just shrunk: pods on their way out are not available, whatever it still says.
    still_available = sum(min(available_replicas(each), sizes.get(name_of(each), wanted_replicas(each))) for each in [*active, new])
    _drop_healthy(active, sizes, still_available - least)
    return {name: size for name, size in sizes.items() if size != before[name]}


def _drop_unhealthy(active: Sequence[Object], sizes: dict[str, int], room: int) -> None:
    for each in active:
        drop = max(0, min(room, wanted_replicas(each) - available_replicas(each)))
        sizes[name_of(each)] -= drop
        room -= drop


def _drop_healthy(active: Sequence[Object], sizes: dict[str, int], room: int) -> None:
    for each in active:
        if room <= 0:
            return
        drop = min(room, sizes[name_of(each)])
        sizes[name_of(each)] -= drop
        room -= drop


# --- scaling outside a rollout ----------------------------------------------------------------------------------------------


def is_scaling(deployment: Object, replica_sets: Iterable[Object]) -> bool:
    """Whether somebody changed `spec.replicas` since the ReplicaSets were last sized."""
    wanted = wanted_replicas(deployment)
    return any(
        (noted := _number(each, DESIRED_REPLICAS)) is not None and noted != wanted for each in replica_sets if wanted_replicas(each) > 0
    )


def scaled_sizes(deployment: Object, new: Object | None, old: Sequence[Object]) -> dict[str, int]:
    """The sizes, by name, after `spec.replicas` changed: one set takes it all; in the midst of a rollout each takes its share."""
    wanted = wanted_replicas(deployment)
    everything = [*old, *([new] if new is not None else [])]
    active = [each for each in everything if wanted_replicas(each) > 0]
    if len(active) <= 1:
        only = active[0] if active else new if new is not None else next(reversed(by_age(old)), None)
        return {name_of(only): wanted} if only is not None else {}
    if new is not None and _is_saturated(deployment, new):
        return {name_of(each): 0 for each in old if wanted_replicas(each) > 0}
    return _proportional(deployment, active) if is_rolling(deployment) else {}


def _is_saturated(deployment: Object, new: Object) -> bool:
    wanted = wanted_replicas(deployment)
    return wanted_replicas(new) == wanted and _number(new, DESIRED_REPLICAS) == wanted and available_replicas(new) == wanted


def _proportional(deployment: Object, active: Sequence[Object]) -> dict[str, int]:
    """Every active ReplicaSet's share; what rounding leaves over goes to the largest."""
    wanted = wanted_replicas(deployment)
    ceiling = wanted + max_surge(deployment) if wanted > 0 else 0
    to_add = ceiling - sum(wanted_replicas(each) for each in active)
    by_size = _largest_first(active, newer_first=to_add > 0)
    sizes: dict[str, int] = {}
    added = 0
    for each in by_size:
        share = _share(deployment, each, ceiling, to_add - added) if to_add else 0
        sizes[name_of(each)] = wanted_replicas(each) + share
        added += share
    if by_size and to_add:
        largest = name_of(by_size[0])
        sizes[largest] = max(0, sizes[largest] + to_add - added)
    return sizes


def _largest_first(replica_sets: Sequence[Object], *, newer_first: bool) -> list[Object]:
    by_time = by_age(replica_sets)
    return sorted(reversed(by_time) if newer_first else by_time, key=lambda each: -wanted_replicas(each))


def _share(deployment: Object, replica_set: Object, ceiling: int, allowed: int) -> int:
    """How much of `allowed` (negative when shrinking) this ReplicaSet takes: so much that its part of the whole stays what it was."""
    size = wanted_replicas(replica_set)
    if allowed == 0 or size == 0:
        return 0
    before = _number(replica_set, MAX_REPLICAS) or actual_replicas(deployment)
    if wanted_replicas(deployment) == 0:
        share = -size
    elif before == 0:
        share = 0
    else:
        share = _round(size * ceiling / before) - size
    return min(share, allowed) if allowed > 0 else max(share, allowed)


def _round(value: float) -> int:
    """Half away from zero, as upstream rounds; Python would round half to even."""
    return math.floor(value + 0.5) if value >= 0 else math.ceil(value - 0.5)


def _number(obj: Mapping[str, Any], annotation: str) -> int | None:
    text = annotations_of(obj).get(annotation, "")
    return int(text) if text.isdecimal() else None
