"""What can be set on the command line of the API server, checked. Flag names are upstream's where upstream has the flag."""

from __future__ import annotations

import argparse
import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from apiserver.admission.selection import OFF_BY_DEFAULT, ORDERED
from apiserver.admission.selection import problems as plugin_problems
from apiserver.registry.enablement import RuntimeConfig, RuntimeConfigError, read_runtime_config
from kube.feature_gates import KNOWN, FeatureGateError, read_gates

VERSIONS = tuple(f"1.{minor}" for minor in range(25, 38))
STORAGES: Final = ("sqlite", "memory")
AUTHORIZATION_MODES: Final = ("AlwaysAllow", "AlwaysDeny", "Node", "RBAC")
# deviates: --authorization-mode is Node,RBAC unless asked for otherwise, as installers set it; kube-apiserver's own default is AlwaysAllow
NODE_ADDRESS_TYPES: Final = ("Hostname", "InternalDNS", "InternalIP", "ExternalDNS", "ExternalIP")


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedKubeconfig:
    """One --issue-kubeconfig USER[,GROUP...][@SERVER]=FILE."""

    user: str
    groups: tuple[str, ...] = ()
    server: str = ""
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Checked settings. Each field is the flag of the same name, with dashes. Raises SettingsError.

    A dataclass, and no model of pydantic's: flags are flat and come typed from argparse, and loading pydantic took a sixth of the server's
    start."""

    data_dir: Path = Path(".wherry")
    storage: str = "sqlite"
    bind_address: str = "127.0.0.1"
    secure_port: int = 6443
    advertise_address: str = ""
    advertise_host: str = ""
    tls_san: tuple[str, ...] = ()
    token_auth_file: Path | None = None
    authorization_mode: tuple[str, ...] = ("Node", "RBAC")
    enable_admission_plugins: tuple[str, ...] = ()
    disable_admission_plugins: tuple[str, ...] = ()
    service_cluster_ip_range: str = "10.0.0.0/24"
    emulated_version: str = "1.36"
    max_requests_inflight: int = 400
    max_mutating_requests_inflight: int = 200
    kubelet_preferred_address_types: tuple[str, ...] = NODE_ADDRESS_TYPES
    enable_aggregator_routing: bool = False
    issuer: str = "https://kubernetes.default.svc"
    issue_kubeconfig: tuple[IssuedKubeconfig, ...] = ()
    runtime_config: tuple[str, ...] = ()
    feature_gates: tuple[str, ...] = ()
    v: int = 2

    def __post_init__(self) -> None:
        problems = [f"--{name.replace('_', '-')} {_shown(getattr(self, name))}: {why}" for name, why in _problems(self)]
        problems += plugin_problems(self.enable_admission_plugins, self.disable_admission_plugins)
        if problems:
            raise SettingsError("; ".join(problems))

    @property
    def versions(self) -> RuntimeConfig:
        """Which versions of the API are on (`runtime_config`)."""
        return read_runtime_config(self.runtime_config)

    @property
    def gates(self) -> frozenset[str]:
        """Which features are on (`feature_gates`)."""
        return read_gates(self.feature_gates)


def _shown(value: Any) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)


_RANGES: Final = {
    "secure_port": (0, 65535),
    "max_requests_inflight": (0, 1 << 31),
    "max_mutating_requests_inflight": (0, 1 << 31),
    "v": (0, 10),
}


def _problems(settings: Settings) -> Iterator[tuple[str, str]]:
    """(field, what is wrong with it)."""
    if settings.storage not in STORAGES:
        yield "storage", f"must be one of {', '.join(STORAGES)}"
    for name in ("bind_address", "advertise_address"):
        value = getattr(settings, name)
        try:
            ipaddress.ip_address(value or "::")
        except ValueError as error:
            yield name, str(error)
    for name, (least, most) in _RANGES.items():
        if getattr(settings, name) < least:
            yield name, f"must be at least {least}"
        elif getattr(settings, name) > most:
            yield name, f"must be at most {most}"
    try:
        if ipaddress.ip_network(settings.service_cluster_ip_range).num_addresses < 8:
            yield "service_cluster_ip_range", "must hold at least 8 addresses"
    except ValueError as error:
        yield "service_cluster_ip_range", str(error)
    if not settings.authorization_mode or any(each not in AUTHORIZATION_MODES for each in settings.authorization_mode):
        yield "authorization_mode", f"each must be one of {', '.join(AUTHORIZATION_MODES)}"
    unknown = [each for each in settings.kubelet_preferred_address_types if each not in NODE_ADDRESS_TYPES]
    if unknown:
        yield "kubelet_preferred_address_types", f"each must be one of {', '.join(NODE_ADDRESS_TYPES)}"
    try:
        read_runtime_config(settings.runtime_config)
    except RuntimeConfigError as error:
        yield "runtime_config", str(error)
    try:
        read_gates(settings.feature_gates)
    except FeatureGateError as error:
        yield "feature_gates", str(error)
    if settings.emulated_version not in VERSIONS:
        yield "emulated_version", f"must be one of {VERSIONS[0]} to {VERSIONS[-1]}"


class SettingsError(ValueError):
    """A flag that cannot be used; the text names it and says what it takes."""


def _issued(text: str) -> IssuedKubeconfig:
    who, equals, path = text.partition("=")
    names, _, server = who.partition("@")
    user, *groups = (each.strip() for each in names.split(","))
    if not equals or not path or not user:
        raise SettingsError(f"--issue-kubeconfig {text}: expected USER[,GROUP...][@SERVER]=FILE")
    return IssuedKubeconfig(user=user, groups=tuple(groups), server=server, path=Path(path))


def parser() -> argparse.ArgumentParser:
    """The command line of `python -m apiserver`."""
    p = argparse.ArgumentParser(prog="python -m apiserver", description="The Kubernetes API server of Wherry, alone.", allow_abbrev=False)
    p.add_argument("--data-dir", metavar="DIR", help="where state, keys and the admin's kubeconfig are kept (default .wherry)")
    p.add_argument("--storage", choices=["sqlite", "memory"], help="sqlite (default): durable; memory: gone with the process")
    p.add_argument("--bind-address", metavar="IP", help="address to listen on (default 127.0.0.1)")
    p.add_argument("--secure-port", type=int, metavar="PORT", help="port to listen on, 0 for any free one (default 6443)")
    p.add_argument("--advertise-address", metavar="IP", help="address of the `kubernetes` Service's endpoint (default 127.0.0.1)")
    p.add_argument("--advertise-host", metavar="NAME", help="name or address that kubeconfigs point at (default: the bind address)")
    p.add_argument("--tls-san", action="append", metavar="NAME", help="another name or address for the server's certificate; repeatable")
    p.add_argument("--token-auth-file", metavar="FILE", help='static tokens: lines of token,user,uid[,"group1,group2"]')
    p.add_argument(
        "--authorization-mode",
        metavar="MODE[,MODE...]",
        help=f"who decides what users may do, in this order: {', '.join(AUTHORIZATION_MODES)} (default Node,RBAC)",
    )
    for verb, which in (("enable", f"off by default: {', '.join(sorted(OFF_BY_DEFAULT))}"), ("disable", "that would be on")):
        p.add_argument(
            f"--{verb}-admission-plugins",
            action="append",
            metavar="NAME[,NAME...]",
            help=f"plugins to {verb} ({which}); repeatable. There are {', '.join(ORDERED)}",
        )
    p.add_argument("--service-cluster-ip-range", metavar="CIDR", help="addresses of Services (default 10.0.0.0/24)")
    p.add_argument("--emulated-version", metavar="X.Y", help="the Kubernetes version to play, 1.25 to 1.37 (default 1.36)")
    p.add_argument("--max-requests-inflight", type=int, metavar="N", help="reads served at once, 0 for no limit (default 400)")
    p.add_argument("--max-mutating-requests-inflight", type=int, metavar="N", help="writes served at once, 0 for no limit (default 200)")
    p.add_argument(
        "--kubelet-preferred-address-types",
        metavar="TYPE[,TYPE...]",
        help=f"which of a node's addresses to reach its agent at, best first (default {','.join(NODE_ADDRESS_TYPES)})",
    )
    p.add_argument(
        "--enable-aggregator-routing",
        action="store_const",
        const=True,
        help="send requests for APIServices to endpoints of their Services, not to ClusterIPs",
    )
    p.add_argument("--service-account-issuer", dest="issuer", metavar="URL", help="issuer of ServiceAccount tokens")
    p.add_argument(
        "--issue-kubeconfig",
        action="append",
        metavar="USER[,GROUP...][@SERVER]=FILE",
        help="at start, write a kubeconfig with a client certificate for this user; repeatable",
    )
    p.add_argument(
        "--runtime-config",
        action="append",
        metavar="KEY=BOOL[,...]",
        help="which versions of the API to serve: GROUP/VERSION, GROUP/VERSION/RESOURCE, api/all, api/ga, api/beta, api/alpha; repeatable",
    )
    p.add_argument(
        "--feature-gates",
        action="append",
        metavar="NAME=BOOL[,...]",
        help=f"features to switch: {', '.join(KNOWN)} (off by default), AllAlpha, AllBeta; repeatable",
    )
    p.add_argument("-v", "--v", type=int, metavar="LEVEL", help="log level as klog's: 0 errors, 2 normal (default), 4 debug")
    return p


def read(arguments: list[str] | None = None) -> Settings:
    """The settings of a command line. Raises SettingsError; -h and unknown flags end the process as argparse does."""
    given: dict[str, Any] = {key: value for key, value in vars(parser().parse_args(arguments)).items() if value is not None}
    if "issue_kubeconfig" in given:
        given["issue_kubeconfig"] = tuple(_issued(text) for text in given["issue_kubeconfig"])
    for name in ("kubelet_preferred_address_types", "authorization_mode"):
        if name in given:
            given[name] = tuple(each.strip() for each in given[name].split(","))
    for name in ("enable_admission_plugins", "disable_admission_plugins"):
        if name in given:
            given[name] = tuple(each for listed in given[name] if listed for each in listed.split(","))
    for name in ("tls_san", "runtime_config", "feature_gates"):
        if name in given:
            given[name] = tuple(given[name])
    for name in ("data_dir", "token_auth_file"):
        if name in given:
            given[name] = Path(given[name])
    return Settings(**given)
