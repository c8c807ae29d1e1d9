"""Where in a volume a mount begins: subPathExpr, expanded with the container's variables. Pure.

Rules and messages: upstream `kubelet_pods.go makeMounts`.
"""

from __future__ import annotations

from collections.abc import Mapping

from kube.objects import Object
from kubelet.environment import ConfigError, expanded


def with_sub_paths(container: Object, envs: Mapping[str, str]) -> Object:
    """The container with every subPathExpr as the subPath that it comes to. Raises ConfigError."""
    mounts = container.get("volumeMounts") or ()
    if not any(each.get("subPathExpr") for each in mounts):
        return container
    return {**container, "volumeMounts": [_resolved(each, envs) for each in mounts]}


def _resolved(mount: Object, envs: Mapping[str, str]) -> Object:
    expression = mount.get("subPathExpr")
    if not expression:
        return mount
    path = expanded(expression, envs)
    if "$(" in path.replace("$$(", ""):
        raise ConfigError(f"failed to expand subPath for volumeMount {mount['name']!r}: missing value for {expression}")
    if path.startswith("/"):
        raise ConfigError(f"error SubPath `{path}` must not be an absolute path")
    if ".." in path.split("/"):
        raise ConfigError(f"unable to provision SubPath `{path}`: must not contain '..'")
    return {**{key: value for key, value in mount.items() if key != "subPathExpr"}, "subPath": path}
