"""From the configuration to profiles: which plugins are in use at which extension point, in which order and with what weight.

Upstream's rules: what the file says is merged into the default set; a plugin of `multiPoint` is in use wherever it has a say, unless it is
disabled or listed at that point itself; those that are listed there come first if they are of `multiPoint` too, else last.
Source: `pkg/scheduler/apis/config/v1/default_plugins.go` (mergePluginSet), `framework/runtime/framework.go` (expandMultiPointPlugins).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from controllers.scheduler.config.file import SchedulerConfigError, arguments_of
from controllers.scheduler.config.models import POINTS, KubeSchedulerConfiguration, KubeSchedulerProfile, PluginRef, Plugins, PluginSet
from controllers.scheduler.plugins.default import PLUGINS, Parts, make
from controllers.scheduler.profile import Profile

_ALL = "*"
_DEFAULT = PluginSet(enabled=tuple(PluginRef(name=name, weight=known.weight) for name, known in PLUGINS.items()))


def profiles_of(config: KubeSchedulerConfiguration, parts: Parts) -> list[Profile]:
    """The profiles of a checked configuration. Raises SchedulerConfigError for plugins that are unknown or out of place."""
    return [_profile(f"profiles[{index}]", each, config, parts) for index, each in enumerate(config.profiles)]


def check(config: KubeSchedulerConfiguration) -> None:
    """Raises what `profiles_of` would raise."""
    for index, told in enumerate(config.profiles):
        _names(f"profiles[{index}]", told)


def _names(path: str, told: KubeSchedulerProfile) -> dict[str, list[str]]:
    """By extension point, the plugins that are in use."""
    _check(path, told.plugins)
    names = {point: in_use(point, told.plugins) for point in POINTS}
    if len(names["queueSort"]) != 1:
        raise SchedulerConfigError(f"{path}.plugins.queueSort: only one queue sort plugin required, but got {len(names['queueSort'])}")
    if not names["bind"]:
        raise SchedulerConfigError(f"{path}.plugins.bind: at least one bind plugin is needed")
    return names


def _profile(path: str, told: KubeSchedulerProfile, config: KubeSchedulerConfiguration, parts: Parts) -> Profile:
    names = _names(path, told)
    args = arguments_of(told)
    made = {name: make(name, parts, args.get(name)) for name in dict.fromkeys(name for each in names.values() for name in each)}
    weights = weights_of(told.plugins)
    percentage = told.percentage_of_nodes_to_score
    return Profile(
        told.scheduler_name,
        [],
        percentage_of_nodes_to_score=config.percentage_of_nodes_to_score if percentage is None else percentage,
        points={point: [(made[name], weights.get(name, 1)) for name in each] for point, each in names.items()},
    )


def _check(path: str, plugins: Plugins) -> None:
    for point in (*POINTS, "multiPoint"):
        seen: set[str] = set()
        for index, each in enumerate(plugins.at(point).enabled):
            where = f"{path}.plugins.{point}.enabled[{index}]"
            known = PLUGINS.get(each.name)
            if known is None:
                raise SchedulerConfigError(f'{where}: plugin "{each.name}" does not exist')
            if point != "multiPoint" and point not in known.points:
                raise SchedulerConfigError(f'{where}: plugin "{each.name}" does not extend {point}')
            if each.name in seen:
                raise SchedulerConfigError(f'{where}: plugin "{each.name}" already registered')
            seen.add(each.name)


def merged(default: PluginSet, custom: PluginSet) -> list[PluginRef]:
    """What is enabled: the default set without what is disabled, what is listed again with its new weight, then the rest of the list."""
    disabled = {each.name for each in custom.disabled}
    again = {each.name: each for each in custom.enabled}
    kept = [] if _ALL in disabled else [again.get(each.name, each) for each in default.enabled if each.name not in disabled]
    return kept + [each for each in custom.enabled if each not in kept]


def in_use(point: str, plugins: Plugins) -> list[str]:
    """The names of the plugins that are in use at an extension point, in order."""
    listed = [each.name for each in plugins.at(point).enabled]
    disabled = {each.name for each in plugins.at(point).disabled}
    if _ALL in disabled:
        return listed
    everywhere = [each.name for each in merged(_DEFAULT, plugins.multi_point)]
    here = [name for name in everywhere if point in PLUGINS[name].points and name not in disabled]
    first = [name for name in listed if name in here]
    return first + [name for name in here if name not in listed] + [name for name in listed if name not in first]


def weights_of(plugins: Plugins) -> Mapping[str, int]:
    """The weights of scores: those of `score` count before those of `multiPoint`, and none means 1."""
    told: Sequence[PluginRef] = [*plugins.score.enabled, *merged(_DEFAULT, plugins.multi_point)]
    weights: dict[str, int] = {}
    for each in told:
        weights.setdefault(each.name, each.weight or 1)
    return weights
