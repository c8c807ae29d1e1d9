"""A server with webhooks: configurations that lead to a webhook's server of the test. Nothing here is a test."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from kube.objects import Object
from tests.component.served import Api, served
from tests.webhook_server import WebhookServer, webhook_server

GROUP = "/apis/admissionregistration.k8s.io/v1"
VALIDATING, MUTATING = f"{GROUP}/validatingwebhookconfigurations", f"{GROUP}/mutatingwebhookconfigurations"
NAMESPACES = "/api/v1/namespaces"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def rules(resources: str, operations: str = "CREATE UPDATE", group: str = "", **rest: Any) -> list[Object]:
    return [{"apiGroups": [group], "apiVersions": ["*"], "operations": operations.split(), "resources": resources.split(), **rest}]


EVERYTHING = rules("*/*", "*", "*")

Decide = Callable[[Object], Object]
"""From an AdmissionRequest to the response, without its uid."""


def allowing(_request: Object) -> Object:
    return {"allowed": True}


def denying(message: str = "no", **status: Any) -> Decide:
    return lambda _request: {"allowed": False, "status": {"message": message, **status}}


def patching(*operations: Object) -> Decide:
    """Allows it, with a patch."""
    return lambda _request: patch(*operations)


def patch(*operations: Object) -> Object:
    return {"allowed": True, "patchType": "JSONPatch", "patch": b64encode(orjson.dumps(operations)).decode()}


def add(path: str, value: Any) -> Object:
    return {"op": "add", "path": path, "value": value}


def definition(schema: Object | None = None, *, storage: str = "v1", versions: str = "v1") -> Object:
    known = {"openAPIV3Schema": schema or {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return {
        "metadata": {"name": "things.e2e.test"},
        "spec": {
            "group": "e2e.test",
            "scope": "Namespaced",
            "names": {"plural": "things", "kind": "Thing"},
            "versions": [{"name": each, "served": True, "storage": each == storage, "schema": known} for each in versions.split()],
        },
    }


def thing(name: str, data: Object) -> Object:
    return {"apiVersion": "e2e.test/v1", "kind": "Thing", "metadata": {"name": name}, "data": data}


@dataclass(slots=True)
class Hooked:
    """The API server and the webhook's."""

    api: Api
    server: WebhookServer

    def answer(self, path: str, decide: Decide) -> None:
        """What is answered at a path, with the uid of what came."""

        def said(review: Object) -> Object:
            response = {"uid": review["request"]["uid"], **decide(review["request"])}
            return {"kind": "AdmissionReview", "apiVersion": review["apiVersion"], "response": response}

        self.server.answers[path] = said

    def webhook(self, path: str, of: Sequence[Object], **changes: Any) -> Object:
        """A webhook of a configuration, which is answered at this path."""
        return {
            "name": f"{path.strip('/')}.hooks.test",
            "clientConfig": self.server.config(path),
            "rules": list(of),
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "timeoutSeconds": 30,
            **changes,
        }

    async def configure(self, collection: str, name: str, *webhooks: Object, **metadata: Any) -> None:
        await self.api.ok("POST", collection, {"metadata": {"name": name, **metadata}, "webhooks": list(webhooks)})

    async def validating(self, path: str, of: Sequence[Object], decide: Decide, **changes: Any) -> None:
        """A configuration with this one webhook, named after the path."""
        self.answer(path, decide)
        await self.configure(VALIDATING, path.strip("/"), self.webhook(path, of, **changes))

    async def mutating(self, path: str, of: Sequence[Object], decide: Decide, **changes: Any) -> None:
        """Likewise."""
        self.answer(path, decide)
        await self.configure(MUTATING, path.strip("/"), self.webhook(path, of, **changes))

    def requests(self, path: str) -> list[Object]:
        """The AdmissionRequests that came to a path."""
        return [each["request"] for each in self.server.documents(path)]


@asynccontextmanager
async def hooked(directory: Path, **settings: Any) -> AsyncIterator[Hooked]:
    """Fresh ones."""
    async with webhook_server(directory) as server, served(**settings) as api:
        yield Hooked(api, server)
