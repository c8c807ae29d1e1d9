"""What the conformance tests share: a whole cluster on virtual time, asked by path as upstream's e2e tests ask theirs. No test itself.

The steps are those of upstream's conformance tests; docs/conformance.md names for each of those the test that goes through them here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from kube.objects import Object, condition_of, is_condition_true
from tests.component.served import Api, Reply
from wherry.in_process import InProcessCluster, in_process_cluster

T = TypeVar("T")
PATIENCE_S = 300.0
"""Virtual seconds."""
ALL = 1_000_000
"""As a count of events: all that come within a few virtual seconds."""
NAMESPACE = "/api/v1/namespaces/default"
APPS = "/apis/apps/v1/namespaces/default"
BATCH = "/apis/batch/v1/namespaces/default"


@dataclass
class World(Api):
    """The admin's connection to a cluster."""

    cluster: InProcessCluster | None = None
    token: str = ""

    async def call(self, method: str, path: str, body: Any = None, **headers: str | None) -> Reply:
        return await super().call(method, path, body, **{"authorization": f"Bearer {self.token}", **headers})

    async def events(self, path: str, count: int, **headers: str) -> list[Object]:
        return await super().events(path, count, **{"authorization": f"Bearer {self.token}", **headers})

    async def until(self, question: Callable[[], Awaitable[T]], *, within_s: float = PATIENCE_S, poll_s: float = 0.5) -> T:
        """The first true answer. Raises TimeoutError."""
        assert self.cluster is not None
        async with asyncio.timeout(within_s):
            while not (answer := await question()):
                self.cluster.check()
                await asyncio.sleep(poll_s)
        return answer

    async def where(self, path: str, true: Callable[[Object], Any], *, within_s: float = PATIENCE_S, poll_s: float = 0.5) -> Object:
        """The object at `path`, once it is so."""
        seen: list[Object] = []

        async def holds() -> Object | None:
            reply = await self.call("GET", path)
            seen[:] = [reply.body]
            return reply.body if reply.status == 200 and true(reply.body) else None

        try:
            return await self.until(holds, within_s=within_s, poll_s=poll_s) or {}
        except TimeoutError as error:
            raise AssertionError(f"{path} never came to be as wanted; last: {seen}") from error

    async def gone(self, path: str, *, within_s: float = PATIENCE_S) -> None:
        """Wait until there is nothing at `path`."""

        async def missing() -> bool:
            return (await self.call("GET", path)).status == 404

        await self.until(missing, within_s=within_s)

    async def items(self, path: str, true: Callable[[list[Object]], Any] = lambda _: True, *, within_s: float = PATIENCE_S) -> list[Object]:
        """The items of the list at `path`, once they are so."""
        found = await self.where(path, lambda listed: true(listed["items"]), within_s=within_s)
        return list(found["items"])

    async def log(self, name: str, container: str = "", namespace: str = "default") -> str:
        """What a container has printed."""
        query = f"?container={container}" if container else ""
        return str(await self.ok("GET", f"/api/v1/namespaces/{namespace}/pods/{name}/log{query}"))

    async def ended(self, name: str, namespace: str = "default") -> Object:
        """The pod, once it has succeeded or failed."""
        return await self.where(
            f"/api/v1/namespaces/{namespace}/pods/{name}", lambda pod: pod["status"]["phase"] in ("Succeeded", "Failed")
        )

    async def ready(self, name: str, namespace: str = "default") -> Object:
        """The pod, once it is ready."""
        return await self.where(f"/api/v1/namespaces/{namespace}/pods/{name}", lambda pod: is_condition_true(pod, "Ready"))


@asynccontextmanager
async def world(*, nodes: int = 2, **options: Any) -> AsyncIterator[World]:
    """A cluster whose nodes are ready; `options` as in `in_process_cluster`."""
    async with in_process_cluster(nodes=nodes, **options) as cluster:
        made = World(cluster.built, cluster.line, cluster=cluster, token=f"{cluster.secret}-admin")  # type: ignore[arg-type]
        if nodes:
            await made.items("/api/v1/nodes", lambda found: len(found) == nodes and all(map(_is_usable, found)))
        if options.get("controllers", ("*",)) is not None:
            await made.where(f"{NAMESPACE}/serviceaccounts/default", bool)
        yield made


def _is_usable(node: Object) -> bool:
    return is_condition_true(node, "Ready") and not node["spec"].get("taints")


def labelled(obj: Object, **labels: str) -> Object:
    """The object with labels."""
    return obj | {"metadata": obj["metadata"] | {"labels": labels}}


def script(text: str, **container: Any) -> Object:
    """A container that runs a shell script."""
    return {"name": "c", "image": "busybox:1", "command": ["sh", "-c", text], **container}


def pod(name: str, *containers: Object, labels: Mapping[str, str] | None = None, **spec: Any) -> Object:
    """A pod; without containers it has one that just runs."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": dict(labels or {})},
        "spec": {"containers": list(containers) or [{"name": "c", "image": "pause:3"}], **spec},
    }


def workload(name: str, replicas: int | None = 1, *containers: Object, pod_spec: Object | None = None, **spec: Any) -> Object:
    """A Deployment, ReplicaSet, StatefulSet or (without replicas) DaemonSet whose pods are labelled app=<name>."""
    labels = {"app": name}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": list(containers) or [{"name": "c", "image": "c:1"}], **(pod_spec or {})},
    }
    counted = {} if replicas is None else {"replicas": replicas}
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": {**counted, "selector": {"matchLabels": labels}, "template": template, **spec},
    }


def names(items: Sequence[Object]) -> list[str]:
    """The names of objects."""
    return [each["metadata"]["name"] for each in items]


def condition(obj: Object, kind: str) -> tuple[str, str]:
    """(status, reason) of a condition; ("", "") where there is none."""
    found = condition_of(obj, kind) or {}
    return found.get("status", ""), found.get("reason", "")
