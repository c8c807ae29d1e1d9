"""The scheduler's configuration file: what is refused and in which words, and what profiles come of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from controllers.__main__ import parser
from controllers.scheduler.config.file import SchedulerConfigError, load_configuration, parse_configuration
from controllers.scheduler.plugins.default import PLUGINS, Parts, default_profile
from controllers.scheduler.profile import Profile
from controllers.scheduler.profiles import check, in_use, profiles_of, weights_of
from controllers.scheduler.startup import configuration, terms_of
from kube.client.client import Client

HEAD = {"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration"}
CLIENT = Client.__new__(Client)


def profile(**told: Any) -> Profile:
    """The one profile of a configuration."""
    (made,) = profiles_of(parse_configuration({**HEAD, "profiles": [told]}), Parts(CLIENT))
    return made


def plugin(name: str, **args: Any) -> dict[str, Any]:
    return {"profiles": [{"pluginConfig": [{"name": name, "args": args}]}]}


ARGS = "profiles[0].pluginConfig[0].args"
RATIO = {"type": "RequestedToCapacityRatio"}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param(
            {"parallelism": 0}, "parallelism: Invalid value: 0: should be an integer value greater than zero", id="no parallelism"
        ),
        pytest.param({"paralelism": 1}, "paralelism: unknown field", id="a field that does not exist"),
        pytest.param({"parallelism": "8"}, "parallelism: should be a valid integer", id="a number in quotes"),
        pytest.param({"profiles": []}, "profiles: Required value", id="no profile"),
        pytest.param(
            {"percentageOfNodesToScore": 101},
            "percentageOfNodesToScore: Invalid value: 101: not in valid range [0-100]",
            id="more than all nodes",
        ),
        pytest.param(
            {"profiles": [{"percentageOfNodesToScore": -1}]},
            "profiles[0].percentageOfNodesToScore: Invalid value: -1: not in valid range [0-100]",
            id="less than no nodes, in a profile",
        ),
        pytest.param(
            {"podInitialBackoffSeconds": 0}, "podInitialBackoffSeconds: Invalid value: 0: must be greater than 0", id="no back-off"
        ),
        pytest.param(
            {"podInitialBackoffSeconds": 11},
            "podMaxBackoffSeconds: Invalid value: 10: must be greater than or equal to PodInitialBackoffSeconds",
            id="the longest back-off is shorter than the first",
        ),
        pytest.param(
            {"profiles": [{}, {"schedulerName": "default-scheduler"}]},
            'profiles[1].schedulerName: Duplicate value: "profiles[0].schedulerName"',
            id="two profiles of one name",
        ),
        pytest.param(
            {"profiles": [{}, {"schedulerName": "b", "plugins": {"queueSort": {"disabled": [{"name": "*"}]}}}]},
            "profiles[1].plugins.queueSort: Invalid value: must be the same for all profiles",
            id="profiles that sort the queue differently",
        ),
        pytest.param(
            {"leaderElection": {"leaseDuration": "5s"}},
            "leaderElection.leaseDuration: Invalid value: 5.0: LeaseDuration must be greater than RenewDeadline",
            id="a lease that is over before it is renewed",
        ),
        pytest.param(
            {"leaderElection": {"resourceLock": "endpoints"}},
            'leaderElection.resourceLock: Invalid value: "endpoints": resourceLock value must be "leases"',
            id="another lock",
        ),
        pytest.param(
            {"leaderElection": {"retryPeriod": "soon"}}, 'leaderElection.retryPeriod: time: invalid duration "soon"', id="no duration"
        ),
        pytest.param(
            {"profiles": [{"plugins": {"score": {"enabled": [{"name": "NodePorts"}]}}}]},
            'profiles[0].plugins.score.enabled[0]: plugin "NodePorts" does not extend score',
            id="a plugin where it has nothing to say",
        ),
        pytest.param(
            {"profiles": [{"plugins": {"filter": {"enabled": [{"name": "Mine"}]}}}]},
            'profiles[0].plugins.filter.enabled[0]: plugin "Mine" does not exist',
            id="a plugin that does not exist",
        ),
        pytest.param(
            {"profiles": [{"plugins": {"multiPoint": {"enabled": [{"name": "NodeName"}, {"name": "NodeName"}]}}}]},
            'profiles[0].plugins.multiPoint.enabled[1]: plugin "NodeName" already registered',
            id="a plugin twice",
        ),
        pytest.param(
            {"profiles": [{"plugins": {"filter": {"enabled": [{"name": "EBSLimits"}]}}}]},
            'profiles[0].plugins.filter.enabled[0]: Invalid value: "EBSLimits": was invalid in version "v1"'
            ' (KubeSchedulerConfiguration is version "v1")',
            id="a plugin that is gone",
        ),
        pytest.param(
            {"profiles": [{"plugins": {"bind": {"disabled": [{"name": "*"}]}}}]},
            "profiles[0].plugins.bind: at least one bind plugin is needed",
            id="nobody binds",
        ),
        pytest.param(
            {"profiles": [{"plugins": {"queueSort": {"disabled": [{"name": "*"}]}}}]},
            "profiles[0].plugins.queueSort: only one queue sort plugin required, but got 0",
            id="nobody sorts the queue",
        ),
        pytest.param(
            {"profiles": [{"pluginConfig": [{"name": "NodeAffinity"}, {"name": "NodeAffinity"}]}]},
            'profiles[0].pluginConfig[1]: Duplicate value: "NodeAffinity"',
            id="a plugin told twice",
        ),
        pytest.param(
            plugin("NodePorts"), 'profiles[0].pluginConfig[0].name: there is no plugin "NodePorts" that takes arguments', id="no arguments"
        ),
        pytest.param(
            plugin("NodeAffinity", kind="InterPodAffinityArgs"),
            f"{ARGS}.kind: args for plugin NodeAffinity were not of type NodeAffinityArgs, got InterPodAffinityArgs",
            id="arguments of another plugin",
        ),
        pytest.param(plugin("InterPodAffinity", weight=3), f"{ARGS}.weight: unknown field", id="an argument that does not exist"),
        pytest.param(
            plugin("InterPodAffinity", hardPodAffinityWeight=101),
            f"{ARGS}.hardPodAffinityWeight: Invalid value: 101: not in valid range [0, 100]",
            id="too heavy",
        ),
        pytest.param(
            plugin("DefaultPreemption", minCandidateNodesPercentage=101),
            f"{ARGS}.minCandidateNodesPercentage: Invalid value: 101: not in valid range [0, 100]",
            id="more candidates than nodes",
        ),
        pytest.param(
            plugin("VolumeBinding", bindTimeoutSeconds=-1),
            f"{ARGS}.bindTimeoutSeconds: Invalid value: -1: invalid BindTimeoutSeconds, should not be a negative value",
            id="a timeout in the past",
        ),
        pytest.param(
            plugin("NodeResourcesFit", scoringStrategy={"type": "Most"}),
            f'{ARGS}.scoringStrategy.type: Unsupported value: "Most": supported values: "LeastAllocated", "MostAllocated",'
            ' "RequestedToCapacityRatio"',
            id="a strategy that does not exist",
        ),
        pytest.param(
            plugin("NodeResourcesFit", scoringStrategy={"resources": [{"name": "cpu", "weight": 101}]}),
            f"{ARGS}.scoringStrategy.resources[0].weight: Invalid value: 101: resource weight of cpu not in valid range (0, 100]",
            id="a resource that weighs too much",
        ),
        pytest.param(
            plugin("NodeResourcesFit", scoringStrategy=RATIO),
            f"{ARGS}.scoringStrategy.requestedToCapacityRatio: Required value: must be specified when type is RequestedToCapacityRatio",
            id="a shape is missing",
        ),
        pytest.param(
            plugin(
                "NodeResourcesFit",
                scoringStrategy={**RATIO, "requestedToCapacityRatio": {"shape": [{"utilization": 5}, {"utilization": 5, "score": 11}]}},
            ),
            f"{ARGS}.scoringStrategy.requestedToCapacityRatio.shape[1].utilization: Invalid value: 5: values must be sorted in increasing"
            f" order\n{ARGS}.scoringStrategy.requestedToCapacityRatio.shape[1].score: Invalid value: 11: not in valid range [0, 10]",
            id="two things wrong with a shape",
        ),
        pytest.param(
            plugin("NodeResourcesFit", ignoredResourceGroups=["example.com/gpu"]),
            f"{ARGS}.ignoredResourceGroups[0]: Invalid value: \"example.com/gpu\": resource group name can't contain '/'",
            id="a resource for a group",
        ),
        pytest.param(
            plugin("NodeResourcesBalancedAllocation", resources=[{"name": "cpu", "weight": 2}]),
            f"{ARGS}.resources[0].weight: Invalid value: 2: must be 1",
            id="balance has no weights",
        ),
        pytest.param(
            plugin("PodTopologySpread", defaultConstraints=[{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}]),
            f'{ARGS}.defaultingType: Invalid value: "System": when .defaultConstraints are not empty',
            id="constraints beside upstream's",
        ),
        pytest.param(
            plugin("PodTopologySpread", defaultingType="List", defaultConstraints=[{"topologyKey": "zone", "labelSelector": {}}]),
            f"{ARGS}.defaultConstraints[0].maxSkew: Invalid value: 0: not in valid range (0, inf)\n"
            f"{ARGS}.defaultConstraints[0].whenUnsatisfiable: Required value: can not be empty\n"
            f"{ARGS}.defaultConstraints[0].labelSelector: Forbidden: constraint must not define a selector, as they deduced for each pod",
            id="a constraint with three things wrong",
        ),
        pytest.param(
            plugin(
                "NodeAffinity",
                addedAffinity={
                    "requiredDuringSchedulingIgnoredDuringExecution": {
                        "nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Like"}]}]
                    }
                },
            ),
            f"{ARGS}.addedAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].operator:"
            ' Unsupported value: "Like": supported values: "In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"',
            id="an operator that does not exist",
        ),
        pytest.param({"extenders": [{}]}, "extenders[0].urlPrefix: Required value", id="an extender nowhere"),
        pytest.param(
            {"extenders": [{"urlPrefix": "http://x", "prioritizeVerb": "p"}]},
            "extenders[0].weight: Invalid value: 0: must have a positive weight applied to it",
            id="an extender without weight",
        ),
        pytest.param(
            {"extenders": [{"urlPrefix": "http://x", "bindVerb": "b"}, {"urlPrefix": "http://y", "bindVerb": "b"}]},
            'extenders: Invalid value: "found 2 extenders implementing bind": only one extender can implement bind',
            id="two extenders bind",
        ),
        pytest.param(
            {"extenders": [{"urlPrefix": "http://x", "managedResources": [{"name": "cpu"}]}]},
            'extenders[0].managedResources[0].name: Invalid value: "cpu": is an invalid extended resource name',
            id="an extender manages cpu",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_field(content: dict[str, Any], problem: str) -> None:
    with pytest.raises(SchedulerConfigError) as refused:
        check(parse_configuration({**HEAD, **content}))
    assert str(refused.value) == problem


def test_a_file_names_its_version_and_kind() -> None:
    with pytest.raises(SchedulerConfigError, match="kind: Required value"):
        parse_configuration({"apiVersion": HEAD["apiVersion"]})
    with pytest.raises(SchedulerConfigError, match=r"apiVersion: should be 'kubescheduler.config.k8s.io/v1'"):
        parse_configuration({**HEAD, "apiVersion": "kubescheduler.config.k8s.io/v1beta3"})


def test_a_file_may_say_nothing_or_null_and_gives_the_default_profile() -> None:
    (made,) = profiles_of(parse_configuration({**HEAD, "parallelism": None}), Parts(CLIENT))
    default = default_profile()
    assert made.name == "default-scheduler"
    assert [each.name for each in made.filters] == [each.name for each in default.filters]
    assert [(each.name, weight) for each, weight, _ in made.scores if each.name != "VolumeBinding"] == [
        (each.name, weight) for each, weight, _ in default.scores
    ]
    assert [(each.name, weight) for each, weight in made.score_tallies] == [(each.name, weight) for each, weight in default.score_tallies]
    assert [each.name for each in made.bind] == ["DefaultBinder"]


@pytest.mark.parametrize(
    ("point", "told", "expected"),
    [
        pytest.param("score", {}, [name for name, known in PLUGINS.items() if "score" in known.points], id="the default"),
        pytest.param("score", {"score": {"disabled": [{"name": "*"}]}}, [], id="nothing at a point"),
        pytest.param(
            "score",
            {"score": {"disabled": [{"name": "*"}], "enabled": [{"name": "ImageLocality"}, {"name": "NodeAffinity"}]}},
            ["ImageLocality", "NodeAffinity"],
            id="only these, in this order",
        ),
        pytest.param(
            "filter",
            {"multiPoint": {"disabled": [{"name": "*"}], "enabled": [{"name": "NodeName"}, {"name": "NodePorts"}]}},
            ["NodeName", "NodePorts"],
            id="only these at all points",
        ),
        pytest.param(
            "filter",
            {
                "multiPoint": {"disabled": [{"name": "*"}], "enabled": [{"name": "NodeName"}, {"name": "NodePorts"}]},
                "filter": {"enabled": [{"name": "VolumeZone"}, {"name": "NodePorts"}]},
            },
            ["NodePorts", "NodeName", "VolumeZone"],
            id="first those listed again, then all points', then the rest",
        ),
        pytest.param(
            "filter",
            {
                "multiPoint": {"disabled": [{"name": "*"}], "enabled": [{"name": "NodeName"}, {"name": "NodePorts"}]},
                "filter": {"disabled": [{"name": "NodeName"}]},
            },
            ["NodePorts"],
            id="disabled at one point",
        ),
    ],
)
def test_which_plugins_are_in_use(point: str, told: dict[str, Any], expected: list[str]) -> None:
    config = parse_configuration({**HEAD, "profiles": [{"plugins": told}]})
    assert in_use(point, config.profiles[0].plugins) == expected


def test_weights_of_the_point_count_before_those_of_all_points() -> None:
    told = {"score": {"enabled": [{"name": "NodeAffinity", "weight": 7}]}, "multiPoint": {"enabled": [{"name": "ImageLocality"}]}}
    weights = weights_of(parse_configuration({**HEAD, "profiles": [{"plugins": told}]}).profiles[0].plugins)
    assert (weights["NodeAffinity"], weights["ImageLocality"], weights["TaintToleration"]) == (7, 1, 3)


def test_profiles_have_their_own_share_of_nodes_or_the_common_one() -> None:
    content = {**HEAD, "percentageOfNodesToScore": 30, "profiles": [{}, {"schedulerName": "all", "percentageOfNodesToScore": 100}]}
    first, second = profiles_of(parse_configuration(content), Parts(CLIENT))
    assert (first.percentage_of_nodes_to_score, second.percentage_of_nodes_to_score) == (30, 100)


def test_a_file_is_read_strictly_and_errors_name_it(tmp_path: Path) -> None:
    file = tmp_path / "scheduler.yaml"
    file.write_text("apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\nparallelism: 1\nparallelism: 2\n")
    with pytest.raises(SchedulerConfigError, match=r'scheduler\.yaml: line 4: key "parallelism" already set in map'):
        load_configuration(str(file))
    with pytest.raises(SchedulerConfigError, match=r"none\.yaml: No such file or directory"):
        load_configuration(str(tmp_path / "none.yaml"))


def test_flags_and_file_together(tmp_path: Path) -> None:
    file = tmp_path / "scheduler.yaml"
    file.write_text(
        "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\nclientConnection: {kubeconfig: /etc/k}\n"
        "leaderElection: {leaseDuration: 20s, resourceName: mine}\nprofiles: [{schedulerName: a}, {schedulerName: b}]\n"
    )
    flags = parser().parse_args(["scheduler", f"--config={file}"])
    config = configuration(flags)
    assert [each.scheduler_name for each in config.profiles] == ["a", "b"]
    assert (flags.kubeconfig, flags.leader_elect) == ("/etc/k", True)
    terms = terms_of(config.leader_election)
    assert (terms.name, terms.lease_duration_s) == ("mine", 20)
    flags = parser().parse_args(["scheduler", f"--config={file}", "--leader-elect=false", "--kubeconfig=/other"])
    configuration(flags)
    assert (flags.kubeconfig, flags.leader_elect) == ("/other", False)


def test_without_a_file_there_is_one_profile_and_nobody_elects() -> None:
    flags = parser().parse_args(["scheduler", "--kubeconfig=/k", "--scheduler-name=mine"])
    assert [each.scheduler_name for each in configuration(flags).profiles] == ["mine"]
    assert flags.leader_elect is False
    with pytest.raises(SchedulerConfigError, match="--kubeconfig is required"):
        configuration(parser().parse_args(["scheduler"]))
