"""What resources the server has: aggregated discovery, read by the controllers that deal with every kind there is.

Asks for `apidiscovery.k8s.io/v2` at /api and /apis. Source: KEP-3352.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from kube.client.client import Client
from kube.clock import Clock
from kube.objects import Object
from kube.resources import Resource

KINDS_KNOWN_S = 30.0
"""How long it is remembered which kinds there are."""
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


async def has_subresource(client: Client, resource: Resource, subresource: str) -> bool:
    """Whether the server has that subresource of the resource. Raises ApiError or ConnectionFailed."""
    path = f"/apis/{resource.api_version}" if resource.group else f"/api/{resource.version}"
    answer = json.loads((await client.raw("GET", path)).body)
    return any(each.get("name") == f"{resource.plural}/{subresource}" for each in answer.get("resources") or ())


class Kinds:
    """Which resource a kind is; for one that is not known the server is asked anew, and now and then for all."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client, self._clock = client, clock
        self._known: Discovered | None = None
        self._asked_at = 0.0

    async def resource(self, group: str, kind: str) -> Resource | None:
        """The resource, in the version that the group prefers. Raises ApiError or ConnectionFailed."""
        is_fresh = self._known is not None and self._clock.monotonic() - self._asked_at < KINDS_KNOWN_S
        if not is_fresh or self.known(group, kind) is None:
            self._asked_at, self._known = self._clock.monotonic(), await discover(self._client)
        return self.known(group, kind)

    def known(self, group: str, kind: str) -> Resource | None:
        """The same, of what is known already."""
        served = self._known.served if self._known is not None else ()
        return next((each.resource for each in served if (each.resource.group, each.resource.kind) == (group, kind)), None)


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
