"""Cluster DNS in a cluster in Python: containers that look names up as Services, their endpoints and DNS itself come and go."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

from kube.objects import Object
from tests.component.conformance import NAMESPACE, World, pod, script, workload, world
from tests.component.served import MERGE
from tests.virtual import virtual
from wherry import Cluster

PODS, SERVICES = f"{NAMESPACE}/pods", f"{NAMESPACE}/services"
ZONE = "default.svc.cluster.local"


def headless(name: str, **spec: Any) -> Object:
    return {"metadata": {"name": name}, "spec": {"clusterIP": "None", "selector": {"app": name}, "ports": [{"port": 80}], **spec}}


async def watching(api: World, name: str, command: str) -> None:
    """A pod that runs the command every second, and logs what it prints."""
    await api.ok("POST", PODS, pod(name, script(f"while true; do echo $({command}); sleep 1; done")))
    await api.ready(name)


async def lines(api: World, name: str) -> list[str]:
    """Its log; none while its node does not answer."""
    reply = await api.call("GET", f"{PODS}/{name}/log")
    return str(reply.body).splitlines() if reply.status == 200 else []


async def says(api: World, name: str, text: str) -> None:
    """Wait until the last line of its log is that."""

    async def last() -> bool:
        return (await lines(api, name))[-1:] == [text]

    await api.until(last)


@virtual
async def test_a_headless_service_has_the_endpoints_that_are_ready() -> None:
    async with world(nodes=1, dns=True) as api:
        await watching(api, "ready", f"dig +short web.{ZONE} | wc -l")
        await watching(api, "every", f"dig +short eager.{ZONE} | wc -l")
        await says(api, "ready", "0")
        await api.ok("POST", SERVICES, headless("web"))
        await api.ok("POST", SERVICES, headless("eager", selector={"app": "web"}, publishNotReadyAddresses=True))
        body = workload("web", 3, {"name": "c", "image": "c:1", "readinessProbe": {"exec": {"command": ["true"]}}})
        body["spec"]["template"]["metadata"]["annotations"] = {"wherry.dev/readiness": "false"}
        await api.ok("POST", "/apis/apps/v1/namespaces/default/deployments", body)
        await says(api, "every", "3")
        await says(api, "ready", "0")
        first, *_ = await api.items(f"{PODS}?labelSelector=app=web")
        name = first["metadata"]["name"]
        await api.ok("PATCH", f"{PODS}/{name}", {"metadata": {"annotations": {"wherry.dev/readiness": None}}}, content_type=MERGE)
        await says(api, "ready", "1")
        await api.ok("DELETE", f"{SERVICES}/web")
        await says(api, "ready", "0")


@virtual
async def test_names_are_found_while_dns_is_there() -> None:
    async with world(nodes=1, dns=True) as api:
        assert api.cluster is not None
        await watching(api, "client", "getent hosts kubernetes | wc -l")
        await says(api, "client", "1")
        await api.cluster.kill("kube-dns")
        await says(api, "client", "0")
        api.cluster.start("kube-dns")
        await says(api, "client", "1")
        await api.cluster.kill("kubelet")
        assert await lines(api, "client") == []
        api.cluster.start("kubelet")  # the container goes on where it was; its log begins anew
        await says(api, "client", "1")


@virtual
async def test_what_a_container_was_answered_holds_when_its_node_is_started_again() -> None:
    async with world(nodes=1, dns=True) as api:
        assert api.cluster is not None
        text = "getent hosts kubernetes || exit 3; sleep 60; getent hosts kubernetes; sleep 60; getent hosts kubernetes"
        await api.ok("POST", PODS, pod("client", script(text), restartPolicy="Never"))
        await api.ready("client")
        await asyncio.sleep(90)
        await api.cluster.kill("kubelet")
        api.cluster.start("kubelet")
        found = await api.ended("client")
        assert found["status"]["phase"] == "Succeeded"
        assert await lines(api, "client") == [f"10.0.0.1        kubernetes.{ZONE}"] * 3
        ended = found["status"]["containerStatuses"][0]["state"]["terminated"]
        lived = datetime.fromisoformat(ended["finishedAt"]) - datetime.fromisoformat(ended["startedAt"])
        assert lived.total_seconds() == 120


def test_a_cluster_in_python_has_dns_if_it_is_asked_for() -> None:
    waits = {"name": "wait", "image": "busybox", "command": ["sh", "-c", "until nslookup db; do sleep 1; done"]}
    waiting = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "app"},
        "spec": {"initContainers": [waits], "containers": [{"name": "c", "image": "app"}]},
    }
    with Cluster(nodes=1, dns=True) as cluster:
        cluster.apply(waiting)
        cluster.clock.advance(seconds=60)
        assert cluster.client.get("pods", "app")["status"]["phase"] == "Pending"
        cluster.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "db"}, "spec": {"ports": [{"port": 5432}]}})
        cluster.wait_for("pods", "app")
    with Cluster(nodes=1) as cluster:
        cluster.apply(waiting)
        cluster.wait_for("pods", "app")
