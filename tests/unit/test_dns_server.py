"""Cluster DNS as others meet it: messages over UDP and TCP on 127.0.0.1, resolvers upstream, and what is no message at all."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import dns.edns
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdatatype
import dns.update
import pytest

from kubelet.dns.exchange import NoAnswer, ask, is_answer
from kubelet.dns.forwarding import Forwarder
from kubelet.dns.records import Zone
from kubelet.dns.resolvers import Resolver, read_upstream, resolver, without
from kubelet.dns.responder import Responder
from kubelet.dns.server import QUERY_BYTES_MAX, DnsServer
from kubelet.dns.world import World
from tests.unit.dns_world import cluster, endpoint, endpoint_slice, external, service, world

LOCAL = "127.0.0.1"
MANY = world(
    services=[service("many", "None"), external("long", ".".join(["x" * 60] * 4)), external("broken", "y" * 70)],
    slices=[endpoint_slice("many", *(endpoint(f"10.244.{i // 200}.{i % 200}") for i in range(5_000)))],
)


@asynccontextmanager
async def serving(known: World | None = None, *upstream: Resolver, concurrent_max: int = 10, **bounds: float) -> AsyncIterator[int]:
    """The port of a server."""
    forwarder = Forwarder(upstream, concurrent_max=concurrent_max)
    server = DnsServer(Responder(known or cluster(), Zone(), forwarder, rng=random.Random(1)), **bounds)  # type: ignore[arg-type]
    try:
        yield await server.start(LOCAL, 0)
    finally:
        await server.stop()


class _Upstream(asyncio.DatagramProtocol):
    def __init__(self, reply: Callable[[dns.message.Message], bytes | None], asked: list[str]) -> None:
        self._reply, self._asked = reply, asked

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        self._asked.append(query.question[0].to_text())
        if reply := self._reply(query):
            self._transport.sendto(reply, addr)  # type: ignore[attr-defined]


@asynccontextmanager
async def upstream(reply: Callable[[dns.message.Message], bytes | None]) -> AsyncIterator[tuple[Resolver, list[str]]]:
    """A resolver that answers so, and what it was asked."""
    asked: list[str] = []
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: _Upstream(reply, asked), local_addr=(LOCAL, 0))
    try:
        yield Resolver(LOCAL, transport.get_extra_info("sockname")[1]), asked
    finally:
        transport.close()


def known_there(query: dns.message.Message) -> bytes:
    response = dns.message.make_response(query, recursion_available=True)
    section, name, rdtype = response.answer, query.question[0].name, query.question[0].rdtype
    text = {"A": "192.0.2.53", "AAAA": "2001:db8::53"}.get(dns.rdatatype.to_text(rdtype))
    if text:
        response.answer = [*section, dns.rrset.from_text(name, 60, "IN", rdtype, text)]
    return response.to_wire()


async def asked(query: dns.message.Message, port: int, *, over_tcp: bool = False) -> dns.message.Message:
    return dns.message.from_wire(await ask(query.to_wire(), LOCAL, port, over_tcp=over_tcp))


async def datagram(data: bytes, port: int) -> bytes:
    """What is answered to it over UDP, truncated or not; b"" for nothing."""
    answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    class Waiting(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: object) -> None:
            answer.set_result(data)

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Waiting, remote_addr=(LOCAL, port))
    try:
        transport.sendto(data)
        transport.sendto(dns.message.make_query("cluster.local", "SOA", id=7).to_wire())  # so that silence shows
        found = await answer
        return b"" if found[:2] == b"\0\7" else found
    finally:
        transport.close()


# --- what is answered ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("over_tcp", [False, True], ids=["over UDP", "over TCP"])
async def test_a_question_is_answered(over_tcp: bool) -> None:
    async with serving() as port:
        found = await asked(dns.message.make_query("Kubernetes.default.svc.cluster.local", "A"), port, over_tcp=over_tcp)
        assert found.flags == dns.flags.QR | dns.flags.AA | dns.flags.RD | dns.flags.RA
        assert found.edns == -1, "who does not know EDNS is sent none"
        assert [each.to_text() for each in found.question] == ["Kubernetes.default.svc.cluster.local. IN A"], "as it was written"
        assert [each.to_text() for each in found.answer] == ["Kubernetes.default.svc.cluster.local. 30 IN A 10.0.0.1"]
        none = await asked(dns.message.make_query("none.default.svc.cluster.local", "A", use_edns=0), port, over_tcp=over_tcp)
        assert (none.rcode(), none.edns, none.answer) == (dns.rcode.NXDOMAIN, 0, [])
        assert none.authority[0].to_text().startswith("cluster.local. 30 IN SOA ns.dns.cluster.local. hostmaster.cluster.local. ")


async def test_what_does_not_fit_is_truncated_over_udp_and_whole_over_tcp() -> None:
    async with serving(MANY) as port:
        query = dns.message.make_query("many.default.svc.cluster.local", "A")
        for use, most in ((None, 512), (4096, 1232), (600, 600), (100, 512)):
            asking = dns.message.make_query(query.question[0].name, "A", use_edns=-1 if use is None else 0, payload=use or 0)
            wire = await datagram(asking.to_wire(), port)
            short = dns.message.from_wire(wire)
            assert most - 16 <= len(wire) <= most, "as many records as there is room for"
            assert short.flags & dns.flags.TC
        whole = await asked(query, port, over_tcp=True)
        assert whole.flags & dns.flags.TC, "5,000 addresses are too many even for TCP"
        assert len(whole.answer[0]) > 4_000
        again = await asked(query, port)
        assert len(again.answer[0]) > 4_000, "who sees that it is truncated asks over TCP"
        assert [each.address for each in again.answer[0]][:20] != [each.address for each in whole.answer[0]][:20], "in another order"


async def test_many_questions_come_over_one_connection() -> None:
    async with serving() as port:
        reader, writer = await asyncio.open_connection(LOCAL, port)
        for number in range(5):
            wire = dns.message.make_query("kubernetes.default.svc.cluster.local", "A", id=number).to_wire()
            writer.write(struct.pack("!H", len(wire)) + wire)
        for number in range(5):
            data = await reader.readexactly(struct.unpack("!H", await reader.readexactly(2))[0])
            assert dns.message.from_wire(data).id == number
        writer.close()


async def test_names_that_no_message_can_hold_are_a_failure_of_the_server() -> None:
    async with serving(MANY) as port:
        found = await asked(dns.message.make_query("broken.default.svc.cluster.local", "CNAME"), port)
        assert (found.rcode(), found.answer) == (dns.rcode.SERVFAIL, [])
        assert (await asked(dns.message.make_query("long.default.svc.cluster.local", "CNAME"), port)).answer


# --- what is no question ---------------------------------------------------------------------------------------------------------


QUERY = dns.message.make_query("kubernetes.default.svc.cluster.local", "A", id=1).to_wire()


def _two() -> bytes:
    return QUERY[:4] + b"\0\2" + QUERY[6:] + QUERY[12:]


def _version_1() -> bytes:
    return dns.message.make_query("cluster.local", "A", use_edns=1).to_wire()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(b"", None, id="nothing"),
        pytest.param(QUERY[:11], None, id="half a header"),
        pytest.param(QUERY[:2] + b"\x81" + QUERY[3:], None, id="an answer"),
        pytest.param(QUERY[:20], "FORMERR", id="half a question"),
        pytest.param(QUERY + b"more", "FORMERR", id="bytes behind it"),
        pytest.param(QUERY[:12] + b"\xc0\x0c" + QUERY[-4:], "FORMERR", id="a name that points at itself"),
        pytest.param(_two(), "FORMERR", id="two questions"),
        pytest.param(QUERY[:4] + bytes(8), "FORMERR", id="no question"),
        pytest.param(dns.update.UpdateMessage("cluster.local").to_wire(), "NOTIMP", id="an update"),
        pytest.param(dns.message.make_query("cluster.local", "AXFR").to_wire(), "REFUSED", id="a transfer"),
        pytest.param(dns.message.make_query("cluster.local", "ANY").to_wire(), "REFUSED", id="anything there is"),
        pytest.param(dns.message.make_query("version.bind", "TXT", "CH").to_wire(), "REFUSED", id="another class"),
        pytest.param(_version_1(), "BADVERS", id="a version of EDNS that is still to come"),
    ],
)
async def test_what_is_no_question_gets_an_error_or_nothing(data: bytes, code: str | None) -> None:
    async with serving() as port:
        found = await datagram(data, port)
        assert (dns.rcode.to_text(dns.message.from_wire(found).rcode()) if found else None) == code
        assert found[:2] == (data[:2] if found else b"")
        if data:
            reader, writer = await asyncio.open_connection(LOCAL, port)
            writer.write(struct.pack("!H", len(data)) + data)
            head = await reader.read(2)
            assert bool(head) is (code is not None), "the connection ends where there is nothing to say"
            writer.close()


async def test_random_bytes_do_no_harm() -> None:
    rng = random.Random(20)
    async with serving() as port:
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=(LOCAL, port))
        for number in range(500):
            data = bytearray(QUERY)
            for _ in range(rng.randrange(1, 8)):
                data[rng.randrange(2, len(data))] = rng.randrange(256)
            transport.sendto(bytes(data[: rng.randrange(len(data) + 1)]))
            if number % 20 == 19:
                assert (await asked(dns.message.make_query("kubernetes.default.svc.cluster.local", "A"), port, over_tcp=True)).answer
        transport.close()


async def test_connections_are_bounded() -> None:
    async with serving(connections_max=1, idle_s=60) as port:
        first, one = await asyncio.open_connection(LOCAL, port)
        one.write(struct.pack("!H", len(QUERY)) + QUERY)
        await first.readexactly(2)
        second, two = await asyncio.open_connection(LOCAL, port)
        assert await second.read(1) == b"", "one too many"
        two.close()
        one.close()
    async with serving(idle_s=0.02) as port:
        reader, writer = await asyncio.open_connection(LOCAL, port)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)  # asks nothing, and is cut off
        writer.close()
    async with serving() as port:
        reader, writer = await asyncio.open_connection(LOCAL, port)
        writer.write(struct.pack("!H", QUERY_BYTES_MAX + 1))
        assert await reader.read(1) == b"", "longer than any question"
        writer.close()


async def test_a_port_is_taken_for_both_or_not_at_all() -> None:
    async with serving() as port:
        other = DnsServer(Responder(cluster(), Zone(), Forwarder([]), rng=random.Random(1)))
        with pytest.raises(OSError, match="address already in use"):
            await other.start(LOCAL, port)
        await other.stop()


# --- everybody else's names ---------------------------------------------------------------------------------------------------------


async def test_other_names_are_asked_upstream() -> None:
    async with upstream(known_there) as (resolver_, questions), serving(None, resolver_) as port:
        found = await asked(dns.message.make_query("www.example.com", "A"), port)
        assert [each.to_text() for each in found.answer] == ["www.example.com. 60 IN A 192.0.2.53"]
        assert not found.flags & dns.flags.AA, "it is not ours"
        alias = await asked(dns.message.make_query("out.default.svc.cluster.local", "AAAA"), port)
        assert [each.to_text() for each in alias.answer] == [
            "out.default.svc.cluster.local. 30 IN CNAME www.example.com.",
            "www.example.com. 60 IN AAAA 2001:db8::53",
        ]
        await asked(dns.message.make_query("9.9.9.9.in-addr.arpa", "PTR"), port)
        assert questions == ["www.example.com. IN A", "www.example.com. IN AAAA", "9.9.9.9.in-addr.arpa. IN PTR"]
        await asked(dns.message.make_query("none.default.svc.cluster.local", "A"), port)
        assert len(questions) == 3, "nobody else is asked for the cluster's names"


async def test_nobody_to_ask_and_nobody_who_answers() -> None:
    query = dns.message.make_query("www.example.com", "A")
    async with serving() as port:
        assert (await asked(query, port)).rcode() == dns.rcode.REFUSED
        alias = await asked(dns.message.make_query("out.default.svc.cluster.local", "A"), port)
        assert (alias.rcode(), len(alias.answer)) == (dns.rcode.NOERROR, 1), "what is known is said"
    async with upstream(lambda query: None) as (silent, _):
        closed = Resolver(LOCAL, silent.port)
    async with upstream(known_there) as (good, _), serving(None, closed, good) as port:
        assert (await asked(query, port)).answer, "the next one is asked"
    async with serving(None, closed) as port:
        assert (await asked(query, port)).rcode() == dns.rcode.SERVFAIL
    async with upstream(lambda query: b"\0" * 12) as (other, _), serving(None, other, concurrent_max=0) as port:
        assert (await asked(query, port)).rcode() == dns.rcode.REFUSED, "too much is being asked"


async def test_an_answer_is_one_to_what_was_asked() -> None:
    sent = dns.message.make_query("a.test", "A", id=1).to_wire()
    right = dns.message.make_response(dns.message.make_query("A.test", "A", id=1)).to_wire()
    other = dns.message.make_response(dns.message.make_query("b.test", "A", id=1)).to_wire()
    late = dns.message.make_response(dns.message.make_query("a.test", "A", id=2)).to_wire()
    assert [is_answer(each, sent) for each in (right, other, late, sent, right[:5])] == [True, False, False, False, False]
    async with upstream(lambda query: other) as (wrong, _):
        with pytest.raises(NoAnswer):
            await ask(sent, LOCAL, wrong.port, timeout_s=0.05)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        pytest.param("127.0.0.2", Resolver("127.0.0.2", 53), id="an address"),
        pytest.param("127.0.0.2:5353", Resolver("127.0.0.2", 5353), id="with a port"),
        pytest.param("fd00::2", Resolver("fd00::2", 53), id="an IPv6 address"),
        pytest.param("[fd00::2]:5353", Resolver("fd00::2", 5353), id="with a port in brackets"),
        pytest.param("resolver", None, id="a name"),
        pytest.param("127.0.0.2:x", None, id="no port"),
        pytest.param("127.0.0.2:70000", None, id="no such port"),
    ],
)
def test_a_resolver_is_an_address(text: str, wanted: Resolver | None) -> None:
    if wanted is None:
        with pytest.raises(ValueError):
            resolver(text)
    else:
        assert resolver(text) == wanted


def test_resolvers_come_from_the_command_line_or_a_file(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text("# nameserver 127.0.0.9\nsearch x\nnameserver 127.0.0.2\nnameserver fe80::1%eth0\nnameserver\nnameserver x\n")
    assert read_upstream(str(path)) == [Resolver("127.0.0.2"), Resolver("fe80::1")]
    assert read_upstream(str(tmp_path / "none")) == []
    assert read_upstream("") == []
    assert read_upstream("127.0.0.2, 127.0.0.3:5353") == [Resolver("127.0.0.2"), Resolver("127.0.0.3", 5353)]
    with pytest.raises(ValueError, match="more than 15"):
        read_upstream(",".join(["127.0.0.2"] * 16))
    ours = [Resolver("127.0.0.2", 53), Resolver("127.0.0.3", 53), Resolver("127.0.0.2", 54), Resolver("192.0.2.1", 53)]
    assert without(ours, "127.0.0.2", 53) == ours[1:], "nobody asks himself"
    assert without(ours, "0.0.0.0", 53) == ours[2:]
