"""exec and attach: the streams of a remote command, over SPDY or WebSocket, and the status that ends it.

Stream types: error, stdin, stdout, stderr, resize. The exit code goes over the error stream: as a Status object from protocol v4 on, as
plain text before. Source: `k8s.io/kubelet/pkg/cri/streaming/remotecommand`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from kube.http.exchange import Answer, BadRequest, Head
from kubelet.runtime.base import CRIError
from kubelet.server import channels, spdy, websocket

SPDY_PROTOCOLS = ("v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io")
STREAMS_S_MAX = 30.0
"""How long the client may take to open its streams."""
LINGER_S = 2.0
"""How long the connection stays after the end, so that what is on its way arrives."""
STDIN_S = 0.1
"""How long a client that is still sending its (short) stdin may do so after the end: it would complain of a connection closed meanwhile."""
_RESIZE_BYTES_MAX = 4096

Work = Callable[["CommandStreams"], Awaitable[int]]
"""Does the work on the streams; answers the exit code, raises CRIError."""


class Duplex(Protocol):
    async def read(self) -> bytes: ...

    async def write(self, data: bytes) -> None: ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which streams the request asks for."""

    stdin: bool
    stdout: bool
    stderr: bool
    tty: bool

    @classmethod
    def of(cls, head: Head) -> Wanted:
        """Raises BadRequest."""
        tty = head.flag("tty")
        wanted = cls(head.flag("input", "stdin"), head.flag("output", "stdout"), head.flag("error", "stderr") and not tty, tty)
        if not (wanted.stdin or wanted.stdout or wanted.stderr):
            raise BadRequest("you must specify at least 1 of stdin, stdout, stderr")
        return wanted

    def types(self, *, resize: bool) -> set[str]:
        """The stream types, the error stream among them."""
        chosen = {"stdin": self.stdin, "stdout": self.stdout, "stderr": self.stderr, "resize": self.tty and resize}
        return {"error"} | {name for name, is_wanted in chosen.items() if is_wanted}


class CommandStreams:
    """The streams as a runtime wants them (`runtime.base.ExecStreams`)."""

    def __init__(self, streams: Mapping[str, Duplex], *, tty: bool) -> None:
        self._streams, self.tty = streams, tty
        self.has_stdin = "stdin" in streams
        self._resizes = b""

    async def read_stdin(self) -> bytes:
        return await self._streams["stdin"].read() if self.has_stdin else b""

    async def write_stdout(self, data: bytes) -> None:
        await self._write("stdout", data)

    async def write_stderr(self, data: bytes) -> None:
        await self._write("stderr", data)

    async def _write(self, name: str, data: bytes) -> None:
        if data and (stream := self._streams.get(name)):
            await stream.write(data)

    async def next_resize(self) -> tuple[int, int]:
        stream = self._streams.get("resize")
        while stream is not None and (data := await stream.read()):
            self._resizes = (self._resizes + data)[-_RESIZE_BYTES_MAX:]
            if (size := self._size()) is not None:
                return size
        await asyncio.sleep(math.inf)
        raise AssertionError("unreachable")

    def _size(self) -> tuple[int, int] | None:
        """The last whole `{"Width": .., "Height": ..}` that has come."""
        text, decoder, found = self._resizes.decode("utf-8", "replace").lstrip(), json.JSONDecoder(), None
        while text:
            try:
                value, end = decoder.raw_decode(text)
                found = (int(value["Width"]), int(value["Height"]))
            except (ValueError, KeyError, TypeError):
                break
            text = text[end:].lstrip()
        self._resizes = text.encode()
        return found


def status_of_exit(exit_code: int) -> dict[str, Any]:
    """The Status that tells the client how the command ended."""
    if exit_code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {exit_code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(exit_code)}]},
    }


def status_of_error(error: BaseException) -> dict[str, Any]:
    text = f"error executing command in container: {error}"
    details = {"causes": [{"message": text}]}
    message = f"Internal error occurred: {text}"
    return {"metadata": {}, "status": "Failure", "message": message, "reason": "InternalError", "details": details, "code": 500}


async def serve(head: Head, answer: Answer, reader: asyncio.StreamReader, work: Work) -> None:
    """Upgrade the connection, do the work on its streams, report the end. Raises BadRequest before the upgrade."""
    wanted = Wanted.of(head)
    if head.upgrade == "websocket":
        await _serve_websocket(head, answer, reader, wanted, work)
    elif head.upgrade == "spdy/3.1":
        await _serve_spdy(head, answer, reader, wanted, work)
    else:
        raise BadRequest("Upgrade request required")


async def _finish(streams: Mapping[str, Duplex], wanted: Wanted, work: Work, *, is_json: bool) -> None:
    """The work, then its status on the error stream, then the end of every stream."""
    try:
        exit_code = await work(CommandStreams(streams, tty=wanted.tty))
        status = status_of_exit(exit_code)
    except CRIError as error:
        status = status_of_error(error)
    text = json.dumps(status) if is_json else status.get("message", "")
    try:
        if text:
            await streams["error"].write(text.encode())
        for stream in streams.values():
            await stream.close()
    except OSError:
        pass  # the client has gone: nobody is left to tell


async def _guarded(work: Awaitable[None], reading: asyncio.Task[None]) -> None:
    """Do the work for as long as the client is there."""
    doing = asyncio.ensure_future(work)
    try:
        await asyncio.wait([doing, reading], return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            doing.result()
            await asyncio.wait([reading], timeout=LINGER_S)
    finally:
        doing.cancel()
        reading.cancel()
        await asyncio.gather(doing, reading, return_exceptions=True)


# --- WebSocket ----------------------------------------------------------------------------------------------------------------

_NUMBERS = {"stdin": 0, "stdout": 1, "stderr": 2, "error": 3, "resize": 4}


async def _serve_websocket(head: Head, answer: Answer, reader: asyncio.StreamReader, wanted: Wanted, work: Work) -> None:
    socket = await websocket.upgrade(head, answer, reader, channels.PROTOCOLS)
    types = wanted.types(resize=True)
    both = channels.Channels(socket, [_NUMBERS[each] for each in types])
    streams: dict[str, Duplex] = {each: both.all[_NUMBERS[each]] for each in types}
    reading = asyncio.get_running_loop().create_task(both.run(), name="websocket")

    async def finish() -> None:
        first = next((each for each in ("stdout", "stderr", "error") if each in streams), "error")
        await streams[first].write(b"")  # tells the client that everything is set up
        await _finish(streams, wanted, work, is_json=socket.protocol not in (channels.V1, channels.V1_BASE64, ""))
        if wanted.stdin and not wanted.tty and socket.protocol == channels.V5:
            await _stdin_ended(both.all[_NUMBERS["stdin"]])
        await both.close()

    await _guarded(finish(), reading)


async def _stdin_ended(stdin: channels.Channel) -> None:
    """Wait until the client has sent all of it, but not for long; nobody reads it any more."""
    stdin.received.discard()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(STDIN_S):
            await stdin.ended.wait()


# --- SPDY ---------------------------------------------------------------------------------------------------------------------


def chosen_spdy_protocol(head: Head, supported: tuple[str, ...]) -> str:
    """The newest protocol that the client offers and we have; "" when it offers none. Raises BadRequest."""
    offered = head.words("x-stream-protocol-version")
    if not offered:
        return ""
    found = next((each for each in offered if each in supported), None)
    if found is None:
        raise BadRequest(
            f"unable to upgrade: unable to negotiate protocol: client supports {offered}, server accepts {list(supported)}", status=403
        )
    return found


async def upgrade_spdy(
    head: Head, answer: Answer, reader: asyncio.StreamReader, supported: tuple[str, ...]
) -> tuple[spdy.SpdyConnection, str]:
    protocol = chosen_spdy_protocol(head, supported)
    await answer.switch({"Upgrade": "SPDY/3.1"} | ({"X-Stream-Protocol-Version": protocol} if protocol else {}))
    return spdy.SpdyConnection(spdy.StreamPipe(reader, answer.writer)), protocol


async def _serve_spdy(head: Head, answer: Answer, reader: asyncio.StreamReader, wanted: Wanted, work: Work) -> None:
    connection, protocol = await upgrade_spdy(head, answer, reader, SPDY_PROTOCOLS)
    reading = asyncio.get_running_loop().create_task(connection.run(), name="spdy")

    async def finish() -> None:
        expected = wanted.types(resize=protocol in SPDY_PROTOCOLS[:2])
        streams: dict[str, Duplex] = {}
        async with asyncio.timeout(STREAMS_S_MAX):
            while expected - set(streams):
                stream = await connection.accept()
                if stream is None:
                    return
                streams[stream.headers.get("streamtype", "").lower()] = stream
        await _finish(streams, wanted, work, is_json=protocol == SPDY_PROTOCOLS[0])
        await connection.close()

    await _guarded(finish(), reading)
