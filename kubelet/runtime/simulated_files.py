"""The files of a simulated container: its own, and those of the pod's emptyDirs, which its containers share and which outlive them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field

from kube.objects import Object


@dataclass(slots=True)
class SharedVolume:
    """One emptyDir: path in it -> text, and the directories that mounts have made in it."""

    files: dict[str, str] = field(default_factory=dict)
    directories: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Mount:
    """`where` it is in the container ("/data/"), and which part of the volume that is ("" or "sub/path/")."""

    where: str
    volume: SharedVolume
    part: str


def files_of(pod: Object, container: Object, volumes: dict[str, SharedVolume]) -> MutableMapping[str, str]:
    """The container's files at its creation. `volumes` are the pod's, by name; those that are missing are made."""
    empty = {each["name"] for each in pod["spec"].get("volumes") or () if "emptyDir" in each}
    mounts = [
        _Mount(f"{each['mountPath'].rstrip('/')}/", volumes.setdefault(each["name"], SharedVolume()), _part(each))
        for each in container.get("volumeMounts") or ()
        if each["name"] in empty
    ]
    return MountedFiles(mounts) if mounts else {}


def _part(mount: Object) -> str:
    part = (mount.get("subPath") or "").strip("/")
    return f"{part}/" if part else ""


class MountedFiles(MutableMapping[str, str]):
    """Path -> text, as the container sees it. Of nested mounts the innermost counts."""

    def __init__(self, mounts: list[_Mount]) -> None:
        self._own: dict[str, str] = {}
        self._mounts = sorted(mounts, key=lambda each: len(each.where), reverse=True)
        for each in mounts:
            if each.part:
                each.volume.directories.add(each.part.rstrip("/"))

    def __getitem__(self, path: str) -> str:
        files, key = self._at(path)
        return files[key]

    def __setitem__(self, path: str, text: str) -> None:
        files, key = self._at(path)
        files[key] = text

    def __delitem__(self, path: str) -> None:
        files, key = self._at(path)
        del files[key]

    def __iter__(self) -> Iterator[str]:
        yield from list(self._own)
        for mount in self._mounts:
            yield from self._seen(mount, mount.volume.files)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def directories(self) -> set[str]:
        """The mount points, and the directories of the volumes that are known without a file in them."""
        found = {each.where.rstrip("/") for each in self._mounts}
        return found.union(*(self._seen(each, dict.fromkeys(each.volume.directories, "")) for each in self._mounts))

    def _seen(self, mount: _Mount, paths: Mapping[str, str]) -> list[str]:
        inside = [f"{mount.where}{path[len(mount.part) :]}" for path in paths if path.startswith(mount.part)]
        return [path for path in inside if self._mount_of(path) is mount]

    def _mount_of(self, path: str) -> _Mount | None:
        return next((each for each in self._mounts if path.startswith(each.where)), None)

    def _at(self, path: str) -> tuple[dict[str, str], str]:
        """Whose a path is, and what it is called there."""
        mount = self._mount_of(path)
        return (self._own, path) if mount is None else (mount.volume.files, f"{mount.part}{path[len(mount.where) :]}")
