"""Annotations that mean something to a pod: mirror pods, deletion cost, and the old forms of seccomp and AppArmor.

Source: kubernetes `pkg/apis/core/validation/validation.go`. All is skipped fast for annotations that mean nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from apiserver.validation.file_paths import local_descending
from apiserver.validation.security_context import containers_with_paths
from kube.errors import FieldError, invalid, not_allowed
from kube.objects import Object

MIRROR = "kubernetes.io/config.mirror"
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
SECCOMP_POD = "seccomp.security.alpha.kubernetes.io/pod"
SECCOMP_CONTAINER = "container.seccomp.security.alpha.kubernetes.io/"
APP_ARMOR = "container.apparmor.security.beta.kubernetes.io/"
_LOCALHOST = "localhost/"
_DEFAULTS = ("runtime/default", "docker/default")


def is_of_interest(annotations: Mapping[str, str]) -> bool:
    """Whether any of the annotations is one of the above."""
    return any("kubernetes.io/" in key for key in annotations)


def validate_pod_annotations(annotations: Mapping[str, str] | None, spec: Object, path: str) -> list[FieldError]:
    """The annotations of a pod or a pod template. `path` is that of the annotations."""
    if not annotations or not is_of_interest(annotations):
        return []
    errors: list[FieldError] = []
    if MIRROR in annotations and not spec.get("nodeName"):
        why = "must set spec.nodeName if mirror pod annotation is set"
        errors.append(invalid(f"{path}[{MIRROR}]", annotations[MIRROR], why))
    cost = annotations.get(DELETION_COST)
    if cost is not None and not is_deletion_cost(cost):
        errors.append(invalid(f"{path}[{DELETION_COST}]", cost, "must be a 32bit integer"))
    if SECCOMP_POD in annotations:
        errors += _seccomp_profile(annotations[SECCOMP_POD], f"{path}.{SECCOMP_POD}")
    for key, value in annotations.items():
        if key.startswith(SECCOMP_CONTAINER):
            errors += _seccomp_profile(value, f"{path}.{key}")
        elif key.startswith(APP_ARMOR):
            errors += _app_armor_profile(key, value, spec, path)
    return errors


def is_deletion_cost(text: str) -> bool:
    """A 32-bit integer without a plus sign or leading zeros, which upstream sees only in front of everything: `-08` is fine."""
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()) or (text.startswith("0") and text != "0"):
        return False
    return -(2**31) <= int(text) < 2**31


def _seccomp_profile(profile: str, path: str) -> list[FieldError]:
    if profile in (*_DEFAULTS, "unconfined"):
        return []
    if profile.startswith(_LOCALHOST):
        return local_descending(profile.removeprefix(_LOCALHOST), path)
    return [invalid(path, profile, "must be a valid seccomp profile")]


def _app_armor_profile(key: str, profile: str, spec: Object, path: str) -> list[FieldError]:
    name = key.removeprefix(APP_ARMOR)
    errors: list[FieldError] = []
    if not any(container.get("name") == name for container, _ in containers_with_paths(spec, "")):
        errors.append(invalid(f"{path}[{key}]", name, "container not found"))
    if profile not in ("", "runtime/default", "unconfined") and not profile.startswith(_LOCALHOST):
        errors.append(invalid(f"{path}[{key}]", profile, f'invalid AppArmor profile name: "{profile}"'))
    return errors


def validate_profiles_match(annotations: Mapping[str, str] | None, spec: Object, path: str) -> list[FieldError]:
    """On create: where an old annotation and its field are both there, they say the same. `path` is that of the spec."""
    if not annotations or not is_of_interest(annotations):
        return []
    errors: list[FieldError] = []
    pod = spec.get("securityContext") or {}
    if pod.get("seccompProfile") and SECCOMP_POD in annotations:
        errors += _match("seccomp", annotations[SECCOMP_POD], pod["seccompProfile"], f"{path}.securityContext.seccompProfile")
    for container, at in containers_with_paths(spec, path):
        profile, key = (container.get("securityContext") or {}).get("seccompProfile"), SECCOMP_CONTAINER + (container.get("name") or "")
        if profile and key in annotations:
            errors += _match("seccomp", annotations[key], profile, f"{at}.securityContext.seccompProfile")
    if (spec.get("os") or {}).get("name") == "windows":
        return errors
    for container, at in containers_with_paths(spec, path):
        profile = (container.get("securityContext") or {}).get("appArmorProfile") or pod.get("appArmorProfile")
        key = APP_ARMOR + (container.get("name") or "")
        if profile and key in annotations:
            errors += _match("apparmor", annotations[key], profile, f"{at}.securityContext.appArmorProfile")
    return errors


def _match(what: str, annotation: str, profile: Object, path: str) -> list[FieldError]:
    kind, local = profile.get("type"), profile.get("localhostProfile")
    defaults = _DEFAULTS if what == "seccomp" else _DEFAULTS[:1]
    wrong_type = [not_allowed(f"{path}.type", f"{what} type in annotation and field must match")]
    if kind == "Unconfined":
        return [] if annotation == "unconfined" else wrong_type
    if kind == "RuntimeDefault":
        return [] if annotation in defaults else wrong_type
    if kind != "Localhost":
        return []
    if not annotation.startswith(_LOCALHOST):
        return wrong_type
    if annotation.removeprefix(_LOCALHOST) == local:
        return []
    return [not_allowed(f"{path}.localhostProfile", f"{what} profile in annotation and field must match")]


def validate_annotation_updates(new: Mapping[str, str], old: Mapping[str, str], path: str) -> list[FieldError]:
    """Mirror and AppArmor annotations stay as the pod was created with."""
    errors: list[FieldError] = []
    for key, value in old.items():
        if new.get(key) == value:
            continue
        if key.startswith(APP_ARMOR):
            errors.append(not_allowed(f"{path}[{key}]", "may not remove or update AppArmor annotations"))
        elif key == MIRROR:
            errors.append(not_allowed(f"{path}[{key}]", "may not remove or update mirror pod annotation"))
    for key in new:
        if key in old:
            continue
        if key.startswith(APP_ARMOR):
            errors.append(not_allowed(f"{path}[{key}]", "may not add AppArmor annotations"))
        elif key == MIRROR:
            errors.append(not_allowed(f"{path}[{key}]", "may not add mirror pod annotation"))
    return errors
