"""The pods that are measured with, some 3.3 kB each as stored, and what is done to them."""

from __future__ import annotations

from typing import Any

PATCH = "application/strategic-merge-patch+json"


def pod(name: str) -> dict[str, Any]:
    """One container with a probe, environment, resources and a mount."""
    container = {
        "name": "app",
        "image": "registry.example.com/shop/app:1.2.3",
        "ports": [{"containerPort": 8080, "name": "http"}],
        "env": [{"name": "MODE", "value": "fast"}, {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "500m", "memory": "128Mi"}},
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 5},
        "volumeMounts": [{"name": "config", "mountPath": "/etc/app"}],
    }
    spec = {"containers": [container], "volumes": [{"name": "config", "configMap": {"name": "app"}}], "automountServiceAccountToken": False}
    parity = "even" if int(name.rpartition("-")[2]) % 2 == 0 else "odd"
    labels = {"app": "shop", "parity": parity, "hundred": str(int(name.rpartition("-")[2]) % 100)}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}


def status(number: int) -> dict[str, Any]:
    condition = {"type": "Ready", "status": "True" if number % 2 else "False", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    return {"status": {"phase": "Running", "podIP": f"10.1.{number // 250 % 250}.{number % 250}", "conditions": [condition]}}
