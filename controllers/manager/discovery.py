"""What resources the server has: aggregated discovery, read by the controllers that deal with every kind there is.

Asks for `apidiscovery.k8s.io/v2` at /api and /apis. Source: KEP-3352.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from kube.client.client import Client
from kube.objects import Object
from kube.resources import Resource

_ACCEPT = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


@dataclass(frozen=True, slots=True)
class Served:
    """A resource and what can be done with it."""

    resource: Resource
    verbs: frozenset[str]

    def can(self, *verbs: str) -> bool:
        return self.verbs.issuperset(verbs)


@dataclass(frozen=True, slots=True)
class Discovered:
    """All resources, each in the version its group prefers among those that have it; `stale` names groups that did not answer."""

    served: tuple[Served, ...]
    stale: tuple[str, ...] = ()

    def able_to(self, *verbs: str) -> list[Resource]:
        return [each.resource for each in self.served if each.can(*verbs)]


async def discover(client: Client) -> Discovered:
    """Ask the server. Raises ApiError or ConnectionFailed."""
    groups: list[Object] = []
    for path in ("/api", "/apis"):
        answer = await client.raw("GET", path, headers={"accept": _ACCEPT})
        groups += json.loads(answer.body).get("items") or []
    return read(groups)


def read(groups: Iterable[Object]) -> Discovered:
    """The resources of these APIGroupDiscovery objects. Subresources are no resources; the first version that has one is preferred."""
    served: dict[tuple[str, str], Served] = {}
    stale: list[str] = []
    for group in groups:
        group_name = (group.get("metadata") or {}).get("name", "")
        for version in group.get("versions") or ():
            if version.get("freshness") == "Stale":
                stale.append(f"{group_name}/{version['version']}")
                continue
            for each in version.get("resources") or ():
                kind = (each.get("responseKind") or {}).get("kind", "")
                resource = Resource(group_name, version["version"], each["resource"], kind, namespaced=each.get("scope") == "Namespaced")
                served.setdefault((group_name, each["resource"]), Served(resource, frozenset(each.get("verbs") or ())))
    return Discovered(tuple(served.values()), tuple(stale))
