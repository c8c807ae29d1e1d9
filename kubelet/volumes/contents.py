"""Files that come from the API: configMap, secret, downwardAPI and projected volumes, as path -> text for one container.

Only what a container mounts is looked up. Persistent volumes, emptyDir and hostPath are not here; a projected volume with a token of a
ServiceAccount is `tokens.py`'s, whole. Upstream: `pkg/volume/configmap`, `pkg/volume/projected`; messages as `operation_generator.go` has
them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

from kube.objects import Object
from kube.resources import CONFIG_MAPS, SECRETS
from kubelet.environment import ConfigError, Fetch, Place, Sources, field_of, named, resource_of


class MountError(Exception):
    """A volume cannot be set up; the text is the FailedMount event's message."""


async def files_of(pod: Object, container: Object, *, fetch: Fetch, place: Place) -> Mapping[str, str]:
    """The files under the container's mounts; `fetch` has the ConfigMaps and Secrets. Raises MountError, which names the volume."""
    volumes, mounts = _mounts(pod, container)
    if not mounts:
        return {}
    look_up = LookUp(pod, container, Sources(pod, fetch, binary=True), place)
    found: dict[str, str] = {}
    for mount in mounts:
        volume = volumes[mount["name"]]
        try:
            contents = {path: text async for path, text in look_up.volume(volume)}
        except ConfigError as error:
            raise MountError(f'MountVolume.SetUp failed for volume "{volume["name"]}" : {error}') from error
        found |= mounted(contents, mount)
    return found


def has_contents(pod: Object, container: Object) -> bool:
    """Whether the container mounts something that has files from here."""
    return bool(_mounts(pod, container)[1])


def _mounts(pod: Object, container: Object) -> tuple[Mapping[str, Object], Sequence[Object]]:
    """The volumes with contents, by name, and the container's mounts of them."""
    volumes = {each["name"]: each for each in pod["spec"].get("volumes") or () if _has_contents(each)}
    return volumes, [each for each in container.get("volumeMounts") or () if each["name"] in volumes]


def _has_contents(volume: Object) -> bool:
    if "projected" in volume:
        return not any("serviceAccountToken" in each for each in volume["projected"].get("sources") or ())
    return any(kind in volume for kind in ("configMap", "secret", "downwardAPI"))


def mounted(contents: Mapping[str, str], mount: Object) -> dict[str, str]:
    """The volume's files where the container sees them; with a subPath only that file or folder."""
    target, sub_path = mount["mountPath"].rstrip("/"), (mount.get("subPath") or "").strip("/")
    if not sub_path:
        return {f"{target}/{path}": text for path, text in contents.items()}
    if sub_path in contents:
        return {target: contents[sub_path]}
    return {target + path[len(sub_path) :]: text for path, text in contents.items() if path.startswith(sub_path + "/")}


class LookUp:
    """The contents of volumes, for one container of a pod."""

    def __init__(self, pod: Object, container: Object, sources: Sources, place: Place) -> None:
        self._pod, self._container, self._sources, self._place = pod, container, sources, place

    async def volume(self, volume: Object) -> AsyncIterator[tuple[str, str]]:
        """(path, text) of every file of the volume. Raises ConfigError."""
        parts = volume["projected"].get("sources") or () if "projected" in volume else [volume]
        for part in parts:
            async for found in self.source(part):
                yield found

    async def source(self, source: Object) -> AsyncIterator[tuple[str, str]]:
        if "downwardAPI" in source:
            for item in source["downwardAPI"].get("items") or ():
                yield item["path"], self._downward(item)
            return
        resource, wanted = (CONFIG_MAPS, source["configMap"]) if "configMap" in source else (SECRETS, source.get("secret") or {})
        name = wanted.get("name") or wanted.get("secretName") or ""
        data = await self._sources.data(resource, name, optional=bool(wanted.get("optional")))
        items = wanted.get("items") or [{"key": key, "path": key} for key in data or ()]
        for item in items:
            if data is not None and item["key"] in data:
                yield item["path"], data[item["key"]]
            elif not wanted.get("optional"):
                raise ConfigError(f"references non-existent {resource.kind.lower()} key: {item['key']}")

    def _downward(self, item: Object) -> str:
        if "fieldRef" not in item:
            selector = item.get("resourceFieldRef") or {}
            return resource_of(named(self._pod, self._container, selector), selector, self._place)
        path = item["fieldRef"].get("fieldPath", "")
        if path in ("metadata.labels", "metadata.annotations"):
            pairs = self._pod["metadata"].get(path.partition(".")[2]) or {}
            return "\n".join(f'{key}="{value}"' for key, value in sorted(pairs.items()))
        return field_of(self._pod, path, self._place)
