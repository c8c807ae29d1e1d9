"""A container's environment: env and envFrom, with their sources looked up. Raises `ConfigError` for what is missing.

Upstream: `kubelet_pods.go makeEnvironmentVariables`; the Services in it are `service_links.py`'s.
"""

from __future__ import annotations

import base64
import re
from collections import ChainMap
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from kube import quantity
from kube.client.client import Client
from kube.errors import NotFound
from kube.objects import Object, annotations_of, labels_of, namespace_of
from kube.resources import CONFIG_MAPS, SECRETS, Resource
from kubelet.observed import all_containers

_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_.-][A-Za-z0-9_.-]*)\)")
_KEYED = re.compile(r"^metadata\.(labels|annotations)\['(.+)'\]$")


_NODE_LIMITS = ("cpu", "memory", "ephemeral-storage")
"""What a container without a limit of its own is limited to by its node."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a pod runs, as far as its containers are told: addresses, what the node has to give, the Services' variables."""

    pod_ips: Sequence[str] = ()
    host_ips: Sequence[str] = ()
    allocatable: Mapping[str, str] = field(default_factory=dict)
    services: Mapping[str, str] = field(default_factory=dict)


class ConfigError(Exception):
    """CreateContainerConfigError: the text is the waiting message."""


def expanded(text: str, envs: Mapping[str, str]) -> str:
    """Kubernetes' expansion of `$(NAME)`: unknown names stay, `$$` is a dollar sign."""
    if "$" not in text:
        return text
    return _REFERENCE.sub(lambda match: "$" if match[0] == "$$" else envs.get(match[1], match[0]), text)


async def environment_of(pod: Object, container: Object, *, client: Client, place: Place) -> Mapping[str, str]:
    """The variables by name. Asks the API only for ConfigMaps and Secrets that are named."""
    envs: dict[str, str] = {}
    if container.get("env") or container.get("envFrom"):
        sources = Sources(pod, partial(client.get, namespace=namespace_of(pod)))
        known = ChainMap(envs, dict(place.services))
        for source in container.get("envFrom") or ():
            envs |= await _all_of(source, sources)
        for entry in container.get("env") or ():
            if "valueFrom" not in entry:
                envs[entry["name"]] = expanded(entry.get("value") or "", known)
                continue
            value = await _value_from(pod, container, entry["valueFrom"], sources, place)
            if value is not None:
                envs[entry["name"]] = value
    return {**place.services, **envs} if envs else place.services


Fetch = Callable[[Resource, str], Awaitable[Object]]
"""The ConfigMap or Secret of that name, in the pod's namespace. Raises NotFound."""


class Sources:
    """ConfigMaps and Secrets of the pod's namespace, each fetched once (by this object). `binary`: binaryData of ConfigMaps counts too."""

    def __init__(self, pod: Object, fetch: Fetch, *, binary: bool = False) -> None:
        self._namespace, self._fetch, self._binary = namespace_of(pod), fetch, binary
        self._found: dict[tuple[str, str], dict[str, str] | None] = {}

    async def data(self, resource: Resource, name: str, *, optional: bool) -> dict[str, str] | None:
        """Its data as text; None when it is missing and optional. Raises ConfigError."""
        key = (resource.plural, name)
        if key not in self._found:
            try:
                self._found[key] = _texts(resource, await self._fetch(resource, name), binary=self._binary)
            except NotFound as error:
                if not optional:
                    raise ConfigError(f'{resource.kind.lower()} "{name}" not found') from error
                self._found[key] = None
        return self._found[key]

    async def value(self, resource: Resource, selector: Object) -> str | None:
        name, key = selector.get("name", ""), selector.get("key", "")
        data = await self.data(resource, name, optional=bool(selector.get("optional")))
        if data is not None and key in data:
            return data[key]
        if selector.get("optional"):
            return None
        raise ConfigError(f"couldn't find key {key} in {resource.kind} {self._namespace}/{name}")


def _texts(resource: Resource, obj: Object, *, binary: bool) -> dict[str, str]:
    data = obj.get("data") or {}
    if resource is SECRETS:
        return _decoded(data)
    return {**data, **_decoded((obj.get("binaryData") or {}) if binary else {})}


def _decoded(data: Mapping[str, str]) -> dict[str, str]:
    return {key: base64.b64decode(value).decode("utf-8", "replace") for key, value in data.items()}


async def _all_of(source: Object, sources: Sources) -> dict[str, str]:
    for key, resource in (("configMapRef", CONFIG_MAPS), ("secretRef", SECRETS)):
        if ref := source.get(key):
            data = await sources.data(resource, ref.get("name", ""), optional=bool(ref.get("optional")))
            return {f"{source.get('prefix') or ''}{each}": value for each, value in (data or {}).items()}
    return {}


async def _value_from(pod: Object, container: Object, source: Object, sources: Sources, place: Place) -> str | None:
    if "configMapKeyRef" in source:
        return await sources.value(CONFIG_MAPS, source["configMapKeyRef"])
    if "secretKeyRef" in source:
        return await sources.value(SECRETS, source["secretKeyRef"])
    if "fieldRef" in source:
        return field_of(pod, source["fieldRef"].get("fieldPath", ""), place)
    if "resourceFieldRef" in source:
        return resource_of(named(pod, container, source["resourceFieldRef"]), source["resourceFieldRef"], place)
    raise ConfigError(f"environment source {', '.join(sorted(source))} is not supported by this kubelet")


def field_of(pod: Object, path: str, place: Place) -> str:
    """The downward API's fields. Raises ConfigError for any other path."""
    if match := _KEYED.match(path):
        return (labels_of(pod) if match[1] == "labels" else annotations_of(pod)).get(match[2], "")
    status = {
        "status.podIP": ",".join(place.pod_ips[:1]),
        "status.podIPs": ",".join(place.pod_ips),
        "status.hostIP": ",".join(place.host_ips[:1]),
        "status.hostIPs": ",".join(place.host_ips),
    }
    if path in status:
        return status[path]
    if path in ("metadata.name", "metadata.namespace", "metadata.uid"):
        return str(pod["metadata"].get(path.partition(".")[2], ""))
    if path in ("spec.nodeName", "spec.serviceAccountName"):
        return str(pod["spec"].get(path.partition(".")[2], ""))
    raise ConfigError(f"unsupported fieldPath: {path}")


def named(pod: Object, container: Object, selector: Object) -> Object:
    """The container that a resourceFieldRef is about: the one it names, else the one that asks."""
    name = selector.get("containerName") or container["name"]
    return next((each for each in all_containers(pod) if each["name"] == name), container)


def resource_of(container: Object, selector: Object, place: Place) -> str:
    """A limit or request of the container, in units of the divisor, rounded up; without a limit the node's size is one."""
    kind, _, name = str(selector.get("resource", "")).partition(".")
    given = (container.get("resources") or {}).get(kind) or {}
    amount = given.get(name) or (place.allocatable.get(name) if kind == "limits" and name in _NODE_LIMITS else None)
    if amount is None:
        return "0"
    divisor = quantity.parse(str(selector.get("divisor") or "1"))
    divisor = divisor if divisor else quantity.parse("1")
    return str(-(-quantity.parse(amount).nano // divisor.nano))
