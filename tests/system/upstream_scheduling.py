"""What a scheduler must do, whoever's it is. Nothing here is a test.

Every function is one scenario, in a namespace of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

from kube.objects import Object
from tests.system.upstream_world import World, condition, is_true, pod_spec, workload

HOST: Final = "kubernetes.io/hostname"
MANY: Final = 100


def _nodes_of(world: World, namespace: str, app: str) -> Counter[str]:
    """How many ready pods of the app each node has."""
    pods = world.items("Pod", namespace, f"labelSelector=app%3D{app}")
    return Counter(str(pod["spec"].get("nodeName", "")) for pod in pods if is_true(pod, "Ready"))


def a_hundred_pods(world: World) -> None:
    """A Deployment of 100 is spread over all nodes and becomes ready; each pod's condition and event say that it was scheduled."""
    space = world.namespace("hundred")
    world.create("Deployment", space, "web", spec=workload("web", pod_spec(), replicas=MANY))
    world.until("100 ready pods", lambda: _nodes_of(world, space, "web").total() == MANY)
    spread = _nodes_of(world, space, "web")
    assert len(spread) == world.nodes, spread
    assert max(spread.values()) - min(spread.values()) <= MANY // world.nodes, spread
    pods = world.items("Pod", space)
    assert all(is_true(pod, "PodScheduled") for pod in pods)
    names = {pod["metadata"]["name"] for pod in pods}

    def told() -> set[str]:
        events = world.items("Event", space, "fieldSelector=reason%3DScheduled")
        return {each["involvedObject"]["name"] for each in events if "Successfully assigned" in each["message"]}

    world.until("an event Scheduled for every pod", lambda: told() == names)
    world.delete("Deployment", space, "web")


def affinity(world: World) -> None:
    """A required node affinity is followed, pods that keep apart do, and the one too many stays pending and says why."""
    space, nodes = world.namespace("affinity"), world.nodes
    names = [{"matchExpressions": [{"key": HOST, "operator": "In", "values": ["node-2"]}]}]
    there = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": names}}}
    world.create("Deployment", space, "there", spec=workload("there", pod_spec(affinity=there), replicas=2))
    apart = [{"labelSelector": {"matchLabels": {"app": "apart"}}, "topologyKey": HOST}]
    spec = pod_spec(affinity={"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": apart}})
    world.create("Deployment", space, "apart", spec=workload("apart", spec, replicas=nodes + 1))
    world.until("pods where they want to be", lambda: _nodes_of(world, space, "there") == {"node-2": 2})
    world.until("a pod on every node", lambda: sorted(_nodes_of(world, space, "apart").values()) == [1] * nodes)

    def waiting() -> Object:
        return next((pod for pod in world.items("Pod", space) if condition(pod, "PodScheduled").get("status") == "False"), {})

    world.until("one pod too many", lambda: bool(waiting()))
    why = condition(waiting(), "PodScheduled")
    assert why["reason"] == "Unschedulable", why
    assert f"0/{nodes} nodes are available: {nodes} node(s) didn't match pod anti-affinity rules" in why["message"], why
    name = waiting()["metadata"]["name"]
    world.until("an event FailedScheduling", lambda: "FailedScheduling" in world.reasons(space, name))
    world.merge("Deployment", space, "apart", {"spec": {"replicas": nodes}})
    world.until("no pod is left that waits", lambda: not waiting())


def spread(world: World) -> None:
    """Topology spread keeps the skew of 1."""
    space = world.namespace("spread")
    constraint = {
        "maxSkew": 1, "topologyKey": HOST, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": "even"}},
    }  # fmt: skip
    spec = pod_spec(topologySpreadConstraints=[constraint])
    world.create("Deployment", space, "even", spec=workload("even", spec, replicas=2 * world.nodes))
    world.until("two pods on every node", lambda: sorted(_nodes_of(world, space, "even").values()) == [2] * world.nodes)


def taints(world: World) -> None:
    """A tainted node takes only pods that tolerate it; a NoExecute taint sends away those that do not."""
    space = world.namespace("taints")
    taint = {"key": "for", "value": "some", "effect": "NoSchedule"}
    world.merge("Node", "", "node-1", {"spec": {"taints": [taint]}})
    world.create("Deployment", space, "plain", spec=workload("plain", pod_spec(), replicas=world.nodes * 2))
    tolerant = pod_spec(tolerations=[{**taint, "operator": "Equal"}], nodeSelector={HOST: "node-1"})
    world.create("Deployment", space, "some", spec=workload("some", tolerant, replicas=2))
    world.until("pods beside the taint", lambda: _nodes_of(world, space, "plain").total() == world.nodes * 2)
    world.until("pods on the tainted node", lambda: _nodes_of(world, space, "some") == {"node-1": 2})
    assert "node-1" not in _nodes_of(world, space, "plain")
    world.merge("Node", "", "node-1", {"spec": {"taints": [{**taint, "effect": "NoExecute"}]}})
    world.until("pods that were sent away", lambda: not _nodes_of(world, space, "some"))
    world.merge("Node", "", "node-1", {"spec": {"taints": None}})
    world.until("pods that came back", lambda: _nodes_of(world, space, "some") == {"node-1": 2})


def preemption(world: World) -> None:
    """A pod of high priority takes the place of one of low priority; an event tells of it."""
    space = world.namespace("preemption")
    world.create("PriorityClass", "", "high", value=1000)
    world.create("PriorityClass", "", "low", value=10)
    here = {HOST: "node-3"}
    for number in (1, 2):
        world.create("Pod", space, f"low-{number}", spec=pod_spec(cpu="3", priorityClassName="low", nodeSelector=here))
    world.until("low pods run", lambda: all(is_true(world.find("Pod", space, f"low-{n}"), "Ready") for n in (1, 2)))
    world.create("Pod", space, "high", spec=pod_spec(cpu="4", priorityClassName="high", nodeSelector=here))
    world.until("the high pod runs", lambda: is_true(world.find("Pod", space, "high"), "Ready"))
    gone = [name for name in ("low-1", "low-2") if world.find("Pod", space, name) is None]
    assert len(gone) == 1, gone
    world.until("an event Preempted", lambda: "Preempted" in world.reasons(space, gone[0]))


def gates(world: World) -> None:
    """A pod with a scheduling gate waits until that is taken away."""
    space = world.namespace("gates")
    world.create("Pod", space, "gated", spec=pod_spec(schedulingGates=[{"name": "example.com/wait"}]))
    world.until("a gated pod", lambda: condition(world.get("Pod", space, "gated"), "PodScheduled").get("reason") == "SchedulingGated")
    world.merge("Pod", space, "gated", {"spec": {"schedulingGates": None}})
    world.until("a pod that runs", lambda: is_true(world.find("Pod", space, "gated"), "Ready"))


def local_volumes(world: World) -> None:
    """A claim that waits for its first consumer and its pod go where a volume is."""
    space = world.namespace("local-volumes")
    world.create("StorageClass", "", "here", provisioner="kubernetes.io/no-provisioner", volumeBindingMode="WaitForFirstConsumer")
    wanted = {"accessModes": ["ReadWriteOnce"], "storageClassName": "here", "resources": {"requests": {"storage": "1Gi"}}}
    world.create("PersistentVolumeClaim", space, "data", spec=wanted)
    where = {"required": {"nodeSelectorTerms": [{"matchExpressions": [{"key": HOST, "operator": "In", "values": ["node-2"]}]}]}}
    volume = {
        "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "here", "nodeAffinity": where,
        "local": {"path": "/mnt/data"},
    }  # fmt: skip
    world.create("PersistentVolume", "", "disk", spec=volume)
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    world.create("Pod", space, "user", spec=pod_spec(volumes=volumes))
    world.until("a pod with a volume", lambda: is_true(world.find("Pod", space, "user"), "Ready"))
    assert world.get("Pod", space, "user")["spec"]["nodeName"] == "node-2"
    world.until("a bound claim", lambda: world.get("PersistentVolumeClaim", space, "data")["status"]["phase"] == "Bound")


def devices(world: World) -> None:
    """Two pods get the two devices of a node, each its own; the third gets one when the first is gone."""
    space = world.namespace("devices")
    driver = "gpu.example.com"
    world.create("DeviceClass", "", "gpu", spec={"selectors": [{"cel": {"expression": f"device.driver == '{driver}'"}}]})
    pool = {"name": "p", "generation": 1, "resourceSliceCount": 1}
    world.create(
        "ResourceSlice",
        "",
        "of-node-2",
        spec={"driver": driver, "nodeName": "node-2", "pool": pool, "devices": [{"name": "a"}, {"name": "b"}]},
    )
    requests = [{"name": "r", "exactly": {"deviceClassName": "gpu"}}]
    world.create("ResourceClaimTemplate", space, "one", spec={"spec": {"devices": {"requests": requests}}})

    def pod(name: str) -> None:
        spec = pod_spec(resourceClaims=[{"name": "gpu", "resourceClaimTemplateName": "one"}])
        spec["containers"][0]["resources"]["claims"] = [{"name": "gpu"}]
        world.create("Pod", space, name, spec=spec)

    def node_of(name: str) -> str:
        return str(world.get("Pod", space, name)["spec"].get("nodeName", ""))

    pod("first")
    pod("second")
    world.until("two pods with devices", lambda: node_of("first") == node_of("second") == "node-2")
    claims = world.items("ResourceClaim", space)
    assert {each["status"]["allocation"]["devices"]["results"][0]["device"] for each in claims} == {"a", "b"}
    assert {each["status"]["reservedFor"][0]["name"] for each in claims} == {"first", "second"}
    pod("third")
    world.until("a pod without a device", lambda: "FailedScheduling" in world.reasons(space, "third"))
    assert not node_of("third")
    world.delete("Pod", space, "first")
    world.until("a device for the third", lambda: node_of("third") == "node-2")
    world.until("two claims", lambda: len(world.items("ResourceClaim", space)) == 2)


SCENARIOS: Final[tuple[Callable[[World], None], ...]] = (
    a_hundred_pods,
    affinity,
    spread,
    taints,
    preemption,
    gates,
    local_volumes,
    devices,
)
