"""Which name servers a pod's containers ask, and how: what its dnsPolicy and dnsConfig make of the kubelet's cluster DNS. Pure.

Where a pod is not to ask cluster DNS, or there is none (no `--cluster-dns`), it gets what a kubelet with `--resolv-conf=""` gives.
Source: upstream `pkg/kubelet/network/dns/dns.go` (GetPodDNS).
deviates: simulated nodes have no resolv.conf that pods could inherit, and no MissingClusterDNS events are told
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from kube.objects import Object, namespace_of

SERVERS_MAX, SEARCHES_MAX, SEARCH_CHARS_MAX, SEARCH_NAME_CHARS_MAX = 3, 32, 2048, 253
_CLUSTER_OPTIONS = ("ndots:5",)


@dataclass(frozen=True, slots=True)
class ClusterDns:
    """`--cluster-dns` and `--cluster-domain`. deviates: the domain is cluster.local unless told otherwise, as installers set it"""

    servers: tuple[str, ...] = ()
    domain: str = "cluster.local"


def resolv_conf(pod: Object, dns: ClusterDns, node_ips: Sequence[str] = ()) -> str:
    """The text of the containers' /etc/resolv.conf."""
    servers, searches, options = _by_policy(pod, dns, node_ips)
    if config := pod["spec"].get("dnsConfig"):
        servers = _once((*servers, *(config.get("nameservers") or ())))
        searches = _once((*searches, *(config.get("searches") or ())))
        options = _merged(options, config.get("options") or ())
    return _text(servers[:SERVERS_MAX], _fitting(searches), options)


def _by_policy(pod: Object, dns: ClusterDns, node_ips: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Servers, searches, options."""
    spec = pod["spec"]
    policy = spec.get("dnsPolicy") or "ClusterFirst"
    if policy == "None":
        return (), (), ()
    wants_cluster = policy == "ClusterFirstWithHostNet" or (policy == "ClusterFirst" and not spec.get("hostNetwork"))
    if wants_cluster and dns.servers:
        own = f"svc.{dns.domain}"
        searches = (f"{namespace_of(pod)}.{own}", own, dns.domain) if dns.domain else ()
        return dns.servers, searches, _CLUSTER_OPTIONS
    return tuple("::1" if ":" in each else "127.0.0.1" for each in node_ips) or ("127.0.0.1",), (".",), ()


def _merged(options: Iterable[str], given: Iterable[Object]) -> tuple[str, ...]:
    """What is given replaces an option of the same name."""
    found = dict(each.partition(":")[::2] for each in options)
    found.update({each["name"]: each.get("value") or "" for each in given})
    return tuple(f"{name}:{value}" if value else name for name, value in found.items())


def _fitting(searches: Sequence[str]) -> tuple[str, ...]:
    """As many as resolvers take."""
    found = [each for each in searches[:SEARCHES_MAX] if len(each) <= SEARCH_NAME_CHARS_MAX]
    while found and len(" ".join(found)) > SEARCH_CHARS_MAX:
        found.pop()
    return tuple(found)


def _once(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))


@lru_cache(maxsize=1024)
def _text(servers: tuple[str, ...], searches: tuple[str, ...], options: tuple[str, ...]) -> str:
    """One text for all pods of a namespace: a node has many."""
    lines = [f"search {' '.join(searches)}"] if searches else []
    lines += [f"nameserver {each}" for each in servers]
    lines += [f"options {' '.join(options)}"] if options else []
    return "".join(f"{line}\n" for line in lines)
