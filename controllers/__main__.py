"""`python -m controllers manager|scheduler`: the control loops, as upstream's kube-controller-manager and kube-scheduler."""

from __future__ import annotations

import argparse
import sys

from controllers.manager.manager import run_manager
from controllers.manager.registry import Options, UnknownController, select
from kube.runtime.component import Component, add_flags, run_component

MANAGER_PORT, SCHEDULER_PORT = 10257, 10259


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
        options = Options(root_ca=root_ca, local_volume_directory=flags.local_volume_directory)
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
