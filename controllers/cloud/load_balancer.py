"""Services of type LoadBalancer get one: an address in their status that answers, and a finalizer that holds them until it is given back.

Promises: a Service with a loadBalancerClass is somebody else's; one that is no LoadBalancer any more loses finalizer and address; the same
Service keeps its address. With a `Balancer` an address is not told before its ports are listened on, and a port that cannot be is told with
its error (`status.loadBalancer.ingress[].ports`), in an Event, and tried again; without one addresses are given and nothing listens there.
Source: upstream cloud-provider `controllers/service/controller.go`, with its events.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from kube.client.client import PatchKind
from kube.objects import Object, annotations_of, is_deleting, key_of, labels_of, name_of, namespace_of, resource_version_of, uid_of
from kube.resources import NODES, SERVICES
from kube.runtime.controller import Run
from kube.runtime.perform import Action, Patch, Record, perform
from kube.runtime.rates import backoff_s

from .balancer import Balancer
from .balancing import PortKey, PortProblem, frontends, listen_problem, port_statuses, unsupported
from .local_cloud import LocalCloud, NoAddress, addresses_of, ingress_of
from .targets import Targets

FINALIZER: Final = "service.kubernetes.io/load-balancer-cleanup"
EXCLUDED: Final = "node.kubernetes.io/exclude-from-external-load-balancers"
TO_BE_DELETED: Final = "ToBeDeletedByClusterAutoscaler"
RETRY_S: Final = 5.0
"""After how long a port that could not be listened on is tried again at first; RETRY_S_MAX in the end."""
RETRY_S_MAX: Final = 300.0
NODES_KEY: Final = "nodes"
"""The one key that is no Service's: the set of nodes has changed."""


def plan(
    desired: Object,
    observed: Collection[str],
    now: datetime,
    *,
    cloud: LocalCloud,
    has_nodes: bool = True,
    problems: Mapping[PortKey, PortProblem] | None = None,
    told: Mapping[PortKey, PortProblem] | None = None,
) -> list[Action]:
    """What to do about a Service; `observed` are the addresses of all other load balancers, `problems` why ports do not answer, `told` what
    of these was said when the same was tried before (None: nothing was)."""
    problems = problems or {}
    if not wants(desired) or is_deleting(desired):
        return _without(desired) if needs_clean_up(desired) else []
    is_first, is_mended = told is None, bool(told) and not problems
    actions: list[Action] = [Record(desired, "Normal", "EnsuringLoadBalancer", "Ensuring load balancer")] if is_first else []
    if FINALIZER not in finalizers_of(desired):
        actions.append(_finalizers(desired, [*finalizers_of(desired), FINALIZER]))
    if not has_nodes and is_first:
        message = "There are no available nodes for LoadBalancer"
        actions.append(Record(desired, "Warning", "UnAvailableLoadBalancer", message))
    try:
        addresses = cloud.addresses(desired, observed)
    except NoAddress as error:
        message = f"Error syncing load balancer: failed to ensure load balancer: {error}"
        return [*actions, Record(desired, "Warning", "SyncLoadBalancerFailed", message)]
    new = [each for key, each in problems.items() if (told or {}).get(key) != each]
    actions += [Record(desired, "Warning", each.reason, each.message) for each in new]
    if is_first or is_mended:
        actions.append(Record(desired, "Normal", "EnsuredLoadBalancer", "Ensured load balancer"))
    ingress = [_point(desired, each, problems) for each in addresses]
    if [{"ipMode": "VIP", **each} for each in ingress_of(desired)] != ingress:
        actions.append(_status(desired, ingress))
    return actions


def _point(service: Object, address: str, problems: Mapping[PortKey, PortProblem]) -> Object:
    """A LoadBalancerIngress."""
    ports = port_statuses(service, address, problems)
    return {"ip": address, "ipMode": "VIP", **({"ports": ports} if ports else {})}


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


@dataclass(frozen=True, slots=True)
class _Tried:
    """A Service (what of it concerns its load balancer) some of whose ports could not be listened on, so many times in a row."""

    concern: object
    problems: Mapping[PortKey, PortProblem]
    times: int


class LoadBalancerController:
    """Keys are namespace/name of Services, and NODES_KEY."""

    name = "service"

    def __init__(self, cloud: LocalCloud, balancer: Balancer | None = None) -> None:
        self._cloud, self._balancer = cloud, balancer
        self._given: dict[str, list[str]] = {}
        """Addresses by key, ahead of the cache."""
        self._hosts: dict[str, frozenset[tuple[str, str]]] = {}
        self._tried: dict[str, _Tried] = {}

    def start(self, run: Run) -> None:
        self.run = run
        self.services = run.informers.of(SERVICES)
        self.nodes = run.informers.of(NODES)
        self._targets: Targets | None = None
        if self._balancer is not None:
            self._targets = Targets(run.informers, lambda: frozenset(name_of(each) for each in self.nodes.list() if takes_traffic(each)))
            self._balancer.targets = self._targets.of
        self.services.add_handler(self._changed)
        self.nodes.add_handler(self._node_changed)

    async def reconcile(self, key: str) -> float | None:
        if key == NODES_KEY:
            self._follow_nodes()
            return None
        service = self.services.get(key)
        if service is None:
            await self._forget(key)
            return None
        hosts = self._hosts_now()
        tried = self._tried.get(key)
        if tried is not None and tried.concern != _concern(service):
            tried = None
        problems = await self._listen(key, service)
        told = None if tried is None else tried.problems
        taken, now = self._taken(key), self.run.clock.now()
        actions = plan(service, taken, now, cloud=self._cloud, has_nodes=bool(hosts), problems=problems, told=told)
        for answer in await perform(actions, client=self.run.client, events=self.run.events):
            if answer is not None and resource_version_of(answer):
                self.services.put(answer)
        if not wants(service):
            await self._forget(key)
        self._hosts[key] = hosts
        return self._again(key, service, problems, 0 if tried is None else tried.times)

    async def _listen(self, key: str, service: Object) -> dict[PortKey, PortProblem]:
        """Have the balancer listen where the Service is to have it, before that is told; why some of its ports do not answer."""
        if not wants(service) or is_deleting(service):
            if self._balancer is not None:
                await self._balancer.ensure(key, ())
            return {}
        try:
            addresses = self._given[key] = self._cloud.addresses(service, self._taken(key))
        except NoAddress:
            addresses = []
            self._given.pop(key, None)
        if self._balancer is None:
            return {}
        wanted = {each.place: each for each in frontends(service, addresses)}
        failed = await self._balancer.ensure(key, wanted.values())
        return unsupported(service) | {(*place, "TCP"): listen_problem(wanted[place], error) for place, error in failed.items()}

    def _again(self, key: str, service: Object, problems: Mapping[PortKey, PortProblem], times: int) -> float | None:
        """When to try once more; what was said is not said again then."""
        if not any(each.is_passing for each in problems.values()):
            self._tried.pop(key, None)
            return None
        self._tried[key] = _Tried(_concern(service), problems, times + 1)
        return backoff_s(times, base_s=RETRY_S, max_s=RETRY_S_MAX)

    async def _forget(self, key: str) -> None:
        for each in (self._given, self._hosts, self._tried):
            each.pop(key, None)
        if self._balancer is not None:
            await self._balancer.ensure(key, ())

    def _taken(self, key: str) -> set[str]:
        others = (each for each in self.services.list() if key_of(each) != key)
        shown = {address for each in others if wants(each) for address in addresses_of(each)}
        return shown | {address for other, given in self._given.items() if other != key for address in given}

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
        took, takes = (each is not None and takes_traffic(each) for each in (old, new))
        if self._targets is not None and took != takes:
            self._targets.nodes_changed()
        before, after = (each is not None and EXCLUDED not in labels_of(each) for each in (old, new))
        ids = [(each or {}).get("spec", {}).get("providerID") for each in (old, new)]
        if before != after or ids[0] != ids[1]:
            self.run.queue.add(NODES_KEY)
