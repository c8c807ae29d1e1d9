"""How simulated containers ask cluster DNS: they name its ClusterIP, which nobody routes here, so the question goes to where the Service
`kube-dns` says that DNS answers. No other name server is asked: to containers that only seem to run, there is no network.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from kube.objects import Object
from kubelet.dns.exchange import NoAnswer, ask
from kubelet.dns.registration import NAME, NAMESPACE, answers_at
from kubelet.shell.machine import Ask, Found, Reply

SERVICE_KEY = f"{NAMESPACE}/{NAME}"
CONCURRENT_MAX = 100
"""Questions of all the containers of this process that are being asked."""
Exchange = Callable[[bytes, str, int, bool], Awaitable[bytes]]
"""(query, address, port, over TCP) -> answer. Raises NoAnswer."""
_log = logging.getLogger(__name__)


class ClusterNames:
    """Carries out what containers ask of DNS. `service` is the Service kube-dns as last seen, None where there is none."""

    def __init__(self, service: Callable[[], Object | None], *, rng: random.Random, exchange: Exchange | None = None) -> None:
        self._service, self._rng, self._exchange = service, rng, exchange or _over_the_net
        self._turns = asyncio.Semaphore(CONCURRENT_MAX)

    async def lookup(self, question: Ask) -> Reply | None:
        """The answer; None where nobody answers, or somebody else was to be asked."""
        service = self._service()
        spec = (service or {}).get("spec") or {}
        place = answers_at(service) if service is not None else None
        if place is None or question.server not in (spec.get("clusterIPs") or [spec.get("clusterIP")]):
            return None
        import dns.exception  # here, since most kubelets are never asked

        try:
            query = _query(question, self._rng.getrandbits(16))
            async with self._turns:
                return _reply(await self._exchange(query, *place, question.over_tcp))
        except (NoAnswer, dns.exception.DNSException, ValueError) as error:
            _log.debug("cluster DNS: %s %s: %s", question.name, question.type, error)
            return None


async def _over_the_net(query: bytes, address: str, port: int, over_tcp: bool) -> bytes:
    return await ask(query, address, port, over_tcp=over_tcp)


def _query(question: Ask, number: int) -> bytes:
    """Raises DNSException for a name that cannot be one."""
    import dns.message

    return dns.message.make_query(question.name or ".", question.type, id=number).to_wire()


def _reply(wire: bytes) -> Reply:
    """Raises DNSException."""
    import dns.message
    import dns.rcode
    import dns.rdatatype

    message = dns.message.from_wire(wire)
    found = [
        Found(records.name.to_text(), records.ttl, dns.rdatatype.to_text(records.rdtype), each.to_text())
        for records in message.answer
        for each in records
    ]
    return Reply(dns.rcode.to_text(message.rcode()), tuple(found))
