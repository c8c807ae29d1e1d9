"""APIServices that the server registers itself: one for each group and version that it serves, and for those of custom resources. Pure.

Source: kubernetes `pkg/controlplane/apiserver/aggregator.go` and `cmd/kube-apiserver/app/aggregator.go` (priorities), kube-aggregator
`pkg/controllers/autoregister`, kubernetes `pkg/controlplane/controller/crdregistration`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from apiserver.bootstrap.ensure import Wanted
from kube.objects import Object, labels_of, name_of
from kube.resources import Resource

API_SERVICES: Final = Resource("apiregistration.k8s.io", "v1", "apiservices", "APIService", namespaced=False)
MANAGED: Final = "kube-aggregator.kubernetes.io/automanaged"
ON_START, ALWAYS = "onstart", "true"
CUSTOM: Final = (1000, 100)
"""Group and version priority of custom resources."""

_OWN: Final = "apiregistration.k8s.io"
_GROUPS: Final = {
    "": 18000,
    "apps": 17800,
    "events.k8s.io": 17750,
    "authentication.k8s.io": 17700,
    "authorization.k8s.io": 17600,
    "autoscaling": 17500,
    "batch": 17400,
    "certificates.k8s.io": 17300,
    "networking.k8s.io": 17200,
    "policy": 17100,
    "rbac.authorization.k8s.io": 17000,
    "storage.k8s.io": 16800,
    "apiextensions.k8s.io": 16700,
    "admissionregistration.k8s.io": 16700,
    "scheduling.k8s.io": 16600,
    "coordination.k8s.io": 16500,
    "node.k8s.io": 16300,
    "discovery.k8s.io": 16200,
    "resource.k8s.io": 16200,
    "flowcontrol.apiserver.k8s.io": 16100,
    "internal.apiserver.k8s.io": 16000,
    "storagemigration.k8s.io": 15800,
}
_VERSIONS: Final = {("", "v1"): 1, ("autoscaling", "v2"): 30, ("resource.k8s.io", "v1"): 20, ("flowcontrol.apiserver.k8s.io", "v1"): 21}
_STABLE, _UNSTABLE = 15, 9


def api_service(group: str, version: str, *, managed: str) -> Object:
    """The APIService of a group and version that this server serves itself."""
    if managed == ALWAYS:
        priorities = CUSTOM
    else:
        usual = _STABLE if version.lstrip("v").isdigit() else _UNSTABLE
        priorities = (_GROUPS.get(group, CUSTOM[0]), _VERSIONS.get((group, version), usual))
    spec: Object = {"group": group} if group else {}
    spec |= {"version": version, "groupPriorityMinimum": priorities[0], "versionPriority": priorities[1]}
    return {"metadata": {"name": f"{version}.{group}", "labels": {MANAGED: managed}}, "spec": spec}


def objects(served: Iterable[tuple[str, str]]) -> Iterator[Wanted]:
    """One for each built-in (group, version); the aggregator's own group has none."""
    for group, version in served:
        if group != _OWN:
            yield Wanted(API_SERVICES, api_service(group, version, managed=ON_START), settled)


def settled(present: Object, wanted: Object) -> Object | None:
    """With the wanted spec, unless somebody has taken it over by taking the label away; None when nothing is to change."""
    if not labels_of(present).get(MANAGED) or present.get("spec") == wanted["spec"]:
        return None
    labels = {**labels_of(present), **labels_of(wanted)}
    return {**present, "metadata": {**present["metadata"], "labels": labels}, "spec": wanted["spec"]}


def outdated(present: Iterable[Object], names: Iterable[str], *, managed: str) -> list[Object]:
    """Those registered in this way that nothing serves any more."""
    wanted = set(names)
    return [each for each in present if labels_of(each).get(MANAGED) == managed and name_of(each) not in wanted]
