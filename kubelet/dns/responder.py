"""A DNS message in, a DNS message out: from the cluster's records or, for everybody else's names, from upstream."""

from __future__ import annotations

import logging
import random
from typing import Final

import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

from kube.runtime.metrics import counter
from kubelet.dns import message
from kubelet.dns.forwarding import Forwarder
from kubelet.dns.message import Refused, Unanswerable
from kubelet.dns.records import Answer, Zone, answer
from kubelet.dns.world import World

_log = logging.getLogger(__name__)
_REQUESTS = counter("coredns_dns_requests", "Questions that were asked.", ["proto", "type"])
_RESPONSES = counter("coredns_dns_responses", "Answers that were given.", ["rcode"])
_COUNTED: Final = frozenset({"A", "AAAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT"})
"""Types that are counted by name, the rest together: a metric has few label values."""


class Responder:
    """Answers messages. `rng` is in which order addresses are given."""

    def __init__(self, world: World, zone: Zone, forwarder: Forwarder, *, rng: random.Random) -> None:
        self._world, self._zone, self._forwarder, self._rng = world, zone, forwarder, rng

    async def respond(self, wire: bytes, *, over_udp: bool) -> bytes | None:
        """The answer's bytes, no more than its sender takes; None for what deserves no answer. Raises nothing but CancelledError."""
        try:
            query = message.read(wire)
        except Unanswerable:
            return None
        except Refused as refused:
            _RESPONSES.labels(str(refused)).inc()
            return message.refusal(wire, refused)
        name, type_ = message.question(query)
        _REQUESTS.labels("udp" if over_udp else "tcp", type_ if type_ in _COUNTED else "other").inc()
        try:
            most = message.bytes_max(query, over_udp=over_udp)
            found = await self._found(query, wire, answer(name, type_, self._world, self._zone), most)
            data = message.written(found, most)
        except (dns.exception.DNSException, ValueError) as error:
            _log.debug("%s %s: %s", name, type_, error)
            failed = Refused(dns.rcode.SERVFAIL, query)
            _RESPONSES.labels(str(failed)).inc()
            return message.refusal(wire, failed)
        _RESPONSES.labels(dns.rcode.to_text(found.rcode())).inc()
        return data

    async def _found(self, query: dns.message.Message, wire: bytes, own: Answer | None, most: int) -> dns.message.Message:
        if own is None:
            return await self._forwarder.ask(query, wire)
        response = message.response_of(query, own, self._rng, most)
        if own.elsewhere and self._forwarder.resolvers:
            further = dns.message.make_query(own.elsewhere, query.question[0].rdtype, id=query.id)
            response.answer += (await self._forwarder.ask(further, further.to_wire())).answer
        return response
