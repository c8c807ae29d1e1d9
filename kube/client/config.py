"""Kubeconfig files: where a server is, how to trust it, and who we are.

Certificates and tokens may be in the file or in files beside it. What is not here: exec plugins and auth providers (refused by name).
Source: client-go `tools/clientcmd/api/v1/types.go`.
"""

from __future__ import annotations

import base64
import binascii
import os
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


class ConfigError(ValueError):
    """A kubeconfig that cannot be used; the text names the file and the field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientConfig:
    """One context of a kubeconfig, files read. Its repr shows no secret."""

    server: str
    ca_data: bytes | None = None
    token: str = ""
    client_cert_data: bytes | None = None
    client_key_data: bytes | None = None
    namespace: str = "default"
    insecure_skip_tls_verify: bool = False
    tls_server_name: str = ""

    def __repr__(self) -> str:
        return f"ClientConfig(server={self.server!r}, namespace={self.namespace!r})"


def load_kubeconfig(path: str | os.PathLike[str], *, context: str | None = None) -> ClientConfig:
    """The named context of the file, or its current one. Raises ConfigError."""
    file = Path(path)
    content = _Part(file, "", _decoded(file))
    name = context or content.text("current-context")
    if not name:
        raise ConfigError(f"{file}: current-context: there is none, and no context was asked for")
    chosen = content.named("contexts", name, "context")
    cluster = content.named("clusters", chosen.text("cluster", required=True), "cluster")
    user_name = chosen.text("user")
    user = content.named("users", user_name, "user") if user_name else _Part(file, "user", {})
    for refused in ("exec", "auth-provider", "username"):
        if user.content.get(refused):
            raise ConfigError(f"{user.where(refused)}: this way to authenticate is not supported; use a token or a client certificate")
    certificate, key = user.data("client-certificate"), user.data("client-key")
    if (certificate is None) != (key is None):
        raise ConfigError(f"{user.where('client-certificate')}: a client certificate and its key are only good together")
    server = cluster.text("server", required=True)
    if not server.startswith(("https://", "http://")):
        raise ConfigError(f"{cluster.where('server')}: {server!r} is not an http(s) URL")
    return ClientConfig(
        server=server,
        ca_data=cluster.data("certificate-authority"),
        token=_token(user),
        client_cert_data=certificate,
        client_key_data=key,
        namespace=chosen.text("namespace") or "default",
        insecure_skip_tls_verify=cluster.flag("insecure-skip-tls-verify"),
        tls_server_name=cluster.text("tls-server-name"),
    )


def write_kubeconfig(
    path: str | os.PathLike[str],
    config: ClientConfig,
    *,
    cluster_name: str = "wherry",
    user_name: str = "admin",
    context_name: str = "wherry",
) -> None:
    """Write a kubeconfig with this one context, all data inside, readable by its owner only; whole or not at all."""
    cluster: dict[str, Any] = {"server": config.server}
    if config.ca_data:
        cluster["certificate-authority-data"] = _encoded(config.ca_data)
    if config.insecure_skip_tls_verify:
        cluster["insecure-skip-tls-verify"] = True
    if config.tls_server_name:
        cluster["tls-server-name"] = config.tls_server_name
    user: dict[str, Any] = {}
    if config.client_cert_data and config.client_key_data:
        user |= {"client-certificate-data": _encoded(config.client_cert_data), "client-key-data": _encoded(config.client_key_data)}
    if config.token:
        user["token"] = config.token
    context = {"cluster": cluster_name, "user": user_name, "namespace": config.namespace}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": cluster_name, "cluster": cluster}],
        "users": [{"name": user_name, "user": user}],
        "contexts": [{"name": context_name, "context": context}],
        "current-context": context_name,
    }
    _write_secret(Path(path), yaml.safe_dump(content, sort_keys=False).encode())


def ssl_context(config: ClientConfig) -> ssl.SSLContext:
    """TLS as the configuration says: verified against its CA (or the system's), unless it says insecure. Raises ConfigError."""
    try:
        context = ssl.create_default_context(cadata=config.ca_data.decode("ascii") if config.ca_data else None)
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError(f"certificate-authority: not a PEM certificate: {error}") from error
    if config.insecure_skip_tls_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if config.client_cert_data and config.client_key_data:
        _load_client_certificate(context, config.client_cert_data, config.client_key_data)
    return context


def _load_client_certificate(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Python reads client certificates from files only: one of our own, for as long as that takes."""
    with tempfile.TemporaryDirectory(prefix="kube-client-") as folder:
        file = Path(folder, "client.pem")
        _write_secret(file, certificate.rstrip() + b"\n" + key)
        try:
            context.load_cert_chain(file)
        except ssl.SSLError as error:
            raise ConfigError(f"client-certificate: the certificate and key do not fit or are not PEM: {error}") from error


def _write_secret(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mkstemp makes it 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


# --- reading ----------------------------------------------------------------------------------------------------------

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_FILE_BYTES_MAX = 16 << 20


def _decoded(file: Path) -> dict[str, Any]:
    try:
        content = yaml.load(_read(file), Loader=_LOADER)
    except yaml.YAMLError as error:
        raise ConfigError(f"{file}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{file}: not a kubeconfig: it holds no mapping")
    return content


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            content = opened.read(_FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from error
    if len(content) > _FILE_BYTES_MAX:
        raise ConfigError(f"{file}: larger than {_FILE_BYTES_MAX} bytes")
    return content


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


@dataclass(frozen=True, slots=True)
class _Part:
    """A mapping of the file, which knows its path for messages."""

    file: Path
    path: str
    content: Mapping[str, Any]

    def where(self, field: str) -> str:
        return f"{self.file}: {self.path}.{field}" if self.path else f"{self.file}: {field}"

    def text(self, field: str, *, required: bool = False) -> str:
        value = self.content.get(field)
        if value is None or value == "":
            if required:
                raise ConfigError(f"{self.where(field)}: required")
            return ""
        if not isinstance(value, str):
            raise ConfigError(f"{self.where(field)}: must be a string")
        return value

    def flag(self, field: str) -> bool:
        value = self.content.get(field) or False
        if not isinstance(value, bool):
            raise ConfigError(f"{self.where(field)}: must be true or false")
        return value

    def named(self, listed: str, name: str, what: str) -> _Part:
        """The mapping `what` of the entry with that name in a list."""
        entries = self.content.get(listed) or []
        if not isinstance(entries, list):
            raise ConfigError(f"{self.where(listed)}: must be a list")
        for entry in entries:
            if isinstance(entry, dict) and entry.get("name") == name:
                content = entry.get(what) or {}
                if not isinstance(content, dict):
                    raise ConfigError(f"{self.where(listed)}[{name}].{what}: must be a mapping")
                return _Part(self.file, f"{listed}[{name}].{what}", content)
        raise ConfigError(f"{self.where(listed)}: there is none named {name!r}")

    def data(self, field: str) -> bytes | None:
        """`field`-data decoded, else what the file named by `field` holds, else None."""
        inline = self.text(f"{field}-data")
        if inline:
            try:
                return base64.b64decode(inline, validate=True)
            except (binascii.Error, ValueError) as error:
                raise ConfigError(f"{self.where(f'{field}-data')}: not base64") from error
        return self.read_named(field)

    def read_named(self, field: str) -> bytes | None:
        """What the file named by `field` (relative to the kubeconfig) holds; None without one."""
        name = self.text(field)
        if not name:
            return None
        try:
            return _read(self.file.parent / name)
        except ConfigError as error:
            raise ConfigError(f"{self.where(field)}: {error}") from error


def _token(user: _Part) -> str:
    """The token: of the file that `tokenFile` names where there is one (as client-go), else the given one."""
    content = user.read_named("tokenFile")
    if content is None:
        return user.text("token")
    try:
        return content.decode("ascii").strip()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{user.where('tokenFile')}: not a token") from error
