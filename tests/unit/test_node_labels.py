"""Labels that a node may give itself, and plugins that are switched on and off."""

from __future__ import annotations

import pytest

from apiserver.admission.chain import PLUGINS
from apiserver.admission.node_labels import forbidden_labels
from apiserver.admission.selection import OFF_BY_DEFAULT, ORDERED, problems, switched_off
from apiserver.settings import SettingsError, read


@pytest.mark.parametrize(
    ("new", "old", "refused"),
    [
        pytest.param({"kubernetes.io/hostname": "n1", "kubernetes.io/os": "linux"}, {}, [], id="a kubelet's own"),
        pytest.param({"app": "x", "example.com/a": "b"}, {}, [], id="what is not Kubernetes'"),
        pytest.param({"sub.node.kubernetes.io/a": "1", "kubelet.kubernetes.io/b": "1"}, {}, [], id="the kubelet's domains"),
        pytest.param({"node-role.kubernetes.io/master": ""}, {}, ["node-role.kubernetes.io/master"], id="a role"),
        pytest.param({"x.k8s.io/b": "1", "k8s.io/a": "1"}, {}, ["k8s.io/a", "x.k8s.io/b"], id="in order"),
        pytest.param({"node-restriction.kubernetes.io/a": "1"}, {}, ["node-restriction.kubernetes.io/a"], id="the restricted domain"),
        pytest.param({"a.node-restriction.kubernetes.io/a": "1"}, {}, ["a.node-restriction.kubernetes.io/a"], id="and below it"),
        pytest.param({"kubernetes.io/x": "1"}, {"kubernetes.io/x": "1"}, [], id="one that stays"),
        pytest.param({"kubernetes.io/x": "2"}, {"kubernetes.io/x": "1"}, ["kubernetes.io/x"], id="one that changes"),
        pytest.param({}, {"kubernetes.io/x": "1", "app": "x"}, ["kubernetes.io/x"], id="one that goes"),
        pytest.param({"notkubernetes.io/x": "1"}, {}, [], id="a name that only ends like it"),
    ],
)
def test_labels_of_a_node(new: dict[str, str], old: dict[str, str], refused: list[str]) -> None:
    assert forbidden_labels(new, old) == refused


def test_plugins_are_switched_on_and_off() -> None:
    assert tuple(PLUGINS) == ORDERED
    assert switched_off() == OFF_BY_DEFAULT == {"NodeRestriction"}
    assert switched_off(["NodeRestriction"], ["ResourceQuota"]) == {"ResourceQuota"}
    assert switched_off(["LimitRanger"], ["LimitRanger", "NodeRestriction"]) == {"NodeRestriction"}


def test_wrong_plugins_are_named() -> None:
    assert problems(["NodeRestriction"], ["ResourceQuota"]) == []
    assert problems(["A", "PodSecurity"], ["B", "PodSecurity"]) == [
        'enable-admission-plugins plugin "A" is unknown',
        'disable-admission-plugins plugin "B" is unknown',
        "[PodSecurity] in enable-admission-plugins and disable-admission-plugins overlapped",
    ]


def test_the_flags_take_lists_and_may_be_repeated() -> None:
    settings = read(["--enable-admission-plugins=NodeRestriction", "--disable-admission-plugins=LimitRanger,PodSecurity"])
    assert settings.enable_admission_plugins == ("NodeRestriction",)
    assert settings.disable_admission_plugins == ("LimitRanger", "PodSecurity")
    repeated = read(["--disable-admission-plugins=Priority", "--disable-admission-plugins=", "--disable-admission-plugins=LimitRanger"])
    assert repeated.disable_admission_plugins == ("Priority", "LimitRanger")
    with pytest.raises(SettingsError, match='plugin " NodeRestriction" is unknown'):
        read(["--enable-admission-plugins=PodSecurity, NodeRestriction"])
