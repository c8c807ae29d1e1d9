"""The load balancer at work on this machine: real connections, backends that are TCP servers or do as the test says."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest

from controllers.cloud import balancer as balancer_module
from controllers.cloud.balancer import Balancer
from controllers.cloud.balancing import Backend, Frontend, Network
from controllers.cloud.dialing import BackendFailed, Dialer, Pipe
from controllers.cloud.local_cloud import ranges
from kube.client.client import Client
from kube.client.transport import HttpTransport
from kube.clock import RealClock

WITHIN_S = 20.0
A, B, C = (Backend(f"10.0.0.{number}", 80) for number in (1, 2, 3))
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@dataclass
class Scripted:
    """A Pipe to a backend that says `says` (an error is raised), in this order, and then nothing more until `ended` is set."""

    says: list[bytes | BackendFailed]
    has_halves: bool = False
    got: bytearray = field(default_factory=bytearray)
    is_aborted: bool = False
    after: int = 0
    """How many bytes it waits for before it says anything."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    moved: asyncio.Event = field(default_factory=asyncio.Event)

    async def read(self) -> bytes:
        while len(self.got) < self.after:
            self.moved.clear()
            await self.moved.wait()
        if not self.says:
            await self.ended.wait()
            return b""
        said = self.says.pop(0)
        if isinstance(said, BackendFailed):
            raise said
        return said

    async def write(self, data: bytes) -> None:
        self.got += data
        self.moved.set()

    async def end(self) -> None:
        self.ended.set()

    def abort(self) -> None:
        self.is_aborted = True


@dataclass
class Dialed:
    """A Dial: gives each backend what is there for it, in order; what is an error is raised."""

    at: dict[Backend, list[Scripted | BackendFailed]]
    asked: list[Backend] = field(default_factory=list)

    async def __call__(self, backend: Backend) -> Pipe:
        self.asked.append(backend)
        found = self.at[backend].pop(0)
        if isinstance(found, BackendFailed):
            raise found
        return found


@asynccontextmanager
async def balancing(
    dial: Callable[[Backend], Awaitable[Pipe]],
    backends: Sequence[Backend],
    *,
    limit: int | None = None,
    sources: tuple[Network, ...] | None = None,
    affinity_s: float = 0,
) -> AsyncIterator[tuple[Balancer, Frontend]]:
    """A balancer that listens for one frontend with these backends."""
    frontend = Frontend("ns/web", "127.0.0.1", free_port(), sources=sources, affinity_s=affinity_s)
    async with Balancer(dial, clock=RealClock(), limit=limit) as balancer, asyncio.timeout(WITHIN_S):
        balancer.targets = lambda _: backends
        assert await balancer.ensure(frontend.service, [frontend]) == {}
        yield balancer, frontend


@asynccontextmanager
async def connected(frontend: Frontend) -> AsyncIterator[Streams]:
    reader, writer = await asyncio.open_connection(*frontend.place)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def asked(frontend: Frontend, data: bytes = b"hello") -> bytes:
    """What comes back until the end; b"" where the connection is cut."""
    async with connected(frontend) as (reader, writer):
        writer.write(data)
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


@asynccontextmanager
async def tcp_backend(serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[Backend]:
    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(served, "127.0.0.1", 0)
    async with server:
        yield Backend("127.0.0.1", server.sockets[0].getsockname()[1])


def by_address() -> Dialer:
    return Dialer(Client(HttpTransport("http://127.0.0.1:1"), user_agent="tester"), "pod-ip")


# --- bytes ------------------------------------------------------------------------------------------------------------


async def test_each_side_can_end_by_itself() -> None:
    """A client that has sent all it has gets the answer to all of it; much of it, both ways."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = await reader.read()
        writer.write(b"%d:" % len(data) + data)
        await writer.drain()

    async with tcp_backend(serve) as backend, balancing(by_address(), [backend]) as (_, frontend), connected(frontend) as (reader, writer):
        sent = bytes(range(256)) * 20_000
        writer.write(sent)
        writer.write_eof()
        assert await reader.read() == b"%d:" % len(sent) + sent


async def test_a_backend_that_ends_first_still_hears_the_client() -> None:
    heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"bye")
        writer.write_eof()
        heard.set_result(await reader.read())

    async with tcp_backend(serve) as backend, balancing(by_address(), [backend]) as (_, frontend), connected(frontend) as (reader, writer):
        assert await reader.read() == b"bye"
        writer.write(b"one more thing")
        writer.write_eof()
        assert await heard == b"one more thing"


async def test_a_client_that_does_not_read_holds_its_backend_up() -> None:
    class Endless(Scripted):
        count = 0

        async def read(self) -> bytes:
            self.count += 1
            return b"x" * 65536

    pipe = Endless([])
    async with balancing(Dialed({A: [pipe]}), [A]) as (_, frontend), connected(frontend):
        before = -1
        while pipe.count != before or not pipe.count:  # until nothing moves any more: what there is of buffers is full
            before = pipe.count
            await asyncio.sleep(0.2)
        assert 0 < pipe.count * 65536 < 64 << 20


async def test_a_client_that_goes_ends_its_backends_connection() -> None:
    gone = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            await reader.read()
        gone.set()

    async with tcp_backend(serve) as backend, balancing(by_address(), [backend]) as (_, frontend):
        _, writer = await asyncio.open_connection(*frontend.place)
        writer.write(b"x")
        await writer.drain()
        writer.transport.abort()
        await gone.wait()


# --- backends that fail -----------------------------------------------------------------------------------------------


async def test_the_next_backend_is_tried_and_the_failed_one_is_left_for_last() -> None:
    dial = Dialed({A: [BackendFailed("no")], B: [Scripted([b"b"]) for _ in range(2)], C: [Scripted([b"c"])]})
    for each in [*dial.at[B], *dial.at[C]]:
        assert isinstance(each, Scripted)
        each.ended.set()
    async with balancing(dial, [A, B, C]) as (balancer, frontend):
        assert await asked(frontend) == b"b"
        assert list(balancer.failing()) == [A]
        assert [await asked(frontend), await asked(frontend)] == [b"b", b"c"]
        assert dial.asked == [A, B, B, C]


async def test_attempts_are_bounded_and_a_connection_without_a_backend_is_closed(caplog: pytest.LogCaptureFixture) -> None:
    many = [Backend(f"10.0.1.{number}", 80) for number in range(10)]
    dial = Dialed({each: [BackendFailed("no")] for each in many})
    async with balancing(dial, many) as (_, frontend):
        assert await asked(frontend) == b""
        assert dial.asked == many[:3]
    assert "10.0.1.0:80: no" in caplog.text


async def test_without_any_backend_a_connection_is_closed(caplog: pytest.LogCaptureFixture) -> None:
    async with balancing(Dialed({}), []) as (_, frontend):
        assert await asked(frontend) == b""
    assert "ns/web: there is no endpoint for a connection to 127.0.0.1" in caplog.text


async def test_complaints_are_limited(caplog: pytest.LogCaptureFixture) -> None:
    async with balancing(Dialed({}), []) as (_, frontend):
        for _ in range(20):
            await asked(frontend)
    assert caplog.text.count("there is no endpoint") == 5


async def test_what_a_backend_refused_late_goes_to_the_next() -> None:
    """A port-forward says only after its beginning that nothing listens there."""
    refused = Scripted([BackendFailed("dial tcp4 127.0.0.1:80: connect: connection refused", refused=True)], after=5)
    good = Scripted([b"ok"], after=5)
    good.ended.set()
    dial = Dialed({A: [refused], B: [good]})
    async with balancing(dial, [A, B]) as (_, frontend):
        assert await asked(frontend) == b"ok"
    assert (bytes(refused.got), bytes(good.got)) == (b"hello", b"hello")
    assert refused.is_aborted


@pytest.mark.parametrize("says", [[BackendFailed("broken")], [b"part", BackendFailed("connection refused", refused=True)]])
async def test_nothing_is_sent_twice(says: list[bytes | BackendFailed]) -> None:
    dial = Dialed({A: [Scripted(says, after=5)]})
    async with balancing(dial, [A, B]) as (balancer, frontend):
        async with connected(frontend) as (reader, writer):
            writer.write(b"hello")
            with suppress(ConnectionResetError):
                assert await reader.read() in (b"part", b"")
        assert dial.asked == [A]
        assert list(balancer.failing()) == [A]


# --- who is let in, and where to ----------------------------------------------------------------------------------------


async def test_clients_from_elsewhere_are_closed() -> None:
    dial = Dialed({A: [Scripted([b"ok"])]})
    async with balancing(dial, [A], sources=ranges("10.0.0.0/8")) as (balancer, frontend):
        assert await asked(frontend) == b""
        assert dial.asked == []
        opened = Frontend(frontend.service, frontend.address, frontend.port, sources=ranges("127.0.0.0/8"))
        assert await balancer.ensure(frontend.service, [opened]) == {}
        async with connected(frontend) as (reader, _):
            assert await reader.read(2) == b"ok"


async def test_a_client_keeps_its_backend() -> None:
    pipes = {each: [Scripted([str(each).encode()]) for _ in range(9)] for each in (A, B, C)}
    for known in pipes.values():
        for pipe in known:
            pipe.ended.set()
    dial = Dialed({each: list(known) for each, known in pipes.items()})
    async with balancing(dial, [A, B, C], affinity_s=3600) as (balancer, frontend):
        assert {await asked(frontend) for _ in range(4)} == {str(A).encode()}
        balancer.targets = lambda _: [B, C]
        assert len({await asked(frontend) for _ in range(4)}) == 1, "another one, and that is kept then"


async def test_more_connections_than_there_may_be_are_closed() -> None:
    dial = Dialed({A: [Scripted([b"hi"]) for _ in range(3)]})
    async with balancing(dial, [A], limit=2) as (balancer, frontend):
        async with connected(frontend) as (one, _), connected(frontend) as (two, _):
            assert [await one.read(2), await two.read(2)] == [b"hi", b"hi"]
            assert await asked(frontend) == b""
        while balancer.open:
            await asyncio.sleep(0.01)
        async with connected(frontend) as (reader, _):
            assert await reader.read(2) == b"hi"


# --- coming and going ---------------------------------------------------------------------------------------------------


async def test_a_port_that_is_taken_is_said_and_had_later() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        frontend = Frontend("ns/web", *taken.getsockname())
        async with Balancer(Dialed({}), clock=RealClock()) as balancer:
            failed = await balancer.ensure("ns/web", [frontend])
            assert [error.strerror is not None for error in failed.values()] == [True]
            assert list(failed) == [frontend.place]
            taken.close()
            assert await balancer.ensure("ns/web", [frontend]) == {}


async def test_a_listener_that_is_not_wanted_any_more_frees_its_port_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(balancer_module, "GRACE_S", 0.05)
    async with balancing(Dialed({A: [Scripted([b"hi"])]}), [A]) as (balancer, frontend), connected(frontend) as (reader, _):
        assert await reader.read(2) == b"hi"
        assert await balancer.ensure(frontend.service, []) == {}
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*frontend.place)
        assert await balancer.ensure("ns/other", [frontend]) == {}, "another Service can have it"
        with suppress(ConnectionResetError):
            assert await reader.read() == b"", "after a moment the connection is ended, too"


async def test_at_the_end_everything_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(balancer_module, "GRACE_AT_END_S", 0.01)
    pipe = Scripted([b"hi"])
    async with balancing(Dialed({A: [pipe]}), [A]) as (balancer, frontend), connected(frontend) as (reader, _):
        assert await reader.read(2) == b"hi"
        await balancer.close()
        assert balancer.open == 0
        assert pipe.is_aborted
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*frontend.place)
