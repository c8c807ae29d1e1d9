"""Carrying a preemption out: tell the victims, delete them, and give the node's other promises back."""

from __future__ import annotations

import logging

from controllers.scheduler.framework import PostFilterResult
from controllers.scheduler.plugins.default_preemption import NAME, PREEMPTED_REASON
from controllers.scheduler.pod_info import PodInfo
from controllers.scheduler.waiting import WaitingPods
from kube.client.client import Client
from kube.clock import Clock, rfc3339
from kube.errors import NotFound
from kube.objects import Object
from kube.resources import PODS
from kube.runtime.events import EventRecorder

_log = logging.getLogger(__name__)


async def preempt(
    pod: PodInfo, result: PostFilterResult, *, client: Client, events: EventRecorder, clock: Clock, waiting: WaitingPods
) -> None:
    """Delete the victims; those that wait for permission are only refused it. Raises ApiError, OSError; those that are gone already are
    fine."""
    for victim in result.victims:
        there = waiting.get(victim.key)
        if there is not None and there.pod is victim:
            there.reject(NAME, "preempted")
            continue
        if victim.is_deleting:
            continue
        try:
            await _delete(pod, victim, client=client, clock=clock)
        except NotFound:
            continue
        _log.info("pod %s preempted pod %s on node %s", pod.key, victim.key, result.node)
        events.record(victim.pod, "Normal", "Preempted", f"Preempted by pod {pod.uid} on node {result.node}")


async def _delete(pod: PodInfo, victim: PodInfo, *, client: Client, clock: Clock) -> None:
    scheduler = pod.spec.get("schedulerName") or "default-scheduler"
    condition: Object = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": PREEMPTED_REASON,
        "message": f"{scheduler}: preempting to accommodate a higher priority pod",
        "lastProbeTime": None,
        "lastTransitionTime": rfc3339(clock.now()),
    }
    generation = victim.pod["metadata"].get("generation")
    if generation:
        condition["observedGeneration"] = generation
    body = {"status": {"conditions": [condition]}}
    await client.patch(PODS, victim.name, body, namespace=victim.namespace, subresource="status")
    await client.delete(PODS, victim.name, namespace=victim.namespace, uid=victim.uid)
