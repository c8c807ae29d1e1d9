"""Many who write, list and watch in both versions at once, with a webhook that takes its time and sometimes fails: all see the same."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import orjson
import pytest

from apiserver.registry.webhooks import CallFailed
from kube.objects import Object
from tests.component.converting import DEFINITIONS, V1, V2, answer_to, definition, stored, v1, v2
from tests.component.served import MERGE, Api, served
from tests.virtual import virtual

WRITERS, WRITES, NAMES, PORTS = 6, 40, 12, 90
SLOW_S = 0.5


class Caller:
    """Calls the webhook without a network."""

    def __init__(self, rng: random.Random, failing: float) -> None:
        self._rng, self.failing = rng, failing

    async def post(self, _config: Object, document: Object, *, timeout_s: float) -> Any:
        await asyncio.sleep(self._rng.random() * min(SLOW_S, timeout_s))
        if self._rng.random() < self.failing:
            raise CallFailed("broken")
        return answer_to(orjson.loads(orjson.dumps(document)))


async def follow(api: Api, path: str, seen: dict[str, Object]) -> None:
    """List and watch, again and again, as an informer does."""
    while True:
        listed = await api.call("GET", path)
        if listed.status != 200:
            await asyncio.sleep(0.1)
            continue
        seen.clear()
        seen.update({each["metadata"]["name"]: each for each in listed.body["items"]})
        await _watch(api, f"{path}?watch=1&resourceVersion=", int(listed.body["metadata"]["resourceVersion"]), seen)


async def _watch(api: Api, path: str, version: int, seen: dict[str, Object]) -> None:
    async with api.transport.stream("GET", f"{path}{version}", headers={"authorization": "Bearer of-the-test"}) as answer:
        if answer.status != 200:
            await asyncio.sleep(0.1)
            return
        rest = b""
        async for chunk in answer.chunks():
            *lines, rest = (rest + chunk).split(b"\n")
            for event in map(orjson.loads, lines):
                if event["type"] == "ERROR":
                    return
                meta = event["object"]["metadata"]
                assert int(meta["resourceVersion"]) > version, "in order, and once"
                version = int(meta["resourceVersion"])
                if event["type"] == "DELETED":
                    seen.pop(meta["name"])
                else:
                    seen[meta["name"]] = event["object"]


async def write(api: Api, rng: random.Random) -> None:
    for _ in range(WRITES):
        name, port, old = f"h{rng.randrange(NAMES)}", rng.randrange(PORTS), rng.random() < 0.5
        path, obj = (V1, v1(name, f"h:{port}")) if old else (V2, v2(name, "h", port))
        chance = rng.random()
        if chance < 0.3:
            await api.call("POST", path, obj)
        elif chance < 0.85:
            change = {key: value for key, value in obj.items() if key not in ("apiVersion", "kind", "metadata")}
            await api.call("PATCH", f"{path}/{name}", change, content_type=MERGE)
        else:
            await api.call("DELETE", f"{path}/{name}")


async def listed(api: Api, path: str) -> dict[str, Object]:
    return {each["metadata"]["name"]: each for each in (await api.ok("GET", path))["items"]}


@pytest.mark.parametrize(("seed", "failing"), [(1, 0.0), (2, 0.1), (3, 0.3)])
@virtual
async def test_all_versions_come_to_the_same(seed: int, failing: float) -> None:
    async with served() as api:
        await api.ok("POST", DEFINITIONS, definition({"url": "https://hook.test/convert"}))
        caller = Caller(random.Random(seed), failing)
        api.built.server.registries.webhooks = caller
        seen: dict[str, dict[str, Object]] = {V1: {}, V2: {}}
        following = [asyncio.create_task(follow(api, path, found)) for path, found in seen.items()]
        await asyncio.gather(*(write(api, random.Random(seed * 100 + number)) for number in range(WRITERS)))
        caller.failing = 0.0
        await asyncio.sleep(60)
        now = {path: await listed(api, path) for path in seen}
        assert now[V1]
        assert seen == now
        ports = {name: (each["hostPort"], each["metadata"]["resourceVersion"]) for name, each in now[V1].items()}
        assert {name: (f"{each['host']}:{each['port']}", each["metadata"]["resourceVersion"]) for name, each in now[V2].items()} == ports
        assert {name: each["hostPort"] for name, each in (await stored(api)).items()} == {name: at for name, (at, _) in ports.items()}
        for task in following:
            task.cancel()
        ended = await asyncio.gather(*following, return_exceptions=True)
        assert all(isinstance(each, asyncio.CancelledError) for each in ended), ended
