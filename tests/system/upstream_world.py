"""What the scenarios on mixed clusters share: objects, and questions asked until the answer is right. Nothing here is a test.

Only the HTTP API is used, so that nothing depends on whose parts are behind it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from kube.objects import Object
from tests.system.client import Api
from tests.system.running import wait_until

WITHIN_S: Final = 120.0
_GROUPS: Final = {
    "api/v1": (
        "Pod Service ConfigMap Secret Namespace Node Event ResourceQuota ServiceAccount PersistentVolumeClaim PersistentVolume Endpoints"
        " ReplicationController"
    ),
    "apis/apps/v1": "Deployment ReplicaSet StatefulSet DaemonSet ControllerRevision",
    "apis/batch/v1": "Job CronJob",
    "apis/discovery.k8s.io/v1": "EndpointSlice",
    "apis/scheduling.k8s.io/v1": "PriorityClass",
    "apis/storage.k8s.io/v1": "StorageClass VolumeAttachment CSIDriver",
    "apis/certificates.k8s.io/v1": "CertificateSigningRequest",
    "apis/policy/v1": "PodDisruptionBudget",
    "apis/rbac.authorization.k8s.io/v1": "ClusterRole",
    "apis/resource.k8s.io/v1": "DeviceClass ResourceSlice ResourceClaim ResourceClaimTemplate",
}
_PATHS: Final = {kind: group for group, kinds in _GROUPS.items() for kind in kinds.split()}


def _plural(kind: str) -> str:
    name = kind.lower()
    return name if name == "endpoints" else f"{name}es" if name.endswith("s") else f"{name}s"


@dataclass(frozen=True, slots=True)
class World:
    """One cluster, as an admin sees it, with nodes `node-1`, `node-2`, ... of 8 CPUs each."""

    api: Api
    nodes: int

    def path(self, kind: str, namespace: str = "", name: str = "") -> str:
        """The path of a collection, or of an object in it; cluster-scoped without a namespace."""
        where = f"/namespaces/{namespace}" if namespace else ""
        return f"/{_PATHS[kind]}{where}/{_plural(kind)}" + (f"/{name}" if name else "")

    def create(self, kind: str, namespace: str, name: str, **fields: Any) -> Object:
        """Make one. Raises AssertionError when that is refused."""
        version = _PATHS[kind].removeprefix("apis/").removeprefix("api/")
        metadata = {"name": name, **fields.pop("metadata", {})}
        body = {"apiVersion": version, "kind": kind, "metadata": metadata, **fields}
        answer = self.api.call("POST", self.path(kind, namespace), body)
        assert answer.status == 201, f"{kind} {name}: {answer.status} {answer.body[:800]!r}"
        return dict(answer.json())

    def namespace(self, name: str) -> str:
        """A new namespace, ready for pods; answers its name."""
        self.create("Namespace", "", name)
        self.until(f"the ServiceAccount of {name}", lambda: self.find("ServiceAccount", name, "default") is not None)
        return name

    def find(self, kind: str, namespace: str, name: str) -> Object | None:
        """The object, None where there is none."""
        answer = self.api.call("GET", self.path(kind, namespace, name))
        if answer.status == 404:
            return None
        assert answer.status == 200, f"{kind} {name}: {answer.status} {answer.body[:800]!r}"
        return dict(answer.json())

    def get(self, kind: str, namespace: str, name: str) -> Object:
        found = self.find(kind, namespace, name)
        assert found is not None, f"there is no {kind} {name}"
        return found

    def items(self, kind: str, namespace: str = "", query: str = "") -> list[Object]:
        """The objects of a collection; `query` is a label or field selector as in the URL."""
        return list(self.api.get(self.path(kind, namespace) + (f"?{query}" if query else ""))["items"])

    def merge(self, kind: str, namespace: str, name: str, patch: Object, *, subresource: str = "") -> Object:
        """A merge patch."""
        target = self.path(kind, namespace, name) + (f"/{subresource}" if subresource else "")
        answer = self.api.call("PATCH", target, patch, headers={"Content-Type": "application/merge-patch+json"})
        assert answer.status == 200, f"{kind} {name}: {answer.status} {answer.body[:800]!r}"
        return dict(answer.json())

    def delete(self, kind: str, namespace: str, name: str, *, policy: str = "Background") -> None:
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": policy}
        answer = self.api.call("DELETE", self.path(kind, namespace, name), options)
        assert answer.status in (200, 202), f"{kind} {name}: {answer.status} {answer.body[:800]!r}"

    def until(self, what: str, true: Callable[[], bool], *, within_s: float = WITHIN_S) -> None:
        """Ask until the answer is yes. Raises AssertionError, naming `what`, when it takes too long."""
        wait_until(true, what, within_s=within_s)

    def reasons(self, namespace: str, name: str) -> set[str]:
        """Why there are events about an object."""
        return {str(each["reason"]) for each in self.items("Event", namespace) if each["involvedObject"].get("name") == name}


def pod_spec(*, cpu: str = "10m", command: str = "", **fields: Any) -> Object:
    """A spec of one container; `command` is run by a shell."""
    container: Object = {"name": "main", "image": "registry.k8s.io/pause:3.10", "resources": {"requests": {"cpu": cpu}}}
    if command:
        container |= {"image": "busybox", "command": ["sh", "-c", command]}
    return {"terminationGracePeriodSeconds": 1, "containers": [container], **fields}


def workload(app: str, spec: Object, **fields: Any) -> Object:
    """The spec of a Deployment, StatefulSet or DaemonSet whose pods are labelled `app=<app>`."""
    return {"selector": {"matchLabels": {"app": app}}, "template": {"metadata": {"labels": {"app": app}}, "spec": spec}, **fields}


def condition(obj: Object, type: str) -> Object:
    """That condition of an object's status, {} where there is none."""
    return next((each for each in obj.get("status", {}).get("conditions") or () if each["type"] == type), {})


def is_true(obj: Object | None, type: str) -> bool:
    return obj is not None and condition(obj, type).get("status") == "True"
