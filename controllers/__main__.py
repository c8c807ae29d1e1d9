"""`python -m controllers manager|scheduler`: the control loops, as upstream's kube-controller-manager and kube-scheduler."""

from __future__ import annotations

import argparse
import sys
from datetime import timedelta

from controllers.manager.certificate_signing import DURATION, Files
from controllers.manager.manager import run_manager
from controllers.manager.registry import Options, UnknownController, select
from kube.runtime.component import Component, add_flags, run_component
from kube.schema.gotime import parse_duration

MANAGER_PORT, SCHEDULER_PORT = 10257, 10259


def duration(text: str) -> timedelta:
    """An argument that is a length of time, as Go writes it (`8760h0m0s`)."""
    try:
        return timedelta(microseconds=parse_duration(text) // 1000)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time like 8760h or 30m") from error


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="python -m controllers", description="Wherry's control loops.", allow_abbrev=False)
    commands = p.add_subparsers(dest="command", required=True)
    manager = commands.add_parser("manager", help="the controllers (kube-controller-manager)", allow_abbrev=False)
    add_flags(manager, default_port=MANAGER_PORT, elects=True)
    manager.add_argument("--controllers", default="*", metavar="LIST", help="which to run: '*' all, 'name' this one, '-name' not this one")
    manager.add_argument(
        "--local-volume-directory",
        default="",
        metavar="DIR",
        help="where the directories of wherry.io/local volumes are on this machine; without it they are never touched",
    )
    manager.add_argument(
        "--cluster-signing-cert-file", default="", metavar="FILE", help="the CA (PEM) that signs CertificateSigningRequests"
    )
    manager.add_argument("--cluster-signing-key-file", default="", metavar="FILE", help="its key (PEM)")
    manager.add_argument(
        "--cluster-signing-duration",
        type=duration,
        default=DURATION,
        metavar="TIME",
        help="for how long certificates are valid at most (default 8760h0m0s)",
    )
    scheduler = commands.add_parser("scheduler", help="the scheduler (kube-scheduler)", allow_abbrev=False)
    add_flags(scheduler, default_port=SCHEDULER_PORT, elects=True)
    scheduler.add_argument("--scheduler-name", default="default-scheduler", metavar="NAME", help="which pods are this one's to schedule")
    return p


def main() -> int:
    flags = parser().parse_args()
    if flags.command == "manager":
        return _manager(flags)
    return _scheduler(flags)


def _manager(flags: argparse.Namespace) -> int:
    chosen = [each.strip() for each in flags.controllers.split(",") if each.strip()]
    try:
        select(chosen)
    except UnknownController as error:
        print(f"kube-controller-manager: --controllers {flags.controllers}: {error}", file=sys.stderr)
        return 2

    async def work(component: Component) -> None:
        root_ca = (component.config.ca_data or b"").decode()
        options = Options(
            root_ca=root_ca,
            local_volume_directory=flags.local_volume_directory,
            cluster_signing=Files(flags.cluster_signing_cert_file, flags.cluster_signing_key_file),
            cluster_signing_duration=flags.cluster_signing_duration,
        )
        await run_manager(component.client, clock=component.clock, rng=component.rng, controllers=chosen, options=options)

    return run_component("kube-controller-manager", flags, work)


def _scheduler(flags: argparse.Namespace) -> int:
    from controllers.scheduler.scheduler import Scheduler

    async def work(component: Component) -> None:
        scheduler = Scheduler(
            component.client,
            component.informers,
            clock=component.clock,
            rng=component.rng,
            events=component.events,
            scheduler_name=flags.scheduler_name,
        )
        await scheduler.run()

    return run_component("kube-scheduler", flags, work, event_source=flags.scheduler_name)


if __name__ == "__main__":
    sys.exit(main())
