"""What every component's command line shares: its kubeconfig, its health port, leader election, logging.

`add_flags` and `Component.from_flags` give a command the flags of upstream's components of the same meaning.
"""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import random
import socket
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from kube.client.client import Client
from kube.client.config import ClientConfig, ConfigError, load_kubeconfig
from kube.client.informer import Informers
from kube.clock import Clock, RealClock
from kube.errors import ApiError
from kube.runtime.election import Terms, lead
from kube.runtime.election_flags import ElectionFlagsError, add_election_flags, flag, terms_of_flags
from kube.runtime.events import EventRecorder
from kube.runtime.health import HealthServer
from kube.runtime.process import CannotRun, cannot_listen, run_until_signal, set_up_logging

__all__ = ["Component", "add_flags", "address", "flag", "port", "run_component"]

SERVER_WAIT_S = 1.0


def add_flags(parser: argparse.ArgumentParser, *, default_port: int, elects: bool, needs_kubeconfig: bool = True) -> None:
    """Add the shared flags to a command line. `needs_kubeconfig`: else it may be left out, and is ""."""
    parser.add_argument(
        "--kubeconfig", required=needs_kubeconfig, default="", metavar="FILE", help="how to reach the API server, and as whom"
    )
    parser.add_argument(
        "--bind-address",
        type=address,
        default="127.0.0.1",
        metavar="IP",
        help="address of /healthz, /readyz and /metrics (default 127.0.0.1)",
    )
    parser.add_argument(
        "--healthz-port", type=port, default=default_port, metavar="PORT", help=f"their port, 0 for any (default {default_port})"
    )
    if elects:
        add_election_flags(parser)
    parser.add_argument("--logging-format", choices=["text", "json"], default="text")
    parser.add_argument("-v", "--v", type=int, default=2, metavar="LEVEL", help="log level as klog's (4 and more: debug)")


def address(text: str) -> str:
    """An argument that is an IP address."""
    try:
        ipaddress.ip_address(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not an IP address") from error
    return text


def port(text: str) -> int:
    """An argument that is a port, or 0 for any free one."""
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port (0 to 65535)")
    return int(text)


@dataclass(slots=True)
class Component:
    """One running component: its client, its informers, its clock and chance. `ready` is what /readyz answers."""

    name: str
    config: ClientConfig
    client: Client
    informers: Informers
    events: EventRecorder
    clock: Clock
    rng: random.Random
    ready: bool = False
    closing: list[Callable[[], Coroutine[Any, Any, None]]] = field(default_factory=list)

    @classmethod
    def make(cls, name: str, config: ClientConfig, *, host: str = "", event_source: str = "") -> Component:
        rng, clock = random.Random(), RealClock()
        client = Client.from_config(config, user_agent=f"{name}/v1.36.2 (wherry)", rng=rng)
        events = EventRecorder(client, component=event_source or name, host=host, clock=clock, rng=rng)
        return cls(name, config, client, Informers(client, rng=rng), events, clock, rng)

    async def wait_for_server(self) -> None:
        """Until the API server answers /readyz; asks every second."""
        while True:
            try:
                await self.client.raw("GET", "/readyz")
                return
            except (ApiError, OSError):
                await asyncio.sleep(SERVER_WAIT_S * (0.2 + 0.2 * self.rng.random()))

    async def run(self, work: Callable[[Component], Coroutine[Any, Any, None]], *, elect: bool = False, terms: Terms | None = None) -> None:
        """Informers, events and `work`, together, until one fails or the task is cancelled."""
        await self.wait_for_server()

        async def started() -> None:
            self.ready = True
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.informers.run(), name="informers")
                tasks.create_task(work(self), name=self.name)

        recording = asyncio.create_task(self.events.run(), name="events")
        try:
            if elect:
                terms = terms or Terms()
                identity = f"{socket.gethostname()}_{self.rng.getrandbits(64):016x}"
                await lead(
                    self.client,
                    name=terms.name or self.name,
                    namespace=terms.namespace,
                    identity=identity,
                    clock=self.clock,
                    rng=self.rng,
                    on_started=started,
                    events=self.events,
                    lease_duration_s=terms.lease_duration_s,
                    renew_deadline_s=terms.renew_deadline_s,
                    retry_period_s=terms.retry_period_s,
                )
            else:
                await started()
        finally:
            recording.cancel()
            await asyncio.gather(recording, return_exceptions=True)
            for close in self.closing:
                await close()
            await self.client.close()


def run_component(
    name: str,
    flags: argparse.Namespace,
    work: Callable[[Component], Coroutine[Any, Any, None]],
    *,
    host: str = "",
    event_source: str = "",
    terms: Terms | None = None,
) -> int:
    """Read the kubeconfig, serve health, run `work` until a signal. The exit code; problems of the user's are one line on stderr.
    `host` and `event_source` (default: `name`) are the source of its Events, `terms` those of `--leader-elect`, unless flags say others."""
    set_up_logging(verbosity=flags.v, format=flags.logging_format)
    elects = getattr(flags, "leader_elect", False)
    try:
        config = load_kubeconfig(flags.kubeconfig)
        terms = terms_of_flags(flags, terms or Terms()) if elects else None
    except ConfigError as error:
        print(f"{name}: --kubeconfig {error}", file=sys.stderr)
        return 1
    except ElectionFlagsError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1

    async def main() -> None:
        try:
            component = Component.make(name, config, host=host, event_source=event_source)
        except ConfigError as error:
            raise CannotRun(f"--kubeconfig {flags.kubeconfig}: {error}") from error
        health = HealthServer(
            port=flags.healthz_port, host=flags.bind_address, ready_checks={"started": lambda: None if component.ready else "not started"}
        )
        try:
            await health.start()
        except OSError as error:
            await component.client.close()
            raise cannot_listen(flags.bind_address, flags.healthz_port, error, "--healthz-port (or --bind-address)") from error
        try:
            await component.run(work, elect=elects, terms=terms)
        finally:
            await health.stop()

    return run_until_signal(main, name=name)
