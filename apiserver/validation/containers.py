"""The containers of a pod: regular, init and ephemeral. Source: kubernetes `pkg/apis/core/validation/validation.go`."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from apiserver.validation.env import validate_env, validate_env_from
from apiserver.validation.metadata import complaints
from apiserver.validation.names import is_dns1123_label, is_valid_port_name, is_valid_port_num
from apiserver.validation.probes import PROBES, forbid_handlers, validate_handlers
from apiserver.validation.requirements import validate_requirements
from apiserver.validation.security_context import validate_security_context
from apiserver.validation.volume_mounts import validate_devices, validate_mounts
from apiserver.validation.volumes import pull_policy
from kube.errors import FieldError, duplicate, field_not_found, invalid, not_allowed, not_supported, required, too_many
from kube.objects import Object

_PROTOCOLS = ("SCTP", "TCP", "UDP")
_MESSAGE_POLICIES = ("File", "FallbackToLogsOnError")
_RESTART_POLICIES = ("Always", "Never", "OnFailure")
_RULES_MAX, _EXIT_CODES_MAX = 20, 255
_NOT_EPHEMERAL = "cannot be set for an Ephemeral Container"
_FORBIDDEN_EPHEMERAL = ("ports", "resources", "resizePolicy", "restartPolicy", "restartPolicyRules", *PROBES, "lifecycle")
_FORBIDDEN_EVEN_EMPTY = frozenset({*PROBES, "lifecycle"})  # pointers in Go


@dataclass(frozen=True, slots=True)
class PodFacts:
    """What the rules of one container must know of its pod."""

    volumes: dict[str, Any] = field(default_factory=dict)
    claim_names: Collection[str] = ()
    grace_s: int | None = None
    restart_policy: str = "Always"
    host_users: bool = True


# --- common to all three ----------------------------------------------------------------------------------------------


def _common(container: Object, pod: PodFacts, path: str) -> list[FieldError]:
    errors = _identity(container, path)
    if container.get("ports"):
        errors += _ports(container["ports"], f"{path}.ports")
    if container.get("env"):
        errors += validate_env(container["env"], f"{path}.env")
    if container.get("envFrom"):
        errors += validate_env_from(container["envFrom"], f"{path}.envFrom")
    if container.get("volumeMounts"):
        errors += validate_mounts(container, pod.volumes, f"{path}.volumeMounts")
    if container.get("volumeDevices"):
        errors += validate_devices(container, pod.volumes, f"{path}.volumeDevices")
    errors += pull_policy(container.get("imagePullPolicy"), f"{path}.imagePullPolicy")
    if container.get("resources"):
        errors += validate_requirements(container["resources"], f"{path}.resources", pod.claim_names)
    if container.get("resizePolicy"):
        errors += _resize_policy(container["resizePolicy"], f"{path}.resizePolicy", pod.restart_policy)
    if container.get("securityContext"):
        errors += validate_security_context(container["securityContext"], f"{path}.securityContext", host_users=pod.host_users)
    return errors


def _identity(container: Object, path: str) -> list[FieldError]:
    name = container.get("name")
    errors = complaints(f"{path}.name", name, is_dns1123_label(name)) if name else [required(f"{path}.name")]
    if not container.get("image"):
        errors.append(required(f"{path}.image"))
    policy = container.get("terminationMessagePolicy")
    if not policy:
        errors.append(required(f"{path}.terminationMessagePolicy"))
    elif policy not in _MESSAGE_POLICIES:
        errors.append(not_supported(f"{path}.terminationMessagePolicy", policy, _MESSAGE_POLICIES))
    return errors


def _ports(ports: list[Object], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    names: set[str] = set()
    for index, port in enumerate(ports):
        at, name, number, host = f"{path}[{index}]", port.get("name") or "", port.get("containerPort") or 0, port.get("hostPort") or 0
        if name:
            found = is_valid_port_name(name)
            if found:
                errors += complaints(f"{at}.name", name, found)
            elif name in names:
                errors.append(duplicate(f"{at}.name", name))
            else:
                names.add(name)
        errors += complaints(f"{at}.containerPort", number, is_valid_port_num(number)) if number else [required(f"{at}.containerPort")]
        if host:
            errors += complaints(f"{at}.hostPort", host, is_valid_port_num(host))
        protocol = port.get("protocol")
        if not protocol:
            errors.append(required(f"{at}.protocol"))
        elif protocol not in _PROTOCOLS:
            errors.append(not_supported(f"{at}.protocol", protocol, _PROTOCOLS))
    return errors


def _resize_policy(policies: list[Object], path: str, restart_policy: str) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[str] = set()
    for index, policy in enumerate(policies):
        name, restart = policy.get("resourceName") or "", policy.get("restartPolicy") or ""
        if name in seen:
            errors.append(duplicate(f"{path}[{index}]", name))
        seen.add(name)
        if not name:
            errors.append(required(path))
        elif name not in ("cpu", "memory"):
            errors.append(not_supported(path, name, ["cpu", "memory"]))
        if not restart:
            errors.append(required(path))
        elif restart not in ("NotRequired", "RestartContainer"):
            errors.append(not_supported(path, restart, ["NotRequired", "RestartContainer"]))
        if restart_policy == "Never" and restart != "NotRequired":
            errors.append(invalid(path, restart, "must be 'NotRequired' when pod `restartPolicy` is 'Never'"))
    return errors


def _restart_policy(container: Object, path: str) -> list[FieldError]:
    """A container's own restart policy and rules."""
    policy, rules = container.get("restartPolicy"), container.get("restartPolicyRules") or []
    errors: list[FieldError] = []
    if policy is None:
        if rules:
            errors.append(required(f"{path}.restartPolicy", "must specify restartPolicy when restart rules are used"))
    elif policy not in _RESTART_POLICIES:
        errors.append(not_supported(f"{path}.restartPolicy", policy, _RESTART_POLICIES))
    if len(rules) > _RULES_MAX:
        errors.append(too_many(f"{path}.restartPolicyRules", len(rules), _RULES_MAX))
    for index, rule in enumerate(rules):
        errors += _restart_rule(rule, f"{path}.restartPolicyRules[{index}]")
    return errors


def _restart_rule(rule: Object, path: str) -> list[FieldError]:
    action, codes = rule.get("action") or "", rule.get("exitCodes")
    errors: list[FieldError] = []
    if action not in ("Restart", "RestartAllContainers"):
        errors.append(not_supported(f"{path}.action", action, ["Restart", "RestartAllContainers"]))
    if codes is None:
        return [*errors, required(f"{path}.exitCodes", "must be specified")]
    operator, values = codes.get("operator") or "", codes.get("values") or []
    if operator not in ("In", "NotIn"):
        errors.append(not_supported(f"{path}.exitCodes.operator", operator, ["In", "NotIn"]))
    if len(values) > _EXIT_CODES_MAX:
        errors.append(too_many(f"{path}.exitCodes.values", len(values), _EXIT_CODES_MAX))
    return errors


def _host_port_conflicts(containers: list[Object], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    taken: set[str] = set()
    for index, container in enumerate(containers):
        for number, port in enumerate(container.get("ports") or ()):
            if not port.get("hostPort"):
                continue
            key = f"{port.get('protocol') or ''}/{port.get('hostIP') or ''}/{port['hostPort']}"
            if key in taken:
                errors.append(duplicate(f"{path}[{index}].ports[{number}].hostPort", key))
            taken.add(key)
    return errors


# --- the three lists --------------------------------------------------------------------------------------------------


def validate_containers(containers: list[Object], pod: PodFacts, path: str) -> list[FieldError]:
    """spec.containers."""
    if not containers:
        return [required(path)]
    errors: list[FieldError] = []
    names: set[str] = set()
    for index, container in enumerate(containers):
        at, name = f"{path}[{index}]", container.get("name") or ""
        errors += _common(container, pod, at)
        if name in names:
            errors.append(duplicate(f"{at}.name", name))
        names.add(name)
        errors += validate_handlers(container, at, pod.grace_s)
        if container.get("restartPolicy") is not None or container.get("restartPolicyRules"):
            errors += _restart_policy(container, at)
    return errors + _host_port_conflicts(containers, path)


def validate_init_containers(containers: list[Object], regular: list[Object], pod: PodFacts, path: str) -> list[FieldError]:
    """spec.initContainers; with restartPolicy Always they are sidecars and may have probes."""
    errors: list[FieldError] = []
    names = {each.get("name") or "" for each in regular}
    for index, container in enumerate(containers):
        at, name = f"{path}[{index}]", container.get("name") or ""
        sidecar = container.get("restartPolicy") == "Always"
        errors += _common(container, pod, at)
        errors += _restart_policy(container, at)
        if name in names:
            errors.append(duplicate(f"{at}.name", name))
        elif name:
            names.add(name)
        errors += _host_port_conflicts([container], path)  # one by one, for they run so; upstream then always says [0]
        errors += validate_handlers(container, at, pod.grace_s) if sidecar else forbid_handlers(container, at)
        if not sidecar:
            errors += _init_resize_policy(container, at)
    return errors


def _init_resize_policy(container: Object, path: str) -> list[FieldError]:
    why = "must not be set to 'RestartContainer' for non-sidecar initContainers"
    return [
        invalid(f"{path}.resizePolicy[{index}].restartPolicy", "RestartContainer", why)
        for index, policy in enumerate(container.get("resizePolicy") or ())
        if policy.get("restartPolicy") == "RestartContainer"
    ]


def validate_ephemeral_containers(spec: Object, pod: PodFacts, path: str) -> list[FieldError]:
    """spec.ephemeralContainers: visitors, without what makes a service."""
    errors: list[FieldError] = []
    others = {each.get("name") or "" for name in ("containers", "initContainers") for each in spec.get(name) or ()}
    names = set(others)
    for index, container in enumerate(spec.get("ephemeralContainers") or ()):
        at, name, target = f"{path}[{index}]", container.get("name") or "", container.get("targetContainerName") or ""
        errors += _common(container, pod, at)
        errors += image_whitespace(container, at)
        if name in names:
            errors.append(duplicate(f"{at}.name", name))
        names.add(name)
        if target and target not in others:
            errors.append(field_not_found(f"{at}.targetContainerName", target))
        errors += [
            not_allowed(f"{at}.{each}", _NOT_EPHEMERAL)
            for each in _FORBIDDEN_EPHEMERAL
            if container.get(each) or (each in _FORBIDDEN_EVEN_EMPTY and container.get(each) is not None)
        ]
        errors += _ephemeral_mounts(container, f"{at}.volumeMounts")
    return errors


def _ephemeral_mounts(container: Object, path: str) -> list[FieldError]:
    return [
        not_allowed(f"{path}[{index}].{name}", _NOT_EPHEMERAL)
        for index, mount in enumerate(container.get("volumeMounts") or ())
        for name in ("subPath", "subPathExpr")
        if mount.get(name)
    ]


def image_whitespace(container: Object, path: str) -> list[FieldError]:
    """Pods (not templates) refuse blanks around an image's name."""
    image = container.get("image") or ""
    return [invalid(f"{path}.image", image, "must not have leading or trailing whitespace")] if image.strip() != image else []
