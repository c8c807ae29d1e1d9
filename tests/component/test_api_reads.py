"""Lists and gets: order, versions, pages, forms."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from apiserver.handlers import continue_token
from tests.component.served import CONFIG_MAPS, MERGE, PARTIAL, TABLE, Api, config_map, served
from tests.virtual import virtual


async def filled(api: Api, *names: str) -> list[str]:
    return [(await api.ok("POST", CONFIG_MAPS, config_map(name)))["metadata"]["resourceVersion"] for name in names]


def names(items: Any) -> list[str]:
    return [each["metadata"]["name"] for each in items["items"]]


@virtual
async def test_a_list_across_namespaces_is_in_the_order_of_its_keys() -> None:
    async with served() as api:
        for namespace in ("a", "a-b", "a1"):
            await api.ok("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
            await api.ok("POST", f"/api/v1/namespaces/{namespace}/configmaps", config_map("c", labels={"mine": "yes"}))
        found = await api.ok("GET", "/api/v1/configmaps?labelSelector=mine")
        assert [each["metadata"]["namespace"] for each in found["items"]] == ["a-b", "a", "a1"]
        paged = await api.ok("GET", "/api/v1/configmaps?labelSelector=mine&limit=1")
        rest = await api.ok("GET", f"/api/v1/configmaps?labelSelector=mine&continue={paged['metadata']['continue']}")
        assert [each["metadata"]["namespace"] for each in rest["items"]] == ["a", "a1"]


VERSIONS: dict[str, tuple[str, list[str]]] = {
    "none": ("", ["a", "b", "c"]),
    "any": ("resourceVersion=0", ["a", "b", "c"]),
    "at least the first": ("resourceVersion={0}", ["a", "b", "c"]),
    "exactly the first": ("resourceVersion={0}&resourceVersionMatch=Exact", ["a"]),
    "exactly the last": ("resourceVersion={2}&resourceVersionMatch=Exact", ["a", "b", "c"]),
    "a page at least as new": ("resourceVersion={1}&limit=5", ["a", "b"]),
    "any, in pages, comes whole": ("resourceVersion=0&limit=1", ["a", "b", "c"]),
}


@pytest.mark.parametrize(("query", "expected"), VERSIONS.values(), ids=VERSIONS.keys())
@virtual
async def test_versions_of_a_list(query: str, expected: list[str]) -> None:
    async with served() as api:
        versions = await filled(api, "a", "b", "c")
        found = await api.ok("GET", f"{CONFIG_MAPS}?{query.format(*versions)}")
        assert names(found) == expected
        assert "continue" not in found["metadata"]


@pytest.mark.parametrize(
    ("query", "wait_s"), [("resourceVersion=999999", "1"), ("resourceVersion=999999&resourceVersionMatch=Exact", None)]
)
@virtual
async def test_a_version_of_the_future_is_a_timeout(query: str, wait_s: str | None) -> None:
    async with served() as api:
        reply = await api.call("GET", f"{CONFIG_MAPS}?{query}")
        assert (reply.status, reply.body["reason"]) == (504, "Timeout")
        assert reply.message.startswith("Timeout: Too large resource version: 999999, current: ")
        assert reply.headers.get("retry-after") == wait_s


@virtual
async def test_a_page_that_has_expired_comes_with_a_way_to_go_on() -> None:
    async with served() as api:
        await filled(api, "a", "b", "c", "d")
        first = await api.ok("GET", f"{CONFIG_MAPS}?limit=2")
        assert (names(first), first["metadata"]["remainingItemCount"]) == (["a", "b"], 2)
        await filled(api, "b2", "e")
        await api.ok("PATCH", f"{CONFIG_MAPS}/a", {"data": {"n": "2"}}, content_type=MERGE)
        store = api.built.store
        await store.compact(await store.revision())
        reply = await api.call("GET", f"{CONFIG_MAPS}?limit=9&continue={first['metadata']['continue']}")
        assert (reply.status, reply.body["reason"]) == (410, "Expired")
        assert reply.message.startswith("The provided continue parameter is too old")
        token = reply.body["metadata"]["continue"]
        assert continue_token.decode(token) == (continue_token.INCONSISTENT, "b\0")
        assert names(await api.ok("GET", f"{CONFIG_MAPS}?limit=9&continue={token}")) == ["b2", "c", "d", "e"]


@virtual
async def test_a_full_page_of_a_selection_has_a_next_one_wherever_there_is_another_object() -> None:
    async with served() as api:
        for name, labels in (("a", {"x": "y"}), ("b", {}), ("c", {"x": "y"}), ("d", {})):
            await api.ok("POST", CONFIG_MAPS, config_map(name, labels=labels))
        page = await api.ok("GET", f"{CONFIG_MAPS}?labelSelector=x&limit=2")
        assert (names(page), "remainingItemCount" in page["metadata"]) == (["a", "c"], False)
        rest = await api.ok("GET", f"{CONFIG_MAPS}?labelSelector=x&limit=2&continue={page['metadata']['continue']}")
        assert (names(rest), "continue" in rest["metadata"]) == ([], False)
        assert "continue" not in (await api.ok("GET", f"{CONFIG_MAPS}?labelSelector=!x&limit=2"))["metadata"]
        first = await api.ok("GET", f"{CONFIG_MAPS}?labelSelector=x&limit=1")
        await api.ok("DELETE", f"{CONFIG_MAPS}/c")
        page = await api.ok("GET", f"{CONFIG_MAPS}?labelSelector=x&limit=1&continue={first['metadata']['continue']}")
        assert (names(page), "continue" in page["metadata"]) == (["c"], True), "as of the first page"


@virtual
async def test_a_version_and_a_limit_mean_that_version_but_for_a_single_name() -> None:
    async with served() as api:
        old = (await filled(api, "a"))[0]
        await api.ok("PATCH", f"{CONFIG_MAPS}/a", {"data": {"n": "2"}}, content_type=MERGE)
        listed = await api.ok("GET", f"{CONFIG_MAPS}?resourceVersion={old}&limit=5")
        assert "data" not in listed["items"][0]
        for path in (f"{CONFIG_MAPS}?", "/api/v1/configmaps?fieldSelector=metadata.namespace%3Ddefault,metadata.name%3Da&"):
            selector = "" if "fieldSelector" in path else "fieldSelector=metadata.name%3Da&"
            single = await api.ok("GET", f"{path}{selector}resourceVersion={old}&limit=5")
            assert single["items"][0]["data"] == {"n": "2"}


@virtual
async def test_a_get_of_the_future_waits_for_no_object() -> None:
    async with served() as api:
        assert (await api.call("GET", f"{CONFIG_MAPS}/none?resourceVersion=999999")).status == 504
        assert (await api.call("GET", f"{CONFIG_MAPS}/none?resourceVersion=1")).status == 404


@pytest.mark.parametrize(("query", "status"), [("export", 400), ("export=true", 400), ("export=0", 404), ("export=false", 404)])
@virtual
async def test_nothing_is_exported_any_more(query: str, status: int) -> None:
    async with served() as api:
        assert (await api.call("GET", f"{CONFIG_MAPS}/none?{query}")).status == status


@virtual
async def test_a_token_stays_within_its_own_collection() -> None:
    async with served() as api:
        await filled(api, "a", "b")
        made_up = continue_token.encode(int((await api.ok("GET", CONFIG_MAPS))["metadata"]["resourceVersion"]), "../../secrets/a")
        assert (await api.call("GET", f"{CONFIG_MAPS}?continue={made_up}")).status == 400


@virtual
async def test_items_carry_no_kind_and_forms_of_lists() -> None:
    async with served() as api:
        await filled(api, "a")
        plain = await api.ok("GET", CONFIG_MAPS)
        assert (plain["kind"], next(iter(plain["items"][0]))) == ("ConfigMapList", "metadata")
        assert "kind" not in plain["items"][0]
        table = await api.ok("GET", f"{CONFIG_MAPS}?includeObject=None", accept=TABLE)
        assert (table["rows"][0]["cells"][0], table["rows"][0]["object"]) == ("a", None)
        whole = await api.ok("GET", f"{CONFIG_MAPS}?includeObject=Object", accept=TABLE)
        assert whole["rows"][0]["object"]["kind"] == "ConfigMap"
        meta = await api.ok("GET", CONFIG_MAPS, accept=PARTIAL.replace("Metadata;", "MetadataList;"))
        assert (meta["kind"], meta["items"][0]["kind"]) == ("PartialObjectMetadataList", "PartialObjectMetadata")
        empty = await api.ok("GET", "/api/v1/namespaces/none/configmaps", accept=PARTIAL.replace("Metadata;", "MetadataList;"))
        assert empty["items"] is None, "as upstream"
        assert (await api.ok("GET", "/api/v1/namespaces/none/configmaps"))["items"] == []


@virtual
async def test_a_table_of_another_version_shows_the_same_cells_and_its_own_objects() -> None:
    async with served() as api:
        target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}
        base = "/apis/autoscaling/{}/namespaces/default/horizontalpodautoscalers"
        await api.ok("POST", base.format("v2"), {"metadata": {"name": "h"}, "spec": {"scaleTargetRef": target, "maxReplicas": 3}})
        new, old = [await api.ok("GET", f"{base.format(v)}?includeObject=Object", accept=TABLE) for v in ("v2", "v1")]
        assert new["rows"][0]["cells"] == old["rows"][0]["cells"]
        assert old["rows"][0]["object"]["apiVersion"] == "autoscaling/v1"


@virtual
async def test_what_is_served_is_byte_for_byte_what_a_write_answered() -> None:
    async with served() as api:
        made = await api.ok("POST", CONFIG_MAPS, config_map("a", {"u": "ü☃", "q": '"\\'}))
        assert orjson.dumps(await api.ok("GET", f"{CONFIG_MAPS}/a")) == orjson.dumps(made)


@virtual
async def test_creates_of_one_name_at_once_leave_one() -> None:
    async with served() as api:
        replies = await asyncio.gather(*(api.call("POST", CONFIG_MAPS, config_map("a", {"n": str(n)})) for n in range(20)))
        assert sorted(each.status for each in replies) == [201] + [409] * 19


@virtual
async def test_a_given_name_beside_a_prefix_is_told_apart_when_it_is_taken() -> None:
    async with served() as api:
        body = {"metadata": {"generateName": "x-", "name": "a"}}
        await api.ok("POST", CONFIG_MAPS, body)
        reply = await api.call("POST", CONFIG_MAPS, body)
        assert reply.message == 'configmaps "a" already exists, the server was not able to generate a unique name for the object'
        assert (reply.body["details"]["retryAfterSeconds"], reply.headers["retry-after"]) == (1, "1")


@virtual
async def test_generated_names_are_tried_again_when_they_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served() as api:
        suffixes = iter(["aaaaa", "aaaaa", "aaaaa", "bbbbb", *["aaaaa"] * 8])
        monkeypatch.setattr("apiserver.registry.metadata.random_suffix", lambda _rng: next(suffixes))
        body = {"metadata": {"generateName": "x-"}}
        assert [(await api.ok("POST", CONFIG_MAPS, body))["metadata"]["name"] for _ in range(2)] == ["x-aaaaa", "x-bbbbb"]
        reply = await api.call("POST", CONFIG_MAPS, body)
        assert (reply.status, reply.body["reason"]) == (409, "AlreadyExists")
        assert next(suffixes, None) is None, "after eight tries it is told"


@virtual
async def test_what_only_the_server_sets_is_not_taken_from_a_client() -> None:
    async with served() as api:
        given: dict[str, Any] = {
            "uid": "mine",
            "creationTimestamp": "2000-01-01T00:00:00Z",
            "deletionTimestamp": "2000-01-01T00:00:00Z",
            "deletionGracePeriodSeconds": 3,
        }
        made = await api.ok("POST", CONFIG_MAPS, config_map("a", **given))
        meta = made["metadata"]
        assert meta["uid"] != "mine"
        assert meta["creationTimestamp"] != given["creationTimestamp"]
        assert not meta.keys() & {"deletionTimestamp", "deletionGracePeriodSeconds"}
        reply = await api.call("POST", CONFIG_MAPS, config_map("b", resourceVersion="7"))
        assert (reply.status, reply.message) == (500, "resourceVersion should not be set on objects to be created")
        dry = await api.ok("POST", f"{CONFIG_MAPS}?dryRun=All", config_map("b", resourceVersion="7"))
        assert dry["metadata"]["resourceVersion"] == "7", "a dry run never gets as far as the storage that minds"


@virtual
async def test_a_list_that_is_sent_in_pieces_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apiserver.handlers.read.PIECE_ITEMS", 2)
    async with served() as api:
        versions = await filled(api, "a", "b", "c", "d", "e")
        reply = await api.call("GET", f"{CONFIG_MAPS}?labelSelector=!none")
        assert (names(reply.body), reply.body["kind"]) == (["a", "b", "c", "d", "e"], "ConfigMapList")
        assert [each["metadata"]["resourceVersion"] for each in reply.body["items"]] == versions
        whole = await api.call("GET", f"{CONFIG_MAPS}?labelSelector=!none&limit=2")
        assert names(whole.body) == ["a", "b"]
        assert int(reply.headers["content-length"]) == len(orjson.dumps(reply.body))
