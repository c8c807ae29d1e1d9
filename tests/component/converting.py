"""A custom resource in two versions and the webhook that converts it, for tests. Nothing here is a test.

Version v1 says `hostPort: h:1`, v2 says `host: h` and `port: 1`, as in upstream's conformance test of conversion webhooks.
"""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson

from kube.objects import Object
from tests.component.served import MERGE, Api, served
from tests.webhook_server import WebhookServer, webhook_server

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
GROUP = "stable.example.com"
V1, V2 = (f"/apis/{GROUP}/{each}/namespaces/default/hosts" for each in ("v1", "v2"))
_TEXT: Object = {"type": "string"}
_NUMBER: Object = {"type": "integer"}
_PARTS: Object = {"replicas": _NUMBER, "status": {"type": "object", "properties": {"ready": _NUMBER, "old": _NUMBER}}}
SCHEMAS: dict[str, Object] = {
    "v1": {"hostPort": _TEXT, "early": {"type": "boolean", "default": True}, "late": {"type": "boolean"}, **_PARTS},
    "v2": {"host": _TEXT, "port": _NUMBER, "late": {"type": "boolean", "default": True}, "early": {"type": "boolean"}, **_PARTS},
}
SUBRESOURCES: Object = {"status": {}, "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.ready"}}


def answer_to(review: Object, change: Callable[[Object], Any] = lambda obj: None) -> Object:
    """What the webhook answers. `change` sees each converted object."""
    request = review["request"]
    objects = [_converted(each, request["desiredAPIVersion"]) for each in request["objects"]]
    for each in objects:
        change(each)
    response = {"uid": request["uid"], "result": {"status": "Success"}, "convertedObjects": objects}
    return {"kind": review["kind"], "apiVersion": review["apiVersion"], "response": response}


def _converted(given: Object, desired: str) -> Object:
    obj = copy.deepcopy(given)
    if desired == f"{GROUP}/v2" and "hostPort" in obj:
        obj["host"], _, port = obj.pop("hostPort").partition(":")
        obj["port"] = int(port)
    elif desired == f"{GROUP}/v1" and "host" in obj:
        obj["hostPort"] = f"{obj.pop('host')}:{obj.pop('port')}"
    obj["apiVersion"] = desired
    return obj


class Hook:
    """The webhook: what it was asked, and what it does. `change` sees each converted object, `answer` the whole review."""

    def __init__(self, server: WebhookServer) -> None:
        self.server = server
        self.change: Callable[[Object], Any] = lambda obj: None
        self.answer: Callable[[Object], Any] = self.converted
        server.answers["/convert"] = self._answer

    def _answer(self, review: Object) -> Any:
        return self.answer(review)

    def converted(self, review: Object) -> Object:
        """The right answer to a review."""
        return answer_to(review, self.change)

    @property
    def calls(self) -> list[tuple[str, list[str]]]:
        """What was asked for: the version, and the names of the objects."""
        requests = [each["request"] for each in self.server.documents("/convert")]
        return [(each["desiredAPIVersion"].rpartition("/")[2], [obj["metadata"]["name"] for obj in each["objects"]]) for each in requests]

    def forget(self) -> None:
        self.server.posted.clear()


def definition(config: Object, storage: str = "v1", reviews: tuple[str, ...] = ("v1",), **rest: Any) -> Object:
    """Hosts in two versions. `rest` goes into both versions."""
    versions = [
        {
            "name": name,
            "served": True,
            "storage": name == storage,
            "schema": {"openAPIV3Schema": {"type": "object", "properties": _with_spec(schema)}},
            "subresources": SUBRESOURCES,
            "additionalPrinterColumns": [{"name": "At", "type": "string", "jsonPath": ".hostPort" if name == "v1" else ".host"}],
            "selectableFields": [{"jsonPath": each} for each in ((".hostPort",) if name == "v1" else (".host", ".port"))],
            **rest,
        }
        for name, schema in SCHEMAS.items()
    ]
    return {
        "metadata": {"name": f"hosts.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"plural": "hosts", "kind": "Host"},
            "versions": versions,
            "conversion": {"strategy": "Webhook", "webhook": {"clientConfig": config, "conversionReviewVersions": list(reviews)}},
        },
    }


def _with_spec(schema: Object) -> Object:
    return {**schema, "spec": {"type": "object", "properties": {"replicas": _NUMBER}}}


@asynccontextmanager
async def converting(
    directory: Path, storage: str = "v1", reviews: tuple[str, ...] = ("v1",), **settings: Any
) -> AsyncIterator[tuple[Api, Hook]]:
    """A server (with these settings) with the definition, and its webhook."""
    async with webhook_server(directory) as server, served(**settings) as api:
        hook = Hook(server)
        await api.ok("POST", DEFINITIONS, definition(server.config("/convert"), storage, reviews))
        yield api, hook


async def store_in(api: Api, hook: Hook, storage: str) -> None:
    """Make another version the one that is stored."""
    spec = definition(hook.server.config("/convert"), storage)["spec"]
    await api.ok("PATCH", f"{DEFINITIONS}/hosts.{GROUP}", {"spec": spec}, content_type=MERGE)


async def strategy_none(api: Api) -> None:
    conversion = {"strategy": "None", "webhook": None}
    await api.ok("PATCH", f"{DEFINITIONS}/hosts.{GROUP}", {"spec": {"conversion": conversion}}, content_type=MERGE)


def v1(name: str, at: str = "h:1", **rest: Any) -> Object:
    return {"apiVersion": f"{GROUP}/v1", "kind": "Host", "metadata": {"name": name}, "hostPort": at, **rest}


def v2(name: str, host: str = "h", port: int = 1, **rest: Any) -> Object:
    return {"apiVersion": f"{GROUP}/v2", "kind": "Host", "metadata": {"name": name}, "host": host, "port": port, **rest}


async def stored(api: Api) -> dict[str, Object]:
    """What is stored, by name."""
    page = await api.built.store.list(f"/registry/{GROUP}/hosts/")
    found = [orjson.loads(each.value) for each in page.items]
    return {each["metadata"]["name"]: each for each in found}


async def stored_versions(api: Api) -> dict[str, str]:
    return {name: each["apiVersion"].rpartition("/")[2] for name, each in (await stored(api)).items()}
