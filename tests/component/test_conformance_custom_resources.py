"""Upstream's conformance tests of custom resources: definitions, defaults, watches, discovery, OpenAPI, validation of fields."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from kube.objects import Object
from tests.component.conformance import ALL, names
from tests.component.served import APPLY, MERGE, Api, served
from tests.virtual import virtual

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
ANYTHING: Object = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
TYPED: Object = {
    "type": "object",
    "properties": {
        "spec": {"type": "object", "properties": {"a": {"type": "string"}, "bars": {"type": "array", "items": {"type": "string"}}}}
    },
}
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


def version(name: str, schema: Object = TYPED, **rest: Any) -> Object:
    return {"name": name, "served": True, "storage": name == "v1", "schema": {"openAPIV3Schema": schema}, **rest}


def definition(plural: str, *versions: Object, group: str = "e2e.example.com", labels: dict[str, str] | None = None) -> Object:
    return {
        "metadata": {"name": f"{plural}.{group}", "labels": labels or {}},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": plural.capitalize()},
            "versions": list(versions) or [version("v1")],
        },
    }


def path_of(plural: str, name: str = "v1", group: str = "e2e.example.com") -> str:
    return f"/apis/{group}/{name}/namespaces/default/{plural}"


def custom(plural: str, name: str, of: str = "v1", group: str = "e2e.example.com", **rest: Any) -> Object:
    return {"apiVersion": f"{group}/{of}", "kind": plural.capitalize(), "metadata": {"name": name}, **rest}


async def came(question: Callable[[], Awaitable[Any]]) -> Any:
    """The first true answer; what the server does by itself takes a moment."""
    async with asyncio.timeout(30):
        while not (answer := await question()):
            await asyncio.sleep(0.02)
    return answer


@virtual
async def test_definitions_are_made_listed_and_removed() -> None:
    async with served() as api:
        for each in range(10):
            await api.ok("POST", DEFINITIONS, definition(f"foos{each}", labels={"e2e": "many"}))
        await api.ok("POST", DEFINITIONS, definition("others"))
        listed = await api.ok("GET", f"{DEFINITIONS}?labelSelector=e2e%3Dmany")
        assert names(listed["items"]) == [f"foos{each}.e2e.example.com" for each in range(10)]
        await api.ok("DELETE", f"{DEFINITIONS}/others.e2e.example.com")
        await api.ok("POST", DEFINITIONS, definition("rest"))
        await api.ok("DELETE", f"{DEFINITIONS}?labelSelector=e2e%3Dmany")
        await asyncio.sleep(10)
        assert names((await api.ok("GET", DEFINITIONS))["items"]) == ["rest.e2e.example.com"]


async def test_the_status_of_a_definition_is_read_and_written() -> None:
    async with served() as api:
        await api.ok("POST", DEFINITIONS, definition("foos"))
        path = f"{DEFINITIONS}/foos.e2e.example.com"
        read = await api.ok("GET", f"{path}/status")
        read["status"]["conditions"].append({"type": "StatusUpdate", "status": "True", "reason": "E2E", "message": "Set from a test"})
        updated = await api.ok("PUT", f"{path}/status", read)
        assert "StatusUpdate" in [each["type"] for each in updated["status"]["conditions"]]
        conditions = [*updated["status"]["conditions"], {"type": "StatusPatched", "status": "True", "reason": "E2E", "message": "m"}]
        patched = await api.ok("PATCH", f"{path}/status", {"status": {"conditions": conditions}}, content_type=MERGE)
        assert {"StatusUpdate", "StatusPatched"} <= {each["type"] for each in patched["status"]["conditions"]}
        assert (await api.ok("GET", path))["status"]["conditions"] == patched["status"]["conditions"]


async def test_defaults_are_given_to_what_is_written_and_to_what_is_read() -> None:
    def with_default(**fields: str) -> Object:
        properties = {name: {"type": "string", **({"default": fields[name]} if name in fields else {})} for name in ("a", "b")}
        return version("v1", {"type": "object", "properties": properties})

    async with served() as api:
        path, foos = f"{DEFINITIONS}/foos.e2e.example.com", path_of("foos")
        await api.ok("POST", DEFINITIONS, definition("foos", with_default()))
        await api.ok("POST", foos, custom("foos", "first"))
        await api.ok("PATCH", path, {"spec": {"versions": [with_default(a="A")]}}, content_type=MERGE)

        async def given(name: str, key: str) -> Any:
            return (await api.ok("GET", f"{foos}/{name}")).get(key)

        assert await came(lambda: given("first", "a")) == "A"
        assert (await api.ok("POST", foos, custom("foos", "second")))["a"] == "A"
        await api.ok("PATCH", path, {"spec": {"versions": [with_default(b="B")]}}, content_type=MERGE)
        assert await came(lambda: given("second", "b")) == "B"
        assert (await given("second", "a"), await given("first", "a")) == ("A", None), "only what was written keeps its default"


@virtual
async def test_a_watch_of_custom_resources_sees_each_change() -> None:
    async with served() as api:
        await api.ok("POST", DEFINITIONS, definition("foos"))
        foos = path_of("foos")
        watching = {
            name: asyncio.create_task(api.events(f"{foos}?watch=1&fieldSelector=metadata.name%3D{name}", ALL)) for name in ("a", "b")
        }
        await asyncio.sleep(1)
        for name in ("a", "b"):
            await api.ok("POST", foos, custom("foos", name))
        for name in ("a", "b"):
            await api.ok("PATCH", f"{foos}/{name}", {"spec": {"a": "1"}}, content_type=MERGE)
            await api.ok("DELETE", f"{foos}/{name}")
        for name, task in watching.items():
            seen = await task
            assert [each["type"] for each in seen] == ["ADDED", "MODIFIED", "DELETED"]
            assert {each["object"]["metadata"]["name"] for each in seen} == {name}


async def test_custom_resources_are_in_both_kinds_of_discovery() -> None:
    async with served() as api:
        await api.ok("POST", DEFINITIONS, definition("foos", version("v1"), version("v2")))

        async def aggregated() -> Any:
            groups = (await api.ok("GET", "/apis", accept=AGGREGATED))["items"]
            return next((each for each in groups if each["metadata"]["name"] == "e2e.example.com"), None)

        group = await came(aggregated)
        assert [each["version"] for each in group["versions"]] == ["v2", "v1"]
        (resource,) = group["versions"][0]["resources"]
        assert (resource["resource"], resource["responseKind"]["kind"], resource["scope"]) == ("foos", "Foos", "Namespaced")
        assert [each["name"] for each in (await api.ok("GET", "/apis/e2e.example.com/v1"))["resources"]] == ["foos"]


# --- OpenAPI -------------------------------------------------------------------------------------------------------------------


async def published(api: Api) -> dict[tuple[str, str, str], Object]:
    """The schemas of custom resources by group, version and kind; both documents must have the same ones."""
    two = (await api.ok("GET", "/openapi/v2"))["definitions"]
    kinds = {kind(each): each for each in two.values() if kind(each)[0].endswith("example.com")}
    three: set[tuple[str, str, str]] = set()
    for path in (await api.ok("GET", "/openapi/v3"))["paths"]:
        if ".example.com/" in path:
            schemas = (await api.ok("GET", f"/openapi/v3/{path}"))["components"]["schemas"]
            three |= {kind(each) for each in schemas.values() if kind(each)[0].endswith("example.com")}
    return kinds if three == set(kinds) else {}


def kind(schema: Object) -> tuple[str, str, str]:
    (named,) = (schema.get("x-kubernetes-group-version-kind") or [{}])[:1]
    return named.get("group", ""), named.get("version", ""), named.get("kind", "")


async def shown(api: Api, *wanted: tuple[str, str, str]) -> dict[tuple[str, str, str], Object]:
    """What is published, once it is of exactly these (lists aside)."""
    seen: list[Any] = []

    async def all_there() -> Any:
        found = {key: each for key, each in (await published(api)).items() if not key[2].endswith("List")}
        seen[:] = found
        return found if set(found) == set(wanted) else None

    try:
        return dict(await came(all_there))
    except TimeoutError as error:
        raise AssertionError(f"published are {seen}") from error


ONE, TWO = "e2e.example.com", "e2e-two.example.com"


@pytest.mark.parametrize(
    ("definitions", "wanted"),
    [
        pytest.param([definition("foos"), definition("foos", group=TWO)], [(ONE, "v1", "Foos"), (TWO, "v1", "Foos")], id="two groups"),
        pytest.param([definition("foos"), definition("bars")], [(ONE, "v1", "Foos"), (ONE, "v1", "Bars")], id="two kinds"),
        pytest.param([definition("foos", version("v1"), version("v2"))], [(ONE, "v1", "Foos"), (ONE, "v2", "Foos")], id="two versions"),
    ],
)
async def test_each_kind_of_each_version_is_published(definitions: list[Object], wanted: list[tuple[str, str, str]]) -> None:
    async with served() as api:
        for each in definitions:
            await api.ok("POST", DEFINITIONS, each)
        found = await shown(api, *wanted)
        assert all("spec" in each["properties"] for each in found.values())


async def test_a_version_that_is_not_served_any_more_is_not_published() -> None:
    async with served() as api:
        await api.ok("POST", DEFINITIONS, definition("foos", version("v1"), version("v2")))
        await shown(api, (ONE, "v1", "Foos"), (ONE, "v2", "Foos"))
        changed = {"spec": {"versions": [version("v1"), version("v2") | {"served": False}]}}
        await api.ok("PATCH", f"{DEFINITIONS}/foos.{ONE}", changed, content_type=MERGE)
        await shown(api, (ONE, "v1", "Foos"))


async def test_a_version_is_published_by_its_new_name() -> None:
    async with served() as api:
        await api.ok("POST", DEFINITIONS, definition("foos", version("v1"), version("v2")))
        await shown(api, (ONE, "v1", "Foos"), (ONE, "v2", "Foos"))
        changed = {"spec": {"versions": [version("v1"), version("v3")]}}
        await api.ok("PATCH", f"{DEFINITIONS}/foos.{ONE}", changed, content_type=MERGE)
        await shown(api, (ONE, "v1", "Foos"), (ONE, "v3", "Foos"))


# --- validation of fields --------------------------------------------------------------------------------------------------------


async def test_without_a_schema_unknown_fields_are_taken() -> None:
    async with served() as api:
        await api.ok("POST", DEFINITIONS, definition("foos", version("v1", ANYTHING)))
        body = custom("foos", "a", spec={"unknown1": "val1", "more": [{"deep": 1}]})
        applied = await api.ok("PATCH", f"{path_of('foos')}/a?fieldManager=e2e&fieldValidation=Strict", body, content_type=APPLY)
        assert applied["spec"] == body["spec"]


async def test_with_a_schema_what_fits_is_taken_and_unknown_fields_are_rejected() -> None:
    async with served() as api:
        await api.ok("POST", DEFINITIONS, definition("foos"))
        path = f"{path_of('foos')}/a?fieldManager=e2e&fieldValidation=Strict"
        applied = await api.ok("PATCH", path, custom("foos", "a", spec={"a": "x", "bars": ["y"]}), content_type=APPLY)
        assert applied["spec"] == {"a": "x", "bars": ["y"]}
        reply = await api.call("PATCH", path, custom("foos", "a", spec={"a": "x", "unknown": 1}), content_type=APPLY)
        assert (reply.status, ".spec.unknown: field not declared in schema" in reply.message) == (500, True)
        reply = await api.call("POST", f"{path_of('foos')}?fieldValidation=Strict", custom("foos", "b", spec={"unknown": 1}))
        assert (reply.status, 'strict decoding error: unknown field "spec.unknown"' in reply.message) == (400, True)


async def test_duplicate_fields_are_rejected_where_unknown_ones_are_kept() -> None:
    async with served() as api:
        await api.ok("POST", DEFINITIONS, definition("foos", version("v1", ANYTHING)))
        body = '{"apiVersion":"e2e.example.com/v1","kind":"Foos","metadata":{"name":"a"},"spec":{"unknown":1,"port":1,"port":2}}'
        reply = await api.call("POST", f"{path_of('foos')}?fieldValidation=Strict", body)
        assert (reply.status, reply.message.endswith('strict decoding error: duplicate field "spec.port"')) == (400, True)
        text = "apiVersion: e2e.example.com/v1\nkind: Foos\nmetadata: {name: a}\nspec:\n  unknown: 1\n  port: 1\n  port: 2\n"
        reply = await api.call("PATCH", f"{path_of('foos')}/a?fieldManager=e2e&fieldValidation=Strict", text, content_type=APPLY)
        assert (reply.status, 'key "port" already set in map' in reply.message) == (400, True)


async def test_unknown_metadata_is_rejected_at_the_root_and_in_embedded_objects() -> None:
    embedded = {"type": "object", "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True}
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"template": embedded}}}}
    async with served() as api:
        await api.ok("POST", DEFINITIONS, definition("foos", version("v1", schema)))
        inner = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "unknownSubMeta": 1}}
        body = custom("foos", "a", spec={"template": inner})
        body["metadata"]["unknownMeta"] = 1
        reply = await api.call("POST", f"{path_of('foos')}?fieldValidation=Strict", body)
        assert reply.status == 400
        for field in ("metadata.unknownMeta", "spec.template.metadata.unknownSubMeta"):
            assert f'unknown field "{field}"' in reply.message
        reply = await api.call("PATCH", f"{path_of('foos')}/a?fieldManager=e2e&fieldValidation=Strict", body, content_type=APPLY)
        assert ".metadata.unknownMeta: field not declared in schema" in reply.message
