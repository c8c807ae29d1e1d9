"""One question to one name server: over UDP, and over TCP where the answer did not fit. Bytes in, bytes out."""

from __future__ import annotations

import asyncio
import secrets

TRY_S = 2.0
"""How long one server is waited for (CoreDNS's read timeout)."""
_TC = 0x02
_HEADER_BYTES = 12


class NoAnswer(Exception):
    """The server cannot be reached, or did not answer in time."""


class _Waiting(asyncio.DatagramProtocol):
    """Waits for the datagram that answers the message with that id and question; all others are not for us."""

    def __init__(self, sent: bytes) -> None:
        self._sent = sent
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: object) -> None:
        if not self.answer.done() and is_answer(data, self._sent):
            self.answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(NoAnswer(str(exc)))


def is_answer(data: bytes, sent: bytes) -> bool:
    """Whether it answers that message: an answer with its id and, in any case, its question."""
    if len(data) < _HEADER_BYTES or not data[2] & 0x80 or data[:2] != sent[:2]:
        return False
    end = _question_end(sent)
    return data[4:6] in (b"\0\0", b"\0\1") and (data[4:6] == b"\0\0" or data[_HEADER_BYTES:end].lower() == sent[_HEADER_BYTES:end].lower())


def _question_end(sent: bytes) -> int:
    """Where the first question of a message of ours ends."""
    at = _HEADER_BYTES
    while at < len(sent) and sent[at]:
        at += sent[at] + 1
    return at + 5


async def ask(query: bytes, address: str, port: int, *, over_tcp: bool = False, timeout_s: float = TRY_S) -> bytes:
    """The answer to `query`, with its id; over the wire it has one that nobody can guess. Raises NoAnswer."""
    sent = secrets.token_bytes(2) + query[2:]
    try:
        async with asyncio.timeout(timeout_s):
            data = b"" if over_tcp else await _over_udp(sent, address, port)
            if not data or data[2] & _TC:
                data = await _over_tcp(sent, address, port)
    except (OSError, EOFError, TimeoutError) as error:
        raise NoAnswer(f"{address}:{port}: {str(error) or 'no answer in time'}") from error
    return query[:2] + data[2:]


async def _over_udp(sent: bytes, address: str, port: int) -> bytes:
    transport, waiting = await asyncio.get_running_loop().create_datagram_endpoint(lambda: _Waiting(sent), remote_addr=(address, port))
    try:
        transport.sendto(sent)
        return await waiting.answer
    finally:
        transport.close()


async def _over_tcp(sent: bytes, address: str, port: int) -> bytes:
    reader, writer = await asyncio.open_connection(address, port)
    try:
        writer.write(len(sent).to_bytes(2, "big") + sent)
        data = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        if not is_answer(data, sent):
            raise NoAnswer(f"{address}:{port}: something else was answered")
        return data
    finally:
        writer.close()
