"""Which versions of the API are on: what `--runtime-config` says of versions and of single resources. Pure.

Stable versions are on and the others off, unless something else is said of them. `read_runtime_config` reads the flag, `check` refuses what
this server cannot do, and `in_versions` fits a kind to what is on; `emulation.py` asks for all kinds. Source: apiserver
`pkg/server/resourceconfig/helpers.go`, `pkg/server/options/api_enablement.go`, kubernetes `pkg/controlplane/instance.go`,
`pkg/controlplane/apiserver/options/options.go`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from apiserver.registry.kind import Kind
from kube.feature_gates import parse_bool
from kube.resources import Resource
from kube.schema.definitions import Definitions

Version = tuple[str, str]
"""(group, version)"""

_STABLE: Final = re.compile(r"v[0-9]+")
_ALL: Final[Mapping[str, re.Pattern[str]]] = {
    "api/all": re.compile(r".*"),
    "api/ga": _STABLE,
    "api/beta": re.compile(r"v[0-9]+beta[0-9]+"),
    "api/alpha": re.compile(r"v[0-9]+alpha[0-9]+"),
}
"""In the order in which they are heard: the later ones win."""

_OF_ALL_VERSIONS: Final = frozenset({"DeleteOptions", "WatchEvent"})
"""Kinds that the definitions list for every version that was ever registered; others are there for versions that are still served."""

_CORE: Final = re.compile(r"(?:api/)?(v1)((?:/.*)?)")


class RuntimeConfigError(ValueError):
    """`--runtime-config` says what cannot be; in upstream's words, where upstream refuses it as well."""


@dataclass(frozen=True, slots=True)
class RuntimeConfig:
    """What `--runtime-config` says: of versions (by their names' form, and then one by one), and of single resources."""

    all_of: tuple[tuple[str, bool], ...] = ()
    versions: Mapping[Version, bool] = field(default_factory=dict)
    resources: Mapping[tuple[str, str, str], bool] = field(default_factory=dict)

    def is_on(self, group: str, version: str, plural: str = "") -> bool:
        """Whether a resource of that version is to be served."""
        if plural and (group, version, plural) in self.resources:
            return self.resources[group, version, plural]
        on = _STABLE.fullmatch(version) is not None
        for key, value in self.all_of:
            on = value if _ALL[key].fullmatch(version) else on
        return self.versions.get((group, version), on)


# --- the flag -----------------------------------------------------------------------------------------------------------


def read_runtime_config(given: Iterable[str]) -> RuntimeConfig:
    """`given` are the values of the flag: `api/beta=true,apps/v1/deployments=false`. Raises RuntimeConfigError for what is malformed."""
    said: dict[str, str] = {}
    for pair in (each for text in given for each in text.split(",") if each):
        key, _, value = pair.partition("=")
        key = key.strip()
        core = _CORE.fullmatch(key)
        said[f"/{core[1]}{core[2]}" if core is not None else key] = value.strip()
    said.pop("api/legacy", None)
    if said == {"api/all": "false"}:
        raise RuntimeConfigError("invalid runtime-config with only api/all=false")
    all_of = tuple((key, _true_or_false(key, said[key])) for key in _ALL if key in said)
    versions: dict[Version, bool] = {}
    resources: dict[tuple[str, str, str], bool] = {}
    for key, value in said.items():
        if key in _ALL:
            continue
        tokens = key.split("/")
        if len(tokens) not in (2, 3):
            raise RuntimeConfigError(f"runtime-config invalid key {key}")
        group, version, *rest = tokens
        if rest and rest[0].lower() != rest[0]:
            raise RuntimeConfigError(f'invalid key {key}: group/version/resource and resource is always lowercase plural, not "{rest[0]}"')
        if rest:
            resources[group, version, rest[0]] = _bool(key, value)
        else:
            versions[group, version] = _bool(key, value)
    return RuntimeConfig(all_of, versions, resources)


def _true_or_false(key: str, value: str) -> bool:
    if value not in ("true", "false"):
        raise RuntimeConfigError(f"invalid value {key}={value}")
    return value == "true"


def _bool(key: str, value: str) -> bool:
    try:
        return parse_bool(value) if value else True
    except ValueError as error:
        raise RuntimeConfigError(f"invalid value of {key}: {value}, err: {error}") from error


# --- what is served -----------------------------------------------------------------------------------------------------


def is_stable(version: str) -> bool:
    """Whether it is on unless something else is said."""
    return _STABLE.fullmatch(version) is not None


def in_versions(kind: Kind, config: RuntimeConfig) -> Kind | None:
    """The kind in those of its versions that are on; None without any. Raises RuntimeConfigError for one that needs another that is off."""
    conversions = tuple(each for each in kind.conversions if _is_on(each.resource, config))
    if _is_on(kind.resource, config):
        return kind if conversions == kind.conversions else replace(kind, conversions=conversions)
    if conversions:
        names = ", ".join(name_of(each.resource) for each in conversions)
        raise RuntimeConfigError(f"not served by Wherry: {names} without {name_of(kind.resource)}")
    return None


def _is_on(resource: Resource, config: RuntimeConfig) -> bool:
    return config.is_on(resource.group, resource.version, resource.plural)


def name_of(resource: Resource) -> str:
    """group/version/resource, as the flag has it."""
    return _joined(resource.group, resource.version, resource.plural)


def check(kinds: Iterable[Kind], definitions: Definitions, config: RuntimeConfig) -> None:
    """Refuse groups and versions that there are not, and those that are asked for and not implemented. Raises RuntimeConfigError."""
    resources = {(each.group, each.version, each.plural) for kind in kinds for each in _resources(kind)}
    ours = {each[:2] for each in resources}
    registered = ours | {each[:2] for each in definitions.kinds}
    named = [*config.versions, *(each[:2] for each in config.resources)]
    groups = {group for group, _ in registered}
    unknown = sorted({_joined(*each) for each in named if each[0] not in groups})
    if unknown:
        raise RuntimeConfigError(f"unknown api groups {','.join(unknown)}")
    for each in named:
        if each not in registered:
            raise RuntimeConfigError(f"group version {_joined(*each)} that has not been registered")
    optional = {each[:2] for each in definitions.kinds if each[2] not in _OF_ALL_VERSIONS and not is_stable(each[1])}
    missing = {each for each in optional if config.is_on(*each)} | {each for each, is_on in config.versions.items() if is_on}
    told = [*sorted(missing - ours), *sorted(each for each, is_on in config.resources.items() if is_on and each not in resources)]
    if told:
        raise RuntimeConfigError(f"not served by Wherry: {', '.join(_joined(*each) for each in told)}")


def _resources(kind: Kind) -> Iterable[Resource]:
    return (kind.resource, *(each.resource for each in kind.conversions))


def _joined(*parts: str) -> str:
    return "/".join(each for each in parts if each)
