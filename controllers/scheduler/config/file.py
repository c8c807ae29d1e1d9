"""Reading the configuration file: YAML or JSON, strictly. Everything that is wrong is told at once, each with its field."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from controllers.scheduler.config.arguments import ARGUMENTS, Arguments
from controllers.scheduler.config.models import KIND, KubeSchedulerConfiguration, KubeSchedulerProfile
from controllers.scheduler.config.reading import Problem, Unreadable, read
from controllers.scheduler.config.validation import argument_problems, problems
from kube.schema.goyaml import YamlError, load


class SchedulerConfigError(ValueError):
    """A file that cannot be used. The text has a line for each problem, with its field."""


def load_configuration(path: str) -> KubeSchedulerConfiguration:
    """Raises SchedulerConfigError."""
    try:
        document = load(Path(path).read_bytes())
    except OSError as error:
        raise SchedulerConfigError(f"{path}: {error.strerror}") from error
    except YamlError as error:
        raise SchedulerConfigError(f"{path}: {error}") from error
    try:
        return parse_configuration(document.value, document.duplicates)
    except SchedulerConfigError as error:
        raise SchedulerConfigError("\n".join(f"{path}: {line}" for line in str(error).splitlines())) from None


def parse_configuration(content: Any, duplicates: Sequence[str] = ()) -> KubeSchedulerConfiguration:
    """The configuration; the arguments of its plugins are checked, too. Raises SchedulerConfigError."""
    if duplicates:
        raise SchedulerConfigError("\n".join(duplicates))
    if not isinstance(content, dict):
        raise SchedulerConfigError(f"it is no {KIND}")
    for field in ("apiVersion", "kind"):
        if not content.get(field):
            raise SchedulerConfigError(f"{field}: Required value")
    try:
        config = read(KubeSchedulerConfiguration, content)
    except Unreadable as error:
        raise SchedulerConfigError(str(error)) from error
    found = list(problems(config))
    for index, profile in enumerate(config.profiles):
        found += _argument_problems(f"profiles[{index}]", profile)
    _refuse(found)
    return config


def arguments_of(profile: KubeSchedulerProfile) -> dict[str, Arguments]:
    """By plugin name: what it is told, defaults where the profile says nothing. The profile must have been checked."""
    told = {each.name: each.args for each in profile.plugin_config}
    return {name: read(kind, told.get(name, {})) for name, kind in ARGUMENTS.items()}


def _argument_problems(path: str, profile: KubeSchedulerProfile) -> Iterable[Problem]:
    for index, told in enumerate(profile.plugin_config):
        where = f"{path}.pluginConfig[{index}]"
        kind = ARGUMENTS.get(told.name)
        if kind is None:
            yield f"{where}.name", f'there is no plugin "{told.name}" that takes arguments'
            continue
        try:
            yield from argument_problems(f"{where}.args", told.name, read(kind, told.args, f"{where}.args"))
        except Unreadable as error:
            yield from error.problems


def _refuse(found: Sequence[Problem]) -> None:
    if found:
        raise SchedulerConfigError("\n".join(f"{field}: {why}" for field, why in found))
