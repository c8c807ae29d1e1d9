"""How much is served at once, who is asking, and what they may."""

from __future__ import annotations

import asyncio

import pytest

from apiserver.registry.admission import Attributes
from tests.component.served import CONFIG_MAPS, config_map, served
from tests.virtual import virtual


class Slow:
    """Admission that takes a second."""

    async def mutate(self, attributes: Attributes) -> None:
        await asyncio.sleep(1)

    async def validate(self, attributes: Attributes) -> None:
        return

    def metrics(self) -> str:
        return ""


@virtual
async def test_past_the_limit_a_write_is_told_to_come_again_and_reads_and_watches_go_on() -> None:
    async with served(max_mutating_requests_inflight=2, max_requests_inflight=5) as api:
        api.built.server.registries.admission = Slow()
        writes = [asyncio.create_task(api.call("POST", CONFIG_MAPS, config_map(f"c{n}"))) for n in range(4)]
        watching = asyncio.create_task(api.events(f"{CONFIG_MAPS}?watch=1", 2))
        await asyncio.sleep(0.5)
        assert (await api.call("GET", CONFIG_MAPS)).status == 200
        replies = [await each for each in writes]
        assert sorted(each.status for each in replies) == [201, 201, 429, 429]
        refused = next(each for each in replies if each.status == 429)
        assert (refused.body["reason"], refused.headers["retry-after"]) == ("TooManyRequests", "1")
        assert len(await watching) == 2
        assert (await api.call("POST", CONFIG_MAPS, config_map("later"))).status == 201, "and there is room again"


@virtual
async def test_many_watches_do_not_count() -> None:
    async with served(max_requests_inflight=2) as api:
        watches = [asyncio.create_task(api.events(f"{CONFIG_MAPS}?watch=1", 1)) for _ in range(10)]
        await asyncio.sleep(0.5)
        await api.ok("POST", CONFIG_MAPS, config_map("a"))
        assert [len(await each) for each in watches] == [1] * 10


IDENTITIES = {
    "nobody may ask for health": (None, "/livez", 200),
    "nobody may ask for the version": (None, "/version", 200),
    "nobody may read": (None, CONFIG_MAPS, 403),
    "nobody may discover": (None, "/api/v1", 403),
    "a wrong token is refused even for health": ("Bearer wrong", "/livez", 401),
    "another scheme is nobody": ("Basic YTpi", CONFIG_MAPS, 403),
}


@pytest.mark.parametrize(("authorization", "path", "status"), IDENTITIES.values(), ids=IDENTITIES.keys())
@virtual
async def test_who_asks(authorization: str | None, path: str, status: int) -> None:
    async with served() as api:
        reply = await api.call("GET", path, authorization=authorization)
        assert reply.status == status
        if status == 401:
            assert (reply.message, reply.body["reason"]) == ("Unauthorized", "Unauthorized")
        if status == 403:
            assert 'User "system:anonymous" cannot ' in reply.message


@virtual
async def test_a_body_of_unknown_length_is_cut_off_at_the_limit() -> None:
    async with served() as api:
        body = b'{"data": {"k": "' + b"x" * (3 * 1024 * 1024) + b'"}}'
        reply = await api.call("POST", CONFIG_MAPS, body, content_length=None)
        assert (reply.status, reply.body["reason"]) == (413, "RequestEntityTooLarge")


@virtual
async def test_health_tells_what_is_wrong_to_who_asks_in_detail() -> None:
    async with served() as api:
        assert (await api.call("GET", "/readyz")).body == "ok"
        api.built.server.stopping = True
        reply = await api.call("GET", "/readyz?verbose")
        assert reply.status == 500
        assert "[-]shutdown failed: reason withheld" in reply.body
        assert (await api.call("GET", "/readyz?exclude=shutdown")).status == 200
        assert (await api.call("GET", "/livez")).status == 200
        api.built.server.stopping = False
