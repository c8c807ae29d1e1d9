"""The kubelet's small pure parts: image names, back-off, admission, status patches, the Node, the environment."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from kube.objects import Object
from kubelet import backoff, images
from kubelet.admission import Usage, refusal_of, requests_of
from kubelet.backoff import BackOff
from kubelet.environment import Place, expanded, field_of, named, resource_of
from kubelet.node import NodeFacts, allocatable_of, fingerprint, node_of, registration_patch, status_of_node
from kubelet.reporter import patch_of
from kubelet.runtime.addresses import AddressPool, cidr_of_index
from kubelet.runtime.base import CRIError, ImageStatus
from kubelet.service_links import environment

NOW = datetime(2026, 1, 1, tzinfo=UTC)

# --- image names --------------------------------------------------------------------------------------------------------------

REFERENCES = {
    "a short name": ("nginx", "docker.io/library/nginx:latest"),
    "a short name with a tag": ("nginx:1.27", "docker.io/library/nginx:1.27"),
    "a user's image": ("bitnami/redis", "docker.io/bitnami/redis:latest"),
    "another registry": ("registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10"),
    "a registry with a port": ("localhost:5000/a/b", "localhost:5000/a/b:latest"),
    "a digest": ("nginx@sha256:" + "a" * 64, "docker.io/library/nginx@sha256:" + "a" * 64),
    "a tag and a digest": ("nginx:1@sha256:" + "a" * 64, "docker.io/library/nginx@sha256:" + "a" * 64),
    "the old name of the hub": ("index.docker.io/library/nginx", "docker.io/library/nginx:latest"),
}


@pytest.mark.parametrize(("given", "expected"), REFERENCES.values(), ids=REFERENCES.keys())
def test_image_reference(given: str, expected: str) -> None:
    assert str(images.parse(given)) == expected


@pytest.mark.parametrize("given", ["", "Nginx", "nginx:", "nginx:a b", "a//b", "nginx@sha256:12", "-a/b", ":1", "x" * 300])
def test_invalid_image_reference(given: str) -> None:
    with pytest.raises(images.InvalidImageName):
        images.parse(given)


def test_an_upper_case_name_is_told_why() -> None:
    with pytest.raises(images.InvalidImageName, match=r"repository name \(library/Nginx\) must be lowercase"):
        images.parse("Nginx:1")


# --- back-off -------------------------------------------------------------------------------------------------------------------


def test_back_off_doubles_up_to_five_minutes() -> None:
    entry, now_s, delays = None, 0.0, []
    for _ in range(8):
        entry = backoff.following(entry, event_s=now_s, now_s=now_s)
        delays.append(entry.delay_s)
        now_s += entry.delay_s
    assert delays == [10, 20, 40, 80, 160, 300, 300, 300]


def test_back_off_is_forgotten_after_ten_minutes() -> None:
    old = BackOff(300, 0)
    assert backoff.following(old, event_s=601, now_s=601) == BackOff(10, 601)
    assert backoff.following(old, event_s=600, now_s=600) == BackOff(300, 600)
    assert backoff.waits_until(old, event_s=601, now_s=601) is None


def test_back_off_waits_from_the_failure_on() -> None:
    entry = BackOff(20, 100)
    assert backoff.waits_until(entry, event_s=110, now_s=115) == 130
    assert backoff.waits_until(entry, event_s=110, now_s=130) is None
    assert backoff.waits_until(None, event_s=110, now_s=110) is None


DURATIONS = {"nothing": (0, "0s"), "millis": (0.0501, "50ms"), "seconds": (1.594, "1.594s"), "whole": (10, "10s")}
DURATIONS |= {"minutes": (80, "1m20s"), "five minutes": (300, "5m0s"), "hours": (3661, "1h1m1s")}


@pytest.mark.parametrize(("seconds", "expected"), DURATIONS.values(), ids=DURATIONS.keys())
def test_go_duration(seconds: float, expected: str) -> None:
    assert backoff.go_duration(seconds) == expected


# --- admission --------------------------------------------------------------------------------------------------------------------

NODE: Object = {
    "metadata": {"name": "n1", "labels": {"kubernetes.io/os": "linux", "disk": "ssd"}},
    "spec": {},
    "status": {"allocatable": {"cpu": "2", "memory": "1Gi", "pods": "2", "ephemeral-storage": "10Gi"}},
}


def pod(cpu: str = "", *, init: list[Object] | None = None, **spec: Any) -> Object:
    container = {"name": "c", "resources": {"requests": {"cpu": cpu} if cpu else {}}}
    return {
        "metadata": {"name": "p", "uid": "u"},
        "spec": {"containers": [container], **({"initContainers": init} if init else {}), **spec},
    }


def used(*pods: Object) -> Usage:
    usage = Usage()
    for number, each in enumerate(pods):
        usage.add(str(number), requests_of(each))
    return usage


def affinity(*expressions: Object) -> Object:
    return {
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": list(expressions)}]}}
    }


PORT = {"containers": [{"name": "c", "ports": [{"containerPort": 80, "hostPort": 8080}]}]}
TAINTED = {**NODE, "spec": {"taints": [{"key": "gone", "effect": "NoExecute"}, {"key": "busy", "effect": "NoSchedule"}]}}
ADMISSIONS: dict[str, tuple[Object, Object, Usage, str | None]] = {
    "a pod that fits": (pod("1"), NODE, used(pod("1")), None),
    "too much CPU": (pod("1500m"), NODE, used(pod("1")), "OutOfcpu"),
    "too many pods": (pod(), NODE, used(pod(), pod()), "OutOfpods"),
    "an init container that is too large": (pod("1", init=[{"resources": {"requests": {"cpu": "3"}}}]), NODE, used(), "OutOfcpu"),
    "a sidecar counts with the others": (
        pod("1", init=[{"restartPolicy": "Always", "resources": {"requests": {"cpu": "1500m"}}}]),
        NODE,
        used(),
        "OutOfcpu",
    ),
    "overhead counts": (pod("1500m", overhead={"cpu": "1"}), NODE, used(), "OutOfcpu"),
    "an extended resource that the node does not know is not its business": (
        {"metadata": {}, "spec": {"containers": [{"resources": {"requests": {"example.com/gpu": "1"}}}]}},
        NODE,
        used(),
        None,
    ),
    "a selector that matches": (pod(nodeSelector={"disk": "ssd"}), NODE, used(), None),
    "a selector that does not": (pod(nodeSelector={"disk": "hdd"}), NODE, used(), "NodeAffinity"),
    "an affinity that matches": (pod(affinity=affinity({"key": "disk", "operator": "In", "values": ["ssd"]})), NODE, used(), None),
    "an affinity that does not": (
        pod(affinity=affinity({"key": "disk", "operator": "NotIn", "values": ["ssd"]})),
        NODE,
        used(),
        "NodeAffinity",
    ),
    "a host port that is free": ({"metadata": {}, "spec": PORT}, NODE, used(), None),
    "a host port that is taken": ({"metadata": {}, "spec": PORT}, NODE, used({"metadata": {}, "spec": PORT}), "NodePorts"),
    "a NoExecute taint": (pod(), TAINTED, used(), "TaintToleration"),
    "a NoExecute taint that is tolerated": (pod(tolerations=[{"key": "gone", "operator": "Exists"}]), TAINTED, used(), None),
    "everything tolerated": (pod(tolerations=[{"operator": "Exists"}]), TAINTED, used(), None),
    "another operating system": (pod(os={"name": "windows"}), NODE, used(), "PodOSNotSupported"),
}


@pytest.mark.parametrize(("given", "node", "usage", "reason"), ADMISSIONS.values(), ids=ADMISSIONS.keys())
def test_admission(given: Object, node: Object, usage: Usage, reason: str | None) -> None:
    refusal = refusal_of(given, node, requests_of(given), usage)
    assert (refusal.reason if refusal else None) == reason


def test_the_refusal_counts_in_upstreams_words() -> None:
    refusal = refusal_of(pod("1500m"), NODE, requests_of(pod("1500m")), used(pod("1")))
    assert refusal is not None
    assert refusal.message == "Node didn't have enough resource: cpu, requested: 1500, used: 1000, capacity: 2000"


def test_what_a_pod_took_is_given_back() -> None:
    usage = used(pod("1"))
    usage.remove("0")
    usage.remove("0")
    assert (usage.pods, usage.used["cpu"]) == ({}, 0)


# --- status patches -----------------------------------------------------------------------------------------------------------------

READY = {"type": "Ready", "status": "True", "lastTransitionTime": "t1"}
NOT_READY = {"type": "Ready", "status": "False", "reason": "ContainersNotReady", "message": "why", "lastTransitionTime": "t0"}
OTHER = {"type": "PodScheduled", "status": "True"}
PATCHES: dict[str, tuple[Object, Object, Object]] = {
    "nothing has changed": ({"phase": "Running", "qosClass": "Burstable"}, {"phase": "Running"}, {}),
    "a field that is new": ({}, {"phase": "Pending"}, {"phase": "Pending"}),
    "only what differs": ({"phase": "Pending", "hostIP": "a"}, {"phase": "Running", "hostIP": "a"}, {"phase": "Running"}),
    "a reason that is no more": ({"phase": "Failed", "reason": "x"}, {"phase": "Failed"}, {"reason": None}),
    "other addresses replace the old ones": (
        {"podIPs": [{"ip": "a"}]},
        {"podIPs": [{"ip": "b"}]},
        {"podIPs": [{"$patch": "replace"}, {"ip": "b"}]},
    ),
    "a condition that became true loses its reason": (
        {"conditions": [OTHER, NOT_READY]},
        {"conditions": [READY]},
        {
            "conditions": [{**READY, "reason": None, "message": None}],
            "$setElementOrder/conditions": [{"type": "PodScheduled"}, {"type": "Ready"}],
        },
    ),
    "changed conditions come in the order that is asked for, or the server refuses them": (
        {"conditions": [NOT_READY]},
        {"conditions": [OTHER, READY]},
        {
            "conditions": [{**READY, "reason": None, "message": None}, OTHER],
            "$setElementOrder/conditions": [{"type": "Ready"}, {"type": "PodScheduled"}],
        },
    ),
    "others' conditions are left alone": ({"conditions": [OTHER, READY]}, {"conditions": [READY]}, {}),
    "what the server adds to a condition is no difference": (
        {"conditions": [{**READY, "lastProbeTime": None}]},
        {"conditions": [READY]},
        {},
    ),
}


@pytest.mark.parametrize(("sent", "wanted", "expected"), PATCHES.values(), ids=PATCHES.keys())
def test_patch_of(sent: Object, wanted: Object, expected: Object) -> None:
    assert patch_of(sent, wanted) == expected


# --- the Node -------------------------------------------------------------------------------------------------------------------------

FACTS = NodeFacts("n1", ("192.0.2.1",), "test://1", reserved={"cpu": "500m", "memory": "100Ti"}, labels={"zone": "a"}, port=10250)


def test_a_node_has_upstreams_labels_addresses_and_conditions() -> None:
    node = node_of(FACTS, NOW)
    assert node["metadata"]["labels"] == {
        "beta.kubernetes.io/arch": "amd64",
        "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": "n1",
        "kubernetes.io/os": "linux",
        "zone": "a",
    }
    status = node["status"]
    assert status["addresses"] == [{"type": "InternalIP", "address": "192.0.2.1"}, {"type": "Hostname", "address": "n1"}]
    assert [(each["type"], each["status"], each["reason"]) for each in status["conditions"]] == [
        ("MemoryPressure", "False", "KubeletHasSufficientMemory"),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure"),
        ("PIDPressure", "False", "KubeletHasSufficientPID"),
        ("Ready", "True", "KubeletReady"),
    ]
    assert status["daemonEndpoints"] == {"kubeletEndpoint": {"Port": 10250}}
    assert status["nodeInfo"]["kubeletVersion"] == "v1.36.2"


def test_what_is_reserved_is_not_allocatable() -> None:
    left = allocatable_of(FACTS)
    assert (left["cpu"], left["memory"], left["pods"]) == ("7500m", "0", "110")


def test_a_heartbeat_alone_is_no_difference() -> None:
    later = datetime(2026, 1, 1, 1, tzinfo=UTC)
    first = status_of_node(FACTS, None, (), NOW)
    again = status_of_node(FACTS, {"status": first}, (), later)
    assert again["conditions"][0]["lastHeartbeatTime"] == "2026-01-01T01:00:00Z"
    assert again["conditions"][0]["lastTransitionTime"] == "2026-01-01T00:00:00Z"
    assert fingerprint(first) == fingerprint(again)
    assert fingerprint(first) != fingerprint(status_of_node(FACTS, None, [ImageStatus("a@sha256:1", "a:1", 5)], later))


def test_the_largest_images_are_listed() -> None:
    images_here = [ImageStatus(f"i{size}@x", f"i{size}:1", size) for size in range(60)]
    listed = status_of_node(FACTS, None, images_here, NOW)["images"]
    assert (len(listed), listed[0]["sizeBytes"]) == (50, 59)


def test_registering_again_keeps_labels_that_others_set() -> None:
    existing = {"metadata": {"labels": {"mine": "yes", "kubernetes.io/hostname": "old"}}}
    patch = registration_patch(FACTS, existing)
    assert patch["metadata"]["labels"]["kubernetes.io/hostname"] == "n1"
    assert "mine" not in patch["metadata"]["labels"]
    assert registration_patch(FACTS, node_of(FACTS, NOW)) == {}


# --- addresses ------------------------------------------------------------------------------------------------------------------------


def test_addresses_are_given_out_in_turn_and_come_back() -> None:
    pool = AddressPool("10.0.0.0/29")
    pool.reserve("10.0.0.3")
    first = [pool.take() for _ in range(4)]
    assert first == ["10.0.0.2", "10.0.0.4", "10.0.0.5", "10.0.0.6"]
    with pytest.raises(CRIError, match="no IP addresses available"):
        pool.take()
    pool.give_back("10.0.0.4")
    assert pool.take() == "10.0.0.4"


def test_a_bad_cidr_is_refused() -> None:
    with pytest.raises(CRIError, match="pod CIDR"):
        AddressPool("10.0.0.0/33")


def test_nodes_without_a_cidr_count_on() -> None:
    numbers = (0, 255, 256, 12 * 256 - 1, 12 * 256, 255 * 256 - 1)
    ranges = ["10.244.0.0/24", "10.244.255.0/24", "10.245.0.0/24", "10.255.255.0/24", "10.1.0.0/24", "10.243.255.0/24"]
    assert [cidr_of_index(each) for each in numbers] == ranges


# --- the environment ------------------------------------------------------------------------------------------------------------------


def test_dollar_references_expand_to_known_names_only() -> None:
    assert expanded("$(A)-$(B)-$$(A)-$A", {"A": "1"}) == "1-$(B)-$(A)-$A"


FIELDS = {
    "metadata.name": "p",
    "metadata.labels['app']": "web",
    "metadata.annotations['no']": "",
    "spec.nodeName": "n1",
    "status.podIP": "10.0.0.2",
    "status.hostIPs": "192.0.2.1",
}


@pytest.mark.parametrize(("path", "expected"), FIELDS.items())
def test_field_of(path: str, expected: str) -> None:
    given = {"metadata": {"name": "p", "labels": {"app": "web"}}, "spec": {"nodeName": "n1"}}
    assert field_of(given, path, Place(["10.0.0.2"], ["192.0.2.1"])) == expected


def test_resource_of() -> None:
    container = {"resources": {"limits": {"cpu": "1500m", "memory": "64Mi"}}}
    place = Place(allocatable={"cpu": "8", "ephemeral-storage": "1Gi"})
    assert resource_of(container, {"resource": "limits.cpu"}, place) == "2"
    assert resource_of(container, {"resource": "limits.cpu", "divisor": "1m"}, place) == "1500"
    assert resource_of(container, {"resource": "limits.memory", "divisor": "1Mi"}, place) == "64"
    assert resource_of(container, {"resource": "requests.cpu"}, place) == "0"
    assert resource_of({}, {"resource": "limits.cpu"}, place) == "8", "without a limit the node is one"
    assert resource_of({}, {"resource": "limits.ephemeral-storage", "divisor": "1Mi"}, place) == "1024"


def test_a_resource_field_may_be_of_another_container() -> None:
    one, other = {"name": "one"}, {"name": "other"}
    pod = {"spec": {"containers": [one, other]}}
    assert named(pod, one, {}) is one
    assert named(pod, one, {"containerName": "other"}) is other


def test_what_containers_are_told_of_a_service() -> None:
    ports = [{"name": "a-b", "port": 80}, {"port": 53, "protocol": "UDP"}]
    service = {"metadata": {"name": "my-svc"}, "spec": {"clusterIP": "10.0.0.9", "ports": ports}}
    assert environment([service]) == {
        "MY_SVC_SERVICE_HOST": "10.0.0.9",
        "MY_SVC_SERVICE_PORT": "80",
        "MY_SVC_SERVICE_PORT_A_B": "80",
        "MY_SVC_PORT": "tcp://10.0.0.9:80",
        "MY_SVC_PORT_80_TCP": "tcp://10.0.0.9:80",
        "MY_SVC_PORT_80_TCP_PROTO": "tcp",
        "MY_SVC_PORT_80_TCP_PORT": "80",
        "MY_SVC_PORT_80_TCP_ADDR": "10.0.0.9",
        "MY_SVC_PORT_53_UDP": "udp://10.0.0.9:53",
        "MY_SVC_PORT_53_UDP_PROTO": "udp",
        "MY_SVC_PORT_53_UDP_PORT": "53",
        "MY_SVC_PORT_53_UDP_ADDR": "10.0.0.9",
    }
    headless = {"metadata": {"name": "h"}, "spec": {"clusterIP": "None", "ports": ports}}
    elsewhere = {"metadata": {"name": "e"}, "spec": {"type": "ExternalName", "externalName": "example.com"}}
    assert environment([headless, elsewhere]) == {}
    six = {"metadata": {"name": "six"}, "spec": {"clusterIP": "fd00::9", "ports": [{"port": 80}]}}
    assert environment([six])["SIX_PORT"] == "tcp://[fd00::9]:80"
