"""Requests and limits that the server fills in, for Pods only (not for templates).

Source: kubernetes `pkg/apis/core/v1/defaults.go` (SetDefaults_Pod and the pod-level defaults of KEP-2837).
"""

from __future__ import annotations

from kube.objects import Object
from kube.pod_amounts import COMPUTE, HUGE_PAGES, aggregate, is_pod_level_resource


def default_requests(spec: Object) -> None:
    """A container that limits a resource and does not request it, requests its limit."""
    for name in ("containers", "initContainers"):
        for container in spec.get(name) or ():
            resources = container.get("resources") or {}
            limits = resources.get("limits")
            if limits:
                resources["requests"] = {**limits, **(resources.get("requests") or {})}


def default_pod_level(spec: Object) -> None:
    """Fills in pod-level requests and limits where the pod gives some of them, in upstream's order."""
    own = spec.get("resources")
    if not own or not (own.get("limits") or own.get("requests")):
        return
    _default_huge_pages(spec, own)
    if own.get("limits"):
        _default_requests(spec, own)
    if not any(is_pod_level_resource(each) for each in own.get("limits") or ()):
        _default_limits(spec, own)


def _default_huge_pages(spec: Object, own: Object) -> None:
    limits = dict(own.get("limits") or {})
    for name, amount in aggregate(spec, "limits").items():
        if name.startswith(HUGE_PAGES) and name not in (own.get("requests") or {}):
            limits.setdefault(name, str(amount))
    if limits:
        own["limits"] = limits


def _default_requests(spec: Object, own: Object) -> None:
    requests = dict(own.get("requests") or {})
    for name, amount in aggregate(spec, "requests").items():
        if name in COMPUTE:
            requests.setdefault(name, str(amount))
    for name, text in own["limits"].items():
        if is_pod_level_resource(name):
            requests.setdefault(name, text)
    if requests:
        own["requests"] = requests


def _default_limits(spec: Object, own: Object) -> None:
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    limits = dict(own.get("limits") or {})
    for name, amount in aggregate(spec, "limits").items():
        everywhere = all(name in ((each.get("resources") or {}).get("limits") or {}) for each in containers)
        if name in COMPUTE and everywhere:
            limits.setdefault(name, str(amount))
    if limits:
        own["limits"] = limits
