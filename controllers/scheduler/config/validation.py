"""What values of the file go together, in upstream's words. Pure: every function gives its problems as (field, what is wrong).

Source: `pkg/scheduler/apis/config/validation/validation.go` and `validation_pluginargs.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from controllers.scheduler.config import arguments as args
from controllers.scheduler.config.models import POINTS, Extender, KubeSchedulerConfiguration, KubeSchedulerProfile
from controllers.scheduler.config.reading import Problem
from kube.labels import label_key_errors

_REMOVED = ("AzureDiskLimits", "CinderLimits", "EBSLimits", "GCEPDLimits")
_STRATEGIES = ("LeastAllocated", "MostAllocated", "RequestedToCapacityRatio")
_DEFAULTING = ("System", "List")
_ACTIONS = ("DoNotSchedule", "ScheduleAnyway")
_NATIVE = "kubernetes.io/"


def invalid(path: str, value: Any, why: str) -> Problem:
    return path, f"Invalid value: {orjson.dumps(value).decode()}: {why}"


def _not_supported(path: str, value: str, choices: Sequence[str]) -> Problem:
    return path, f"Unsupported value: {orjson.dumps(value).decode()}: supported values: {_quoted(choices)}"


def _quoted(choices: Sequence[str]) -> str:
    return ", ".join(orjson.dumps(each).decode() for each in choices)


def problems(config: KubeSchedulerConfiguration) -> Iterator[Problem]:
    """What is wrong with the file, but for the arguments of plugins."""
    yield from _leader_election(config)
    if config.client_connection.burst < 0:
        yield invalid("clientConnection.burst", config.client_connection.burst, "must be non-negative")
    if config.parallelism <= 0:
        yield invalid("parallelism", config.parallelism, "should be an integer value greater than zero")
    if not config.profiles:
        yield "profiles", "Required value"
    yield from _percentage("percentageOfNodesToScore", config.percentage_of_nodes_to_score)
    for index, profile in enumerate(config.profiles):
        yield from _profile(f"profiles[{index}]", profile)
    yield from _between_profiles(config.profiles)
    if config.pod_initial_backoff_seconds <= 0:
        yield invalid("podInitialBackoffSeconds", config.pod_initial_backoff_seconds, "must be greater than 0")
    if config.pod_max_backoff_seconds < config.pod_initial_backoff_seconds:
        why = "must be greater than or equal to PodInitialBackoffSeconds"
        yield invalid("podMaxBackoffSeconds", config.pod_max_backoff_seconds, why)
    yield from _extenders(config.extenders)


def _leader_election(config: KubeSchedulerConfiguration) -> Iterator[Problem]:
    election = config.leader_election
    if not election.leader_elect:
        return
    if election.resource_lock != "leases":
        yield invalid("leaderElection.resourceLock", election.resource_lock, 'resourceLock value must be "leases"')
    for field, value in (("leaseDuration", election.lease_duration), ("renewDeadline", election.renew_deadline)):
        if value <= 0:
            yield invalid(f"leaderElection.{field}", value, "must be greater than zero")
    if election.retry_period <= 0:
        yield invalid("leaderElection.retryPeriod", election.retry_period, "must be greater than zero")
    if election.lease_duration <= election.renew_deadline:
        yield invalid("leaderElection.leaseDuration", election.lease_duration, "LeaseDuration must be greater than RenewDeadline")
    if election.lease_duration != int(election.lease_duration):
        yield invalid("leaderElection.leaseDuration", election.lease_duration, "must be whole seconds")
    if election.renew_deadline <= 1.2 * election.retry_period:
        yield invalid(
            "leaderElection.renewDeadline", election.renew_deadline, "renewDeadline must be greater than retryPeriod*JitterFactor"
        )
    for field, text in (("resourceName", election.resource_name), ("resourceNamespace", election.resource_namespace)):
        if not text:
            yield f"leaderElection.{field}", f"Required value: {field} is required"


def _percentage(path: str, value: int | None) -> Iterator[Problem]:
    if value is not None and not 0 <= value <= 100:
        yield invalid(path, value, "not in valid range [0-100]")


def _profile(path: str, profile: KubeSchedulerProfile) -> Iterator[Problem]:
    if not profile.scheduler_name:
        yield f"{path}.schedulerName", "Required value"
    yield from _percentage(f"{path}.percentageOfNodesToScore", profile.percentage_of_nodes_to_score)
    for point in (*POINTS, "multiPoint"):
        for index, each in enumerate(profile.plugins.at(point).enabled):
            where = f"{path}.plugins.{point}.enabled[{index}]"
            if each.name in _REMOVED:
                yield invalid(where, each.name, 'was invalid in version "v1" (KubeSchedulerConfiguration is version "v1")')
            if each.weight < 0:
                yield invalid(f"{where}.weight", each.weight, "must not be negative")
    seen: set[str] = set()
    for index, told in enumerate(profile.plugin_config):
        if told.name in seen:
            yield f"{path}.pluginConfig[{index}]", f'Duplicate value: "{told.name}"'
        seen.add(told.name)


def _between_profiles(profiles: Sequence[KubeSchedulerProfile]) -> Iterator[Problem]:
    names: dict[str, int] = {}
    for index, profile in enumerate(profiles):
        known = names.setdefault(profile.scheduler_name, index)
        if known != index:
            yield f"profiles[{index}].schedulerName", f'Duplicate value: "profiles[{known}].schedulerName"'
        if profile.plugins.queue_sort != profiles[0].plugins.queue_sort:
            yield f"profiles[{index}].plugins.queueSort", "Invalid value: must be the same for all profiles"


def _extenders(extenders: Sequence[Extender]) -> Iterator[Problem]:
    managed: set[str] = set()
    for index, extender in enumerate(extenders):
        path = f"extenders[{index}]"
        if extender.prioritize_verb and extender.weight <= 0:
            yield invalid(f"{path}.weight", extender.weight, "must have a positive weight applied to it")
        if not extender.url_prefix.startswith(("http://", "https://")):
            yield invalid(f"{path}.urlPrefix", extender.url_prefix, "must be an http or https URL")
        if extender.http_timeout < 0:
            yield invalid(f"{path}.httpTimeout", extender.http_timeout, "must not be negative")
        for at, resource in enumerate(extender.managed_resources):
            where = f"{path}.managedResources[{at}].name"
            bad = label_key_errors(resource.name)
            if bad:
                yield invalid(where, resource.name, bad[0])
            elif not is_extended(resource.name):
                yield invalid(where, resource.name, "is an invalid extended resource name")
            if resource.name in managed:
                yield invalid(where, resource.name, "duplicate extender managed resource name")
            managed.add(resource.name)
    binders = sum(bool(each.bind_verb) for each in extenders)
    if binders > 1:
        yield invalid("extenders", f"found {binders} extenders implementing bind", "only one extender can implement bind")


def is_extended(resource: str) -> bool:
    """Whether it is a resource that a cluster's own devices are counted by: `example.com/gpu`."""
    return "/" in resource and _NATIVE not in resource and not resource.startswith("requests.")


# --- arguments of plugins ---------------------------------------------------------------------------------------------------


def _preemption(path: str, told: args.DefaultPreemptionArgs) -> Iterator[Problem]:
    percentage, absolute = told.min_candidate_nodes_percentage, told.min_candidate_nodes_absolute
    if not 0 <= percentage <= 100:
        yield invalid(f"{path}.minCandidateNodesPercentage", percentage, "not in valid range [0, 100]")
    if absolute < 0:
        yield invalid(f"{path}.minCandidateNodesAbsolute", absolute, "not in valid range [0, inf)")
    if not percentage and not absolute:
        why = "cannot be zero at the same time as minCandidateNodes"
        yield invalid(f"{path}.minCandidateNodesPercentage", 0, f"{why}Absolute")
        yield invalid(f"{path}.minCandidateNodesAbsolute", 0, f"{why}Percentage")


def _inter_pod_affinity(path: str, told: args.InterPodAffinityArgs) -> Iterator[Problem]:
    if not 0 <= told.hard_pod_affinity_weight <= 100:
        yield invalid(f"{path}.hardPodAffinityWeight", told.hard_pod_affinity_weight, "not in valid range [0, 100]")


def _dynamic_resources(path: str, told: args.DynamicResourcesArgs) -> Iterator[Problem]:
    if told.filter_timeout < 0:
        yield invalid(f"{path}.filterTimeout", told.filter_timeout, "must be zero or positive")
    if told.binding_timeout < 1:
        yield invalid(f"{path}.bindingTimeout", told.binding_timeout, "must be at least 1 second")


def _volume_binding(path: str, told: args.VolumeBindingArgs) -> Iterator[Problem]:
    if told.bind_timeout_seconds < 0:
        why = "invalid BindTimeoutSeconds, should not be a negative value"
        yield invalid(f"{path}.bindTimeoutSeconds", told.bind_timeout_seconds, why)
    if told.shape is not None:
        yield f"{path}.shape", "Invalid value: unexpected field `shape`, remove it or turn on the feature gate StorageCapacityScoring"


def _shape(path: str, shape: Sequence[args.UtilizationShapePoint]) -> Iterator[Problem]:
    if not shape:
        yield path, "Required value: at least one point must be specified"
    for index, point in enumerate(shape):
        if index and shape[index - 1].utilization >= point.utilization:
            yield invalid(f"{path}[{index}].utilization", point.utilization, "values must be sorted in increasing order")
            break
    for index, point in enumerate(shape):
        if not 0 <= point.utilization <= 100:
            yield invalid(f"{path}[{index}].utilization", point.utilization, "not in valid range [0, 100]")
        if not 0 <= point.score <= 10:
            yield invalid(f"{path}[{index}].score", point.score, "not in valid range [0, 10]")


def _fit(path: str, told: args.NodeResourcesFitArgs) -> Iterator[Problem]:
    for index, name in enumerate(told.ignored_resources):
        yield from (invalid(f"{path}.ignoredResources[{index}]", name, why) for why in label_key_errors(name))
    for index, group in enumerate(told.ignored_resource_groups):
        if "/" in group:
            yield invalid(f"{path}.ignoredResourceGroups[{index}]", group, "resource group name can't contain '/'")
        yield from (invalid(f"{path}.ignoredResourceGroups[{index}]", group, why) for why in label_key_errors(group))
    strategy, path = told.scoring_strategy, f"{path}.scoringStrategy"
    if strategy.type not in _STRATEGIES:
        yield _not_supported(f"{path}.type", strategy.type, _STRATEGIES)
    for index, each in enumerate(strategy.resources):
        if not 0 < each.weight <= 100:
            yield invalid(f"{path}.resources[{index}].weight", each.weight, f"resource weight of {each.name} not in valid range (0, 100]")
    ratio = strategy.requested_to_capacity_ratio
    if strategy.type != "RequestedToCapacityRatio":
        if ratio is not None:
            yield f"{path}.requestedToCapacityRatio", "Forbidden: must be nil when type is not RequestedToCapacityRatio"
    elif ratio is None:
        yield f"{path}.requestedToCapacityRatio", "Required value: must be specified when type is RequestedToCapacityRatio"
    else:
        yield from _shape(f"{path}.requestedToCapacityRatio.shape", ratio.shape)


def _balanced(path: str, told: args.NodeResourcesBalancedAllocationArgs) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, each in enumerate(told.resources):
        if each.name in seen:
            yield f"{path}.resources[{index}].name", f'Duplicate value: "{each.name}"'
        seen.add(each.name)
        if each.weight != 1:
            yield invalid(f"{path}.resources[{index}].weight", each.weight, "must be 1")


def _spread(path: str, told: args.PodTopologySpreadArgs) -> Iterator[Problem]:
    if told.defaulting_type not in _DEFAULTING:
        yield _not_supported(f"{path}.defaultingType", told.defaulting_type, _DEFAULTING)
    if told.defaulting_type == "System" and told.default_constraints:
        yield invalid(f"{path}.defaultingType", told.defaulting_type, "when .defaultConstraints are not empty")
    seen: set[tuple[Any, Any]] = set()
    for index, constraint in enumerate(told.default_constraints):
        where = f"{path}.defaultConstraints[{index}]"
        yield from _constraint(where, constraint)
        key, action = constraint.get("topologyKey"), constraint.get("whenUnsatisfiable")
        if (key, action) in seen:
            yield where, f'Duplicate value: "{{{key}, {action}}}"'
        seen.add((key, action))


_CONSTRAINT_FIELDS = frozenset(
    (
        "maxSkew",
        "topologyKey",
        "whenUnsatisfiable",
        "labelSelector",
        "minDomains",
        "nodeAffinityPolicy",
        "nodeTaintsPolicy",
        "matchLabelKeys",
    )
)


def _constraint(path: str, constraint: Mapping[str, Any]) -> Iterator[Problem]:
    for field in constraint.keys() - _CONSTRAINT_FIELDS:
        yield f"{path}.{field}", "unknown field"
    skew, key, action = constraint.get("maxSkew", 0), constraint.get("topologyKey") or "", constraint.get("whenUnsatisfiable") or ""
    if not isinstance(skew, int) or skew <= 0:
        yield invalid(f"{path}.maxSkew", skew, "not in valid range (0, inf)")
    if not key:
        yield f"{path}.topologyKey", "Required value: can not be empty"
    else:
        yield from (invalid(f"{path}.topologyKey", key, why) for why in label_key_errors(key))
    if not action:
        yield f"{path}.whenUnsatisfiable", "Required value: can not be empty"
    elif action not in _ACTIONS:
        yield _not_supported(f"{path}.whenUnsatisfiable", action, _ACTIONS)
    if constraint.get("labelSelector") is not None:
        yield f"{path}.labelSelector", "Forbidden: constraint must not define a selector, as they deduced for each pod"


_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")
_REQUIRED, _PREFERRED = "requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution"


def _node_affinity(path: str, told: args.NodeAffinityArgs) -> Iterator[Problem]:
    added, path = told.added_affinity, f"{path}.addedAffinity"
    for field in added.keys() - {_REQUIRED, _PREFERRED}:
        yield f"{path}.{field}", "unknown field"
    required = (added.get(_REQUIRED) or {}).get("nodeSelectorTerms") or ()
    if added.get(_REQUIRED) is not None and not required:
        yield f"{path}.{_REQUIRED}.nodeSelectorTerms", "Required value: must have at least one node selector term"
    for index, term in enumerate(required):
        yield from _term(f"{path}.{_REQUIRED}.nodeSelectorTerms[{index}]", term)
    for index, preferred in enumerate(added.get(_PREFERRED) or ()):
        yield from _term(f"{path}.{_PREFERRED}[{index}].preference", preferred.get("preference") or {})


def _term(path: str, term: Mapping[str, Any]) -> Iterator[Problem]:
    for field in ("matchExpressions", "matchFields"):
        for index, each in enumerate(term.get(field) or ()):
            where, operator, values = f"{path}.{field}[{index}]", each.get("operator") or "", each.get("values") or ()
            if operator not in _OPERATORS:
                yield _not_supported(f"{where}.operator", operator, _OPERATORS)
            elif operator in ("In", "NotIn") and not values:
                yield f"{where}.values", "Required value: must be specified when `operator` is 'In' or 'NotIn'"
            elif operator in ("Exists", "DoesNotExist") and values:
                yield f"{where}.values", "Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            yield from (invalid(f"{where}.key", each.get("key"), why) for why in label_key_errors(str(each.get("key") or "")))


_CHECKS: Mapping[type[args.Arguments], Callable[[str, Any], Iterator[Problem]]] = {
    args.DefaultPreemptionArgs: _preemption,
    args.DynamicResourcesArgs: _dynamic_resources,
    args.InterPodAffinityArgs: _inter_pod_affinity,
    args.NodeAffinityArgs: _node_affinity,
    args.NodeResourcesBalancedAllocationArgs: _balanced,
    args.NodeResourcesFitArgs: _fit,
    args.PodTopologySpreadArgs: _spread,
    args.VolumeBindingArgs: _volume_binding,
}


def argument_problems(path: str, plugin: str, told: args.Arguments) -> Iterator[Problem]:
    """What is wrong with the arguments of a plugin."""
    if told.kind not in ("", f"{plugin}Args"):
        yield f"{path}.kind", f"args for plugin {plugin} were not of type {plugin}Args, got {told.kind}"
    yield from _CHECKS[type(told)](path, told)
