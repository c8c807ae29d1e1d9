"""What a namespace's labels ask for: for each of three modes a level and the version of the Kubernetes whose idea of it is meant. Pure.

Source: `k8s.io/pod-security-admission` (api/helpers.go).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from kube.errors import FieldError, invalid

PREFIX: Final = "pod-security.kubernetes.io/"
PRIVILEGED, BASELINE, RESTRICTED = LEVELS = ("privileged", "baseline", "restricted")
"""From the least to the most strict."""
_version_re: Final = re.compile(r"v1\.(0|[1-9][0-9]*)", re.ASCII)
_MINOR_MAX: Final = 2**63 - 1
"""Upstream reads the number into an int64."""


class LevelVersion(NamedTuple):
    """A level as one version of Kubernetes has it: 1.`minor`, or the latest there is (None)."""

    level: str = PRIVILEGED
    minor: int | None = None

    def __str__(self) -> str:
        return f"{self.level}:latest" if self.minor is None else f"{self.level}:v1.{self.minor}"


class Policy(NamedTuple):
    """What a namespace asks for: what is refused, what the audit log is told of, what clients are warned of."""

    enforce: LevelVersion = LevelVersion()
    audit: LevelVersion = LevelVersion()
    warn: LevelVersion = LevelVersion()


FREE: Final = Policy()
"""Everything is allowed; what a namespace without labels has."""


def strictness(level: str) -> int:
    return LEVELS.index(level)


def policy_of(labels: Mapping[str, str], defaults: Policy = FREE) -> tuple[Policy, list[FieldError]]:
    """The policy, and what is wrong with the labels, mode by mode. What cannot be read is the strictest where it enforces, and nothing
    where it tells. Who asks for a level to be enforced is warned of it, too, where no label says otherwise."""
    errors: list[FieldError] = []
    enforce = _mode(labels, "enforce", defaults.enforce, RESTRICTED, errors)
    audit = _mode(labels, "audit", defaults.audit, PRIVILEGED, errors)
    warn = _mode(labels, "warn", defaults.warn, PRIVILEGED, errors)
    is_asked = labels.get(f"{PREFIX}enforce") in LEVELS
    if is_asked and f"{PREFIX}warn" not in labels and strictness(enforce.level) > strictness(warn.level):
        warn = LevelVersion(enforce.level, warn.minor if f"{PREFIX}warn-version" in labels else enforce.minor)
    return Policy(enforce, audit, warn), errors


def _mode(labels: Mapping[str, str], mode: str, default: LevelVersion, unreadable: str, errors: list[FieldError]) -> LevelVersion:
    level, minor = default
    if (text := labels.get(f"{PREFIX}{mode}")) is not None:
        level = text
        if text not in LEVELS:
            level = unreadable
            errors.append(invalid(f"metadata.labels[{PREFIX}{mode}]", text, f"must be one of {', '.join(LEVELS)}"))
    if (text := labels.get(f"{PREFIX}{mode}-version")) is not None:
        known, minor = read_version(text)
        if not known:
            errors.append(invalid(f"metadata.labels[{PREFIX}{mode}-version]", text, 'must be "latest" or "v1.x"'))
    return LevelVersion(level, minor)


def read_version(text: str) -> tuple[bool, int | None]:
    """Whether that is `latest` or `v1.x`, and the minor version (None: the latest)."""
    found = _version_re.fullmatch(text)
    if found is None or int(found[1]) > _MINOR_MAX:
        return text == "latest", None
    return True, int(found[1])
