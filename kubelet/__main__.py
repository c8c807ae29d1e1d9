"""`python -m kubelet`: one node agent, or many simulated ones in one process. Flag names are the kubelet's where it has the flag."""

from __future__ import annotations

import argparse
import re
import socket
import sys
from pathlib import Path

from kube.runtime.component import Component, add_flags, address, port, run_component
from kubelet.name_servers import SERVERS_MAX, ClusterDns
from kubelet.process import Settings, serve
from kubelet.stages.query import StageError
from kubelet.stages.simulation import KINDS, Simulation

HEALTH_PORT, SERVER_PORT, NODES_MAX = 10248, 10250, 100_000
_RANGE = re.compile(r"(.*)\{(\d+)\.\.(\d+)\}(.*)\Z")


def node_names(text: str) -> list[str]:
    """`name`, or `prefix{1..100}` for many simulated nodes in one process. Raises ArgumentTypeError."""
    found = _RANGE.match(text)
    names = [text]
    if found:
        before, first, last, after = found.groups()
        if int(last) < int(first) or int(last) - int(first) >= NODES_MAX:
            raise argparse.ArgumentTypeError(f"{text}: {{FIRST..LAST}} must count up, to at most {NODES_MAX} nodes")
        names = [f"{before}{number}{after}" for number in range(int(first), int(last) + 1)]
    if not all(re.fullmatch(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", each) for each in (names[0], names[-1])):
        raise argparse.ArgumentTypeError(f"{text!r} is not a node name (lower case letters, digits, '-' and '.')")
    return names


def _labels(text: str) -> dict[str, str]:
    out = {}
    for part in filter(None, text.split(",")):
        key, equals, value = part.partition("=")
        if not equals or not key:
            raise argparse.ArgumentTypeError(f"{part!r}: expected key=value,...")
        out[key] = value
    return out


def _node_ip(text: str) -> str:
    return text if text in ("", "auto") else address(text)


def _addresses(text: str) -> tuple[str, ...]:
    found = tuple(address(each.strip()) for each in text.split(",") if each.strip())
    if len(found) > SERVERS_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} has more than {SERVERS_MAX} addresses")
    return found


def _count(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of 0 or more")
    return int(text)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="python -m kubelet", description="Wherry's node agent.", allow_abbrev=False)
    add_flags(p, default_port=HEALTH_PORT, elects=False)
    p.add_argument(
        "--hostname-override", required=True, type=node_names, metavar="NAME", help="the node's name; name{1..100} for many simulated nodes"
    )
    p.add_argument("--runtime", choices=["simulated", "process", "cri", "docker"], default="simulated", help="what runs containers")
    p.add_argument(
        "--address", type=address, default="127.0.0.1", metavar="IP", help="address the kubelet's own server listens on (default 127.0.0.1)"
    )
    p.add_argument("--port", type=port, default=SERVER_PORT, metavar="PORT", help="its port, 0 for any free one (default 10250)")
    p.add_argument(
        "--node-ip",
        type=_node_ip,
        default="",
        metavar="IP",
        help="the node's address, as others reach it (default: --address); auto: this host's",
    )
    p.add_argument("--node-labels", type=_labels, default={}, metavar="K=V,...", help="labels to register the node with")
    p.add_argument("--max-pods", type=_count, default=110, metavar="N", help="how many pods a node takes (default 110)")
    p.add_argument(
        "--cluster-dns",
        type=_addresses,
        default=(),
        metavar="IP,...",
        help=f"the name servers of pods whose dnsPolicy is ClusterFirst, at most {SERVERS_MAX} (default: none)",
    )
    p.add_argument(
        "--cluster-domain",
        type=lambda text: text.rstrip("."),
        default=ClusterDns().domain,
        metavar="DOMAIN",
        help="the domain of Services' names (default cluster.local)",
    )
    p.add_argument(
        "--stages",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="what simulated pods do: KWOK's Stage, (Cluster)ResourceUsage and Metric objects; repeatable (docs/simulation.md)",
    )
    p.add_argument(
        "--enable-crds",
        default=[],
        type=_kinds,
        metavar="KIND,...",
        help=f"read objects of these kinds from the cluster, too ({', '.join(KINDS)})",
    )
    return p


def _kinds(text: str) -> list[str]:
    kinds = [each.strip() for each in text.split(",") if each.strip()]
    for each in kinds:
        if each not in KINDS:
            raise argparse.ArgumentTypeError(f"{each!r} is not one of {', '.join(KINDS)}")
    return kinds


def _own_address() -> str:
    """What this host's name resolves to."""
    return socket.gethostbyname(socket.gethostname())


def main() -> int:
    flags = parser().parse_args()
    if flags.runtime != "simulated":
        print(f"kubelet: --runtime {flags.runtime}: not implemented yet; this version has only the simulated runtime", file=sys.stderr)
        return 2
    names: list[str] = flags.hostname_override
    try:
        node_ip = _own_address() if flags.node_ip == "auto" else flags.node_ip or flags.address
    except OSError as error:
        print(f"kubelet: --node-ip auto: the name of this host, {socket.gethostname()}, has no address ({error.strerror})", file=sys.stderr)
        return 1
    try:
        simulation = Simulation.load(flags.stages)
    except (StageError, OSError) as error:
        print(f"kubelet: --stages {error}", file=sys.stderr)
        return 1
    settings = Settings(
        simulation=simulation,
        custom_kinds=flags.enable_crds,
        node_names=names,
        address=flags.address,
        port=flags.port,
        node_ip=node_ip,
        labels=flags.node_labels,
        pods_max=flags.max_pods,
        dns=ClusterDns(flags.cluster_dns, flags.cluster_domain),
    )

    async def work(component: Component) -> None:
        await serve(component, settings)

    return run_component("kubelet", flags, work, host=names[0])


if __name__ == "__main__":
    sys.exit(main())
