"""networking.k8s.io: Ingresses and their classes, NetworkPolicies, IPAddresses, ServiceCIDRs. Rules are in `validation/ingress.py`,
`validation/network_policy.py` and `validation/addresses.py`. Source: kubernetes `pkg/registry/networking`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apiserver.kinds.ages import age
from apiserver.kinds.cells import AGE, NAME, NONE, default_marked, load_balancer_addresses
from apiserver.kinds.core.cluster_ips import SERVICE_CIDRS
from apiserver.kinds.strategy import status_is_the_servers, status_subresource
from apiserver.kinds.workload_columns import selector_cell
from apiserver.registry.kind import Column, Kind
from apiserver.validation import addresses as address_rules
from apiserver.validation import ingress as ingress_rules
from apiserver.validation import network_policy as policy_rules
from kube.objects import Object
from kube.resources import IP_ADDRESSES, Resource

GROUP = "networking.k8s.io"
DEFINITION = "io.k8s.api.networking.v1."
DEFAULT_CLASS_ANNOTATION = "ingressclass.kubernetes.io/is-default-class"
HOSTS_MAX = 3


def default_ingress_class(ingress_class: Object) -> None:
    parameters = (ingress_class.get("spec") or {}).get("parameters")
    if parameters is not None and parameters.get("scope") is None:
        parameters["scope"] = "Cluster"


def default_network_policy(policy: Object) -> None:
    """The types follow from what rules there are; ports are TCP."""
    spec = policy.setdefault("spec", {})
    for direction in ("ingress", "egress"):
        for rule in spec.get(direction) or ():
            for port in rule.get("ports") or ():
                if port.get("protocol") is None:
                    port["protocol"] = "TCP"
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]


# --- rows -------------------------------------------------------------------------------------------------------------


def _name(obj: Object) -> str:
    return str(obj["metadata"].get("name", ""))


def _ingress_row(ingress: Object, now: datetime) -> list[Any]:
    spec = ingress.get("spec") or {}
    addresses = ",".join(load_balancer_addresses(ingress.get("status")))
    ports = "80, 443" if spec.get("tls") else "80"
    return [_name(ingress), spec.get("ingressClassName") or NONE, _hosts(spec.get("rules") or []), addresses, ports, age(ingress, now)]


def _hosts(rules: list[Object]) -> str:
    """The first three hosts; rules without one are passed over, but counted among the rest."""
    shown: list[str] = []
    for index, rule in enumerate(rules):
        if len(shown) == HOSTS_MAX:
            return f"{','.join(shown)} + {len(rules) - HOSTS_MAX} more..." if index < len(rules) else ",".join(shown)
        if rule.get("host"):
            shown.append(rule["host"])
    return ",".join(shown) or "*"


def _ingress_class_row(ingress_class: Object, now: datetime) -> list[Any]:
    spec = ingress_class.get("spec") or {}
    parameters, cell = spec.get("parameters"), NONE
    if parameters is not None:
        group = parameters.get("apiGroup")
        kind = parameters.get("kind", "")
        cell = f"{kind}.{group}/{parameters.get('name', '')}" if group else f"{kind}/{parameters.get('name', '')}"
    return [default_marked(ingress_class, DEFAULT_CLASS_ANNOTATION), spec.get("controller", ""), cell, age(ingress_class, now)]


def _policy_row(policy: Object, now: datetime) -> list[Any]:
    return [_name(policy), selector_cell((policy.get("spec") or {}).get("podSelector")), age(policy, now)]


def _address_row(address: Object, now: datetime) -> list[Any]:
    """One cell more than there are columns: so does upstream."""
    parent, cell = (address.get("spec") or {}).get("parentRef"), NONE
    if parent is not None:
        resource = f"{parent.get('resource', '')}.{parent['group']}" if parent.get("group") else parent.get("resource", "")
        resource = resource.lower()
        cell = "/".join(part for part in (resource, parent.get("namespace"), parent.get("name")) if part)
    return [_name(address), cell, age(address, now)]


def _service_cidr_row(service_cidr: Object, now: datetime) -> list[Any]:
    return [_name(service_cidr), ",".join((service_cidr.get("spec") or {}).get("cidrs") or ()), age(service_cidr, now)]


# --- data -------------------------------------------------------------------------------------------------------------

INGRESS_CLASS = Kind(
    resource=Resource(GROUP, "v1", "ingressclasses", "IngressClass", namespaced=False),
    definition=DEFINITION + "IngressClass",
    singular="ingressclass",
    columns=(NAME, Column("Controller"), Column("Parameters"), AGE),
    row=_ingress_class_row,
    default=default_ingress_class,
    validate=ingress_rules.validate_class,
    has_generation=True,
)

INGRESS = Kind(
    resource=Resource(GROUP, "v1", "ingresses", "Ingress"),
    definition=DEFINITION + "Ingress",
    singular="ingress",
    short_names=("ing",),
    storage="ingress",
    subresources=(status_subresource(ingress_rules.validate_status),),
    columns=(NAME, Column("Class"), Column("Hosts"), Column("Address"), Column("Ports"), AGE),
    row=_ingress_row,
    prepare=status_is_the_servers({"loadBalancer": {}}),
    validate=ingress_rules.validate,
    has_generation=True,
)

IP_ADDRESS = Kind(
    resource=IP_ADDRESSES,
    definition=DEFINITION + "IPAddress",
    singular="ipaddress",
    short_names=("ip",),
    columns=(NAME, Column("ParentRef")),
    row=_address_row,
    validate=address_rules.validate_ip_address,
    name_rule="any",
    metadata_passes=("create", "update"),
)

NETWORK_POLICY = Kind(
    resource=Resource(GROUP, "v1", "networkpolicies", "NetworkPolicy"),
    definition=DEFINITION + "NetworkPolicy",
    singular="networkpolicy",
    short_names=("netpol",),
    columns=(NAME, Column("Pod-Selector"), AGE),
    row=_policy_row,
    default=default_network_policy,
    validate=policy_rules.validate,
    metadata_passes=("update",),
    has_generation=True,
)

SERVICE_CIDR = Kind(
    resource=SERVICE_CIDRS,
    definition=DEFINITION + "ServiceCIDR",
    singular="servicecidr",
    subresources=(status_subresource(address_rules.validate_service_cidr_status),),
    columns=(NAME, Column("CIDRs"), AGE),
    row=_service_cidr_row,
    prepare=status_is_the_servers({}),
    validate=address_rules.validate_service_cidr,
    metadata_passes=("update",),
)

KINDS = [INGRESS_CLASS, INGRESS, IP_ADDRESS, NETWORK_POLICY, SERVICE_CIDR]
