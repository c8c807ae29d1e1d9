"""What the controllers must do, whoever's they are: everything around workloads. Nothing here is a test.

Every function is one scenario, in a namespace of its own.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import partial
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.system.upstream_world import World, condition, is_true, pod_spec, workload


def endpoints(world: World) -> None:
    """A Service's EndpointSlices and Endpoints have the ready pods, and lose them again."""
    space = world.namespace("endpoints")
    world.create("Service", space, "web", spec={"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]})
    world.create("Deployment", space, "web", spec=workload("web", pod_spec(), replicas=3))

    def ready() -> int:
        slices = world.items("EndpointSlice", space, "labelSelector=kubernetes.io%2Fservice-name%3Dweb")
        return sum(bool(each["conditions"]["ready"]) for part in slices for each in part.get("endpoints") or ())

    def addresses() -> int:
        found = world.find("Endpoints", space, "web") or {}
        return sum(len(each.get("addresses") or ()) for each in found.get("subsets") or ())

    world.until("three endpoints", lambda: ready() == addresses() == 3)
    (first, *_) = world.items("EndpointSlice", space)
    assert first["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
    assert first["addressType"] == "IPv4"
    world.merge("Deployment", space, "web", {"spec": {"replicas": 1}})
    world.until("one endpoint", lambda: ready() == addresses() == 1)


def garbage(world: World) -> None:
    """What is owned goes with its owner, before it where that is asked for, and stays where it is to be orphaned."""
    space = world.namespace("garbage")
    for name in ("background", "foreground", "orphaned"):
        world.create("Deployment", space, name, spec=workload(name, pod_spec(), replicas=2))
    world.until("six pods", lambda: len(world.items("Pod", space)) == 6)
    world.delete("Deployment", space, "background")
    world.delete("Deployment", space, "foreground", policy="Foreground")
    world.delete("Deployment", space, "orphaned", policy="Orphan")
    world.until("no Deployment", lambda: not world.items("Deployment", space))
    world.until("two pods left", lambda: len(world.items("Pod", space)) == 2)
    (left,) = world.items("ReplicaSet", space)
    assert left["metadata"]["name"].startswith("orphaned-")
    assert not left["metadata"].get("ownerReferences")


def quota(world: World) -> None:
    """A quota's use is counted, what exceeds it is refused, and what goes is given back."""
    space = world.namespace("quota")
    world.create("ResourceQuota", space, "small", spec={"hard": {"pods": "2", "requests.cpu": "1", "configmaps": "5"}})
    world.until("a quota that is counted", lambda: "used" in world.get("ResourceQuota", space, "small").get("status", {}))
    world.create("Deployment", space, "web", spec=workload("web", pod_spec(cpu="100m"), replicas=3))

    def used() -> dict[str, str]:
        return dict(world.get("ResourceQuota", space, "small")["status"]["used"])

    world.until("a full quota", lambda: used()["pods"] == "2" and used()["requests.cpu"] == "200m")
    world.until("a third pod refused", lambda: is_true(world.find("Deployment", space, "web"), "ReplicaFailure"))
    (replica_set,) = world.items("ReplicaSet", space)
    assert "exceeded quota: small" in condition(replica_set, "ReplicaFailure")["message"]
    world.merge("Deployment", space, "web", {"spec": {"replicas": 0}})
    world.until("an empty quota", lambda: used()["pods"] == "0")


def namespace_deletion(world: World) -> None:
    """A namespace goes with everything in it, but not before what holds on to it lets go."""
    space = world.namespace("leaving")
    world.create("Deployment", space, "web", spec=workload("web", pod_spec(), replicas=2))
    world.create("ConfigMap", space, "held", metadata={"finalizers": ["example.com/hold"]})
    world.until("pods", lambda: len(world.items("Pod", space)) == 2)
    world.delete("Namespace", "", space)

    def is_held() -> bool:
        found = world.find("Namespace", "", space)
        return is_true(found, "NamespaceFinalizersRemaining") and is_true(found, "NamespaceContentRemaining")

    world.until("a namespace that says what it waits for", is_held)
    world.merge("ConfigMap", space, "held", {"metadata": {"finalizers": None}})
    world.until("no namespace", lambda: world.find("Namespace", "", space) is None)


def accounts(world: World) -> None:
    """Every namespace has its ServiceAccount and the cluster's CA; a Secret for an account gets a token that the server accepts."""
    space = world.namespace("accounts")
    world.until("the CA", lambda: world.find("ConfigMap", space, "kube-root-ca.crt") is not None)
    world.create("ServiceAccount", space, "robot")
    kind = "kubernetes.io/service-account-token"
    world.create("Secret", space, "robot", type=kind, metadata={"annotations": {"kubernetes.io/service-account.name": "robot"}})
    world.until("a token", lambda: "token" in (world.get("Secret", space, "robot").get("data") or {}))
    token = base64.b64decode(world.get("Secret", space, "robot")["data"]["token"]).decode()
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    said = world.api.call("POST", "/apis/authentication.k8s.io/v1/tokenreviews", review).json()
    assert said["status"]["user"]["username"] == f"system:serviceaccount:{space}:robot", said["status"]
    world.delete("ServiceAccount", space, "robot")
    world.until("the token gone", lambda: world.find("Secret", space, "robot") is None)
    world.delete("ConfigMap", space, "kube-root-ca.crt")
    world.until("the CA again", lambda: world.find("ConfigMap", space, "kube-root-ca.crt") is not None)


def certificates(world: World) -> None:
    """An approved request for a client certificate is signed by the cluster's CA."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "jane")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    pem = base64.b64encode(request.public_bytes(serialization.Encoding.PEM)).decode()
    signer = "kubernetes.io/kube-apiserver-client"
    made = world.create("CertificateSigningRequest", "", "jane", spec={"request": pem, "signerName": signer, "usages": ["client auth"]})
    made["status"] = {"conditions": [{"type": "Approved", "status": "True", "reason": "Test", "message": "approved by a test"}]}
    path = world.path("CertificateSigningRequest", name="jane")
    assert world.api.call("PUT", f"{path}/approval", made).status == 200
    world.until("a certificate", lambda: "certificate" in world.get("CertificateSigningRequest", "", "jane")["status"])
    encoded = world.get("CertificateSigningRequest", "", "jane")["status"]["certificate"]
    assert x509.load_pem_x509_certificate(base64.b64decode(encoded)).subject == name
    world.delete("CertificateSigningRequest", "", "jane")


def disruption(world: World) -> None:
    """A disruption budget is counted, and an eviction that it forbids is refused."""
    space = world.namespace("disruption")
    world.create("Deployment", space, "web", spec=workload("web", pod_spec(), replicas=2))
    world.create("PodDisruptionBudget", space, "web", spec={"minAvailable": 2, "selector": {"matchLabels": {"app": "web"}}})

    def counted() -> dict[str, int]:
        return dict(world.get("PodDisruptionBudget", space, "web").get("status") or {})

    world.until("a budget that is counted", lambda: counted().get("currentHealthy") == 2 and counted()["expectedPods"] == 2)
    (first, *_) = (pod["metadata"]["name"] for pod in world.items("Pod", space))
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": first, "namespace": space}}
    target = f"{world.path('Pod', space, first)}/eviction"
    assert world.api.call("POST", target, eviction).status == 429
    world.merge("PodDisruptionBudget", space, "web", {"spec": {"minAvailable": 1}})
    world.until("leave to evict", lambda: counted().get("disruptionsAllowed") == 1)
    assert world.api.call("POST", target, eviction).status == 201
    world.until("another pod", lambda: counted().get("currentHealthy") == 2 and world.find("Pod", space, first) is None)


def aggregated_roles(world: World) -> None:
    """The rules of a labelled ClusterRole are found in `view`, and in `edit` and `admin`, which are made of it."""
    rule = {"apiGroups": ["example.com"], "resources": ["widgets"], "verbs": ["get"]}
    labels = {"rbac.authorization.k8s.io/aggregate-to-view": "true"}
    world.create("ClusterRole", "", "see-widgets", metadata={"labels": labels}, rules=[rule])

    def may(name: str) -> bool:
        return rule in (world.get("ClusterRole", "", name).get("rules") or ())

    for name in ("view", "edit", "admin"):
        world.until(f"{name} may see widgets", partial(may, name))
    world.delete("ClusterRole", "", "see-widgets")
    world.until("nobody may", lambda: not may("admin"))


def mirrored_endpoints(world: World) -> None:
    """Endpoints that somebody wrote for a Service without a selector are mirrored in an EndpointSlice."""
    space = world.namespace("mirrored")
    world.create("Service", space, "elsewhere", spec={"ports": [{"port": 80}]})
    world.create("Endpoints", space, "elsewhere", subsets=[{"addresses": [{"ip": "192.0.2.7"}], "ports": [{"port": 80}]}])
    world.until("a slice", lambda: bool(world.items("EndpointSlice", space)))
    (mirror,) = world.items("EndpointSlice", space)
    assert mirror["endpoints"][0]["addresses"] == ["192.0.2.7"]
    assert mirror["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] == "endpointslicemirroring-controller.k8s.io"
    world.delete("Endpoints", space, "elsewhere")
    world.until("no slice", lambda: not world.items("EndpointSlice", space))


SCENARIOS: Final[tuple[Callable[[World], None], ...]] = (
    endpoints,
    mirrored_endpoints,
    garbage,
    quota,
    namespace_deletion,
    accounts,
    certificates,
    disruption,
    aggregated_roles,
)
