"""The checks of level baseline: what passes, what does not, and the words."""

from __future__ import annotations

import pytest

from kube.objects import Object
from tests.unit.pod_security_pods import TIGHT, container, pod, said

APP_ARMOR = "container.apparmor.security.beta.kubernetes.io"
SECCOMP = "seccomp.security.alpha.kubernetes.io"
WINDOWS = {"windowsOptions": {"hostProcess": True}}
PRIVILEGED = {"privileged": True}


def asking(field: str, way: str, host: str = "example.com") -> Object:
    return {field: {way: {"host": host, "port": 80}}}


PASSING: dict[str, tuple[Object, int | None]] = {
    "a plain pod": (pod(container()), None),
    "a template without metadata": ({"spec": {"containers": [container()]}}, None),
    "a restricted pod": (pod(container("a", TIGHT)), None),
    "the runtime's AppArmor profile": (pod(container("a", {"appArmorProfile": {"type": "RuntimeDefault"}})), None),
    "AppArmor profiles of the node, by field and annotation": (
        pod(
            annotations={f"{APP_ARMOR}/a": "localhost/x", f"{APP_ARMOR}/b": ""}, securityContext={"appArmorProfile": {"type": "Localhost"}}
        ),
        None,
    ),
    "default capabilities": (pod(container("a", {"capabilities": {"add": ["CHOWN", "SYS_CHROOT"], "drop": ["ALL"]}})), None),
    "no host namespaces, said": (pod(container(), hostNetwork=False, hostPID=False, hostIPC=False), None),
    "volumes of other kinds": (pod(container(), volumes=[{"name": "v", "nfs": {}}, {"name": "w", "emptyDir": {}}]), None),
    "ports without host ports": (pod(container(ports=[{"containerPort": 80}, {"containerPort": 81, "hostPort": 0}])), None),
    "probes of the pod itself": (pod(container(livenessProbe={"httpGet": {"port": 80}}, readinessProbe={"exec": {}})), None),
    "an empty host": (pod(container(**asking("startupProbe", "tcpSocket", ""))), None),
    "hosts of probes, before they counted": (pod(container(**asking("startupProbe", "tcpSocket"))), 33),
    "not privileged, said": (pod(container("a", {"privileged": False})), None),
    "the default /proc": (pod(container("a", {"procMount": "Default"})), None),
    "a bare /proc for users of its own": (pod(container("a", {"procMount": "Unmasked"}), hostUsers=False), None),
    "known SELinux types": (pod(container("a", {"seLinuxOptions": {"type": "container_kvm_t", "level": "s0"}})), None),
    "no SELinux type": (pod(container("a", {"seLinuxOptions": {"type": ""}})), None),
    "a newer SELinux type": (pod(container("a", {"seLinuxOptions": {"type": "container_engine_t"}})), 31),
    "seccomp profiles": (
        pod(container("a", {"seccompProfile": {"type": "Localhost"}}), securityContext={"seccompProfile": {"type": "RuntimeDefault"}}),
        None,
    ),
    "seccomp annotations of old": (
        pod(container(), annotations={f"{SECCOMP}/pod": "docker/default", f"container.{SECCOMP}/a": "localhost/x"}),
        18,
    ),
    "a seccomp annotation of no container": (pod(container(), annotations={f"container.{SECCOMP}/b": "unconfined"}), 18),
    "seccomp annotations, when there is a field": (pod(container(), annotations={f"{SECCOMP}/pod": "unconfined"}), 19),
    "the seccomp field, when there were annotations": (pod(container("a", {"seccompProfile": {"type": "Unconfined"}})), 18),
    "a safe sysctl": (pod(container(), securityContext={"sysctls": [{"name": "kernel.shm_rmid_forced"}]}), 0),
    "no Windows host process, said": (pod(container("a", {"windowsOptions": {"hostProcess": False}})), None),
}


@pytest.mark.parametrize(("of", "minor"), PASSING.values(), ids=PASSING.keys())
def test_passes(of: Object, minor: int | None) -> None:
    assert said("baseline", of, minor) == ""


FAILING: dict[str, tuple[Object, int | None, str]] = {
    "no AppArmor": (
        pod(
            container("a", {"appArmorProfile": {"type": "Unconfined"}}), container("b"), container("c", {"appArmorProfile": {"type": "X"}})
        ),
        None,
        'forbidden AppArmor profiles (containers "a", "c" must not set AppArmor profile type to "Unconfined", "X")',
    ),
    "no AppArmor for the pod, and by annotations": (
        pod(
            annotations={f"{APP_ARMOR}/b": "unconfined", f"{APP_ARMOR}/a": 'x"'},
            securityContext={"appArmorProfile": {"type": "Unconfined"}},
        ),
        None,
        "forbidden AppArmor profiles (pod and annotations must not set AppArmor profile type to "
        f'"Unconfined", "{APP_ARMOR}/a="x\\""", "{APP_ARMOR}/b="unconfined"")',
    ),
    "no AppArmor by one annotation": (
        pod(container(), annotations={f"{APP_ARMOR}/a": "unconfined"}),
        None,
        f'forbidden AppArmor profile (annotation must not set AppArmor profile type to "{APP_ARMOR}/a="unconfined"")',
    ),
    "more capabilities": (
        pod(container("a", {"capabilities": {"add": ["SYS_TIME", "CHOWN"]}}), container("b", {"capabilities": {"add": ["NET_RAW"]}})),
        None,
        'non-default capabilities (containers "a", "b" must not include "NET_RAW", "SYS_TIME" in securityContext.capabilities.add)',
    ),
    "host namespaces": (pod(container(), hostIPC=True, hostNetwork=True), None, "host namespaces (hostNetwork=true, hostIPC=true)"),
    "a host path": (pod(container(), volumes=[{"name": "v", "hostPath": {}}]), None, 'hostPath volumes (volume "v")'),
    "host paths": (
        pod(container(), volumes=[{"name": "w", "hostPath": {}}, {"name": "v", "hostPath": {}}]),
        None,
        'hostPath volumes (volumes "w", "v")',
    ),
    "a host port": (pod(container(ports=[{"hostPort": 80}])), None, 'hostPort (container "a" uses hostPort 80)'),
    "host ports, sorted as texts": (
        pod(container(ports=[{"hostPort": 8080}, {"hostPort": 80}]), container("b", ports=[{"hostPort": 10000}])),
        None,
        'hostPort (containers "a", "b" use hostPorts 10000, 80, 8080)',
    ),
    "the same host port twice": (
        pod(container(ports=[{"hostPort": 80}]), container("b", ports=[{"hostPort": 80}])),
        None,
        'hostPort (containers "a", "b" use hostPort 80)',
    ),
    "a probe of another host": (
        pod(container(**asking("readinessProbe", "httpGet"))),
        34,
        'probe or lifecycle host (container "a" uses probe or lifecycle host "example.com")',
    ),
    "probes and hooks of other hosts, names sorted": (
        pod(
            container("b", **asking("livenessProbe", "tcpSocket", "h2")),
            container("a", lifecycle={"preStop": {"httpGet": {"host": "h1"}}}),
        ),
        None,
        'probe or lifecycle host (containers "a", "b" use probe or lifecycle hosts "h1", "h2")',
    ),
    "privileged, of every sort of container": (
        pod(container("a", PRIVILEGED), initContainers=[container("i", PRIVILEGED)], ephemeralContainers=[container("e", PRIVILEGED)]),
        None,
        'privileged (containers "i", "a", "e" must not set securityContext.privileged=true)',
    ),
    "a bare /proc": (
        pod(container("a", {"procMount": "Unmasked"})),
        None,
        'procMount (container "a" must not set securityContext.procMount to "Unmasked")',
    ),
    "a bare /proc, before users of one's own counted": (
        pod(container("a", {"procMount": "Unmasked"}), hostUsers=False),
        34,
        'procMount (container "a" must not set securityContext.procMount to "Unmasked")',
    ),
    "an SELinux type": (
        pod(container("a", {"seLinuxOptions": {"type": "spc_t"}})),
        None,
        'seLinuxOptions (container "a" set forbidden securityContext.seLinuxOptions: type "spc_t")',
    ),
    "all of SELinux": (
        pod(
            container("a", {"seLinuxOptions": {"type": "z_t", "role": "r"}}),
            securityContext={"seLinuxOptions": {"type": "b_t", "user": "u"}},
        ),
        None,
        'seLinuxOptions (pod and container "a" set forbidden securityContext.seLinuxOptions: types "b_t", "z_t";'
        " user may not be set; role may not be set)",
    ),
    "an SELinux type before it was known": (
        pod(container("a", {"seLinuxOptions": {"type": "container_engine_t"}})),
        30,
        'seLinuxOptions (container "a" set forbidden securityContext.seLinuxOptions: type "container_engine_t")',
    ),
    "no seccomp": (
        pod(container("a", {"seccompProfile": {"type": "Unconfined"}}), securityContext={"seccompProfile": {"type": "Unconfined"}}),
        19,
        'seccompProfile (pod and container "a" must not set securityContext.seccompProfile.type to "Unconfined")',
    ),
    "no seccomp by annotations": (
        pod(container(), annotations={f"{SECCOMP}/pod": "unconfined", f"container.{SECCOMP}/a": "x"}),
        18,
        f'seccompProfile (forbidden annotations container.{SECCOMP}/a="x", {SECCOMP}/pod="unconfined")',
    ),
    "sysctls, as they come": (
        pod(container(), securityContext={"sysctls": [{"name": "z"}, {"name": "kernel.shm_rmid_forced"}, {"name": "b"}]}),
        None,
        "forbidden sysctls (z, b)",
    ),
    "Windows host processes": (
        pod(container("a", WINDOWS), container("b", WINDOWS), securityContext=WINDOWS),
        None,
        'hostProcess (pod and containers "a", "b" must not set securityContext.windowsOptions.hostProcess=true)',
    ),
}


@pytest.mark.parametrize(("of", "minor", "words"), FAILING.values(), ids=FAILING.keys())
def test_fails(of: Object, minor: int | None, words: str) -> None:
    assert said("baseline", of, minor) == words


SYSCTLS = {
    "net.ipv4.ip_local_reserved_ports": 27,
    "net.ipv4.tcp_keepalive_time": 29,
    "net.ipv4.tcp_keepalive_probes": 29,
    "net.ipv4.tcp_rmem": 32,
    "net.ipv4.tcp_wmem": 32,
    "net.ipv4.tcp_notsent_lowat": 37,
}


@pytest.mark.parametrize(("name", "since"), SYSCTLS.items(), ids=SYSCTLS.keys())
def test_more_sysctls_are_safe_in_later_versions(name: str, since: int) -> None:
    of = pod(container(), securityContext={"sysctls": [{"name": name}]})
    assert said("baseline", of, since - 1) == f"forbidden sysctls ({name})"
    assert said("baseline", of, since) == ""
