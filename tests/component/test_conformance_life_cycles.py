"""The life of an object of each kind, step by step as upstream's conformance tests of the APIs go through it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from kube.objects import Object
from tests.component.conformance import ALL, names, world
from tests.component.conformance_kinds import LIFE_CYCLES, LifeCycle
from tests.component.served import MERGE, Api, served
from tests.virtual import virtual

VERBS = {"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}
SELECTION = "labelSelector=e2e%3Dlife"


@asynccontextmanager
async def server_for(kind: LifeCycle) -> AsyncIterator[Api]:
    """A server, and where deletions need them, the controllers."""
    async with world(nodes=0) if kind.settled else served() as api:
        yield api


def made(kind: LifeCycle, name: str) -> Object:
    return {**kind.body, "metadata": {"name": name, "labels": {"e2e": "life"}}}


async def wait_for_none(api: Api, path: str) -> None:
    async with asyncio.timeout(120):
        while (reply := await api.call("GET", path)).status != 404 and reply.body.get("items") != []:
            await asyncio.sleep(1)


async def discovered(api: Api, kind: LifeCycle) -> None:
    """The kind is in the discovery documents, with all verbs, and so is its status."""
    if kind.group:
        group = next(each for each in (await api.ok("GET", "/apis"))["groups"] if each["name"] == kind.group)
        assert kind.root.removeprefix("/apis/") in [each["groupVersion"] for each in group["versions"]]
        versions = (await api.ok("GET", f"/apis/{kind.group}"))["versions"]
        assert kind.version in [each["version"] for each in versions]
    resources = {each["name"]: each for each in (await api.ok("GET", kind.root))["resources"]}
    assert set(resources[kind.plural]["verbs"]) >= (VERBS if kind.collection else VERBS - {"deletecollection"})
    if kind.status is not None:
        assert set(resources[f"{kind.plural}/status"]["verbs"]) >= {"get", "patch", "update"}


async def status_written(api: Api, kind: LifeCycle, path: str) -> None:
    """Patched, read and replaced through the subresource, the status is what a later read shows; the rest stays."""
    before = await api.ok("GET", path)
    patched = await api.ok("PATCH", f"{path}/status", {"status": kind.status}, content_type=MERGE)
    read = await api.ok("GET", f"{path}/status")
    for key, value in (kind.status or {}).items():
        assert within(value, patched["status"][key])
        assert within(value, read["status"][key])
    await replaced(api, f"{path}/status", "replaced-status")
    after = await api.ok("GET", path)
    assert within(kind.status, after["status"])
    assert after.get("spec") == before.get("spec")


async def replaced(api: Api, path: str, note: str) -> Object:
    """The object after a PUT of it with one more annotation; a controller may be quicker, then it is tried again."""
    while True:
        current = await api.ok("GET", path)
        current["metadata"]["annotations"] = {**current["metadata"].get("annotations", {}), note: "true"}
        reply = await api.call("PUT", path, current)
        if reply.status != 409:
            assert reply.status == 200, reply.body
            return dict(reply.body)


def within(wanted: Any, found: Any) -> bool:
    """Whether `found` says all that `wanted` does; lists may have more items."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(key in found and within(value, found[key]) for key, value in wanted.items())
    if isinstance(wanted, list):
        return isinstance(found, list) and all(any(within(each, other) for other in found) for each in wanted)
    return bool(wanted == found)


@pytest.mark.parametrize("kind", [pytest.param(each, id=each.id) for each in LIFE_CYCLES])
@virtual
async def test_life_cycle(kind: LifeCycle) -> None:
    async with server_for(kind) as api:
        await discovered(api, kind)
        one, two, three = (f"{kind.path}/{name}" for name in kind.names)
        for name in kind.names:
            created = await api.ok("POST", kind.path, made(kind, name))
            assert (await api.ok("GET", f"{kind.path}/{name}"))["metadata"]["uid"] == created["metadata"]["uid"]
        everywhere = await api.ok("GET", f"{kind.root}/{kind.plural}?{SELECTION}")
        listed = await api.ok("GET", f"{kind.path}?{SELECTION}")
        assert names(listed["items"]) == names(everywhere["items"]) == sorted(kind.names)

        metadata = {"annotations": {"patched": "true"}, "labels": {"also": "patched"}}
        patched = await api.ok("PATCH", one, {**kind.patch, "metadata": metadata}, content_type=MERGE)
        assert within(metadata, patched["metadata"])
        assert within(kind.patch, await api.ok("GET", one))
        found = await api.ok("GET", f"{kind.path}?labelSelector=also%3Dpatched")
        assert names(found["items"]) == [kind.names[0]]

        updated = await replaced(api, one, "updated")
        assert within({"patched": "true", "updated": "true"}, updated["metadata"]["annotations"])
        if kind.status is not None:
            await status_written(api, kind, one)

        await api.ok("DELETE", one)
        await wait_for_none(api, one)
        assert names((await api.ok("GET", f"{kind.path}?{SELECTION}"))["items"]) == sorted(kind.names[1:])
        if kind.collection:
            await api.ok("DELETE", f"{kind.path}?{SELECTION}")
            await wait_for_none(api, f"{kind.path}?{SELECTION}")
            assert (await api.call("GET", two)).status == (await api.call("GET", three)).status == 404

        watch = f"{kind.path}?watch=true&{SELECTION}&resourceVersion={listed['metadata']['resourceVersion']}"
        events = await api.events(watch, ALL)
        of_one = [each["type"] for each in events if each["object"]["metadata"]["name"] == kind.names[0]]
        assert (of_one[:2], of_one[-1]) == (["MODIFIED", "MODIFIED"], "DELETED")
        assert [each["type"] for each in events].count("DELETED") == (3 if kind.collection else 1)
