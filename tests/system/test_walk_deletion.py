"""The end of the walk: deleting, with each way of treating dependents, and a whole namespace."""

from __future__ import annotations

import time

from tests.system.kubectl import Kubectl
from tests.system.running import wait_until
from tests.system.walk import jsonpath, nothing_left

DEPENDENTS = ("replicasets", "pods")
GONE = 'deployment.apps "web" deleted'


def test_in_the_background(web: Kubectl) -> None:
    assert web("delete", "deployment", "web", "--cascade=background").out.startswith(GONE)
    wait_until(lambda: nothing_left(web, "deployments", *DEPENDENTS), "the garbage collector takes the ReplicaSet and the pods away")


def test_in_the_foreground(web: Kubectl) -> None:
    assert web("delete", "deployment", "web", "--cascade=foreground").out.startswith(GONE)
    assert nothing_left(web, "deployments", *DEPENDENTS), "kubectl waits until the owner is gone, and the owner for its dependents"


def test_leaving_orphans(web: Kubectl) -> None:
    pods = sorted(web("get", "pods", "-o", "name").out.split())
    assert web("delete", "deployment", "web", "--cascade=orphan").out.startswith(GONE)
    time.sleep(2)  # time for a garbage collector to do wrong
    assert jsonpath(web, "{.items[*].metadata.ownerReferences}", "replicasets") == ""
    assert web("get", "replicasets", "--no-headers").rows[0][1:4] == ["3", "3", "3"]
    assert sorted(web("get", "pods", "-o", "name").out.split()) == pods


def test_a_pod_of_a_replica_set_comes_back(web: Kubectl) -> None:
    before = web("get", "pods", "-o", "name").out.split()
    web("delete", before[0])
    assert web("get", before[0], code=1).err.startswith("Error from server (NotFound): ")
    wait_until(lambda: web("get", "deployment", "web", "--no-headers").rows[0][1] == "3/3", "three pods again")
    web("delete", "pods", "--all", "--grace-period=0", "--force")
    assert web("delete", "pod", "nobody", code=1).err == 'Error from server (NotFound): pods "nobody" not found\n'
    assert web("delete", "pod", "nobody", "--ignore-not-found").out == ""


def test_a_namespace_with_its_content(web: Kubectl) -> None:
    web("create", "configmap", "settings", "--from-literal=color=blue")
    web("create", "serviceaccount", "robot")
    name = web.namespace
    assert web("delete", "namespace", name, "--timeout=60s").out == f'namespace "{name}" deleted\n'
    assert web("get", "namespace", name, code=1).err == f'Error from server (NotFound): namespaces "{name}" not found\n'
    assert nothing_left(web, "all,configmaps,serviceaccounts,events,endpointslices")
    refused = web("create", "configmap", "late", code=1).err
    assert f'namespaces "{name}" not found' in refused
