"""Wherry for people: the `wherry` command and the Python API, `wherry.Cluster`.

Read `main.py` for the command, `plan.py` for what a cluster consists of, `cluster.py` for the Python API.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wherry.cluster import Cluster

__all__ = ["Cluster"]


def __getattr__(name: str) -> Any:
    """The whole of Kubernetes is imported by who asks for a Cluster, not by who imports the package."""
    if name == "Cluster":
        from wherry.cluster import Cluster

        return Cluster
    raise AttributeError(f"module 'wherry' has no attribute {name!r}")
