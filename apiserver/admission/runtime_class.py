"""RuntimeClass: a pod gets the overhead, node selector and tolerations of its runtime class, and can name no other overhead.

Source: `plugin/pkg/admission/runtimeclass/admission.go`, `pkg/util/tolerations/tolerations.go`.
"""

from __future__ import annotations

from typing import Any, Final

from apiserver.registry.admission import Attributes
from kube import errors
from kube.objects import Object
from kube.quantity import parse
from kube.resources import Resource

RUNTIME_CLASSES: Final = Resource("node.k8s.io", "v1", "runtimeclasses", "RuntimeClass", namespaced=False)
_MISMATCH: Final = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"
_UNFOUNDED: Final = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"


class RuntimeClass:
    """See the module."""

    resources = frozenset({("", "pods")})
    operations = frozenset({"CREATE"})
    subresources = frozenset({""})

    async def mutate(self, attributes: Attributes) -> None:
        spec = (attributes.obj or {}).get("spec")
        if attributes.subresource or attributes.operation != "CREATE" or not isinstance(spec, dict):
            return
        if spec.get("runtimeClassName") is None and not spec.get("overhead"):
            return
        found = await self._class(attributes, spec.get("runtimeClassName"))
        overhead = ((found or {}).get("overhead") or {}).get("podFixed") or {}
        given = spec.get("overhead") or {}
        if given and not _same_amounts(given, overhead):
            raise _refuse(attributes, _MISMATCH if overhead else _UNFOUNDED)
        if overhead:
            spec["overhead"] = dict(overhead)
        self._schedule(attributes, spec, (found or {}).get("scheduling") or {})

    async def _class(self, attributes: Attributes, name: str | None) -> Object | None:
        if name is None:
            return None
        try:
            found: Object = await attributes.registries.get(RUNTIME_CLASSES).get("", name)
        except errors.NotFound as error:
            raise _refuse(attributes, f'pod rejected: RuntimeClass "{name}" not found') from error
        return found

    def _schedule(self, attributes: Attributes, spec: Object, scheduling: Object) -> None:
        wanted: dict[str, str] = scheduling.get("nodeSelector") or {}
        given: dict[str, str] = spec.get("nodeSelector") or {}
        for key in sorted(wanted):
            if given.get(key, wanted[key]) != wanted[key]:
                what = f"runtimeClass.scheduling.nodeSelector[{key}] = {wanted[key]}; pod.spec.nodeSelector[{key}] = {given[key]}"
                raise _refuse(attributes, f"conflict: {what}")
        if wanted:
            spec["nodeSelector"] = {**given, **wanted}
        if scheduling.get("tolerations"):
            spec["tolerations"] = merged_tolerations(spec.get("tolerations") or [], scheduling["tolerations"])


def _refuse(attributes: Attributes, why: str) -> errors.Forbidden:
    assert attributes.obj is not None
    return errors.forbidden("pods", "", attributes.obj["metadata"].get("name", ""), why)


def _same_amounts(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(parse(one[name]) == parse(other[name]) for name in one)


def merged_tolerations(first: list[Object], second: list[Object]) -> list[Object]:
    """Both lists in order, without those that another one covers. Pure."""
    every = [*first, *second]
    merged: list[Object] = []
    for index, each in enumerate(every):
        if any(_covers(other, each) for other in merged):
            continue
        if any(other != each and _covers(other, each) for other in every[index + 1 :]):
            continue
        merged.append(each)
    return merged


def _covers(wide: Object, narrow: Object) -> bool:
    """Whether `wide` tolerates all that `narrow` does."""
    if wide == narrow:
        return True
    exists = wide.get("operator") == "Exists"
    if wide.get("key", "") != narrow.get("key", "") and not (exists and not wide.get("key")):
        return False
    if wide.get("effect") and wide["effect"] != narrow.get("effect"):
        return False
    seconds = wide.get("tolerationSeconds")
    if wide.get("effect") == "NoExecute" and seconds is not None:
        others = narrow.get("tolerationSeconds")
        if others is None or others > seconds:
            return False
    if wide.get("operator") in ("Equal", "", None):
        return narrow.get("operator") == "Equal" and narrow.get("value", "") == wide.get("value", "")
    return exists
