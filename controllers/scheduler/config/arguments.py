"""What plugins can be told in `pluginConfig`: upstream's argument kinds, their fields and defaults.

Source: `k8s.io/kube-scheduler/config/v1/types_pluginargs.go`, `pkg/scheduler/apis/config/v1/defaults.go`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from controllers.scheduler.config.models import Seconds


@dataclass(frozen=True, slots=True)
class Arguments:
    """Of one plugin. `kind` is the plugin's name and "Args"."""

    api_version: Literal["kubescheduler.config.k8s.io/v1"] = "kubescheduler.config.k8s.io/v1"
    kind: str = ""


@dataclass(frozen=True, slots=True)
class DefaultPreemptionArgs(Arguments):
    min_candidate_nodes_percentage: int = 10
    min_candidate_nodes_absolute: int = 100


@dataclass(frozen=True, slots=True)
class DynamicResourcesArgs(Arguments):
    filter_timeout: Seconds = 10.0
    """Accepted: a search for devices is bounded by how many steps it takes."""
    binding_timeout: Seconds = 600.0


@dataclass(frozen=True, slots=True)
class InterPodAffinityArgs(Arguments):
    hard_pod_affinity_weight: int = 1
    ignore_preferred_terms_of_existing_pods: bool = False


@dataclass(frozen=True, slots=True)
class NodeAffinityArgs(Arguments):
    added_affinity: dict[str, Any] = field(default_factory=dict)
    """A NodeAffinity that nodes must fulfil besides the pod's own."""


@dataclass(frozen=True, slots=True)
class ResourceSpec:
    name: str = ""
    weight: int = 1


_CPU_AND_MEMORY = (ResourceSpec(name="cpu"), ResourceSpec(name="memory"))


@dataclass(frozen=True, slots=True)
class UtilizationShapePoint:
    utilization: int = 0
    score: int = 0


@dataclass(frozen=True, slots=True)
class RequestedToCapacityRatioParam:
    shape: tuple[UtilizationShapePoint, ...] = ()


@dataclass(frozen=True, slots=True)
class ScoringStrategy:
    type: str = "LeastAllocated"
    resources: tuple[ResourceSpec, ...] = _CPU_AND_MEMORY
    requested_to_capacity_ratio: RequestedToCapacityRatioParam | None = None


@dataclass(frozen=True, slots=True)
class NodeResourcesFitArgs(Arguments):
    ignored_resources: tuple[str, ...] = ()
    ignored_resource_groups: tuple[str, ...] = ()
    scoring_strategy: ScoringStrategy = ScoringStrategy()


@dataclass(frozen=True, slots=True)
class NodeResourcesBalancedAllocationArgs(Arguments):
    resources: tuple[ResourceSpec, ...] = _CPU_AND_MEMORY


@dataclass(frozen=True, slots=True)
class PodTopologySpreadArgs(Arguments):
    default_constraints: tuple[dict[str, Any], ...] = ()
    """TopologySpreadConstraints without selectors, for pods that have none of their own."""
    defaulting_type: str = "System"


@dataclass(frozen=True, slots=True)
class VolumeBindingArgs(Arguments):
    bind_timeout_seconds: int = 600
    shape: tuple[UtilizationShapePoint, ...] | None = None


ARGUMENTS: dict[str, type[Arguments]] = {
    "DefaultPreemption": DefaultPreemptionArgs,
    "DynamicResources": DynamicResourcesArgs,
    "InterPodAffinity": InterPodAffinityArgs,
    "NodeAffinity": NodeAffinityArgs,
    "NodeResourcesBalancedAllocation": NodeResourcesBalancedAllocationArgs,
    "NodeResourcesFit": NodeResourcesFitArgs,
    "PodTopologySpread": PodTopologySpreadArgs,
    "VolumeBinding": VolumeBindingArgs,
}
"""By plugin name."""
