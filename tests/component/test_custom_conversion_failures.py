"""What becomes of requests when a conversion webhook does not convert, and of all that has nothing to do with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kube.objects import Object
from tests.component.converting import DEFINITIONS, GROUP, V1, V2, Hook, converting, definition, store_in, stored, v1, v2
from tests.component.served import APPLY, MERGE, Api, served
from tests.webhook_server import Raw, webhook_server

HOST = f"{GROUP}/v1, Kind=Host"
START = f"conversion webhook for {HOST}"

Answer = Callable[[Hook, Object], Any]


def _but(change: Callable[[Object], Any]) -> Answer:
    """The right answer, changed."""

    def answer(hook: Hook, review: Object) -> Any:
        right = hook.converted(review)
        change(right)
        return right

    return answer


def _object(**rest: Any) -> Answer:
    return _but(lambda right: right["response"]["convertedObjects"][0].update(rest))


def _metadata(**rest: Any) -> Answer:
    return _but(lambda right: right["response"]["convertedObjects"][0]["metadata"].update(rest))


ANSWERS: dict[str, tuple[Answer, str]] = {
    "an error": (
        lambda _hook, _review: Raw(b"oh no", 500, "text/plain"),
        f'{START} failed: an error on the server ("oh no") has prevented the request from succeeding',
    ),
    "a refusal": (
        _but(lambda right: right["response"].update(result={"status": "Failure", "message": "not today"})),
        f"{START} failed: not today",
    ),
    "no result": (
        _but(lambda right: right["response"].pop("result")),
        f"{START} failed: response.result.status was '', not 'Success'",
    ),
    "no response": (_but(lambda right: right.pop("response")), f"{START} failed: no response provided"),
    "another kind": (
        _but(lambda right: right.update(kind="Review")),
        f"{START} failed: expected webhook response of apiextensions.k8s.io/v1, Kind=ConversionReview, got apiextensions.k8s.io/v1, "
        "Kind=Review",
    ),
    "too few objects": (_but(lambda right: right["response"].update(convertedObjects=[])), f"{START} returned 0 objects, expected 1"),
    "the wrong version": (
        _object(apiVersion=f"{GROUP}/v1"),
        f"{START} returned invalid object at index 0: invalid groupVersion (expected {GROUP}/v2, received {GROUP}/v1)",
    ),
    "the wrong kind": (
        _object(kind="Other"),
        f"{START} returned invalid object at index 0: invalid kind (expected Host, received Other)",
    ),
    "another name": (_metadata(name="b"), f"{START} returned invalid object: must have the same name: a != b"),
    "another namespace": (_metadata(namespace="b"), f"{START} returned invalid object: must have the same namespace: default != b"),
    "a label that is none": (
        _metadata(labels={"a": 1}),
        f"{START} returned invalid metadata: metadata.labels[a] must be a string, but is int64 in converted object",
    ),
}


@pytest.mark.parametrize(("answer", "message"), ANSWERS.values(), ids=ANSWERS.keys())
async def test_an_answer_that_is_no_conversion_is_told(tmp_path: Path, answer: Answer, message: str) -> None:
    async with converting(tmp_path) as (api, hook):
        await api.ok("POST", V1, v1("a"))
        hook.answer = lambda review: answer(hook, review)
        reply = await api.call("GET", f"{V2}/a")
        assert (reply.status, reply.message, reply.body.get("reason")) == (500, message, None)
        assert hook.server.posted[0].head.target == "/convert?timeout=30s"


VERBS: dict[str, tuple[str, str, Any, str]] = {
    "get": ("GET", f"{V2}/a", None, ""),
    "list": ("GET", V2, None, ""),
    "watch": ("GET", f"{V2}?watch=1", None, ""),
    "create": ("POST", V2, v2("b"), ""),
    "update": ("PUT", f"{V2}/a", v2("a"), ""),
    "patch": ("PATCH", f"{V2}/a", {"port": 2}, MERGE),
    "apply": ("PATCH", f"{V2}/a?fieldManager=m", v2("a", port=2), APPLY),
    "create by apply": ("PATCH", f"{V2}/b?fieldManager=m", v2("b", port=2), APPLY),
    "delete": ("DELETE", f"{V2}/a", None, ""),
    "deletecollection": ("DELETE", V2, None, ""),
    "get of the status": ("GET", f"{V2}/a/status", None, ""),
    "update of the status": ("PUT", f"{V2}/a/status", v2("a"), ""),
    "patch of the status": ("PATCH", f"{V2}/a/status", {"status": {"ready": 1}}, MERGE),
    "get of the scale": ("GET", f"{V2}/a/scale", None, ""),
    "patch of the scale": ("PATCH", f"{V2}/a/scale", {"spec": {"replicas": 1}}, MERGE),
}


@pytest.mark.parametrize(("method", "path", "body", "content_type"), VERBS.values(), ids=VERBS.keys())
async def test_each_verb_tells_what_the_webhook_said(tmp_path: Path, method: str, path: str, body: Any, content_type: str) -> None:
    async with converting(tmp_path) as (api, hook):
        await api.ok("POST", V1, v1("a", spec={"replicas": 0}))
        before = await stored(api)
        hook.answer = ANSWERS["a refusal"][0].__get__(hook)
        reply = await api.call(method, path, body, **({"content_type": content_type} if content_type else {}))
        assert reply.status == 500
        assert reply.message.endswith("Kind=Host failed: not today")
        assert await stored(api) == before


async def test_what_needs_no_conversion_is_not_concerned(tmp_path: Path) -> None:
    async with converting(tmp_path) as (api, hook):
        await api.ok("POST", V1, v1("old"))
        await store_in(api, hook, "v2")
        await api.ok("POST", V2, v2("new"))
        hook.answer = lambda _review: Raw(b"", 503)
        why = f"{START} failed: the server is currently unable to handle the request"
        assert (await api.ok("GET", f"{V2}/new"))["host"] == "h"
        await api.ok("PATCH", f"{V2}/new", {"port": 2}, content_type=MERGE)
        await api.ok("POST", V2, v2("newer"))
        assert (await api.call("GET", f"{V2}/old")).message == why
        assert (await api.call("GET", V2)).message == why, "a list has the old one in it"
        await api.ok("DELETE", f"{V2}/new")
        hook.answer = hook.converted
        assert [each["metadata"]["name"] for each in (await api.ok("GET", V2))["items"]] == ["newer", "old"]


async def test_a_watch_ends_at_what_cannot_be_converted_and_goes_on_where_it_was(tmp_path: Path) -> None:
    async with converting(tmp_path) as (api, hook):
        listed = await api.ok("GET", V2)
        since = f"{V2}?watch=1&resourceVersion={listed['metadata']['resourceVersion']}"
        watching = asyncio.create_task(api.events(since, 5))
        await asyncio.sleep(0.05)
        await api.ok("POST", V1, v1("a"))
        await api.ok("GET", V2)
        hook.answer = lambda _review: Raw(b"", 503)
        await api.ok("POST", V1, v1("b"))
        assert [each["object"]["metadata"]["name"] for each in await watching] == ["a"]
        assert (await api.call("GET", V2)).status == 500
        assert (await api.call("GET", since)).status == 500
        hook.answer = hook.converted
        await api.ok("POST", V2, v2("c"))
        assert [each["object"]["metadata"]["name"] for each in await api.events(since, 3)] == ["a", "b", "c"]


async def test_owners_of_another_version_are_forgotten_where_that_is_not_to_be_had(tmp_path: Path) -> None:
    left = 1

    def once_not(review: Object) -> Any:
        """The first object that is to be of v1 is one whose owners are to be found; to store it is the second."""
        nonlocal left
        left -= (fails := review["request"]["desiredAPIVersion"].endswith("v1") and left > 0)
        return Raw(b"", 503) if fails else hook.converted(review)

    async with converting(tmp_path) as (api, hook):
        await api.ok("POST", V1, v1("a"))
        hook.answer = once_not
        updated = await api.ok("PATCH", f"{V2}/a", {"port": 2}, content_type=MERGE)
        assert (left, "managedFields" in updated["metadata"]) == (0, False), "as upstream's UpdateNoErrors has it"
        await api.ok("PATCH", f"{V1}/a?fieldManager=one&force=true", v1("a"), content_type=APPLY)
        left = 1
        refused = await api.call("PATCH", f"{V2}/a?fieldManager=two", v2("a", port=2), content_type=APPLY)
        assert (left, refused.status) == (0, 500)
        assert refused.message.endswith("the server is currently unable to handle the request")


async def _read(api: Api, config: Object) -> str:
    await api.ok("POST", DEFINITIONS, definition(config))
    await api.ok("POST", V1, v1("a"))
    reply = await api.call("GET", f"{V2}/a")
    assert reply.status == 500
    return reply.message


async def test_a_webhook_is_trusted_by_its_bundle_only(tmp_path: Path) -> None:
    async with webhook_server(tmp_path) as server, served() as api:
        config = server.config("/convert")
        del config["caBundle"]
        why = f'failed: Post "https://127.0.0.1:{server.port}/convert?timeout=30s": tls: failed to verify certificate: x509: '
        assert await _read(api, config) == f"{START} {why}certificate signed by unknown authority"
        assert server.posted == []


async def test_a_webhook_behind_a_service_that_is_not_there(tmp_path: Path) -> None:
    async with webhook_server(tmp_path) as server, served() as api:
        config = {"service": {"name": "hook", "namespace": "default", "path": "/convert"}, "caBundle": server.bundle}
        said = await _read(api, config)
        where = 'Post "https://hook.default.svc:443/convert?timeout=30s"'
        assert said == f'{START} failed: {where}: service "hook" not found'


async def test_a_webhook_behind_a_service(tmp_path: Path) -> None:
    async with webhook_server(tmp_path) as server, served() as api:
        hook = Hook(server)
        spec = {"type": "ExternalName", "externalName": "127.0.0.1"}
        await api.ok("POST", "/api/v1/namespaces/default/services", {"metadata": {"name": "hook"}, "spec": spec})
        service = {"name": "hook", "namespace": "default", "path": "/convert", "port": server.port}
        await api.ok("POST", DEFINITIONS, definition({"service": service, "caBundle": server.bundle}))
        await api.ok("POST", V1, v1("a"))
        assert (await api.ok("GET", f"{V2}/a"))["host"] == "h"
        assert hook.calls == [("v2", ["a"])]
