"""A pod as the scheduler sees it: parsed once, then only read. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson

from controllers.scheduler.requests import CPU, EPHEMERAL_STORAGE, MEMORY, pod_requests, pod_requests_nonzero
from kube import pod_claims
from kube.labels import NOTHING, LabelSelectorError, Selector, from_object
from kube.objects import Object, controller_of, is_deleting, key_of, labels_of
from kube.storage import claims_of

_VOLUMES_THAT_MATTER = ("persistentVolumeClaim", "ephemeral", "gcePersistentDisk", "awsElasticBlockStore", "iscsi", "rbd")
Port = tuple[str, str, int]
"""(protocol, host IP, host port)."""
ANY_IP = "0.0.0.0"


@dataclass(frozen=True, slots=True)
class AffinityTerm:
    """A PodAffinityTerm: pods of those namespaces (by name or by their labels) that the selector matches."""

    namespaces: frozenset[str]
    namespace_selector: Selector
    selector: Selector
    topology_key: str

    def matches(self, pod: PodInfo, namespaces: Mapping[str, Mapping[str, str]]) -> bool:
        """`namespaces` gives the labels of each."""
        if pod.namespace not in self.namespaces:
            selector = self.namespace_selector
            if selector.is_nothing or not selector.matches(namespaces.get(pod.namespace) or {}):
                return False
        return self.selector.matches(pod.labels)


WeightedTerm = tuple[int, AffinityTerm]


class PodInfo:
    """The parts of a pod that scheduling looks at. Instances are not changed, but for `node_name`, by who assumes a pod."""

    def __init__(self, pod: Object) -> None:
        spec = pod["spec"]
        metadata = pod["metadata"]
        self.pod = pod
        self.key = key_of(pod)
        self.name: str = metadata["name"]
        self.namespace: str = metadata.get("namespace", "")
        self.uid: str = metadata.get("uid", "")
        self.labels = labels_of(pod)
        self.spec: Mapping[str, Any] = spec
        self.scheduler_name: str = spec.get("schedulerName") or "default-scheduler"
        self.priority: int = spec.get("priority") or 0
        self.node_name: str = spec.get("nodeName") or ""
        self.is_deleting = is_deleting(pod)
        self.requests = pod_requests(pod)
        self.cpu, self.memory = self.requests.get(CPU, 0), self.requests.get(MEMORY, 0)
        self.ephemeral_storage = self.requests.get(EPHEMERAL_STORAGE, 0)
        self.scalars = {name: value for name, value in self.requests.items() if value and name not in (CPU, MEMORY, EPHEMERAL_STORAGE)}
        self.scored_cpu, self.scored_memory = pod_requests_nonzero(spec, self.requests)
        self.ports = _host_ports(spec)
        self.claims = tuple(claims_of(pod))
        self.resource_claims = tuple(pod_claims.claims_of(pod))
        affinity = spec.get("affinity") or {}
        self.affinity = _terms(affinity.get("podAffinity"), self.namespace)
        self.anti_affinity = _terms(affinity.get("podAntiAffinity"), self.namespace)
        self.preferred_affinity = _preferred(affinity.get("podAffinity"), self.namespace)
        self.preferred_anti_affinity = _preferred(affinity.get("podAntiAffinity"), self.namespace)

    @property
    def has_affinity(self) -> bool:
        """Whether it has any (anti-)affinity to other pods."""
        return bool(self.affinity or self.anti_affinity or self.preferred_affinity or self.preferred_anti_affinity)

    @property
    def has_claims(self) -> bool:
        """Whether it uses any PersistentVolumeClaim."""
        return bool(self.claims)

    @property
    def tolerations(self) -> Sequence[Mapping[str, Any]]:
        return self.spec.get("tolerations") or ()

    @property
    def nominated_node(self) -> str:
        return (self.pod.get("status") or {}).get("nominatedNodeName") or ""

    @property
    def can_preempt(self) -> bool:
        return self.spec.get("preemptionPolicy") != "Never"

    @cached_property
    def signature(self) -> bytes:
        """Equal for pods that every plugin treats alike (replicas of one template, mostly). Whatever a plugin reads belongs in here."""
        spec = self.spec
        owner = controller_of(self.pod)
        volumes = [each for each in spec.get("volumes") or () if any(kind in each for kind in _VOLUMES_THAT_MATTER)]
        parts = (
            self.namespace,
            self.labels,
            self.priority,
            spec.get("preemptionPolicy"),
            spec.get("nodeSelector"),
            spec.get("affinity"),
            spec.get("tolerations"),
            spec.get("topologySpreadConstraints"),
            spec.get("overhead"),
            spec.get("resources"),
            self.uid if self.resource_claims else None,
            [_signature_of(each) for each in spec.get("containers") or ()],
            [_signature_of(each) for each in spec.get("initContainers") or ()],
            volumes,
            [(each.name, self.uid) for each in self.claims if each.is_ephemeral],
            owner and (owner.get("kind"), owner.get("name"), owner.get("uid")),
        )
        return orjson.dumps(parts)


def _signature_of(container: Mapping[str, Any]) -> tuple[Any, ...]:
    return container.get("image"), container.get("resources"), container.get("ports"), container.get("restartPolicy")


def _host_ports(spec: Mapping[str, Any]) -> tuple[Port, ...]:
    """The host ports of containers and of restartable init containers."""
    running = [*(spec.get("containers") or ())]
    running += [each for each in spec.get("initContainers") or () if each.get("restartPolicy") == "Always"]
    return tuple(
        (port.get("protocol") or "TCP", port.get("hostIP") or ANY_IP, port["hostPort"])
        for container in running
        for port in container.get("ports") or ()
        if port.get("hostPort")
    )


def selector_of(label_selector: Mapping[str, Any] | None) -> Selector:
    """As `from_object`; what is no selector matches nothing (the API server should not have let it in)."""
    try:
        return from_object(label_selector)
    except LabelSelectorError:
        return NOTHING


def _term(term: Mapping[str, Any], namespace: str) -> AffinityTerm:
    names = term.get("namespaces") or ()
    by_labels = term.get("namespaceSelector")
    if not names and by_labels is None:
        names = (namespace,)
    return AffinityTerm(frozenset(names), selector_of(by_labels), selector_of(term.get("labelSelector")), term.get("topologyKey", ""))


def _terms(affinity: Mapping[str, Any] | None, namespace: str) -> tuple[AffinityTerm, ...]:
    required = (affinity or {}).get("requiredDuringSchedulingIgnoredDuringExecution") or ()
    return tuple(_term(term, namespace) for term in required)


def _preferred(affinity: Mapping[str, Any] | None, namespace: str) -> tuple[WeightedTerm, ...]:
    preferred = (affinity or {}).get("preferredDuringSchedulingIgnoredDuringExecution") or ()
    return tuple((each.get("weight", 0), _term(each.get("podAffinityTerm") or {}, namespace)) for each in preferred)
