"""Which pods belong together: the selectors of Services and of the controllers that own pods, for the default topology spreading.

Source: `pkg/scheduler/framework/plugins/helper/spread.go`, DefaultSelector.
"""

from __future__ import annotations

from collections.abc import Mapping

from controllers.scheduler.pod_info import PodInfo, selector_of
from kube.labels import EVERYTHING, Selector, from_map
from kube.objects import Object, controller_of, name_of, namespace_of


class Workloads:
    """`version` changes when an answer of `selector_for` may have."""

    def __init__(self) -> None:
        self.version = 0
        self._services: dict[str, dict[str, Mapping[str, str]]] = {}
        self._owners: dict[tuple[str, str, str], Selector] = {}

    def service(self, old: Object | None, new: Object | None) -> None:
        """A handler for the informer of Services."""
        before, after = _service_selector(old), _service_selector(new)
        service = new or old
        if service is None or before == after:
            return
        self.version += 1
        known = self._services.setdefault(namespace_of(service), {})
        if after:
            known[name_of(service)] = after
        else:
            known.pop(name_of(service), None)

    def owner(self, old: Object | None, new: Object | None) -> None:
        """A handler for the informers of ReplicaSets, StatefulSets and ReplicationControllers."""
        each = new or old
        if each is None or (old is not None and new is not None and old["spec"].get("selector") == new["spec"].get("selector")):
            return
        self.version += 1
        identity = (each["kind"], namespace_of(each), name_of(each))
        if new is None:
            self._owners.pop(identity, None)
        elif each["kind"] == "ReplicationController":
            self._owners[identity] = from_map(new["spec"].get("selector"))
        else:
            self._owners[identity] = selector_of(new["spec"].get("selector"))

    def selector_for(self, pod: PodInfo) -> Selector | None:
        """What selects the pod's like: all its Services and its owner together. None when there is neither."""
        requirements = [
            requirement
            for wanted in self._services.get(pod.namespace, {}).values()
            if all(pod.labels.get(key) == value for key, value in wanted.items())
            for requirement in from_map(wanted).requirements
        ]
        owner = controller_of(pod.pod)
        if owner is not None:
            found = self._owners.get((owner.get("kind", ""), pod.namespace, owner.get("name", "")), EVERYTHING)
            requirements += found.requirements
        return Selector(dict.fromkeys(requirements)) if requirements else None


def _service_selector(service: Object | None) -> Mapping[str, str]:
    return (service or {}).get("spec", {}).get("selector") or {}
