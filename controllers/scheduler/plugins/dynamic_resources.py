"""DynamicResources: a pod with ResourceClaims goes where the devices are, and gets them before it is bound.

Which devices those are is worked out in `device_allocation.py`; which of them must be made ready first: `device_binding.py`.
Source: `plugins/dynamicresources/dynamicresources.go`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from controllers.scheduler.devices import RESOURCE_CLAIMS, Devices
from controllers.scheduler.framework import ClusterEvent, Code, PluginError, PostFilterResult, Rejection, Trial, rejection
from controllers.scheduler.node_info import NodeInfo
from controllers.scheduler.plugins.device_allocation import Offers, allocate, on_node
from controllers.scheduler.plugins.device_binding import PENDING, BindingFailed, has_conditions, is_lost, is_ready
from controllers.scheduler.pod_info import PodInfo
from controllers.scheduler.snapshot import Snapshot
from controllers.scheduler.volumes import Assumed
from kube.client.client import Client
from kube.clock import Clock, RealClock, rfc3339
from kube.errors import Conflict
from kube.objects import Object, is_deleting, key_of
from kube.pod_claims import is_reserved_for, not_for_pod

NAME = "DynamicResources"
FINALIZER = "resource.kubernetes.io/delete-protection"
RESERVED_MAX = 256
_POLL_S = 5.0


@dataclass(frozen=True, slots=True)
class State:
    """The pod's claims: those that have devices (`lost`: of no use any more), and those that need some."""

    allocated: Sequence[Object]
    lost: Sequence[Object]
    pending: Sequence[Object]
    offers: Offers


class DynamicResources:
    """`client` writes what was decided; without one the plugin can only decide. `record` tells of a pod: type, reason, message."""

    name = NAME
    wakes = ClusterEvent.DEVICES | ClusterEvent.NODE_ADD | ClusterEvent.NODE_LABEL | ClusterEvent.POD_DELETE

    def __init__(
        self,
        client: Client | None = None,
        clock: Clock | None = None,
        record: Callable[[PodInfo, str, str, str], None] = lambda *_: None,
        *,
        binding_timeout_s: float = 600.0,
    ) -> None:
        self._client, self._clock, self._record, self._binding_timeout_s = client, clock or RealClock(), record, binding_timeout_s
        self._decided: dict[str, tuple[Assumed, list[Object]]] = {}
        """By pod uid: its claims as they are to be, and where they are assumed to be so."""
        self._waits: dict[str, tuple[Assumed, list[str]]] = {}
        """By pod uid: the keys of its claims whose devices must be made ready, and where they are seen."""

    def pre_enqueue(self, pod: PodInfo) -> str | None:
        """Claims by templates must have been made; their names come with the pod's status."""
        for each in pod.resource_claims:
            if each.claim is None and each.is_needed:
                return f'waiting for the resource claim of pod claim "{each.name}" to be created'
        return None

    def pre_filter(self, pod: PodInfo, snapshot: Snapshot) -> State | Rejection | None:
        if not pod.resource_claims:
            return None
        devices, claims = snapshot.devices, list[Object]()
        for each in pod.resource_claims:
            if not each.is_needed:
                continue
            claim = devices.claims.get(f"{pod.namespace}/{each.claim}")
            why = f'resourceclaim.resource.k8s.io "{each.claim}" not found' if claim is None else _wrong(claim, each.template, pod, devices)
            if why or claim is None:
                return rejection(self.name, Code.UNRESOLVABLE, why)
            claims.append(claim)
        allocated = [each for each in claims if _allocation(each)]
        if any(not is_reserved_for(each, pod.pod) and len(_reserved(each)) >= RESERVED_MAX for each in allocated):
            return rejection(self.name, Code.UNSCHEDULABLE, "resourceclaim in use")
        now = self._clock.now()
        lost = [each for each in allocated if is_lost(each, now, self._binding_timeout_s)]
        return State(allocated, lost, [each for each in claims if not _allocation(each)], Offers(devices))

    def filter(self, state: State, node: NodeInfo) -> Rejection | None:
        if state.lost or not all(_reaches(claim, node) for claim in state.allocated):
            return rejection(self.name, Code.UNRESOLVABLE, "resourceclaim not available on the node")
        if state.pending and allocate(state.pending, node, state.offers) is None:
            return rejection(self.name, Code.UNRESOLVABLE, "cannot allocate all claims")
        return None

    def post_filter(self, pod: PodInfo, snapshot: Snapshot, rejections: Mapping[int, Rejection], trial: Trial) -> PostFilterResult:
        """A claim whose devices are elsewhere or of no use, and which nobody else uses, is to be given others."""
        state = self.pre_filter(pod, snapshot)
        if not isinstance(state, State):
            return PostFilterResult("no new claims to deallocate")
        mine = [snapshot.slots[slot] for slot, each in rejections.items() if each.plugin == self.name]
        for claim in state.allocated:
            is_useless = claim in state.lost or any(node is not None and not _reaches(claim, node) for node in mine)
            if is_useless and _is_spare(claim, pod):
                return PostFilterResult("deallocation of ResourceClaim completed", deallocates=_without_devices(claim))
        return PostFilterResult("still not schedulable")

    # Keeping what was decided.

    def reserve(self, pod: PodInfo, node: NodeInfo, snapshot: Snapshot) -> Rejection | None:
        state = self.pre_filter(pod, snapshot)
        if not isinstance(state, State):
            return state
        allocations = allocate(state.pending, node, state.offers) if state.pending else []
        if allocations is None:
            return rejection(self.name, Code.UNRESOLVABLE, "cannot allocate all claims")
        reference = {"resource": "pods", "name": pod.name, "uid": pod.uid}
        decided: list[Object] = []
        for claim, allocation in [
            *((each, _allocation(each)) for each in state.allocated if not is_reserved_for(each, pod.pod)),
            *zip(state.pending, allocations, strict=True),
        ]:
            status = {**(claim.get("status") or {}), "allocation": allocation, "reservedFor": [*_reserved(claim), reference]}
            decided.append({**claim, "status": status})
        for claim in decided:
            # Held, for the claim is written twice: the version in between has no devices, which must not look free then.
            snapshot.devices.claims.assume(claim, held=True)
        known = snapshot.devices.claims
        if decided:
            self._decided[pod.uid] = known, decided
        waits = [key for key in map(key_of, (*state.allocated, *state.pending)) if has_conditions(known.get(key) or {})]
        if waits:
            self._waits[pod.uid] = known, waits
        return None

    def unreserve(self, pod: PodInfo, node: str, snapshot: Snapshot) -> None:
        self._waits.pop(pod.uid, None)
        known, decided = self._decided.pop(pod.uid, (snapshot.devices.claims, []))
        for claim in decided:
            known.restore(key_of(claim))

    # Carrying it out.

    def pre_bind_pre_flight(self, pod: PodInfo, node: str) -> bool:
        return pod.uid in self._decided or pod.uid in self._waits

    async def pre_bind(self, pod: PodInfo, node: str) -> None:
        """Write the allocations and reservations, and wait until the devices are ready. Raises ApiError, OSError; PluginError where a claim
        has changed meanwhile, and where its devices are not to be had."""
        if pod.uid in self._decided:
            await self._write(pod)
        if pod.uid in self._waits:
            self._record(pod, "Normal", "BindingConditionsPending", PENDING.format(node=node))
            await self._wait(*self._waits[pod.uid])
            self._waits.pop(pod.uid, None)

    async def _wait(self, known: Assumed, keys: Sequence[str]) -> None:
        try:
            async with asyncio.timeout(self._binding_timeout_s):
                while not all(_is_ready(known.get(key), key) for key in keys):
                    await asyncio.sleep(_POLL_S)
        except TimeoutError as error:
            raise PluginError("device binding timeout") from error
        except BindingFailed as error:
            raise PluginError(str(error)) from error

    async def _write(self, pod: PodInfo) -> None:
        assert self._client is not None
        known, decided = self._decided[pod.uid]
        for claim in decided:
            allocation = {"allocationTimestamp": rfc3339(self._clock.now()), **_allocation(claim)}
            claim = {**claim, "status": {**claim["status"], "allocation": allocation}}
            finalizers = claim["metadata"].get("finalizers") or []
            try:
                if FINALIZER not in finalizers:
                    metadata = {**claim["metadata"], "finalizers": [*finalizers, FINALIZER]}
                    written = await self._client.update(RESOURCE_CLAIMS, {**claim, "metadata": metadata})
                    claim = {**written, "status": claim["status"]}
                known.settled(await self._client.update(RESOURCE_CLAIMS, claim, subresource="status"))
            except Conflict as error:
                raise PluginError(f"the claim {key_of(claim)} has changed: {error}") from error
        self._decided.pop(pod.uid, None)


def _is_ready(claim: Object | None, key: str) -> bool:
    if claim is None:
        raise BindingFailed(f"the claim {key} is gone")
    return is_ready(claim)


def _allocation(claim: Object) -> Object:
    return (claim.get("status") or {}).get("allocation") or {}


def _reaches(claim: Object, node: NodeInfo) -> bool:
    """Whether the devices that the claim has can be used on the node."""
    selector = _allocation(claim).get("nodeSelector")
    return selector is None or on_node(selector, node)


def _is_spare(claim: Object, pod: PodInfo) -> bool:
    """Whether nobody but the pod has the claim's devices."""
    users = _reserved(claim)
    return not users or [each.get("uid") for each in users] == [pod.uid]


def _without_devices(claim: Object) -> Object:
    status = {key: value for key, value in (claim.get("status") or {}).items() if key not in ("allocation", "reservedFor", "devices")}
    return {**claim, "status": status}


def _reserved(claim: Object) -> list[Object]:
    return (claim.get("status") or {}).get("reservedFor") or []


def _wrong(claim: Object, template: str, pod: PodInfo, devices: Devices) -> str:
    """What keeps the claim from being used, whatever the node; "" when nothing does."""
    if template and (why := not_for_pod(claim, pod.pod)):
        return why
    if is_deleting(claim):
        return f'resourceclaim "{claim["metadata"]["name"]}" is being deleted'
    if _allocation(claim):
        return ""
    for request in (claim["spec"].get("devices") or {}).get("requests") or ():
        for told in (request.get("exactly"), *(request.get("firstAvailable") or ())):
            if told is not None and told.get("deviceClassName") not in devices.classes:
                return f"request {request['name']}: device class {told.get('deviceClassName')} does not exist"
    return ""
