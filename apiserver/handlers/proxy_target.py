"""Where a proxy subresource leads: a node's kubelet, a pod, or one of a service's ready endpoints.

An address comes from a Node, a Pod or an EndpointSlice whose pod has it, from nothing else, and must be one that may be proxied to.
Source: ResourceLocation of `pkg/registry/core/{node,pod}/strategy.go` and `core/service/storage`, `pkg/util/net/port_split.go`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final

from apiserver.handlers import backends
from apiserver.handlers.backends import DialError, Kubelet, Line
from apiserver.handlers.request import Request
from kube import errors, labels
from kube.errors import BadRequest, NotFound, ServiceUnavailable
from kube.objects import Object
from kube.resources import ENDPOINT_SLICES, NODES, PODS, SERVICES

SIMULATED: Final = "wherry-simulated://"
SERVICE_LABEL: Final = "kubernetes.io/service-name"
_NOT_ALLOWED: Final = "address not allowed"


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to ask. `host_header` is "" where the client's own Host is passed on; `authority` is host:port."""

    authority: str
    connect: Callable[[], Awaitable[Line]]
    """Raises DialError, ApiError."""
    host_header: str = ""


def split(what: str, text: str) -> tuple[str, str, str]:
    """(scheme, name, port) of `name`, `name:port` or `scheme:name:port`. Raises BadRequest."""
    parts = text.split(":")
    if len(parts) == 1:
        parts.append("")
    if len(parts) == 2:
        parts.insert(0, "")
    if len(parts) != 3 or parts[0] not in ("", "http", "https") or not parts[1]:
        raise BadRequest(f"invalid {what} request {errors.quoted(text)}")
    return parts[0], parts[1], parts[2]


def _number(what: str, text: str, port: str) -> int:
    if not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65536:
        raise BadRequest(f"invalid {what} request {errors.quoted(text)}")
    return int(port)


async def find(request: Request, plural: str) -> Target:
    """The target of this request. Raises ApiError."""
    if plural == "nodes":
        return await _node(request)
    if plural == "pods":
        return await _pod(request)
    return await _service(request)


# --- nodes ------------------------------------------------------------------------------------------------------------------


async def _node(request: Request) -> Target:
    text = request.info.name
    scheme, name, port = split("node", text)
    kubelet = await backends.kubelet_of(request, name)
    allowed = await backends.proxyable_addresses(kubelet.host)
    if port in ("", str(kubelet.port)):
        return Target(kubelet.authority, lambda: _to_kubelet(request, kubelet, is_allowed=bool(allowed)), kubelet.node)
    if not allowed:
        raise BadRequest(_NOT_ALLOWED)
    return _plain(request, allowed[0], _number("node", text, port), scheme)


async def _to_kubelet(request: Request, kubelet: Kubelet, *, is_allowed: bool) -> Line:
    """A line to a node's agent, which must prove to be one: the server's certificate may do everything, and whoever may write a Node's
    status could otherwise point it at the server itself."""
    # deviates: upstream refuses nodes at loopback and link-local addresses and takes any certificate of the CA; here it must be a node's
    try:
        line = await backends.open_kubelet(request, kubelet)
    except DialError as error:
        raise error if is_allowed else BadRequest(_NOT_ALLOWED) from error
    if line.is_of_a_node():
        return line
    line.close()
    if not is_allowed:
        raise BadRequest(_NOT_ALLOWED)
    raise DialError(f"tls: the certificate of {kubelet.authority} is not a node's (organization {backends.NODE_GROUP})")


# --- pods -------------------------------------------------------------------------------------------------------------------


async def _pod(request: Request) -> Target:
    text = request.info.name
    scheme, name, port = split("pod", text)
    pod = await request.server.registries.get(PODS).get(request.info.namespace, name)
    number = _number("pod", text, port) if port else first_port(pod) or (443 if scheme == "https" else 80)
    addresses = _pod_ips(pod)
    if not addresses or not backends.is_proxyable(addresses[0]):
        raise BadRequest(_NOT_ALLOWED)
    await _refuse_simulated(request, pod, backends.joined(addresses[0], number))
    return _plain(request, addresses[0], number, scheme)


def first_port(pod: Object) -> int:
    """The first port that a container of the pod declares; 0 for none."""
    return next((int(container["ports"][0]["containerPort"]) for container in pod["spec"]["containers"] if container.get("ports")), 0)


def _pod_ips(pod: Object) -> list[str]:
    return [str(each["ip"]) for each in (pod.get("status") or {}).get("podIPs") or () if each.get("ip")]


async def _refuse_simulated(request: Request, pod: Object, authority: str) -> None:
    """A simulated pod's address is made up: connecting to it could reach somebody else."""
    try:
        node = await request.server.registries.get(NODES).get("", pod["spec"].get("nodeName") or "")
    except NotFound:
        return
    runtime = ((node.get("status") or {}).get("nodeInfo") or {}).get("containerRuntimeVersion") or ""
    if runtime.startswith(SIMULATED):
        name = pod["metadata"]["name"]
        why = f'pod "{name}" is simulated, nothing listens on {authority}; kubectl port-forward reaches its simulated server'
        raise ServiceUnavailable(f"error trying to reach service: {why}")


def _plain(request: Request, host: str, port: int, scheme: str) -> Target:
    return Target(backends.joined(host, port), lambda: backends.dial(request, host, port, tls=scheme == "https"))


# --- services -----------------------------------------------------------------------------------------------------------------


async def _service(request: Request) -> Target:
    text, namespace = request.info.name, request.info.namespace
    scheme, name, port = split("service", text)
    if port.isascii() and port.isdigit():
        service = await request.server.registries.get(SERVICES).get(namespace, name)
        port = _port_name(service, name, port)
    selector = labels.parse(f"{SERVICE_LABEL}={name}") if labels_fit(name) else None
    slices = await request.server.registries.get(ENDPOINT_SLICES).list_objects(namespace, selector) if selector else []
    if not slices:
        raise errors.not_found("services", "", name)
    candidates = ready_endpoints(slices, port)
    start = request.server.rng.randrange(len(candidates)) if candidates else 0
    for pod_name, address, number in candidates[start:] + candidates[:start]:
        try:
            pod = await request.server.registries.get(PODS).get(namespace, pod_name)
        except NotFound:
            continue
        if address in _pod_ips(pod):
            if not backends.is_proxyable(address):
                raise BadRequest(_NOT_ALLOWED)
            await _refuse_simulated(request, pod, backends.joined(address, number))
            return _plain(request, address, number, scheme)
    raise ServiceUnavailable(f"no endpoints available for service {errors.quoted(text)}")


def labels_fit(name: str) -> bool:
    """Whether a service of this name can be (its name must be good as a label)."""
    return (
        0 < len(name) <= 63
        and all(each.isascii() and (each.isalnum() or each in "-.") for each in name)
        and name[0].isalnum()
        and name[-1].isalnum()
    )


def _port_name(service: Object, name: str, port: str) -> str:
    for each in service["spec"].get("ports") or ():
        if each["port"] == int(port):
            return str(each.get("name") or "")
    raise ServiceUnavailable(f"no service port {int(port)} found for service {errors.quoted(name)}")


def ready_endpoints(slices: Iterable[Object], port_name: str) -> list[tuple[str, str, int]]:
    """(pod, address, port) of every ready endpoint that has the named port and says which pod it is."""
    found = []
    for each in slices:
        numbers = [port["port"] for port in each.get("ports") or () if (port.get("name") or "") == port_name and port.get("port")]
        for endpoint in each.get("endpoints") or () if numbers else ():
            reference = endpoint.get("targetRef") or {}
            is_ready = (endpoint.get("conditions") or {}).get("ready", True)
            is_ours = reference.get("kind") == "Pod" and reference.get("namespace") == each["metadata"]["namespace"]
            if is_ready is not False and is_ours and endpoint.get("addresses"):
                found.append((str(reference.get("name")), str(endpoint["addresses"][0]), int(numbers[0])))
    return found
