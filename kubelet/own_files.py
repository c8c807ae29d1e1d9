"""The files that the kubelet itself puts into containers: /etc/hosts, and /etc/resolv.conf (`name_servers.py` says what is in it). Pure.

Source: upstream `kubelet_pods.go managedHostsFileContent`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kube.objects import Object, name_of, namespace_of
from kubelet.environment import Place
from kubelet.name_servers import ClusterDns, resolv_conf

HOSTS, RESOLV = "/etc/hosts", "/etc/resolv.conf"
_LOCAL = (
    ("127.0.0.1", "localhost"),
    ("::1", "localhost ip6-localhost ip6-loopback"),
    ("fe00::0", "ip6-localnet"),
    ("fe00::0", "ip6-mcastprefix"),
    ("fe00::1", "ip6-allnodes"),
    ("fe00::2", "ip6-allrouters"),
)


def own_files(pod: Object, container: Object, place: Place, dns: ClusterDns) -> Mapping[str, str]:
    """Path -> text. A container that mounts something in such a place gets none of ours there."""
    mounted = {each["mountPath"] for each in container.get("volumeMounts") or ()}
    found = {HOSTS: _hosts(pod, place, dns.domain), RESOLV: resolv_conf(pod, dns, place.host_ips)}
    return {path: text for path, text in found.items() if path not in mounted}


def _hosts(pod: Object, place: Place, cluster_domain: str) -> str:
    spec = pod["spec"]
    name = spec.get("hostname") or name_of(pod)
    domain = f"{spec['subdomain']}.{namespace_of(pod)}.svc.{cluster_domain}" if spec.get("subdomain") else ""
    head = "# Kubernetes-managed hosts file (host network).\n" if spec.get("hostNetwork") else "# Kubernetes-managed hosts file.\n"
    own = () if spec.get("hostNetwork") else ((ip, f"{name}.{domain}\t{name}" if domain else name) for ip in place.pod_ips)
    return head + "".join(f"{ip}\t{names}\n" for ip, names in (*_LOCAL, *own)) + "".join(_aliases(spec))


def _aliases(spec: Object) -> Iterator[str]:
    if aliases := spec.get("hostAliases"):
        yield "\n# Entries added by HostAliases.\n"
        for each in aliases:
            yield "\t".join((each["ip"], *(each.get("hostnames") or ()))) + "\n"
