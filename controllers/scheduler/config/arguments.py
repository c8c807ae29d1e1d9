"""What plugins can be told in `pluginConfig`: upstream's argument kinds, their fields and defaults.

Source: `k8s.io/kube-scheduler/config/v1/types_pluginargs.go`, `pkg/scheduler/apis/config/v1/defaults.go`.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from controllers.scheduler.config.models import Part, Seconds


class Arguments(Part):
    """Of one plugin. `kind` is the plugin's name and "Args"."""

    api_version: Literal["kubescheduler.config.k8s.io/v1"] = "kubescheduler.config.k8s.io/v1"
    kind: str = ""


class DefaultPreemptionArgs(Arguments):
    min_candidate_nodes_percentage: int = 10
    min_candidate_nodes_absolute: int = 100


class DynamicResourcesArgs(Arguments):
    filter_timeout: Seconds = 10.0
    """Accepted: a search for devices is bounded by how many steps it takes."""
    binding_timeout: Seconds = 600.0


class InterPodAffinityArgs(Arguments):
    hard_pod_affinity_weight: int = 1
    ignore_preferred_terms_of_existing_pods: bool = False


class NodeAffinityArgs(Arguments):
    added_affinity: dict[str, Any] = {}
    """A NodeAffinity that nodes must fulfil besides the pod's own."""


class ResourceSpec(Part):
    name: str = ""
    weight: int = 1


_CPU_AND_MEMORY = (ResourceSpec(name="cpu"), ResourceSpec(name="memory"))


class UtilizationShapePoint(Part):
    utilization: int = 0
    score: int = 0


class RequestedToCapacityRatioParam(Part):
    shape: tuple[UtilizationShapePoint, ...] = Field(default=(), strict=False)


class ScoringStrategy(Part):
    type: str = "LeastAllocated"
    resources: tuple[ResourceSpec, ...] = Field(default=_CPU_AND_MEMORY, strict=False)
    requested_to_capacity_ratio: RequestedToCapacityRatioParam | None = None


class NodeResourcesFitArgs(Arguments):
    ignored_resources: tuple[str, ...] = Field(default=(), strict=False)
    ignored_resource_groups: tuple[str, ...] = Field(default=(), strict=False)
    scoring_strategy: ScoringStrategy = ScoringStrategy()


class NodeResourcesBalancedAllocationArgs(Arguments):
    resources: tuple[ResourceSpec, ...] = Field(default=_CPU_AND_MEMORY, strict=False)


class PodTopologySpreadArgs(Arguments):
    default_constraints: tuple[dict[str, Any], ...] = Field(default=(), strict=False)
    """TopologySpreadConstraints without selectors, for pods that have none of their own."""
    defaulting_type: str = "System"


class VolumeBindingArgs(Arguments):
    bind_timeout_seconds: int = 600
    shape: tuple[UtilizationShapePoint, ...] | None = Field(default=None, strict=False)


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
