"""The `wherry` command. Each subcommand is a module of its own; this one reads the command line."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from wherry.plan import Options

DATA_DIR = ".wherry"


def _nodes(text: str) -> int:
    if not text.isdigit() or not 0 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r}: a number of nodes from 0 to 1000")
    return int(text)


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port (0 to 65535; 0 takes any free one)")
    return int(text)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="wherry", description="A whole Kubernetes, on this machine.", allow_abbrev=False)
    shared = argparse.ArgumentParser(add_help=False)
    where = f"where the cluster lives (default ./{DATA_DIR})"
    shared.add_argument("--data-dir", type=Path, default=Path(DATA_DIR), metavar="DIR", help=where)
    commands = p.add_subparsers(dest="command", required=True, metavar="COMMAND")
    up = commands.add_parser("up", parents=[shared], help="start the cluster, or continue it as it was", allow_abbrev=False)
    up.add_argument("--nodes", type=_nodes, default=3, metavar="N", help="how many nodes, a process each (default 3)")
    runtimes = ["simulated", "process", "cri", "docker"]
    up.add_argument("--runtime", choices=runtimes, default="simulated", help="what runs containers (default simulated)")
    up.add_argument("--secure-port", type=_port, default=6443, metavar="PORT", help="the API server's port, 0 for any (default 6443)")
    up.add_argument(
        "--dns-port", type=_port, default=0, metavar="PORT", help="where cluster DNS answers on this machine (default: any free)"
    )
    asked = 'who is asked for other names than the cluster\'s; "": nobody (default /etc/resolv.conf)'
    up.add_argument("--dns-upstream", default="/etc/resolv.conf", metavar="IP[:PORT],...|FILE", help=asked)
    up.add_argument("--bind-address", default="127.0.0.1", metavar="IP", help="the API server's address (default 127.0.0.1)")
    up.add_argument("--storage", choices=["sqlite", "memory"], default="sqlite", help="sqlite keeps everything (default), memory nothing")
    up.add_argument("--emulated-version", default="1.36", metavar="X.Y", help="the Kubernetes version to play (default 1.36)")
    what = "what simulated pods do: a file of KWOK's objects; repeatable (docs/simulation.md)"
    up.add_argument("--stages", action="append", default=[], type=Path, metavar="FILE", help=what)
    kinds = "which kinds of KWOK's objects are read from the cluster, too: Stage,ResourceUsage,..."
    up.add_argument("--enable-crds", default="", metavar="KIND,...", help=kinds)
    up.add_argument("--detach", action="store_true", help="run in the background; `wherry down` stops it")
    up.add_argument("-v", "--v", type=int, default=2, metavar="LEVEL", help="log level of the components (4 and more: debug)")
    commands.add_parser("down", parents=[shared], help="stop a cluster that runs in the background", allow_abbrev=False)
    commands.add_parser("status", parents=[shared], help="what runs, and whether it is well", allow_abbrev=False)
    kubectl = commands.add_parser("kubectl", help="kubectl, pointed at this cluster", add_help=False, allow_abbrev=False)
    kubectl.add_argument("--data-dir", type=Path, default=Path(DATA_DIR))
    kubectl.add_argument("arguments", nargs=argparse.REMAINDER)
    why = "why a pod is (not) scheduled: per node, who said no"
    explain = commands.add_parser("explain", parents=[shared], help=why, allow_abbrev=False)
    explain.add_argument("what", choices=["pod"])
    explain.add_argument("name")
    explain.add_argument("-n", "--namespace", default="default")
    return p


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit code. Problems that the user can solve are one line on stderr."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    flags = parser().parse_args(given)
    if flags.command == "up":
        return _up(flags, given)
    if flags.command == "down":
        from wherry.down import down

        return down(flags.data_dir)
    if flags.command == "status":
        from wherry.status import status

        return asyncio.run(status(flags.data_dir))
    if flags.command == "kubectl":
        from wherry.kubectl import kubectl

        return kubectl(flags.data_dir, flags.arguments)
    from wherry.explain import explain

    return asyncio.run(explain(flags.data_dir, flags.namespace, flags.name))


def _up(flags: argparse.Namespace, given: list[str]) -> int:
    from apiserver.settings import SettingsError
    from wherry.up import CannotStart, check, detach, up

    options = Options(
        data_dir=flags.data_dir,
        nodes=flags.nodes,
        runtime=flags.runtime,
        secure_port=flags.secure_port,
        dns_port=flags.dns_port,
        dns_upstream=flags.dns_upstream,
        bind_address=flags.bind_address,
        storage=flags.storage,
        emulated_version=flags.emulated_version,
        verbosity=flags.v,
        stages=tuple(flags.stages),
        enable_crds=flags.enable_crds,
    )
    if options.runtime != "simulated":
        print(f"wherry: --runtime {options.runtime}: not implemented yet; this version has only the simulated runtime", file=sys.stderr)
        return 2
    try:
        options = check(options)
    except SettingsError as error:
        print(f"wherry: {error}", file=sys.stderr)
        return 2
    except CannotStart as error:
        print(f"wherry: {error}", file=sys.stderr)
        return 1
    if flags.detach:
        return detach(given, options.data_dir)
    return asyncio.run(up(options))


if __name__ == "__main__":
    sys.exit(main())
