"""Many watches in one process that costs little: non-blocking TLS sockets under one epoll, events counted by their line ends.

    python -m bench.watchers DATA_DIR PORT PATH WATCHERS EVENTS

It prints `watching` when every watch has been answered, and when each has got EVENTS events (or none comes for a while) one line of
JSON: for every watch its `[seconds on the monotonic clock, events so far]`, one pair a read. Nothing is parsed but line ends.
"""

from __future__ import annotations

import json
import select
import socket
import ssl
import sys
import time
from pathlib import Path

from bench.processes import admin_tls

READ_BYTES_MAX = 1 << 18
QUIET_MAX_S = 60.0
_BRACE, _NEWLINE = ord("}"), b"\n"


class Watch:
    """One watch: how many events it has got, and when."""

    __slots__ = ("arrivals", "events", "last", "socket")

    def __init__(self, connection: ssl.SSLSocket) -> None:
        self.socket, self.events, self.last = connection, 0, 0
        self.arrivals: list[tuple[float, int]] = []

    def read(self, buffer: bytearray, view: memoryview) -> bool:
        """Count what is there. The byte before each read is kept in front of it: an event ends in `}` and a line end, a chunk does not."""
        before = self.events
        while True:
            try:
                size = self.socket.recv_into(view[1:])
            except ssl.SSLWantReadError:
                break
            if not size:
                return False
            buffer[0] = self.last
            end = size + 1
            at = buffer.find(_NEWLINE, 1, end)
            while at > 0:
                self.events += buffer[at - 1] == _BRACE
                at = buffer.find(_NEWLINE, at + 1, end)
            self.last = buffer[size]
        if self.events != before:
            self.arrivals.append((time.monotonic(), self.events))
        return True


def connect(tls: ssl.SSLContext, port: int, path: str) -> Watch:
    """A watch that has been answered with 200."""
    connection = tls.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=60), server_hostname="127.0.0.1")
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: bench\r\nAccept: application/json\r\n\r\n".encode())
    head = b""
    while b"\r\n\r\n" not in head:
        piece = connection.recv(4096)
        if not piece:
            raise ConnectionError("the server closed the connection of a watch")
        head += piece
    if b" 200 " not in head[:20]:
        raise ConnectionError(f"a watch was refused: {head[:300]!r}")
    connection.setblocking(False)
    return Watch(connection)


def count(watches: list[Watch], events: int) -> None:
    """Until every watch has got `events` events, or nothing comes."""
    buffer = bytearray(READ_BYTES_MAX + 1)
    view = memoryview(buffer)
    poll = select.epoll()
    waiting = {}
    for each in watches:
        waiting[each.socket.fileno()] = each
        poll.register(each.socket.fileno(), select.EPOLLIN)
    while waiting:
        ready = poll.poll(QUIET_MAX_S)
        if not ready:
            return
        for descriptor, _ in ready:
            watch = waiting[descriptor]
            if not watch.read(buffer, view) or watch.events >= events:
                poll.unregister(descriptor)
                del waiting[descriptor]


def main() -> None:
    data_dir, port, path, watchers, events = sys.argv[1:]
    tls = admin_tls(Path(data_dir))
    watches = [connect(tls, int(port), path) for _ in range(int(watchers))]
    print("watching", flush=True)
    count(watches, int(events))
    print(json.dumps([each.arrivals for each in watches]), flush=True)


if __name__ == "__main__":
    main()
