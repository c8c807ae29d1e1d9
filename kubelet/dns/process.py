"""Cluster DNS as a process: what it knows, its ports, its registration. What `python -m kubelet.dns` runs."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import random
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from kube.client.client import Client
from kube.client.informer import Informers
from kube.clock import Clock
from kube.errors import ApiError
from kube.resources import ENDPOINT_SLICES, NAMESPACES, SERVICES
from kube.runtime.component import Component
from kube.runtime.process import CannotRun, cannot_listen
from kubelet.dns.forwarding import Forwarder
from kubelet.dns.records import Zone
from kubelet.dns.registration import Place, register
from kubelet.dns.resolvers import Resolver, without
from kubelet.dns.responder import Responder
from kubelet.dns.server import DnsServer
from kubelet.dns.world import KnownWorld

_log = logging.getLogger(__name__)
RETRY_S, KEEP_S = 1.0, 60.0
"""How soon what failed is tried again (at first), and how often what was done is looked at again."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line says. `cluster_ip`: what the Service kube-dns is to have, "" for no Service."""

    address: str = "127.0.0.1"
    port: int = 53
    domain: str = "cluster.local"
    ttl_s: int = 30
    cluster_ip: str = ""
    upstream: Sequence[Resolver] = ()


async def serve(component: Component, settings: Settings) -> None:
    """Answer until cancelled; ready once everything is known."""
    component.ready = False
    try:
        advertised = settings.address if not ipaddress.ip_address(settings.address).is_unspecified else own_address()
    except OSError as error:
        raise CannotRun(f"--bind-address {settings.address}: the name of this host has no address ({error.strerror})") from error
    forwarder = Forwarder([])
    zone = Zone(settings.domain, settings.ttl_s, settings.cluster_ip or advertised)
    responder = await responder_of(component.informers, zone, forwarder, clock=component.clock, rng=component.rng)
    server = DnsServer(responder)
    try:
        port = await server.start(settings.address, settings.port)
    except OSError as error:
        await server.stop()
        raise cannot_listen(settings.address, settings.port, error, "--port (or --bind-address)") from error
    forwarder.resolvers = without(settings.upstream, settings.address, port)
    component.ready = True
    _log.info("answers at %s:%d; asks %s", settings.address, port, [each.address for each in forwarder.resolvers] or "nobody else")
    try:
        await _keep_registered(component.client, Place(settings.cluster_ip, advertised, port))
    finally:
        await server.stop()


async def responder_of(informers: Informers, zone: Zone, forwarder: Forwarder, *, clock: Clock, rng: random.Random) -> Responder:
    """Answers from what `informers` know; returns when they know all."""
    world, scoped = KnownWorld(clock), informers.scoped()
    scoped.of(NAMESPACES).add_handler(world.take_namespace)
    scoped.of(SERVICES).add_handler(world.take_service)
    scoped.of(ENDPOINT_SLICES).add_handler(world.take_slice)
    await scoped.wait_synced()
    return Responder(world, zone, forwarder, rng=rng)


async def _keep_registered(client: Client, place: Place) -> None:
    """Until cancelled."""
    wait_s, told = RETRY_S, ""
    while True:
        try:
            if place.cluster_ip:
                await register(client, place)
            wait_s, told = KEEP_S, ""
        except (ApiError, OSError) as error:
            if str(error) != told:
                _log.warning("cannot register at %s: %s", place.cluster_ip, error)
            told, wait_s = str(error), min(wait_s * 2, KEEP_S)
        await asyncio.sleep(wait_s)


def own_address() -> str:
    """What this host's name resolves to. Raises OSError."""
    return socket.gethostbyname(socket.gethostname())
