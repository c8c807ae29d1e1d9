"""What is said of a pod that fits nowhere. Clients match on these texts. Source: `pkg/scheduler/framework/types.go`, FitError."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from controllers.scheduler.framework import Rejection

NO_NODES = "no nodes available to schedule pods"


def unavailable(nodes: int, rejections: Iterable[Rejection], others: Rejection | None) -> str:
    """`0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable.`: how often each reason was given.

    `others` is the reason of all the nodes that are not among the rejections."""
    reasons: Counter[str] = Counter()
    count = 0
    for each in rejections:
        count += 1
        reasons.update(each.reasons)
    if others is not None and count < nodes:
        for reason in others.reasons:
            reasons[reason] += nodes - count
    counted = sorted(f"{number} {reason}" for reason, number in reasons.items())
    text = f"0/{nodes} nodes are available:"
    return f"{text} {', '.join(counted)}." if counted else text
