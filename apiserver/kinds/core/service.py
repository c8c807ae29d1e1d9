"""Services: data and defaults. Allocation is in `service_allocation.py`, linked fields in `service_fields.py`, rules in
`validation/service.py`. Source: kubernetes `pkg/registry/core/service`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apiserver.kinds.ages import age
from apiserver.kinds.cells import AGE, NAME, NONE, load_balancer_addresses, wide
from apiserver.kinds.core.service_allocation import after_delete, begin
from apiserver.kinds.core.service_fields import drop_left_behind, is_externally_accessible
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
    if is_externally_accessible(spec) and not spec.get("externalTrafficPolicy"):
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


# --- writes -----------------------------------------------------------------------------------------------------------


def _prepare(new: Object, old: Object | None, _ctx: Context) -> None:
    """The status is not written here, but what only a load balancer has goes with it."""
    if old is None:
        new["status"] = {"loadBalancer": {}}
        return
    keep(new, old, "status")
    drop_left_behind(new["spec"], old["spec"])
    if new["spec"].get("type") != "LoadBalancer":
        new["status"] = {**(new.get("status") or {}), "loadBalancer": {}}


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
