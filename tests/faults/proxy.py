"""The wire between a daemon and what it speaks to: refuses, cuts, and strikes the caller dead at a given byte.

It knows nothing of what is spoken. A new exchange begins when the caller speaks after it was spoken to, so `HTTP`, `SMTP`
and PostgreSQL's protocol have exchanges alike.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self


@dataclass(frozen=True, kw_only=True, slots=True)
class Strike:
    """At the `byte`-th byte of the request (or the answer) of the `exchange`-th exchange, `act` with the caller's port.

    Where there are fewer bytes, after the last one. What was not passed on by then never is.
    """

    exchange: int
    answer: bool
    byte: int
    act: Callable[[int], None]


class _Line:
    """One connection: how far its present exchange has come."""

    def __init__(self, caller: socket.socket, callee: socket.socket) -> None:
        self.caller, self.callee = caller, callee
        self.port: int = caller.getpeername()[1]
        self.exchange, self.answering = 0, True
        self.passed = 0

    def close(self, *, reset: bool = False) -> None:
        for end in (self.caller, self.callee):
            with contextlib.suppress(OSError):
                if reset:
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RDWR)
            end.close()


class Proxy:
    """Listens at `port` for `target`, a (host, port). `exchanges` counts those begun so far."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.target, self.exchanges = target, 0
        self._strike: Strike | None = None
        self._lines: set[_Line] = set()
        self._lock = threading.Lock()
        self.port = 0

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()

    def up(self) -> None:
        """Listen (again), always at the same port."""
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def down(self) -> None:
        """Refuse every connection, and cut those that are open."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            lines, self._lines = self._lines, set()
        for line in lines:
            line.close(reset=True)

    def arm(self, strike: Strike | None) -> None:
        """Strike once. Its exchange counts from now: the next one is number 1."""
        with self._lock:
            self._strike, self.exchanges = strike, 0

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                caller, _ = listener.accept()
            except OSError:
                return
            try:
                line = _Line(caller, socket.create_connection(self.target, timeout=5))
            except OSError:
                caller.close()
                continue
            for end in (line.caller, line.callee):
                end.settimeout(None)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._lines.add(line)
            for answer in (False, True):
                threading.Thread(target=self._pass_on, args=(line, answer), daemon=True).start()

    def _pass_on(self, line: _Line, answer: bool) -> None:
        source, target = (line.callee, line.caller) if answer else (line.caller, line.callee)
        try:
            while data := source.recv(65536):
                strike, allowed = self._reach(line, answer, len(data))
                target.sendall(data[:allowed])
                if strike:
                    strike.act(line.port)
                    break
        except OSError:
            pass
        with self._lock:
            self._lines.discard(line)
        line.close()

    def _reach(self, line: _Line, answer: bool, length: int) -> tuple[Strike | None, int]:
        """Count these bytes; the strike that falls among them, and how many of them still pass."""
        with self._lock:
            strike, struck = self._strike, False
            if answer != line.answering:
                overdue = strike is not None and strike.exchange == line.exchange and strike.answer == line.answering
                line.answering, line.passed = answer, 0
                if not answer:
                    self.exchanges += 1
                    line.exchange = self.exchanges
                if overdue:  # it had fewer bytes: nothing of what follows passes
                    self._strike = None
                    return strike, 0
            if strike is not None and strike.exchange == line.exchange and strike.answer == answer:
                struck = strike.byte <= line.passed + length
            allowed = max(0, strike.byte - line.passed) if struck and strike is not None else length
            line.passed += length
            if struck:
                self._strike = None
            return (strike, allowed) if struck else (None, length)
