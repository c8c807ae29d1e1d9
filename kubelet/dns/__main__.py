"""`python -m kubelet.dns`: cluster DNS. Flags are those of this project's other components, and CoreDNS's words where it has them."""

from __future__ import annotations

import argparse
import re
import sys

from kube.runtime.component import Component, add_flags, address, port, run_component
from kubelet.dns.process import Settings, serve
from kubelet.dns.resolvers import read_upstream

HEALTH_PORT, DNS_PORT = 8181, 53
"""8181 is where CoreDNS says whether it is ready."""
TTL_S, TTL_S_MAX = 30, 3_600
"""Installers' Corefile; CoreDNS's most."""
_DOMAIN = re.compile(r"(?=.{1,200}\Z)[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*\Z")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="python -m kubelet.dns", description="Wherry's cluster DNS.", allow_abbrev=False)
    add_flags(p, default_port=HEALTH_PORT, elects=False)
    p.add_argument("--port", type=port, default=DNS_PORT, metavar="PORT", help="where it answers, over UDP and TCP; 0 for any (default 53)")
    p.add_argument("--cluster-domain", type=_domain, default="cluster.local", metavar="DOMAIN", help="(default cluster.local)")
    p.add_argument("--ttl", type=_ttl, default=TTL_S, metavar="SECONDS", help=f"for how long answers are good (default {TTL_S})")
    p.add_argument(
        "--upstream",
        default="/etc/resolv.conf",
        metavar="IP[:PORT],...|FILE",
        help='who is asked for other names; "": nobody, they are refused (default /etc/resolv.conf)',
    )
    p.add_argument(
        "--cluster-dns",
        type=_cluster_ip,
        default="",
        metavar="IP",
        help="keep a Service kube-system/kube-dns with this ClusterIP, the kubelets' --cluster-dns (default: keep none)",
    )
    return p


def _domain(text: str) -> str:
    domain = text.lower().rstrip(".")
    if not _DOMAIN.match(domain):
        raise argparse.ArgumentTypeError(f"{text!r} is not a domain")
    return domain


def _ttl(text: str) -> int:
    if not text.isdigit() or int(text) > TTL_S_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0 to {TTL_S_MAX}")
    return int(text)


def _cluster_ip(text: str) -> str:
    return address(text) if text else ""


def main() -> int:
    flags = parser().parse_args()
    try:
        upstream = read_upstream(flags.upstream)
    except ValueError as error:
        print(f"kubelet.dns: --upstream {error}", file=sys.stderr)
        return 1
    settings = Settings(flags.bind_address, flags.port, flags.cluster_domain, flags.ttl, flags.cluster_dns, upstream)

    async def work(component: Component) -> None:
        await serve(component, settings)

    return run_component("kube-dns", flags, work)


if __name__ == "__main__":
    sys.exit(main())
