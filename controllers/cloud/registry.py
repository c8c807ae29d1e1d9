"""The controllers of the cloud controller manager, by upstream's names. Source: cloud-provider `names/controller_names.go`."""

from __future__ import annotations

from controllers.selection import Registered

from .load_balancer import LoadBalancerController
from .local_cloud import LocalCloud
from .node import CloudNodeController
from .node_lifecycle import CloudNodeLifecycleController
from .route import RouteController


def controllers_of(cloud: LocalCloud) -> dict[str, Registered[None]]:
    """Each, for that cloud."""
    return {
        "cloud-node-controller": Registered(lambda _: CloudNodeController(cloud), "cloud-node", "cloud-node-controller"),
        "cloud-node-lifecycle-controller": Registered(
            lambda _: CloudNodeLifecycleController(cloud), "cloud-node-lifecycle", "cloud-node-lifecycle-controller", 1
        ),
        "service-lb-controller": Registered(lambda _: LoadBalancerController(cloud), "service", "service-controller"),
        "node-route-controller": Registered(lambda _: RouteController(), "route", "route_controller", 1),
    }
