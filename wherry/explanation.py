"""Why a pod gets the node it gets, or none: the scheduler's own plugins asked about every node, one by one. Pure; `explain.py` prints it.

`schedule` stops at the first no of a node and forgets the points of those that win; here every plugin is asked, so that who removes one
obstacle knows of the next. What the answer is comes from `schedule` itself. Read `controllers/scheduler/schedule.py` first.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from controllers.scheduler.columns import picker
from controllers.scheduler.devices import RESOURCES as DEVICES
from controllers.scheduler.evaluation import Evaluation
from controllers.scheduler.framework import Rejection
from controllers.scheduler.node_info import NodeInfo
from controllers.scheduler.plugins.default import default_profile
from controllers.scheduler.pod_info import PodInfo
from controllers.scheduler.profile import Profile
from controllers.scheduler.schedule import Decision, schedule
from controllers.scheduler.snapshot import Snapshot
from controllers.scheduler.volumes import RESOURCES as STORAGE
from kube import quantity
from kube.objects import Object, key_of
from kube.resources import (
    NAMESPACES,
    NODES,
    POD_DISRUPTION_BUDGETS,
    PODS,
    REPLICA_SETS,
    REPLICATION_CONTROLLERS,
    SERVICES,
    STATEFUL_SETS,
    Resource,
)

RESOURCES: Final = (
    *(NODES, NAMESPACES, SERVICES, REPLICA_SETS, STATEFUL_SETS, REPLICATION_CONTROLLERS, POD_DISRUPTION_BUDGETS, PODS),
    *STORAGE,
    *DEVICES,
)
"""What decisions are made from."""
PROFILE: Final = default_profile()
_FINISHED = ("Succeeded", "Failed")
_FIT = "NodeResourcesFit"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is said of one node: every plugin's no, or, where there is none, the points of each plugin (weighted) and their sum."""

    node: str
    refusals: tuple[Rejection, ...]
    points: Mapping[str, int]
    total: int = 0


@dataclass(frozen=True, slots=True)
class Explanation:
    """The whole answer for one pod, as if it had no node yet. `verdicts`: the best node first, refused ones last."""

    pod: Object
    decision: Decision
    verdicts: Sequence[Verdict]
    weights: Mapping[str, int]
    """The plugins that gave points, in the order they are asked, and the weight of each."""
    waits_for: str = ""
    """Why the scheduler does not even try."""

    @property
    def best(self) -> list[str]:
        """The nodes with the most points: one of them is taken, by chance."""
        feasible = [each for each in self.verdicts if not each.refusals]
        return [each.node for each in feasible if each.total == feasible[0].total]


def explained(pod: Object, objects: Mapping[Resource, Sequence[Object]], *, profile: Profile = PROFILE) -> Explanation:
    """Explain `pod` from what the cluster holds: of each of `RESOURCES` its objects, each with its kind."""
    info = PodInfo({**pod, "spec": {key: value for key, value in pod["spec"].items() if key != "nodeName"}})
    snapshot = snapshot_of(objects, without=info.key)
    decision = schedule(info, snapshot, profile, rng=random.Random(0))
    weights, verdicts = _verdicts(info, snapshot, profile)
    waits_for = next((why for plugin in profile.pre_enqueue if (why := plugin.pre_enqueue(info))), "")
    return Explanation(pod, decision, verdicts, weights, "" if pod["spec"].get("nodeName") else waits_for)


def snapshot_of(objects: Mapping[Resource, Sequence[Object]], *, without: str) -> Snapshot:
    """The scheduler's view of a cluster, but for the pod with the key `without`."""
    snapshot = Snapshot()
    for node in objects.get(NODES, ()):
        snapshot.set_node(node)
    for namespace in objects.get(NAMESPACES, ()):
        snapshot.set_namespace(None, namespace)
    for service in objects.get(SERVICES, ()):
        snapshot.workloads.service(None, service)
    for resource in (REPLICA_SETS, STATEFUL_SETS, REPLICATION_CONTROLLERS):
        for owner in objects.get(resource, ()):
            snapshot.workloads.owner(None, owner)
    for resource in STORAGE:
        for each in objects.get(resource, ()):
            snapshot.volumes.take(resource, None, each)
    for resource in DEVICES:
        for each in objects.get(resource, ()):
            snapshot.devices.take(resource, None, each)
    snapshot.budgets.update((key_of(each), each) for each in objects.get(POD_DISRUPTION_BUDGETS, ()))
    for pod in objects.get(PODS, ()):
        if key_of(pod) != without and (pod.get("status") or {}).get("phase") not in _FINISHED:
            _count(PodInfo(pod), snapshot)
    return snapshot


def _count(pod: PodInfo, snapshot: Snapshot) -> None:
    if pod.node_name:
        snapshot.set_pod(pod)
    elif pod.nominated_node:
        snapshot.nominate(pod, pod.nominated_node)


def _verdicts(pod: PodInfo, snapshot: Snapshot, profile: Profile) -> tuple[dict[str, int], list[Verdict]]:
    nodes = [node for node in snapshot.slots if node is not None]
    refusals = _refusals(pod, nodes, snapshot, profile)
    feasible = [node for node in nodes if not refusals[node.name]]
    weights, points = _points(pod, feasible, snapshot, profile)
    given = {node.name: {plugin: each[at] for plugin, each in points.items()} for at, node in enumerate(feasible)}
    found = [Verdict(node.name, (), given[node.name], sum(given[node.name].values())) for node in feasible]
    found.sort(key=lambda each: (-each.total, each.node))
    refused = [Verdict(node.name, refusals[node.name], {}) for node in nodes if refusals[node.name]]
    return weights, found + sorted(refused, key=lambda each: each.node)


def _refusals(pod: PodInfo, nodes: Sequence[NodeInfo], snapshot: Snapshot, profile: Profile) -> dict[str, tuple[Rejection, ...]]:
    """By node name: every plugin's no."""
    states = [(plugin, state) for plugin in profile.filters if (state := plugin.pre_filter(pod, snapshot)) is not None]
    everywhere = [state for _, state in states if isinstance(state, Rejection)]
    filters = [(plugin.filter, state) for plugin, state in states if not isinstance(state, Rejection)]
    tallies = [tally for plugin in profile.filter_tallies if (tally := plugin.filter_tally(pod, snapshot)) is not None and tally.begin()]
    trial = Evaluation(pod, profile, snapshot)
    found: dict[str, tuple[Rejection, ...]] = {}
    for node in nodes:
        answers = [*everywhere, *(refuse(state, node) for refuse, state in filters)] + [tally.filter(node) for tally in tallies]
        noes = tuple(_in_numbers(each, pod, node) for each in answers if each is not None)
        if not noes and (crowded := trial.fits(node.slot, node, pod)) is not None:  # there is room, but it has been promised to others
            noes = (crowded,)
        found[node.name] = noes
    return found


def _in_numbers(no: Rejection, pod: PodInfo, node: NodeInfo) -> Rejection:
    """A no for want of room, with how much is wanted and how much is free."""
    if no.plugin != _FIT:
        return no
    binary = quantity.Format.BINARY_SI
    wanted = {
        "cpu": [quantity.from_milli(each) for each in (pod.cpu, node.cpu - node.used_cpu)],
        "memory": [quantity.from_value(each, binary) for each in (pod.memory, node.memory - node.used_memory)],
        "ephemeral-storage": [
            quantity.from_value(each, binary) for each in (pod.ephemeral_storage, node.ephemeral_storage - node.used_ephemeral_storage)
        ],
    }
    for name, value in pod.scalars.items():
        wanted[name] = [quantity.from_value(each) for each in (value, node.scalars.get(name, 0) - node.used_scalars.get(name, 0))]
    short = [f"asks for {asked} {name}, {free} free" for name, (asked, free) in wanted.items() if f"Insufficient {name}" in no.reasons]
    return replace(no, detail="; ".join(short))


def _points(
    pod: PodInfo, nodes: Sequence[NodeInfo], snapshot: Snapshot, profile: Profile
) -> tuple[dict[str, int], dict[str, Sequence[int]]]:
    """The weights of the plugins that tell the nodes apart, and by plugin the weighted points of each node."""
    weights: dict[str, int] = {}
    points: dict[str, Sequence[int]] = {}
    if not nodes:
        return weights, points
    for plugin, weight, normalize in profile.scores:
        state = plugin.pre_score(pod, snapshot)
        if state is None:
            continue
        scores = [plugin.score(state, node) for node in nodes]
        if any(scores):  # else it makes no difference
            scores = normalize(scores) if normalize is not None else scores
            weights[plugin.name], points[plugin.name] = weight, [weight * score for score in scores]
    pick = picker([node.slot for node in nodes])
    for comparing, weight in profile.score_tallies:
        tally = comparing.score_tally(pod, snapshot)
        counted = tally.score(pick) if tally is not None else None
        if counted is not None:
            weights[comparing.name], points[comparing.name] = weight, [weight * score for score in counted]
    return weights, points
