"""Upstream's conformance test of selecting custom resources by fields of each version, which a webhook converts."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from kube.client.client import Client
from kube.client.informer import Informer
from kube.clock import LoopClock
from kube.objects import Object
from kube.resources import Resource
from tests.component.converting import GROUP, V1, V2, converting, v2
from tests.component.served import Api

BY_HOST, BY_BOTH, BY_HOST_PORT = "host=host1", "host=host1,port=80", "hostPort=host1:80"


async def selected(api: Api, path: str, selector: str) -> list[str]:
    listed = await api.ok("GET", f"{path}?fieldSelector={_quoted(selector)}")
    return [each["metadata"]["name"] for each in listed["items"]]


def _quoted(selector: str) -> str:
    return selector.replace("=", "%3D").replace(",", "%2C").replace(":", "%3A")


Seen = list[tuple[str, str]]


async def watched(api: Api, path: str, selector: str, count: int) -> Seen:
    events = await api.events(f"{path}?watch=1&fieldSelector={_quoted(selector)}", count)
    return [(each["type"], each["object"]["metadata"]["name"]) for each in events]


def informer(client: Client, selector: str) -> tuple[Informer, Seen]:
    """One of Hosts in v2, and what it tells."""
    found = Informer(client, Resource(GROUP, "v2", "hosts", "Host"), namespace="default", field_selector=selector, rng=random.Random(1))
    seen: Seen = []

    def told(old: Object | None, new: Object | None) -> None:
        one = new or old
        if one is not None and (old is None or new is None):
            seen.append(("ADDED" if old is None else "DELETED", one["metadata"]["name"]))

    found.add_handler(told)
    return found, seen


async def test_what_is_selected_by_fields_is_listed_watched_and_followed_in_each_version(tmp_path: Path) -> None:
    async with converting(tmp_path) as (api, _):
        client = Client(api.transport, user_agent="informer", token="of-the-test", clock=LoopClock())
        (by_host, of_host), (by_both, of_both) = informer(client, BY_HOST), informer(client, BY_BOTH)
        running = [asyncio.create_task(each.run()) for each in (by_host, by_both)]
        wanted = ((V2, BY_HOST, 4), (V2, BY_BOTH, 2), (V1, BY_HOST_PORT, 2))
        watching = [asyncio.create_task(watched(api, *each)) for each in wanted]
        async with asyncio.timeout(30):
            await by_host.synced.wait()
            await by_both.synced.wait()
        for name, host, port in (("a", "host1", 80), ("b", "host1", 8080), ("c", "host2", 1)):
            await api.ok("POST", V2, v2(name, host, port))
        assert await selected(api, V2, BY_HOST) == ["a", "b"]
        assert await selected(api, V2, BY_BOTH) == ["a"]
        assert await selected(api, V1, BY_HOST_PORT) == ["a"]
        assert await selected(api, V1, "hostPort=host1:8080") == ["b"]
        await api.ok("DELETE", f"{V2}?fieldSelector={_quoted(BY_BOTH)}")
        await api.ok("PUT", f"{V2}/b", {**await api.ok("GET", f"{V2}/b"), "host": "host2"})
        assert await selected(api, V2, BY_HOST) == []
        assert await selected(api, V2, BY_BOTH) == []
        all_of_host = [("ADDED", "a"), ("ADDED", "b"), ("DELETED", "a"), ("DELETED", "b")]
        only_a = [("ADDED", "a"), ("DELETED", "a")]
        assert await asyncio.gather(*watching) == [all_of_host, only_a, only_a]
        async with asyncio.timeout(30):
            while len(of_host) < 4 or len(of_both) < 2:
                await asyncio.sleep(0.01)
        assert (of_host, of_both) == (all_of_host, only_a)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
