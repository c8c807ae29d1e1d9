"""The Services that containers find in their environment (FOO_SERVICE_HOST and the rest), as they are when a container starts.

Names and values: upstream `pkg/kubelet/envvars/envvars.go`; which Services: `kubelet_pods.go getServiceEnvVarMap`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from kube.client.informer import Informer
from kube.objects import Object, name_of, namespace_of

MASTER = ("default", "kubernetes")
"""The Service that every container is told of, whatever its namespace and enableServiceLinks."""


def variables_of(service: Object) -> Iterator[tuple[str, str]]:
    """The variables of one Service; none where it has no address."""
    spec = service["spec"]
    ip, ports = spec.get("clusterIP") or "", spec.get("ports") or ()
    if ip in ("", "None") or not ports:
        return
    prefix = _shell_name(name_of(service))
    yield f"{prefix}_SERVICE_HOST", ip
    yield f"{prefix}_SERVICE_PORT", str(ports[0]["port"])
    for port in ports:
        if port.get("name"):
            yield f"{prefix}_SERVICE_PORT_{_shell_name(port['name'])}", str(port["port"])
    host = f"[{ip}]" if ":" in ip else ip
    for index, port in enumerate(ports):
        protocol, number = port.get("protocol") or "TCP", port["port"]
        url, one = f"{protocol.lower()}://{host}:{number}", f"{prefix}_PORT_{number}_{protocol}"
        if index == 0:
            yield f"{prefix}_PORT", url
        yield from ((one, url), (f"{one}_PROTO", protocol.lower()), (f"{one}_PORT", str(number)), (f"{one}_ADDR", ip))


def _shell_name(text: str) -> str:
    return text.replace("-", "_").upper()


def environment(services: Iterable[Object]) -> dict[str, str]:
    """The variables of all of them."""
    return {name: value for service in services for name, value in variables_of(service)}


class ServiceLinks:
    """What each namespace's containers are told, worked out once for as long as no Service changes."""

    def __init__(self, services: Informer) -> None:
        self._services = services
        self._known: dict[tuple[str, bool], Mapping[str, str]] = {}
        services.add_handler(self._changed)

    def of(self, pod: Object) -> Mapping[str, str]:
        """The variables for containers of the pod."""
        namespace, linked = namespace_of(pod), pod["spec"].get("enableServiceLinks") is not False
        found = self._known.get((namespace, linked))
        if found is None:
            master = self._services.get("/".join(MASTER))
            told = [] if master is None else [master]
            told += self._services.list(namespace) if linked else ()
            found = self._known[(namespace, linked)] = environment(told)
        return found

    def _changed(self, _old: Object | None, _new: Object | None) -> None:
        self._known.clear()
