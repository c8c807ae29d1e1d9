"""The fields of a Service that hang together: what a write means that left some of them out, and what a change of type leaves behind.
Pure.

`complete` runs before anything is allocated, `drop_left_behind` after (upstream's order, seen in which of several errors is told).
Source: kubernetes `pkg/registry/core/service` (normalizeClusterIPs, patchAllocatedValues, dropTypeDependentFields).
"""

from __future__ import annotations

from apiserver.kinds.strategy import keep
from kube.objects import Object


def is_externally_accessible(spec: Object) -> bool:
    return spec.get("type") in ("LoadBalancer", "NodePort") or (spec.get("type") == "ClusterIP" and bool(spec.get("externalIPs")))


def needs_health_check(spec: Object) -> bool:
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def has_node_ports(spec: Object) -> bool:
    return spec.get("type") in ("NodePort", "LoadBalancer")


def _has_cluster_ip(spec: Object) -> bool:
    return spec.get("type") != "ExternalName"


def _same(spec: Object, before: Object, name: str) -> bool:
    return (spec.get(name) or None) == (before.get(name) or None)


# --- before allocation ------------------------------------------------------------------------------------------------


def complete(spec: Object, before: Object | None) -> None:
    """Fill in, in place, what a client that knows less fields than there are means by leaving them out."""
    if before is not None:
        _keep_allocated(spec, before)
    if spec.get("clusterIP") and not spec.get("clusterIPs"):
        spec["clusterIPs"] = [spec["clusterIP"]]
    if before is not None:
        _sync_cluster_ips(spec, before)


def _keep_allocated(spec: Object, before: Object) -> None:
    """What a PUT left out of what was allocated stays."""
    if _has_cluster_ip(before) and _has_cluster_ip(spec):
        if not spec.get("clusterIP") and before.get("clusterIP"):
            spec["clusterIP"] = before["clusterIP"]
        if not spec.get("clusterIPs") and spec.get("clusterIP") == before.get("clusterIP") and before.get("clusterIPs"):
            spec["clusterIPs"] = list(before["clusterIPs"])
    if has_node_ports(before) and has_node_ports(spec):
        _keep_node_ports(spec, before)
    if needs_health_check(before) and needs_health_check(spec) and not spec.get("healthCheckNodePort"):
        keep(spec, before, "healthCheckNodePort")


def _keep_node_ports(spec: Object, before: Object) -> None:
    ports, had = spec.get("ports") or [], before.get("ports") or []
    used = {each.get("nodePort", 0) for each in ports} & {each.get("nodePort", 0) for each in had}
    by_name = {each.get("name", ""): each.get("nodePort", 0) for each in had}
    for port in ports:
        previous = by_name.get(port.get("name", ""), 0)
        if not port.get("nodePort") and previous and previous not in used:
            port["nodePort"] = previous
            used.add(previous)


def _sync_cluster_ips(spec: Object, before: Object) -> None:
    """A client that knows only the older clusterIP changes clusterIPs too."""
    new_ip, old_ip = spec.get("clusterIP") or "", before.get("clusterIP") or ""
    if new_ip == old_ip or not _same(spec, before, "clusterIPs"):
        return
    if not new_ip:
        spec.pop("clusterIPs", None)
    else:
        spec["clusterIPs"] = [new_ip]


# --- after allocation -------------------------------------------------------------------------------------------------


def drop_left_behind(spec: Object, before: Object) -> None:
    """Fields that the new type has no use for go, unless the client changed them too (then validation speaks)."""
    gone: list[str] = []
    if _has_cluster_ip(before) and not _has_cluster_ip(spec):
        if _same(spec, before, "clusterIP") and _same(spec, before, "clusterIPs"):
            gone += ["clusterIP", "clusterIPs"]
        gone += [name for name in ("ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy") if _same(spec, before, name)]
    if has_node_ports(before) and not has_node_ports(spec) and _node_ports(spec) <= _node_ports(before):
        for port in spec.get("ports") or ():
            port.pop("nodePort", None)
    if needs_health_check(before) and not needs_health_check(spec) and _same(spec, before, "healthCheckNodePort"):
        gone.append("healthCheckNodePort")
    if before.get("type") == "LoadBalancer" and spec.get("type") != "LoadBalancer":
        gone += [name for name in ("allocateLoadBalancerNodePorts", "loadBalancerClass") if spec.get(name) == before.get(name)]
    if is_externally_accessible(before) and not is_externally_accessible(spec) and _same(spec, before, "externalTrafficPolicy"):
        gone.append("externalTrafficPolicy")
    for name in gone:
        spec.pop(name, None)


def _node_ports(spec: Object) -> set[int]:
    return {each["nodePort"] for each in spec.get("ports") or () if each.get("nodePort")}
