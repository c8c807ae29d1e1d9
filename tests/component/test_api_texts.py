"""ControllerRevisions: their data is text, and never changes."""

from __future__ import annotations

import pytest

from tests.component.served import MERGE, served
from tests.virtual import virtual

REVISIONS = "/apis/apps/v1/namespaces/default/controllerrevisions"
COMPACT = '{"a":null,"spec":{"b":[1,"<x>"]}}'
SPACED = '{"a": null, "spec": {"b": [1, "<x>"]}}'
ESCAPED = COMPACT.replace("<", "\\u003c").replace(">", "\\u003e")


def body(data: str, revision: int = 1) -> str:
    return f'{{"apiVersion":"apps/v1","kind":"ControllerRevision","metadata":{{"name":"r"}},"revision":{revision},"data":{data}}}'


@pytest.mark.parametrize(
    ("created", "put", "status"),
    [(COMPACT, COMPACT, 200), (SPACED, SPACED, 200), (SPACED, COMPACT, 422), (COMPACT, SPACED, 422), (COMPACT, '{"a":1}', 422)],
)
@virtual
async def test_a_put_must_bring_the_same_text(created: str, put: str, status: int) -> None:
    async with served() as api:
        await api.ok("POST", REVISIONS, body(created))
        reply = await api.call("PUT", f"{REVISIONS}/r", body(put, 2))
        assert reply.status == status
        stored = await api.ok("GET", f"{REVISIONS}/r")
        assert stored["data"] == {"a": None, "spec": {"b": [1, "<x>"]}}
        assert stored["revision"] == (2 if status == 200 else 1)


@pytest.mark.parametrize(("created", "status"), [(ESCAPED, 200), (COMPACT, 422), (SPACED, 422)])
@virtual
async def test_a_patch_writes_the_text_anew_as_go_does(created: str, status: int) -> None:
    async with served() as api:
        await api.ok("POST", REVISIONS, body(created))
        assert (await api.call("PATCH", f"{REVISIONS}/r", {"revision": 3}, content_type=MERGE)).status == status
        assert (await api.call("PATCH", f"{REVISIONS}/r", {"data": {"a": 2}}, content_type=MERGE)).status == 422
