"""A mail server far away: it takes everything, and answers each message's final dot only after a while.

Its own work is a few calls a message, so that it never is what limits. It runs in a process of its own.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

_END = b"\r\n.\r\n"


class _Conversation(asyncio.Protocol):
    """One client, which pipelines (RFC 2920). `after`: seconds from the dot to its answer."""

    def __init__(self, after: float) -> None:
        self._after, self._told, self._in_data = after, b"", False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport.write(b"220 far ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        self._told += data
        while self._message() if self._in_data else self._command():
            pass

    def _message(self) -> bool:
        end = self._told.find(_END)
        if end < 0:
            return False
        self._told, self._in_data = self._told[end + len(_END) :], False
        asyncio.get_running_loop().call_later(self._after, self._transport.write, b"250 taken\r\n")
        return True

    def _command(self) -> bool:
        line, found, rest = self._told.partition(b"\r\n")
        if not found:
            return False
        self._told, word = rest, line[:4].upper()
        self._in_data = word == b"DATA"
        self._transport.write(_ANSWERS.get(word, b"250 yes\r\n"))
        return True


_ANSWERS = {
    b"EHLO": b"250-far\r\n250-PIPELINING\r\n250 8BITMIME\r\n",
    b"DATA": b"354 go on\r\n",
    b"QUIT": b"221 bye\r\n",
}


def _serve(after: float, pipe: Connection) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Conversation(after), "127.0.0.1", 0, backlog=500)
        pipe.send(server.sockets[0].getsockname()[1])
        await loop.run_in_executor(None, pipe.recv)

    asyncio.run(run())


@contextmanager
def far_mail(after: float) -> Iterator[int]:
    """The port it listens on, for the length of the block."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(after, theirs), daemon=True)
    process.start()
    try:
        yield int(ours.recv())
    finally:
        ours.send("stop")
        process.join(10)
        process.kill()
