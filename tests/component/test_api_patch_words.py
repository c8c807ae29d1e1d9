"""What is said about a patch that went wrong, or nearly: quoted documents, slips in order, requests without validation, reset owners."""

from __future__ import annotations

from typing import Any

import pytest

from tests.component.served import CONFIG_MAPS, DEPLOYMENTS, JSON_PATCH, MERGE, STRATEGIC, config_map, deployment, served
from tests.virtual import virtual

A = f"{CONFIG_MAPS}/a"
WEB = f"{DEPLOYMENTS}/web"
UNTOLD = '"metadata":{"name":"web"}'
TEMPLATE = '"template":{"metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"name":"'


@virtual
async def test_a_quoted_document_is_in_go_order_where_the_patch_did_not_look() -> None:
    async with served() as api:
        await api.ok("POST", DEPLOYMENTS, deployment("web"))
        patch = [{"op": "replace", "path": "/metadata", "value": {"name": "web"}}, {"op": "add", "path": "/spec/replicas", "value": "3"}]
        reply = await api.call("PATCH", WEB, patch, content_type=JSON_PATCH)
        assert reply.status == 422
        assert reply.body["details"]["causes"][0]["field"] == "patch"
        quoted = reply.message.replace('\\"', '"')
        assert f'{{"apiVersion":"apps/v1","kind":"Deployment",{UNTOLD},"spec":{{"progressDeadlineSeconds":600,"replicas":"3"' in quoted
        assert '"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxUnavailable":"25%","maxSurge":"25%"}}' in quoted
        assert TEMPLATE in quoted
        assert quoted.endswith("json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32")


SLIPS = {
    "a merge patch tells them sorted": (MERGE, b'{"zzz": 1, "spec": {"b": 1, "a": 1}, "aaa": 1}', ["aaa", "spec.a", "spec.b", "zzz"]),
    "a JSON patch as its values are written": (
        JSON_PATCH,
        b'[{"op": "add", "path": "/spec/template/metadata", "value": {"labels": {"app": "web"}, "b": 1, "a": 1}}]',
        ["spec.template.metadata.b", "spec.template.metadata.a"],
    ),
    "a strategic merge patch sorted": (STRATEGIC, b'{"zzz": 1, "spec": {"b": 1, "a": 1}}', ["spec.a", "spec.b", "zzz"]),
}


@pytest.mark.parametrize(("media", "patch", "paths"), SLIPS.values(), ids=SLIPS.keys())
@virtual
async def test_slips_are_told_in_the_order_of_the_text(media: str, patch: bytes, paths: list[str]) -> None:
    async with served() as api:
        await api.ok("POST", DEPLOYMENTS, deployment("web"))
        strict = await api.call("PATCH", f"{WEB}?fieldValidation=Strict", patch, content_type=media)
        assert strict.message.endswith("strict decoding error: " + ", ".join(f'unknown field "{each}"' for each in paths))
        warned = await api.call("PATCH", WEB, patch, content_type=media)
        assert warned.status == 200
        assert f'\\"{paths[-1]}\\"' in warned.headers["warning"]  # of several headers, the mapping keeps the last


WITHOUT_VALIDATION: dict[str, tuple[str, bytes, int, str]] = {
    "a merge patch that is no JSON": (MERGE, b"{", 400, "Invalid JSON Patch"),
    "a merge patch that is a text": (MERGE, b'"x"', 400, "Invalid JSON Patch"),
    "a merge patch that is a list": (
        MERGE,
        b"[1]",
        422,
        ' "" is invalid: patch: Invalid value: "[1]": couldn\'t get version/kind',
    ),
    "a JSON patch that is no JSON": (JSON_PATCH, b"{", 400, "unexpected end of JSON input"),
    "a JSON patch that is no list": (JSON_PATCH, b"{}", 400, "json: cannot unmarshal object into Go value of type jsonpatch.Patch"),
    "an operation that is none": (JSON_PATCH, b"[1]", 400, "json: cannot unmarshal number into Go value of type jsonpatch.Operation"),
    "a path that is a number": (JSON_PATCH, b'[{"op": "add", "path": 5}]', 422, "the server rejected our request due to an error in our"),
    "fields that are unknown": (MERGE, b'{"colour": 1}', 200, ""),
}


@pytest.mark.parametrize(("media", "body", "status", "message"), WITHOUT_VALIDATION.values(), ids=WITHOUT_VALIDATION.keys())
@virtual
async def test_without_field_validation(media: str, body: bytes, status: int, message: str) -> None:
    async with served() as api:
        await api.ok("POST", CONFIG_MAPS, config_map("a", {"k": "1"}))
        reply = await api.call("PATCH", f"{A}?fieldValidation=Ignore", body, content_type=media)
        assert reply.status == status, reply.body
        if message:
            assert reply.message.startswith(message)


RESETS: dict[str, tuple[str, Any]] = {
    "an empty list with space in it": (MERGE, b'{"metadata": {"managedFields": [ ]}}'),
    "a list that loses its only item": (JSON_PATCH, [{"op": "remove", "path": "/metadata/managedFields/0"}]),
    "a list with an empty item": (JSON_PATCH, [{"op": "replace", "path": "/metadata/managedFields", "value": [{}]}]),
}


@pytest.mark.parametrize(("media", "patch"), RESETS.values(), ids=RESETS.keys())
@virtual
async def test_owners_are_reset_by(media: str, patch: Any) -> None:
    async with served() as api:
        await api.ok("POST", CONFIG_MAPS, config_map("a", {"k": "1"}))
        assert "managedFields" not in (await api.ok("PATCH", A, patch, content_type=media))["metadata"]


@virtual
async def test_strings_are_tested_by_how_they_are_written() -> None:
    async with served() as api:
        await api.ok("POST", CONFIG_MAPS, config_map("a", {"k": "a&b"}))
        plain = await api.call("PATCH", A, b'[{"op": "test", "path": "/data/k", "value": "a&b"}]', content_type=JSON_PATCH)
        assert plain.status == 422
        patch = b'[{"op": "test", "path": "/data/k", "value": "a\\u0026b"}, {"op": "add", "path": "/data/l", "value": "<"}]'
        assert (await api.ok("PATCH", A, patch, content_type=JSON_PATCH))["data"] == {"k": "a&b", "l": "<"}
