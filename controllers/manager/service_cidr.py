"""ServiceCIDRs: they are Ready, held by a finalizer, and go only when no Service has an address that would be in none.

Source: upstream `pkg/controller/servicecidrs/servicecidrs_controller.go`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from kube.client.client import PatchKind
from kube.clock import parse_time, rfc3339
from kube.objects import Object, condition_of, is_deleting, key_of, labels_of, name_of
from kube.resources import IP_ADDRESSES, Resource
from kube.runtime.controller import Run
from kube.runtime.perform import Action, Patch, perform

SERVICE_CIDRS: Final = Resource("networking.k8s.io", "v1", "servicecidrs", "ServiceCIDR", namespaced=False)
FINALIZER: Final = "networking.k8s.io/service-cidr-finalizer"
FIELD_MANAGER: Final = "service-cidr-controller"
GRACE: Final = timedelta(seconds=10)
"""So long after its deletion began servers may still take addresses from a range that they believe to be there."""
_MANAGER_LABEL, _MANAGER = "ipaddress.kubernetes.io/managed-by", "ipallocator.k8s.io"
READY: Final = {"status": "True", "reason": "", "message": "Kubernetes Service CIDR is ready"}
TERMINATING: Final = {
    "status": "False",
    "reason": "Terminating",
    "message": "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR",
}


def plan(desired: Object, observed: Sequence[Object], now: datetime, *, addresses: Iterable[Object] = ()) -> list[Action]:
    """What to do about the ServiceCIDR; `observed` are all of them, `addresses` all IPAddresses. The condition is `wanted_condition`."""
    finalizers = desired["metadata"].get("finalizers") or []
    if not is_deleting(desired):
        return [] if FINALIZER in finalizers else [_finalizers(desired, [*finalizers, FINALIZER])]
    if FINALIZER not in finalizers or not may_go(desired, observed, addresses) or waits_s(desired, now) > 0:
        return []
    return [_finalizers(desired, [each for each in finalizers if each != FINALIZER])]


def _finalizers(cidr: Object, wanted: list[str]) -> Action:
    body = {"metadata": {"uid": cidr["metadata"].get("uid"), "finalizers": wanted}}
    return Patch(SERVICE_CIDRS, None, name_of(cidr), body, PatchKind.MERGE)


def waits_s(cidr: Object, now: datetime) -> float:
    """The seconds until one that is being deleted may go."""
    since = parse_time(cidr["metadata"].get("deletionTimestamp"))
    return (since + GRACE - now).total_seconds() if since is not None else 0.0


def wanted_condition(cidr: Object, observed: Sequence[Object], now: datetime, *, addresses: Iterable[Object]) -> Object | None:
    """The condition to be told; None where it is told, or there is none to tell."""
    if is_deleting(cidr) and may_go(cidr, observed, addresses):
        return None
    wanted = TERMINATING if is_deleting(cidr) else READY
    found = condition_of(cidr, "Ready") or {}
    if found and all(found.get(key, "") == value for key, value in wanted.items()):
        return None
    return {"type": "Ready", **wanted, "lastTransitionTime": rfc3339(now)}


def may_go(cidr: Object, observed: Sequence[Object], addresses: Iterable[Object]) -> bool:
    """Whether every address would still be in a range."""
    others = [network for each in observed if name_of(each) != name_of(cidr) for network in networks_of(each)]
    own = networks_of(cidr)
    if all(any(each.version == other.version and each.subnet_of(other) for other in others) for each in own):  # type: ignore[arg-type]
        return True
    taken = (_address(each) for each in addresses if labels_of(each).get(_MANAGER_LABEL) == _MANAGER)
    return not any(any(each in network for network in own) and not any(each in network for network in others) for each in taken if each)


def networks_of(cidr: Object) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    return [ipaddress.ip_network(each, strict=False) for each in (cidr.get("spec") or {}).get("cidrs") or ()]


def _address(obj: Object) -> Any:
    try:
        return ipaddress.ip_address(name_of(obj))
    except ValueError:
        return None


class ServiceCidrController:
    """Keys are names of ServiceCIDRs."""

    name = "service-cidr"

    def start(self, run: Run) -> None:
        self.run = run
        self.cidrs = run.informers.of(SERVICE_CIDRS)
        self.addresses = run.informers.of(IP_ADDRESSES)
        self.cidrs.add_handler(self._changed)
        self.addresses.add_handler(self._address_changed)

    async def reconcile(self, key: str) -> float | None:
        cidr = self.cidrs.get(key)
        if cidr is None:
            return None
        now, observed, addresses = self.run.clock.now(), self.cidrs.list(), self.addresses.list()
        actions = plan(cidr, observed, now, addresses=addresses)
        for answer in await perform(actions, client=self.run.client, events=self.run.events):
            if answer is not None:
                self.cidrs.put(answer)
        condition = wanted_condition(cidr, observed, now, addresses=addresses)
        if condition is not None:
            await self._tell(cidr, condition)
        return waits_s(cidr, now) if is_deleting(cidr) and not actions and waits_s(cidr, now) > 0 else None

    async def _tell(self, cidr: Object, condition: Object) -> None:
        kind = {"apiVersion": SERVICE_CIDRS.api_version, "kind": SERVICE_CIDRS.kind}
        wanted = {**kind, "metadata": {"name": name_of(cidr)}, "status": {"conditions": [condition]}}
        answer = await self.run.client.apply(SERVICE_CIDRS, wanted, field_manager=FIELD_MANAGER, force=True, subresource="status")
        self.cidrs.put(answer)

    def _changed(self, old: Object | None, new: Object | None) -> None:
        if new is not None:
            self.run.queue.add(key_of(new))
        self._look_at_deleted()

    def _address_changed(self, old: Object | None, new: Object | None) -> None:
        if old is None or new is None:
            self._look_at_deleted()

    def _look_at_deleted(self) -> None:
        """Only what is on its way out depends on others."""
        for each in self.cidrs.list():
            if is_deleting(each):
                self.run.queue.add(key_of(each))
