"""Security contexts of pods and containers, and what an operating system forbids.

Source: kubernetes `pkg/apis/core/validation/validation.go`. Pod Security Standards are an admission plugin, not here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from apiserver.validation.file_paths import local_descending
from apiserver.validation.metadata import complaints
from apiserver.validation.names import byte_length, is_dns1123_subdomain, is_valid_id
from kube.errors import FieldError, duplicate, invalid, not_allowed, not_supported, required, too_long
from kube.objects import Object

_SYSCTL = "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$"
_SYSCTL_MAX = 253
_sysctl_re = re.compile(_SYSCTL.removeprefix("^").removesuffix("$"))
_IPC_SYSCTLS = frozenset({"kernel.sem"})
_IPC_PREFIXES = ("kernel.shm", "kernel.msg", "fs.mqueue.")
_PROFILE_TYPES = ("Localhost", "RuntimeDefault", "Unconfined")
_PROFILE_PATH_MAX = 4095
_CREDENTIAL_KIB_MAX = 64
_DOMAIN_MAX, _USER_MAX = 256, 104
_control_re = re.compile(r"[\x00-\x1f\x7f]")
_netbios_re = re.compile(r'[^\\/:*?"<>|.][^\\/:*?"<>|]{0,14}')
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_domain_re = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_user_chars_re = re.compile(r'["/\\:;|=,+*?<>@\[\]]')
_dots_re = re.compile(r"[. ]+")


def containers_with_paths(spec: Object, path: str) -> Iterator[tuple[Object, str]]:
    """Every container of a pod spec with its field path, in upstream's order."""
    for name in ("initContainers", "containers", "ephemeralContainers"):
        for index, container in enumerate(spec.get(name) or ()):
            yield container, f"{path}.{name}[{index}]"


# --- parts that pods and containers share -----------------------------------------------------------------------------


def _seccomp(profile: Object, path: str) -> list[FieldError]:
    kind, local = profile.get("type") or "", profile.get("localhostProfile")
    errors: list[FieldError] = []
    if not kind:
        errors.append(required(f"{path}.type", "type is required when seccompProfile is set"))
    elif kind not in _PROFILE_TYPES:
        errors.append(not_supported(f"{path}.type", kind, _PROFILE_TYPES))
    if kind == "Localhost":
        if local is None:
            errors.append(required(f"{path}.localhostProfile", "must be set when seccomp type is Localhost"))
        else:
            errors += local_descending(local, f"{path}.localhostProfile")
    elif local is not None:
        shown = {"Type": kind, "LocalhostProfile": local}
        errors.append(invalid(f"{path}.localhostProfile", shown, "can only be set when seccomp type is Localhost"))
    return errors


def _app_armor(profile: Object, path: str) -> list[FieldError]:
    kind, local = profile.get("type") or "", profile.get("localhostProfile")
    at = f"{path}.localhostProfile"
    if not kind:
        return [required(f"{path}.type", "type is required when appArmorProfile is set")]
    if kind not in _PROFILE_TYPES:
        return [not_supported(f"{path}.type", kind, _PROFILE_TYPES)]
    if kind != "Localhost":
        return [invalid(at, local, "can only be set when AppArmor type is Localhost")] if local is not None else []
    if local is None:
        return [required(at, "must be set when AppArmor type is Localhost")]
    errors: list[FieldError] = []
    if local.strip() != local:
        errors.append(invalid(at, local, "must not be padded with whitespace"))
    elif not local:
        errors.append(required(at, "must be set when AppArmor type is Localhost"))
    if byte_length(local) > _PROFILE_PATH_MAX:
        errors.append(too_long(at, _PROFILE_PATH_MAX))
    return errors


def _windows_options(options: Object, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    name, credential = options.get("gmsaCredentialSpecName"), options.get("gmsaCredentialSpec")
    if name is not None:
        errors += complaints(f"{path}.gmsaCredentialSpecName", name, is_dns1123_subdomain(name))
    if credential is not None:
        if not credential:
            errors.append(invalid(f"{path}.gmsaCredentialSpec", credential, "gmsaCredentialSpec cannot be an empty string"))
        elif byte_length(credential) > _CREDENTIAL_KIB_MAX * 1024:
            why = f"gmsaCredentialSpec size must be under {_CREDENTIAL_KIB_MAX} KiB"
            errors.append(invalid(f"{path}.gmsaCredentialSpec", credential, why))
    user = options.get("runAsUserName")
    if user is not None:
        errors += complaints(f"{path}.runAsUserName", user, _user_name(user))
    return errors


def _user_name(text: str) -> list[str]:
    """`[DOMAIN\\]USER` as Windows has it."""
    if not text:
        return ["runAsUserName cannot be an empty string"]
    if _control_re.search(text):
        return ["runAsUserName cannot contain control characters"]
    if text.count("\\") > 1:
        return ["runAsUserName cannot contain more than one backslash"]
    domain, backslash, user = text.rpartition("\\")
    found = []
    if byte_length(domain) >= _DOMAIN_MAX:
        found.append(f"runAsUserName's Domain length must be under {_DOMAIN_MAX} characters")
    if backslash and not (_netbios_re.fullmatch(domain) or _domain_re.fullmatch(domain)):
        found.append("runAsUserName's Domain doesn't match the NetBios nor the DNS format")
    if not user:
        found.append("runAsUserName's User cannot be empty")
    elif byte_length(user) > _USER_MAX:
        found.append(f"runAsUserName's User length must not be longer than {_USER_MAX} characters")
    if _dots_re.fullmatch(user):
        found.append("runAsUserName's User cannot contain only periods or spaces")
    if _user_chars_re.search(user):
        found.append("runAsUserName's User cannot contain the following characters: \"/\\:;|=,+*?<>@[]")
    return found


def _ids(context: Object, path: str, names: tuple[str, ...]) -> list[FieldError]:
    errors: list[FieldError] = []
    for name in names:
        number = context.get(name)
        if number is not None and not 0 <= number <= 2**31 - 1:
            errors += complaints(f"{path}.{name}", number, is_valid_id(number))
    return errors


# --- the container's --------------------------------------------------------------------------------------------------


def validate_security_context(context: Object, path: str, *, host_users: bool) -> list[FieldError]:
    """A container's securityContext. `host_users`: the pod does not run in a user namespace of its own."""
    errors = _ids(context, path, ("runAsUser", "runAsGroup"))
    mount = context.get("procMount")
    if mount is not None:
        if mount not in ("Default", "Unmasked"):
            errors.append(not_supported(f"{path}.procMount", mount, ["Default", "Unmasked"]))
        elif mount == "Unmasked" and host_users:
            errors.append(invalid(f"{path}.procMount", mount, "`hostUsers` must be false to use `Unmasked`"))
    if context.get("seccompProfile") is not None:
        errors += _seccomp(context["seccompProfile"], f"{path}.seccompProfile")
    if context.get("allowPrivilegeEscalation") is False:
        errors += _no_escalation(context, path)
    if context.get("windowsOptions") is not None:
        errors += _windows_options(context["windowsOptions"], f"{path}.windowsOptions")
    if context.get("appArmorProfile") is not None:
        errors += _app_armor(context["appArmorProfile"], f"{path}.appArmorProfile")
    return errors


def _no_escalation(context: Object, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if context.get("privileged"):
        errors.append(invalid(path, context, "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"))
    added = (context.get("capabilities") or {}).get("add") or ()
    why = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
    return errors + [invalid(path, context, why) for each in added if each == "CAP_SYS_ADMIN"]


# --- the pod's --------------------------------------------------------------------------------------------------------


def validate_pod_security_context(context: Object, spec: Object, path: str) -> list[FieldError]:
    """A pod's securityContext; `spec` has the host namespaces that it must agree with."""
    errors = _ids(context, path, ("fsGroup", "runAsUser", "runAsGroup"))
    for index, group in enumerate(context.get("supplementalGroups") or ()):
        errors += complaints(f"{path}.supplementalGroups[{index}]", group, is_valid_id(group))
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        why = "ShareProcessNamespace and HostPID cannot both be enabled"
        errors.append(invalid(f"{path}.shareProcessNamespace", True, why))
    if context.get("sysctls"):
        errors += _sysctls(context["sysctls"], spec, f"{path}.sysctls")
    policy = context.get("fsGroupChangePolicy")
    if policy is not None and policy not in ("Always", "OnRootMismatch"):
        errors.append(not_supported(f"{path}.fsGroupChangePolicy", policy, ["Always", "OnRootMismatch"]))
    if context.get("seccompProfile") is not None:
        errors += _seccomp(context["seccompProfile"], f"{path}.seccompProfile")
    if context.get("windowsOptions") is not None:
        errors += _windows_options(context["windowsOptions"], f"{path}.windowsOptions")
    if context.get("appArmorProfile") is not None:
        errors += _app_armor(context["appArmorProfile"], f"{path}.appArmorProfile")
    groups = context.get("supplementalGroupsPolicy")
    if groups is not None and groups not in ("Merge", "Strict"):
        errors.append(not_supported(f"{path}.supplementalGroupsPolicy", groups, ["Merge", "Strict"]))
    labels = context.get("seLinuxChangePolicy")
    if labels is not None and labels != "Recursive":  # MountOption waits for the feature gate SELinuxMount
        errors.append(not_supported(f"{path}.seLinuxChangePolicy", labels, ["Recursive"]))
    return errors


def _sysctls(sysctls: list[Object], spec: Object, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[str] = set()
    for index, sysctl in enumerate(sysctls):
        name, at = sysctl.get("name") or "", f"{path}[{index}].name"
        if not name:
            errors.append(required(at))
        elif len(name) > _SYSCTL_MAX or not _sysctl_re.fullmatch(name):
            errors.append(invalid(at, name, f"must have at most {_SYSCTL_MAX} characters and match regex {_SYSCTL}"))
        elif name in seen:
            errors.append(duplicate(at, name))
        errors += _host_sysctl(name, spec, at)
        seen.add(name)
    return errors


def _host_sysctl(name: str, spec: Object, path: str) -> list[FieldError]:
    """Settings of a namespace that the pod shares with its host."""
    dotted = name.replace("/", ".") if "/" in name.partition(".")[0] else name
    if spec.get("hostNetwork") and dotted.startswith("net."):
        return [invalid(path, name, "may not be specified when 'hostNetwork' is true")]
    if spec.get("hostIPC") and (dotted in _IPC_SYSCTLS or dotted.startswith(_IPC_PREFIXES)):
        return [invalid(path, name, "may not be specified when 'hostIPC' is true")]
    return []


def validate_host_users(spec: Object, path: str) -> list[FieldError]:
    """A user namespace goes with no other host namespace. The paths' capitals are upstream's."""
    if spec.get("hostUsers") is not False:
        return []
    why = "when `hostUsers` is false"
    names = (("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC"))
    return [not_allowed(f"{path}.{shown}", why) for name, shown in names if spec.get(name)]


def validate_host_process(spec: Object, path: str) -> list[FieldError]:
    """Windows HostProcess containers: all or none, and on the host's network."""
    pod_wish = ((spec.get("securityContext") or {}).get("windowsOptions") or {}).get("hostProcess")
    errors: list[FieldError] = []
    total = host = 0
    for container, at in containers_with_paths(spec, path):
        total += 1
        context = container.get("securityContext")
        wish = (context.get("windowsOptions") or {}).get("hostProcess") if context else None
        if pod_wish is not None and wish is not None and pod_wish != wish:
            why = f"pod hostProcess value must be identical if both are specified, was {str(pod_wish).lower()}"
            errors.append(invalid(f"{at}.securityContext.windowsOptions.hostProcess", wish, why))
        host += bool(pod_wish if wish is None else wish)
    if not host:
        return errors
    if host != total:
        why = "If pod contains any hostProcess containers then all containers must be HostProcess containers"
        errors.append(invalid(path, "", why))
    if not spec.get("hostNetwork"):
        errors.append(invalid(f"{path}.hostNetwork", False, "hostNetwork must be true if pod contains any hostProcess containers"))
    return errors


# --- operating systems ------------------------------------------------------------------------------------------------

_NO_WINDOWS = "cannot be set for a windows pod"
_NO_LINUX = "windows options cannot be set for a linux pod"
_POD_CHECKS = (
    ("securityContext.appArmorProfile", "set"), ("securityContext.seLinuxOptions", "set"), ("hostUsers", "set"),
    ("hostPID", "true"), ("hostIPC", "true"), ("securityContext.seccompProfile", "set"), ("securityContext.fsGroup", "set"),
    ("securityContext.fsGroupChangePolicy", "set"), ("securityContext.sysctls", "true"), ("shareProcessNamespace", "set"),
    ("securityContext.runAsUser", "set"), ("securityContext.runAsGroup", "set"), ("securityContext.supplementalGroups", "set"),
    ("securityContext.supplementalGroupsPolicy", "set"), ("securityContext.seLinuxChangePolicy", "set"),
)  # fmt: skip
_CONTAINER_FIELDS = (
    "appArmorProfile", "seLinuxOptions", "seccompProfile", "capabilities", "readOnlyRootFilesystem", "privileged",
    "allowPrivilegeEscalation", "procMount", "runAsUser", "runAsGroup",
)  # fmt: skip


def validate_os(spec: Object, path: str) -> list[FieldError]:
    """spec.os, and what is not for that operating system."""
    system = spec.get("os")
    if system is None:
        return []
    name = system.get("name") or ""
    if not name:
        return [required(f"{path}.os.name")]
    if name == "linux":
        return _linux(spec, path)
    return _windows(spec, path) if name == "windows" else [not_supported(f"{path}.os", name, ["linux", "windows"])]


def _linux(spec: Object, path: str) -> list[FieldError]:
    at = f"{path}.securityContext.windowsOptions"
    own = (spec.get("securityContext") or {}).get("windowsOptions")
    errors = [not_allowed(at, _NO_LINUX)] if own is not None else []
    for container, container_path in containers_with_paths(spec, path):
        if (container.get("securityContext") or {}).get("windowsOptions") is not None:
            errors.append(not_allowed(f"{container_path}.securityContext.windowsOptions", _NO_LINUX))
    return errors


def _windows(spec: Object, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    context = spec.get("securityContext") or {}
    for name, when in _POD_CHECKS:
        owner, dot, field = name.partition(".")
        value = context.get(field) if dot else spec.get(owner)
        if value is not None and (when == "set" or value):
            errors.append(not_allowed(f"{path}.{name}", _NO_WINDOWS))
    for container, at in containers_with_paths(spec, path):
        own = container.get("securityContext") or {}
        errors += [not_allowed(f"{at}.securityContext.{name}", _NO_WINDOWS) for name in _CONTAINER_FIELDS if own.get(name) is not None]
    return errors
