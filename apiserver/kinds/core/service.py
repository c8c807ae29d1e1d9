"""Services: data, defaults, and what a change of type takes along. Allocation is in `service_allocation.py`, rules in
`validation/service.py`. Source: kubernetes `pkg/registry/core/service`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apiserver.kinds.ages import age
from apiserver.kinds.cells import AGE, NAME, NONE, load_balancer_addresses, wide
from apiserver.kinds.core.service_allocation import after_delete, begin
from apiserver.kinds.strategy import field, keep, status_subresource
from apiserver.kinds.workload_columns import labels_cell
from apiserver.registry.kind import Column, Context, Kind, Subresource
from apiserver.validation import service as validation
from kube.objects import Object
from kube.resources import SERVICES

CLIENT_IP_TIMEOUT_S = 10800


# --- defaults ---------------------------------------------------------------------------------------------------------


def default(service: Object) -> None:
    spec = service.setdefault("spec", {})
    if not spec.get("type"):
        spec["type"] = "ClusterIP"
    _default_affinity(spec)
    for port in spec.get("ports") or ():
        if not port.get("protocol"):
            port["protocol"] = "TCP"
        if port.get("targetPort") in (None, 0, ""):
            port["targetPort"] = port.get("port", 0)
    if _is_externally_accessible(spec) and not spec.get("externalTrafficPolicy"):
        spec["externalTrafficPolicy"] = "Cluster"
    if spec.get("internalTrafficPolicy") is None and spec["type"] in ("NodePort", "LoadBalancer", "ClusterIP"):
        spec["internalTrafficPolicy"] = "Cluster"
    if spec["type"] == "LoadBalancer":
        if spec.get("allocateLoadBalancerNodePorts") is None:
            spec["allocateLoadBalancerNodePorts"] = True
        for ingress in ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ():
            if ingress.get("ip") and ingress.get("ipMode") is None:
                ingress["ipMode"] = "VIP"


def _default_affinity(spec: Object) -> None:
    if not spec.get("sessionAffinity"):
        spec["sessionAffinity"] = "None"
    if spec["sessionAffinity"] == "None":
        spec.pop("sessionAffinityConfig", None)
    elif spec["sessionAffinity"] == "ClientIP":
        client = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
        if client.get("timeoutSeconds") is None:
            spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": CLIENT_IP_TIMEOUT_S}}


def _is_externally_accessible(spec: Object) -> bool:
    return spec.get("type") in ("LoadBalancer", "NodePort") or (spec.get("type") == "ClusterIP" and bool(spec.get("externalIPs")))


# --- writes -----------------------------------------------------------------------------------------------------------


def _prepare(new: Object, old: Object | None, _ctx: Context) -> None:
    spec = new["spec"]
    if old is None:
        new["status"] = {"loadBalancer": {}}
        if spec.get("clusterIP") and not spec.get("clusterIPs"):
            spec["clusterIPs"] = [spec["clusterIP"]]
        return
    keep(new, old, "status")
    before = old["spec"]
    _sync_cluster_ips(spec, before)
    _keep_allocated(spec, before)
    _drop_what_the_type_left_behind(spec, before)


def _same(spec: Object, before: Object, name: str) -> bool:
    return (spec.get(name) or None) == (before.get(name) or None)


def _sync_cluster_ips(spec: Object, before: Object) -> None:
    """A client that knows only the older clusterIP changes clusterIPs too."""
    new_ip, old_ip = spec.get("clusterIP") or "", before.get("clusterIP") or ""
    if new_ip and not spec.get("clusterIPs"):
        spec["clusterIPs"] = [new_ip]
    if not _same(spec, before, "clusterIPs"):
        return
    if old_ip and not new_ip:
        spec.pop("clusterIPs", None)
    elif new_ip != old_ip:
        spec["clusterIPs"] = [new_ip, *(spec.get("clusterIPs") or [])[1:]]


def _needs_cluster_ip(spec: Object) -> bool:
    return spec.get("type") in ("ClusterIP", "NodePort", "LoadBalancer")


def _needs_node_port(spec: Object) -> bool:
    return spec.get("type") in ("NodePort", "LoadBalancer")


def _needs_health_check_port(spec: Object) -> bool:
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def _keep_allocated(spec: Object, before: Object) -> None:
    """What a PUT left out of what was allocated stays."""
    if _needs_cluster_ip(before) and _needs_cluster_ip(spec):
        if not spec.get("clusterIP") and before.get("clusterIP"):
            spec["clusterIP"] = before["clusterIP"]
        if not spec.get("clusterIPs") and spec.get("clusterIP") == before.get("clusterIP") and before.get("clusterIPs"):
            spec["clusterIPs"] = list(before["clusterIPs"])
        for name in ("ipFamilies", "ipFamilyPolicy"):
            if not spec.get(name) and _same(spec, before, "clusterIPs"):
                keep(spec, before, name)
    if _needs_node_port(before) and _needs_node_port(spec):
        _keep_node_ports(spec, before)
    if _needs_health_check_port(before) and _needs_health_check_port(spec) and not spec.get("healthCheckNodePort"):
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


def _drop_what_the_type_left_behind(spec: Object, before: Object) -> None:
    """Fields that the new type has no use for go, unless the client changed them too (then validation speaks)."""
    gone: list[str] = []
    if _needs_cluster_ip(before) and not _needs_cluster_ip(spec):
        if _same(spec, before, "clusterIPs"):
            gone += ["clusterIP", "clusterIPs"]
        gone += [name for name in ("ipFamilies", "ipFamilyPolicy") if _same(spec, before, name)]
        if _same(spec, before, "internalTrafficPolicy"):
            gone.append("internalTrafficPolicy")
    if _needs_node_port(before) and not _needs_node_port(spec) and _node_ports(spec) == _node_ports(before):
        for port in spec.get("ports") or ():
            port.pop("nodePort", None)
    if _needs_health_check_port(before) and not _needs_health_check_port(spec) and _same(spec, before, "healthCheckNodePort"):
        gone.append("healthCheckNodePort")
    if before.get("type") == "LoadBalancer" and spec.get("type") != "LoadBalancer":
        gone += [name for name in ("allocateLoadBalancerNodePorts", "loadBalancerClass") if spec.get(name) == before.get(name)]
    if _is_externally_accessible(before) and not _is_externally_accessible(spec) and _same(spec, before, "externalTrafficPolicy"):
        gone.append("externalTrafficPolicy")
    for name in gone:
        spec.pop(name, None)


def _node_ports(spec: Object) -> set[int]:
    return {each["nodePort"] for each in spec.get("ports") or () if each.get("nodePort")}


# --- data -------------------------------------------------------------------------------------------------------------


def _row(service: Object, now: datetime) -> list[Any]:
    spec = service.get("spec") or {}
    return [
        service["metadata"].get("name", ""),
        spec.get("type", ""),
        (spec.get("clusterIPs") or [NONE])[0],
        _external_ip(service),
        _ports_cell(spec.get("ports") or ()),
        age(service, now),
        labels_cell(spec.get("selector")),
    ]


def _external_ip(service: Object) -> str:
    spec = service.get("spec") or {}
    external = list(spec.get("externalIPs") or [])
    if spec.get("type") == "ExternalName":
        return str(spec.get("externalName") or "")
    if spec.get("type") != "LoadBalancer":
        return ",".join(external) or NONE
    return ",".join([*load_balancer_addresses(service.get("status")), *external]) or "<pending>"


def _ports_cell(ports: Any) -> str:
    def text(port: Object) -> str:
        node_port = f":{port['nodePort']}" if port.get("nodePort") else ""
        return f"{port.get('port', 0)}{node_port}/{port.get('protocol', '')}"

    return ",".join(text(each) for each in ports) or NONE


SERVICE = Kind(
    resource=SERVICES,
    definition="io.k8s.api.core.v1.Service",
    singular="service",
    short_names=("svc",),
    categories=("all",),
    storage="services/specs",
    subresources=(
        Subresource("proxy", ("create", "delete", "get", "patch", "update"), kind="ServiceProxyOptions", connect=True),
        status_subresource(validation.validate_status),
    ),
    columns=(NAME, Column("Type"), Column("Cluster-IP"), Column("External-IP"), Column("Port(s)"), AGE, wide("Selector")),
    row=_row,
    selectable={"spec.clusterIP": field("spec", "clusterIP"), "spec.type": field("spec", "type")},
    default=default,
    prepare=_prepare,
    validate=validation.validate,
    begin=begin,
    after_delete=after_delete,
    name_rule="label",
    create_on_update=True,
    delete_answers_object=True,
)

KINDS = [SERVICE]
