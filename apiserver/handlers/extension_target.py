"""Where an APIService's Service leads: to its ClusterIP, or to one of its ready endpoints, or to the host that an ExternalName names.

Source: apiserver `pkg/util/proxy/proxy.go` (ResolveEndpoint, ResolveCluster), kube-aggregator `pkg/apiserver/resolvers.go`.
"""

from __future__ import annotations

import random
from base64 import b64decode
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from apiserver.handlers.backends import Trust
from apiserver.registry.registry import Registries
from kube import errors
from kube.objects import Object
from kube.resources import ENDPOINT_SLICES, SERVICES

SERVICE_LABEL: Final = "kubernetes.io/service-name"
PORT: Final = 443

Address = tuple[str, int]


class Unreachable(Exception):
    """The Service leads nowhere; the text is upstream's."""


def find(registries: Registries, reference: Object, rng: random.Random, *, endpoints: bool) -> Address:
    """Host and port of one server behind `reference`, an APIService's `spec.service`. `endpoints` (--enable-aggregator-routing): one of
    the Service's endpoints, and not its ClusterIP, which something on this machine would have to route. Raises Unreachable."""
    namespace, name = reference.get("namespace", ""), reference.get("name", "")
    services, slices = registries.get(SERVICES).cache, registries.get(ENDPOINT_SLICES).cache
    entry = services.get(namespace, name)
    if entry is None:
        raise Unreachable(f"service {errors.quoted(name)} not found")
    port, service = reference.get("port", PORT), services.object_of(entry)
    if not endpoints:
        return cluster_address(service, port)
    of_service = [slices.object_of(each) for each in slices.entries(namespace) if each.labels.get(SERVICE_LABEL) == name]
    return resolve(service, of_service, port, rng)


def cluster_address(service: Object, port: int) -> Address:
    """The Service's own address. Raises Unreachable."""
    spec = service["spec"]
    if spec.get("type") == "ExternalName":
        return str(spec.get("externalName", "")), port
    if spec.get("clusterIP") == "None":
        raise Unreachable('cannot route to service with ClusterIP "None"')
    _port(service, port)
    return str(spec.get("clusterIP", "")), port


def _port(service: Object, port: int) -> Object:
    """The Service's port of that number. Raises Unreachable."""
    found: Object | None = next((each for each in service["spec"].get("ports") or () if each.get("port") == port), None)
    if found is None:
        raise Unreachable(f"no service port {port} found for service {errors.quoted(service['metadata']['name'])}")
    return found


def resolve(service: Object, slices: Sequence[Object], port: int, rng: random.Random) -> Address:
    """One address of the Service's port, by chance. Raises Unreachable."""
    name, spec = service["metadata"]["name"], service["spec"]
    if spec.get("type") == "ExternalName":
        return str(spec.get("externalName", "")), port
    listening = _port(service, port)
    families = spec.get("ipFamilies") or [""]
    ordered = rng.sample(list(slices), len(slices))
    ordered.sort(key=lambda each: each.get("addressType") != families[0])
    for each in ordered:
        found = list(_ready(each, listening.get("name") or ""))
        if found:
            return rng.choice(found)
    raise Unreachable(f"no endpoints available for service {errors.quoted(name)}")


def _ready(slice_: Object, port_name: str) -> Iterator[Address]:
    numbers = [each["port"] for each in slice_.get("ports") or () if (each.get("name") or "") == port_name and each.get("port")]
    endpoints: Iterable[Object] = slice_.get("endpoints") or ()
    for each in endpoints if numbers else ():
        if (each.get("conditions") or {}).get("ready") is not False and each.get("addresses"):
            yield str(each["addresses"][0]), int(numbers[0])


def trust_of(api_service: Object) -> Trust:
    """Whom an APIService says to expect."""
    spec = api_service["spec"]
    reference = spec["service"]
    bundle = b64decode(spec.get("caBundle") or "")
    return Trust(f"{reference.get('name', '')}.{reference.get('namespace', '')}.svc", bundle, bool(spec.get("insecureSkipTLSVerify")))
