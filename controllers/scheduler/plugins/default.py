"""The default profile: upstream's plugins, order and weights."""

from __future__ import annotations

from controllers.scheduler.framework import BindPlugin
from controllers.scheduler.plugins.default_preemption import DefaultPreemption
from controllers.scheduler.plugins.image_locality import ImageLocality
from controllers.scheduler.plugins.inter_pod_affinity import InterPodAffinity
from controllers.scheduler.plugins.node_affinity import NodeAffinity
from controllers.scheduler.plugins.node_name import NodeName
from controllers.scheduler.plugins.node_ports import NodePorts
from controllers.scheduler.plugins.node_resources import NodeResourcesBalancedAllocation, NodeResourcesFit
from controllers.scheduler.plugins.node_unschedulable import NodeUnschedulable
from controllers.scheduler.plugins.pod_topology_spread import PodTopologySpread
from controllers.scheduler.plugins.priority_sort import PrioritySort
from controllers.scheduler.plugins.scheduling_gates import SchedulingGates
from controllers.scheduler.plugins.taint_toleration import TaintToleration
from controllers.scheduler.profile import Profile


def default_profile(name: str = "default-scheduler", binder: BindPlugin | None = None) -> Profile:
    """`binder` is what carries decisions out; a profile without one can only decide."""
    return Profile(
        name,
        [
            (SchedulingGates(), 0),
            (PrioritySort(), 0),
            (NodeUnschedulable(), 0),
            (NodeName(), 0),
            (TaintToleration(), 3),
            (NodeAffinity(), 2),
            (NodePorts(), 0),
            (NodeResourcesFit(), 1),
            (PodTopologySpread(), 2),
            (InterPodAffinity(), 2),
            (DefaultPreemption(), 0),
            (NodeResourcesBalancedAllocation(), 1),
            (ImageLocality(), 1),
            *([(binder, 0)] if binder is not None else []),
        ],
    )
