"""DNS messages: what was asked, and answers as bytes. The wire format is dnspython's; here is what a server does with it. Pure.

    Unanswerable     bytes that deserve no answer: no header, or themselves an answer
    Refused          a message that gets an error: `code` is the response code, `query` what could be read of it, if anything

Source: RFC 1035, RFC 6891 (EDNS); what is refused: miekg/dns `acceptfunc.go`, which CoreDNS goes by.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from functools import lru_cache

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from kubelet.dns.records import Answer, Record

HEADER_BYTES = 12
UDP_BYTES_MIN, UDP_BYTES_MAX = 512, 1232
"""What every client takes over UDP; what none is sent more than, whatever it says it takes, so that nothing is fragmented (RFC 9715)."""
TCP_BYTES_MAX = 65_535
_RECORD_BYTES_MIN = 16
"""A record whose name is a reference, and whose data an IPv4 address."""
_QR, _OPCODE, _KEPT = 0x80, 0x78, 0x7900
"""In the header's third byte: an answer, what is wanted; of its flags those that an answer repeats."""


class Unanswerable(Exception):
    pass


class Refused(Exception):
    def __init__(self, code: dns.rcode.Rcode, query: dns.message.Message | None) -> None:
        super().__init__(dns.rcode.to_text(code))
        self.code, self.query = code, query


def read(wire: bytes) -> dns.message.Message:
    """A query with one question of class IN. Raises Unanswerable, Refused."""
    if len(wire) < HEADER_BYTES or wire[2] & _QR:
        raise Unanswerable
    if wire[2] & _OPCODE:
        raise Refused(dns.rcode.NOTIMP, None)
    try:
        query = dns.message.from_wire(wire)
    except (dns.exception.DNSException, ValueError) as error:
        raise Refused(dns.rcode.FORMERR, None) from error
    if len(query.question) != 1:
        raise Refused(dns.rcode.FORMERR, query)
    if query.edns > 0:
        raise Refused(dns.rcode.BADVERS, query)
    if query.question[0].rdclass != dns.rdataclass.IN or dns.rdatatype.is_metatype(query.question[0].rdtype):
        raise Refused(dns.rcode.REFUSED, query)
    return query


def question(query: dns.message.Message) -> tuple[str, str]:
    """The name without a dot at its end, as it was asked, and the type's name."""
    asked = query.question[0]
    return asked.name.to_text(omit_final_dot=True) if asked.name != dns.name.root else "", dns.rdatatype.to_text(asked.rdtype)


def refusal(wire: bytes, refused: Refused) -> bytes:
    """The error to send to whoever sent `wire`."""
    if refused.query is None:  # nothing but its header can be trusted
        flags = 0x8000 | (wire[2] << 8 & _KEPT)
        return wire[:2] + (flags | refused.code).to_bytes(2, "big") + bytes(8)
    response = dns.message.make_response(refused.query, our_payload=UDP_BYTES_MAX)
    response.set_rcode(refused.code)
    return response.to_wire()


def response_of(query: dns.message.Message, answer: Answer, rng: random.Random, most: int = TCP_BYTES_MAX) -> dns.message.Message:
    """The answer as a message; addresses come in any order, so that clients share the load (CoreDNS's `loadbalance`). Of records that
    cannot fit into `most` bytes there is only enough to show that. Raises DNSException for names that no message can hold."""
    response = dns.message.make_response(query, recursion_available=True, our_payload=UDP_BYTES_MAX)
    response.flags |= dns.flags.AA
    response.set_rcode(dns.rcode.from_text(answer.rcode))
    for section, records in (
        (response.answer, _shuffled(answer.answers, rng)),
        (response.authority, answer.authority),
        (response.additional, answer.additional),
    ):
        for record in records[: most // _RECORD_BYTES_MIN + 1]:
            _add(response, section, record)
    return response


def _add(response: dns.message.Message, section: list[dns.rrset.RRset], record: Record) -> None:
    """Each in a set of its own: what is too long then loses single records, not all of a name's."""
    data = _data(record.type, record.data)
    name = dns.name.from_text(record.name)
    found = response.find_rrset(section, name, data.rdclass, data.rdtype, create=True, force_unique=True)
    found.add(data, record.ttl_s)


def _shuffled(records: Iterable[Record], rng: random.Random) -> list[Record]:
    """Aliases first, in their order."""
    found = list(records)
    fixed = [each for each in found if each.type not in ("A", "AAAA")]
    rest = [each for each in found if each.type in ("A", "AAAA")]
    rng.shuffle(rest)
    return fixed + rest


@lru_cache(maxsize=4096)
def _data(type_: str, text: str) -> dns.rdata.Rdata:
    return dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.from_text(type_), text)


def bytes_max(query: dns.message.Message, *, over_udp: bool) -> int:
    """How much its sender takes in one message."""
    if not over_udp:
        return TCP_BYTES_MAX
    return min(max(query.payload if query.edns >= 0 else 0, UDP_BYTES_MIN), UDP_BYTES_MAX)


def written(response: dns.message.Message, most: int) -> bytes:
    """At most `most` bytes; what does not fit is left out, and the flag TC says so."""
    return response.to_wire(max_size=most, prefer_truncation=True)
