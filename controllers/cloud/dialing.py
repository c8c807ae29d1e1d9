"""Reaching a backend: through the API (the pod's `portforward`, which works wherever kubelets do), or at its address.

A port-forward is a WebSocket of its own, `v4.channel.k8s.io`: channel 0 is the data, channel 1 what went wrong, and both begin with the
port in two bytes. It has no way to say that only one side is done. So nobody knows, when a client has ended its side, whether it waits for
an answer or has gone: the backend is waited for until it has been silent for SILENT_S, or, where it had the last word, ANSWERED_S.
Source: `k8s.io/kubelet/pkg/cri/streaming/portforward/websocket.go`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Literal, Protocol

from kube.client.client import Client
from kube.errors import ApiError
from kube.resources import PODS
from kube.websocket import WebSocket, WebSocketError

from .balancing import Backend

# deviates: through a port-forward (not with `--load-balancer-dial=pod-ip`) load balancers also reach what listens on a pod's loopback
V4: Final = "v4.channel.k8s.io"
DATA, ERROR = 0, 1
CONNECT_S: Final = 10.0
DIALS_MAX: Final = 64
"""How many backends are being connected to at once; who comes then waits."""
SILENT_S, ANSWERED_S = 30.0, 5.0
READ_BYTES: Final = 64 * 1024

How = Literal["port-forward", "pod-ip"]


class BackendFailed(OSError):
    """The backend cannot be reached, or has failed. `refused`: it never got anything of what was written."""

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused


class Pipe(Protocol):
    """A connection to a backend."""

    has_halves: bool
    """Whether each side can end by itself: else the backend's end is the end of both."""

    async def read(self) -> bytes:
        """The next bytes; b"" at the end. Raises OSError."""
        ...

    async def write(self, data: bytes) -> None:
        """Waits while the backend takes no more. Raises OSError."""
        ...

    async def end(self) -> None:
        """Nothing more is written."""
        ...

    def abort(self) -> None:
        """End the connection at once."""
        ...


Dial = Callable[[Backend], Awaitable[Pipe]]
"""Connects to a backend. Raises BackendFailed."""


class Dialer:
    """A Dial. `how` is for backends that are pods; any other is called at its address."""

    def __init__(self, client: Client, how: How = "port-forward") -> None:
        self._client, self._how = client, how
        self._turns = asyncio.Semaphore(DIALS_MAX)

    async def __call__(self, backend: Backend) -> Pipe:
        async with self._turns:
            try:
                async with asyncio.timeout(CONNECT_S):
                    return await (self._forward(backend) if self._how == "port-forward" and backend.pod else _connect(backend))
            except TimeoutError as error:
                raise BackendFailed(f"no connection within {CONNECT_S:g} s", refused=True) from error
            except (OSError, ApiError) as error:
                raise BackendFailed(str(error), refused=True) from error

    async def _forward(self, backend: Backend) -> Pipe:
        socket = await self._client.websocket(
            PODS, backend.pod, "portforward", namespace=backend.namespace, query={"ports": str(backend.port)}, protocols=(V4,)
        )
        pipe = ForwardPipe(socket)
        try:
            await pipe.begin()
        except BaseException:
            pipe.abort()
            raise
        return pipe


async def _connect(backend: Backend) -> Pipe:
    reader, writer = await asyncio.open_connection(backend.address, backend.port, limit=READ_BYTES)
    return StreamPipe(reader, writer)


class StreamPipe:
    """A Pipe over TCP."""

    has_halves = True

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def read(self) -> bytes:
        return await self._reader.read(READ_BYTES)

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def end(self) -> None:
        self._writer.write_eof()

    def abort(self) -> None:
        self._writer.transport.abort()


class ForwardPipe:
    """A Pipe through a port-forward of one port."""

    has_halves = False

    def __init__(self, socket: WebSocket, *, silent_s: float = SILENT_S, answered_s: float = ANSWERED_S) -> None:
        self._socket, self._silent_s, self._answered_s = socket, silent_s, answered_s
        self._had_last_word = True
        """Whether the backend has said something since it was told something."""
        self._began = {DATA: False, ERROR: False}
        self._early: list[bytes] = []
        self._silence: asyncio.TimerHandle | None = None

    async def begin(self) -> None:
        """Wait until the kubelet has begun. Raises BackendFailed."""
        while not all(self._began.values()):
            if (data := await self._next()) is None:
                raise BackendFailed("the port-forward ended before it began")
            if data:
                self._early.append(data)

    async def read(self) -> bytes:
        if self._early:
            return self._early.pop(0)
        while (data := await self._next()) == b"":
            pass
        self._had_last_word = True
        if self._silence is not None:
            self._silence.cancel()
            if data:
                await self.end()
        return data or b""

    async def write(self, data: bytes) -> None:
        self._had_last_word = False
        await self._socket.send(bytes((DATA,)) + data)

    async def end(self) -> None:
        wait_s = self._answered_s if self._had_last_word else self._silent_s
        self._silence = asyncio.get_running_loop().call_later(wait_s, self.abort)

    def abort(self) -> None:
        if self._silence is not None:
            self._silence.cancel()
        self._socket.abort()

    async def _next(self) -> bytes | None:
        """The data of the next message, which may be none; None at the end. Raises BackendFailed."""
        try:
            message = await self._socket.receive()
        except WebSocketError as error:
            raise BackendFailed(str(error)) from error
        if message is None:
            return None
        channel, data = message.data[0] if message.data else DATA, message.data[1:]
        if not self._began.get(channel, True):
            self._began[channel] = True
            data = data[2:]
        if channel == ERROR and data:
            text = data.decode("utf-8", "replace")
            raise BackendFailed(text, refused="connection refused" in text.lower())
        return data if channel == DATA else b""
