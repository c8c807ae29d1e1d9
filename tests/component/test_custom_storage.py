"""How custom resources are stored when the storage version of their definition changes."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from kube.objects import Object
from tests.component.served import APPLY, MERGE, Api, served

DEFINITION = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
V1 = "/apis/x.example.com/v1/namespaces/default/foos"
V2 = "/apis/x.example.com/v2/namespaces/default/foos"


def definition(storage: str, **more: Object) -> Object:
    """Foos in two versions; `more` are properties of the second."""
    common = {"size": {"type": "integer"}}
    properties = {"v1": common, "v2": {**common, **more}}
    versions = [
        {"name": each, "served": True, "storage": each == storage, "schema": {"openAPIV3Schema": {"type": "object", "properties": given}}}
        for each, given in properties.items()
    ]
    names = {"plural": "foos", "kind": "Foo"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "foos.x.example.com"},
        "spec": {"group": "x.example.com", "scope": "Namespaced", "names": names, "versions": versions},
    }


def foo(version: str, name: str, **rest: Any) -> Object:
    return {"apiVersion": f"x.example.com/{version}", "kind": "Foo", "metadata": {"name": name}, **rest}


async def store_in(api: Api, storage: str, **more: Object) -> None:
    spec = definition(storage, **more)["spec"]
    await api.ok("PATCH", f"{DEFINITION}/foos.x.example.com", {"spec": spec}, content_type=MERGE)


async def stored(api: Api) -> dict[str, Object]:
    """What is stored, by name."""
    page = await api.built.store.list("/registry/x.example.com/foos/")
    found = [orjson.loads(each.value) for each in page.items]
    return {each["metadata"]["name"]: each for each in found}


async def versions(api: Api) -> list[str]:
    return [each["apiVersion"].rpartition("/")[2] for each in (await stored(api)).values()]


async def _put(api: Api) -> Object:
    return dict(await api.ok("PUT", f"{V2}/a", await api.ok("GET", f"{V2}/a")))


async def _patch(api: Api) -> Object:
    return dict(await api.ok("PATCH", f"{V2}/a", {}, content_type=MERGE))


async def _put_of_the_old_version(api: Api) -> Object:
    return dict(await api.ok("PUT", f"{V1}/a", await api.ok("GET", f"{V1}/a")))


async def _apply(api: Api) -> Object:
    made = await api.ok("GET", f"{V2}/a")
    metadata = {"uid": made["metadata"]["uid"], "resourceVersion": made["metadata"]["resourceVersion"]}
    body = {"apiVersion": "x.example.com/v2", "kind": "Foo", "metadata": metadata}
    return dict(await api.ok("PATCH", f"{V2}/a?fieldManager=m", body, content_type=APPLY))


@pytest.mark.parametrize("write", [_put, _patch, _put_of_the_old_version, _apply])
async def test_a_write_that_changes_nothing_stores_the_object_in_the_present_version_once(write: Any) -> None:
    async with served() as api:
        await api.ok("POST", DEFINITION, definition("v1"))
        made = await api.ok("POST", V1, foo("v1", "a", size=3))
        await store_in(api, "v2")
        assert await versions(api) == ["v1"]
        written = await write(api)
        assert await versions(api) == ["v2"]
        assert int(written["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])
        assert written["metadata"]["generation"] == 1
        assert (await stored(api))["a"]["size"] == 3
        assert (await write(api))["metadata"]["resourceVersion"] == written["metadata"]["resourceVersion"]


async def test_a_dry_run_leaves_what_is_stored_as_it_is() -> None:
    async with served() as api:
        await api.ok("POST", DEFINITION, definition("v1"))
        await api.ok("POST", V1, foo("v1", "a"))
        await store_in(api, "v2")
        await api.ok("PATCH", f"{V2}/a?dryRun=All", {}, content_type=MERGE)
        assert await versions(api) == ["v1"]


async def test_a_new_default_is_stored_by_a_write_that_changes_nothing() -> None:
    async with served() as api:
        await api.ok("POST", DEFINITION, definition("v2"))
        await api.ok("POST", V2, foo("v2", "a"))
        await store_in(api, "v2", mode={"type": "string", "default": "slow"})
        assert (await api.ok("GET", f"{V2}/a"))["mode"] == "slow"
        assert "mode" not in (await stored(api))["a"]
        await _patch(api)
        assert (await stored(api))["a"]["mode"] == "slow"


async def test_what_is_deleted_and_made_anew_is_not_stale() -> None:
    async with served() as api:
        await api.ok("POST", DEFINITION, definition("v1"))
        await api.ok("POST", V1, foo("v1", "a"))
        await store_in(api, "v2")
        await api.ok("DELETE", f"{V2}/a")
        made = await api.ok("POST", V2, foo("v2", "a"))
        assert (await _patch(api))["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


async def test_who_watches_sees_that_an_object_was_stored_anew() -> None:
    async with served() as api:
        await api.ok("POST", DEFINITION, definition("v1"))
        made = await api.ok("POST", V1, foo("v1", "a"))
        await store_in(api, "v2")
        await _patch(api)
        (event,) = await api.events(f"{V2}?watch=true&resourceVersion={made['metadata']['resourceVersion']}", 1)
        assert (event["type"], event["object"]["apiVersion"]) == ("MODIFIED", "x.example.com/v2")
