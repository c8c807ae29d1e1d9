"""Endpoints that somebody writes by hand, for Services without a selector, mirrored to EndpointSlices.

One slice for each family and set of ports, at most 1000 addresses of a subset. Not mirrored: Endpoints with the label
`endpointslice.kubernetes.io/skip-mirror`, those used for electing leaders, and those of Services with a selector (or without Service).
Source: upstream `pkg/controller/endpointslicemirroring`, `pkg/api/v1/endpoints/util.go`.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from kube.objects import Object, annotations_of, controller_reference, is_deleting, key_of, labels_of, name_of, namespace_of, uid_of
from kube.resources import ENDPOINT_SLICES, ENDPOINTS, SERVICES
from kube.runtime.controller import Run
from kube.runtime.perform import Action, Create, Delete, Record, Update, perform

from .endpoint_slice import MANAGED_BY, SERVICE_NAME
from .endpoints import LEADER
from .own_writes import OwnWrites
from .status import meaningful

MANAGER: Final = "endpointslicemirroring-controller.k8s.io"
SKIP: Final = "endpointslice.kubernetes.io/skip-mirror"
ADDRESSES_MAX: Final = 1000
CHANGES_BATCHED_S: Final = 0.5
_NOT_MIRRORED: Final = frozenset({"endpoints.kubernetes.io/last-change-trigger-time", "kubectl.kubernetes.io/last-applied-configuration"})
_SERVICE = "mirrored service"
_NAME_MAX = 63

Group = tuple[str, str]
"""The address family, and the ports as canonical JSON."""


@dataclass(slots=True)
class Wanted:
    """The endpoints that are to be in slices, by group, and what could not be mirrored."""

    groups: dict[Group, list[Object]] = field(default_factory=dict)
    invalid: int = 0
    skipped: int = 0


def plan(desired: Object | None, observed: Sequence[Object], now: datetime) -> list[Action]:
    """What to do so that the slices say what the Endpoints do; None for Endpoints that are not mirrored."""
    if desired is None:
        return [_delete(each) for each in observed]
    wanted = mirrored(desired)
    existing: dict[Group, list[Object]] = {}
    for each in observed:
        existing.setdefault((each.get("addressType", ""), _canonical(each.get("ports") or ())), []).append(each)
    creates: list[Object] = []
    updates: list[Object] = []
    spare = [each for group, several in existing.items() for each in several[1 if group in wanted.groups else 0 :]]
    for group, endpoints in wanted.groups.items():
        new = new_slice(desired, group, endpoints)
        if group not in existing:
            creates.append(new)
        elif not _says_the_same(existing[group][0], new):
            updates.append(_replacing(existing[group][0], new))
    actions: list[Action] = list(_events(desired, wanted))
    for new in [] if is_deleting(desired) else creates:
        reused = next((each for each in spare if each.get("addressType") == new["addressType"]), None)
        if reused is None:
            actions.append(Create(ENDPOINT_SLICES, new))
        else:
            spare.remove(reused)
            updates.append(_replacing(reused, new))
    return [*actions, *(Update(ENDPOINT_SLICES, each) for each in updates), *(_delete(each) for each in spare)]


def _delete(each: Object) -> Action:
    return Delete(ENDPOINT_SLICES, namespace_of(each), name_of(each), uid=uid_of(each))


def _replacing(old: Object, new: Object) -> Object:
    """The slice `old`, saying what `new` does."""
    metadata = {key: value for key, value in old["metadata"].items() if key not in ("annotations", "labels")}
    said = {key: new["metadata"][key] for key in ("annotations", "labels", "ownerReferences")}
    return {**old, "metadata": {**metadata, **said}, "endpoints": new["endpoints"], "ports": new["ports"]}


def _says_the_same(old: Object, new: Object) -> bool:
    if labels_of(old) != labels_of(new) or annotations_of(old) != annotations_of(new):
        return False
    return sorted(_text(each) for each in old.get("endpoints") or ()) == sorted(_text(each) for each in new["endpoints"])


def _text(endpoint: Object) -> str:
    return json.dumps(meaningful(endpoint), sort_keys=True)


def _events(endpoints: Object, wanted: Wanted) -> Iterable[Record]:
    if wanted.invalid:
        message = f"Skipped {wanted.invalid} invalid IP addresses when mirroring to EndpointSlices"
        yield Record(endpoints, "Warning", "InvalidIPAddress", message)
    if wanted.skipped > wanted.invalid:
        message = f"A max of {ADDRESSES_MAX} addresses can be mirrored to EndpointSlices per Endpoints subset."
        yield Record(endpoints, "Warning", "TooManyAddressesToMirror", f"{message} {wanted.skipped} addresses were skipped")


def new_slice(endpoints: Object, group: Group, several: list[Object]) -> Object:
    name = name_of(endpoints)
    metadata = {
        "generateName": f"{name}-" if len(name) < _NAME_MAX else name,
        "namespace": namespace_of(endpoints),
        "labels": {**labels_of(endpoints), SERVICE_NAME: name, MANAGED_BY: MANAGER},
        "annotations": {key: value for key, value in annotations_of(endpoints).items() if key not in _NOT_MIRRORED},
        "ownerReferences": [controller_reference(endpoints, api_version="v1", kind="Endpoints")],
    }
    kind = {"apiVersion": ENDPOINT_SLICES.api_version, "kind": ENDPOINT_SLICES.kind}
    ports = [{"name": "", **each} for each in json.loads(group[1])]
    return {**kind, "metadata": metadata, "addressType": group[0], "endpoints": several, "ports": ports}


# --- what is in Endpoints ---------------------------------------------------------------------------------------------


def mirrored(endpoints: Object) -> Wanted:
    """The endpoints of all subsets, at most so many of each."""
    wanted = Wanted()
    for ports, addresses in repacked(endpoints.get("subsets") or ()):
        added = 0
        for address, is_ready in addresses:
            if added >= ADDRESSES_MAX:
                break
            try:
                parsed = ipaddress.ip_address(address.get("ip", ""))
            except ValueError:
                wanted.invalid += 1
                continue
            added += 1
            family = "IPv6" if parsed.version == 6 else "IPv4"
            wanted.groups.setdefault((family, ports), []).append(_endpoint(address, str(parsed), is_ready))
        wanted.skipped += len(addresses) - added
    return wanted


def _endpoint(address: Object, ip: str, is_ready: bool) -> Object:
    optional = {key: address[key] for key in ("targetRef", "nodeName", "hostname") if address.get(key)}
    return {"addresses": [ip], "conditions": {"ready": is_ready}, **optional}


def repacked(subsets: Iterable[Object]) -> list[tuple[str, list[tuple[Object, bool]]]]:
    """The subsets with each address once a port, those with the same addresses as one. Not ready outdoes ready; ready ones come first."""
    by_port: dict[str, dict[tuple[Any, Any], tuple[Object, bool]]] = {}
    for subset in subsets:
        for port in subset.get("ports") or [None]:
            known = by_port.setdefault(json.dumps(port, sort_keys=True), {})
            for name, is_ready in (("addresses", True), ("notReadyAddresses", False)):
                for address in subset.get(name) or ():
                    identity = (address.get("ip"), (address.get("targetRef") or {}).get("uid"))
                    known[identity] = (address, is_ready and known.get(identity, (address, True))[1])
    groups: dict[str, tuple[list[Object], list[tuple[Object, bool]]]] = {}
    for port_text, known in by_port.items():
        same = json.dumps(sorted([*map(str, identity), ready] for identity, (_, ready) in known.items()))
        ports, _ = groups.setdefault(same, ([], sorted(known.values(), key=lambda each: not each[1])))
        if (port := json.loads(port_text)) is not None:
            ports.append(port)
    return [(_canonical(ports), addresses) for ports, addresses in groups.values() if addresses]


def _canonical(ports: Iterable[Object]) -> str:
    return json.dumps(sorted((meaningful(each) for each in ports), key=lambda each: json.dumps(each, sort_keys=True)), sort_keys=True)


# --- the loop ---------------------------------------------------------------------------------------------------------


def is_mirrored(endpoints: Object) -> bool:
    return labels_of(endpoints).get(SKIP) != "true" and LEADER not in annotations_of(endpoints)


class EndpointSliceMirroring:
    """Keys are namespace/name of Endpoints, which are also those of their Services."""

    name = "endpointslicemirroring"

    def start(self, run: Run) -> None:
        self.run = run
        self.endpoints = run.informers.of(ENDPOINTS)
        self.services = run.informers.of(SERVICES)
        self.slices = run.informers.of(ENDPOINT_SLICES)
        self.slices.add_index(_SERVICE, _service_keys)
        self.writes = OwnWrites(self.slices)
        self.endpoints.add_handler(self._endpoints_changed)
        self.services.add_handler(self._service_changed)
        self.slices.add_handler(self._slice_changed)

    async def reconcile(self, key: str) -> float | None:
        endpoints, service = self.endpoints.get(key), self.services.get(key)
        observed = self.writes.without_gone(self.slices.by_index(_SERVICE, key))
        concerns = endpoints is not None and is_mirrored(endpoints) and service is not None and not service["spec"].get("selector")
        actions = plan(endpoints if concerns else None, observed, self.run.clock.now())
        known = {name_of(each): each for each in observed}
        for action, answer in zip(actions, await perform(actions, client=self.run.client, events=self.run.events), strict=True):
            if isinstance(action, Delete):
                self.writes.note_deleted(known[action.name], answer)
            elif answer is not None:
                self.slices.put(answer)
        return None

    def _endpoints_changed(self, old: Object | None, new: Object | None) -> None:
        if any(each is not None and is_mirrored(each) for each in (old, new)):
            self.run.queue.add_after(key_of(new or old or {}), CHANGES_BATCHED_S)

    def _service_changed(self, old: Object | None, new: Object | None) -> None:
        if old is None or new is None or bool(old["spec"].get("selector")) != bool(new["spec"].get("selector")):
            self.run.queue.add_after(key_of(new or old or {}), CHANGES_BATCHED_S)

    def _slice_changed(self, old: Object | None, new: Object | None) -> None:
        """Somebody else has changed one of ours."""
        for key in {key for each in (old, new) if each is not None for key in _service_keys(each)}:
            self.run.queue.add_after(key, CHANGES_BATCHED_S)


def _service_keys(endpoint_slice: Object) -> list[str]:
    labels = labels_of(endpoint_slice)
    if labels.get(MANAGED_BY) != MANAGER or not labels.get(SERVICE_NAME):
        return []
    return [f"{namespace_of(endpoint_slice)}/{labels[SERVICE_NAME]}"]
