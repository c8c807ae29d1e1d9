"""What the server says of its health: checks one by one, all together, and some of them left out."""

from __future__ import annotations

import pytest

from apiserver.health import report
from tests.component.served import served
from tests.virtual import virtual

ANSWERS: dict[str, tuple[str, int, str]] = {
    "all of them": ("/healthz", 200, "ok"),
    "one": ("/livez/etcd", 200, "ok"),
    "one with a path in its name": ("/readyz/poststarthook/rbac/bootstrap-roles", 200, "ok"),
    "one that only readiness has": ("/readyz/informer-sync", 200, "ok"),
    "which liveness has not": ("/livez/informer-sync", 404, "404 page not found\n"),
    "none of that name": ("/healthz/nope", 404, "404 page not found\n"),
}


@pytest.mark.parametrize(("path", "status", "text"), ANSWERS.values(), ids=ANSWERS.keys())
@virtual
async def test_checks(path: str, status: int, text: str) -> None:
    async with served() as api:
        reply = await api.call("GET", path)
        assert (reply.status, reply.body) == (status, text)
        assert reply.headers["x-content-type-options"] == "nosniff"


@virtual
async def test_a_server_that_stops_is_alive_and_not_ready() -> None:
    async with served() as api:
        api.built.server.stopping = True
        assert (await api.call("GET", "/livez")).status == 200
        reply = await api.call("GET", "/readyz")
        assert (reply.status, reply.body.endswith("[-]shutdown failed: reason withheld\nreadyz check failed\n")) == (500, True)
        assert (await api.call("GET", "/readyz?exclude=shutdown")).body == "ok"
        assert (await api.call("GET", "/readyz/shutdown")).body == "internal server error: process is shutting down\n"
        api.built.server.stopping = False


@virtual
async def test_a_verbose_answer_names_every_check() -> None:
    async with served() as api:
        lines = (await api.call("GET", "/readyz?verbose&exclude=log")).body.split("\n")
        assert lines[:3] == ["[+]ping ok", "[+]log excluded: ok", "[+]loopback-serving-certificate ok"]
        assert lines[-3:] == ["[+]shutdown ok", "readyz check passed", ""]


def test_what_cannot_be_excluded_is_said() -> None:
    found = report({"ping": "", "etcd": "gone", "log": None}, ["log", "b", "a"])
    assert found.lines == (
        "[+]ping ok",
        "[-]etcd failed: reason withheld",
        "[+]log excluded: ok",
        'warn: some health checks cannot be excluded: no matches for "a","b"',
    )
    assert found.failed == ("etcd",)
