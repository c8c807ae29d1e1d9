"""The checks of level baseline: nothing by which a pod is known to get at its node. Pure.

Each takes a `Subject` and says what is wrong with it; None: nothing. Since when each counts is in `table.py`.
Source: `k8s.io/pod-security-admission` (policy/check_*.go).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from apiserver.admission.pod_security.subject import Check, Subject, Violation, bad_profiles, containers, listed, name_of, plural, setters
from kube.objects import Object
from kube.schema.goquote import quote

PROFILE_TYPES: Final = frozenset({"RuntimeDefault", "Localhost"})
_APP_ARMOR: Final = "container.apparmor.security.beta.kubernetes.io/"
_SECCOMP_POD: Final = "seccomp.security.alpha.kubernetes.io/pod"
_SECCOMP: Final = "container.seccomp.security.alpha.kubernetes.io/"
_DEFAULT_CAPABILITIES: Final = frozenset(
    {
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    }
)


def app_armor_profile(subject: Subject) -> Violation | None:
    """The profile is the runtime's own or one of the node's; whether a field or an old annotation says so."""
    in_pod, in_containers, bad = bad_profiles(subject, "appArmorProfile", PROFILE_TYPES)
    annotations = sorted(
        f"{key}={quote(value)}"
        for key, value in subject.annotations.items()
        if key.startswith(_APP_ARMOR) and value not in ("", "runtime/default") and not value.startswith("localhost/")
    )
    who = [setters(in_containers, pod=in_pod)] if bad else []
    if annotations:
        who.append(plural("annotation", "annotations", annotations))
        bad += annotations
    if not who:
        return None
    reason = plural("forbidden AppArmor profile", "forbidden AppArmor profiles", bad)
    return Violation(reason, f"{' and '.join(who)} must not set AppArmor profile type to {listed(bad)}")


def capabilities(subject: Subject) -> Violation | None:
    """Nothing is added to what container runtimes give anyway."""
    found = [(name, bad) for name, context in subject.contexts if (bad := added(context) - _DEFAULT_CAPABILITIES)]
    if not found:
        return None
    what = listed(sorted(set[str]().union(*(each for _, each in found))))
    who = containers([name for name, _ in found])
    return Violation("non-default capabilities", f"{who} must not include {what} in securityContext.capabilities.add")


def added(context: Object) -> set[str]:
    """The capabilities that a security context adds."""
    return set((context.get("capabilities") or {}).get("add") or ())


def host_namespaces(subject: Subject) -> Violation | None:
    shared = [f"{field}=true" for field in ("hostNetwork", "hostPID", "hostIPC") if subject.spec.get(field)]
    return Violation("host namespaces", ", ".join(shared)) if shared else None


def host_path_volumes(subject: Subject) -> Violation | None:
    names = [name_of(each) for each in subject.spec.get("volumes") or () if each.get("hostPath") is not None]
    return Violation("hostPath volumes", f"{plural('volume', 'volumes', names)} {listed(names)}") if names else None


def host_ports(subject: Subject) -> Violation | None:
    used = [(name_of(each), found) for each in subject.containers if (found := _host_ports(each))]
    if not used:
        return None
    names, ports = [name for name, _ in used], sorted(set[str]().union(*(each for _, each in used)))
    uses = f"{plural('uses', 'use', names)} {plural('hostPort', 'hostPorts', ports)}"
    return Violation("hostPort", f"{containers(names)} {uses} {', '.join(ports)}")


def _host_ports(container: Object) -> set[str]:
    return {str(each["hostPort"]) for each in container.get("ports") or () if each.get("hostPort")}


def host_probes_and_lifecycle(subject: Subject) -> Violation | None:
    """No probe and no hook is sent to another host than the pod."""
    used = [(name_of(each), found) for each in subject.containers if (found := _hosts(each))]
    if not used:
        return None
    names, hosts = sorted({name for name, _ in used}), sorted(set[str]().union(*(each for _, each in used)))
    what = plural("probe or lifecycle host", "probe or lifecycle hosts", hosts)
    return Violation("probe or lifecycle host", f"{containers(names)} {plural('uses', 'use', names)} {what} {listed(hosts)}")


def _hosts(container: Object) -> set[str]:
    lifecycle = container.get("lifecycle") or {}
    handlers = [container.get(field) for field in ("livenessProbe", "readinessProbe", "startupProbe")]
    handlers += [lifecycle.get(field) for field in ("postStart", "preStop")]
    asked = [(handler or {}).get(way) or {} for handler in handlers for way in ("httpGet", "tcpSocket")]
    return {each["host"] for each in asked if each.get("host")}


def privileged(subject: Subject) -> Violation | None:
    names = subject.where(lambda context: context.get("privileged"))
    return Violation("privileged", f"{containers(names)} must not set securityContext.privileged=true") if names else None


def proc_mount(subject: Subject) -> Violation | None:
    """What /proc does not show by default stays hidden."""
    bad = [(name, mount) for name, context in subject.contexts if (mount := context.get("procMount")) not in (None, "Default")]
    if not bad:
        return None
    mounts = listed(sorted({mount for _, mount in bad}))
    return Violation("procMount", f"{containers([name for name, _ in bad])} must not set securityContext.procMount to {mounts}")


def proc_mount_of_node_users(subject: Subject) -> Violation | None:
    """The same, where the pod has no users of its own."""
    return None if subject.has_own_users else proc_mount(subject)


def se_linux_options(allowed_types: Collection[str]) -> Check:
    """Only such types, and neither a user nor a role."""

    def bad(context: Object) -> tuple[str, ...]:
        options = context.get("seLinuxOptions") or {}
        kind = options.get("type") or ""
        types = [] if kind in allowed_types else [f"type {kind}"]
        return (*types, *[field for field in ("user", "role") if options.get(field)])

    def check(subject: Subject) -> Violation | None:
        of_pod = bad(subject.context)
        found = [(name, of_one) for name, context in subject.contexts if (of_one := bad(context))]
        wrong = set(of_pod).union(*(each for _, each in found))
        if not wrong:
            return None
        types = sorted(each.removeprefix("type ") for each in wrong if each.startswith("type "))
        said = [f"{plural('type', 'types', types)} {listed(types)}"] if types else []
        said += [f"{field} may not be set" for field in ("user", "role") if field in wrong]
        who = setters([name for name, _ in found], pod=bool(of_pod))
        return Violation("seLinuxOptions", f"{who} set forbidden securityContext.seLinuxOptions: {'; '.join(said)}")

    return check


def seccomp_annotations(subject: Subject) -> Violation | None:
    """The profile is the runtime's own or one of the node's: as pods said it before there was a field."""
    keys = [_SECCOMP_POD, *(f"{_SECCOMP}{name}" for name, _ in subject.contexts)]
    bad = sorted({f"{key}={quote(subject.annotations[key])}" for key in keys if not _is_allowed_seccomp(subject.annotations.get(key))})
    return Violation("seccompProfile", f"forbidden {plural('annotation', 'annotations', bad)} {', '.join(bad)}") if bad else None


def _is_allowed_seccomp(annotation: str | None) -> bool:
    return annotation in (None, "runtime/default", "docker/default") or (annotation or "").startswith("localhost/")


def seccomp_profile(subject: Subject) -> Violation | None:
    in_pod, in_containers, bad = bad_profiles(subject, "seccompProfile", PROFILE_TYPES)
    if not bad:
        return None
    who = setters(in_containers, pod=in_pod)
    return Violation("seccompProfile", f"{who} must not set securityContext.seccompProfile.type to {listed(bad)}")


def sysctls(allowed: Collection[str]) -> Check:
    def check(subject: Subject) -> Violation | None:
        names = [name_of(each) for each in subject.context.get("sysctls") or ()]
        bad = [name for name in names if name not in allowed]
        return Violation("forbidden sysctls", ", ".join(bad)) if bad else None

    return check


def windows_host_process(subject: Subject) -> Violation | None:
    def is_bad(context: Object) -> bool:
        return bool((context.get("windowsOptions") or {}).get("hostProcess"))

    who = setters(subject.where(is_bad), pod=is_bad(subject.context))
    return Violation("hostProcess", f"{who} must not set securityContext.windowsOptions.hostProcess=true") if who else None
