"""The policy labels of namespaces: what they ask for, which are wrong, and which change is a stricter one."""

from __future__ import annotations

import pytest

from apiserver.admission.pod_security.labels import FREE, LevelVersion, Policy, policy_of
from apiserver.admission.pod_security.plugin import ignored, is_stricter

P = "pod-security.kubernetes.io"
LEVEL, VERSION = "must be one of privileged, baseline, restricted", 'must be "latest" or "v1.x"'

ERRORS: dict[str, tuple[dict[str, str], list[str]]] = {
    "none": ({}, []),
    "other labels say nothing": ({"enforce": "x", f"{P}/other": "x"}, []),
    "known levels and versions": ({f"{P}/enforce": "baseline", f"{P}/warn": "privileged", f"{P}/audit-version": "v1.36"}, []),
    "the latest version": ({f"{P}/enforce-version": "latest", f"{P}/warn-version": "v1.0"}, []),
    "an unknown level": ({f"{P}/audit": "tight"}, [f'metadata.labels[{P}/audit]: Invalid value: "tight": {LEVEL}']),
    "an empty level": ({f"{P}/warn": ""}, [f'metadata.labels[{P}/warn]: Invalid value: "": {LEVEL}']),
    "levels are in lower case": ({f"{P}/enforce": "Baseline"}, [f'metadata.labels[{P}/enforce]: Invalid value: "Baseline": {LEVEL}']),
    "a version without its v": ({f"{P}/warn-version": "1.30"}, [f'metadata.labels[{P}/warn-version]: Invalid value: "1.30": {VERSION}']),
    "a version with a leading zero": (
        {f"{P}/enforce-version": "v1.01"},
        [f'metadata.labels[{P}/enforce-version]: Invalid value: "v1.01": {VERSION}'],
    ),
    "a version that no int64 holds": (
        {f"{P}/audit-version": "v1.9223372036854775808"},
        [f'metadata.labels[{P}/audit-version]: Invalid value: "v1.9223372036854775808": {VERSION}'],
    ),
    "all that is wrong, mode by mode": (
        {f"{P}/warn": "x", f"{P}/enforce-version": "v2.0", f"{P}/enforce": "x"},
        [
            f'metadata.labels[{P}/enforce]: Invalid value: "x": {LEVEL}',
            f'metadata.labels[{P}/enforce-version]: Invalid value: "v2.0": {VERSION}',
            f'metadata.labels[{P}/warn]: Invalid value: "x": {LEVEL}',
        ],
    ),
}


@pytest.mark.parametrize(("labels", "errors"), ERRORS.values(), ids=ERRORS.keys())
def test_errors(labels: dict[str, str], errors: list[str]) -> None:
    assert [str(each) for each in policy_of(labels)[1]] == errors


STRICT = Policy(LevelVersion("restricted", 30), LevelVersion("restricted"), LevelVersion("baseline"))

POLICIES: dict[str, tuple[dict[str, str], Policy, str]] = {
    "none": ({}, FREE, "privileged:latest privileged:latest privileged:latest"),
    "each mode its own": (
        {f"{P}/enforce": "baseline", f"{P}/audit": "restricted", f"{P}/audit-version": "v1.25", f"{P}/warn": "privileged"},
        FREE,
        "baseline:latest restricted:v1.25 privileged:latest",
    ),
    "what is enforced is warned of, in its version": (
        {f"{P}/enforce": "restricted", f"{P}/enforce-version": "v1.30"},
        FREE,
        "restricted:v1.30 privileged:latest restricted:v1.30",
    ),
    "what is enforced is warned of, in the version to warn of": (
        {f"{P}/enforce": "restricted", f"{P}/enforce-version": "v1.30", f"{P}/warn-version": "v1.29"},
        FREE,
        "restricted:v1.30 privileged:latest restricted:v1.29",
    ),
    "a level that cannot be read is the strictest where it enforces": (
        {f"{P}/enforce": "x", f"{P}/audit": "x", f"{P}/warn": "x", f"{P}/enforce-version": "x"},
        FREE,
        "restricted:latest privileged:latest privileged:latest",
    ),
    "who means something else to be enforced is not warned": (
        {f"{P}/enforce": "x"},
        FREE,
        "restricted:latest privileged:latest privileged:latest",
    ),
    "defaults": ({}, STRICT, "restricted:v1.30 restricted:latest baseline:latest"),
    "a level with the defaults' version": ({f"{P}/enforce": "baseline"}, STRICT, "baseline:v1.30 restricted:latest baseline:latest"),
    "a version with the defaults' level": ({f"{P}/audit-version": "v1.1"}, STRICT, "restricted:v1.30 restricted:v1.1 baseline:latest"),
}


@pytest.mark.parametrize(("labels", "defaults", "policy"), POLICIES.values(), ids=POLICIES.keys())
def test_policies(labels: dict[str, str], defaults: Policy, policy: str) -> None:
    assert " ".join(map(str, policy_of(labels, defaults)[0])) == policy


STRICTER: dict[str, tuple[LevelVersion, LevelVersion, bool]] = {
    "the same": (LevelVersion("baseline", 30), LevelVersion("baseline", 30), False),
    "more": (LevelVersion("privileged"), LevelVersion("baseline"), True),
    "more again": (LevelVersion("baseline"), LevelVersion("restricted"), True),
    "less": (LevelVersion("restricted"), LevelVersion("baseline"), False),
    "less, in another version": (LevelVersion("restricted", 30), LevelVersion("baseline", 31), True),
    "another version": (LevelVersion("baseline", 30), LevelVersion("baseline"), True),
    "nothing, in another version": (LevelVersion("restricted"), LevelVersion("privileged", 30), False),
}


@pytest.mark.parametrize(("old", "new", "stricter"), STRICTER.values(), ids=STRICTER.keys())
def test_what_is_stricter(old: LevelVersion, new: LevelVersion, stricter: bool) -> None:
    assert is_stricter(new, old) is stricter


IGNORED: dict[str, tuple[dict[str, str], Policy, str]] = {
    "nothing asked": ({}, FREE, ""),
    "the freest asked": ({f"{P}/enforce": "privileged", f"{P}/audit-version": "v1.1"}, FREE, ""),
    "what is default anyway": ({f"{P}/warn": "baseline"}, STRICT, ""),
    "enforce and its warning": ({f"{P}/enforce": "baseline"}, FREE, "enforce=baseline:latest"),
    "every mode": (
        {f"{P}/enforce": "baseline", f"{P}/audit": "restricted", f"{P}/warn-version": "v1.1"},
        FREE,
        "enforce=baseline:latest, audit=restricted:latest, warn=baseline:v1.1",
    ),
}


@pytest.mark.parametrize(("labels", "defaults", "modes"), IGNORED.values(), ids=IGNORED.keys())
def test_labels_of_exempt_namespaces_are_warned_of(labels: dict[str, str], defaults: Policy, modes: str) -> None:
    policy, _ = policy_of(labels, defaults)
    words = f'namespace "n" is exempt from Pod Security, and the policy ({modes}) will be ignored'
    assert ignored("n", policy, defaults, labels) == ([words] if modes else [])
