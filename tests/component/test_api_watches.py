"""Watches in all their forms: initial events, bookmarks, selectors, Tables, and what cannot be watched."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from kube.objects import Object
from tests.component.served import CONFIG_MAPS, DEPLOYMENTS, PARTIAL, PODS, TABLE, Api, config_map, pod, served
from tests.virtual import virtual

LIST = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
END = {"k8s.io/initial-events-end": "true"}


def names(events: list[Object]) -> list[tuple[str, str]]:
    return [(each["type"], each["object"]["metadata"].get("name", "")) for each in events]


async def filled(api: Api, *wanted: str) -> str:
    """Config maps of these names; the version after the last."""
    made: Object = {}
    for name in wanted:
        made = await api.ok("POST", CONFIG_MAPS, config_map(name, labels={"letter": name}))
    return str(made["metadata"]["resourceVersion"])


STARTS = {
    "from no version": ("", [("ADDED", "a"), ("ADDED", "b")]),
    "from version 0": ("&resourceVersion=0", [("ADDED", "a"), ("ADDED", "b")]),
    "from now": ("&resourceVersion={now}", []),
    "with the state and its end": (f"&{LIST}", [("ADDED", "a"), ("ADDED", "b"), ("BOOKMARK", "")]),
    "without the state": ("&sendInitialEvents=false&resourceVersionMatch=NotOlderThan", []),
    "of one by name": ("&fieldSelector=metadata.name%3Db", [("ADDED", "b")]),
    "of some by label": ("&labelSelector=letter%21%3Db", [("ADDED", "a")]),
}


@pytest.mark.parametrize(("query", "expected"), STARTS.values(), ids=STARTS.keys())
@virtual
async def test_where_a_watch_begins(query: str, expected: list[tuple[str, str]]) -> None:
    async with served() as api:
        now = await filled(api, "a", "b")
        watching = asyncio.create_task(api.events(f"{CONFIG_MAPS}?watch=1{query.format(now=now)}", 9))
        await asyncio.sleep(1)
        await filled(api, "c")
        chosen = [] if "fieldSelector" in query else [("ADDED", "c")]
        assert names(await watching) == expected + chosen


@virtual
async def test_the_end_of_the_state_is_marked_at_its_version() -> None:
    async with served() as api:
        now = await filled(api, "a")
        events = await api.events(f"{CONFIG_MAPS}?watch=1&{LIST}", 2)
        assert events[1]["object"] == {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"resourceVersion": now, "annotations": END}}


@virtual
async def test_a_bookmark_is_an_empty_object_as_go_writes_it() -> None:
    async with served() as api:
        (event,) = await api.events(f"{DEPLOYMENTS}?watch=1&{LIST}", 1)
        template = {"metadata": {}, "spec": {"containers": None}}
        assert event["object"]["spec"] == {"replicas": 0, "selector": None, "strategy": {}, "template": template}
        assert event["object"]["status"] == {}


@virtual
async def test_a_watch_of_tables_sends_its_columns_once() -> None:
    async with served() as api:
        await api.ok("POST", PODS, pod("a"))
        await api.ok("POST", PODS, pod("b"))
        events = await api.events(f"{PODS}?watch=1&{LIST}", 3, accept=TABLE)
        tables = [each["object"] for each in events]
        assert [each["kind"] for each in tables] == ["Table"] * 3
        assert tables[0]["columnDefinitions"][0]["name"] == "Name"
        assert [each["columnDefinitions"] for each in tables[1:]] == [None, None]
        assert [each["rows"][0]["cells"][0] for each in tables] == ["a", "b", ""]
        assert tables[2]["rows"][0]["object"]["metadata"]["annotations"] == END


@virtual
async def test_a_watch_of_metadata() -> None:
    async with served() as api:
        await filled(api, "a")
        first, end = await api.events(f"{CONFIG_MAPS}?watch=1&{LIST}", 2, accept=PARTIAL)
        assert (first["object"]["kind"], first["object"]["metadata"]["name"]) == ("PartialObjectMetadata", "a")
        assert "data" not in first["object"]
        assert end["object"]["kind"] == "PartialObjectMetadata"


@virtual
async def test_an_object_that_leaves_a_selection_is_sent_as_it_was_inside() -> None:
    async with served() as api:
        start = await filled(api, "a")
        path = f"{CONFIG_MAPS}/a"
        await api.ok("PUT", path, config_map("a", {"n": "2"}, labels={"letter": "z"}))
        gone = await api.ok("GET", path)
        (event,) = await api.events(f"{CONFIG_MAPS}?watch=1&resourceVersion={start}&labelSelector=letter%3Da", 1)
        assert event["type"] == "DELETED"
        assert (event["object"]["metadata"]["labels"], event["object"].get("data")) == ({"letter": "a"}, None)
        assert event["object"]["metadata"]["resourceVersion"] == gone["metadata"]["resourceVersion"], "at the revision of the change"


@virtual
async def test_a_deleted_object_carries_the_revision_of_its_end() -> None:
    async with served() as api:
        start = await filled(api, "a")
        await api.ok("DELETE", f"{CONFIG_MAPS}/a")
        (event,) = await api.events(f"{CONFIG_MAPS}?watch=1&resourceVersion={start}", 1)
        assert (event["type"], event["object"]["metadata"]["name"]) == ("DELETED", "a")
        assert int(event["object"]["metadata"]["resourceVersion"]) > int(start)


@virtual
async def test_a_watch_that_wants_the_state_of_a_version_of_the_future_is_told_so_in_an_event() -> None:
    async with served() as api:
        query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=999999"
        (event,) = await api.events(f"{CONFIG_MAPS}?{query}", 1)
        assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 504, "Timeout")
        assert event["object"]["message"].startswith("Timeout: Too large resource version: 999999, current: ")


BOOKMARKED = {
    "by its query": (f"{CONFIG_MAPS}?watch&allowWatchBookmarks=1", ["ADDED", "BOOKMARK"]),
    "by its path alone": ("/api/v1/watch/namespaces/default/configmaps?allowWatchBookmarks=1", ["ADDED"]),
}


@pytest.mark.parametrize(("path", "expected"), BOOKMARKED.values(), ids=BOOKMARKED.keys())
@virtual
async def test_the_bookmark_after_the_state_of_a_watch_from_now(path: str, expected: list[str]) -> None:
    async with served() as api:
        await filled(api, "a")
        assert [each["type"] for each in await api.events(path, 2)] == expected


TIMED = {"a moment": (1, []), "two seconds": (2, []), "a while": (4, ["BOOKMARK"]), "some minutes": (150, ["BOOKMARK"] * 3)}


@pytest.mark.parametrize(("timeout_s", "expected"), TIMED.values(), ids=TIMED.keys())
@virtual
async def test_a_bookmark_comes_every_minute_and_shortly_before_the_end(timeout_s: int, expected: list[str]) -> None:
    async with served() as api:
        version = (await api.ok("GET", CONFIG_MAPS))["metadata"]["resourceVersion"]
        path = f"{CONFIG_MAPS}?watch=1&allowWatchBookmarks=1&resourceVersion={version}&timeoutSeconds={timeout_s}"
        found = await api.transport.request("GET", path, headers={"authorization": "Bearer of-the-test"}, body=None, timeout_s=200)
        assert [orjson.loads(line)["type"] for line in found.body.splitlines()] == expected


@virtual
async def test_a_watch_of_one_object_takes_no_selector_that_says_another_thing() -> None:
    async with served() as api:
        for selector in ("metadata.name%3Db", "metadata.namespace%3Ddefault"):
            reply = await api.call("GET", f"/api/v1/watch/namespaces/default/configmaps/a?fieldSelector={selector}")
            assert (reply.status, reply.message) == (400, "fieldSelector metadata.name doesn't match requested name")


REFUSED = {
    "a version that is no number": ("resourceVersion=abc", {}, 500, "resourceVersion: Invalid value"),
    "YAML": ("timeoutSeconds=1", {"accept": "application/yaml"}, 406, ""),
    "a match without the state": ("resourceVersion=1&resourceVersionMatch=NotOlderThan", {}, 422, "ListOptions.meta.k8s.io"),
    "the state without a match": ("sendInitialEvents=true", {}, 422, "ListOptions.meta.k8s.io"),
    "a page of a list": ("continue=abc", {}, 422, "ListOptions.meta.k8s.io"),
    "an unknown field": ("fieldSelector=data.k%3D1", {}, 400, '"data.k" is not a known field selector'),
    "a time that is none": ("timeoutSeconds=soon", {}, 400, "strconv.ParseInt"),
}


@pytest.mark.parametrize(("query", "headers", "status", "message"), REFUSED.values(), ids=REFUSED.keys())
@virtual
async def test_watches_that_are_refused(query: str, headers: dict[str, Any], status: int, message: str) -> None:
    async with served() as api:
        reply = await api.call("GET", f"{CONFIG_MAPS}?watch=1&{query}", **headers)
        assert reply.status == status
        assert headers or reply.message.startswith(message)


@virtual
async def test_a_version_that_the_log_has_forgotten_is_410() -> None:
    async with served() as api:
        old = await filled(api, "a", "b", "c")
        for n in range(3):
            await api.ok("PUT", f"{CONFIG_MAPS}/a", config_map("a", {"n": str(n)}))
        cache = api.built.server.registries.served("", "v1", "configmaps").registry.cache  # type: ignore[union-attr]
        store = api.built.store
        await store.compact(await store.revision())
        assert len(await api.events(f"{CONFIG_MAPS}?watch=1&resourceVersion={old}", 3)) == 3, "the cache remembers longer"
        cache.close()
        (event,) = await api.events(f"{CONFIG_MAPS}?watch=1&resourceVersion=2", 1)
        assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")


@virtual
async def test_events_of_the_other_group_are_the_same_events_in_its_own_words() -> None:
    async with served() as api:
        where = {"kind": "Pod", "namespace": "default", "name": "p"}
        body = {"metadata": {"name": "e"}, "involvedObject": where, "reason": "R", "message": "m", "type": "Normal"}
        await api.ok("POST", "/api/v1/namespaces/default/events", body)
        path = "/apis/events.k8s.io/v1/namespaces/default/events"
        (event,) = await api.events(f"{path}?watch=1&fieldSelector=regarding.name%3Dp", 1)
        assert (event["object"]["apiVersion"], event["object"]["note"], event["object"]["regarding"]["name"]) == (
            "events.k8s.io/v1",
            "m",
            "p",
        )
        assert (await api.call("GET", f"{path}?fieldSelector=involvedObject.name%3Dp")).status == 400
