"""Which checks count at which level in which version, and in which order. Pure.

Source: `k8s.io/pod-security-admission` (policy/registry.go, and the versions in policy/check_*.go).
"""

from __future__ import annotations

import functools
from typing import Final, NamedTuple

from apiserver.admission.pod_security import baseline, restricted
from apiserver.admission.pod_security.labels import BASELINE, PRIVILEGED, RESTRICTED, LevelVersion
from apiserver.admission.pod_security.restricted import but_for_own_users, but_for_windows
from apiserver.admission.pod_security.subject import Check, Subject, Violation

_SE_LINUX: Final = frozenset({"", "container_t", "container_init_t", "container_kvm_t"})
_SYSCTLS: Final = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.ping_group_range",
        "net.ipv4.ip_unprivileged_port_start",
    }
)
_SYSCTLS_27: Final = _SYSCTLS | {"net.ipv4.ip_local_reserved_ports"}
_SYSCTLS_29: Final = _SYSCTLS_27 | {
    f"net.ipv4.tcp_{each}" for each in ("keepalive_time", "fin_timeout", "keepalive_intvl", "keepalive_probes")
}
_SYSCTLS_32: Final = _SYSCTLS_29 | {"net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"}
_SYSCTLS_37: Final = _SYSCTLS_32 | {"net.ipv4.tcp_slow_start_after_idle", "net.ipv4.tcp_notsent_lowat"}


class Row(NamedTuple):
    """A check as of version 1.`since`, until a later row with the same id. `instead` is the check of baseline that it stands for."""

    id: str
    level: str
    since: int
    check: Check
    instead: str = ""


ROWS: Final = (
    Row("appArmorProfile", BASELINE, 0, baseline.app_armor_profile),
    Row("capabilities_baseline", BASELINE, 0, baseline.capabilities),
    Row("hostNamespaces", BASELINE, 0, baseline.host_namespaces),
    Row("hostPathVolumes", BASELINE, 0, baseline.host_path_volumes),
    Row("hostPorts", BASELINE, 0, baseline.host_ports),
    Row("hostProbesAndHostLifecycle", BASELINE, 34, baseline.host_probes_and_lifecycle),
    Row("privileged", BASELINE, 0, baseline.privileged),
    Row("procMount", BASELINE, 0, baseline.proc_mount),
    Row("procMount", BASELINE, 35, baseline.proc_mount_of_node_users),
    Row("seLinuxOptions", BASELINE, 0, baseline.se_linux_options(_SE_LINUX)),
    Row("seLinuxOptions", BASELINE, 31, baseline.se_linux_options(_SE_LINUX | {"container_engine_t"})),
    Row("seccompProfile_baseline", BASELINE, 0, baseline.seccomp_annotations),
    Row("seccompProfile_baseline", BASELINE, 19, baseline.seccomp_profile),
    Row("sysctls", BASELINE, 0, baseline.sysctls(_SYSCTLS)),
    Row("sysctls", BASELINE, 27, baseline.sysctls(_SYSCTLS_27)),
    Row("sysctls", BASELINE, 29, baseline.sysctls(_SYSCTLS_29)),
    Row("sysctls", BASELINE, 32, baseline.sysctls(_SYSCTLS_32)),
    Row("sysctls", BASELINE, 37, baseline.sysctls(_SYSCTLS_37)),
    Row("windowsHostProcess", BASELINE, 0, baseline.windows_host_process),
    Row("allowPrivilegeEscalation", RESTRICTED, 8, restricted.allow_privilege_escalation),
    Row("allowPrivilegeEscalation", RESTRICTED, 25, but_for_windows(restricted.allow_privilege_escalation)),
    Row("capabilities_restricted", RESTRICTED, 22, restricted.capabilities, "capabilities_baseline"),
    Row("capabilities_restricted", RESTRICTED, 25, but_for_windows(restricted.capabilities), "capabilities_baseline"),
    Row("procMount_restricted", RESTRICTED, 35, baseline.proc_mount, "procMount"),
    Row("restrictedVolumes", RESTRICTED, 0, restricted.volumes, "hostPathVolumes"),
    Row("runAsNonRoot", RESTRICTED, 0, restricted.run_as_non_root),
    Row("runAsNonRoot", RESTRICTED, 35, but_for_own_users(restricted.run_as_non_root)),
    Row("runAsUser", RESTRICTED, 23, restricted.run_as_user),
    Row("runAsUser", RESTRICTED, 35, but_for_own_users(restricted.run_as_user)),
    Row("seccompProfile_restricted", RESTRICTED, 19, restricted.seccomp_profile_is_set, "seccompProfile_baseline"),
    Row("seccompProfile_restricted", RESTRICTED, 25, but_for_windows(restricted.seccomp_profile_is_set), "seccompProfile_baseline"),
)
"""In the order in which violations are told: baseline first, then restricted, each sorted by id."""

NEWEST: Final = max(row.since for row in ROWS)


def violations(asked: LevelVersion, subject: Subject, *, newest: int = NEWEST) -> list[Violation]:
    """What is wrong with a pod at a level. `newest` is the minor version of this Kubernetes: what is asked of a later one, or of the
    latest, is asked of it."""
    minor = min(newest, NEWEST) if asked.minor is None else min(asked.minor, newest, NEWEST)
    return [found for check in checks(asked.level, minor) if (found := check(subject)) is not None]


@functools.cache
def checks(level: str, minor: int) -> tuple[Check, ...]:
    """The checks of a level in version 1.`minor`, which is at most `NEWEST`."""
    if level == PRIVILEGED:
        return ()
    current = {row.id: row for row in ROWS if row.since <= minor and (level == RESTRICTED or row.level == BASELINE)}
    replaced = {row.instead for row in current.values()}
    return tuple(row.check for row in current.values() if row.id not in replaced)


def told(found: list[Violation]) -> str:
    """All violations, with their details."""
    return ", ".join(map(str, found))
