"""A short walk with every kubectl that `test_walk.py` leaves out: the calls that have differed between versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system.kubectl import ENDS, Kubectl, installed, parameters
from tests.system.running import Up
from tests.system.walk import jsonpath, nothing_left, own_namespace, rolled_out

MANIFEST = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {color: blue}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: nginx, image: nginx}]}
"""


@pytest.mark.parametrize("program", parameters([each for each in installed() if each not in ENDS]))
def test_a_short_walk(program: Path, cluster: Up, kubectl_home: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "web.yaml"
    manifest.write_text(MANIFEST)
    with own_namespace(Kubectl(program, cluster.kubeconfig, kubectl_home), "short") as kubectl:
        assert "v1.36" in kubectl("version").out
        assert [row[1] for row in kubectl("get", "nodes", "--no-headers").rows] == ["Ready"] * 3
        assert kubectl("apply", "-f", str(manifest)).out == "configmap/settings created\ndeployment.apps/web created\n"
        rolled_out(kubectl, "web")
        manifest.write_text(MANIFEST.replace("image: nginx", 'image: "nginx:1.27"'))
        assert "+      - image: nginx:1.27" in kubectl("diff", "-f", str(manifest), code=1).out
        assert kubectl("apply", "--server-side", "--force-conflicts", "-f", str(manifest)).out.count("serverside-applied") == 2
        rolled_out(kubectl, "web")
        assert kubectl("rollout", "undo", "deployment/web").out == "deployment.apps/web rolled back\n"
        pod = kubectl("get", "pods", "-o", "name").out.split()[0]
        assert "Successfully assigned" in kubectl("describe", pod).out
        assert kubectl("exec", pod, "--", "echo", "here").out == "here\n"
        assert "Wherry simulates" in kubectl("logs", pod).out
        assert "rollingUpdate" in kubectl("explain", "deployment.spec.strategy").out
        kubectl("patch", "deployment", "web", "-p", '{"spec":{"replicas":1}}')
        assert jsonpath(kubectl, "{.spec.replicas}", "deployment", "web") == "1"
        kubectl("delete", "-f", str(manifest), "--cascade=foreground")
        assert nothing_left(kubectl, "deployments", "replicasets", "pods")
