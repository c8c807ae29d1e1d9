"""What may not happen in a pod's status. Source: kubernetes ValidatePodStatusUpdate."""

from __future__ import annotations

from apiserver.validation.ip import ip_warnings, is_valid_legacy_ip, parse_ip
from apiserver.validation.metadata import complaints, immutable
from apiserver.validation.names import is_dns1123_subdomain, is_qualified_name, is_valid_id
from kube.errors import FieldError, duplicate, invalid, not_allowed, not_supported
from kube.objects import Object

Errors = list[FieldError]

_STATUSES = (("containerStatuses", "containers"), ("initContainerStatuses", "initContainers"))
_ALL_STATUSES = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
_ONE_EACH = "may specify no more than one IP for each IP family"


def validate_status(new: Object, old: Object) -> Errors:
    """Everything wrong with a new status, and with changing the old one into it."""
    status, before, spec = new.get("status") or {}, old.get("status") or {}, old["spec"]
    errors = _conditions(status)
    errors += _nominated(status, before, spec)
    generation = status.get("observedGeneration") or 0
    if generation < 0:
        errors.append(invalid("status.observedGeneration", generation, "must be a non-negative integer"))
    errors += immutable(status.get("qosClass") or "", before.get("qosClass") or "", "status.qosClass")
    errors += _transitions(status, before, spec)
    errors += _claims(status, spec)
    errors += _pod_ips(status, _addresses(before, "podIPs")) + _host_ips(status, _addresses(before, "hostIPs"))
    for name in _ALL_STATUSES:
        if statuses := status.get(name):
            errors += _users(statuses, f"status.{name}", (spec.get("os") or {}).get("name") or "linux")
    return errors + _allocated(status, spec)


def _conditions(status: Object) -> Errors:
    """Conditions of others have qualified names."""
    errors: Errors = []
    for index, condition in enumerate(status.get("conditions") or ()):
        kind, generation = condition.get("type") or "", condition.get("observedGeneration") or 0
        path = f"status.conditions[{index}]"
        if generation < 0:
            errors.append(invalid(f"{path}.observedGeneration", generation, "must be a non-negative integer"))
        if kind not in ("PodScheduled", "Ready", "Initialized"):
            errors += complaints(f"{path}.Type", kind, is_qualified_name(kind))
    return errors


def _nominated(status: Object, before: Object, spec: Object) -> Errors:
    name = status.get("nominatedNodeName") or ""
    if not name or name == before.get("nominatedNodeName"):
        return []
    errors: Errors = []
    if spec.get("nodeName"):
        errors.append(not_allowed("status.nominatedNodeName", "may not be set on pods that are already bound to a node"))
    return errors + complaints("status.nominatedNodeName", name, is_dns1123_subdomain(name))


def _transitions(status: Object, before: Object, spec: Object) -> Errors:
    """A container that ended and shall not restart stays ended."""
    errors: Errors = []
    for name in _ALL_STATUSES:
        is_ephemeral = name == "ephemeralContainerStatuses"
        rule = "Never" if is_ephemeral else spec.get("restartPolicy") or ""
        old = before.get(name)
        if old and rule != "Always" and (is_ephemeral or not _may_restart_all(spec)):
            skip = set() if is_ephemeral else _with_own_policy(spec)
            errors += _transition(status.get(name) or [], old, f"status.{name}", rule, skip)
    return errors


def _may_restart_all(spec: Object) -> bool:
    """Whether a container's end can have all others started again, whatever their own policies."""
    containers = (each for name in ("containers", "initContainers") for each in spec.get(name) or ())
    return any(rule.get("action") == "RestartAllContainers" for each in containers for rule in each.get("restartPolicyRules") or ())


def _with_own_policy(spec: Object) -> set[str | None]:
    """The containers that have a restart policy of their own, sidecars among them."""
    return {each.get("name") for name in ("containers", "initContainers") for each in spec.get(name) or () if each.get("restartPolicy")}


def _transition(new: list[Object], old: list[Object], path: str, policy: str, skip: set[str | None]) -> Errors:
    errors: Errors = []
    for index, was in enumerate(old):
        ended = (was.get("state") or {}).get("terminated")
        if ended is None or was.get("name") in skip or (policy == "OnFailure" and ended.get("exitCode")):
            continue
        for status in new:
            if status.get("name") == was.get("name") and (status.get("state") or {}).get("terminated") is None:
                errors.append(not_allowed(f"{path}[{index}].state", "may not be transitioned to non-terminated state"))
    return errors


def _claims(status: Object, spec: Object) -> Errors:
    known = {each.get("name") for each in spec.get("resourceClaims") or ()}
    errors: Errors = []
    seen: set[str] = set()
    for index, claim in enumerate(status.get("resourceClaimStatuses") or ()):
        at, name = f"status.resourceClaimStatuses[{index}].name", claim.get("name") or ""
        if name not in known:
            errors.append(invalid(at, name, "must match the name of an entry in `spec.resourceClaims`"))
        if name in seen:
            errors.append(duplicate(at, name))
        seen.add(name)
        actual = claim.get("resourceClaimName")
        if actual is not None:
            errors += complaints(at, actual, is_dns1123_subdomain(actual))
    return errors


# --- addresses --------------------------------------------------------------------------------------------------------


def _families(addresses: list[str]) -> set[int]:
    return {found.version for each in addresses if (found := parse_ip(each)) is not None}


def _addresses(status: Object, name: str) -> list[str]:
    return [each.get("ip") or "" for each in status.get(name) or ()]


def _new_bad_ones(addresses: list[str], known: list[str], path: str) -> Errors:
    """Addresses that are none. Those that are stored already may stay."""
    errors: Errors = []
    for index, address in enumerate(addresses):
        if address not in known:
            errors += complaints(f"{path}[{index}]", address, is_valid_legacy_ip(address, strict=True))
    return errors


def _pod_ips(status: Object, known: list[str]) -> Errors:
    addresses = _addresses(status, "podIPs")
    errors = _new_bad_ones(addresses, known, "status.podIPs")
    if len(addresses) > 1:
        if len(_families(addresses)) < 2 or len(addresses) > 2:
            errors.append(invalid("status.podIPs", [{"IP": each} for each in addresses], _ONE_EACH))
        errors += _repeated(addresses, "status.podIPs")
    return errors


def _repeated(addresses: list[str], path: str) -> Errors:
    return [duplicate(f"{path}[{index}]", {"IP": each}) for index, each in enumerate(addresses) if each in addresses[:index]]


def _host_ips(status: Object, known: list[str]) -> Errors:
    addresses = _addresses(status, "hostIPs")
    if not addresses:
        return []
    errors: Errors = []
    if (status.get("hostIP") or "") != addresses[0]:
        errors.append(invalid("status.hostIPs[0].ip", addresses[0], "must be equal to `hostIP`"))
    errors += _new_bad_ones(addresses, known, "status.hostIPs")
    if len(addresses) > 1:
        errors += _repeated(addresses, "status.hostIPs")
        if len(_families(addresses)) < 2 or len(addresses) > 2:
            errors.append(invalid("status.hostIPs", [{"IP": each} for each in addresses], _ONE_EACH))
    return errors


def address_warnings(new: Object) -> list[str]:
    """Of the addresses in a status that is written."""
    return [
        text
        for name in ("podIPs", "hostIPs")
        for index, address in enumerate(_addresses(new.get("status") or {}, name))
        for text in ip_warnings(f"status.{name}[{index}].ip", address)
    ]


# --- containers -------------------------------------------------------------------------------------------------------


def _users(statuses: list[Object], path: str, system: str) -> Errors:
    errors: Errors = []
    for index, status in enumerate(statuses):
        user = (status.get("user") or {}).get("linux")
        if user is None:
            continue
        at = f"{path}[{index}].linux"
        if system == "windows":
            errors.append(not_allowed(at, "cannot be set for a windows pod"))
            continue
        for name in ("uid", "gid"):
            errors += complaints(f"{at}.{name}", user.get(name) or 0, is_valid_id(user.get(name) or 0))
        for number, group in enumerate(user.get("supplementalGroups") or ()):
            errors += complaints(f"{at}.supplementalGroups[{number}]", group, is_valid_id(group))
    return errors


def _allocated(status: Object, spec: Object) -> Errors:
    """Health of allocated devices belongs to resources and claims that the container has."""
    errors: Errors = []
    for name, listed in _STATUSES:
        if not status.get(name):
            continue
        containers = {each.get("name"): each for each in spec.get(listed) or ()}
        for index, each in enumerate(status.get(name) or ()):
            for number, resource in enumerate(each.get("allocatedResourcesStatus") or ()):
                at = f"status.{name}[{index}].allocatedResourcesStatus[{number}]"
                errors += _allocated_one(resource, containers.get(each.get("name")), at)
    for index, each in enumerate(status.get("ephemeralContainerStatuses") or ()):
        if each.get("allocatedResourcesStatus"):
            at = f"status.ephemeralContainerStatuses[{index}].allocatedResourcesStatus"
            errors.append(not_allowed(at, "must not be specified in container status"))
    return errors


def _allocated_one(resource: Object, container: Object | None, path: str) -> Errors:
    name = resource.get("name") or ""
    errors: Errors = []
    if container is not None:
        own = container.get("resources") or {}
        claims = {f"claim:{each.get('name')}" + (f"/{each['request']}" if each.get("request") else "") for each in own.get("claims") or ()}
        if name.startswith("claim:"):
            why = (
                "must match one of the container's resource claims in a format 'claim:<claimName>/<request>' or 'claim:<claimName>' "
                "if request is empty"
            )
            errors += [] if name in claims else [invalid(f"{path}.name", name, why)]
        elif name not in (own.get("requests") or {}):
            errors.append(invalid(f"{path}.name", name, "must match one of the container's resource requests"))
    seen: set[str] = set()
    for index, each in enumerate(resource.get("resources") or ()):
        health, identifier = each.get("health") or "", each.get("resourceID") or ""
        if health not in ("Healthy", "Unhealthy", "Unknown"):
            errors.append(not_supported(f"{path}.resources[{index}].health", health, ["Healthy", "Unhealthy", "Unknown"]))
        if identifier in seen:
            errors.append(duplicate(f"{path}.resources[{index}].resourceID", identifier))
        seen.add(identifier)
    return errors
