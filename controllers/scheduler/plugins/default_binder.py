"""DefaultBinder: tells the API server which node a pod gets."""

from __future__ import annotations

from controllers.scheduler.pod_info import PodInfo
from kube.client.client import Client
from kube.resources import PODS


class DefaultBinder:
    name = "DefaultBinder"

    def __init__(self, client: Client) -> None:
        self._client = client

    async def bind(self, pod: PodInfo, node: str) -> None:
        """POST to the pod's `binding`; the uid sees to it that it is still the same pod. Raises ApiError, OSError."""
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": pod.name, "namespace": pod.namespace, "uid": pod.uid},
            "target": {"kind": "Node", "name": node},
        }
        await self._client.create(PODS, binding, namespace=pod.namespace, name=pod.name, subresource="binding")
