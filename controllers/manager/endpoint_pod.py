"""What a pod is as an endpoint of a Service: its addresses, its ports, whether it belongs there. Pure.

Shared by `endpoint_slice.py` and `endpoints.py`. Source: upstream `staging/src/k8s.io/endpointslice/util` and `pkg/api/v1/pod/util.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kube.objects import Object, is_deleting, key_of, labels_of, namespace_of

from .pod import is_ready, is_terminal

HEADLESS = "service.kubernetes.io/headless"


def addresses_of(pod: Mapping[str, Any], family: str) -> list[str]:
    """The pod's addresses of a family, "IPv4" or "IPv6"."""
    status = pod.get("status", {})
    ips = [each.get("ip", "") for each in status.get("podIPs") or ()] or [status.get("podIP") or ""]
    return [ip for ip in ips if ip and (":" in ip) == (family == "IPv6")]


def is_endpoint(pod: Mapping[str, Any], *, also_terminating: bool) -> bool:
    """Whether the pod can be an endpoint: it has an address and has not ended (nor is about to, unless that is fine)."""
    status = pod.get("status", {})
    if is_terminal(pod) or not (status.get("podIP") or status.get("podIPs")):
        return False
    return also_terminating or not is_deleting(pod)


def families_of(service: Mapping[str, Any]) -> list[str]:
    """The address families a Service wants."""
    spec = service["spec"]
    if spec.get("ipFamilies"):
        return list(spec["ipFamilies"])
    cluster_ip = spec.get("clusterIP") or ""
    return ["IPv6"] if ":" in cluster_ip else ["IPv4"]


def is_headless(service: Mapping[str, Any]) -> bool:
    return service["spec"].get("clusterIP") in (None, "", "None")


def selects_pods(service: Mapping[str, Any]) -> bool:
    """Whether endpoints are to be found for the Service at all."""
    return service["spec"].get("selector") is not None and service["spec"].get("type") != "ExternalName"


def matches(service: Mapping[str, Any], pod: Mapping[str, Any]) -> bool:
    return selects_pods(service) and (service["spec"]["selector"] or {}).items() <= labels_of(pod).items()


def port_of(pod: Mapping[str, Any], service_port: Mapping[str, Any]) -> int | None:
    """The number that a Service's port means on this pod; None where the pod has no port of that name."""
    target = service_port.get("targetPort")
    if target is None:
        return int(service_port["port"])
    if isinstance(target, int):
        return target
    spec = pod["spec"]
    sidecars = [each for each in spec.get("initContainers") or () if each.get("restartPolicy") == "Always"]
    for container in [*(spec.get("containers") or ()), *sidecars]:
        for port in container.get("ports") or ():
            if port.get("name") == target and port.get("protocol", "TCP") == service_port.get("protocol", "TCP"):
                return int(port["containerPort"])
    return None


def ports_of(service: Mapping[str, Any], pod: Mapping[str, Any]) -> list[Object]:
    """The Service's ports as they are on this pod; names that the pod does not have are left out."""
    ports = []
    for each in service["spec"].get("ports") or ():
        number = port_of(pod, each)
        if number is not None:
            port: Object = {"name": each.get("name", ""), "port": number, "protocol": each.get("protocol", "TCP")}
            ports.append(port | ({"appProtocol": each["appProtocol"]} if each.get("appProtocol") else {}))
    return ports


def reference_to(pod: Mapping[str, Any]) -> Object:
    metadata = pod["metadata"]
    return {"kind": "Pod", "namespace": metadata.get("namespace", ""), "name": metadata["name"], "uid": metadata.get("uid", "")}


def hostname_of(pod: Mapping[str, Any], service: Mapping[str, Any]) -> str:
    """The host name under which DNS shall know the pod: only within the Service that is its subdomain."""
    spec = pod["spec"]
    in_subdomain = spec.get("subdomain") == service["metadata"]["name"] and namespace_of(pod) == namespace_of(service)
    return str(spec.get("hostname") or "") if in_subdomain else ""


def changes_endpoints(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether a pod's change can change any endpoint."""
    return _signature(old) != _signature(new)


def _signature(pod: Mapping[str, Any]) -> tuple[Any, ...]:
    status, spec = pod.get("status", {}), pod["spec"]
    where = spec.get("nodeName"), spec.get("hostname"), spec.get("subdomain")
    return status.get("podIP"), status.get("podIPs"), is_ready(pod), is_terminal(pod), is_deleting(pod), labels_of(pod), where


def services_of(services: Iterable[Object], old: Object | None, new: Object | None) -> set[str]:
    """The keys of those Services (all of the pod's namespace) that a change of the pod concerns."""
    if old is not None and new is not None and not changes_endpoints(old, new):
        return set()
    pods = [pod for pod in (old, new) if pod is not None]
    return {key_of(each) for each in services if any(matches(each, pod) for pod in pods)}
