"""What a resize of a pod's containers may change: CPU and memory of running ones. Source: kubernetes ValidatePodResize."""

from __future__ import annotations

from apiserver.validation.metadata import same
from kube.errors import FieldError, invalid, not_allowed
from kube.objects import Object
from kube.pod_amounts import COMPUTE, qos_class

Errors = list[FieldError]


def _is_sidecar(container: Object) -> bool:
    return container.get("restartPolicy") == "Always"


def validate_changes(new: Object, old: Object) -> Errors:
    """Everything wrong with turning the resources of `old` into those of `new`."""
    spec, before = new["spec"], old["spec"]
    errors: Errors = []
    for name in ("containers", "initContainers"):
        after, was = spec.get(name) or [], before.get(name) or []
        if len(after) != len(was):
            return [not_allowed(f"spec.{name}", f"{name} may not be added or removed on resize")]
        if [each.get("name") for each in after] != [each.get("name") for each in was]:
            return [not_allowed(f"spec.{name}", f"{name} may not be renamed or reordered on resize")]
    old_class = (old.get("status") or {}).get("qosClass") or qos_class(before)
    if old_class != qos_class(spec):
        shown = (new.get("status") or {}).get("qosClass") or ""
        errors.append(invalid("spec", shown, "Pod QOS Class may not change as a result of resizing"))
    if not _is_supported(old):
        errors.append(not_allowed("spec", "Pod running on node without support for resize"))
    for name in ("initContainers", "containers"):
        for index, container in enumerate(before.get(name) or ()):
            errors += _removals((spec[name])[index], container, f"spec.{name}[{index}].resources")
    return errors + _only_compute(spec, before)


def _is_supported(pod: Object) -> bool:
    """Kubelets that can resize tell the resources of the containers that run."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    running = next((each for each in statuses if (each.get("state") or {}).get("running") is not None), None)
    return running is None or running.get("resources") is not None


def _removals(new: Object, old: Object, path: str) -> Errors:
    after, before = new.get("resources") or {}, old.get("resources") or {}
    errors: Errors = []
    for name in ("requests", "limits"):
        if set(before.get(name) or ()) - set(after.get(name) or ()):
            errors.append(not_allowed(f"{path}.{name}", f"resource {name} cannot be removed"))
    return errors


def _with_old_compute(new: Object, old: Object) -> Object:
    """The new container with the old CPU, memory and resize policy: what differs still may not change."""
    resources = dict(new.get("resources") or {})
    for name in ("requests", "limits"):
        amounts, before = dict(resources.get(name) or {}), (old.get("resources") or {}).get(name) or {}
        for each in COMPUTE:
            amounts.pop(each, None)
            if each in before:
                amounts[each] = before[each]
        resources[name] = amounts
    return {**new, "resources": resources, "resizePolicy": old.get("resizePolicy")}


def _only_compute(spec: Object, before: Object) -> Errors:
    errors: Errors = []
    for name in ("containers", "initContainers"):
        for new, old in zip(spec.get(name) or [], before.get(name) or [], strict=True):
            if not same(_with_old_compute(new, old), old):
                which = " for sidecar containers" if name == "initContainers" and _is_sidecar(new) else ""
                errors.append(not_allowed("spec", f"only cpu and memory resources{which} are mutable"))
    return errors
