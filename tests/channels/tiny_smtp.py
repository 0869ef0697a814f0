"""A mail server that does one thing at each step, right or wrong: what no real server can be told to do."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import BinaryIO, Self

CLOSE, RESET, SILENT, DRIP, FLOOD = "CLOSE", "RESET", "SILENT", "DRIP", "FLOOD"

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


class TinySmtp:
    """Replies `RIGHT` but for `steps`: a reply, or CLOSE, RESET, SILENT, DRIP, FLOOD. `commands` is all it was told."""

    def __init__(self, steps: Mapping[str, str] | None = None, *, tls: ssl.SSLContext | None = None) -> None:
        self._tls, self._steps = tls, {**RIGHT, **(steps or {})}
        self._stopping = threading.Event()
        self.commands: list[str] = []
        self.messages: list[bytes] = []
        self.connections = 0

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
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
        with contextlib.suppress(OSError), connection:
            if self._say(connection, "banner") and self._talk(connection) == "STARTTLS" and self._tls:
                with self._tls.wrap_socket(connection, server_side=True) as protected:
                    self._talk(protected)

    def _talk(self, connection: socket.socket) -> str:
        """Take commands to the end, or to STARTTLS; returns the last verb."""
        verb = ""
        with connection.makefile("rb") as stream:
            while line := stream.readline():
                verb, _, rest = line.decode("latin-1").strip().partition(" ")
                verb = verb.upper()
                self.commands.append(f"{verb} {rest}".strip())
                if not self._say(connection, verb if verb in self._steps else "NOOP") or verb in ("QUIT", "STARTTLS"):
                    return verb
                if verb == "DATA" and self._steps["DATA"].startswith("354") and not self._data(connection, stream):
                    return verb
        return verb

    def _data(self, connection: socket.socket, stream: BinaryIO) -> bool:
        lines: list[bytes] = []
        if self._steps.get("body") == SILENT:
            return self._stopping.wait(20)
        while self._steps.get("body") == DRIP and not self._stopping.wait(0.02) and connection.recv(65536):
            pass
        while (line := stream.readline()) not in (b".\r\n", b""):
            lines.append(line)
        if line:
            self.messages.append(b"".join(lines))
            return self._say(connection, "dot")
        return False

    def _say(self, connection: socket.socket, step: str) -> bool:
        match self._steps[step]:
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
            case reply:
                connection.sendall(reply.encode("latin-1") + b"\r\n")
                if reply.startswith("421"):
                    time.sleep(0.01)
                    return False
                return True
