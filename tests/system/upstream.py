"""Upstream's own binaries as processes beside Wherry's, for whoever has them. Nothing here is a test.

`WHERRY_UPSTREAM_BINARIES` names the directory that they are in (docs/upstream.md). `Place` is one cluster: its directory, its ports, its
identity. Either server can be started there, and any of the components of both sides against it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from apiserver.front_proxy import CLIENT, FrontProxy
from apiserver.identity import Authority, server_names
from kube.client.config import ClientConfig, write_kubeconfig
from kube.clock import RealClock
from tests.system.running import free_port
from wherry.plan import CLOUD_USER, MANAGER_USER, METRICS_USER, NODE_GROUP, SCHEDULER_USER, Options, Process, processes

VARIABLE: Final = "WHERRY_UPSTREAM_BINARIES"
ADMIN_GROUP: Final = "system:masters"
RANGE: Final = "10.0.0.0/24"
SIMULATED: Final = "simulated"
"""The kubeconfig of a process of many nodes, which may do what any of them may."""


def require(*names: str) -> None:
    """Skips the test where not all of these binaries are there."""
    if not os.environ.get(VARIABLE):
        pytest.skip(f"{VARIABLE} is not set (docs/upstream.md)")
    missing = [name for name in names if not os.access(_binary(name), os.X_OK)]
    if missing:
        pytest.skip(f"{VARIABLE}={os.environ[VARIABLE]}: no {', '.join(missing)} there")


def _binary(name: str) -> Path:
    return Path(os.environ.get(VARIABLE, "")).resolve() / name


@dataclass(frozen=True, slots=True)
class Place:
    """One cluster's directory and port."""

    data: Path
    port: int

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def pki(self) -> Path:
        return self.data / "pki"

    @property
    def admin(self) -> Path:
        """The kubeconfig of an admin."""
        return self.data / "kubeconfig"

    @property
    def audit(self) -> Path:
        """What kube-apiserver writes down."""
        return self.data / "audit.log"

    def kubeconfig(self, name: str) -> Path:
        return self.data / "kubeconfigs" / name

    def log(self, name: str) -> Path:
        return self.data / "logs" / f"{name}.log"


def new_place(directory: Path) -> Place:
    """A place for a cluster, on a free port."""
    return Place(directory, free_port())


# --- Wherry's side ------------------------------------------------------------------------------------------------------------


def wherry_server(place: Place) -> Process:
    """Wherry's API server, which makes the place's identity and every kubeconfig."""
    (server,) = (each for each in _planned(place) if each.name == "apiserver")
    simulated = f"--issue-kubeconfig=system:node:{SIMULATED},{ADMIN_GROUP}={place.kubeconfig(SIMULATED)}"
    return Process(server.name, (*server.command, f"--service-cluster-ip-range={RANGE}", simulated), server.log)


def wherry_component(place: Place, name: str, *flags: str) -> Process:
    """controller-manager, scheduler or cloud-controller-manager, as `wherry up` starts it, and these flags."""
    (found,) = (each for each in _planned(place) if each.name == name)
    return replace(found, command=(*found.command, *flags))


def _planned(place: Place) -> list[Process]:
    return processes(Options(data_dir=place.data, nodes=0, secure_port=place.port))


def wherry_nodes(place: Place, names: str, *, user: str = SIMULATED) -> Process:
    """Simulated nodes in one process: `node-1`, or `node-{1..20}`."""
    config = place.kubeconfig(user)
    command = (
        sys.executable, "-m", "kubelet", f"--kubeconfig={config}", f"--hostname-override={names}", "--port=0", "--healthz-port=0", "--v=2",
    )  # fmt: skip
    return Process(f"kubelet {names}", command, place.log(f"kubelet-{names}"), config)


# --- upstream's side ----------------------------------------------------------------------------------------------------------


def _serving(place: Place, name: str, user: str) -> tuple[str, ...]:
    """The flags that upstream's components share."""
    config = place.kubeconfig(user)
    return (
        str(_binary(name)), f"--kubeconfig={config}", f"--authentication-kubeconfig={config}", f"--authorization-kubeconfig={config}",
        "--bind-address=127.0.0.1", f"--secure-port={free_port()}", f"--cert-dir={place.data / name}", "--v=2",
    )  # fmt: skip


def upstream_scheduler(place: Place) -> Process:
    """kube-scheduler, with leader election, as it is by default."""
    command = _serving(place, "kube-scheduler", "scheduler")
    return Process("kube-scheduler", command, place.log("kube-scheduler"), place.kubeconfig("scheduler"))


def upstream_manager(place: Place) -> Process:
    """kube-controller-manager with all its controllers, each under a ServiceAccount of its own."""
    pki = place.pki
    command = (
        *_serving(place, "kube-controller-manager", "controller-manager"), "--use-service-account-credentials=true",
        "--controllers=*,bootstrap-signer-controller,token-cleaner-controller", f"--root-ca-file={pki / 'ca.crt'}",
        f"--service-account-private-key-file={pki / 'sa.key'}", f"--cluster-signing-cert-file={pki / 'ca.crt'}",
        f"--cluster-signing-key-file={pki / 'ca.key'}",
    )  # fmt: skip
    return Process("kube-controller-manager", command, place.log("kube-controller-manager"), place.kubeconfig("controller-manager"))


def upstream_server(place: Place, *, nodes: Iterable[str], authorization: str = "Node,RBAC") -> list[Process]:
    """etcd and kube-apiserver, which writes down every request in `place.audit`. The identity and the kubeconfigs are made here."""
    _identify(place, nodes)
    policy = place.data / "audit-policy.yaml"
    policy.write_text(
        '{"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], "rules": [{"level": "Metadata"}]}'
    )
    etcd = f"http://127.0.0.1:{free_port()}"
    peer = f"http://127.0.0.1:{free_port()}"
    store = (
        str(_binary("etcd")), f"--data-dir={place.data / 'etcd'}", "--unsafe-no-fsync", f"--listen-client-urls={etcd}",
        f"--advertise-client-urls={etcd}", f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
    )  # fmt: skip
    pki, front = place.pki, place.pki / "front-proxy"
    server = (
        str(_binary("kube-apiserver")), f"--etcd-servers={etcd}", "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1",
        "--endpoint-reconciler-type=none", f"--secure-port={place.port}", f"--tls-cert-file={pki / 'apiserver.crt'}",
        f"--tls-private-key-file={pki / 'apiserver.key'}", f"--client-ca-file={pki / 'ca.crt'}",
        f"--kubelet-certificate-authority={pki / 'ca.crt'}", f"--kubelet-client-certificate={pki / 'kubelet-client.crt'}",
        f"--kubelet-client-key={pki / 'kubelet-client.key'}", f"--authorization-mode={authorization}",
        "--enable-admission-plugins=NodeRestriction", f"--service-cluster-ip-range={RANGE}",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local", f"--service-account-key-file={pki / 'sa.pub'}",
        f"--service-account-signing-key-file={pki / 'sa.key'}", "--kubelet-preferred-address-types=InternalIP",
        f"--requestheader-client-ca-file={front / 'ca.crt'}", f"--requestheader-allowed-names={CLIENT}",
        "--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-", f"--proxy-client-cert-file={front / f'{CLIENT}.crt'}",
        f"--proxy-client-key-file={front / f'{CLIENT}.key'}", "--allow-privileged=true",
        f"--audit-policy-file={policy}", f"--audit-log-path={place.audit}", "--v=2",
    )  # fmt: skip
    return [Process("etcd", store, place.log("etcd")), Process("kube-apiserver", server, place.log("kube-apiserver"))]


def _identify(place: Place, nodes: Iterable[str]) -> None:
    authority = Authority.load_or_create(place.pki, RealClock())
    public = authority.signing_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (place.pki / "sa.pub").write_bytes(public)
    FrontProxy.load_or_create(place.pki / "front-proxy", RealClock())
    authority.kept("apiserver", "kube-apiserver", server_names=server_names("127.0.0.1", "10.0.0.1", ()), client=False)
    authority.kept("kubelet-client", "kube-apiserver-kubelet-client", (ADMIN_GROUP,))
    users: dict[Path, tuple[str, tuple[str, ...]]] = {
        place.admin: ("admin", (ADMIN_GROUP,)),
        place.kubeconfig("controller-manager"): (MANAGER_USER, ()),
        place.kubeconfig("scheduler"): (SCHEDULER_USER, ()),
        place.kubeconfig("metrics-server"): (METRICS_USER, ()),
        place.kubeconfig(SIMULATED): (f"system:node:{SIMULATED}", (ADMIN_GROUP,)),
        place.kubeconfig("cloud"): (CLOUD_USER, (ADMIN_GROUP,)),
    }
    users |= {place.kubeconfig(name): (f"system:node:{name}", (NODE_GROUP,)) for name in nodes}
    for path, (user, groups) in users.items():
        names = [user.removeprefix("system:node:"), "localhost", "127.0.0.1"]  # kubelets serve with the certificate that they have
        pair = authority.issue(user, groups, server_names=names)
        config = ClientConfig(
            server=place.url, ca_data=authority.certificate_pem, client_cert_data=pair.certificate, client_key_data=pair.key
        )
        write_kubeconfig(path, config, user_name=user)
