"""The server's connections, and what becomes of one that has ended: nothing of it waits for the garbage collector.

A connection, its requests and its TLS transport (some 60 kB of buffers) hold each other. The collector rightly looks at what has been there
for long only once in a while; a thousand watchers that went away would be kept until then. Read `connection.py` first.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from apiserver.connection import Connection


class _Ended(asyncio.Transport):
    """In the place of a transport that is gone: closed, and takes no more."""

    def is_closing(self) -> bool:
        return True

    def close(self) -> None:
        return

    abort = pause_reading = resume_reading = close

    def write(self, data: Any) -> None:
        return


_ENDED: Final = _Ended()


class ServedConnection(Connection):
    """See the module."""

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self.app_state = {}
        self.pipeline.clear()
        self.transport = _ENDED
        self.flow._transport = _ENDED
        if self.cycle is not None:
            self.cycle.transport = _ENDED
