"""`--feature-gates`: which features are on. Pure.

Known are the gates that these components really switch. Not here: what a gate changes (whoever asks for it). Source: component-base
`featuregate/feature_gate.go` and `compatibility/registry.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

ALPHA, BETA = "ALPHA", "BETA"
ALL_ALPHA, ALL_BETA = "AllAlpha", "AllBeta"
COMPONENT: Final = "kube"

STORAGE_VERSION_MIGRATOR: Final = "StorageVersionMigrator"


@dataclass(frozen=True, slots=True)
class Gate:
    """A feature that can be switched: how mature it is, and whether it is on when nothing is said of it."""

    stage: str
    is_on: bool


KNOWN: Final[Mapping[str, Gate]] = {STORAGE_VERSION_MIGRATOR: Gate(BETA, is_on=False)}
"""As of v1.36."""

_ALL: Final = {ALL_ALPHA: ALPHA, ALL_BETA: BETA}
_TRUE, _FALSE = ("1", "t", "T", "TRUE", "true", "True"), ("0", "f", "F", "FALSE", "false", "False")


class FeatureGateError(ValueError):
    """`--feature-gates` names a gate that there is not, or gives it no value; in upstream's words."""


def read_gates(given: Iterable[str], known: Mapping[str, Gate] = KNOWN) -> frozenset[str]:
    """The names of the gates that are on. `given` are the values of the flag: `A=true,kube:B=false`, the last word about one counts.

    `AllAlpha` and `AllBeta` switch those of their stage that nothing else is said of. Raises FeatureGateError."""
    said = _said(given)
    unknown = [name for name in said if name not in known and name not in _ALL]
    if unknown:
        raise FeatureGateError("; ".join(f"unrecognized feature gate: {name}" for name in unknown))
    all_of = {stage: said[name] for name, stage in _ALL.items() if name in said}
    return frozenset(name for name, gate in known.items() if said.get(name, all_of.get(gate.stage, gate.is_on)))


def _said(given: Iterable[str]) -> dict[str, bool]:
    said: dict[str, bool] = {}
    prefixes: set[bool] = set()
    for pair in (each for text in given for each in text.split(",") if each):
        component, colon, rest = pair.partition(":")
        if colon and component.strip() not in ("", COMPONENT):
            raise FeatureGateError(f"component not registered: {component.strip()}")
        prefixes.add(bool(colon and component.strip()))
        name, equals, value = (rest if colon else pair).partition("=")
        if not equals:
            raise FeatureGateError(f"missing bool value for {name.strip()}")
        try:
            said[name.strip()] = parse_bool(value.strip())
        except ValueError as error:
            raise FeatureGateError(f"invalid value of {name.strip()}={value.strip()}, err: {error}") from error
    if len(prefixes) > 1:
        raise FeatureGateError("set kube feature gates with default empty prefix or kube: prefix consistently, do not mix use")
    return said


def parse_bool(text: str) -> bool:
    """As Go's strconv.ParseBool. Raises ValueError in its words."""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError(f'strconv.ParseBool: parsing "{text}": invalid syntax')
