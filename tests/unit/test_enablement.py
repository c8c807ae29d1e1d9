"""`--runtime-config`: which versions and resources are served."""

from __future__ import annotations

import random

import pytest

from apiserver.kinds import all_kinds
from apiserver.registry.emulation import Emulated, emulated
from apiserver.registry.enablement import RuntimeConfigError, read_runtime_config
from apiserver.registry.registry import Registries
from apiserver.store.memory import MemoryStore
from kube.clock import RealClock
from kube.feature_gates import STORAGE_VERSION_MIGRATOR
from kube.resources import SERVICES
from kube.schema import definitions

MIGRATIONS = "storagemigration.k8s.io/v1beta1"
GATE = frozenset({STORAGE_VERSION_MIGRATOR})


def fitted(given: str, *, gates: frozenset[str] = GATE, version: str = "1.36") -> Emulated:
    return emulated(all_kinds(), definitions.load(version), read_runtime_config([given]), gates)


def served(found: Emulated) -> set[tuple[str, str]]:
    resources = [each for kind in found.served for each in (kind.resource, *(other.resource for other in kind.conversions))]
    return {(each.api_version, each.plural) for each in resources}


USUAL = served(fitted(""))


@pytest.mark.parametrize(
    ("given", "more", "less"),
    [
        pytest.param("", set(), set(), id="as usual: what is stable"),
        pytest.param(f"{MIGRATIONS}=true", {"storageversionmigrations"}, set(), id="a beta version"),
        pytest.param(f"{MIGRATIONS}", {"storageversionmigrations"}, set(), id="no value means true"),
        pytest.param(f"{MIGRATIONS}/storageversionmigrations=true", {"storageversionmigrations"}, set(), id="one resource of it"),
        pytest.param(
            f"{MIGRATIONS}=true,{MIGRATIONS}/storageversionmigrations=false", set(), set(), id="resources count more than versions"
        ),
        pytest.param(f"api/beta=false,{MIGRATIONS}=true", {"storageversionmigrations"}, set(), id="versions count more than their form"),
        pytest.param("scheduling.k8s.io/v1=false", set(), {"priorityclasses"}, id="a stable version"),
        pytest.param("apps/v1/deployments=false", set(), {"deployments"}, id="one resource of a stable version"),
        pytest.param("v1=true,api/legacy=false", set(), set(), id="the core group has names of its own"),
        pytest.param("v1/pods=false", set(), {"pods"}, id="and so have its resources"),
        pytest.param("api/v1/pods=false", set(), {"pods"}, id="in either way of writing it"),
    ],
)
def test_what_is_served(given: str, more: set[str], less: set[str]) -> None:
    now = served(fitted(given))
    assert {plural for _, plural in now - USUAL} == more
    assert {plural for _, plural in USUAL - now} == less


def test_the_forms_of_versions_are_heard_in_their_order() -> None:
    config = read_runtime_config(["api/beta=true,api/all=false"])
    assert [config.is_on("g", each) for each in ("v1", "v2beta1", "v1alpha1")] == [False, True, False]
    config = read_runtime_config(["api/ga=false,api/alpha=true"])
    assert [config.is_on("g", each) for each in ("v1", "v2beta1", "v1alpha1")] == [False, False, True]


def test_what_is_off_is_kept_for_the_servers_own_use() -> None:
    found = fitted("networking.k8s.io/v1=false")
    assert {kind.resource.plural for kind in found.hidden} == {each for version, each in USUAL if version == "networking.k8s.io/v1"}
    assert "storageversionmigrations" not in {kind.resource.plural for kind in fitted("", gates=frozenset()).hidden}


def test_a_server_may_serve_nothing_and_keep_all() -> None:
    found, clock = fitted("api/ga=false,api/alpha=false"), RealClock()
    assert found.served == ()
    version = definitions.load("1.36")
    registries = Registries(found.served, MemoryStore(clock), definitions=version, clock=clock, rng=random.Random(1), hidden=found.hidden)
    assert registries.groups == set()
    assert registries.get(SERVICES).kind in found.hidden


def test_a_version_of_several_is_switched_off_alone() -> None:
    now = served(fitted("autoscaling/v1=false"))
    assert USUAL - now == {("autoscaling/v1", "horizontalpodautoscalers")}


def test_what_is_behind_a_gate_waits_for_it() -> None:
    found = fitted(f"{MIGRATIONS}=true", gates=frozenset())
    assert served(found) == USUAL
    name = f"{MIGRATIONS}/storageversionmigrations"
    assert found.waiting == (f"{name} is disabled because the StorageVersionMigrator feature gate is disabled",)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        pytest.param("foo/v1=true", "unknown api groups foo/v1", id="no such group"),
        pytest.param("apps/v9=true", "group version apps/v9 that has not been registered", id="no such version"),
        pytest.param("apps=true", "runtime-config invalid key apps", id="no version"),
        pytest.param("a/b/c/d=true", "runtime-config invalid key a/b/c/d", id="too many parts"),
        pytest.param("api/all=x", "invalid value api/all=x", id="all of a form, and no truth value"),
        pytest.param(
            "apps/v1=maybe", 'invalid value of apps/v1: maybe, err: strconv.ParseBool: parsing "maybe": invalid syntax', id="no truth value"
        ),
        pytest.param("api/all=false", "invalid runtime-config with only api/all=false", id="nothing at all"),
        pytest.param(
            "apps/v1/Deployment=true",
            'invalid key apps/v1/Deployment: group/version/resource and resource is always lowercase plural, not "Deployment"',
            id="a kind for a resource",
        ),
        pytest.param("apps/v1beta1=true", "not served by Wherry: apps/v1beta1", id="a version of the past"),
        pytest.param("apps/v1/bogus=true", "not served by Wherry: apps/v1/bogus", id="a resource that there is not"),
        pytest.param("internal.apiserver.k8s.io/v1alpha1=true", "not served by Wherry: internal.apiserver.k8s.io/v1alpha1", id="not ours"),
        pytest.param(
            "autoscaling/v2=false",
            "not served by Wherry: autoscaling/v1/horizontalpodautoscalers without autoscaling/v2/horizontalpodautoscalers",
            id="a version that another is made from",
        ),
    ],
)
def test_what_is_refused(given: str, why: str) -> None:
    with pytest.raises(RuntimeConfigError) as caught:
        fitted(given)
    assert str(caught.value) == why


def test_all_that_is_asked_for_and_not_there_is_named() -> None:
    with pytest.raises(RuntimeConfigError, match=r"^not served by Wherry: (.*)$") as caught:
        fitted("api/beta=true")
    named = str(caught.value).removeprefix("not served by Wherry: ").split(", ")
    assert {"resource.k8s.io/v1beta1", "certificates.k8s.io/v1beta1"} <= set(named)
    assert MIGRATIONS not in named
    assert not any("alpha" in each for each in named)


def test_a_version_of_kubernetes_that_has_no_such_version_refuses_it() -> None:
    with pytest.raises(RuntimeConfigError, match="that has not been registered"):
        fitted(f"{MIGRATIONS}=true", version="1.34")
