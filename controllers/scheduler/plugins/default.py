"""Which plugins there are, how each is made, at which extension points it has a say, and what upstream's default profile has of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from controllers.scheduler.config.arguments import ARGUMENTS, Arguments
from controllers.scheduler.framework import BindPlugin, Plugin
from controllers.scheduler.plugins.default_binder import DefaultBinder
from controllers.scheduler.plugins.default_preemption import DefaultPreemption
from controllers.scheduler.plugins.dynamic_resources import DynamicResources
from controllers.scheduler.plugins.image_locality import ImageLocality
from controllers.scheduler.plugins.inter_pod_affinity import InterPodAffinity
from controllers.scheduler.plugins.node_affinity import NodeAffinity
from controllers.scheduler.plugins.node_declared_features import NodeDeclaredFeatures
from controllers.scheduler.plugins.node_name import NodeName
from controllers.scheduler.plugins.node_ports import NodePorts
from controllers.scheduler.plugins.node_resources import NodeResourcesBalancedAllocation, NodeResourcesFit
from controllers.scheduler.plugins.node_unschedulable import NodeUnschedulable
from controllers.scheduler.plugins.node_volume_limits import NodeVolumeLimits
from controllers.scheduler.plugins.pod_topology_spread import PodTopologySpread
from controllers.scheduler.plugins.priority_sort import PrioritySort
from controllers.scheduler.plugins.scheduling_gates import SchedulingGates
from controllers.scheduler.plugins.taint_toleration import TaintToleration
from controllers.scheduler.plugins.volume_binding import VolumeBinding
from controllers.scheduler.plugins.volume_restrictions import VolumeRestrictions
from controllers.scheduler.plugins.volume_zone import VolumeZone
from controllers.scheduler.pod_info import PodInfo
from controllers.scheduler.profile import Profile
from controllers.scheduler.waiting import WaitingPods
from kube.client.client import Client
from kube.clock import Clock, RealClock

_FILTERS = ("preFilter", "filter")
_SCORES = ("preScore", "score")
_BOTH = (*_FILTERS, *_SCORES)


@dataclass(frozen=True, slots=True)
class Parts:
    """What plugins may be made from besides their arguments. Without a client they can only decide. `ignored_resources`: see
    NodeResourcesFit. `waiting`: the pods that Permit plugins have made wait. `record` tells of a pod: type, reason, message."""

    client: Client | None = None
    ignored_resources: frozenset[str] = frozenset()
    waiting: WaitingPods = field(default_factory=WaitingPods)
    clock: Clock = field(default_factory=RealClock)
    record: Callable[[PodInfo, str, str, str], None] = lambda *_: None


@dataclass(frozen=True, slots=True)
class Known:
    """A plugin: its extension points under upstream's names, how to make it, and the weight of its score in the default profile."""

    points: tuple[str, ...]
    make: Callable[[Any, Parts], Plugin]
    weight: int = 0


def _binder(_args: Any, parts: Parts) -> Plugin:
    assert parts.client is not None
    return DefaultBinder(parts.client)


PLUGINS: Mapping[str, Known] = {
    "SchedulingGates": Known(("preEnqueue",), lambda args, parts: SchedulingGates()),
    "PrioritySort": Known(("queueSort",), lambda args, parts: PrioritySort()),
    "NodeUnschedulable": Known(("filter",), lambda args, parts: NodeUnschedulable()),
    "NodeName": Known(("filter",), lambda args, parts: NodeName()),
    "TaintToleration": Known(("filter", *_SCORES), lambda args, parts: TaintToleration(), 3),
    "NodeAffinity": Known(_BOTH, lambda args, parts: NodeAffinity(args), 2),
    "NodePorts": Known(_FILTERS, lambda args, parts: NodePorts()),
    "NodeResourcesFit": Known(_BOTH, lambda args, parts: NodeResourcesFit(args, parts.ignored_resources), 1),
    "VolumeRestrictions": Known(_FILTERS, lambda args, parts: VolumeRestrictions()),
    "NodeVolumeLimits": Known(_FILTERS, lambda args, parts: NodeVolumeLimits()),
    "VolumeBinding": Known((*_BOTH, "reserve", "preBind"), lambda args, parts: VolumeBinding(parts.client, args)),
    "VolumeZone": Known(_FILTERS, lambda args, parts: VolumeZone()),
    "PodTopologySpread": Known(_BOTH, lambda args, parts: PodTopologySpread(args), 2),
    "InterPodAffinity": Known(_BOTH, lambda args, parts: InterPodAffinity(args), 2),
    "DynamicResources": Known(
        ("preEnqueue", *_FILTERS, "postFilter", "reserve", "preBind"),
        lambda args, parts: DynamicResources(parts.client, parts.clock, parts.record, binding_timeout_s=args.binding_timeout),
    ),
    "DefaultPreemption": Known(("postFilter",), lambda args, parts: DefaultPreemption(args)),
    "NodeResourcesBalancedAllocation": Known(_SCORES, lambda args, parts: NodeResourcesBalancedAllocation(args), 1),
    "ImageLocality": Known(("score",), lambda args, parts: ImageLocality(), 1),
    "DefaultBinder": Known(("bind",), _binder),
    "NodeDeclaredFeatures": Known(_FILTERS, lambda args, parts: NodeDeclaredFeatures()),
}
"""In the order of upstream's default profile, which has them all."""


def make(name: str, parts: Parts, args: Arguments | None = None) -> Plugin:
    """A new plugin; its default arguments where it takes some and there are none."""
    kind = ARGUMENTS.get(name)
    return PLUGINS[name].make(args if args is not None or kind is None else kind(), parts)


def default_profile(name: str = "default-scheduler", binder: BindPlugin | None = None, client: Client | None = None) -> Profile:
    """Upstream's plugins, order and weights. `binder` and `client` are what carries decisions out; without them it can only decide."""
    parts = Parts(client)
    plugins = [(make(each, parts), known.weight) for each, known in PLUGINS.items() if each != "DefaultBinder"]
    return Profile(name, [*plugins, *([(binder, 0)] if binder is not None else [])])
