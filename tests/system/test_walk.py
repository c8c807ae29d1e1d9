"""The walk that a tutorial takes, with the oldest and the newest kubectl of this machine: what each command prints is what it prints on a
cluster of upstream's.

`test_walk_apply.py` goes on with manifests, `test_walk_deletion.py` with taking things away, `test_walk_pods.py` with looking into pods;
`test_walk_versions.py` is the short walk for every kubectl.
"""

from __future__ import annotations

from tests.system.kubectl import Kubectl
from tests.system.running import wait_until
from tests.system.walk import jsonpath, rolled_out

WIDE_PODS = ["NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP", "NODE", "NOMINATED", "NODE", "READINESS", "GATES"]


def test_who_is_there(walk: Kubectl) -> None:
    version = walk("version").out
    assert [line for line in version.splitlines() if line.startswith("Server Version:") and "v1.36" in line]
    assert (
        walk("cluster-info")
        .out.replace("\x1b[0m", "")
        .replace("\x1b[0;32m", "")
        .replace("\x1b[0;33m", "")
        .startswith("Kubernetes control plane is running at https://127.0.0.1:")
    )
    head, *nodes = walk("get", "nodes", "-o", "wide").rows
    assert head == [
        "NAME",
        "STATUS",
        "ROLES",
        "AGE",
        "VERSION",
        "INTERNAL-IP",
        "EXTERNAL-IP",
        "OS-IMAGE",
        "KERNEL-VERSION",
        "CONTAINER-RUNTIME",
    ]
    assert [node[:3] for node in nodes] == [[f"wherry-{number}", "Ready", "<none>"] for number in (1, 2, 3)]
    assert all(node[4].startswith("v1.36") and node[5:7] == ["127.0.0.1", "<none>"] for node in nodes)


def test_what_can_be_asked_for(walk: Kubectl) -> None:
    head, *resources = walk("api-resources").rows
    assert head == ["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"]
    for row in ("pods po v1 true Pod", "deployments deploy apps/v1 true Deployment", "nodes no v1 false Node", "jobs batch/v1 true Job"):
        assert row.split() in resources
    explained = walk("explain", "deployment.spec.strategy").out
    assert explained.split()[:6] == ["GROUP:", "apps", "KIND:", "Deployment", "VERSION:", "v1"]
    assert "FIELD: strategy <DeploymentStrategy>" in explained
    assert "rollingUpdate\t<RollingUpdateDeployment>" in explained
    assert walk("explain", "deployment.spec.nonsense", code=1).err == 'error: field "nonsense" does not exist\n'


def test_a_deployment_from_nothing_to_running(walk: Kubectl) -> None:
    with walk.following("get", "pods", "-o", "wide", "--watch") as watching:
        assert walk("create", "deployment", "web", "--image=nginx", "--replicas=3").out == "deployment.apps/web created\n"
        lines = watching.until(lambda lines: len({line.split()[0] for line in lines if " 1/1 " in line and " Running " in line}) == 3)
    rolled_out(walk, "web")
    head, *rows = [line.split() for line in lines]
    assert head == WIDE_PODS
    order = ["Pending", "ContainerCreating", "Running"]
    for name in {row[0] for row in rows}:
        seen = [order.index(row[2]) for row in rows if row[0] == name]
        assert seen == sorted(seen), f"{name} went {[order[each] for each in seen]}"
        assert seen[0] == 0
    assert {row[6] for row in rows if row[2] == "Running"} <= {"wherry-1", "wherry-2", "wherry-3"}
    head, row = walk("get", "deployment", "web").rows
    assert (head, row[:4]) == (["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"], ["web", "3/3", "3", "3"])
    head, row = walk("get", "replicaset").rows
    assert (head, row[1:4]) == (["NAME", "DESIRED", "CURRENT", "READY", "AGE"], ["3", "3", "3"])


def test_a_rollout_and_back(web: Kubectl) -> None:
    assert web("scale", "deployment/web", "--replicas=4").out == "deployment.apps/web scaled\n"
    rolled_out(web, "web")
    assert web("get", "deployment", "web", "--no-headers").rows[0][1:4] == ["4/4", "4", "4"]
    assert web("set", "image", "deployment/web", "nginx=nginx:1.27").out == "deployment.apps/web image updated\n"
    assert "Waiting for deployment" in web("rollout", "status", "deployment/web", "--timeout=60s").out
    assert (
        jsonpath(web, "{.items[*].spec.containers[0].image}", "pods", "--field-selector=status.phase=Running").split() == ["nginx:1.27"] * 4
    )
    history = web("rollout", "history", "deployment/web").rows
    assert history[:4] == [["deployment.apps/web"], ["REVISION", "CHANGE-CAUSE"], ["1", "<none>"], ["2", "<none>"]]
    assert "nginx:1.27" in web("rollout", "history", "deployment/web", "--revision=2").out
    assert web("rollout", "undo", "deployment/web").out == "deployment.apps/web rolled back\n"
    rolled_out(web, "web")
    assert jsonpath(web, "{.spec.template.spec.containers[0].image}", "deployment/web") == "nginx"
    assert [row[0] for row in web("rollout", "history", "deployment/web").rows[2:4]] == ["2", "3"]
    assert (
        web("rollout", "undo", "deployment/web", "--to-revision=9", code=1).err == "error: unable to find specified revision 9 in history\n"
    )


def test_pausing_and_restarting_a_rollout(web: Kubectl) -> None:
    assert web("rollout", "pause", "deployment/web").out == "deployment.apps/web paused\n"
    web("set", "image", "deployment/web", "nginx=nginx:1.27")
    wait_until(
        lambda: (
            jsonpath(web, "{.status.observedGeneration}", "deployment/web") == jsonpath(web, "{.metadata.generation}", "deployment/web")
        ),
        "seen",
    )
    assert len(web("get", "replicasets", "--no-headers").rows) == 1
    assert web("rollout", "resume", "deployment/web").out == "deployment.apps/web resumed\n"
    rolled_out(web, "web")
    assert web("rollout", "restart", "deployment/web").out == "deployment.apps/web restarted\n"
    rolled_out(web, "web")
    assert len(web("get", "replicasets", "--no-headers").rows) == 3


def test_a_service_and_its_endpoints(web: Kubectl) -> None:
    assert web("expose", "deployment", "web", "--port=80", "--target-port=8080").out == "service/web exposed\n"
    head, row = web("get", "service", "web").rows
    assert head == ["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"]
    assert (row[1], row[3], row[4]) == ("ClusterIP", "<none>", "80/TCP")
    assert row[2].startswith("10.0.0.")
    ips = set(jsonpath(web, "{.items[*].status.podIP}", "pods").split())
    wait_until(
        lambda: set(jsonpath(web, "{.items[*].endpoints[*].addresses[0]}", "endpointslices").split()) == ips, "all pods are endpoints"
    )
    head, row = web("get", "endpointslices").rows
    assert head == ["NAME", "ADDRESSTYPE", "PORTS", "ENDPOINTS", "AGE"]
    assert (row[0].startswith("web-"), row[1], row[2], set(row[3].split(","))) == (True, "IPv4", "8080", ips)
    described = web("describe", "service", "web").out
    assert all(ip in described for ip in ips)
    assert (
        web("expose", "deployment", "web", "--port=80", code=1).err == 'Error from server (AlreadyExists): services "web" already exists\n'
    )


def test_ways_to_print(web: Kubectl) -> None:
    pods = web("get", "pods", "-o", "name").out.split()
    assert len(pods) == 3
    assert all(pod.startswith("pod/web-") for pod in pods)
    assert '"kind": "Deployment"' in web("get", "deployment", "web", "-o", "json").out
    as_yaml = web("get", "deployment", "web", "-o", "yaml").out
    assert as_yaml.startswith("apiVersion: apps/v1\nkind: Deployment\nmetadata:\n")
    assert "managedFields" not in as_yaml
    columns = web("get", "pods", "-o", "custom-columns=POD:.metadata.name,NODE:.spec.nodeName", "--sort-by=.metadata.name").rows
    assert columns[0] == ["POD", "NODE"]
    # kubectl sorts names as people do ("5w" before "57"), so only what is listed is compared
    assert sorted(f"pod/{row[0]}" for row in columns[1:]) == sorted(pods)
    assert web("get", "pods", "--show-labels", "--selector", "app=web").rows[0][-1] == "LABELS"
    assert web("get", "pods", "--selector", "app=other").err == f"No resources found in {web.namespace} namespace.\n"
    assert web("get", "pod", "nobody", code=1).err == 'Error from server (NotFound): pods "nobody" not found\n'
    assert web("get", "nonsense", code=1).err == 'error: the server doesn\'t have a resource type "nonsense"\n'
    everything = web("get", "all").out
    assert all(f"\n{kind}/web" in f"\n{everything}" for kind in ("pod", "deployment.apps", "replicaset.apps"))


def test_events(web: Kubectl) -> None:
    head, *rows = web("get", "events").rows
    assert head == ["LAST", "SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]
    reasons = {row[2] for row in rows}
    assert {"ScalingReplicaSet", "SuccessfulCreate", "Scheduled", "Pulled", "Created", "Started"} <= reasons
    scaled = web("get", "events", "--field-selector=reason=ScalingReplicaSet", "-o", "jsonpath={.items[0].message}").out
    assert scaled.startswith("Scaled up replica set web-")
    assert scaled.endswith(" from 0 to 3")
    assert "Successfully assigned" in web("events", "--for", web("get", "pods", "-o", "name").out.split()[0]).out


def test_drain_respects_a_disruption_budget(web: Kubectl) -> None:
    budget = ("poddisruptionbudget", "web")
    web("create", "poddisruptionbudget", "web", "--selector=app=web", "--min-available=3")
    wait_until(lambda: jsonpath(web, "{.status.currentHealthy}", *budget) == "3", "the budget counts three healthy pods")
    node = jsonpath(web, "{.items[0].spec.nodeName}", "pods")
    drain = ("drain", node, "--ignore-daemonsets", f"--pod-selector=app=web,ns!={web.namespace}")
    try:
        refused = web(*drain, "--timeout=2s", code=1)
        assert f"node/{node} cordoned" in refused.out
        assert "Cannot evict pod as it would violate the pod's disruption budget." in refused.err
        assert [row[1] for row in web("get", "nodes").rows if row[0] == node] == ["Ready,SchedulingDisabled"]
        web("patch", *budget, "--type=merge", "-p", '{"spec":{"minAvailable":1}}')
        wait_until(lambda: jsonpath(web, "{.status.disruptionsAllowed}", *budget) == "2", "two disruptions are allowed")
        drained = web(*drain, "--timeout=50s")
        assert drained.out.endswith(f"node/{node} drained\n")
        assert "evicted" in drained.out
        rolled_out(web, "web")
        assert node not in jsonpath(web, "{.items[*].spec.nodeName}", "pods").split()
    finally:
        assert web("uncordon", node).out == f"node/{node} uncordoned\n"
    assert [row[1] for row in web("get", "nodes").rows if row[0] == node] == ["Ready"]


def test_what_may_i_do(walk: Kubectl) -> None:
    assert walk("auth", "can-i", "create", "pods").out == "yes\n"
    assert walk("auth", "can-i", "*", "*", "--all-namespaces").out == "yes\n"
    assert [row[0] for row in walk("top", "nodes").rows] == ["NAME", "wherry-1", "wherry-2", "wherry-3"]
