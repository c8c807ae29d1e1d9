"""Where an APIService's Service leads: one of its ready endpoints, or the host that an ExternalName names.

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


def find(registries: Registries, reference: Object, rng: random.Random) -> Address:
    """Host and port of one server behind `reference`, an APIService's `spec.service`. Raises Unreachable."""
    namespace, name = reference.get("namespace", ""), reference.get("name", "")
    services, slices = registries.get(SERVICES).cache, registries.get(ENDPOINT_SLICES).cache
    entry = services.get(namespace, name)
    if entry is None:
        raise Unreachable(f"services {errors.quoted(name)} not found")
    of_service = [slices.object_of(each) for each in slices.entries(namespace) if each.labels.get(SERVICE_LABEL) == name]
    return resolve(services.object_of(entry), of_service, reference.get("port", PORT), rng)


# deviates: endpoints are asked, never the ClusterIP, as upstream does only with --enable-aggregator-routing: nothing need route ClusterIPs
def resolve(service: Object, slices: Sequence[Object], port: int, rng: random.Random) -> Address:
    """One address of the Service's port, by chance. Raises Unreachable."""
    name, spec = service["metadata"]["name"], service["spec"]
    if spec.get("type") == "ExternalName":
        return str(spec.get("externalName", "")), port
    listening = next((each for each in spec.get("ports") or () if each.get("port") == port), None)
    if listening is None:
        raise Unreachable(f"no service port {port} found for service {errors.quoted(name)}")
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
