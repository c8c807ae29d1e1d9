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
from controllers.scheduler.plugins.node_volume_limits import NodeVolumeLimits
from controllers.scheduler.plugins.pod_topology_spread import PodTopologySpread
from controllers.scheduler.plugins.priority_sort import PrioritySort
from controllers.scheduler.plugins.scheduling_gates import SchedulingGates
from controllers.scheduler.plugins.taint_toleration import TaintToleration
from controllers.scheduler.plugins.volume_binding import VolumeBinding
from controllers.scheduler.plugins.volume_restrictions import VolumeRestrictions
from controllers.scheduler.plugins.volume_zone import VolumeZone
from controllers.scheduler.profile import Profile
from kube.client.client import Client


def default_profile(name: str = "default-scheduler", binder: BindPlugin | None = None, client: Client | None = None) -> Profile:
    """`binder` and `client` are what carries decisions out; a profile without them can only decide."""
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
            (VolumeRestrictions(), 0),
            (NodeVolumeLimits(), 0),
            (VolumeBinding(client), 0),
            (VolumeZone(), 0),
            (PodTopologySpread(), 2),
            (InterPodAffinity(), 2),
            (DefaultPreemption(), 0),
            (NodeResourcesBalancedAllocation(), 1),
            (ImageLocality(), 1),
            *([(binder, 0)] if binder is not None else []),
        ],
    )
