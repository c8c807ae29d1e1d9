"""The load balancer itself: listens on the addresses of Services, and relays each connection to one of their backends. What is to be
done is decided in `balancing.py`, how a backend is reached is in `dialing.py`, what happens to one connection in `relay.py`.

Everything is bounded: connections of one listener and of all, how many backends are tried, how long a connection may take to begin and to
end once its listener is closed. What is too much is closed, and logged now and then. Connections that do nothing are left alone.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

from kube.clock import Clock
from kube.runtime.rates import TokenBucket

from .balancing import Backend, Frontend, Place, changes, order
from .dialing import READ_BYTES, BackendFailed, Dial, Pipe
from .relay import ClientGone, Relay
from .remembered import Remembered

CONNECTIONS_MAX: Final = 2_000
LISTENER_CONNECTIONS_MAX: Final = 1_000
FILES_SPARED: Final = 128
"""Of the files that a process may have open, how many are for other things than connections."""
BACKLOG: Final = 256
GRACE_S: Final = 5.0
"""How long connections may go on when their listener is closed; GRACE_AT_END_S when the process ends."""
GRACE_AT_END_S: Final = 1.0
FAILING_S: Final = 5.0
"""For how long a backend that could not be had is only tried after all others."""
LOGGED_EVERY_S: Final = 10.0

Targets = Callable[[Frontend], Sequence[Backend]]
_log = logging.getLogger("cloud.balancer")


def connections_limit() -> int:
    """How many connections there may be at once: each takes two files, one for each side."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return CONNECTIONS_MAX if soft == resource.RLIM_INFINITY else max(1, min(CONNECTIONS_MAX, (soft - FILES_SPARED) // 2))


class Balancer:
    """`ensure` what is to be open for each Service; `close` it in the end (as a context manager it does so itself)."""

    def __init__(self, dial: Dial, *, clock: Clock, limit: int | None = None) -> None:
        self.targets: Targets = lambda _: ()
        """Where connections may go; asked anew for each."""
        self.dial, self.clock = dial, clock
        self.open = 0
        """How many connections there are."""
        self.limit = connections_limit() if limit is None else limit
        self._listeners: dict[str, dict[Place, _Listener]] = {}
        self._draining: set[asyncio.Task[None]] = set()
        self._failing = Remembered[Backend, None](clock)
        self._may_log = TokenBucket(qps=1 / LOGGED_EVERY_S, burst=5)
        self._not_logged = 0

    async def __aenter__(self) -> Balancer:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def ensure(self, service: str, wanted: Iterable[Frontend]) -> dict[Place, OSError]:
        """Have exactly these open for the Service; what could not be opened, and why. One call at a time for a Service."""
        listeners = self._listeners.setdefault(service, {})
        todo = changes({place: each.frontend for place, each in listeners.items()}, wanted)
        for place in todo.close:
            self._drain(listeners.pop(place))
        for frontend in todo.keep:
            listeners[frontend.place].frontend = frontend
        if todo.close:
            await asyncio.sleep(0)  # uvloop lets go of a port in the next round of the loop only
        failed = {}
        for frontend in todo.open:
            listener = _Listener(self, frontend)
            try:
                await listener.start()
            except OSError as error:
                failed[frontend.place] = error
            else:
                listeners[frontend.place] = listener
        if not listeners:
            del self._listeners[service]
        return failed

    async def close(self) -> None:
        """Close everything. Connections get a moment to end."""
        listeners = [each for known in self._listeners.values() for each in known.values()]
        self._listeners.clear()
        await asyncio.gather(*(each.stop(GRACE_AT_END_S) for each in listeners))
        for task in self._draining:
            task.cancel()
        await asyncio.gather(*self._draining, return_exceptions=True)

    def _drain(self, listener: _Listener) -> None:
        listener.shut()
        task = asyncio.get_running_loop().create_task(listener.stop(GRACE_S), name="draining")
        self._draining.add(task)
        task.add_done_callback(self._draining.discard)

    # --- for listeners ------------------------------------------------------------------------------------------------

    def has_failed(self, backend: Backend, why: OSError) -> None:
        """Try it after all others for a while."""
        self._failing.put(backend, None, FAILING_S)
        self.complain("%s: %s", backend, why)

    def failing(self) -> Collection[Backend]:
        """Those that are tried last now."""
        return self._failing.keys()

    def complain(self, what: str, *about: object) -> None:
        """Log it, unless much has been logged of late."""
        if not self._may_log.take(self.clock.monotonic()):
            self._not_logged += 1
            return
        more = f" ({self._not_logged} complaints before it were not logged)" if self._not_logged else ""
        self._not_logged = 0
        _log.warning(what + more, *about)


class _Listener:
    """Listens for one frontend. `start` it; then `shut` and `stop`."""

    def __init__(self, balancer: Balancer, frontend: Frontend) -> None:
        self.frontend = frontend
        self._balancer = balancer
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._turn = 0
        self._chosen = Remembered[str, Backend](balancer.clock)

    async def start(self) -> None:
        """Raises OSError."""
        address, port = self.frontend.place
        self._server = await asyncio.start_server(self._connected, address, port, limit=READ_BYTES, backlog=BACKLOG)
        _log.info("%s: listening on %s port %d", self.frontend.service, address, port)

    def shut(self) -> None:
        """Take no more connections: the port is free from now on."""
        if self._server is not None:
            self._server.close()
            self._server = None
            _log.info("%s: not listening on %s port %d any more", self.frontend.service, *self.frontend.place)

    async def stop(self, grace_s: float) -> None:
        """End all connections, by force those that do not end within `grace_s`."""
        self.shut()
        try:
            if self._connections:
                await asyncio.wait(self._connections, timeout=grace_s)
        finally:
            left = list(self._connections)
            for each in left:
                each.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        balancer, frontend = self._balancer, self.frontend
        client = str((writer.get_extra_info("peername") or ("",))[0])
        if self._server is None or not frontend.admits(client):
            writer.transport.abort()
        elif balancer.open >= balancer.limit or len(self._connections) >= LISTENER_CONNECTIONS_MAX:
            balancer.complain("%s: a connection to %s:%d is one too many", frontend.service, *frontend.place)
            writer.transport.abort()
        else:
            balancer.open += 1
            task = asyncio.get_running_loop().create_task(self._serve(client, reader, writer), name=f"connection to {frontend.service}")
            self._connections.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._balancer.open -= 1
        self._connections.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a connection failed", exc_info=error)

    async def _serve(self, client: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (sock := writer.get_extra_info("socket")) is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        is_good = False
        try:
            is_good = await self._carry(client, Relay(reader, writer))
        except ClientGone:
            pass
        finally:
            if is_good:
                writer.close()
            else:
                writer.transport.abort()

    async def _carry(self, client: str, relay: Relay) -> bool:
        """Whether the connection has come to its own end."""
        balancer, frontend = self._balancer, self.frontend
        targets = balancer.targets(frontend)
        preferred = self._chosen.get(client) if frontend.affinity_s else None
        candidates = order(targets, self._turn, preferred=preferred, failing=balancer.failing())
        self._turn += 1

        async def dial(backend: Backend) -> Pipe:
            pipe = await balancer.dial(backend)
            if frontend.affinity_s:
                self._chosen.put(client, backend, frontend.affinity_s)
            return pipe

        try:
            carried = await relay.carry(candidates, dial)
        except BackendFailed:
            carried = None
        for backend, error in relay.failed:
            balancer.has_failed(backend, error)
        if not candidates:
            balancer.complain("%s: there is no endpoint for a connection to %s:%d", frontend.service, *frontend.place)
        return carried is not None
