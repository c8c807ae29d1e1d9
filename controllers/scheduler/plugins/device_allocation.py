"""Which devices of a node fulfil claims: a search that takes back what leads nowhere. Pure. What devices share: `device_shares.py`.

Source: `k8s.io/dynamic-resource-allocation/structured`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import NAMESPACE_OID, uuid5

from controllers.scheduler.devices import DeviceId, Devices, qualified
from controllers.scheduler.framework import PluginError
from controllers.scheduler.node_info import NodeInfo
from controllers.scheduler.plugins.device_shares import Shares, shares_of
from controllers.scheduler.plugins.node_selector import NodeTerm
from controllers.scheduler.plugins.toleration import HARD, first_untolerated
from kube.amounts import Amounts, written
from kube.objects import Object, uid_of

STEPS_MAX = 100_000
"""Of the search for one node. Upstream bounds its time."""
RESULTS_MAX = 32


@dataclass(frozen=True, slots=True)
class Device:
    """A device that a node can use. `is_local`: only that node can (once it has it); `selector`: or those nodes."""

    id: DeviceId
    told: Mapping[str, Any]
    is_local: bool
    selector: Mapping[str, Any] | None

    @property
    def is_shared(self) -> bool:
        """Whether it is given in parts."""
        return bool(self.told.get("allowMultipleAllocations"))


@dataclass(frozen=True, slots=True)
class Wanted:
    """One device that a claim asks for. `choices` are those that would do."""

    claim: int
    request: str
    told: Mapping[str, Any]
    choices: Sequence[Device]


class Picked(NamedTuple):
    """`consumed`: of the capacities of a device that is shared."""

    wanted: Wanted
    device: Device
    consumed: Amounts


@dataclass(slots=True)
class Search:
    shares: Shares
    steps: int = 0
    picked: list[Picked] = field(default_factory=list)


class Offers:
    """What the slices offer and what of it is taken, gathered once for all nodes."""

    def __init__(self, devices: Devices) -> None:
        self.devices = devices
        self.taken = devices.taken()
        slices = list(_newest(devices))
        self.shares = shares_of(devices, slices)
        self._by_node: dict[str, list[Mapping[str, Any]]] = {}
        self._elsewhere: list[Mapping[str, Any]] = []
        for spec in slices:
            if spec.get("nodeName"):
                self._by_node.setdefault(spec["nodeName"], []).append(spec)
            else:
                self._elsewhere.append(spec)

    def on(self, node: NodeInfo) -> list[Device]:
        """The devices that the node can use."""
        found: list[Device] = []
        for spec in (*self._by_node.get(node.name, ()), *self._elsewhere):
            for told in spec.get("devices") or ():
                place = told if spec.get("perDeviceNodeSelection") else spec
                if _reaches(place, node):
                    id = (spec["driver"], spec["pool"]["name"], told["name"])
                    is_local = bool(place.get("nodeName") or told.get("bindsToNode"))
                    found.append(Device(id, told, is_local, place.get("nodeSelector")))
        return found


def _newest(devices: Devices) -> Iterator[Mapping[str, Any]]:
    """The slices of the newest generation of each pool; those of pools that are not complete are left out."""
    pools: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for each in devices.slices.values():
        spec = each["spec"]
        pool = pools.setdefault((spec["driver"], spec["pool"]["name"]), [])
        age = spec["pool"].get("generation", 0) - (pool[0]["pool"].get("generation", 0) if pool else 0)
        if pool and age > 0:
            pool.clear()
        if not pool or age == 0:
            pool.append(spec)
    for _, slices in sorted(pools.items()):
        if len(slices) == slices[0]["pool"].get("resourceSliceCount", 1):
            yield from slices


def _reaches(place: Mapping[str, Any], node: NodeInfo) -> bool:
    if place.get("nodeName"):
        return bool(place["nodeName"] == node.name)
    return bool(place.get("allNodes")) or on_node(place.get("nodeSelector"), node)


def on_node(selector: Mapping[str, Any] | None, node: NodeInfo) -> bool:
    """Whether a NodeSelector selects the node."""
    return any(NodeTerm(each).matches(node) for each in (selector or {}).get("nodeSelectorTerms") or ())


def allocate(claims: Sequence[Object], node: NodeInfo, offers: Offers) -> list[Object] | None:
    """The allocation of each of the claims on the node; None when there are not devices enough. Raises PluginError."""
    there, devices = offers.on(node), offers.devices
    if not there:
        return None
    taken = set(offers.taken)
    for alternative in _alternatives(claims):
        wanted = _wanted(claims, alternative, there, taken, offers)
        if wanted is None:
            continue
        search = Search(offers.shares.copy())
        if _pick(wanted, 0, taken, claims, search):
            return [_allocation(claim, index, search.picked, node, devices) for index, claim in enumerate(claims)]
    return None


Chosen = list[tuple[int, str, Mapping[str, Any]]]
"""(claim, name of the request, what it asks for)."""


def _alternatives(claims: Sequence[Object]) -> Iterator[Chosen]:
    """The requests of all claims; of those that say `firstAvailable`, each in turn, the first ones first."""
    requests = [(index, each) for index, claim in enumerate(claims) for each in (claim["spec"].get("devices") or {}).get("requests") or ()]

    def from_(position: int) -> Iterator[Chosen]:
        if position == len(requests):
            yield []
            return
        index, request = requests[position]
        choices = [(request["name"], request["exactly"])] if request.get("exactly") else []
        choices += [(f"{request['name']}/{each['name']}", each) for each in request.get("firstAvailable") or ()]
        for name, told in choices:
            for rest in from_(position + 1):
                yield [(index, name, told), *rest]

    return from_(0)


def _wanted(claims: Sequence[Object], chosen: Chosen, there: Sequence[Device], taken: set[DeviceId], offers: Offers) -> list[Wanted] | None:
    from controllers.scheduler.plugins.device_selectors import selected  # CEL and RE2 are 6 MB: only when there are claims

    wanted: list[Wanted] = []
    for claim, name, told in chosen:
        device_class = offers.devices.classes.get(told.get("deviceClassName", ""))
        if device_class is None:
            return None
        selectors = [*((device_class.get("spec") or {}).get("selectors") or ()), *(told.get("selectors") or ())]
        choices = [each for each in there if selected(selectors, each.told, each.id[0]) and _is_tolerated(each, told)]
        if told.get("allocationMode") == "All":
            choices = [each for each in choices if offers.shares.fits(each.id, each.told, _asked(told)) is not None]
            if not choices or (not told.get("adminAccess") and any(each.id in taken for each in choices)):
                return None
            wanted += [Wanted(claim, name, told, (each,)) for each in choices]
        else:
            wanted += [Wanted(claim, name, told, choices)] * (told.get("count") or 1)
    if any(sum(each.claim == index for each in wanted) > RESULTS_MAX for index in range(len(claims))):
        return None
    return wanted


def _asked(told: Mapping[str, Any]) -> Mapping[str, str]:
    """What a request asks of a device's capacities."""
    return (told.get("capacity") or {}).get("requests") or {}


def _is_tolerated(device: Device, told: Mapping[str, Any]) -> bool:
    return first_untolerated(device.told.get("taints") or (), told.get("tolerations") or (), HARD) is None


def _pick(wanted: Sequence[Wanted], position: int, taken: set[DeviceId], claims: Sequence[Object], search: Search) -> bool:
    """Choose a device for each of the rest; what is chosen is in `search.picked`, and in `taken` meanwhile."""
    if position == len(wanted):
        return True
    each = wanted[position]
    is_admin = bool(each.told.get("adminAccess"))
    for device in each.choices:
        search.steps += 1
        if search.steps > STEPS_MAX:
            raise PluginError("the search for devices takes too long")
        if (device.id in taken and not is_admin) or not _is_consistent(each, device, claims[each.claim], search.picked):
            continue
        consumed = search.shares.take(device.id, device.told, _asked(each.told))
        if consumed is None:
            continue
        search.picked.append(Picked(each, device, consumed))
        takes = not is_admin and not device.is_shared
        if takes:
            taken.add(device.id)
        if _pick(wanted, position + 1, taken, claims, search):
            return True
        search.picked.pop()
        search.shares.give_back(device.id, device.told, consumed)
        if takes:
            taken.discard(device.id)
    return False


def _is_consistent(wanted: Wanted, device: Device, claim: Object, picked: Sequence[Picked]) -> bool:
    """Whether it keeps the claim's constraints, together with what has been picked for it."""
    others = [(each, there) for each, there, _ in picked if each.claim == wanted.claim]
    if not device.is_shared and any(each.request == wanted.request and there.id == device.id for each, there in others):
        return False
    for constraint in (claim["spec"].get("devices") or {}).get("constraints") or ():
        concerned = constraint.get("requests") or ()
        if not _concerns(concerned, wanted.request):
            continue
        same, distinct = constraint.get("matchAttribute"), constraint.get("distinctAttribute")
        value = _attribute(device, same or distinct)
        if value is None:
            return False
        values = [_attribute(there, same or distinct) for each, there in others if _concerns(concerned, each.request)]
        if same and any(each != value for each in values):
            return False
        if not same and value in values:
            return False
    return True


def _concerns(names: Sequence[str], request: str) -> bool:
    return not names or request in names or request.partition("/")[0] in names


def _attribute(device: Device, name: str) -> Any:
    for own, value in (device.told.get("attributes") or {}).items():
        if qualified(own, device.id[0]) == name:
            return value
    return None


def _allocation(claim: Object, index: int, picked: Sequence[Picked], node: NodeInfo, devices: Devices) -> Object:
    mine = [(wanted, device) for wanted, device, _ in picked if wanted.claim == index]
    results: list[Object] = []
    for wanted, device, consumed in picked:
        if wanted.claim != index:
            continue
        driver, pool, name = device.id
        result: Object = {"request": wanted.request, "driver": driver, "pool": pool, "device": name}
        if wanted.told.get("adminAccess"):
            result["adminAccess"] = True
        if wanted.told.get("tolerations"):
            result["tolerations"] = wanted.told["tolerations"]
        result |= {each: device.told[each] for each in ("bindingConditions", "bindingFailureConditions") if device.told.get(each)}
        if device.is_shared:
            result["shareID"] = str(uuid5(NAMESPACE_OID, f"{uid_of(claim)}/{len(results)}"))
            result |= {"consumedCapacity": written(consumed)} if consumed else {}
        results.append(result)
    by_class: dict[str, list[str]] = {}
    for request, told in {wanted.request: wanted.told for wanted, _ in mine}.items():
        by_class.setdefault(told["deviceClassName"], []).append(request)
    config: list[Object] = []
    for name, requests in by_class.items():
        of_class = (devices.classes[name].get("spec") or {}).get("config") or ()
        config += [{"source": "FromClass", "requests": requests, **each} for each in of_class]
    for each in (claim["spec"].get("devices") or {}).get("config") or ():
        if any(_concerns(each.get("requests") or (), wanted.request) for wanted, _ in mine):
            config.append({"source": "FromClaim", **each})
    allocation: Object = {"devices": {"results": results, **({"config": config} if config else {})}}
    selector = _node_selector([device for _, device in mine], node)
    return allocation if selector is None else {**allocation, "nodeSelector": selector}


def _node_selector(devices: Sequence[Device], node: NodeInfo) -> Object | None:
    """Where the devices can be used; None: everywhere."""
    if any(device.is_local for device in devices):
        return {"nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node.name]}]}]}
    expressions: list[Any] = []
    for device in devices:
        for term in (device.selector or {}).get("nodeSelectorTerms") or ():
            expressions += [each for each in term.get("matchExpressions") or () if each not in expressions]
    return {"nodeSelectorTerms": [{"matchExpressions": expressions}]} if expressions else None
