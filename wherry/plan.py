"""What a cluster consists of: which processes, with which commands. Pure; `up` starts them, docker-compose.yml says the same.

Every process is one of the components' own commands (`python -m apiserver`, ...), so each can be run by hand or replaced by upstream's.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MANAGER_USER: Final = "system:kube-controller-manager"
SCHEDULER_USER: Final = "system:kube-scheduler"
METRICS_USER: Final = "system:metrics-server"
CLOUD_USER: Final = "system:cloud-controller-manager"
DNS_USER: Final = "system:kube-dns"
NODE_GROUP: Final = "system:nodes"

AUTHORIZING: Final = ("--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction")
"""Everybody has the rights of their roles and no more, as in clusters that kubeadm makes."""
REACHING: Final = ("--kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname", "--enable-aggregator-routing")
"""How the API server finds node agents and extension API servers here, where nobody need resolve node names or route ClusterIPs."""


CLUSTER_DNS: Final = "10.0.0.10"
"""The ClusterIP of kube-dns: the tenth of the Services' range, as installers have it."""
DNS_ADDRESS: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Options:
    """What `wherry up` was asked for."""

    data_dir: Path
    nodes: int = 3
    runtime: str = "simulated"
    secure_port: int = 6443
    dns_port: int = 0
    dns_upstream: str = "/etc/resolv.conf"
    """Who knows other names than the cluster's, as `python -m kubelet.dns --upstream` has it."""
    bind_address: str = "127.0.0.1"
    storage: str = "sqlite"
    emulated_version: str = "1.36"
    verbosity: int = 2
    stages: tuple[Path, ...] = ()
    """What simulated pods do: files of KWOK's objects."""
    enable_crds: str = ""
    """Which kinds of KWOK's objects the kubelets read from the cluster, too."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process: what it is called, its command, and where its log goes. `kubeconfig` is the file it waits for, if it needs one.
    What is not `is_needed_first` is started when the nodes are Ready."""

    name: str
    command: tuple[str, ...]
    log: Path
    kubeconfig: Path | None = None
    is_needed_first: bool = True


def volumes_directory(options: Options) -> Path:
    """Where the directories of provisioned volumes are."""
    return options.data_dir / "volumes"


def node_names(count: int) -> list[str]:
    """`wherry-1`, `wherry-2`, ..."""
    return [f"wherry-{number}" for number in range(1, count + 1)]


def processes(options: Options, python: str = sys.executable) -> list[Process]:
    """The processes of a cluster, in the order in which they are started."""
    data, verbosity = options.data_dir, f"--v={options.verbosity}"
    logs, configs = data / "logs", data / "kubeconfigs"
    issued = {MANAGER_USER: configs / "controller-manager", SCHEDULER_USER: configs / "scheduler"}
    issue = [f"--issue-kubeconfig={user}={path}" for user, path in issued.items()]
    issued[CLOUD_USER] = configs / "cloud"
    issue.append(f"--issue-kubeconfig={CLOUD_USER}={issued[CLOUD_USER]}")
    names = node_names(options.nodes)
    issue += [f"--issue-kubeconfig=system:node:{name},{NODE_GROUP}={configs / name}" for name in names]
    issued[METRICS_USER] = configs / "metrics-server"
    issued[DNS_USER] = configs / "kube-dns"
    issue += [f"--issue-kubeconfig={user}={issued[user]}" for user in (METRICS_USER, DNS_USER)]
    server = (
        python, "-m", "apiserver", f"--data-dir={data}", f"--secure-port={options.secure_port}", f"--bind-address={options.bind_address}",
        f"--storage={options.storage}", f"--emulated-version={options.emulated_version}", *AUTHORIZING, *REACHING, verbosity,
        *issue,
    )  # fmt: skip
    out = [Process("apiserver", server, logs / "apiserver.log")]
    signing = (
        f"--cluster-signing-cert-file={data / 'pki' / 'ca.crt'}", f"--cluster-signing-key-file={data / 'pki' / 'ca.key'}",
        f"--service-account-private-key-file={data / 'pki' / 'sa.key'}",
    )  # fmt: skip
    simulation = [f"--stages={each.resolve()}" for each in options.stages]
    simulation += [f"--enable-crds={options.enable_crds}"] if options.enable_crds else []
    for name in names:
        config = configs / name
        argv: tuple[str, ...] = (
            python, "-m", "kubelet", f"--kubeconfig={config}", f"--hostname-override={name}", f"--runtime={options.runtime}",
            "--port=0", "--healthz-port=0", f"--cluster-dns={CLUSTER_DNS}", verbosity, *simulation,
        )  # fmt: skip
        out.append(Process(f"kubelet {name}", argv, logs / f"kubelet-{name}.log", config))
    volumes = f"--local-volume-directory={volumes_directory(options).resolve()}"
    loops: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
        ("controller-manager", "manager", MANAGER_USER, ("--use-service-account-credentials", *signing, volumes)),
        ("scheduler", "scheduler", SCHEDULER_USER, ()),
        ("cloud-controller-manager", "cloud", CLOUD_USER, ()),
        ("metrics-server", "metrics", METRICS_USER, ("--secure-port=0",)),
    )
    for name, command, user, more in loops:
        config = issued[user]
        argv = (python, "-m", "controllers", command, f"--kubeconfig={config}", "--healthz-port=0", verbosity, *more)
        out.append(Process(name, argv, logs / f"{name}.log", config, is_needed_first=command in ("manager", "scheduler")))
    dns = (
        python, "-m", "kubelet.dns", f"--kubeconfig={issued[DNS_USER]}", f"--bind-address={DNS_ADDRESS}", f"--port={options.dns_port}",
        "--healthz-port=0", f"--cluster-dns={CLUSTER_DNS}", f"--upstream={options.dns_upstream}", verbosity,
    )  # fmt: skip
    out.append(Process("kube-dns", dns, logs / "kube-dns.log", issued[DNS_USER], is_needed_first=False))
    return out
