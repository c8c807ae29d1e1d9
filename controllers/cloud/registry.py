"""The controllers of the cloud controller manager, by upstream's names. Source: cloud-provider `names/controller_names.go`."""

from __future__ import annotations

from controllers.selection import Registered

from .balancer import Balancer
from .load_balancer import LoadBalancerController
from .local_cloud import LocalCloud
from .node import CloudNodeController
from .node_lifecycle import CloudNodeLifecycleController
from .route import RouteController


def controllers_of(cloud: LocalCloud, balancer: Balancer | None = None) -> dict[str, Registered[None]]:
    """Each, for that cloud. Without a balancer load balancers have addresses where nothing listens."""
    return {
        "cloud-node-controller": Registered(lambda _: CloudNodeController(cloud), "cloud-node", "cloud-node-controller"),
        "cloud-node-lifecycle-controller": Registered(
            lambda _: CloudNodeLifecycleController(cloud), "cloud-node-lifecycle", "cloud-node-lifecycle-controller", 1
        ),
        "service-lb-controller": Registered(lambda _: LoadBalancerController(cloud, balancer), "service", "service-controller"),
        "node-route-controller": Registered(lambda _: RouteController(), "route", "route_controller", 1),
    }
