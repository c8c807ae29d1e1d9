"""The least object of each kind whose life cycle upstream's conformance tests go through. Data only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kube.objects import Object

TEMPLATE: Object = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "c", "image": "c"}]}}
SELECTOR: Object = {"matchLabels": {"app": "x"}}
WORKLOAD: Object = {"selector": SELECTOR, "template": TEMPLATE}
ONCE: Object = {"spec": {"containers": [{"name": "c", "image": "c"}], "restartPolicy": "Never"}}
BACKEND: Object = {"service": {"name": "svc", "port": {"number": 80}}}
MATCHING: Object = {
    "resourceRules": [{"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["deployments"]}]
}
DEVICES: Object = {"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "gpu"}}]}}
POOL: Object = {"driver": "gpu.example.com", "nodeName": "n1", "pool": {"name": "n1", "generation": 1, "resourceSliceCount": 1}}
MUTATION: Object = {
    "patchType": "ApplyConfiguration",
    "applyConfiguration": {"expression": "Object{spec: Object.spec{replicas: 2}}"},
}
VOLUME: Object = {
    "capacity": {"storage": "1Gi"},
    "accessModes": ["ReadWriteOnce"],
    "hostPath": {"path": "/mnt/x"},
    "storageClassName": "none",
}
CLAIM: Object = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": "none"}
TIME = "2026-01-02T03:04:05.000000Z"
NEW_EVENT: Object = {
    "eventTime": TIME,
    "reportingController": "test-controller",
    "reportingInstance": "test-node",
    "action": "Do",
    "reason": "Test",
    "type": "Normal",
    "note": "This is a test event",
    "regarding": {"kind": "Pod", "name": "p", "namespace": "default", "apiVersion": "v1"},
}
OLD_EVENT: Object = {
    "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"},
    "reason": "Test",
    "message": "m",
    "type": "Normal",
}


def said(kind: str) -> Object:
    """A status that is one condition."""
    return {"conditions": [{"type": kind, "status": "False", "reason": "E2E", "message": "Set from a test"}]}


def dated(kind: str) -> Object:
    """The same where conditions must have a time."""
    return {"conditions": [{**said(kind)["conditions"][0], "lastTransitionTime": "2026-01-02T03:04:05Z"}]}


PATCHES: Mapping[str, Object] = {
    "configmaps": {"data": {"a": "patched"}},
    "secrets": {"data": {"a": "cGF0Y2hlZA=="}},
    "podtemplates": {"template": {"metadata": {"labels": {"app": "patched"}}}},
    "endpoints": {"subsets": [{"addresses": [{"ip": "10.0.0.25"}], "ports": [{"name": "http-test", "port": 8080}]}]},
    "resourcequotas": {"spec": {"hard": {"cpu": "750m"}}},
    "limitranges": {"spec": {"limits": [{"type": "Container", "max": {"cpu": "3"}}]}},
    "services": {"spec": {"selector": {"app": "patched"}}},
    "events": {"message": "patched"},
    "poddisruptionbudgets.policy": {"spec": {"minAvailable": 3}},
    "leases.coordination.k8s.io": {"spec": {"leaseDurationSeconds": 60}},
    "flowschemas.flowcontrol.apiserver.k8s.io": {"spec": {"matchingPrecedence": 9999}},
    "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io": {"spec": {"limited": {"nominalConcurrencyShares": 4}}},
    "endpointslices.discovery.k8s.io": {"endpoints": [{"addresses": ["10.1.2.4"]}]},
    "cronjobs.batch": {"spec": {"suspend": True}},
    "events.events.k8s.io": {"series": {"count": 2, "lastObservedTime": TIME}},
}
"""By kind (`LifeCycle.id`)."""


@dataclass(frozen=True, slots=True)
class LifeCycle:
    """`body` is all but metadata. `status`: what is patched into the status and must be found there again, None for kinds without one.
    `names`: of the three objects. `settled`: whether the controllers must run for deletions to be finished."""

    group: str
    plural: str
    body: Mapping[str, Any] = field(default_factory=dict)
    status: Object | None = None
    namespaced: bool = True
    names: tuple[str, str, str] = ("one", "two", "three")
    version: str = "v1"
    settled: bool = False
    collection: bool = True

    @property
    def patch(self) -> Mapping[str, Any]:
        """What a patch changes besides metadata."""
        return PATCHES.get(self.id, {})

    @property
    def root(self) -> str:
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    @property
    def path(self) -> str:
        return f"{self.root}/namespaces/default/{self.plural}" if self.namespaced else f"{self.root}/{self.plural}"

    @property
    def id(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural


def _cluster(group: str, plural: str, **rest: Any) -> LifeCycle:
    return LifeCycle(group, plural, namespaced=False, **rest)


ADMISSION, NETWORK, STORAGE = "admissionregistration.k8s.io", "networking.k8s.io", "storage.k8s.io"

LIFE_CYCLES = (
    LifeCycle("", "configmaps", {"data": {"a": "1"}}),
    LifeCycle("", "secrets", {"data": {"a": "MQ=="}, "type": "Opaque"}),
    LifeCycle("", "podtemplates", {"template": TEMPLATE}),
    LifeCycle("", "events", OLD_EVENT),
    LifeCycle("", "endpoints", {"subsets": [{"addresses": [{"ip": "10.0.0.24"}], "ports": [{"name": "http", "port": 80}]}]}),
    LifeCycle(
        "",
        "services",
        {"spec": {"type": "LoadBalancer", "selector": {"app": "x"}, "ports": [{"port": 80}]}},
        {"loadBalancer": {"ingress": [{"ip": "203.0.113.1"}]}},
    ),
    LifeCycle("", "serviceaccounts"),
    LifeCycle("", "limitranges", {"spec": {"limits": [{"type": "Container", "max": {"cpu": "2"}}]}}),
    LifeCycle("", "resourcequotas", {"spec": {"hard": {"cpu": "1"}}}, {"hard": {"cpu": "2"}}),
    LifeCycle(
        "",
        "replicationcontrollers",
        {"spec": {"replicas": 0, "selector": {"app": "x"}, "template": TEMPLATE}},
        dated("StatusUpdate"),
        settled=True,
    ),
    _cluster("", "namespaces", settled=True, collection=False, status=dated("StatusUpdate")),
    _cluster("", "nodes", status=dated("StatusUpdate")),
    _cluster("", "persistentvolumes", body={"spec": VOLUME}, settled=True, status={"phase": "Available", "message": "m", "reason": "E2E"}),
    LifeCycle("", "persistentvolumeclaims", {"spec": CLAIM}, settled=True, status=dated("StatusUpdate")),
    LifeCycle("apps", "controllerrevisions", {"revision": 1, "data": {"a": 1}}),
    LifeCycle("apps", "daemonsets", {"spec": WORKLOAD}, dated("StatusUpdate")),
    LifeCycle("apps", "deployments", {"spec": {"replicas": 0, **WORKLOAD}}, dated("StatusUpdate")),
    LifeCycle("apps", "replicasets", {"spec": {"replicas": 0, **WORKLOAD}}, dated("StatusUpdate")),
    LifeCycle("apps", "statefulsets", {"spec": {"replicas": 0, "serviceName": "s", **WORKLOAD}}, dated("StatusUpdate")),
    LifeCycle("batch", "jobs", {"spec": {"suspend": True, "template": ONCE}}, dated("StatusUpdate"), settled=True),
    LifeCycle(
        "batch",
        "cronjobs",
        {"spec": {"schedule": "* */1 * * *", "jobTemplate": {"spec": {"template": ONCE}}}},
        {"lastScheduleTime": "2026-01-02T03:04:05Z"},
    ),
    LifeCycle(
        "policy",
        "poddisruptionbudgets",
        {"spec": {"minAvailable": 1, "selector": SELECTOR}},
        {"disruptedPods": {"p": "2026-01-02T03:04:05Z"}},
    ),
    LifeCycle("coordination.k8s.io", "leases", {"spec": {"holderIdentity": "holder", "leaseDurationSeconds": 30, "leaseTransitions": 0}}),
    LifeCycle("events.k8s.io", "events", NEW_EVENT),
    _cluster(
        "flowcontrol.apiserver.k8s.io",
        "flowschemas",
        body={"spec": {"matchingPrecedence": 9000, "priorityLevelConfiguration": {"name": "global-default"}}},
        status=dated("PatchStatus"),
    ),
    _cluster(
        "flowcontrol.apiserver.k8s.io",
        "prioritylevelconfigurations",
        body={"spec": {"type": "Limited", "limited": {"nominalConcurrencyShares": 2, "limitResponse": {"type": "Reject"}}}},
        status=dated("PatchStatus"),
    ),
    _cluster(
        ADMISSION,
        "validatingadmissionpolicies",
        body={"spec": {"matchConstraints": MATCHING, "validations": [{"expression": "object.spec.replicas > 1"}]}},
        status=dated("StatusUpdate"),
    ),
    _cluster(ADMISSION, "validatingadmissionpolicybindings", body={"spec": {"policyName": "replicalimit", "validationActions": ["Deny"]}}),
    _cluster(
        ADMISSION,
        "mutatingadmissionpolicies",
        body={"spec": {"matchConstraints": MATCHING, "mutations": [MUTATION], "reinvocationPolicy": "Never"}},
    ),
    _cluster(ADMISSION, "mutatingadmissionpolicybindings", body={"spec": {"policyName": "replicalimit"}}),
    _cluster("node.k8s.io", "runtimeclasses", body={"handler": "e2e-handler"}),
    LifeCycle(
        "discovery.k8s.io", "endpointslices", {"addressType": "IPv4", "endpoints": [{"addresses": ["10.1.2.3"]}], "ports": [{"port": 80}]}
    ),
    LifeCycle(NETWORK, "ingresses", {"spec": {"defaultBackend": BACKEND}}, {"loadBalancer": {"ingress": [{"ip": "169.1.1.1"}]}}),
    _cluster(NETWORK, "ingressclasses", body={"spec": {"controller": "example.com/ingress"}}),
    _cluster(
        NETWORK,
        "ipaddresses",
        body={"spec": {"parentRef": {"group": "example.com", "resource": "foos", "name": "foo"}}},
        names=("192.168.7.1", "192.168.7.2", "192.168.7.3"),
    ),
    _cluster(NETWORK, "servicecidrs", body={"spec": {"cidrs": ["192.168.0.0/24"]}}, status=dated("StatusPatched"), settled=True),
    _cluster(STORAGE, "csidrivers", body={"spec": {"attachRequired": False, "volumeLifecycleModes": ["Ephemeral"]}}),
    _cluster(STORAGE, "csinodes", body={"spec": {"drivers": []}}),
    LifeCycle(STORAGE, "csistoragecapacities", {"storageClassName": "c", "capacity": "1Gi"}),
    _cluster(STORAGE, "storageclasses", body={"provisioner": "example.com/p"}),
    _cluster(
        STORAGE,
        "volumeattachments",
        body={"spec": {"attacher": "a", "nodeName": "n", "source": {"persistentVolumeName": "v"}}},
        status={"attached": True},
    ),
    _cluster(STORAGE, "volumeattributesclasses", body={"driverName": "example.com/d", "parameters": {"a": "1"}}, settled=True),
    _cluster("scheduling.k8s.io", "priorityclasses", body={"value": 7}),
    _cluster("resource.k8s.io", "deviceclasses"),
    LifeCycle("resource.k8s.io", "resourceclaims", {"spec": DEVICES}),
    LifeCycle("resource.k8s.io", "resourceclaimtemplates", {"spec": {"spec": DEVICES}}),
    _cluster("resource.k8s.io", "resourceslices", body={"spec": POOL}),
)
