"""The checks that level restricted has besides those of baseline: pods have no more rights than they need. Pure.

As in `baseline.py`. Source: `k8s.io/pod-security-admission` (policy/check_*.go).
"""

from __future__ import annotations

from typing import Final

from apiserver.admission.pod_security.baseline import PROFILE_TYPES, added, seccomp_profile
from apiserver.admission.pod_security.subject import Check, Subject, Violation, containers, listed, name_of, plural, setters
from kube.objects import Object

_VOLUMES: Final = frozenset(
    {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret"}
)
_OTHER_VOLUMES: Final = (
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "gitRepo",
    "nfs",
    "iscsi",
    "glusterfs",
    "rbd",
    "flexVolume",
    "cinder",
    "cephfs",
    "flocker",
    "fc",
    "azureFile",
    "vsphereVolume",
    "quobyte",
    "azureDisk",
    "photonPersistentDisk",
    "portworxVolume",
    "scaleIO",
    "storageos",
)


def but_for_windows(check: Check) -> Check:
    """The check, which pods for Windows pass: validation does not let them set what it asks for."""
    return lambda subject: None if subject.is_windows else check(subject)


def but_for_own_users(check: Check) -> Check:
    """The check, which pods in a user namespace pass."""
    return lambda subject: None if subject.has_own_users else check(subject)


def allow_privilege_escalation(subject: Subject) -> Violation | None:
    names = subject.where(lambda context: context.get("allowPrivilegeEscalation") is not False)
    if not names:
        return None
    return Violation("allowPrivilegeEscalation != false", f"{containers(names)} must set securityContext.allowPrivilegeEscalation=false")


def capabilities(subject: Subject) -> Violation | None:
    """All are dropped, and none but NET_BIND_SERVICE is added."""
    keeping: list[str] = []
    adding: list[str] = []
    bad: set[str] = set()
    for name, context in subject.contexts:
        if "ALL" not in ((context.get("capabilities") or {}).get("drop") or ()):
            keeping.append(name)
        if more := added(context) - {"NET_BIND_SERVICE"}:
            adding.append(name)
            bad |= more
    said = [f'{containers(keeping)} must set securityContext.capabilities.drop=["ALL"]'] if keeping else []
    if adding:
        said.append(f"{containers(adding)} must not include {listed(sorted(bad))} in securityContext.capabilities.add")
    return Violation("unrestricted capabilities", "; ".join(said)) if said else None


def volumes(subject: Subject) -> Violation | None:
    """Volumes come from the cluster's own objects, from claims, or are empty."""
    bad = [each for each in subject.spec.get("volumes") or () if not any(each.get(source) is not None for source in _VOLUMES)]
    if not bad:
        return None
    names, kinds = [name_of(each) for each in bad], sorted({_source(each) for each in bad})
    uses = f"{plural('uses', 'use', names)} {plural('restricted volume type', 'restricted volume types', kinds)}"
    return Violation("restricted volume types", f"{plural('volume', 'volumes', names)} {listed(names)} {uses} {listed(kinds)}")


def _source(volume: Object) -> str:
    return next((source for source in _OTHER_VOLUMES if volume.get(source) is not None), "unknown")


def run_as_non_root(subject: Subject) -> Violation | None:
    """Every container says so, or the pod does for those that say nothing."""
    reason, of_pod = "runAsNonRoot != true", subject.context.get("runAsNonRoot")
    who = setters(subject.where(lambda context: context.get("runAsNonRoot") is False), pod=of_pod is False)
    if who:
        return Violation(reason, f"{who} must not set securityContext.runAsNonRoot=false")
    silent = [] if of_pod else subject.where(lambda context: context.get("runAsNonRoot") is None)
    return Violation(reason, f"pod or {containers(silent)} must set securityContext.runAsNonRoot=true") if silent else None


def run_as_user(subject: Subject) -> Violation | None:
    """Nobody asks for user 0."""
    who = setters(subject.where(lambda context: context.get("runAsUser") == 0), pod=subject.context.get("runAsUser") == 0)
    return Violation("runAsUser=0", f"{who} must not set runAsUser=0") if who else None


def seccomp_profile_is_set(subject: Subject) -> Violation | None:
    """Every container has an allowed profile, or the pod does for those that have none."""
    bad = seccomp_profile(subject)
    if bad is not None:
        return bad
    of_pod = subject.context.get("seccompProfile")
    if of_pod is not None and of_pod.get("type") in PROFILE_TYPES:
        return None
    silent = subject.where(lambda context: context.get("seccompProfile") is None)
    if not silent:
        return None
    allowed = '"RuntimeDefault" or "Localhost"'
    return Violation("seccompProfile", f"pod or {containers(silent)} must set securityContext.seccompProfile.type to {allowed}")
