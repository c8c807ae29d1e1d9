"""Services of type LoadBalancer get one: an address in their status, and a finalizer that holds them until it is given back.

Promises: a Service with a loadBalancerClass is somebody else's; one that is no LoadBalancer any more loses finalizer and address; the same
Service keeps its address. Source: upstream cloud-provider `controllers/service/controller.go`, with its events.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Final

from kube.client.client import PatchKind
from kube.objects import Object, annotations_of, is_deleting, key_of, labels_of, name_of, namespace_of, resource_version_of, uid_of
from kube.resources import NODES, SERVICES
from kube.runtime.controller import Run
from kube.runtime.perform import Action, Patch, Record, perform

from .local_cloud import LocalCloud, NoAddress, addresses_of

FINALIZER: Final = "service.kubernetes.io/load-balancer-cleanup"
EXCLUDED: Final = "node.kubernetes.io/exclude-from-external-load-balancers"
TO_BE_DELETED: Final = "ToBeDeletedByClusterAutoscaler"
NODES_KEY: Final = "nodes"
"""The one key that is no Service's: the set of nodes has changed."""


def plan(desired: Object, observed: Collection[str], now: datetime, *, cloud: LocalCloud, has_nodes: bool = True) -> list[Action]:
    """What to do about a Service; `observed` are the addresses of all other load balancers."""
    if not wants(desired):
        return _without(desired) if needs_clean_up(desired) else []
    if is_deleting(desired):
        return _without(desired) if needs_clean_up(desired) else []
    actions: list[Action] = [Record(desired, "Normal", "EnsuringLoadBalancer", "Ensuring load balancer")]
    if FINALIZER not in finalizers_of(desired):
        actions.append(_finalizers(desired, [*finalizers_of(desired), FINALIZER]))
    if not has_nodes:
        message = "There are no available nodes for LoadBalancer"
        actions.append(Record(desired, "Warning", "UnAvailableLoadBalancer", message))
    try:
        address = cloud.address(desired, observed)
    except NoAddress as error:
        message = f"Error syncing load balancer: failed to ensure load balancer: {error}"
        return [*actions, Record(desired, "Warning", "SyncLoadBalancerFailed", message)]
    actions.append(Record(desired, "Normal", "EnsuredLoadBalancer", "Ensured load balancer"))
    if addresses_of(desired) != [address]:
        actions.append(_status(desired, [{"ip": address, "ipMode": "VIP"}]))
    return actions


def _without(service: Object) -> list[Action]:
    """Give the load balancer back: what there is of it is its address."""
    deleting: list[Action] = [Record(service, "Normal", "DeletingLoadBalancer", "Deleting load balancer")] if addresses_of(service) else []
    status = [_status(service, None)] if addresses_of(service) and not is_deleting(service) else []
    let_go = _finalizers(service, [each for each in finalizers_of(service) if each != FINALIZER])
    return [*deleting, *status, let_go, Record(service, "Normal", "DeletedLoadBalancer", "Deleted load balancer")]


def _finalizers(service: Object, wanted: list[str]) -> Patch:
    body = {"metadata": {"uid": uid_of(service), "finalizers": wanted}}
    return Patch(SERVICES, namespace_of(service), name_of(service), body, PatchKind.MERGE, subresource="status")


def _status(service: Object, ingress: list[Object] | None) -> Patch:
    body = {"metadata": {"uid": uid_of(service)}, "status": {"loadBalancer": {"ingress": ingress}}}
    return Patch(SERVICES, namespace_of(service), name_of(service), body, PatchKind.MERGE, subresource="status")


def wants(service: Object) -> bool:
    """Whether the Service is to have one of this cloud's load balancers."""
    return service["spec"].get("type") == "LoadBalancer" and service["spec"].get("loadBalancerClass") is None


def needs_clean_up(service: Object) -> bool:
    return FINALIZER in finalizers_of(service) and (is_deleting(service) or service["spec"].get("type") != "LoadBalancer")


def finalizers_of(obj: Object) -> list[str]:
    return list(obj["metadata"].get("finalizers") or ())


def needs_update(old: Object, new: Object) -> bool:
    """Whether the change of a Service concerns its load balancer."""
    if not wants(old) and not wants(new):
        return False
    return _concern(old) != _concern(new)


def _concern(service: Object) -> object:
    spec = service["spec"]
    names = (
        "type", "loadBalancerClass", "loadBalancerSourceRanges", "loadBalancerIP", "ports", "sessionAffinity", "sessionAffinityConfig",
        "externalIPs", "externalTrafficPolicy", "healthCheckNodePort", "ipFamilies",
    )  # fmt: skip
    return uid_of(service), annotations_of(service), [spec.get(each) for each in names]


def takes_traffic(node: Object) -> bool:
    """Whether load balancers send anything to the node."""
    if is_deleting(node) or EXCLUDED in labels_of(node):
        return False
    return all(each.get("key") != TO_BE_DELETED for each in node["spec"].get("taints") or ())


class LoadBalancerController:
    """Keys are namespace/name of Services, and NODES_KEY."""

    name = "service"

    def __init__(self, cloud: LocalCloud) -> None:
        self._cloud = cloud
        self._given: dict[str, str] = {}
        """Addresses by key, ahead of the cache."""
        self._hosts: dict[str, frozenset[tuple[str, str]]] = {}

    def start(self, run: Run) -> None:
        self.run = run
        self.services = run.informers.of(SERVICES)
        self.nodes = run.informers.of(NODES)
        self.services.add_handler(self._changed)
        self.nodes.add_handler(self._node_changed)

    async def reconcile(self, key: str) -> float | None:
        if key == NODES_KEY:
            self._follow_nodes()
            return None
        service = self.services.get(key)
        if service is None:
            self._given.pop(key, None)
            self._hosts.pop(key, None)
            return None
        hosts = self._hosts_now()
        actions = plan(service, self._taken(key), self.run.clock.now(), cloud=self._cloud, has_nodes=bool(hosts))
        for action in actions:
            if isinstance(action, Patch) and (ingress := (action.body.get("status") or {}).get("loadBalancer", {}).get("ingress")):
                self._given[key] = ingress[0]["ip"]
        for answer in await perform(actions, client=self.run.client, events=self.run.events):
            if answer is not None and resource_version_of(answer):
                self.services.put(answer)
        if not wants(service):
            self._given.pop(key, None)
        self._hosts[key] = hosts
        return None

    def _taken(self, key: str) -> set[str]:
        others = (each for each in self.services.list() if key_of(each) != key)
        shown = {address for each in others if wants(each) for address in addresses_of(each)}
        return shown | {address for other, address in self._given.items() if other != key}

    def _changed(self, old: Object | None, new: Object | None) -> None:
        if new is None:
            if old is not None:
                self.run.queue.add(key_of(old))
        elif needs_clean_up(new) or (wants(new) and not is_deleting(new) if old is None else needs_update(old, new)):
            self.run.queue.add(key_of(new))

    # --- nodes

    def _hosts_now(self) -> frozenset[tuple[str, str]]:
        return frozenset((name_of(each), each["spec"].get("providerID", "")) for each in self.nodes.list() if takes_traffic(each))

    def _follow_nodes(self) -> None:
        """Tell of every load balancer that has other nodes behind it than before."""
        hosts = self._hosts_now()
        for service in self.services.list():
            key = key_of(service)
            if not wants(service) or is_deleting(service) or self._hosts.get(key, hosts) == hosts:
                continue
            self._hosts[key] = hosts
            if hosts:
                self.run.events.record(service, "Normal", "UpdatedLoadBalancer", "Updated load balancer with new hosts")
            else:
                message = "There are no available nodes for LoadBalancer"
                self.run.events.record(service, "Warning", "UnAvailableLoadBalancer", message)

    def _node_changed(self, old: Object | None, new: Object | None) -> None:
        before, after = (each is not None and EXCLUDED not in labels_of(each) for each in (old, new))
        ids = [(each or {}).get("spec", {}).get("providerID") for each in (old, new)]
        if before != after or ids[0] != ids[1]:
            self.run.queue.add(NODES_KEY)
