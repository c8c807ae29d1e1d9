"""Topology hints by the annotation service.kubernetes.io/topology-mode: each zone is given endpoints by its share of the CPU. Pure.

Hints are given only where every zone can have enough: with too few endpoints, or nodes of which zone or CPU is not known, there are none.
As few slices as possible are written: those that are as they should be keep their hints.
Source: upstream `staging/src/k8s.io/endpointslice/topologycache`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from kube.objects import Object, annotations_of, is_condition_true, labels_of, name_of
from kube.quantity import parse
from kube.resources import ENDPOINT_SLICES
from kube.runtime.perform import Action, Create, Delete, Record, Update

MODE, OLD_MODE = "service.kubernetes.io/topology-mode", "service.kubernetes.io/topology-aware-hints"
ZONE = "topology.kubernetes.io/zone"
OVERLOAD = 0.2
"""So much more than its share a zone's endpoints may have to bear."""
ENABLED, DISABLED = "Topology Aware Hints has been enabled", "Topology Aware Hints has been disabled"
_NOT_COUNTED = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")

Ratios = Mapping[str, float]
"""Each zone's share of the CPU; empty where that is not known, or there is but one zone."""


class NoHints(Exception):
    """Why there are none, in upstream's words."""


@dataclass(frozen=True, slots=True)
class _Allocation:
    """How many endpoints a zone should have."""

    most: int
    desired: float


def is_auto(service: Object) -> bool:
    """Whether the Service asks for hints by the annotation; its old name comes first."""
    annotations = annotations_of(service)
    return annotations.get(OLD_MODE, annotations.get(MODE)) in ("Auto", "auto")


def ratios_of(nodes: Iterable[Object]) -> Ratios:
    """By the ready nodes that are not the control plane's."""
    cpus: Counter[str] = Counter()
    for node in nodes:
        if any(each in labels_of(node) for each in _NOT_COUNTED) or not is_condition_true(node, "Ready"):
            continue
        zone = labels_of(node).get(ZONE)
        milli = parse(((node.get("status") or {}).get("allocatable") or {}).get("cpu") or "0").milli_value()
        if not zone or not milli:
            return {}
        cpus[zone] += milli
    return {zone: milli / cpus.total() for zone, milli in cpus.items()} if len(cpus) > 1 else {}


def counts_node(node: Object) -> tuple[object, ...]:
    """What of a node the ratios depend on."""
    told = (labels_of(node).get(each) for each in (ZONE, *_NOT_COUNTED))
    return *told, is_condition_true(node, "Ready"), ((node.get("status") or {}).get("allocatable") or {}).get("cpu")


def with_hints(service: Object, actions: Sequence[Action], observed: Sequence[Object], ratios: Ratios, *, had_hints: bool) -> list[Action]:
    """The actions on a Service's slices, with hints for zones, and what else has to be written for them."""
    changed = [each for each in actions if isinstance(each, Create | Update)]
    named = {name_of(each.obj) for each in changed if isinstance(each, Update)} | {
        each.name for each in actions if isinstance(each, Delete)
    }
    unchanged = [each for each in observed if name_of(each) not in named]
    out: list[Action] = []
    for family in sorted({each.obj["addressType"] for each in changed} | {each["addressType"] for each in unchanged}):
        written = [each for each in changed if each.obj["addressType"] == family]
        kept = [each for each in unchanged if each["addressType"] == family]
        try:
            out += _hinted(written, kept, ratios)
            note = None if had_hints else ("Normal", "TopologyAwareHintsEnabled", ENABLED)
        except NoHints as error:
            out += _without(written, kept)
            note = ("Warning", "TopologyAwareHintsDisabled", str(error))
        if note is not None:
            kind, reason, message = note
            out.append(Record(service, kind, reason, f"{message}, addressType: {family}"))
    return [*out, *(each for each in actions if not isinstance(each, Create | Update))]


def _hinted(written: Sequence[Create | Update], kept: Sequence[Object], ratios: Ratios) -> list[Action]:
    """Raises NoHints."""
    slices = [each.obj for each in written]
    allocations = _allocations(ratios, sum(len(_ready(each)) for each in (*slices, *kept)))
    given: Counter[str] = Counter()
    moved: list[Object] = []
    for each in kept:
        hints = _hints_of(each, given, allocations)
        if hints is None:
            moved.append(each)
        else:
            given.update(hints)
    drafts = [{**each, "endpoints": [_own_zone(endpoint, given) for endpoint in each.get("endpoints") or ()]} for each in (*slices, *moved)]
    giving, receiving = _exchange(allocations, given)
    for draft in drafts:
        draft["endpoints"] = [_redirected(endpoint, giving, receiving) for endpoint in draft["endpoints"]]
    if not given:
        raise NoHints("No hints allocated for zones")
    done: list[Action] = [replace(each, obj=draft) for each, draft in zip(written, drafts, strict=False)]
    return [*done, *(Update(ENDPOINT_SLICES, draft) for draft in drafts[len(written) :])]


def _without(written: Sequence[Create | Update], kept: Sequence[Object]) -> list[Action]:
    done: list[Action] = [replace(each, obj=_bare(each.obj)) for each in written]
    has_hints = [each for each in kept if any("hints" in endpoint for endpoint in each.get("endpoints") or ())]
    return [*done, *(Update(ENDPOINT_SLICES, _bare(each)) for each in has_hints)]


def _bare(endpoint_slice: Object) -> Object:
    return {**endpoint_slice, "endpoints": [_with_zone(each, None) for each in endpoint_slice.get("endpoints") or ()]}


def _ready(endpoint_slice: Object) -> list[Object]:
    return [each for each in endpoint_slice.get("endpoints") or () if each["conditions"].get("ready")]


def _with_zone(endpoint: Object, zone: str | None) -> Object:
    bare = {key: value for key, value in endpoint.items() if key != "hints"}
    return bare if zone is None else {**bare, "hints": {"forZones": [{"name": zone}]}}


def _own_zone(endpoint: Object, given: Counter[str]) -> Object:
    if not endpoint["conditions"].get("ready"):
        return _with_zone(endpoint, None)
    zone = endpoint.get("zone")
    if not zone:
        raise NoHints("One or more endpoints do not have a zone specified")
    given[zone] += 1
    return _with_zone(endpoint, zone)


def _redirected(endpoint: Object, giving: Counter[str], receiving: Counter[str]) -> Object:
    """An endpoint of a zone that has too many is recommended to one that has too few."""
    zone = endpoint.get("zone", "")
    if not endpoint["conditions"].get("ready") or giving[zone] <= 0:
        return endpoint
    other = next((each for each in sorted(receiving) if receiving[each] > 0), None)
    if other is None:
        return endpoint
    giving[zone] -= 1
    receiving[other] -= 1
    return _with_zone(endpoint, other)


def _allocations(ratios: Ratios, endpoints: int) -> dict[str, _Allocation]:
    """Raises NoHints."""
    if not ratios:
        raise NoHints("Insufficient Node information: allocatable CPU or zone not specified on one or more nodes")
    counted = f"({endpoints} endpoints, {len(ratios)} zones)"
    if len(ratios) > endpoints:
        raise NoHints(f"Insufficient number of endpoints {counted}")
    least = {zone: math.ceil(ratio * endpoints / (1 + OVERLOAD)) for zone, ratio in ratios.items()}
    spare = endpoints - sum(least.values())
    if spare < 0:
        raise NoHints(f"Unable to allocate minimum required endpoints to each zone without exceeding overload threshold {counted}")
    return {zone: _Allocation(least[zone] + spare, max(ratio * endpoints, float(least[zone]))) for zone, ratio in ratios.items()}


def _hints_of(endpoint_slice: Object, given: Counter[str], allocations: Mapping[str, _Allocation]) -> Counter[str] | None:
    """The hints that a slice has; None where it must be written: one is missing, or a zone has no use for so many."""
    hints: Counter[str] = Counter()
    for endpoint in _ready(endpoint_slice):
        zones = [each["name"] for each in (endpoint.get("hints") or {}).get("forZones") or ()]
        if not zones or any(each not in allocations for each in zones):
            return None
        hints.update(zones)
    return None if any(count + given[zone] > allocations[zone].most for zone, count in hints.items()) else hints


def _exchange(allocations: Mapping[str, _Allocation], given: Counter[str]) -> tuple[Counter[str], Counter[str]]:
    """How many endpoints each zone gives away, and how many each gets."""
    over = {zone: given[zone] - each.desired for zone, each in allocations.items() if given[zone] > each.desired}
    under = {zone: each.desired - given[zone] for zone, each in allocations.items() if given[zone] < each.desired}
    giving: Counter[str] = Counter()
    receiving: Counter[str] = Counter()
    while over and under:
        giver, getter = max(sorted(over), key=over.__getitem__), max(sorted(under), key=under.__getitem__)
        if min(over[giver], under[getter]) < 0.5 or max(over[giver], under[getter]) < 1.0:
            break
        giving[giver] += 1
        receiving[getter] += 1
        over[giver] -= 1
        under[getter] -= 1
    return giving, receiving
