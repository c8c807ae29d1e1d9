"""LimitRanger: pods get the requests and limits that a LimitRange gives them, and none is below or above what it allows.

Source: `plugin/pkg/admission/limitranger/admission.go`. Its messages follow no order of resources (Go's maps); here they are sorted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from apiserver.registry.admission import Attributes
from kube import errors
from kube.amounts import Amounts, read
from kube.objects import Object
from kube.pod_amounts import aggregate, with_pod_level
from kube.quantity import Quantity
from kube.resources import LIMIT_RANGES

ANNOTATION: Final = "kubernetes.io/limit-ranger"
_GROUPS: Final = (("containers", "container"), ("initContainers", "init container"))


class LimitRanger:
    """See the module."""

    resources = frozenset({("", "pods"), ("", "persistentvolumeclaims")})
    operations = frozenset({"CREATE", "UPDATE"})
    subresources = frozenset({"", "resize"})

    async def mutate(self, attributes: Attributes) -> None:
        pod = attributes.obj
        if pod is None or attributes.kind.resource.plural != "pods" or not isinstance(pod.get("spec"), dict):
            return
        for limit_range in await self._limit_ranges(attributes):
            set_defaults(pod, limit_range)

    async def validate(self, attributes: Attributes) -> None:
        obj = attributes.obj
        if obj is None:
            return
        check = pod_violations if attributes.kind.resource.plural == "pods" else claim_violations
        for limit_range in await self._limit_ranges(attributes):
            found = list(dict.fromkeys(check(obj, limit_range)))
            if found:
                why = found[0] if len(found) == 1 else f"[{', '.join(found)}]"
                raise errors.forbidden(attributes.kind.resource.plural, "", attributes.name, why)

    async def _limit_ranges(self, attributes: Attributes) -> list[Object]:
        """Those that this request has to heed: none for what is being deleted, and updates of pods count only where they resize."""
        if (attributes.old or {}).get("metadata", {}).get("deletionTimestamp"):
            return []
        is_pod, is_update = attributes.kind.resource.plural == "pods", attributes.operation == "UPDATE"
        if attributes.subresource != ("resize" if is_pod and is_update else ""):
            return []
        cache = attributes.registries.get(LIMIT_RANGES).cache
        await cache.catch_up()
        if not cache.count(attributes.namespace):
            return []
        return [cache.object_of(each) for each in cache.entries(attributes.namespace)]


def _items(limit_range: Object, kind: str) -> Iterator[Object]:
    return (each for each in (limit_range.get("spec") or {}).get("limits") or () if each.get("type") == kind)


# --- defaults ---------------------------------------------------------------------------------------------------------


def set_defaults(pod: Object, limit_range: Object) -> None:
    """Give every container what it leaves out, and say so in an annotation."""
    requests: dict[str, str] = {}
    limits: dict[str, str] = {}
    for item in _items(limit_range, "Container"):
        requests.update(item.get("defaultRequest") or {})
        limits.update(item.get("default") or {})
    said = [
        f"{', '.join(names)} {what} for {noun} {container.get('name', '')}"
        for group, noun in _GROUPS
        for container in pod["spec"].get(group) or ()
        for what, defaults in (("request", requests), ("limit", limits))
        if (names := _fill(container, f"{what}s", defaults))
    ]
    if said:
        annotations = pod["metadata"].get("annotations") or {}
        pod["metadata"]["annotations"] = {**annotations, ANNOTATION: f"LimitRanger plugin set: {'; '.join(said)}"}


def _fill(container: Object, part: str, defaults: Mapping[str, str]) -> list[str]:
    """The names of what was missing, sorted."""
    resources = container.get("resources") or {}
    given = resources.get(part) or {}
    missing = sorted(defaults.keys() - given.keys())
    if missing:
        container["resources"] = {**resources, part: {**given, **{name: defaults[name] for name in missing}}}
    return missing


# --- limits -----------------------------------------------------------------------------------------------------------


def pod_violations(pod: Object, limit_range: Object) -> Iterator[str]:
    """What is wrong with each container, and with the pod as a whole."""
    spec = pod["spec"]
    for item in (limit_range.get("spec") or {}).get("limits") or ():
        if item.get("type") == "Container":
            for group, _ in _GROUPS:
                for container in spec.get(group) or ():
                    resources = container.get("resources") or {}
                    yield from _violations(item, read(resources.get("requests")), read(resources.get("limits")))
        elif item.get("type") == "Pod":
            requests, limits = (with_pod_level(spec, name, aggregate(spec, name)) for name in ("requests", "limits"))
            yield from _violations(item, requests, limits)


def claim_violations(claim: Object, limit_range: Object) -> Iterator[str]:
    """Claims have no limits: their requests are to be within."""
    requests = read((claim["spec"].get("resources") or {}).get("requests"))
    for item in _items(limit_range, "PersistentVolumeClaim"):
        for name, least in sorted(read(item.get("min")).items()):
            yield from _too_low(name, item["type"], least, requests, {})
        for name, most in sorted(read(item.get("max")).items()):
            if name not in requests:
                yield f"maximum {name} usage per {item['type']} is {most}.  No request is specified"
            elif _more(requests[name], most):
                yield f"maximum {name} usage per {item['type']} is {most}, but request is {requests[name]}"


def _violations(item: Object, requests: Amounts, limits: Amounts) -> Iterator[str]:
    kind = item["type"]
    for name, least in sorted(read(item.get("min")).items()):
        yield from _too_low(name, kind, least, requests, limits)
    for name, most in sorted(read(item.get("max")).items()):
        yield from _too_high(name, kind, most, requests, limits)
    for name, ratio in sorted(read(item.get("maxLimitRequestRatio")).items()):
        yield from _too_far_apart(name, kind, ratio, requests, limits)


def _more(one: Quantity, other: Quantity) -> bool:
    return one.milli_value() > other.milli_value()


def _too_low(name: str, kind: str, least: Quantity, requests: Amounts, limits: Amounts) -> Iterator[str]:
    start = f"minimum {name} usage per {kind} is {least}"
    if name not in requests:
        yield f"{start}.  No request is specified"
    elif _more(least, requests[name]):
        yield f"{start}, but request is {requests[name]}"
    elif name in limits and _more(least, limits[name]):
        yield f"{start}, but limit is {limits[name]}"


def _too_high(name: str, kind: str, most: Quantity, requests: Amounts, limits: Amounts) -> Iterator[str]:
    start = f"maximum {name} usage per {kind} is {most}"
    if name not in limits:
        yield f"{start}.  No limit is specified"
    elif _more(limits[name], most):
        yield f"{start}, but limit is {limits[name]}"
    elif name in requests and _more(requests[name], most):
        yield f"{start}, but request is {requests[name]}"


def _too_far_apart(name: str, kind: str, ratio: Quantity, requests: Amounts, limits: Amounts) -> Iterator[str]:
    start = f"{name} max limit to request ratio per {kind} is {ratio}"
    request, limit = requests.get(name), limits.get(name)
    if not request:
        yield f"{start}, but no request is specified or request is 0"
    elif not limit:
        yield f"{start}, but no limit is specified or limit is 0"
    elif limit.milli_value() * 1000 > ratio.milli_value() * request.milli_value():
        yield f"{start}, but provided ratio is {limit.milli_value() / request.milli_value():.6f}"
