"""Which node somebody is. Source: kubernetes `pkg/auth/nodeidentifier/default.go`."""

from __future__ import annotations

from typing import Final

from apiserver.registry.kind import User

NODES_GROUP: Final = "system:nodes"
PREFIX: Final = "system:node:"


def node_of(user: User) -> str | None:
    """The name of the node that the user is: `system:node:NAME`, in the group of all nodes. None for whoever is no node; "" for a node
    without a name."""
    if user.name.startswith(PREFIX) and NODES_GROUP in user.groups:
        return user.name.removeprefix(PREFIX)
    return None
