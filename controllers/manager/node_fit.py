"""Whether a pod's template fits a node, as far as a DaemonSet asks: name, selector, required affinity, taints. Pure.

What the scheduler also looks at (resources, ports, other pods) is its own business. Source: `nodeShouldRunDaemonPod` in upstream
`pkg/controller/daemon/daemon_controller.go`, and component-helpers `scheduling/corev1/nodeaffinity`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kube.objects import Object, labels_of, name_of

from .taint_eviction import tolerates


@dataclass(frozen=True, slots=True)
class Fit:
    """Whether a daemon pod should be started on a node, and whether one that runs there may stay."""

    run: bool
    stay: bool


def fit(template: Mapping[str, Any], tolerations: Iterable[Object], node: Object) -> Fit:
    """How a template, with these tolerations, fits a node."""
    spec = template.get("spec") or {}
    if spec.get("nodeName") not in (None, "", name_of(node)) or not fits_affinity(spec, node):
        return Fit(run=False, stay=False)
    known = list(tolerations)
    missing = [each for each in node["spec"].get("taints") or () if not any(tolerates(one, each) for one in known)]
    if any(each.get("effect") == "NoExecute" for each in missing):
        return Fit(run=False, stay=False)
    return Fit(run=all(each.get("effect") != "NoSchedule" for each in missing), stay=True)


def fits_affinity(spec: Mapping[str, Any], node: Object) -> bool:
    """nodeSelector and requiredDuringSchedulingIgnoredDuringExecution."""
    if not (spec.get("nodeSelector") or {}).items() <= labels_of(node).items():
        return False
    required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get("requiredDuringSchedulingIgnoredDuringExecution")
    if required is None:
        return True
    return any(_matches_term(each, node) for each in required.get("nodeSelectorTerms") or ())


def _matches_term(term: Mapping[str, Any], node: Object) -> bool:
    """All expressions and fields of the term; an empty term matches nothing."""
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    labels = labels_of(node)
    return all(_matches(each, labels) for each in expressions) and all(_matches(each, {"metadata.name": name_of(node)}) for each in fields)


def _matches(requirement: Mapping[str, Any], values: Mapping[str, str]) -> bool:
    key, operator, listed = requirement.get("key", ""), requirement.get("operator"), requirement.get("values") or []
    value = values.get(key)
    if operator == "In":
        return value in listed
    if operator == "NotIn":
        return value not in listed
    if operator == "Exists":
        return value is not None
    if operator == "DoesNotExist":
        return value is None
    if operator in ("Gt", "Lt") and value is not None and len(listed) == 1:
        try:
            left, right = int(value), int(listed[0])
        except ValueError:
            return False
        return left > right if operator == "Gt" else left < right
    return False
