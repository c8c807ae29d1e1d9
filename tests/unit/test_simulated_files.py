"""Files of simulated containers: what is the container's own, and what is in an emptyDir that others have too."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from kube.objects import Object
from kubelet.runtime.simulated_files import MountedFiles, SharedVolume, files_of

POD: Object = {"spec": {"volumes": [{"name": "a", "emptyDir": {}}, {"name": "b", "emptyDir": {}}, {"name": "c", "configMap": {}}]}}


def mounting(volumes: dict[str, SharedVolume], *mounts: Any) -> MutableMapping[str, str]:
    """The files of a container with these (volume, path, sub-path) mounts."""
    listed = [{"name": name, "mountPath": path, "subPath": sub} for name, path, sub in mounts]
    return files_of(POD, {"name": "x", "volumeMounts": listed}, volumes)


def test_a_container_without_an_empty_directory_has_files_of_its_own_alone() -> None:
    assert not isinstance(mounting({}, ("c", "/c", "")), MountedFiles)


def test_what_one_writes_the_other_reads_and_removes() -> None:
    volumes: dict[str, SharedVolume] = {}
    one, other = mounting(volumes, ("a", "/one/", "")), mounting(volumes, ("a", "/other", ""))
    one["/one/x/y"] = "text"
    one["/own"] = "mine"
    assert (other["/other/x/y"], list(other), "/own" in other) == ("text", ["/other/x/y"], False)
    del other["/other/x/y"]
    assert (list(one), len(one)) == (["/own"], 1)


def test_a_sub_path_is_a_part_of_the_volume() -> None:
    volumes: dict[str, SharedVolume] = {}
    part, whole = mounting(volumes, ("a", "/part", "in/side")), mounting(volumes, ("a", "/whole", ""))
    part["/part/x"] = "text"
    whole["/whole/elsewhere"] = "other"
    assert (whole["/whole/in/side/x"], list(part)) == ("text", ["/part/x"])
    assert isinstance(whole, MountedFiles)
    assert whole.directories() == {"/whole", "/whole/in/side"}


def test_the_innermost_mount_counts() -> None:
    volumes: dict[str, SharedVolume] = {}
    files = mounting(volumes, ("a", "/data", ""), ("b", "/data/inner", ""))
    files["/data/inner/x"] = "of b"
    assert (volumes["a"].files, volumes["b"].files) == ({}, {"x": "of b"})
    volumes["a"].files["inner/hidden"] = "behind the mount"
    assert list(files) == ["/data/inner/x"]
