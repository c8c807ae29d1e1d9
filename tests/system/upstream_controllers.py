"""What the controllers must do, whoever's they are: workloads. Nothing here is a test; `upstream_housekeeping.py` and
`upstream_storage.py` have the rest.

Every function is one scenario, in a namespace of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kube.objects import Object
from tests.system.upstream_world import World, condition, is_true, pod_spec, workload


def _status(world: World, kind: str, namespace: str, name: str) -> Object:
    return dict(world.get(kind, namespace, name).get("status") or {})


def _settled(world: World, namespace: str, name: str, replicas: int) -> bool:
    """Whether a Deployment is where it wants to be, and says so of its newest generation."""
    obj = world.get("Deployment", namespace, name)
    status = obj.get("status") or {}
    counts = [status.get(each) for each in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")]
    return status.get("observedGeneration") == obj["metadata"]["generation"] and counts == [replicas] * 4


def rollout(world: World) -> None:
    """A Deployment rolls out, rolls over to a new template, scales, and keeps the old ReplicaSet for a way back."""
    space = world.namespace("rollout")
    world.create("Deployment", space, "web", spec=workload("web", pod_spec(), replicas=3))
    world.until("the first rollout", lambda: _settled(world, space, "web", 3))
    world.merge("Deployment", space, "web", {"spec": {"template": {"metadata": {"annotations": {"round": "two"}}}}})
    world.until("the second rollout", lambda: _settled(world, space, "web", 3))
    sets = {each["metadata"]["annotations"]["deployment.kubernetes.io/revision"]: each for each in world.items("ReplicaSet", space)}
    assert {revision: each["spec"]["replicas"] for revision, each in sets.items()} == {"1": 0, "2": 3}
    deployment = world.get("Deployment", space, "web")
    assert condition(deployment, "Progressing")["reason"] == "NewReplicaSetAvailable"
    assert is_true(deployment, "Available")
    world.merge("Deployment", space, "web", {"spec": {"template": {"metadata": {"annotations": {"round": None}}}}})
    world.until("the way back", lambda: _settled(world, space, "web", 3))
    assert {each["spec"]["replicas"] for each in world.items("ReplicaSet", space)} == {0, 3}, "the old ReplicaSet is used again"
    world.merge("Deployment", space, "web", {"spec": {"replicas": 5}}, subresource="scale")
    world.until("five replicas", lambda: _settled(world, space, "web", 5))


def stateful_set(world: World) -> None:
    """Pods of a StatefulSet come in order, under their names, and are replaced from the last one on."""
    space = world.namespace("stateful")
    world.create("Service", space, "db", spec={"clusterIP": "None", "selector": {"app": "db"}, "ports": [{"port": 5432}]})
    world.create("StatefulSet", space, "db", spec=workload("db", pod_spec(), replicas=3, serviceName="db"))
    world.until("three ready pods", lambda: _status(world, "StatefulSet", space, "db").get("readyReplicas") == 3)
    pods = sorted(world.items("Pod", space), key=lambda pod: str(pod["metadata"]["creationTimestamp"]))
    assert {pod["metadata"]["name"] for pod in pods} == {"db-0", "db-1", "db-2"}
    world.merge("StatefulSet", space, "db", {"spec": {"template": {"metadata": {"annotations": {"round": "two"}}}}})

    def is_updated() -> bool:
        obj = world.get("StatefulSet", space, "db")
        status = obj["status"]
        if status["observedGeneration"] != obj["metadata"]["generation"] or status["currentRevision"] != status["updateRevision"]:
            return False
        return bool(status.get("updatedReplicas") == 3 == status.get("readyReplicas"))

    world.until("the update", is_updated)
    assert len(world.items("ControllerRevision", space)) == 2
    world.merge("StatefulSet", space, "db", {"spec": {"replicas": 1}})
    world.until("one pod left", lambda: [pod["metadata"]["name"] for pod in world.items("Pod", space)] == ["db-0"])


def daemon_set(world: World) -> None:
    """A DaemonSet has a pod on every node, and replaces them one by one."""
    space = world.namespace("daemons")
    world.create("DaemonSet", space, "agent", spec=workload("agent", pod_spec()))

    def is_everywhere() -> bool:
        obj = world.get("DaemonSet", space, "agent")
        status = obj.get("status") or {}
        counts = [status.get(each) for each in ("desiredNumberScheduled", "updatedNumberScheduled", "numberAvailable")]
        return counts == [world.nodes] * 3 and status["observedGeneration"] == obj["metadata"]["generation"]

    world.until("a pod on every node", is_everywhere)
    assert len({pod["spec"]["nodeName"] for pod in world.items("Pod", space)}) == world.nodes
    change = {"template": {"metadata": {"annotations": {"round": "two"}}}, "updateStrategy": {"rollingUpdate": {"maxUnavailable": "100%"}}}
    world.merge("DaemonSet", space, "agent", {"spec": change})
    world.until("the update", is_everywhere)
    assert len(world.items("ControllerRevision", space)) == 2


def jobs(world: World) -> None:
    """Jobs complete, fail after their last try, count by index, and go when their time is up."""
    space = world.namespace("jobs")

    def job(name: str, command: str, **fields: object) -> None:
        spec = pod_spec(command=command, restartPolicy="Never")
        world.create("Job", space, name, spec={"template": {"spec": spec}, **fields})

    job("good", "exit 0", completions=3, parallelism=2)
    job("bad", "exit 1", backoffLimit=1)
    job("by-index", "exit 0", completions=3, parallelism=3, completionMode="Indexed")
    job("short-lived", "exit 0", ttlSecondsAfterFinished=0)
    world.until("a complete Job", lambda: is_true(world.find("Job", space, "good"), "Complete"))
    world.until("a complete indexed Job", lambda: is_true(world.find("Job", space, "by-index"), "Complete"))
    world.until("a failed Job", lambda: is_true(world.find("Job", space, "bad"), "Failed"))
    assert _status(world, "Job", space, "good")["succeeded"] == 3
    assert _status(world, "Job", space, "by-index")["completedIndexes"] == "0-2"
    assert condition(world.get("Job", space, "bad"), "Failed")["reason"] == "BackoffLimitExceeded"
    world.until("a Job whose time is up", lambda: world.find("Job", space, "short-lived") is None)
    left = [pod["metadata"] for pod in world.items("Pod", space)]
    assert not [each["name"] for each in left if "batch.kubernetes.io/job-tracking" in each.get("finalizers", ())]


def cron_job(world: World) -> None:
    """A CronJob makes its Job at the full minute. Takes up to a minute."""
    space = world.namespace("cron")
    template = {"spec": {"template": {"spec": pod_spec(command="exit 0", restartPolicy="Never")}}}
    world.create("CronJob", space, "tick", spec={"schedule": "* * * * *", "jobTemplate": template})
    world.until("a Job by the clock", lambda: any(is_true(each, "Complete") for each in world.items("Job", space)))
    world.until("its memory", lambda: "lastSuccessfulTime" in _status(world, "CronJob", space, "tick"))
    (job,) = world.items("Job", space)
    assert job["metadata"]["name"].startswith("tick-")
    assert job["metadata"]["ownerReferences"][0]["kind"] == "CronJob"


def replication_controller(world: World) -> None:
    """A ReplicationController has its pods, and takes them along."""
    space = world.namespace("replication")
    template = {"metadata": {"labels": {"app": "old"}}, "spec": pod_spec()}
    world.create("ReplicationController", space, "old", spec={"replicas": 2, "selector": {"app": "old"}, "template": template})
    world.until("two ready pods", lambda: _status(world, "ReplicationController", space, "old").get("readyReplicas") == 2)
    world.delete("ReplicationController", space, "old")
    world.until("no pods", lambda: not world.items("Pod", space))


SCENARIOS: Final[tuple[Callable[[World], None], ...]] = (rollout, stateful_set, daemon_set, replication_controller, jobs, cron_job)
