"""Cluster DNS inside a cluster of one process: containers ask it without a port, and it asks nobody else."""

from __future__ import annotations

import asyncio
import random
from typing import Final

from kube.client.client import Client
from kube.client.informer import Informers
from kube.clock import Clock
from kubelet.dns.exchange import NoAnswer
from kubelet.dns.forwarding import Forwarder
from kubelet.dns.process import responder_of
from kubelet.dns.records import Zone
from kubelet.dns.registration import PORT, Place, register
from kubelet.dns.responder import Responder
from wherry.plan import CLUSTER_DNS

ADDRESS: Final = "192.0.2.3"
"""Where the Service kube-dns says that it answers (TEST-NET: nobody listens there)."""
_TC: Final = 0x02


class DnsLine:
    """From who asks to who answers. Nobody does until `run_dns` is there."""

    def __init__(self) -> None:
        self.responder: Responder | None = None

    async def exchange(self, query: bytes, address: str, port: int, over_tcp: bool) -> bytes:
        """The answer, over TCP where it would not fit. Raises NoAnswer."""
        if self.responder is None or (address, port) != (ADDRESS, PORT):
            raise NoAnswer("connection refused")
        answer = None if over_tcp else await self.responder.respond(query, over_udp=True)
        if answer is None or answer[2] & _TC:
            answer = await self.responder.respond(query, over_udp=False)
        if answer is None:
            raise NoAnswer("no answer in time")
        return answer


async def run_dns(client: Client, informers: Informers, line: DnsLine, clock: Clock, rng: random.Random) -> None:
    """Answer through `line` until cancelled."""
    try:
        line.responder = await responder_of(informers, Zone(server=CLUSTER_DNS), Forwarder([]), clock=clock, rng=rng)
        await register(client, Place(CLUSTER_DNS, ADDRESS, PORT))
        await asyncio.get_running_loop().create_future()
    finally:
        line.responder = None
