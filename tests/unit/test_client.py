"""The client and its transports: paths, errors, retries, and streams that are cut anywhere."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kube.client.client import ATTEMPTS_MAX, PatchKind
from kube.client.transport import ConnectionFailed
from kube.errors import ApiError, NotFound, ServiceUnavailable, TooManyRequests
from kube.resources import DEPLOYMENTS, NODES, PODS
from tests.unit.asking import POD, ROLES, Echo, client_of
from tests.virtual import virtual

D = "/api/v1/namespaces/default/pods"
REQUESTS: list[tuple[str, Any, tuple[str, str, Any]]] = [
    ("get", lambda c: c.get(PODS, "web", namespace="default"), ("GET", f"{D}/web", None)),
    ("get of a version", lambda c: c.get(NODES, "n", resource_version="0"), ("GET", "/api/v1/nodes/n?resourceVersion=0", None)),
    ("get of a subresource", lambda c: c.get(PODS, "web", namespace="default", subresource="status"), ("GET", f"{D}/web/status", None)),
    (
        "get of a name with odd characters",
        lambda c: c.get(ROLES, "system:a/b %"),
        ("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:a%2Fb%20%25", None),
    ),
    ("list of a group", lambda c: c.list(DEPLOYMENTS), ("GET", "/apis/apps/v1/deployments", None)),
    (
        "list with everything",
        lambda c: c.list(
            PODS,
            namespace="default",
            label_selector="a in (b)",
            field_selector="x=y",
            limit=5,
            continue_="to/ken",
            resource_version="7",
            resource_version_match="Exact",
        ),
        (
            "GET",
            f"{D}?labelSelector=a+in+%28b%29&fieldSelector=x%3Dy&limit=5&resourceVersion=7&resourceVersionMatch=Exact&continue=to%2Fken",
            None,
        ),
    ),
    ("create in the object's namespace", lambda c: c.create(PODS, POD), ("POST", D, POD)),
    (
        "create of a subresource, tried only",
        lambda c: c.create(PODS, {}, namespace="default", name="web", subresource="binding", dry_run=True, field_manager="me"),
        ("POST", f"{D}/web/binding?dryRun=All&fieldManager=me", {}),
    ),
    ("update of the status", lambda c: c.update(PODS, POD, subresource="status"), ("PUT", f"{D}/web/status", POD)),
    ("patch", lambda c: c.patch(PODS, "web", {"a": 1}, namespace="default"), ("PATCH", f"{D}/web", {"a": 1})),
    (
        "apply by force",
        lambda c: c.apply(PODS, POD, field_manager="me", force=True),
        ("PATCH", f"{D}/web?fieldManager=me&force=true", POD),
    ),
    ("delete", lambda c: c.delete(PODS, "web", namespace="default"), ("DELETE", f"{D}/web", None)),
    (
        "delete with everything",
        lambda c: c.delete(PODS, "web", namespace="default", propagation_policy="Orphan", grace_period_s=0, uid="u", resource_version="5"),
        (
            "DELETE",
            f"{D}/web",
            {
                "kind": "DeleteOptions",
                "apiVersion": "v1",
                "propagationPolicy": "Orphan",
                "gracePeriodSeconds": 0,
                "preconditions": {"uid": "u", "resourceVersion": "5"},
            },
        ),
    ),
    (
        "delete of a collection",
        lambda c: c.delete_collection(PODS, namespace="default", label_selector="a=b"),
        ("DELETE", f"{D}?labelSelector=a%3Db", None),
    ),
]


@pytest.mark.parametrize(("act", "asked"), [each[1:] for each in REQUESTS], ids=[each[0] for each in REQUESTS])
def test_what_is_asked_of_the_server(act: Any, asked: tuple[str, str, Any]) -> None:
    @virtual
    async def ask() -> None:
        app = Echo()
        await act(client_of(app))
        assert app.asked == [asked]

    ask()


@virtual
async def test_every_request_says_who_asks_and_patches_what_they_are() -> None:
    app = Echo()
    client = client_of(app)
    await client.patch(PODS, "web", [], namespace="default", kind=PatchKind.JSON)
    assert app.headers["user-agent"] == "tester/1.0"
    assert app.headers["authorization"] == "Bearer s3cret"
    assert app.headers["content-type"] == "application/json-patch+json"
    client.set_token("")
    await client.get(PODS, "web")
    assert "authorization" not in app.headers


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_that_would_lead_elsewhere_is_refused(name: str) -> None:
    @virtual
    async def ask() -> None:
        app = Echo()
        with pytest.raises(ValueError, match="cannot be a name"):
            await client_of(app).delete(PODS, name, namespace="default")
        assert app.asked == []

    ask()


@virtual
async def test_a_refusal_is_raised_as_its_own_class_with_all_its_status() -> None:
    status = {"kind": "Status", "code": 404, "reason": "NotFound", "message": "no", "details": {"name": "web"}}
    with pytest.raises(NotFound) as caught:
        await client_of(Echo((404, status))).get(PODS, "web")
    assert (caught.value.message, caught.value.details) == ("no", {"name": "web"})
    with pytest.raises(ServiceUnavailable, match="out of order"):
        await client_of(Echo((503, b"out of order"))).raw("GET", "/readyz")
    with pytest.raises(ApiError, match="answered 418"):
        await client_of(Echo((418, b""))).get(PODS, "web")
    with pytest.raises(ConnectionFailed, match="not JSON"):
        await client_of(Echo((200, b"<html>"))).get(PODS, "web")


@virtual
async def test_a_server_that_asks_to_come_back_later_is_asked_again_then() -> None:
    busy = (429, {"kind": "Status", "code": 429, "reason": "TooManyRequests", "message": "busy"})
    app = Echo(busy, busy, (200, {"done": True}))
    app.answer_headers = [(b"Retry-After", b"2")]
    assert await client_of(app).create(PODS, POD) == {"done": True}
    assert len(app.asked) == 3
    assert 4 <= asyncio.get_running_loop().time() <= 5


@virtual
async def test_patience_has_an_end_and_an_eviction_has_none() -> None:
    app = Echo((429, {"kind": "Status", "code": 429, "reason": "TooManyRequests", "message": "busy"}))
    app.answer_headers = [(b"retry-after", b"1")]
    with pytest.raises(TooManyRequests):
        await client_of(app).get(PODS, "web")
    assert len(app.asked) == ATTEMPTS_MAX
    app.asked.clear()
    with pytest.raises(TooManyRequests):
        await client_of(app).create(PODS, {}, namespace="default", name="web", subresource="eviction")
    assert len(app.asked) == 1


@virtual
async def test_a_lost_connection_is_tried_again_for_reads_and_never_for_writes() -> None:
    class Lossy(Echo):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            if len(self.asked) >= 2:
                await super().__call__(scope, receive, send)
            else:
                self.asked.append((scope["method"], "", None))

    app = Lossy()
    await client_of(app).get(PODS, "web")
    assert len(app.asked) == 3
    app.asked.clear()
    with pytest.raises(ConnectionFailed):
        await client_of(app).create(PODS, POD)
    assert len(app.asked) == 1
