"""The files that the kubelet itself puts into containers: /etc/hosts, and /etc/resolv.conf where the pod says what is to be in it. Pure.

Source: upstream `kubelet_pods.go managedHostsFileContent`, `pkg/kubelet/network/dns`. Without cluster DNS there is nothing to say in the
resolv.conf of other pods.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kube.objects import Object, name_of, namespace_of
from kubelet.environment import Place

HOSTS, RESOLV = "/etc/hosts", "/etc/resolv.conf"
CLUSTER_DOMAIN = "cluster.local"
_LOCAL = (
    ("127.0.0.1", "localhost"),
    ("::1", "localhost ip6-localhost ip6-loopback"),
    ("fe00::0", "ip6-localnet"),
    ("fe00::0", "ip6-mcastprefix"),
    ("fe00::1", "ip6-allnodes"),
    ("fe00::2", "ip6-allrouters"),
)


def own_files(pod: Object, container: Object, place: Place) -> Mapping[str, str]:
    """Path -> text. A container that mounts something in such a place gets none of ours there."""
    mounted = {each["mountPath"] for each in container.get("volumeMounts") or ()}
    found = {HOSTS: _hosts(pod, place)}
    if pod["spec"].get("dnsPolicy") == "None":
        found[RESOLV] = _resolv(pod["spec"].get("dnsConfig") or {})
    return {path: text for path, text in found.items() if path not in mounted}


def _hosts(pod: Object, place: Place) -> str:
    spec = pod["spec"]
    name = spec.get("hostname") or name_of(pod)
    domain = f"{spec['subdomain']}.{namespace_of(pod)}.svc.{CLUSTER_DOMAIN}" if spec.get("subdomain") else ""
    head = "# Kubernetes-managed hosts file (host network).\n" if spec.get("hostNetwork") else "# Kubernetes-managed hosts file.\n"
    own = () if spec.get("hostNetwork") else ((ip, f"{name}.{domain}\t{name}" if domain else name) for ip in place.pod_ips)
    return head + "".join(f"{ip}\t{names}\n" for ip, names in (*_LOCAL, *own)) + "".join(_aliases(spec))


def _aliases(spec: Object) -> Iterator[str]:
    if aliases := spec.get("hostAliases"):
        yield "\n# Entries added by HostAliases.\n"
        for each in aliases:
            yield "\t".join((each["ip"], *(each.get("hostnames") or ()))) + "\n"


def _resolv(config: Object) -> str:
    lines = [f"search {' '.join(config['searches'])}"] if config.get("searches") else []
    lines += [f"nameserver {each}" for each in config.get("nameservers") or ()]
    options = [each["name"] + (f":{each['value']}" if each.get("value") else "") for each in config.get("options") or ()]
    lines += [f"options {' '.join(options)}"] if options else []
    return "".join(f"{line}\n" for line in lines)
