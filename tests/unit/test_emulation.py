"""The thirteen versions that one build plays: what each serves, and what objects lose in it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from apiserver.kinds import all_kinds
from apiserver.registry.emulation import emulated, prune
from apiserver.registry.kind import Context, Kind, User
from apiserver.settings import VERSIONS, SettingsError, read
from apiserver.version import git_version, version_document
from kube.schema import definitions

LATER = {
    "1.28": {"authentication.k8s.io/v1 selfsubjectreviews"},
    "1.29": {"flowcontrol.apiserver.k8s.io/v1 flowschemas", "flowcontrol.apiserver.k8s.io/v1 prioritylevelconfigurations"},
    "1.30": {
        "admissionregistration.k8s.io/v1 validatingadmissionpolicies",
        "admissionregistration.k8s.io/v1 validatingadmissionpolicybindings",
    },
    "1.33": {"networking.k8s.io/v1 ipaddresses", "networking.k8s.io/v1 servicecidrs"},
    "1.34": {
        "resource.k8s.io/v1 deviceclasses",
        "resource.k8s.io/v1 resourceclaims",
        "resource.k8s.io/v1 resourceclaimtemplates",
        "resource.k8s.io/v1 resourceslices",
        "storage.k8s.io/v1 volumeattributesclasses",
    },
    "1.36": {
        "admissionregistration.k8s.io/v1 mutatingadmissionpolicies",
        "admissionregistration.k8s.io/v1 mutatingadmissionpolicybindings",
    },
}
"""The version in which a resource became stable; all others were there before 1.25."""


STABLE = [kind for kind in all_kinds() if not kind.gate]


def served(kinds: Any) -> set[str]:
    found = {f"{kind.resource.api_version} {kind.resource.plural}" for kind in kinds}
    return found | {f"{each.resource.api_version} {each.resource.plural}" for kind in kinds for each in kind.conversions}


def number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def of(version: str, plural: str) -> Kind:
    return next(each for each in emulated(all_kinds(), definitions.load(version)).served if each.resource.plural == plural)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_version_serves_what_had_become_stable_by_then(version: str) -> None:
    kinds = emulated(all_kinds(), definitions.load(version))
    missing = {each for since, names in LATER.items() if number(since) > number(version) for each in names}
    assert served(kinds.served) == served(STABLE) - missing
    assert served(kinds.hidden) == missing


@pytest.mark.parametrize("version", VERSIONS)
def test_a_version_says_which_it_is(version: str) -> None:
    document = version_document(definitions.load(version))
    assert (document["major"], document["minor"], document["gitVersion"]) == (*version.split("."), git_version(version))
    assert ("emulationMinor" in document) is (number(version) >= (1, 33))


def test_the_version_that_kinds_are_written_for_takes_them_as_they_are() -> None:
    assert emulated(all_kinds(), definitions.load("1.36")).served == tuple(STABLE)


SINCE: dict[str, tuple[str, Any, str]] = {
    "pods have a resize subresource": ("pods", lambda kind: any(each.name == "resize" for each in kind.subresources), "1.33"),
    "endpoints are deprecated": ("endpoints", lambda kind: bool(kind.deprecation), "1.33"),
    "deployments have a status subresource": ("deployments", lambda kind: kind.subresources[-1].name == "status", "1.25"),
}


@pytest.mark.parametrize(("plural", "holds", "since"), SINCE.values(), ids=SINCE.keys())
def test_what_definitions_do_not_tell(plural: str, holds: Any, since: str) -> None:
    assert [version for version in VERSIONS if holds(of(version, plural))] == [each for each in VERSIONS if number(each) >= number(since)]


def job() -> Any:
    spec = {"template": {"spec": {"containers": [{"name": "c", "image": "c"}], "restartPolicy": "Never"}}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "spec": spec}


@pytest.mark.parametrize(("version", "expected"), [("1.27", None), ("1.28", "TerminatingOrFailed"), ("1.37", "TerminatingOrFailed")])
def test_a_default_of_a_later_version_is_not_set(version: str, expected: str | None) -> None:
    obj = job()
    of(version, "jobs").default(obj)
    assert obj["spec"].get("podReplacementPolicy") == expected
    assert obj["spec"]["backoffLimit"] == 6


@pytest.mark.parametrize(("version", "expected"), [("1.32", None), ("1.33", 1)])
def test_pods_count_generations_since_1_33(version: str, expected: int | None) -> None:
    kind = of(version, "pods")
    pod: Any = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "c"}]}}
    kind.default(pod)
    kind.prepare(pod, None, Context(User("u"), datetime(2026, 1, 1, tzinfo=UTC), "create"))
    assert pod["metadata"].get("generation") == expected


def test_pruning_goes_all_the_way_down_and_leaves_free_maps_alone() -> None:
    pod: Any = {
        "metadata": {"labels": {"any": "thing"}, "unknown": 1},
        "spec": {"containers": [{"name": "c", "restartPolicyRules": [], "resources": {"limits": {"cpu": "1"}}}]},
    }
    prune(definitions.load("1.27").type("io.k8s.api.core.v1.Pod"), pod)
    assert pod == {
        "metadata": {"labels": {"any": "thing"}},
        "spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": "1"}}}]},
    }


@pytest.mark.parametrize("version", ["1.24", "1.38", "1.36.2", "v1.30", "latest", ""])
def test_a_version_that_cannot_be_played_is_refused_with_flag_and_range(version: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read([f"--emulated-version={version}"])
    assert str(caught.value) == f"--emulated-version {version}: must be one of 1.25 to 1.37"


def test_settings_know_as_many_versions_as_there_are_definitions() -> None:
    assert len(VERSIONS) == 13
    assert all(definitions.load(each).version == each for each in VERSIONS)
