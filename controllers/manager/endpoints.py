"""Endpoints, the object that EndpointSlices have replaced, kept for those who still read it.

One object for each Service with a selector, of the Service's first address family, at most 1000 addresses.
Read first: `endpoint_pod.py`. Source: upstream `pkg/controller/endpoint/endpoints_controller.go` and `pkg/api/v1/endpoints/util.go`.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable, Sequence
from datetime import datetime

from kube.errors import NotFound
from kube.objects import Object, annotations_of, key_of, labels_of, name_of, namespace_of, split_key, uid_of
from kube.resources import ENDPOINTS, PODS, SERVICES
from kube.runtime.controller import Run
from kube.runtime.perform import Action, Create, Update, perform

from .endpoint_pod import (
    HEADLESS,
    addresses_of,
    families_of,
    hostname_of,
    is_endpoint,
    is_headless,
    matches,
    ports_of,
    reference_to,
    selects_pods,
    services_of,
)
from .pod import is_ready
from .status import meaningful
from .trigger_time import TriggerTimes, triggered

MANAGED_BY = "endpoints.kubernetes.io/managed-by"
MANAGER = "endpoint-controller"
OVER_CAPACITY = "endpoints.kubernetes.io/over-capacity"
LEADER = "control-plane.alpha.kubernetes.io/leader"
ADDRESSES_MAX = 1000
CHANGES_BATCHED_S = 0.1


def plan(desired: Object, observed: Object | None, now: datetime, *, pods: Sequence[Object]) -> list[Action]:
    """Create or update the Endpoints of a Service. `observed` are those it has, `pods` those it selects."""
    subsets, is_over = truncated(subsets_of(desired, pods))
    headless = {HEADLESS: ""} if is_headless(desired) else {}
    labels = {**{key: value for key, value in labels_of(desired).items() if key != HEADLESS}, MANAGED_BY: MANAGER, **headless}
    current = observed or {}
    annotations = {key: value for key, value in annotations_of(current).items() if key != OVER_CAPACITY}
    if is_over:
        annotations[OVER_CAPACITY] = "truncated"
    if observed is None:
        metadata = {"name": name_of(desired), "namespace": namespace_of(desired), "labels": labels}
        new = {"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata | ({"annotations": annotations} if annotations else {})}
        return [Create(ENDPOINTS, {**new, "subsets": subsets} if subsets else new)]
    same_metadata = labels_of(observed) == labels and annotations_of(observed) == annotations
    if same_metadata and meaningful(observed.get("subsets") or []) == meaningful(subsets):
        return []
    metadata = {**observed["metadata"], "labels": labels, "annotations": annotations}
    return [Update(ENDPOINTS, {**observed, "metadata": metadata, "subsets": subsets})]


def subsets_of(service: Object, pods: Sequence[Object]) -> list[Object]:
    """Addresses with the same ports are one subset. Order does not depend on the order of the pods."""
    publish = bool(service["spec"].get("publishNotReadyAddresses"))
    family = families_of(service)[0]
    groups: dict[str, tuple[list[Object], list[Object]]] = {}
    for pod in pods:
        addresses = addresses_of(pod, family)
        if not addresses or not is_endpoint(pod, also_terminating=publish):
            continue
        ports = ports_of(service, pod)
        if not ports and service["spec"].get("ports"):
            continue
        ready, not_ready = groups.setdefault(json.dumps(ports, sort_keys=True), ([], []))
        (ready if publish or is_ready(pod) else not_ready).append(_address(service, pod, addresses[0]))
    out = []
    for ports_text in sorted(groups):
        ready, not_ready = groups[ports_text]
        fields = {"addresses": _sorted(ready), "notReadyAddresses": _sorted(not_ready), "ports": json.loads(ports_text)}
        out.append({name: value for name, value in fields.items() if value})
    return out


def _address(service: Object, pod: Object, ip: str) -> Object:
    address: Object = {"ip": ip, "targetRef": reference_to(pod)}
    if pod["spec"].get("nodeName"):
        address["nodeName"] = pod["spec"]["nodeName"]
    hostname = hostname_of(pod, service)
    return address | ({"hostname": hostname} if hostname else {})


def _sorted(addresses: Iterable[Object]) -> list[Object]:
    return sorted(addresses, key=lambda each: (int(ipaddress.ip_address(each["ip"])), each["targetRef"]["uid"]))


def truncated(subsets: list[Object]) -> tuple[list[Object], bool]:
    """At most ADDRESSES_MAX addresses, ready ones first; whether some had to be left out."""
    count = sum(len(each.get("addresses") or ()) + len(each.get("notReadyAddresses") or ()) for each in subsets)
    if count <= ADDRESSES_MAX:
        return subsets, False
    room = ADDRESSES_MAX
    kept: list[Object] = [{"ports": each.get("ports") or []} for each in subsets]
    for field in ("addresses", "notReadyAddresses"):
        for new, old in zip(kept, subsets, strict=True):
            taken = (old.get(field) or [])[:room]
            room -= len(taken)
            if taken:
                new[field] = taken
    return [each for each in kept if "addresses" in each or "notReadyAddresses" in each], True


class EndpointsController:
    """Keys are namespace/name of Services, which are also those of their Endpoints."""

    name = "endpoint"

    def start(self, run: Run) -> None:
        self.run = run
        self.services = run.informers.of(SERVICES)
        self.pods = run.informers.of(PODS)
        self.endpoints = run.informers.of(ENDPOINTS)
        self._times = TriggerTimes()
        self.services.add_handler(lambda old, new: run.queue.add(key_of(new or old or {})))
        self.pods.add_handler(self._pod_changed)
        self.endpoints.add_handler(self._endpoints_changed)

    async def reconcile(self, key: str) -> float | None:
        service, observed = self.services.get(key), self.endpoints.get(key)
        if service is None:
            self._times.forget(key)
            if observed is not None and is_ours(observed):
                await self._delete(key, observed)
            return None
        if not selects_pods(service):
            return None
        pods = [pod for pod in self.pods.list(namespace_of(service)) if matches(service, pod)]
        actions = triggered(plan(service, observed, self.run.clock.now(), pods=pods), self._times.look(service, pods))
        for answer in await perform(actions, client=self.run.client, events=self.run.events):
            if answer is not None:
                self.endpoints.put(answer)
        return None

    async def _delete(self, key: str, observed: Object) -> None:
        namespace, name = split_key(key)
        try:
            await self.run.client.delete(ENDPOINTS, name, namespace=namespace, uid=uid_of(observed))
        except NotFound:
            return

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        namespace = namespace_of(new or old or {})
        for key in services_of(self.services.list(namespace), old, new):
            self.run.queue.add_after(key, CHANGES_BATCHED_S)

    def _endpoints_changed(self, old: Object | None, new: Object | None) -> None:
        """Left over from a Service that went while nobody looked, or changed by somebody else."""
        endpoints = new or old or {}
        if is_ours(endpoints):
            self.run.queue.add_after(key_of(endpoints), CHANGES_BATCHED_S)


def is_ours(endpoints: Object) -> bool:
    """Whether these Endpoints were made here: only such are deleted with their Service."""
    return labels_of(endpoints).get(MANAGED_BY) == MANAGER and LEADER not in annotations_of(endpoints)
