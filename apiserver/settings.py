"""What can be set on the command line of the API server, checked. Flag names are upstream's where upstream has the flag."""

from __future__ import annotations

import argparse
import ipaddress
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

VERSIONS = tuple(f"1.{minor}" for minor in range(25, 38))


class IssuedKubeconfig(BaseModel):
    """One --issue-kubeconfig USER[,GROUP...][@SERVER]=FILE."""

    model_config = ConfigDict(frozen=True)
    user: str
    groups: tuple[str, ...] = ()
    server: str = ""
    path: Path


class Settings(BaseModel):
    """Checked settings. Each field is the flag of the same name, with dashes."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    data_dir: Path = Path(".wherry")
    storage: Literal["sqlite", "memory"] = "sqlite"
    bind_address: str = "127.0.0.1"
    secure_port: Annotated[int, Field(ge=0, le=65535)] = 6443
    advertise_address: str = ""
    advertise_host: str = ""
    tls_san: tuple[str, ...] = ()
    token_auth_file: Path | None = None
    service_cluster_ip_range: str = "10.0.0.0/24"
    emulated_version: str = "1.36"
    max_requests_inflight: Annotated[int, Field(ge=0)] = 400
    max_mutating_requests_inflight: Annotated[int, Field(ge=0)] = 200
    issuer: str = "https://kubernetes.default.svc.cluster.local"
    issue_kubeconfig: tuple[IssuedKubeconfig, ...] = ()
    v: Annotated[int, Field(ge=0, le=10)] = 2

    @field_validator("bind_address", "advertise_address")
    @classmethod
    def _address(cls, value: str) -> str:
        if value:
            ipaddress.ip_address(value)
        return value

    @field_validator("service_cluster_ip_range")
    @classmethod
    def _range(cls, value: str) -> str:
        network = ipaddress.ip_network(value)
        if network.num_addresses < 8:
            raise ValueError("must hold at least 8 addresses")
        return value

    @field_validator("emulated_version")
    @classmethod
    def _version(cls, value: str) -> str:
        if value not in VERSIONS:
            raise ValueError(f"must be one of {VERSIONS[0]} to {VERSIONS[-1]}")
        return value


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
    p.add_argument("--service-cluster-ip-range", metavar="CIDR", help="addresses of Services (default 10.0.0.0/24)")
    p.add_argument("--emulated-version", metavar="X.Y", help="the Kubernetes version to play, 1.25 to 1.37 (default 1.36)")
    p.add_argument("--max-requests-inflight", type=int, metavar="N", help="reads served at once, 0 for no limit (default 400)")
    p.add_argument("--max-mutating-requests-inflight", type=int, metavar="N", help="writes served at once, 0 for no limit (default 200)")
    p.add_argument("--service-account-issuer", dest="issuer", metavar="URL", help="issuer of ServiceAccount tokens")
    p.add_argument(
        "--issue-kubeconfig",
        action="append",
        metavar="USER[,GROUP...][@SERVER]=FILE",
        help="at start, write a kubeconfig with a client certificate for this user; repeatable",
    )
    p.add_argument("-v", "--v", type=int, metavar="LEVEL", help="log level as klog's: 0 errors, 2 normal (default), 4 debug")
    return p


def read(arguments: list[str] | None = None) -> Settings:
    """The settings of a command line. Raises SettingsError; -h and unknown flags end the process as argparse does."""
    given = {key: value for key, value in vars(parser().parse_args(arguments)).items() if value is not None}
    if "issue_kubeconfig" in given:
        given["issue_kubeconfig"] = tuple(_issued(text) for text in given["issue_kubeconfig"])
    if "tls_san" in given:
        given["tls_san"] = tuple(given["tls_san"])
    try:
        return Settings(**given)
    except ValidationError as error:
        problems = [
            f"--{str(each['loc'][0]).replace('_', '-')} {each['input']}: {each['msg'].removeprefix('Value error, ')}"
            for each in error.errors()
        ]
        raise SettingsError("; ".join(problems)) from error
