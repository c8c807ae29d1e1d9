"""A small cluster for tests of DNS: Services, EndpointSlices and namespaces as the API has them, and a world that knows them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from kubelet.dns.world import KnownWorld

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HTTP = {"name": "http", "port": 80}


class FixedClock:
    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return 0.0


def service(name: str, *addresses: str, namespace: str = "default", ports: Sequence[Any] = (HTTP,), **spec: Any) -> Any:
    given = {"type": "ClusterIP", "clusterIPs": list(addresses), "ports": list(ports)}
    return {"metadata": {"namespace": namespace, "name": name}, "spec": {**given, **spec}}


def external(name: str, target: str, namespace: str = "default") -> Any:
    return {"metadata": {"namespace": namespace, "name": name}, "spec": {"type": "ExternalName", "externalName": target}}


def endpoint(*addresses: str, hostname: str = "", ready: bool | None = True) -> Any:
    conditions = {} if ready is None else {"ready": ready}
    return {"addresses": list(addresses), "conditions": conditions, **({"hostname": hostname} if hostname else {})}


def endpoint_slice(of: str, *endpoints: Any, name: str = "", namespace: str = "default", ports: Any = (HTTP,), family: str = "IPv4") -> Any:
    labels = {"kubernetes.io/service-name": of}
    body = {"addressType": family, "endpoints": list(endpoints), "ports": list(ports or ())}
    return {"metadata": {"namespace": namespace, "name": name or f"{of}-x", "labels": labels}, **body}


def world(
    *, services: Sequence[Any] = (), slices: Sequence[Any] = (), namespaces: Sequence[str] = ("default", "kube-system")
) -> KnownWorld:
    made = KnownWorld(FixedClock())
    for name in namespaces:
        made.take_namespace(None, {"metadata": {"name": name}})
    for each in services:
        made.take_service(None, each)
    for each in slices:
        made.take_slice(None, each)
    return made


def cluster() -> KnownWorld:
    """One Service of each kind."""
    https = {"name": "https", "port": 443}
    return world(
        services=[
            service("kubernetes", "10.0.0.1", ports=[https]),
            service("dual", "10.0.0.7", "fd00::7", ports=[HTTP, {"name": "dns", "port": 53, "protocol": "UDP"}]),
            service("plain", "10.0.0.8", ports=[{"port": 8080}]),
            service("web", "None"),
            service("quiet", "None"),
            service("portless", "None", ports=[]),
            external("out", "www.example.com"),
            external("in", "kubernetes.default.svc.cluster.local"),
            external("again", "in.default.svc.cluster.local"),
            external("away", "out.default.svc.cluster.local"),
            external("nowhere", "none.default.svc.cluster.local"),
            external("ring-a", "ring-b.default.svc.cluster.local"),
            external("ring-b", "ring-a.default.svc.cluster.local"),
            external("address", "192.0.2.1"),
        ],
        slices=[
            endpoint_slice("web", endpoint("10.244.0.5", hostname="web-0"), endpoint("10.244.0.6", hostname="web-1", ready=False)),
            endpoint_slice("web", endpoint("10.244.1.7", ready=None), name="web-y"),
            endpoint_slice("web", endpoint("fd00::9", hostname="web-0"), name="web-6", family="IPv6"),
            endpoint_slice("quiet", endpoint("10.244.0.6", ready=False)),
            endpoint_slice("portless", endpoint("10.244.0.5", hostname="p"), ports=None),
            endpoint_slice("plain", endpoint("10.244.0.5"), ports=[{"port": 8080, "name": ""}]),
            endpoint_slice("kubernetes", endpoint("192.0.2.9"), ports=[https]),
        ],
    )
