"""The rules of a PodSpec and of a pod template, which every workload shares.

Each part has its module: `containers.py`, `volumes.py`, `affinity.py`, `security_context.py`, ... What only Pods have is in `pod.py`.
This runs for every pod that is created, so the straight path builds no error paths. Source: kubernetes
`pkg/apis/core/validation/validation.go` (ValidatePodSpec), in its order.
"""

from __future__ import annotations

from apiserver.validation.affinity import validate_affinity, validate_gates, validate_spread, validate_tolerations
from apiserver.validation.containers import PodFacts, validate_containers, validate_ephemeral_containers, validate_init_containers
from apiserver.validation.env import validate_file_volumes
from apiserver.validation.ip import is_valid_legacy_ip
from apiserver.validation.metadata import complaints, validate_annotations, validate_labels
from apiserver.validation.names import (
    is_dns1123_label,
    is_dns1123_subdomain,
    is_dns1123_subdomain_with_underscore,
    is_qualified_name,
    range_error,
)
from apiserver.validation.pod_annotations import validate_pod_annotations, validate_profiles_match
from apiserver.validation.requirements import is_pod_level, validate_requirements
from apiserver.validation.security_context import (
    validate_host_process,
    validate_host_users,
    validate_os,
    validate_pod_security_context,
)
from apiserver.validation.volumes import validate_volumes
from kube.errors import FieldError, duplicate, invalid, not_allowed, not_supported, required
from kube.memo import Memo, bytes_of
from kube.objects import Object
from kube.pod_amounts import aggregate
from kube.quantity import parse

INT32_MAX = 2**31 - 1
_NAMESERVERS_MAX, _SEARCHES_MAX, _SEARCH_CHARS_MAX = 3, 32, 2048
_RESTART_POLICIES = ("Always", "OnFailure", "Never")
_DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_SUBDOMAINS = ("serviceAccountName", "nodeName")


def validate_template(template: Object | None, path: str) -> list[FieldError]:
    """A PodTemplateSpec. Its labels' path lacks `metadata`, as upstream's does."""
    if template is None:
        return [required(path)]
    meta, spec = template.get("metadata") or {}, template.get("spec") or {}
    annotations = meta.get("annotations")
    errors = validate_labels(meta.get("labels"), f"{path}.labels")
    errors += validate_annotations(annotations, f"{path}.annotations")
    errors += validate_pod_annotations(annotations, spec, f"{path}.annotations")
    errors += validate_pod_spec(spec, f"{path}.spec")
    errors += validate_profiles_match(annotations, spec, f"{path}.spec")
    if spec.get("ephemeralContainers"):
        errors.append(not_allowed(f"{path}.spec.ephemeralContainers", "ephemeral containers not allowed in pod template"))
    return errors


_FINE: Memo[bool] = Memo(1024)
"""Specs with nothing wrong: most are written again and again, in pods of one template and in each update of their workload."""


def validate_pod_spec(spec: Object, path: str, *, pod_name: str = "", is_pod: bool = False) -> list[FieldError]:
    """A PodSpec. `is_pod`: it is a Pod's own, not a template's."""
    text = bytes_of(spec)
    if text is None:
        return _pod_spec_errors(spec, path, pod_name, is_pod)
    key = (text, is_pod, pod_name if b'"ephemeral":' in text else "")
    if _FINE.get(key):
        return []
    errors = _pod_spec_errors(spec, path, pod_name, is_pod)
    if not errors:
        _FINE.put(key, True)
    return errors


def _pod_spec_errors(spec: Object, path: str, pod_name: str, is_pod: bool) -> list[FieldError]:
    errors: list[FieldError] = []
    if spec.get("terminationGracePeriodSeconds") is None:
        errors.append(required(f"{path}.terminationGracePeriodSeconds"))
    volumes, found = validate_volumes(spec.get("volumes") or [], f"{path}.volumes", pod_name=pod_name, is_pod=is_pod)
    errors += found
    claims = spec.get("resourceClaims") or []
    if claims:
        errors += _resource_claims(claims, f"{path}.resourceClaims")
    pod = PodFacts(
        volumes,
        {each.get("name") for each in claims if each.get("name")},
        spec.get("terminationGracePeriodSeconds"),
        spec.get("restartPolicy") or "",
        spec.get("hostUsers") is not False,
    )
    errors += validate_containers(spec.get("containers") or [], pod, f"{path}.containers")
    if spec.get("initContainers"):
        errors += validate_init_containers(spec["initContainers"], spec.get("containers") or [], pod, f"{path}.initContainers")
    if spec.get("ephemeralContainers"):
        errors += validate_ephemeral_containers(spec, pod, f"{path}.ephemeralContainers")
    errors += validate_file_volumes(spec, path)
    if spec.get("resources"):
        errors += _pod_resources(spec, f"{path}.resources", pod)
    if spec.get("hostNetwork"):
        errors += _host_ports(spec, path, is_pod=is_pod)
    return errors + _policies(spec, path) + _placement(spec, path) + _names(spec, path) + _rest(spec, path)


# --- parts, in upstream's order ---------------------------------------------------------------------------------------


def _policies(spec: Object, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    restart, dns = spec.get("restartPolicy"), spec.get("dnsPolicy")
    if restart not in _RESTART_POLICIES:
        at = f"{path}.restartPolicy"
        errors.append(not_supported(at, restart, _RESTART_POLICIES) if restart else required(at))
    if dns not in _DNS_POLICIES:
        at = f"{path}.dnsPolicy"
        errors.append(not_supported(at, dns, _DNS_POLICIES) if dns else required(at))
    if spec.get("nodeSelector"):
        errors += validate_labels(spec["nodeSelector"], f"{path}.nodeSelector")
    if spec.get("securityContext") or spec.get("shareProcessNamespace"):
        errors += validate_pod_security_context(spec.get("securityContext") or {}, spec, f"{path}.securityContext")
    return errors


def _placement(spec: Object, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if spec.get("affinity"):
        errors += validate_affinity(spec["affinity"], f"{path}.affinity")
    if spec.get("dnsConfig") is not None or spec.get("dnsPolicy") == "None":
        errors += _dns_config(spec, f"{path}.dnsConfig")
    for index, gate in enumerate(spec.get("readinessGates") or ()):
        kind = gate.get("conditionType") or ""
        errors += complaints(f"{path}.readinessGates[{index}].conditionType", kind, is_qualified_name(kind))
    if spec.get("schedulingGates"):
        errors += validate_gates(spec["schedulingGates"], f"{path}.schedulingGates")
    if spec.get("topologySpreadConstraints"):
        errors += validate_spread(spec["topologySpreadConstraints"], f"{path}.topologySpreadConstraints")
    errors += validate_host_process(spec, path)
    return errors + validate_host_users(spec, path)


def _names(spec: Object, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for name in _SUBDOMAINS:
        if spec.get(name):
            errors += complaints(f"{path}.{name}", spec[name], is_dns1123_subdomain(spec[name]))
    deadline_s = spec.get("activeDeadlineSeconds")
    if deadline_s is not None and not 1 <= deadline_s <= INT32_MAX:
        errors.append(invalid(f"{path}.activeDeadlineSeconds", deadline_s, range_error(1, INT32_MAX)))
    for name in ("hostname", "subdomain"):
        if spec.get(name):
            errors += complaints(f"{path}.{name}", spec[name], is_dns1123_label(spec[name]))
    override = spec.get("hostnameOverride")
    if override is not None:
        errors += _hostname_override(override, spec, f"{path}.hostnameOverride")
    return errors


def _rest(spec: Object, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if spec.get("tolerations"):
        errors += validate_tolerations(spec["tolerations"], f"{path}.tolerations")
    if spec.get("hostAliases"):
        errors += _host_aliases(spec["hostAliases"], f"{path}.hostAliases")
    if spec.get("priorityClassName"):
        name = spec["priorityClassName"]
        errors += complaints(f"{path}.priorityClassName", name, is_dns1123_subdomain(name))
    if spec.get("runtimeClassName") is not None:
        name = spec["runtimeClassName"]
        errors += complaints(f"{path}.runtimeClassName", name, is_dns1123_subdomain(name))
    preemption = spec.get("preemptionPolicy")
    if preemption is not None and preemption not in ("PreemptLowerPriority", "Never"):
        at = f"{path}.preemptionPolicy"
        errors.append(not_supported(at, preemption, ["PreemptLowerPriority", "Never"]) if preemption else required(at))
    if spec.get("overhead"):
        errors += validate_requirements({"limits": spec["overhead"]}, f"{path}.overhead")
    return errors + validate_os(spec, path)


def _hostname_override(name: str, spec: Object, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if spec.get("setHostnameAsFQDN"):
        errors.append(not_allowed(path, "may not be specified when setHostnameAsFQDN is true"))
    if spec.get("hostNetwork"):
        errors.append(not_allowed(path, "may not be specified when hostNetwork is true"))
    if len(name) > 64:
        errors.append(FieldError("FieldValueTooLong", path, "Too long: may not be more than 64 bytes"))
    return errors + complaints(path, name, is_dns1123_subdomain(name))


def _host_ports(spec: Object, path: str, *, is_pod: bool) -> list[FieldError]:
    """On the host's network a host port is the container's port. Templates may leave it to the pod's defaults."""
    errors: list[FieldError] = []
    for index, container in enumerate(spec.get("containers") or ()):
        for number, port in enumerate(container.get("ports") or ()):
            host = port.get("hostPort") or 0
            if (is_pod or host) and host != (port.get("containerPort") or 0):
                at = f"{path}.containers[{index}].ports[{number}].hostPort"
                errors.append(invalid(at, host, "must match `containerPort` when `hostNetwork` is true"))
    return errors


def _dns_config(spec: Object, path: str) -> list[FieldError]:
    config, policy = spec.get("dnsConfig"), spec.get("dnsPolicy")
    if policy == "None":
        if config is None:
            return [required(path, "must provide `dnsConfig` when `dnsPolicy` is None")]
        if not config.get("nameservers"):
            return [required(f"{path}.nameservers", "must provide at least one DNS nameserver when `dnsPolicy` is None")]
    assert config is not None
    errors: list[FieldError] = []
    servers, searches = config.get("nameservers") or [], config.get("searches") or []
    if len(servers) > _NAMESERVERS_MAX:
        errors.append(invalid(f"{path}.nameservers", servers, f"must not have more than {_NAMESERVERS_MAX} nameservers"))
    for index, server in enumerate(servers):
        errors += complaints(f"{path}.nameservers[{index}]", server, is_valid_legacy_ip(server, strict=True))
    if len(searches) > _SEARCHES_MAX:
        errors.append(invalid(f"{path}.searches", searches, f"must not have more than {_SEARCHES_MAX} search paths"))
    if len(" ".join(searches)) > _SEARCH_CHARS_MAX:
        why = f"must not have more than {_SEARCH_CHARS_MAX} characters (including spaces) in the search list"
        errors.append(invalid(f"{path}.searches", searches, why))
    for index, search in enumerate(searches):
        if search != ".":
            domain = search.removesuffix(".")
            errors += complaints(f"{path}.searches[{index}]", domain, is_dns1123_subdomain_with_underscore(domain))
    for index, option in enumerate(config.get("options") or ()):
        if not option.get("name"):
            errors.append(required(f"{path}.options[{index}]", "must not be empty"))
    return errors


def _host_aliases(aliases: list[Object], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, alias in enumerate(aliases):
        address = alias.get("ip") or ""
        errors += complaints(f"{path}[{index}].ip", address, is_valid_legacy_ip(address, strict=True))
        for number, name in enumerate(alias.get("hostnames") or ()):
            errors += complaints(f"{path}[{index}].hostnames[{number}]", name, is_dns1123_subdomain(name))
    return errors


def _resource_claims(claims: list[Object], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[str] = set()
    for index, claim in enumerate(claims):
        at, name = f"{path}[{index}]", claim.get("name") or ""
        if not name:
            errors.append(required(f"{at}.name"))
        elif name in seen:
            errors.append(duplicate(f"{at}.name", name))
        else:
            errors += complaints(f"{at}.name", name, is_dns1123_label(name))
            seen.add(name)
        given = [each for each in ("resourceClaimName", "resourceClaimTemplateName") if claim.get(each) is not None]
        if len(given) > 1:
            why = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"
            errors.append(invalid(at, claim, why))
        if not given:
            errors.append(invalid(at, claim, "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"))
        for each in given:
            errors += complaints(f"{at}.{each}", claim[each], is_dns1123_subdomain(claim[each]))
    return errors


def _pod_resources(spec: Object, path: str, pod: PodFacts) -> list[FieldError]:
    """Pod-level requests and limits (KEP-2837): not less than what the containers ask for together, of what pods may have of their own."""
    own = spec["resources"]
    errors: list[FieldError] = []
    if own.get("claims"):
        errors.append(not_allowed(f"{path}.claims", "claims cannot be set for Resources at pod-level"))
    errors += validate_requirements(own, path, pod.claim_names, pod_level=True)
    requests, limits = own.get("requests") or {}, own.get("limits") or {}
    for name, amount in aggregate(spec, "requests").items():
        mine = parse(requests.get(name))
        if amount > mine and is_pod_level(name):
            why = f"must be greater than or equal to aggregate container requests of {amount}"
            errors.append(invalid(f"{path}.requests[{name}]", str(mine), why))
    for index, container in enumerate(spec.get("containers") or ()):
        for name, text in ((container.get("resources") or {}).get("limits") or {}).items():
            if name in limits and is_pod_level(name) and parse(text) > parse(limits[name]):
                at = f"{path}.containers[{index}][{name}].limits"
                errors.append(invalid(at, text, f"must be less than or equal to pod limits of {limits[name]}"))
    return errors
