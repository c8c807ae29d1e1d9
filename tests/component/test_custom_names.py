"""Custom resources say themselves what they are: of what a body or a patch leaves out, the URL says nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from tests.component.served import JSON_PATCH, MERGE, Api, served
from tests.component.test_custom_resources import DEFINITIONS, FOOS, LONG_S, definition, foo
from tests.virtual import virtual

VERSION = "x.example.com/v1"
NO_VERSION = f"the API version in the data () does not match the expected API version ({VERSION})"
NULL_VERSION = 'Foo in version "" cannot be handled as a Foo: .apiVersion accessor error: <nil> is of the type <nil>, expected string'
NOT_THERE = "Internal error occurred: Object 'apiVersion' is missing in 'object has no apiVersion field'"


async def defined(api: Api) -> None:
    await api.ok("POST", DEFINITIONS, definition())
    await asyncio.sleep(LONG_S)
    await api.ok("POST", FOOS, foo("a", {"mode": "b"}))


@pytest.mark.parametrize(
    ("body", "message"),
    {
        "no version": ({"kind": "Foo"}, NO_VERSION),
        "an empty version": ({"kind": "Foo", "apiVersion": ""}, NO_VERSION),
        "no version at all": ({"kind": "Foo", "apiVersion": None}, NULL_VERSION),
    }.values(),
)
@pytest.mark.parametrize(("method", "path"), [("POST", FOOS), ("PUT", f"{FOOS}/a")])
@virtual
async def test_bodies_without_a_version(method: str, path: str, body: Any, message: str) -> None:
    async with served() as api:
        await defined(api)
        found = await api.call(method, path, {**body, "metadata": {"name": "a"}})
        assert (found.status, found.message) == (400, message)


@pytest.mark.parametrize("kind", [{}, {"kind": ""}, {"kind": None}], ids=["absent", "empty", "null"])
@virtual
async def test_bodies_without_a_kind(kind: Any) -> None:
    text = orjson.dumps({"apiVersion": VERSION, **kind, "metadata": {"name": "a"}}).decode()
    why = f"Object 'Kind' is missing in '{text}'"
    async with served() as api:
        await defined(api)
        told = await api.call("POST", FOOS, text)
        assert (told.status, told.message) == (400, f"the object provided is unrecognized (must be of type Foo): {why} ({text[:30]} ...)")
        ignored = await api.call("POST", f"{FOOS}?fieldValidation=Ignore", text)
        assert (ignored.status, ignored.message) == (400, f'Foo in version "v1" cannot be handled as a Foo: {why}')


@virtual
async def test_patches_that_take_the_kind_or_the_version_away() -> None:
    async with served() as api:
        await defined(api)
        for patch, media in (({"apiVersion": None}, MERGE), ([{"op": "remove", "path": "/apiVersion"}], JSON_PATCH)):
            found = await api.call("PATCH", f"{FOOS}/a", patch, content_type=media)
            assert (found.status, found.message) == (500, NOT_THERE)
        for patch, media in (({"kind": None}, MERGE), ([{"op": "remove", "path": "/kind"}], JSON_PATCH)):
            found = await api.call("PATCH", f"{FOOS}/a", patch, content_type=media)
            assert (found.status, found.body["details"]["causes"][0]["field"]) == (422, "patch")
            assert ': Object \'Kind\' is missing in \'{"apiVersion":"x.example.com/v1",' in found.message


@virtual
async def test_an_empty_list_of_managers_does_not_start_over_but_an_empty_manager_does() -> None:
    async with served() as api:
        await defined(api)
        for patch, media in (
            ({"metadata": {"managedFields": []}}, MERGE),
            ([{"op": "replace", "path": "/metadata/managedFields", "value": []}], JSON_PATCH),
        ):
            kept = await api.ok("PATCH", f"{FOOS}/a", patch, content_type=media)
            assert [each["manager"] for each in kept["metadata"]["managedFields"]] == ["tester"]
        kept["metadata"]["managedFields"] = []
        put = await api.ok("PUT", f"{FOOS}/a", kept)
        assert [each["manager"] for each in put["metadata"]["managedFields"]] == ["tester"]
        reset = await api.ok("PATCH", f"{FOOS}/a", {"metadata": {"managedFields": [{}]}}, content_type=MERGE)
        assert "managedFields" not in reset["metadata"]
