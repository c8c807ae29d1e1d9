"""Load balancers that answer: the API server and a kubelet that listen, and the cloud's controllers between them."""

from __future__ import annotations

import asyncio
import random
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from controllers.cloud import load_balancer
from controllers.cloud.balancer import Balancer
from controllers.cloud.dialing import Dialer
from controllers.cloud.local_cloud import LocalCloud, ingress_of, ranges
from controllers.cloud.registry import controllers_of
from controllers.running import run_controllers
from kube.client.client import Client, PatchKind
from kube.client.transport import HttpTransport
from kube.clock import RealClock
from kube.objects import Object
from kube.resources import ENDPOINT_SLICES, EVENTS, NODES, SERVICES
from tests.component.connecting import TOKEN, WITHIN_S, Backend, add_node, add_pod, answering, site
from tests.unit.kubelet_serving import serving
from tests.unit.test_load_balancer_relay import free_port

RANGE = "127.77.0.0/24"


@asynccontextmanager
async def balanced() -> AsyncIterator[Client]:
    """A cluster of one node with the simulated pods a and b, and the cloud's controllers at work in it; an admin's client."""
    async with serving(callers=lambda *_: True) as (agents, kubelet), site() as found:
        await add_node(found)
        found.backends.at["10.0.0.5:10250"] = Backend(answering(b""), port=kubelet.port)
        for number, name in enumerate(("a", "b")):
            await agents.add(name)
            await add_pod(found, name, address=f"10.1.0.{number}")
        client = Client(HttpTransport(f"http://127.0.0.1:{found.port}"), user_agent="tester", token=TOKEN)
        async with Balancer(Dialer(client), clock=RealClock()) as balancer:
            known = controllers_of(LocalCloud(load_balancer_ranges=ranges(RANGE)), balancer)
            running = {"service-lb-controller": known["service-lb-controller"]}
            task = asyncio.create_task(run_controllers(running, None, client, clock=RealClock(), rng=random.Random(1)))
            try:
                async with asyncio.timeout(WITHIN_S):
                    yield client
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        await client.close()


def service(name: str, port: int, **spec: Any) -> Object:
    ports = [{"name": "http", "port": port, "targetPort": 80}]
    return {"metadata": {"name": name, "namespace": "default"}, "spec": {"type": "LoadBalancer", "ports": ports, **spec}}


def endpoints(of: str, *pods: str) -> Object:
    """Ready endpoints of the Service."""
    found = [
        {
            "addresses": [f"10.1.0.{'ab'.index(each)}"],
            "conditions": {"ready": True},
            "nodeName": "n1",
            "targetRef": {"kind": "Pod", "namespace": "default", "name": each},
        }
        for each in pods
    ]
    metadata = {"name": of, "namespace": "default", "labels": {"kubernetes.io/service-name": of}}
    return {"metadata": metadata, "addressType": "IPv4", "endpoints": found, "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    while not await true():
        await asyncio.sleep(0.02)


async def ingress(client: Client, name: str) -> Object:
    """Where the Service's load balancer is, as soon as that is told."""
    while True:
        if found := ingress_of(await client.get(SERVICES, name, namespace="default")):
            return found[0]
        await asyncio.sleep(0.01)


async def page(address: str, port: int) -> str:
    """Which pod's page comes; "" where the connection is closed."""
    reader, writer = await asyncio.open_connection(address, port)
    answer = b""
    with suppress(ConnectionResetError):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = await reader.read()
    writer.close()
    named = re.search(r"^pod: +default/(\w+)$", answer.decode(), re.MULTILINE)
    return named[1] if named else ""


async def test_an_address_is_told_when_it_answers_and_follows_the_endpoints() -> None:
    async with balanced() as client:
        port = free_port()
        await client.create(ENDPOINT_SLICES, endpoints("web", "a", "b"))
        await client.create(SERVICES, service("web", port))
        found = await ingress(client, "web")
        assert found == {"ip": "127.77.0.1", "ipMode": "VIP"}
        await until(lambda: _only(found["ip"], port, "a", "b"))
        assert sorted([await page(found["ip"], port) for _ in range(4)]) == ["a", "a", "b", "b"]

        await client.update(ENDPOINT_SLICES, endpoints("web", "b"))
        await until(lambda: _only(found["ip"], port, "b"))
        await client.update(ENDPOINT_SLICES, endpoints("web"))
        await until(lambda: _only(found["ip"], port, ""))
        await client.update(ENDPOINT_SLICES, endpoints("web", "a", "b"))
        await until(lambda: _only(found["ip"], port, "a", "b"))

        await client.patch(NODES, "n1", {"metadata": {"labels": {load_balancer.EXCLUDED: ""}}}, kind=PatchKind.MERGE)
        await until(lambda: _only(found["ip"], port, ""))
        await client.patch(NODES, "n1", {"metadata": {"labels": {load_balancer.EXCLUDED: None}}}, kind=PatchKind.MERGE)
        await until(lambda: _only(found["ip"], port, "a", "b"))


async def _only(address: str, port: int, *pods: str) -> bool:
    return {await page(address, port) for _ in range(2)} == set(pods)


async def test_a_pod_that_is_gone_is_left_out() -> None:
    """The API server refuses its port-forward, and the next endpoint has the connection."""
    async with balanced() as client:
        port = free_port()
        gone = endpoints("web", "a", "b")
        gone["endpoints"][0]["targetRef"]["name"] = "gone"
        await client.create(ENDPOINT_SLICES, gone)
        await client.create(SERVICES, service("web", port))
        found = await ingress(client, "web")
        await until(lambda: _only(found["ip"], port, "b"))
        assert [await page(found["ip"], port) for _ in range(3)] == ["b", "b", "b"]


async def test_ports_and_addresses_come_and_go() -> None:
    async with balanced() as client:
        port, other = free_port(), free_port()
        await client.create(ENDPOINT_SLICES, endpoints("one", "a"))
        await client.create(ENDPOINT_SLICES, endpoints("two", "b"))
        made = [await client.create(SERVICES, service(name, port)) for name in ("one", "two")]
        one, two = [(await ingress(client, name))["ip"] for name in ("one", "two")]
        await until(lambda: _only(one, port, "a"))
        await until(lambda: _only(two, port, "b"))

        patch = {"spec": {"ports": [{"name": "http", "port": other, "targetPort": 80}]}}
        await client.patch(SERVICES, "one", patch, namespace="default", kind=PatchKind.MERGE)
        await until(lambda: _answers(one, other))
        with pytest.raises(ConnectionRefusedError):
            await page(one, port)
        assert await page(one, other) == "a"

        await client.delete(SERVICES, made[1]["metadata"]["name"], namespace="default")
        await until(lambda: _is_gone(client, "two"))
        with pytest.raises(ConnectionRefusedError):
            await page(two, port)
        socket.create_server((two, port)).close()  # the port is free


async def _answers(address: str, port: int) -> bool:
    try:
        await page(address, port)
    except ConnectionRefusedError:
        return False
    return True


async def _is_gone(client: Client, name: str) -> bool:
    return name not in {each["metadata"]["name"] for each in (await client.list(SERVICES, namespace="default"))["items"]}


async def test_a_port_that_is_taken_is_told_and_had_when_it_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_balancer, "RETRY_S", 0.05)
    monkeypatch.setattr(load_balancer, "RETRY_S_MAX", 0.05)
    async with balanced() as client:
        with socket.socket() as taken:
            taken.bind(("127.77.0.1", 0))
            taken.listen()
            port = int(taken.getsockname()[1])
            await client.create(ENDPOINT_SLICES, endpoints("web", "a"))
            made = service("web", port)
            made["spec"]["ports"].append({"name": "dns", "port": port, "protocol": "UDP"})
            await client.create(SERVICES, made)
            assert await ingress(client, "web") == {
                "ip": "127.77.0.1",
                "ipMode": "VIP",
                "ports": [
                    {"port": port, "protocol": "TCP", "error": "wherry.io/PortInUse"},
                    {"port": port, "protocol": "UDP", "error": "wherry.io/ProtocolNotSupported"},
                ],
            }

        async def listens() -> bool:
            return [each.get("error") for each in (await ingress(client, "web"))["ports"]] == [None, "wherry.io/ProtocolNotSupported"]

        await until(listens)
        await until(lambda: _only("127.77.0.1", port, "a"))

        async def told() -> bool:
            events = (await client.list(EVENTS))["items"]
            said = {each["reason"]: each["message"] for each in events if each["type"] == "Warning"}
            return said.keys() == {"PortInUse", "ProtocolNotSupported"} and "is in use by another program" in said["PortInUse"]

        await until(told)


async def test_two_hundred_connections_and_fifty_at_once() -> None:
    async with balanced() as client:
        port = free_port()
        await client.create(ENDPOINT_SLICES, endpoints("web", "a", "b"))
        await client.create(SERVICES, service("web", port))
        address = (await ingress(client, "web"))["ip"]
        await until(lambda: _only(address, port, "a", "b"))
        found = [await page(address, port) for _ in range(200)]
        assert (found.count("a"), found.count("b")) == (100, 100)
        assert set(await asyncio.gather(*(page(address, port) for _ in range(50)))) == {"a", "b"}
