"""Everybody else's names: asked of the resolvers upstream, one after the other, within bounds of number and time.

Source: CoreDNS `plugin/forward` (max_concurrent refuses what is too much; every resolver failed: SERVFAIL).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import dns.exception
import dns.message
import dns.rcode

from kube.runtime.metrics import counter
from kubelet.dns.exchange import NoAnswer, ask
from kubelet.dns.resolvers import Resolver

CONCURRENT_MAX = 1_000
"""Questions that are being asked upstream at the same time (installers' Corefile)."""
RESOLVERS_TRIED_MAX = 3
_log = logging.getLogger(__name__)
_ASKED = counter("coredns_forward_requests", "Questions asked of resolvers upstream.", ["to"])


class Forwarder:
    """Asks `resolvers`; without any, everything is refused."""

    def __init__(self, resolvers: Sequence[Resolver], *, concurrent_max: int = CONCURRENT_MAX) -> None:
        self.resolvers = list(resolvers)
        self._concurrent_max, self._asking = concurrent_max, 0

    async def ask(self, query: dns.message.Message, wire: bytes) -> dns.message.Message:
        """What is known upstream, as an answer to `query`, whose bytes are `wire`: REFUSED where there is nobody to ask or too much is
        being asked, SERVFAIL where nobody answers."""
        if not self.resolvers or self._asking >= self._concurrent_max:
            return _failed(query, dns.rcode.REFUSED)
        self._asking += 1
        try:
            for each in self.resolvers[:RESOLVERS_TRIED_MAX]:
                try:
                    _ASKED.labels(f"{each.address}:{each.port}").inc()
                    return dns.message.from_wire(await ask(wire, each.address, each.port), one_rr_per_rrset=True)
                except (NoAnswer, dns.exception.DNSException) as error:
                    _log.debug("resolver %s: %s", each.address, error)
        finally:
            self._asking -= 1
        return _failed(query, dns.rcode.SERVFAIL)


def _failed(query: dns.message.Message, code: dns.rcode.Rcode) -> dns.message.Message:
    response = dns.message.make_response(query, recursion_available=True)
    response.set_rcode(code)
    return response
