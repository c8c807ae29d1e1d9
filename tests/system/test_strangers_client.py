"""The API over httpx, a client that knows nothing of Kubernetes: reads, writes and a watch stream, over HTTP/1.1 and verified TLS."""

from __future__ import annotations

import json

import httpx
import pytest

from kube.client.config import load_kubeconfig, ssl_context
from tests.system.running import Up

LIMIT_S = 30.0


def test_a_watch_tells_what_another_request_wrote(cluster: Up) -> None:
    config = load_kubeconfig(cluster.data_dir / "kubeconfig")
    path = "/api/v1/namespaces/default/configmaps"
    with httpx.Client(base_url=config.server, verify=ssl_context(config), timeout=LIMIT_S) as client:
        version = client.get(path).raise_for_status().json()["metadata"]["resourceVersion"]
        query = {"watch": "1", "resourceVersion": version, "fieldSelector": "metadata.name=by-a-stranger"}
        with client.stream("GET", path, params=query) as watching:
            body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "by-a-stranger"}, "data": {"n": "1"}}
            made = client.post(path, json=body)
            assert made.status_code == 201
            first = json.loads(next(watching.iter_lines()))
        assert first == {"type": "ADDED", "object": made.json()}
        assert client.delete(f"{path}/by-a-stranger").json()["status"] == "Success"


def test_without_the_clusters_ca_nobody_trusts_the_server(cluster: Up) -> None:
    config = load_kubeconfig(cluster.data_dir / "kubeconfig")
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(f"{config.server}/readyz", timeout=LIMIT_S)
