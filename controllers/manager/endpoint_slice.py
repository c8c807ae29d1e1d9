"""EndpointSlices: for each Service with a selector, where its pods can be reached, at most 100 endpoints a slice.

Promises: ready, serving and terminating as upstream tells them; one set of slices for each address family and each set of ports;
few writes: an endpoint stays in its slice, and new ones fill slices that are being written anyway. A Service without any endpoint
still has one empty slice. Read first: `endpoint_pod.py`; hints by annotation are `topology_hints.py`'s.
Source: upstream `staging/src/k8s.io/endpointslice/reconciler.go`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from kube.objects import Object, controller_reference, is_deleting, key_of, labels_of, name_of, namespace_of, uid_of
from kube.resources import ENDPOINT_SLICES, NODES, PODS, SERVICES
from kube.runtime.controller import Run
from kube.runtime.perform import Action, Create, Delete, Record, Update, perform

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
from .own_writes import OwnWrites
from .pod import is_ready
from .status import meaningful
from .topology_hints import DISABLED, ZONE, counts_node, is_auto, ratios_of, with_hints
from .trigger_time import TriggerTimes, triggered

SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
MANAGER = "endpointslice-controller.k8s.io"
ENDPOINTS_MAX = 100
CHANGES_BATCHED_S = 0.1
"""Pods come and go in bursts: so long is waited for the others before a slice, which may be large, is written."""
_SERVICE = "service"
_RESERVED = frozenset({SERVICE_NAME, MANAGED_BY, HEADLESS})
_NAME_MAX = 63

Ports = tuple[str, str]
"""What slices are grouped by: the address family, and the ports as canonical JSON."""


def plan(
    desired: Object, observed: Sequence[Object], now: datetime, *, pods: Sequence[Object], nodes: Mapping[str, Object]
) -> list[Action]:
    """The slices to create, update or delete for a Service. `observed` are its slices, `pods` those it selects."""
    wanted = endpoints_of(desired, pods, nodes)
    if is_auto(desired):
        _keep_hints(wanted, observed)
    existing: dict[Ports, list[Object]] = {}
    for each in observed:
        existing.setdefault((each.get("addressType", ""), _canonical(each.get("ports") or [])), []).append(each)
    actions: list[Action] = []
    kept = 0
    for group in {**existing, **wanted}:
        done, left = _fill(desired, group, wanted.get(group, []), existing.get(group, []))
        actions += done
        kept += left
    if not kept and not any(isinstance(each, Create) for each in actions):
        return _placeholders(desired, observed, [each for each in actions if not isinstance(each, Delete)])
    return _reusing(actions, {name_of(each): each for each in observed})


def _reusing(actions: Sequence[Action], observed: Mapping[str, Object]) -> list[Action]:
    """The actions, where a slice that would be deleted becomes one that would be created."""
    deleted = [each for each in actions if isinstance(each, Delete)]
    out: list[Action] = []
    for each in actions:
        if isinstance(each, Delete):
            continue
        family = each.obj["addressType"] if isinstance(each, Create) else ""
        spare = next((one for one in deleted if observed[one.name].get("addressType") == family), None)
        if isinstance(each, Create) and spare is not None:
            deleted.remove(spare)
            old, new = observed[spare.name], each.obj
            metadata = {**old["metadata"], "labels": new["metadata"]["labels"], "ownerReferences": new["metadata"]["ownerReferences"]}
            out.append(Update(ENDPOINT_SLICES, {**old, "metadata": metadata, "endpoints": new["endpoints"], "ports": new["ports"]}))
        else:
            out.append(each)
    return [*out, *deleted]


def endpoints_of(service: Object, pods: Sequence[Object], nodes: Mapping[str, Object]) -> dict[Ports, list[Object]]:
    """The endpoints, by family and ports. Pods of nodes that are not known (yet) are left out, as upstream does."""
    out: dict[Ports, list[Object]] = {}
    families = families_of(service)
    for pod in pods:
        node = nodes.get(pod["spec"].get("nodeName", ""))
        if node is None or not is_endpoint(pod, also_terminating=True):
            continue
        ports = _canonical(ports_of(service, pod))
        for family in families:
            addresses = addresses_of(pod, family)
            if addresses:
                out.setdefault((family, ports), []).append(endpoint_of(service, pod, node, addresses))
    return out


def _keep_hints(wanted: Mapping[Ports, Sequence[Object]], observed: Sequence[Object]) -> None:
    """Of hints by annotation it is decided afterwards whether they must change."""
    hints = {_identity(each): each["hints"] for one in observed for each in one.get("endpoints") or () if each.get("hints")}
    for endpoints in wanted.values():
        for each in endpoints:
            if _identity(each) in hints:
                each["hints"] = hints[_identity(each)]


def endpoint_of(service: Object, pod: Object, node: Object, addresses: list[str]) -> Object:
    serving, terminating = is_ready(pod), is_deleting(pod)
    ready = bool(service["spec"].get("publishNotReadyAddresses")) or (serving and not terminating)
    endpoint: Object = {
        "addresses": addresses,
        "conditions": {"ready": ready, "serving": serving, "terminating": terminating},
        "targetRef": reference_to(pod),
        "nodeName": name_of(node),
    }
    zone, hostname = labels_of(node).get(ZONE, ""), hostname_of(pod, service)
    if zone:
        endpoint["zone"] = zone
    if hostname:
        endpoint["hostname"] = hostname
    by_field = ready and not is_auto(service)
    hints = _hints(service["spec"].get("trafficDistribution"), zone, name_of(node)) if by_field else {}
    return endpoint | ({"hints": hints} if hints else {})


def _hints(distribution: str | None, zone: str, node: str) -> Object:
    """To whom the endpoint is recommended (KEP-4444, KEP-3015)."""
    hints: Object = {}
    if distribution in ("PreferClose", "PreferSameZone", "PreferSameNode") and zone:
        hints["forZones"] = [{"name": zone}]
    if distribution == "PreferSameNode":
        hints["forNodes"] = [{"name": node}]
    return hints


def _canonical(ports: Sequence[Object]) -> str:
    return json.dumps([meaningful(each) for each in ports], sort_keys=True)


# --- filling slices -----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Draft:
    """A slice as it will be."""

    slice: Object
    endpoints: list[Object] = field(default_factory=list)
    is_changed: bool = False


def _fill(service: Object, group: Ports, wanted: Sequence[Object], existing: Sequence[Object]) -> tuple[list[Action], int]:
    """Spread the endpoints of one group over its slices; the actions, and how many slices are there afterwards."""
    left = {_identity(each): each for each in wanted}
    drafts = [_drop_unwanted(each, left) for each in existing]
    rest = list(left.values())
    for draft in drafts:
        if rest and draft.is_changed:
            rest = _top_up(draft, rest)
    if rest:
        rest = _place_rest(drafts, rest)
    actions: list[Action] = []
    labels = labels_for(service)
    kept = 0
    for draft in drafts:
        if not draft.endpoints:
            actions.append(Delete(ENDPOINT_SLICES, namespace_of(draft.slice), name_of(draft.slice), uid=uid_of(draft.slice)))
            continue
        kept += 1
        if draft.is_changed or labels_of(draft.slice) != labels:
            metadata = {**draft.slice["metadata"], "labels": labels}
            actions.append(Update(ENDPOINT_SLICES, {**draft.slice, "metadata": metadata, "endpoints": draft.endpoints}))
    for start in range(0, len(rest), ENDPOINTS_MAX):
        actions.append(Create(ENDPOINT_SLICES, new_slice(service, group, rest[start : start + ENDPOINTS_MAX])))
    return actions, kept


def _identity(endpoint: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(endpoint.get("addresses") or ()), (endpoint.get("targetRef") or {}).get("uid")


def _drop_unwanted(existing: Object, left: dict[tuple[Any, ...], Object]) -> _Draft:
    """The slice without what is not wanted, and what stays as it is now wanted. Takes what it has off `left`."""
    draft = _Draft(existing)
    for each in existing.get("endpoints") or ():
        wanted = left.pop(_identity(each), None)
        if wanted is None:
            draft.is_changed = True
            continue
        draft.is_changed = draft.is_changed or meaningful(wanted) != meaningful(each)
        draft.endpoints.append(wanted)
    return draft


def _top_up(draft: _Draft, rest: list[Object]) -> list[Object]:
    room = max(0, ENDPOINTS_MAX - len(draft.endpoints))
    draft.endpoints += rest[:room]
    draft.is_changed = draft.is_changed or room > 0
    return rest[room:]


def _place_rest(drafts: Sequence[_Draft], rest: list[Object]) -> list[Object]:
    """A slice that need not be written is, only when it takes all that is left over a whole number of new slices."""
    over = len(rest) % ENDPOINTS_MAX
    candidates = [each for each in drafts if not each.is_changed and each.endpoints and len(each.endpoints) + over <= ENDPOINTS_MAX]
    if not over or not candidates:
        return rest
    fullest = max(candidates, key=lambda each: len(each.endpoints))
    _top_up(fullest, rest[len(rest) - over :])
    return rest[: len(rest) - over]


def _placeholders(service: Object, observed: Sequence[Object], others: list[Action]) -> list[Action]:
    """One empty slice for each family, so that everyone can see that the Service has no endpoints."""
    actions, kept = list(others), set()
    for family in families_of(service):
        wanted = new_slice(service, (family, "[]"), [])
        for each in observed:
            is_empty = not each.get("endpoints") and not each.get("ports")
            if is_empty and each.get("addressType") == family and labels_of(each) == labels_for(service):
                kept.add(name_of(each))
                break
        else:
            actions.append(Create(ENDPOINT_SLICES, wanted))
    unwanted = [each for each in observed if name_of(each) not in kept]
    return actions + [Delete(ENDPOINT_SLICES, namespace_of(each), name_of(each), uid=uid_of(each)) for each in unwanted]


def labels_for(service: Object) -> dict[str, str]:
    """The labels of a Service's slices: its own, and those by which slices are found."""
    own = {key: value for key, value in labels_of(service).items() if key not in _RESERVED}
    headless = {HEADLESS: ""} if is_headless(service) else {}
    return {**own, SERVICE_NAME: name_of(service), MANAGED_BY: MANAGER, **headless}


def new_slice(service: Object, group: Ports, endpoints: list[Object]) -> Object:
    family, ports = group
    name = name_of(service)
    metadata = {
        "generateName": f"{name}-" if len(name) < _NAME_MAX else name,
        "namespace": namespace_of(service),
        "labels": labels_for(service),
        "ownerReferences": [controller_reference(service, api_version="v1", kind="Service")],
    }
    named = [{"name": "", **each} for each in json.loads(ports)]
    return {
        "apiVersion": ENDPOINT_SLICES.api_version,
        "kind": ENDPOINT_SLICES.kind,
        "metadata": metadata,
        "addressType": family,
        "endpoints": endpoints,
        "ports": named,
    }


# --- the loop -------------------------------------------------------------------------------------------------------------------


class EndpointSliceController:
    """Gathers a Service's pods and slices. Keys are namespace/name of Services."""

    name = "endpoint_slice"

    def start(self, run: Run) -> None:
        self.run = run
        self.services = run.informers.of(SERVICES)
        self.pods = run.informers.of(PODS)
        self.nodes = run.informers.of(NODES)
        self.slices = run.informers.of(ENDPOINT_SLICES)
        self.slices.add_index(_SERVICE, _service_of_slice)
        self.writes = OwnWrites(self.slices)
        self._waiting_for_node: dict[str, set[str]] = {}
        self._times = TriggerTimes()
        self._hinted: set[str] = set()
        """Services that have hints by annotation."""
        self.services.add_handler(self._service_changed)
        self.pods.add_handler(self._pod_changed)
        self.nodes.add_handler(self._node_changed)
        self.slices.add_handler(self._slice_changed)

    async def reconcile(self, key: str) -> float | None:
        service = self.services.get(key)
        if service is None or is_deleting(service) or not selects_pods(service):
            return None
        pods = [pod for pod in self.pods.list(namespace_of(service)) if matches(service, pod)]
        nodes = self._nodes_of(key, pods)
        observed = self.writes.without_gone(self.slices.by_index(_SERVICE, key))
        living = [each for each in observed if not is_deleting(each)]
        actions = self._with_hints(key, service, living, plan(service, living, self.run.clock.now(), pods=pods, nodes=nodes))
        by_name = {name_of(each): each for each in observed}
        actions = triggered(actions, self._times.look(service, pods))
        answers = await perform(actions, client=self.run.client, events=self.run.events)
        for action, answer in zip(actions, answers, strict=True):
            if isinstance(action, Delete):
                self.writes.note_deleted(by_name[action.name], answer)
            elif not isinstance(action, Record):
                self.writes.note(answer)
        return None

    def _with_hints(self, key: str, service: Object, observed: Sequence[Object], actions: list[Action]) -> list[Action]:
        had_hints = key in self._hinted
        if not is_auto(service):
            self._hinted.discard(key)
            reason, message = "TopologyAwareHintsDisabled", f"{DISABLED}, addressType: {families_of(service)[0]}"
            return [*actions, Record(service, "Warning", reason, message)] if had_hints else actions
        hinted = with_hints(service, actions, observed, ratios_of(self.nodes.list()), had_hints=had_hints)
        is_off = any(isinstance(each, Record) and each.reason == "TopologyAwareHintsDisabled" for each in hinted)
        (self._hinted.discard if is_off else self._hinted.add)(key)
        return hinted

    def _nodes_of(self, key: str, pods: Sequence[Object]) -> dict[str, Object]:
        """The nodes of these pods; Services that wait for a node are remembered, to be looked at again when it comes."""
        found: dict[str, Object] = {}
        for name in {pod["spec"].get("nodeName", "") for pod in pods} - {""}:
            node = self.nodes.get(name)
            if node is not None:
                found[name] = node
            else:
                self._waiting_for_node.setdefault(name, set()).add(key)
        return found

    def _service_changed(self, old: Object | None, new: Object | None) -> None:
        if new is not None:
            self.run.queue.add(key_of(new))
        elif old is not None:
            self._times.forget(key_of(old))
            self._hinted.discard(key_of(old))

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        namespace = namespace_of(new or old or {})
        for key in services_of(self.services.list(namespace), old, new):
            self.run.queue.add_after(key, CHANGES_BATCHED_S)

    def _node_changed(self, old: Object | None, new: Object | None) -> None:
        if new is not None:
            for key in self._waiting_for_node.pop(name_of(new), ()):
                self.run.queue.add(key)
        if old is not None and new is not None and labels_of(old).get(ZONE) != labels_of(new).get(ZONE):
            for service in self.services.list():
                self.run.queue.add_after(key_of(service), CHANGES_BATCHED_S)
        elif old is None or new is None or counts_node(old) != counts_node(new):
            for service in self.services.list():
                if is_auto(service):
                    self.run.queue.add_after(key_of(service), CHANGES_BATCHED_S)

    def _slice_changed(self, old: Object | None, new: Object | None) -> None:
        """Somebody else changed or deleted a slice: make it right again."""
        for each in (old, new):
            for key in _service_of_slice(each) if each is not None else ():
                self.run.queue.add_after(key, CHANGES_BATCHED_S)


def _service_of_slice(endpoint_slice: Object) -> list[str]:
    """The key of the Service whose slice this is, if it is one of ours."""
    labels = labels_of(endpoint_slice)
    if labels.get(MANAGED_BY) != MANAGER or not labels.get(SERVICE_NAME):
        return []
    return [f"{namespace_of(endpoint_slice)}/{labels[SERVICE_NAME]}"]
