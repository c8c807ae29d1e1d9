"""Where the server connects to on behalf of a request: kubelets, pods and endpoints, at the addresses that their objects name.

`Backends` opens the connections (`serving.py` has the real one); a `Line` is an open one. How failures are worded is Go's, for clients
match on it. Read `http_exchange.py` for what is said over a line.
Source: `pkg/kubelet/client/kubelet_client.go`, `pkg/proxy/util/utils.go` (which addresses may be proxied to).
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from apiserver.handlers.request import Request
from apiserver.handlers.server import Server
from kube.errors import ApiError, BadRequest, NotImplementedByServer, TooManyRequests
from kube.objects import Object
from kube.resources import NODES

LINES_MAX: Final = 2_000
"""How many connections to backends one server holds."""
DIAL_S_MAX: Final = 30.0
KUBELET_PORT: Final = 10250
NODE_GROUP: Final = "system:nodes"
_WORDS: Final = {
    errno.ECONNREFUSED: "connection refused",
    errno.EHOSTUNREACH: "no route to host",
    errno.ENETUNREACH: "network is unreachable",
    errno.ETIMEDOUT: "connection timed out",
    errno.EACCES: "permission denied",
    errno.EPERM: "operation not permitted",
    errno.EADDRNOTAVAIL: "cannot assign requested address",
    errno.EINVAL: "invalid argument",
    errno.EMFILE: "too many open files",
}
_UNKNOWN_AUTHORITY: Final = (2, 18, 19, 20, 21)  # OpenSSL's X509_V_ERR_* for a chain that does not end at the CA
_KEEPALIVE: Final = (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 9))  # Go's defaults

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class Trust:
    """What an extension API server's certificate must prove: that it is `server_name`, by a CA of `ca_bundle` (PEM; empty: any CA that
    this system trusts). `is_blind`: nothing at all."""

    server_name: str
    ca_bundle: bytes = b""
    is_blind: bool = False


class Backends(Protocol):
    """How the server reaches others. All raise OSError, ssl.SSLError among them."""

    async def open(self, host: str, port: int, node: str) -> Streams:
        """To a node agent: TLS verified against the cluster CA, with the server's own client certificate."""
        ...

    async def dial(self, host: str, port: int, *, tls: bool) -> Streams:
        """To a pod or an endpoint; its certificate is not verified (as upstream's proxy does), and nothing of ours is shown to it."""
        ...

    async def extension(self, host: str, port: int, trust: Trust) -> Streams:
        """To an extension API server, which is shown the front proxy's certificate. Raises ValueError for a bundle without certificates."""
        ...


class DialError(Exception):
    """No connection came about; the text is Go's."""


@dataclass(frozen=True, slots=True)
class Kubelet:
    """Where a node's agent listens, as the Node says."""

    node: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        return joined(self.host, self.port)


class Gate:
    """Counts the open lines."""

    def __init__(self) -> None:
        self.open = 0

    def enter(self) -> None:
        """Raises TooManyRequests."""
        if self.open >= LINES_MAX:
            raise TooManyRequests(f"too many proxied connections are open (at most {LINES_MAX}), please try again later")
        self.open += 1


class Line:
    """One open connection to a backend."""

    def __init__(self, streams: Streams, gate: Gate) -> None:
        self.reader, self.writer = streams
        self._gate: Gate | None = gate
        keep_alive(self.writer)

    def close(self) -> None:
        """Drop it at once, whatever is under way. May be called again."""
        if self._gate is not None:
            self._gate.open -= 1
            self._gate = None
            self.writer.transport.abort()

    def is_of_a_node(self) -> bool:
        """Whether the peer has shown a node's certificate (verified when the line was opened)."""
        subject = (self.writer.get_extra_info("peercert") or {}).get("subject") or ()
        return any(key == "organizationName" and value == NODE_GROUP for part in subject for key, value in part)


def joined(host: str, port: int | str) -> str:
    """`host:port`, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def keep_alive(writer: asyncio.StreamWriter) -> None:
    """Have the kernel notice a peer that vanished."""
    sock = writer.get_extra_info("socket")
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def is_proxyable(address: str) -> bool:
    """Whether a proxy may connect to this IP address: global unicast, as Go understands it (private ranges are)."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(ip, "ipv4_mapped", None)
    ip = mapped or ip
    return not (ip.is_unspecified or ip.is_loopback or ip.is_multicast or ip.is_link_local or str(ip) == "255.255.255.255")


async def proxyable_addresses(host: str) -> list[str]:
    """The addresses of a host name or address that may be connected to; empty where one of them must not be. Raises BadRequest."""
    try:
        found = [str(ipaddress.ip_address(host))]
    except ValueError:
        try:
            infos = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except OSError as error:
            raise BadRequest(f"lookup {host}: no such host") from error
        found = list(dict.fromkeys(str(info[4][0]) for info in infos))
    return found if all(is_proxyable(each) for each in found) else []


async def kubelet_of(request: Request, node_name: str) -> Kubelet:
    """Where to find the agent of a node. Raises NotFound, ApiError."""
    server = request.server
    return kubelet_in(await server.registries.get(NODES).get("", node_name), server.kubelet_address_types)


def kubelet_in(node: Object, address_types: Sequence[str]) -> Kubelet:
    """What a Node says of its agent; its address is the first of the first of these types that it has. Raises ApiError."""
    status = node.get("status") or {}
    addresses = status.get("addresses") or ()
    host = next((str(each["address"]) for kind in address_types for each in addresses if each["type"] == kind and each.get("address")), "")
    if not host:
        raise ApiError(f"no preferred addresses found; known addresses: {_go_list(addresses)}", code=500, reason="")
    port = ((status.get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}).get("Port") or 0
    return Kubelet(str(node["metadata"]["name"]), host, port if port > 0 else KUBELET_PORT)


def _go_list(addresses: Any) -> str:
    """As Go prints a slice of NodeAddress."""
    shown = ["{" + f"{each.get('type', '')} {each.get('address', '')}" + "}" for each in addresses]
    return f"[{' '.join(shown)}]"


async def open_kubelet(request: Request, kubelet: Kubelet) -> Line:
    """Raises DialError; NotImplementedByServer where there are no sockets."""
    backends = _backends(request.server)
    return await _opened(request.server, kubelet.host, kubelet.port, lambda: backends.open(kubelet.host, kubelet.port, kubelet.node))


async def dial(request: Request, host: str, port: int, *, tls: bool) -> Line:
    """Raises DialError; NotImplementedByServer where there are no sockets."""
    backends = _backends(request.server)
    return await _opened(request.server, host, port, lambda: backends.dial(host, port, tls=tls))


async def open_extension(server: Server, host: str, port: int, trust: Trust) -> Line:
    """Raises DialError; ValueError for a bundle without certificates; NotImplementedByServer where there are no sockets."""
    backends = _backends(server)
    return await _opened(server, host, port, lambda: backends.extension(host, port, trust))


def _backends(server: Server) -> Backends:
    found: Backends | None = server.kubelets
    if found is None:
        raise NotImplementedByServer("this server has no way to reach node agents and pods (it runs in process, without sockets)")
    return found


async def _opened(server: Server, host: str, port: int, connecting: Any) -> Line:
    gate: Gate = server.extra.setdefault("gate", Gate())
    gate.enter()
    try:
        async with asyncio.timeout(DIAL_S_MAX):
            streams: Streams = await connecting()
    except (OSError, TimeoutError) as error:
        gate.open -= 1
        raise DialError(dial_words(host, port, error)) from error
    except BaseException:
        gate.open -= 1
        raise
    return Line(streams, gate)


def dial_words(host: str, port: int, error: BaseException) -> str:
    """What Go says of a failed connection."""
    if isinstance(error, ssl.SSLCertVerificationError):
        unknown = error.verify_code in _UNKNOWN_AUTHORITY
        why = "certificate signed by unknown authority" if unknown else str(error.verify_message or error)
        return f"tls: failed to verify certificate: x509: {why}"
    if isinstance(error, ssl.SSLError):
        is_plain = error.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNEXPECTED_MESSAGE")
        return "tls: first record does not look like a TLS handshake" if is_plain else f"remote error: tls: {error.reason or error}"
    if isinstance(error, socket.gaierror):
        return f"dial tcp: lookup {host}: no such host"
    where = f"dial tcp {joined(host, port)}"
    if isinstance(error, ConnectionResetError) or not isinstance(error, OSError):
        return f"{where}: i/o timeout" if isinstance(error, TimeoutError) else "EOF"
    if isinstance(error, TimeoutError) and not error.errno:
        return f"{where}: i/o timeout"
    words = _WORDS.get(error.errno or 0) or (error.strerror or str(error) or type(error).__name__).lower()
    return f"{where}: connect: {words}"
