"""Services. Source: kubernetes `pkg/apis/core/validation/validation.go` (ValidateService*), `pkg/api/service/warnings.go`.

`spec.LoadBalancerSourceRanges` with its capital, and errors that name no index, are upstream's. Addresses and ports have been allocated
already.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from apiserver.validation.endpoints import PROTOCOLS, special_ip_errors
from apiserver.validation.ip import cidr_warnings, ip_warnings, is_valid_legacy_cidr, is_valid_legacy_ip, parse_ip
from apiserver.validation.metadata import complaints, validate_labels
from apiserver.validation.names import is_dns1123_label, is_dns1123_subdomain, is_qualified_name, is_valid_port_name, is_valid_port_num
from kube.errors import FieldError, duplicate, invalid, not_allowed, not_supported, required
from kube.objects import Object, annotations_of

if TYPE_CHECKING:
    from apiserver.registry.kind import Context

TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
FAMILIES = ("IPv4", "IPv6")
FAMILY_POLICIES = ("PreferDualStack", "RequireDualStack", "SingleStack")
AFFINITIES = ("ClientIP", "None")
POLICIES = ("Cluster", "Local")
DISTRIBUTIONS = ("PreferClose", "PreferSameZone", "PreferSameNode")
AFFINITY_TIMEOUT_MAX_S = 86400
SOURCE_RANGES = "service.beta.kubernetes.io/load-balancer-source-ranges"
TOPOLOGY_MODE, TOPOLOGY_HINTS = "service.kubernetes.io/topology-mode", "service.kubernetes.io/topology-aware-hints"
HEADLESS = "None"
_ONLY_LB = "may only be used when `type` is 'LoadBalancer'"
_ONCE = "may not change once set"


def validate(new: Object, old: Object | None, ctx: Context) -> list[FieldError]:
    spec, before = new.get("spec") or {}, (old or {}).get("spec") or {}
    errors = _update_errors(spec, before) if old is not None else []
    errors += _topology_errors(annotations_of(new)) + _spec_errors(new, spec, before)
    if not errors:
        ctx.warnings += _warnings(new)
    return errors


def _topology_errors(annotations: Mapping[str, str]) -> list[FieldError]:
    """The annotation's old and new name say the same."""
    mode, hints = annotations.get(TOPOLOGY_MODE), annotations.get(TOPOLOGY_HINTS)
    if mode is None or hints is None or mode == hints:
        return []
    return [invalid(f"metadata.annotations[{TOPOLOGY_MODE}]", mode, f"must match annotations[{TOPOLOGY_HINTS}] when both are specified")]


def _spec_errors(service: Object, spec: Object, before: Object) -> list[FieldError]:
    errors: list[FieldError] = []
    ports = spec.get("ports") or []
    if not ports and not _is_headless(spec) and spec.get("type") != "ExternalName":
        errors.append(required("spec.ports"))
    errors += _type_errors(spec)
    names: set[str] = set()
    for index, port in enumerate(ports):
        errors += _port_errors(port, f"spec.ports[{index}]", names, needs_name=len(ports) > 1)
    errors += validate_labels(spec.get("selector"), "spec.selector")
    errors += _affinity_errors(spec)
    errors += validate_cluster_ips(spec, before)
    errors += _external_ip_errors(spec, before)
    kind = spec.get("type") or ""
    if kind not in TYPES:
        errors.append(not_supported("spec.type", kind, TYPES) if kind else required("spec.type"))
    errors += _duplicate_port_errors(spec, ports)
    errors += _load_balancer_errors(service, spec, before)
    errors += _external_policy_errors(spec)
    policy = spec.get("internalTrafficPolicy")
    if policy is not None and policy not in POLICIES:
        errors.append(not_supported("spec.internalTrafficPolicy", policy, POLICIES))
    distribution = spec.get("trafficDistribution")
    if distribution is not None and distribution not in DISTRIBUTIONS:
        errors.append(not_supported("spec.trafficDistribution", distribution, DISTRIBUTIONS))
    return errors


def _is_headless(spec: Object) -> bool:
    return bool((spec.get("clusterIPs") or []) == [HEADLESS])


def _type_errors(spec: Object) -> list[FieldError]:
    kind = spec.get("type")
    if kind in ("LoadBalancer", "NodePort"):
        if _is_headless(spec):
            return [invalid("spec.clusterIPs[0]", HEADLESS, f"may not be set to 'None' for {kind} services")]
        return []
    if kind != "ExternalName":
        return []
    errors = [
        not_allowed(f"spec.{name}", "may not be set for ExternalName services")
        for name in ("clusterIPs", "ipFamilies", "ipFamilyPolicy")
        if spec.get(name)
    ]
    name = (spec.get("externalName") or "").removesuffix(".")
    return errors + (complaints("spec.externalName", name, is_dns1123_subdomain(name)) if name else [required("spec.externalName")])


# --- ports ------------------------------------------------------------------------------------------------------------


def _port_errors(port: Object, path: str, names: set[str], *, needs_name: bool) -> list[FieldError]:
    name, number, protocol = port.get("name") or "", port.get("port") or 0, port.get("protocol") or ""
    errors: list[FieldError] = []
    if name:
        errors += complaints(f"{path}.name", name, is_dns1123_label(name))
        if name in names:
            errors.append(duplicate(f"{path}.name", name))
        names.add(name)
    elif needs_name:
        errors.append(required(f"{path}.name"))
    errors += complaints(f"{path}.port", number, is_valid_port_num(number))
    if not protocol:
        errors.append(required(f"{path}.protocol"))
    elif protocol not in PROTOCOLS:
        errors.append(not_supported(f"{path}.protocol", protocol, PROTOCOLS))
    errors += port_or_name_errors(port.get("targetPort"), f"{path}.targetPort")
    if port.get("appProtocol") is not None:
        errors += complaints(f"{path}.appProtocol", port["appProtocol"], is_qualified_name(port["appProtocol"]))
    return errors


def port_or_name_errors(port: Any, path: str) -> list[FieldError]:
    """An IntOrString that names a port."""
    if isinstance(port, str):
        return complaints(path, port, is_valid_port_name(port))
    return complaints(path, port or 0, is_valid_port_num(port or 0))


def _duplicate_port_errors(spec: Object, ports: list[Object]) -> list[FieldError]:
    errors: list[FieldError] = []
    if spec.get("type") == "ClusterIP":
        errors += [
            not_allowed(f"spec.ports[{index}].nodePort", "may not be used when `type` is 'ClusterIP'")
            for index, each in enumerate(ports)
            if each.get("nodePort")
        ]
    node_ports: set[tuple[str, int]] = set()
    for index, each in enumerate(ports):
        if not each.get("nodePort"):
            continue
        key = (each.get("protocol") or "", each["nodePort"])
        if key in node_ports:
            errors.append(duplicate(f"spec.ports[{index}].nodePort", each["nodePort"]))
        node_ports.add(key)
    numbers: set[tuple[str, int]] = set()
    for index, each in enumerate(ports):
        key = (each.get("protocol") or "", each.get("port") or 0)
        if key in numbers:
            shown = {"Name": "", "Protocol": key[0], "AppProtocol": None, "Port": key[1], "TargetPort": 0, "NodePort": 0}
            errors.append(duplicate(f"spec.ports[{index}]", shown))
        numbers.add(key)
    return errors


# --- addresses --------------------------------------------------------------------------------------------------------


def validate_cluster_ips(spec: Object, before: Object | None = None) -> list[FieldError]:
    """clusterIP, clusterIPs, ipFamilies and ipFamilyPolicy among themselves; addresses that the service has already pass."""
    if spec.get("type") == "ExternalName":
        return []
    ips, known = spec.get("clusterIPs") or [], (before or {}).get("clusterIPs") or []
    errors = _first_ip_errors(spec.get("clusterIP") or "", ips) + _family_errors(spec)
    bad = False
    for index, ip in enumerate(ips):
        if index == 0 and ip == HEADLESS:
            if len(ips) > 1:
                bad = True
                errors.append(invalid("spec.clusterIPs", ips, "'None' must be the first and only value"))
            continue
        found = [] if ip in known else complaints(f"spec.clusterIPs[{index}]", ip, is_valid_legacy_ip(ip, strict=True))
        bad = bad or bool(found)
        errors += found
    if len(ips) > 2:
        errors.append(invalid("spec.clusterIPs", ips, "may only hold up to 2 values"))
    if bad:
        return errors
    if len(ips) > 1 and len({_family(ip) for ip in ips}) < 2:
        errors.append(invalid("spec.clusterIPs", ips, "may specify no more than one IP for each IP family"))
    if not _is_headless(spec):
        errors += _match_errors(ips, spec.get("ipFamilies") or [])
    return errors


def _family(ip: str) -> str:
    found = parse_ip(ip)
    return "IPv6" if found is not None and found.version == 6 else "IPv4"


def _first_ip_errors(ip: str, ips: list[str]) -> list[FieldError]:
    if not ip:
        return [invalid("spec.clusterIPs", ips, "must be empty when `clusterIP` is not specified")] if ips else []
    if not ips:
        return [required("spec.clusterIPs")]
    return [] if ips[0] == ip else [invalid("spec.clusterIPs", ips, "first value must match `clusterIP`")]


def _family_errors(spec: Object) -> list[FieldError]:
    errors: list[FieldError] = []
    families = spec.get("ipFamilies") or []
    for index, family in enumerate(families):
        if family not in FAMILIES:
            errors.append(not_supported(f"spec.ipFamilies[{index}]", family, FAMILIES))
        if family in families[:index]:
            errors.append(duplicate(f"spec.ipFamilies[{index}]", family))
    policy = spec.get("ipFamilyPolicy")
    if policy is not None and policy not in FAMILY_POLICIES:
        errors.append(not_supported("spec.ipFamilyPolicy", policy, FAMILY_POLICIES))
    return errors


def _match_errors(ips: list[str], families: list[str]) -> list[FieldError]:
    pairs = enumerate(zip(ips, families, strict=False))
    return [
        invalid(f"spec.clusterIPs[{index}]", ip, f"expected an {family} value as indicated by `ipFamilies[{index}]`")
        for index, (ip, family) in pairs
        if family in FAMILIES and _family(ip) != family
    ]


def _external_ip_errors(spec: Object, before: Object) -> list[FieldError]:
    known = before.get("externalIPs") or []
    errors: list[FieldError] = []
    for index, ip in enumerate(spec.get("externalIPs") or ()):
        path = f"spec.externalIPs[{index}]"
        found = [] if ip in known else complaints(path, ip, is_valid_legacy_ip(ip, strict=True))
        errors += found or special_ip_errors(ip, path)
    return errors


# --- the rest ---------------------------------------------------------------------------------------------------------


def _affinity_errors(spec: Object) -> list[FieldError]:
    affinity, config = spec.get("sessionAffinity") or "", spec.get("sessionAffinityConfig")
    if not affinity:
        return [required("spec.sessionAffinity")]
    if affinity not in AFFINITIES:
        return [not_supported("spec.sessionAffinity", affinity, AFFINITIES)]
    path = "spec.sessionAffinityConfig"
    if affinity == "None":
        return [not_allowed(path, "must not be set when session affinity is None")] if config is not None else []
    if config is None:
        return [required(path, "when session affinity type is ClientIP")]
    if config.get("clientIP") is None:
        return [required(f"{path}.clientIP", "when session affinity type is ClientIP")]
    seconds = config["clientIP"].get("timeoutSeconds")
    at = f"{path}.clientIP.timeoutSeconds"
    if seconds is None:
        return [required(at, "when session affinity type is ClientIP")]
    if 0 < seconds <= AFFINITY_TIMEOUT_MAX_S:
        return []
    return [invalid(at, seconds, f"must be greater than 0 and less than {AFFINITY_TIMEOUT_MAX_S}")]


def _load_balancer_errors(service: Object, spec: Object, before: Object) -> list[FieldError]:
    is_load_balancer = spec.get("type") == "LoadBalancer"
    errors = _source_range_errors(service, spec, before, is_load_balancer)
    if spec.get("allocateLoadBalancerNodePorts") is not None and not is_load_balancer:
        errors.append(not_allowed("spec.allocateLoadBalancerNodePorts", _ONLY_LB))
    if is_load_balancer and spec.get("allocateLoadBalancerNodePorts") is None:
        errors.append(required("allocateLoadBalancerNodePorts"))
    return errors + _class_errors(spec)


def _source_range_errors(service: Object, spec: Object, before: Object, is_load_balancer: bool) -> list[FieldError]:
    path, ranges = "spec.LoadBalancerSourceRanges", spec.get("loadBalancerSourceRanges") or []
    annotation = annotations_of(service).get(SOURCE_RANGES)
    if not ranges and annotation is None:
        return []
    if ranges:
        errors = [] if is_load_balancer else [not_allowed(path, _ONLY_LB)]
        known = before.get("loadBalancerSourceRanges") or []
        for index, cidr in enumerate(ranges):
            if cidr not in known:
                errors += complaints(f"{path}[{index}]", cidr.strip(), is_valid_legacy_cidr(cidr.strip(), strict=True))
        return errors
    path = f"metadata.annotations[{SOURCE_RANGES}]"
    errors = [] if is_load_balancer else [not_allowed(path, _ONLY_LB)]
    for cidr in (annotation or "").strip().split(",") if (annotation or "").strip() else ():
        errors += complaints(path, cidr.strip(), is_valid_legacy_cidr(cidr.strip(), strict=True))
    return errors


def _class_errors(spec: Object) -> list[FieldError]:
    given = spec.get("loadBalancerClass")
    if given is None:
        return []
    if spec.get("type") != "LoadBalancer":
        return [not_allowed("spec.loadBalancerClass", _ONLY_LB)]
    return complaints("spec.loadBalancerClass", given, is_qualified_name(given))


def _is_externally_accessible(spec: Object) -> bool:
    return spec.get("type") in ("LoadBalancer", "NodePort") or (spec.get("type") == "ClusterIP" and bool(spec.get("externalIPs")))


def _needs_health_check(spec: Object) -> bool:
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def _external_policy_errors(spec: Object) -> list[FieldError]:
    policy, port = spec.get("externalTrafficPolicy") or "", spec.get("healthCheckNodePort") or 0
    path = "spec.externalTrafficPolicy"
    errors: list[FieldError] = []
    if not _is_externally_accessible(spec):
        if policy:
            errors.append(invalid(path, policy, "may only be set for externally-accessible services"))
    elif not policy:
        errors.append(required(path))
    elif policy not in POLICIES:
        errors.append(not_supported(path, policy, POLICIES))
    if port and not _needs_health_check(spec):
        why = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
        errors.append(invalid("spec.healthCheckNodePort", port, why))
    elif port:
        errors += complaints("spec.healthCheckNodePort", port, is_valid_port_num(port))
    return errors


# --- updates ----------------------------------------------------------------------------------------------------------


def _update_errors(spec: Object, before: Object) -> list[FieldError]:
    errors: list[FieldError] = []
    if "ExternalName" not in (spec.get("type"), before.get("type")):
        errors += _changed_ip_errors(spec, before) + _changed_family_errors(spec, before)
    if spec.get("type") == before.get("type") == "LoadBalancer" and spec.get("loadBalancerClass") != before.get("loadBalancerClass"):
        errors.append(invalid("spec.loadBalancerClass", spec.get("loadBalancerClass"), _ONCE))
    errors += _class_errors(spec)
    port, had = (each.get("healthCheckNodePort") or 0 for each in (spec, before))
    if _needs_health_check(before) and _needs_health_check(spec) and port != had:
        errors.append(not_allowed("spec.healthCheckNodePort", "field is immutable"))
    return errors


def _changed_ip_errors(spec: Object, before: Object) -> list[FieldError]:
    if _is_headless(spec) and _is_headless(before):
        return []
    ips, had = spec.get("clusterIPs") or [], before.get("clusterIPs") or []
    if len(ips) == len(had):
        return [invalid(f"spec.clusterIPs[{index}]", ips, _ONCE) for index, ip in enumerate(had) if ip != ips[index]]
    errors: list[FieldError] = []
    if not ips:
        errors.append(invalid("spec.clusterIPs[0]", ips, "primary clusterIP can not be unset"))
    elif had and ips[0] != had[0]:
        errors.append(invalid("spec.clusterIPs[0]", ips, _ONCE))
    if len(had) > len(ips) == 1 and spec.get("ipFamilyPolicy") != "SingleStack":
        why = "must be set to 'SingleStack' when releasing the secondary clusterIP"
        errors.append(invalid("spec.ipFamilyPolicy", spec.get("ipFamilyPolicy"), why))
    return errors


def _changed_family_errors(spec: Object, before: Object) -> list[FieldError]:
    if _is_headless(spec) or _is_headless(before):
        return []
    families, had, ips = spec.get("ipFamilies") or [], before.get("ipFamilies") or [], spec.get("clusterIPs") or []
    path = "spec.ipFamilies[0]"
    if len(families) == len(had):
        return [invalid(path, families, _ONCE) for new, old in zip(families, had, strict=True) if new != old]
    errors: list[FieldError] = []
    if len(had) > len(families) and not ips:
        errors.append(invalid(path, families, "primary ipFamily can not be unset"))
    if had and families and families[0] != had[0]:
        errors.append(invalid(path, ips, _ONCE))
    if len(had) > len(families) == 1 and spec.get("ipFamilyPolicy") != "SingleStack":
        why = "must be set to 'SingleStack' when releasing the secondary ipFamily"
        errors.append(invalid("spec.ipFamilyPolicy", spec.get("ipFamilyPolicy"), why))
    return errors


def validate_status(new: Object, old: Object | None, ctx: Context) -> list[FieldError]:
    status, spec = (new.get("status") or {}).get("loadBalancer") or {}, new.get("spec") or {}
    before = ((old or {}).get("status") or {}).get("loadBalancer") or {}
    ingress = status.get("ingress") or []
    path = "status.loadBalancer.ingress"
    if spec.get("type") != "LoadBalancer" and ingress:
        return [not_allowed(path, "may only be used when `spec.type` is 'LoadBalancer'")]
    known = {each.get("ip") for each in before.get("ingress") or ()}
    errors = [error for index, each in enumerate(ingress) for error in _ingress_errors(each, f"{path}[{index}]", known)]
    if not errors:
        ctx.warnings += [text for index, each in enumerate(ingress) for text in ip_warnings(f"{path}[{index}]", each.get("ip") or "")]
    return errors


def _ingress_errors(ingress: Object, path: str, known: set[Any]) -> list[FieldError]:
    ip, mode, host = ingress.get("ip") or "", ingress.get("ipMode"), ingress.get("hostname") or ""
    errors = complaints(f"{path}.ip", ip, is_valid_legacy_ip(ip, strict=True)) if ip and ip not in known else []
    if mode is None:
        if ip:
            errors.append(required(f"{path}.ipMode", "must be specified when `ip` is set"))
    elif not ip:
        errors.append(not_allowed(f"{path}.ipMode", "may not be specified when `ip` is not set"))
    elif mode not in ("VIP", "Proxy"):
        errors.append(not_supported(f"{path}.ipMode", mode, ("Proxy", "VIP")))
    return errors + load_balancer_host_errors(host, f"{path}.hostname")


def load_balancer_host_errors(host: str, path: str) -> list[FieldError]:
    if not host:
        return []
    errors = complaints(path, host, is_dns1123_subdomain(host))
    if parse_ip(host) is not None:
        errors.append(invalid(path, host, "must be a DNS name, not an IP address"))
    return errors


# --- warnings ---------------------------------------------------------------------------------------------------------


def _warnings(service: Object) -> list[str]:
    """In upstream's order."""
    spec, path = service.get("spec") or {}, "spec.clusterIPs"
    warnings = [f"annotation {TOPOLOGY_HINTS} is deprecated, please use {TOPOLOGY_MODE} instead"] * (
        TOPOLOGY_HINTS in annotations_of(service)
    )
    if not _is_headless(spec):
        warnings += [text for index, ip in enumerate(spec.get("clusterIPs") or ()) for text in ip_warnings(f"{path}[{index}]", ip)]
    is_headless = spec.get("type") == "ClusterIP" and spec.get("clusterIP") == HEADLESS
    if is_headless:
        warnings += [f"spec.{name} is ignored for headless services" for name in ("loadBalancerIP", "externalIPs") if spec.get(name)]
        warnings += ["spec.SessionAffinity is ignored for headless services"] * (spec.get("sessionAffinity") != "None")
    for index, ip in enumerate(spec.get("externalIPs") or ()):
        warnings += ip_warnings(f"spec.externalIPs[{index}]", ip)
    if spec.get("externalIPs") and not is_headless and spec.get("type") != "ExternalName":
        warnings.append("spec.externalIPs is deprecated and may no longer be implemented in some clusters")
    warnings += ip_warnings("spec.loadBalancerIP", spec.get("loadBalancerIP") or "")
    for index, cidr in enumerate(spec.get("loadBalancerSourceRanges") or ()):
        warnings += cidr_warnings(f"spec.loadBalancerSourceRanges[{index}]", cidr)
    return warnings + _ignored(spec)


def _ignored(spec: Object) -> list[str]:
    """What has no effect with this type, and what has a newer name."""
    warnings: list[str] = []
    if spec.get("type") == "ExternalName" and spec.get("externalIPs"):
        warnings.append('spec.externalIPs is ignored when spec.type is "ExternalName"')
    if spec.get("type") != "ExternalName" and spec.get("externalName"):
        warnings.append('spec.externalName is ignored when spec.type is not "ExternalName"')
    if spec.get("trafficDistribution") == "PreferClose":
        warnings.append('spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"')
    return warnings
