"""One client's connection, carried to a backend: bytes both ways, with back-pressure, until both sides have ended.

What the client has sent is kept until the backend answers, up to REPEAT_BYTES: where the first backend turns out to have refused the
connection after all (a port-forward says so late), the next one gets it. Nothing is ever sent twice to a backend that may have had it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from .balancing import Backend
from .dialing import READ_BYTES, BackendFailed, Dial, Pipe

ATTEMPTS_MAX: Final = 3
"""How many backends are tried for one connection."""
REPEAT_BYTES: Final = 64 * 1024


class ClientGone(OSError):
    """The client has ended the connection before its time."""


class Relay:
    """See the module. `carry` it; then close the connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._sent = bytearray()
        self._may_repeat = True
        """Whether `_sent` is all that the client has sent, and no backend has answered."""
        self.failed: list[tuple[Backend, BackendFailed]] = []
        """The backends that could not be had, and why."""

    async def carry(self, backends: Sequence[Backend], dial: Dial) -> Backend | None:
        """Carry the connection to the first of the backends that can be had, to its end; None where none could.

        Raises BackendFailed when one failed that had taken something, ClientGone."""
        for backend in backends[:ATTEMPTS_MAX]:
            try:
                pipe = await dial(backend)
            except BackendFailed as error:
                self.failed.append((backend, error))
                continue
            try:
                await self._through(pipe)
            except BackendFailed as error:
                self.failed.append((backend, error))
                if not (self._may_repeat and (error.refused or not self._sent)):
                    raise
                continue
            finally:
                pipe.abort()
            return backend
        return None

    async def _through(self, pipe: Pipe) -> None:
        loop = asyncio.get_running_loop()
        up, down = loop.create_task(self._up(pipe), name="to the backend"), loop.create_task(self._down(pipe), name="to the client")
        try:
            while not down.done() or (pipe.has_halves and not up.done()):
                done, _ = await asyncio.wait([each for each in (up, down) if not each.done()], return_when=asyncio.FIRST_COMPLETED)
                for each in done:
                    each.result()
        finally:
            up.cancel()
            down.cancel()
            await asyncio.gather(up, down, return_exceptions=True)

    async def _up(self, pipe: Pipe) -> None:
        """A backend that takes no more may still have something to say, so that alone is no failure."""
        try:
            if self._sent:
                await pipe.write(bytes(self._sent))
            while data := await self._from_client():
                await pipe.write(data)
            await pipe.end()
        except ClientGone:
            raise
        except OSError:
            pass

    async def _from_client(self) -> bytes:
        try:
            data = await self._reader.read(READ_BYTES)
        except OSError as error:
            raise ClientGone(str(error)) from error
        if self._may_repeat:
            self._sent += data
            if len(self._sent) > REPEAT_BYTES:
                self._answered()
        return data

    async def _down(self, pipe: Pipe) -> None:
        try:
            while data := await pipe.read():
                self._answered()
                await self._to_client(data)
        except (BackendFailed, ClientGone):
            raise
        except OSError as error:
            raise BackendFailed(str(error)) from error
        self._answered()
        try:
            self._writer.write_eof()
        except (OSError, RuntimeError) as error:
            raise ClientGone(str(error)) from error

    async def _to_client(self, data: bytes) -> None:
        try:
            self._writer.write(data)
            await self._writer.drain()
        except (OSError, RuntimeError) as error:
            raise ClientGone(str(error)) from error

    def _answered(self) -> None:
        """From now on the connection is this backend's, come what may."""
        self._may_repeat = False
        self._sent.clear()
