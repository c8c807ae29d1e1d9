"""The checks that level restricted has besides: what passes, what does not, and the words."""

from __future__ import annotations

import pytest

from kube.objects import Object
from tests.unit.pod_security_pods import container, pod, said, tight

WINDOWS = {"name": "windows"}
SET_SECCOMP = 'must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
ROOT = "must not set runAsUser=0"

PASSING: dict[str, tuple[Object, int | None]] = {
    "a restricted pod": (pod(tight()), None),
    "the one capability that may be added": (pod(tight(capabilities={"drop": ["X", "ALL"], "add": ["NET_BIND_SERVICE"]})), None),
    "capabilities, before they counted": (pod(tight(capabilities=None)), 21),
    "privilege escalation, before it counted": (pod(tight(allowPrivilegeEscalation=None)), 7),
    "volumes from the cluster": (
        pod(
            tight(),
            volumes=[
                {"name": source, source: {}}
                for source in (
                    "configMap",
                    "csi",
                    "downwardAPI",
                    "emptyDir",
                    "ephemeral",
                    "image",
                    "persistentVolumeClaim",
                    "projected",
                    "secret",
                )
            ],
        ),
        None,
    ),
    "the pod says that nobody is root": (pod(tight(runAsNonRoot=None), securityContext={"runAsNonRoot": True}), None),
    "users of its own may be root": (pod(tight(runAsNonRoot=False, runAsUser=0), hostUsers=False), 35),
    "another user": (pod(tight(runAsUser=1000), securityContext={"runAsUser": 1}), None),
    "user 0, before it counted": (pod(tight(runAsUser=0)), 22),
    "the pod has a seccomp profile": (
        pod(tight(seccompProfile=None), tight("b"), securityContext={"seccompProfile": {"type": "Localhost"}}),
        None,
    ),
    "no seccomp profile, before it counted": (pod(tight(seccompProfile=None)), 18),
    "a pod for Windows": (pod(tight(allowPrivilegeEscalation=None, capabilities=None, seccompProfile=None), os=WINDOWS), 25),
}


@pytest.mark.parametrize(("of", "minor"), PASSING.values(), ids=PASSING.keys())
def test_passes(of: Object, minor: int | None) -> None:
    assert said("restricted", of, minor) == ""


FAILING: dict[str, tuple[Object, int | None, str]] = {
    "privilege escalation, said and not": (
        pod(tight(allowPrivilegeEscalation=True), tight("b"), tight("c", allowPrivilegeEscalation=None)),
        8,
        'allowPrivilegeEscalation != false (containers "a", "c" must set securityContext.allowPrivilegeEscalation=false)',
    ),
    "capabilities are kept": (
        pod(tight(capabilities={"drop": ["all", "CHOWN"]})),
        22,
        'unrestricted capabilities (container "a" must set securityContext.capabilities.drop=["ALL"])',
    ),
    "capabilities are kept and added": (
        pod(tight(capabilities=None), tight("b", capabilities={"add": ["NET_RAW", "CHOWN"], "drop": ["ALL"]})),
        None,
        'unrestricted capabilities (container "a" must set securityContext.capabilities.drop=["ALL"];'
        ' container "b" must not include "CHOWN", "NET_RAW" in securityContext.capabilities.add)',
    ),
    "capabilities are added, when baseline alone cared": (
        pod(tight(capabilities={"add": ["NET_RAW"]})),
        21,
        'non-default capabilities (container "a" must not include "NET_RAW" in securityContext.capabilities.add)',
    ),
    "another volume": (
        pod(tight(), volumes=[{"name": "v", "nfs": {}}]),
        0,
        'restricted volume types (volume "v" uses restricted volume type "nfs")',
    ),
    "other volumes, kinds sorted": (
        pod(
            tight(), volumes=[{"name": "v", "nfs": {}}, {"name": "w", "hostPath": {}}, {"name": "x", "later": {}}, {"name": "y", "nfs": {}}]
        ),
        None,
        'restricted volume types (volumes "v", "w", "x", "y" use restricted volume types "hostPath", "nfs", "unknown")',
    ),
    "nobody says that nobody is root": (
        pod(tight(runAsNonRoot=None), tight("b"), tight("c", runAsNonRoot=None)),
        None,
        'runAsNonRoot != true (pod or containers "a", "c" must set securityContext.runAsNonRoot=true)',
    ),
    "pod and container may be root": (
        pod(tight(runAsNonRoot=False), tight("c", runAsNonRoot=None), securityContext={"runAsNonRoot": False}),
        None,
        'runAsNonRoot != true (pod and container "a" must not set securityContext.runAsNonRoot=false)',
    ),
    "users of its own, before they counted": (
        pod(tight(runAsNonRoot=False, runAsUser=0), hostUsers=False),
        34,
        f'runAsNonRoot != true (container "a" must not set securityContext.runAsNonRoot=false), runAsUser=0 (container "a" {ROOT})',
    ),
    "user 0 of pod and containers": (
        pod(tight(runAsUser=0), tight("b", runAsUser=0), securityContext={"runAsUser": 0}),
        23,
        f'runAsUser=0 (pod and containers "a", "b" {ROOT})',
    ),
    "no seccomp profile": (pod(tight(seccompProfile=None)), 19, f'seccompProfile (pod or container "a" {SET_SECCOMP})'),
    "a bad seccomp profile of the pod is told first": (
        pod(tight(seccompProfile=None), securityContext={"seccompProfile": {"type": "Unconfined"}}),
        None,
        'seccompProfile (pod must not set securityContext.seccompProfile.type to "Unconfined")',
    ),
    "a pod for Windows, before that counted": (
        pod(tight(allowPrivilegeEscalation=None), os=WINDOWS),
        24,
        'allowPrivilegeEscalation != false (container "a" must set securityContext.allowPrivilegeEscalation=false)',
    ),
    "a bare /proc, whosever users": (
        pod(tight(procMount="Unmasked"), hostUsers=False),
        None,
        'procMount (container "a" must not set securityContext.procMount to "Unmasked")',
    ),
    "what baseline says comes first": (
        pod(tight(privileged=True), container("b"), hostPID=True),
        None,
        'host namespaces (hostPID=true), privileged (container "a" must not set securityContext.privileged=true),'
        ' allowPrivilegeEscalation != false (container "b" must set securityContext.allowPrivilegeEscalation=false),'
        ' unrestricted capabilities (container "b" must set securityContext.capabilities.drop=["ALL"]),'
        ' runAsNonRoot != true (pod or container "b" must set securityContext.runAsNonRoot=true),'
        f' seccompProfile (pod or container "b" {SET_SECCOMP})',
    ),
}


@pytest.mark.parametrize(("of", "minor", "words"), FAILING.values(), ids=FAILING.keys())
def test_fails(of: Object, minor: int | None, words: str) -> None:
    assert said("restricted", of, minor) == words


HOSTS: Object = {"livenessProbe": {"httpGet": {"host": "h", "port": 80}}}


@pytest.mark.parametrize(
    ("minor", "newest", "refused"),
    [
        pytest.param(None, 36, True, id="the latest is this version"),
        pytest.param(None, 33, False, id="the latest of an earlier Kubernetes is that one's"),
        pytest.param(36, 33, False, id="an earlier Kubernetes knows no later version"),
        pytest.param(33, 36, False, id="an earlier version is asked for"),
        pytest.param(99, 36, True, id="a version yet to come is this one's"),
    ],
)
def test_the_version_that_counts(minor: int | None, newest: int, refused: bool) -> None:
    found = said("baseline", pod(container(**HOSTS)), minor, newest=newest)
    assert found.startswith("probe or lifecycle host") if refused else found == ""


def test_privileged_lets_everything_pass() -> None:
    assert said("privileged", pod(container("a", {"privileged": True}), hostNetwork=True)) == ""
