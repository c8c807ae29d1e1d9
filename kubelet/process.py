"""A kubelet process: its agents and its server, put together. What `python -m kubelet` runs."""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from kube.client.config import ClientConfig
from kube.resources import SERVICES
from kube.runtime.component import Component
from kube.runtime.process import CannotRun, cannot_listen
from kubelet.agent import Agents
from kubelet.dns.asking import SERVICE_KEY, ClusterNames
from kubelet.name_servers import ClusterDns
from kubelet.node import DEFAULT_CAPACITY
from kubelet.runtime.simulated import SimulatedRuntime
from kubelet.server.server import KubeletServer
from kubelet.simulation_objects import follow
from kubelet.stages.simulation import Simulation


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line says."""

    node_names: Sequence[str]
    address: str = "127.0.0.1"
    port: int = 10250
    node_ip: str = "127.0.0.1"
    labels: Mapping[str, str] = field(default_factory=dict)
    pods_max: int = 110
    simulation: Simulation = field(default_factory=Simulation)
    """What simulated pods do."""
    custom_kinds: Sequence[str] = ()
    """Which kinds of KWOK's objects are read from the cluster, too."""
    dns: ClusterDns = field(default_factory=ClusterDns)
    """What pods are told of cluster DNS."""


def serving_context(config: ClientConfig) -> ssl.SSLContext:
    """The server's TLS: the node's own certificate (good for both sides), and only clients with a certificate of the cluster's CA."""
    if not (config.client_cert_data and config.client_key_data and config.ca_data):
        raise CannotRun("--kubeconfig: it must hold the cluster's CA and a client certificate with its key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    with tempfile.TemporaryDirectory() as directory:  # OpenSSL reads certificates from files only; 0700, gone at once
        pair = Path(directory) / "pair.pem"
        pair.touch(0o600)
        pair.write_bytes(config.client_cert_data + config.client_key_data)
        context.load_cert_chain(pair)
    context.load_verify_locations(cadata=config.ca_data.decode())
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


async def serve(component: Component, settings: Settings) -> None:
    """Run the agents and their server until cancelled."""
    services = component.informers.of(SERVICES)
    names = ClusterNames(lambda: services.get(SERVICE_KEY), rng=component.rng)
    agents = Agents(
        component.client,
        node_names=settings.node_names,
        runtime_factory=partial(SimulatedRuntime, simulation=settings.simulation, lookup=names.lookup),
        informers=component.informers,
        clock=component.clock,
        rng=component.rng,
        events=component.events,
        node_ip=settings.node_ip,
        labels=settings.labels,
        capacity={**DEFAULT_CAPACITY, "pods": str(settings.pods_max)},
        dns=settings.dns,
    )
    server = KubeletServer(agents, serving_context(component.config), host=settings.address, port=settings.port)
    try:
        await server.start()
    except OSError as error:
        raise cannot_listen(settings.address, settings.port, error, "--port (or --address)") from error
    follow(settings.simulation, component.informers, settings.custom_kinds)
    try:
        agents.set_server_port(server.port)
        await agents.run()
    finally:
        await server.stop()
