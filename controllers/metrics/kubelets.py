"""Asking node agents for their summaries over HTTPS: their certificate must come from the cluster's CA, ours says who asks.

The address is the node's own word, in the order in which upstream's metrics-server is deployed to look.
"""

from __future__ import annotations

import ssl
from urllib.parse import quote

from kube.client.config import ClientConfig, ssl_context
from kube.client.http import HttpTransport
from kube.errors import from_status
from kube.objects import Object, name_of

ADDRESS_TYPES = ("InternalIP", "ExternalIP", "Hostname")
PORT = 10250
CONNECTIONS_MAX = 4
AGENTS_MAX = 10_000


def address_of(node: Object) -> tuple[str, int]:
    """Host and port of a node's agent. Raises ValueError for a node that does not say."""
    status = node.get("status") or {}
    given = [(each.get("type"), each.get("address")) for each in status.get("addresses") or ()]
    host = next((str(address) for kind in ADDRESS_TYPES for type_, address in given if type_ == kind and address), "")
    if not host:
        raise ValueError("the node has no address")
    return host, ((status.get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}).get("Port") or PORT


class Kubelets:
    """Connections to node agents. `close` it."""

    def __init__(self, config: ClientConfig) -> None:
        self._context = ssl_context(config)
        # The nodes are dialled by address, and one process may answer for many of them: the chain is verified, the name is not.
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_REQUIRED
        self._headers = {"accept": "application/json", **({"authorization": f"Bearer {config.token}"} if config.token else {})}
        self._transports: dict[tuple[str, int], HttpTransport] = {}

    async def ask(self, node: Object) -> bytes:
        """The body of a node's /stats/summary. Raises OSError, ApiError, ValueError."""
        host, port = address_of(node)
        transport = self._transports.get((host, port))
        if transport is None:
            if len(self._transports) >= AGENTS_MAX:
                await self.close()
            shown = f"[{host}]" if ":" in host else host
            transport = self._transports[host, port] = HttpTransport(f"https://{shown}:{port}", self._context, limit=CONNECTIONS_MAX)
        answer = await transport.request("GET", f"/stats/summary?node={quote(name_of(node))}", headers=self._headers)
        if answer.status != 200:
            raise from_status(answer.status, {"message": answer.body[:200].decode("utf-8", "replace").strip()})
        return answer.body

    async def close(self) -> None:
        transports, self._transports = list(self._transports.values()), {}
        for each in transports:
            await each.close()
