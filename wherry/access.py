"""What a cluster's own components may do beyond what the API server itself grants at its first start: applied by `wherry up`."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import yaml

from kube.client.client import Client
from kube.resources import Resource

MANAGER = "wherry"
_PLURALS = {"ClusterRole": "clusterroles", "ClusterRoleBinding": "clusterrolebindings", "Role": "roles", "RoleBinding": "rolebindings"}


def roles() -> list[Any]:
    """The roles and bindings of the metrics server."""
    return list(yaml.safe_load_all((files("controllers.metrics") / "access.yaml").read_text()))


async def grant(client: Client) -> None:
    """Make it so. Raises ApiError, OSError."""
    for each in roles():
        group, _, version = each["apiVersion"].partition("/")
        resource = Resource(group, version, _PLURALS[each["kind"]], each["kind"], namespaced="namespace" in each["metadata"])
        await client.apply(resource, each, field_manager=MANAGER, force=True)
