"""Custom resources whose versions a webhook converts: what is read, written, watched, stored, and asked of the webhook."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from kube.objects import Object
from tests.component.converting import (
    DEFINITIONS,
    GROUP,
    V1,
    V2,
    converting,
    store_in,
    stored,
    stored_versions,
    strategy_none,
    v1,
    v2,
)
from tests.component.served import APPLY, CONFIG_MAPS, JSON_PATCH, MERGE, PARTIAL, TABLE, Api, config_map
from tests.component.test_storage_version_migration import DONE, MIGRATIONS, SWITCHES, migrating, migration, over
from tests.virtual import virtual


def shown(obj: Object) -> tuple[Any, ...]:
    return obj["apiVersion"].rpartition("/")[2], obj.get("hostPort"), obj.get("host"), obj.get("port")


AS_V1, AS_V2 = ("v1", "h:1", None, None), ("v2", None, "h", 1)


@pytest.mark.parametrize("review", ["v1", "v1beta1"])
async def test_an_object_is_read_in_the_version_that_is_asked_for(tmp_path: Path, review: str) -> None:
    async with converting(tmp_path, reviews=(review, "v0")) as (api, hook):
        await api.ok("POST", V1, v1("a"))
        assert hook.calls == []
        assert shown(await api.ok("GET", f"{V1}/a")) == AS_V1
        assert hook.calls == [], "nothing is to be converted"
        read = await api.ok("GET", f"{V2}/a")
        assert (shown(read), read["early"], "late" in read) == (AS_V2, True, False), "only the version that is stored has defaults"
        (request,) = hook.server.documents("/convert")
        assert request["apiVersion"] == f"apiextensions.k8s.io/{review}"
        assert hook.calls == [("v2", ["a"])]
        await api.ok("GET", f"{V2}/a")
        assert len(hook.calls) == 1, "what was converted is remembered"


async def test_an_object_is_stored_in_the_storage_version_and_answered_as_it_will_be_read(tmp_path: Path) -> None:
    async with converting(tmp_path) as (api, hook):
        made = await api.ok("POST", V2, v2("a", garbage="x"))
        assert (shown(made), made["late"], made["early"]) == (AS_V2, True, True)
        assert [version for version, _ in hook.calls] == ["v1", "v2"]
        kept = (await stored(api))["a"]
        assert shown(kept) == AS_V1
        assert "garbage" not in kept
        assert ("late" in kept, "early" in kept) == (True, False), "only the version that was asked for gives defaults to what is stored"
        assert await api.ok("GET", f"{V2}/a") == made
        assert len(hook.calls) == 2, "what was written here is known"
        assert shown(await api.ok("GET", f"{V1}/a")) == AS_V1


async def _put(api: Api) -> Any:
    return await api.ok("PUT", f"{V2}/a", {**await api.ok("GET", f"{V2}/a"), "port": 2})


async def _merge(api: Api) -> Any:
    return await api.ok("PATCH", f"{V2}/a", {"port": 2}, content_type=MERGE)


async def _json_patch(api: Api) -> Any:
    return await api.ok("PATCH", f"{V2}/a", [{"op": "replace", "path": "/port", "value": 2}], content_type=JSON_PATCH)


async def _apply(api: Api) -> Any:
    return await api.ok("PATCH", f"{V2}/a?fieldManager=m&force=true", v2("a", port=2), content_type=APPLY)


@pytest.mark.parametrize("write", [_put, _merge, _json_patch, _apply])
async def test_an_object_of_another_version_is_written(tmp_path: Path, write: Any) -> None:
    async with converting(tmp_path) as (api, _):
        made = await api.ok("POST", V1, v1("a"))
        written = await write(api)
        assert shown(written) == ("v2", None, "h", 2)
        assert written["metadata"]["generation"] == 2
        assert (await stored(api))["a"]["hostPort"] == "h:2"
        assert written["metadata"]["uid"] == made["metadata"]["uid"]
        again = await write(api)
        assert again["metadata"]["resourceVersion"] == written["metadata"]["resourceVersion"], "nothing has changed"


async def test_the_status_and_the_scale_of_another_version_are_written(tmp_path: Path) -> None:
    async with converting(tmp_path) as (api, _):
        await api.ok("POST", V1, v1("a", spec={"replicas": 2}))
        written = await api.ok("PATCH", f"{V2}/a/status", {"host": "no", "status": {"ready": 1}}, content_type=MERGE)
        assert (shown(written), written["status"]) == (AS_V2, {"ready": 1})
        scale = await api.ok("GET", f"{V2}/a/scale")
        assert (scale["spec"]["replicas"], scale["status"]["replicas"]) == (2, 1)
        await api.ok("PATCH", f"{V2}/a/scale", {"spec": {"replicas": 5}}, content_type=MERGE)
        kept = (await stored(api))["a"]
        assert (kept["apiVersion"], kept["hostPort"], kept["spec"], kept["status"]) == (f"{GROUP}/v1", "h:1", {"replicas": 5}, {"ready": 1})
        owners = [(each["apiVersion"], each.get("subresource", "")) for each in kept["metadata"]["managedFields"]]
        assert sorted(owners) == [(f"{GROUP}/v1", ""), (f"{GROUP}/v2", "scale"), (f"{GROUP}/v2", "status")]


async def test_a_list_of_mixed_versions_is_converted_in_one_call(tmp_path: Path) -> None:
    async with converting(tmp_path) as (api, hook):
        for name in ("a", "c"):
            await api.ok("POST", V1, v1(name))
        await store_in(api, hook, "v2")
        await api.ok("POST", V2, v2("b", "other", 7))
        assert await stored_versions(api) == {"a": "v1", "b": "v2", "c": "v1"}
        hook.forget()
        listed = await api.ok("GET", V2)
        assert [(each["metadata"]["name"], *shown(each)) for each in listed["items"]] == [
            ("a", *AS_V2),
            ("b", "v2", None, "other", 7),
            ("c", *AS_V2),
        ]
        assert hook.calls == [("v2", ["a", "c"])]
        assert listed["apiVersion"] == f"{GROUP}/v2"
        hook.forget()
        assert [shown(each)[:2] for each in (await api.ok("GET", V1))["items"]] == [("v1", "h:1"), ("v1", "other:7"), ("v1", "h:1")]
        assert hook.calls == [("v1", ["b"])]


async def test_lists_are_selected_from_and_shown_as_the_version_has_it(tmp_path: Path) -> None:
    async with converting(tmp_path) as (api, hook):
        hook.change = lambda obj: obj["metadata"].setdefault("labels", {}).update(of=obj["apiVersion"].rpartition("/")[2])
        await api.ok("POST", V1, v1("a"))
        await api.ok("POST", V1, v1("b", "other:2"))
        by_field = await api.ok("GET", f"{V2}?fieldSelector=host%3Dother")
        assert [each["metadata"]["name"] for each in by_field["items"]] == ["b"]
        assert (await api.call("GET", f"{V2}?fieldSelector=hostPort%3Dh:1")).status == 400
        by_label = await api.ok("GET", f"{V2}?labelSelector=of%3Dv2")
        assert len(by_label["items"]) == 2
        assert (await api.ok("GET", f"{V1}?labelSelector=of%3Dv2"))["items"] == []
        table = await api.ok("GET", V2, accept=TABLE)
        assert [row["cells"] for row in table["rows"]] == [["a", "h"], ["b", "other"]]
        assert (await api.ok("GET", f"{V2}/a", accept=PARTIAL))["metadata"]["labels"] == {"of": "v2"}
        first = await api.ok("GET", f"{V2}?limit=1")
        more = f"{V2}?limit=1&continue={first['metadata']['continue']}"
        assert [shown(each) for each in (await api.ok("GET", more))["items"]] == [("v2", None, "other", 2)]


async def test_the_past_is_converted_too(tmp_path: Path) -> None:
    async with converting(tmp_path) as (api, _):
        made = await api.ok("POST", V1, v1("a"))
        await api.ok("PATCH", f"{V1}/a", {"hostPort": "new:2"}, content_type=MERGE)
        past = f"{V2}?resourceVersion={made['metadata']['resourceVersion']}&resourceVersionMatch=Exact"
        assert [shown(each) for each in (await api.ok("GET", past))["items"]] == [AS_V2]


async def test_who_watches_sees_each_change_in_the_version_that_was_asked_for(tmp_path: Path) -> None:
    async with converting(tmp_path) as (api, hook):
        await api.ok("POST", V1, v1("a"))
        listed = await api.ok("GET", V2)
        hook.forget()
        since = f"{V2}?watch=1&resourceVersion={listed['metadata']['resourceVersion']}"
        watching = [asyncio.create_task(api.events(since, 4)) for _ in range(3)]
        await asyncio.sleep(0.01)
        await api.ok("PATCH", f"{V1}/a", {"hostPort": "h:2"}, content_type=MERGE)
        await api.ok("POST", V2, v2("b", port=3))
        await api.ok("PATCH", f"{V1}/a", {"hostPort": "h:4"}, content_type=MERGE)
        await api.ok("DELETE", f"{V1}/a")
        for events in await asyncio.gather(*watching):
            seen = [(each["type"], each["object"]["metadata"]["name"], *shown(each["object"])) for each in events]
            assert seen == [
                ("MODIFIED", "a", "v2", None, "h", 2),
                ("ADDED", "b", "v2", None, "h", 3),
                ("MODIFIED", "a", "v2", None, "h", 4),
                ("DELETED", "a", "v2", None, "h", 4),
            ]
        asked = [name for version, some in hook.calls if version == "v2" for name in some]
        assert sorted(asked) == ["a", "a", "b"], "each change once, whoever watches; b is what its writer was answered"


async def test_a_watch_from_the_past_and_one_that_selects(tmp_path: Path) -> None:
    async with converting(tmp_path) as (api, _):
        made = await api.ok("POST", V1, v1("a"))
        await api.ok("PATCH", f"{V1}/a", {"hostPort": "new:2"}, content_type=MERGE)
        await api.ok("DELETE", f"{V1}/a")
        since = f"{V2}?watch=1&resourceVersion={made['metadata']['resourceVersion']}"
        assert [(each["type"], each["object"]["host"]) for each in await api.events(since, 2)] == [("MODIFIED", "new"), ("DELETED", "new")]
        chosen = await api.events(f"{since}&fieldSelector=host%3Dh", 1)
        assert [(each["type"], each["object"]["host"]) for each in chosen] == [("DELETED", "h")]


async def test_fields_are_owned_across_versions(tmp_path: Path) -> None:
    async with converting(tmp_path) as (api, hook):
        await api.ok("PATCH", f"{V1}/a?fieldManager=one", v1("a"), content_type=APPLY)
        refused = await api.call("PATCH", f"{V2}/a?fieldManager=two", v2("a", port=2), content_type=APPLY)
        assert refused.status == 409
        assert [(each["message"], each["field"]) for each in refused.body["details"]["causes"]] == [('conflict with "one"', ".hostPort")]
        agreed = await api.ok("PATCH", f"{V2}/a?fieldManager=two", v2("a"), content_type=APPLY)
        assert shown(agreed) == AS_V2
        owned = {each["manager"]: (each["apiVersion"], each["fieldsV1"]) for each in agreed["metadata"]["managedFields"]}
        assert owned == {
            "one": (f"{GROUP}/v1", {"f:hostPort": {}}),
            "two": (f"{GROUP}/v2", {"f:host": {}, "f:port": {}}),
        }
        forced = await api.ok("PATCH", f"{V2}/a?fieldManager=two&force=true", v2("a", port=2), content_type=APPLY)
        assert [each["manager"] for each in forced["metadata"]["managedFields"]] == ["two"]
        hook.forget()
        await api.ok("PATCH", f"{V2}/a?fieldManager=three", {"port": 3}, content_type=MERGE)
        kept = (await stored(api))["a"]["metadata"]["managedFields"]
        assert {each["manager"]: each["fieldsV1"] for each in kept} == {"two": {"f:host": {}}, "three": {"f:port": {}}}


async def test_the_webhook_may_change_labels_and_annotations_only(tmp_path: Path) -> None:
    def change(obj: Object) -> None:
        version = obj["apiVersion"].rpartition("/")[2]
        obj["metadata"] |= {"labels": {"to": version}, "annotations": {"to": version}, "generation": 42, "finalizers": ["x.y/foo"], "z": 1}

    async with converting(tmp_path) as (api, hook):
        hook.change = change
        made = await api.ok("POST", V1, v1("a"))
        assert "labels" not in made["metadata"]
        meta = (await api.ok("GET", f"{V2}/a"))["metadata"]
        assert (meta["labels"], meta["annotations"]) == ({"to": "v2"}, {"to": "v2"})
        assert {name: value for name, value in meta.items() if name not in ("labels", "annotations")} == made["metadata"]
        await api.ok("POST", V2, v2("b"))
        kept = (await stored(api))["b"]["metadata"]
        assert (kept["labels"], kept["generation"], "finalizers" in kept) == ({"to": "v1"}, 1, False)


async def test_deletion_waits_for_finalizers_in_any_version(tmp_path: Path) -> None:
    async with converting(tmp_path) as (api, _):
        await api.ok("POST", V1, {**v1("a"), "metadata": {"name": "a", "finalizers": ["x.example.com/f"]}})
        waits = await api.ok("DELETE", f"{V2}/a")
        assert waits["apiVersion"] == f"{GROUP}/v2"
        assert "deletionTimestamp" in (await stored(api))["a"]["metadata"]
        await api.ok("PATCH", f"{V2}/a", {"metadata": {"finalizers": None}}, content_type=MERGE)
        assert await stored(api) == {}
        await api.ok("POST", V2, v2("b"))
        await api.ok("DELETE", V2)
        assert await stored(api) == {}


@pytest.mark.parametrize("path", [V1, V2], ids=["the old version", "the new version"])
async def test_a_write_that_changes_nothing_stores_the_object_in_the_new_storage_version(tmp_path: Path, path: str) -> None:
    async with converting(tmp_path) as (api, hook):
        made = await api.ok("POST", V1, v1("a", late=False))
        await store_in(api, hook, "v2")
        written = await api.ok("PATCH", f"{path}/a", {}, content_type=MERGE)
        assert shown((await stored(api))["a"]) == AS_V2
        assert int(written["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])
        again = await api.ok("PATCH", f"{path}/a", {}, content_type=MERGE)
        assert again["metadata"]["resourceVersion"] == written["metadata"]["resourceVersion"]


async def test_an_object_in_a_version_that_is_served_no_more(tmp_path: Path) -> None:
    async with converting(tmp_path) as (api, hook):
        await api.ok("POST", V1, v1("a"))
        await store_in(api, hook, "v2")
        changed = [{"op": "replace", "path": "/spec/versions/0/served", "value": False}]
        await api.ok("PATCH", f"{DEFINITIONS}/hosts.{GROUP}", changed, content_type=JSON_PATCH)
        assert (await api.call("GET", f"{V1}/a")).status == 404
        assert shown(await api.ok("GET", f"{V2}/a")) == AS_V2


async def test_a_definition_may_change_how_it_is_converted(tmp_path: Path) -> None:
    async with converting(tmp_path) as (api, hook):
        await api.ok("POST", V1, v1("a"))
        assert shown(await api.ok("GET", f"{V2}/a")) == AS_V2
        await strategy_none(api)
        assert shown(await api.ok("GET", f"{V2}/a")) == ("v2", None, None, None)
        await store_in(api, hook, "v1")
        assert shown(await api.ok("GET", f"{V2}/a")) == AS_V2


async def test_other_resources_do_not_wait_for_a_slow_webhook(tmp_path: Path) -> None:
    async with converting(tmp_path) as (api, hook):
        await api.ok("POST", V1, v1("a"))
        listed = await api.ok("GET", V2)
        go_on, asked = asyncio.Event(), asyncio.Event()

        async def slow(review: Object) -> Object:
            asked.set()
            await go_on.wait()
            return hook.converted(review)

        hook.answer = slow
        since = f"{V2}?watch=1&resourceVersion={listed['metadata']['resourceVersion']}"
        watching = asyncio.create_task(api.events(since, 6))
        for port in range(2, 8):
            await api.ok("PATCH", f"{V1}/a", {"hostPort": f"h:{port}"}, content_type=MERGE)
        await asked.wait()
        await api.ok("POST", CONFIG_MAPS, config_map("c"))
        assert shown(await api.ok("GET", f"{V1}/a"))[1] == "h:7", "neither does the version that is stored"
        assert not watching.done()
        go_on.set()
        assert [each["object"]["port"] for each in await watching] == [2, 3, 4, 5, 6, 7]


@virtual
async def test_a_migration_has_all_objects_converted(tmp_path: Path) -> None:
    async with converting(tmp_path, **SWITCHES) as (api, hook):
        for number in range(20):
            await api.ok("POST", V1, v1(f"h-{number:02}", f"h:{number}"))
        await store_in(api, hook, "v2")
        path = f"{DEFINITIONS}/hosts.{GROUP}"
        assert (await api.ok("GET", path))["status"]["storedVersions"] == ["v1", "v2"]
        async with migrating(api):
            await api.ok("POST", MIGRATIONS, migration("m", "hosts", GROUP))
            assert await over(api, "m") == DONE
        assert [shown(each) for each in (await stored(api)).values()] == [("v2", None, "h", number) for number in range(20)]
        assert (await api.ok("GET", path))["status"]["storedVersions"] == ["v2"]
        hook.answer = lambda _review: {}
        assert len((await api.ok("GET", V2))["items"]) == 20, "the webhook is not needed any more"
