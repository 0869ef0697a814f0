"""A mail server that does one thing at each step, right or wrong: what no real server can be told to do."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import BinaryIO, Self

CLOSE, RESET, SILENT, DRIP, FLOOD, HELD = "CLOSE", "RESET", "SILENT", "DRIP", "FLOOD", "HELD"
PIPELINING = "250-tiny\r\n250-PIPELINING\r\n250 SIZE 1000000"

RIGHT: Mapping[str, str] = {
    "banner": "220 tiny ESMTP",
    "EHLO": "250-tiny\r\n250 SIZE 1000000",
    "MAIL": "250 2.1.0 ok",
    "RCPT": "250 2.1.5 ok",
    "DATA": "354 go on",
    "dot": "250 2.0.0 ok",
    "RSET": "250 2.0.0 ok",
    "NOOP": "250 2.0.0 ok",
    "QUIT": "221 2.0.0 bye",
}
_KEY = re.compile(r"FROM:<[^>+]*\+([^>@]*)@")


class TinySmtp:
    """Replies `RIGHT` but for `steps`: a reply, or CLOSE, RESET, SILENT, DRIP, FLOOD; HELD waits for `let_go`, then replies.

    special: other steps for single messages, by the key in their envelope's sender (`bounces+KEY@shop.example`).
    most: how many connections are let in; the others get 421. `commands` is all it was told, `messages` all it was given.
    """

    def __init__(
        self,
        steps: Mapping[str, str] | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        implicit_tls: bool = False,
        special: Mapping[str, Mapping[str, str]] | None = None,
        most: int = 1000,
    ) -> None:
        self._tls, self._steps, self._special, self._most = tls, {**RIGHT, **(steps or {})}, special or {}, most
        self._implicit_tls, self._stopping = implicit_tls, threading.Event()
        self.let_go = threading.Event()
        self.commands: list[str] = []
        self.messages: list[bytes] = []
        self.connections = 0

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self.let_go.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        banner = self._steps["banner"] if self.connections <= self._most else "421 4.7.0 too many"
        with contextlib.suppress(OSError), connection:
            if self._tls and self._implicit_tls:
                with self._tls.wrap_socket(connection, server_side=True) as protected:
                    if self._say(protected, banner):
                        self._talk(protected)
            elif self._say(connection, banner) and self._talk(connection) == "STARTTLS" and self._tls:
                with self._tls.wrap_socket(connection, server_side=True) as protected:
                    self._talk(protected)

    def _talk(self, connection: socket.socket) -> str:
        """Take commands to the end, or to STARTTLS; returns the last verb."""
        verb, steps = "", self._steps
        with connection.makefile("rb") as stream:
            while line := stream.readline():
                verb, _, rest = line.decode("latin-1").strip().partition(" ")
                verb = verb.upper()
                self.commands.append(f"{verb} {rest}".strip())
                if verb == "MAIL":
                    steps = self._for(rest)
                if not self._say(connection, steps.get(verb, "250 ok")) or verb in ("QUIT", "STARTTLS"):
                    return verb
                if verb == "DATA" and steps["DATA"].startswith("354") and not self._data(connection, stream, steps):
                    return verb
        return verb

    def _for(self, rest: str) -> Mapping[str, str]:
        key = _KEY.search(rest)
        return {**self._steps, **self._special.get(key[1], {})} if key else self._steps

    def _data(self, connection: socket.socket, stream: BinaryIO, steps: Mapping[str, str]) -> bool:
        """Take the text. A step `body` says what to do meanwhile: SILENT, DRIP, or a reply that comes too early."""
        lines: list[bytes] = []
        if "body" in steps and steps["body"] not in (SILENT, DRIP):
            self._say(connection, steps["body"])
        if "body" in steps and steps["body"] != DRIP:
            return self._stopping.wait(20)
        while "body" in steps and not self._stopping.wait(0.02) and connection.recv(65536):
            pass
        while (line := stream.readline()) not in (b".\r\n", b""):
            lines.append(line)
        if line:
            self.messages.append(b"".join(lines))
            return self._say(connection, steps["dot"])
        return False

    def _say(self, connection: socket.socket, reply: str) -> bool:
        match reply:
            case "CLOSE":
                return False
            case "RESET":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return False
            case "SILENT":
                self._stopping.wait(20)
                return False
            case "DRIP":
                while not self._stopping.wait(0.03):
                    connection.sendall(b"2")
                return False
            case "FLOOD":
                connection.sendall(b"2" * 100_000 + b"\r\n")
                return True
            case "HELD":
                self.let_go.wait(20)
                connection.sendall(b"250 2.0.0 at last\r\n")
                return True
        connection.sendall(reply.encode("latin-1") + b"\r\n")
        if reply.startswith("421"):
            time.sleep(0.01)
            return False
        return True
