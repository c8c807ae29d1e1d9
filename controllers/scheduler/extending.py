"""Deciding with extenders: after the filters each is asked in turn which nodes are left, then all for their points.

They are asked over the network, so the cluster may change meanwhile: what was chosen is looked at again before it is taken.
Source: `pkg/scheduler/schedule_one.go` (findNodesThatPassExtenders, prioritizeNodes), `framework/preemption/preemption.go` (callExtenders).
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence
from dataclasses import replace

from controllers.scheduler.extender import Extender, ExtenderError
from controllers.scheduler.framework import Code, PluginError, PostFilterResult, Rejection
from controllers.scheduler.node_info import NodeInfo
from controllers.scheduler.plugins.default_preemption import least_harm
from controllers.scheduler.pod_info import PodInfo
from controllers.scheduler.profile import Profile
from controllers.scheduler.schedule import Decision, Evaluations, Search, choose, failed, has_room, search
from controllers.scheduler.snapshot import Snapshot

EXTENDER = "Extender"
"""What stands for all of them where plugins are named."""
_log = logging.getLogger(__name__)


async def schedule_extended(
    pod: PodInfo, snapshot: Snapshot, profile: Profile, extenders: Sequence[Extender], *, rng: random.Random, memory: Evaluations
) -> Decision:
    """As `schedule`, with the extenders that are interested in the pod. Raises PluginError."""
    interested = [each for each in extenders if each.is_interested(pod)]
    found = search(pod, snapshot, profile, memory=memory)
    if isinstance(found, Decision):
        return await _with_say_on_preemption(found, pod, snapshot, interested)
    nodes: list[NodeInfo] = [snapshot.slots[slot] for slot in found.feasible]  # type: ignore[misc]
    left, rejections = await _filtered(pod, nodes, interested)
    _catch_up(found)
    if not left:
        rejections = {name: each for name, each in rejections.items() if name in snapshot.nodes}
        return await _with_say_on_preemption(failed(pod, snapshot, found, rejections), pod, snapshot, interested)
    name = left[0].name if len(left) == 1 else await _best(pod, found, left, interested, rng)
    if not has_room(name, pod, snapshot, _catch_up(found).evaluation):
        raise PluginError(f'node "{name}" has changed while extenders were asked')
    return Decision(name, found.total, visited=found.visited, feasible=len(left))


def _catch_up(found: Search) -> Search:
    if not found.evaluation.catch_up():
        raise PluginError("the cluster has changed while extenders were asked")
    return found


async def _filtered(pod: PodInfo, nodes: Sequence[NodeInfo], extenders: Sequence[Extender]) -> tuple[list[NodeInfo], dict[str, Rejection]]:
    """The nodes that all of them let pass, and why the others were refused."""
    left, rejections = list(nodes), dict[str, Rejection]()
    for extender in extenders:
        if not left or not extender.filters:
            continue
        try:
            answer = await extender.filter(pod, left)
        except ExtenderError as error:
            if not extender.is_ignorable:
                raise
            _log.warning("an extender is passed over: %s", error)
            continue
        for reasons, code in ((answer.failed, Code.UNSCHEDULABLE), (answer.never, Code.UNRESOLVABLE)):
            rejections |= {name: Rejection(EXTENDER, code, (reason,)) for name, reason in reasons.items()}
        passing = set(answer.left)
        for node in left:
            if node.name not in passing:
                rejections.setdefault(node.name, Rejection(EXTENDER, Code.UNSCHEDULABLE, ()))
        left = [node for node in left if node.name in passing]
    return left, rejections


async def _best(pod: PodInfo, found: Search, nodes: Sequence[NodeInfo], extenders: Sequence[Extender], rng: random.Random) -> str:
    """The name of the node with the most points of plugins and extenders. Extenders that do not answer give none."""
    slots = [node.slot for node in nodes]
    names = {node.slot: node.name for node in nodes}
    if not all(found.evaluation.has(node) for node in nodes):
        raise PluginError("nodes have changed while extenders were asked")
    totals = found.evaluation.totals(slots)
    answers = await asyncio.gather(
        *(each.prioritize(pod, nodes) for each in extenders if each.prioritizes),
        return_exceptions=True,
    )
    for answer in answers:
        if isinstance(answer, ExtenderError):
            _log.warning("an extender gives no points: %s", answer)
        elif isinstance(answer, BaseException):
            raise answer
        else:
            totals = [total + answer.get(names[slot], 0) for slot, total in zip(slots, totals, strict=True)]
    return names[choose(slots, totals, rng)]


async def _with_say_on_preemption(decision: Decision, pod: PodInfo, snapshot: Snapshot, extenders: Sequence[Extender]) -> Decision:
    """Let extenders have their say about whom to remove where."""
    thought_of = decision.preemption
    if thought_of is None or not thought_of.candidates:
        return decision
    asked, candidates = False, list(thought_of.candidates)
    for extender in extenders:
        if not extender.preempts or not candidates:
            continue
        asked = True
        try:
            candidates = await extender.preempt(pod, candidates, snapshot.nodes)
        except ExtenderError as error:
            if not extender.is_ignorable:
                raise
            _log.warning("an extender is passed over: %s", error)
    if not asked:
        return decision
    candidates = [each for each in candidates if each.node in snapshot.nodes]
    if not candidates:
        return replace(decision, preemption=PostFilterResult("", clears_nomination=True))
    best = least_harm(candidates)
    return replace(decision, preemption=replace(thought_of, node=best.node, victims=best.victims))
