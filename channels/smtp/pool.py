"""The idle connections to one SMTP server, shared by the sender's threads, and how to open another one."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from functools import cached_property
from typing import Any

from channels.security import Security, tls
from channels.smtp.connection import Connection, NotOffered, Steps
from channels.smtp.settings import SmtpSettings
from engine.provider import reveal

RESOLVED_SECONDS = 60.0
"""How long the server's addresses are used before its name is asked for again."""
NO_STARTTLS = "Say `security: tls` where it speaks TLS from the start (port 465), or `security: none` for a server on this machine."


class Pool:
    """A connection that lay idle for `quiet_seconds` is asked before it is trusted, after `stale_seconds` it is left.

    proven: the last attempt to set up a connection went well, so that many may be tried at once.
    """

    def __init__(self, settings: SmtpSettings) -> None:
        self.settings = settings
        self.quiet_seconds, self.stale_seconds = 5.0, 60.0
        self.idle: list[Connection] = []  # the last used one at the end
        self.proven = False
        self._lock = threading.Lock()
        self._addresses: tuple[float, list[Any]] = (0.0, [])

    def take(self) -> Connection | None:
        """An idle connection, the last used first; those that lay too long are closed on the way."""
        oldest = time.monotonic() - self.stale_seconds
        with self._lock:
            while self.idle and self.idle[0].used_at <= oldest:
                self.idle.pop(0).abandon()
            return self.idle.pop() if self.idle else None

    def keep(self, connection: Connection) -> None:
        """Put a connection back for the next message."""
        connection.used_at = time.monotonic()
        with self._lock:
            self.idle.append(connection)

    def empty(self) -> list[Connection]:
        """All idle connections; they are the caller's now."""
        with self._lock:
            connections, self.idle = self.idle, []
        return connections

    def open(self, connection: Connection) -> Steps[None]:
        """Connect, protect, greet, log in. Raises Refusal, NotOffered, OSError, ValueError, SecretMissing."""
        wanted = self.settings
        yield from connection.connect(self._resolved())
        if wanted.security is Security.TLS:
            yield from connection.protect(self._context, wanted.host)
        yield from connection.hear("connect", 220)
        yield from connection.greet()
        if wanted.security is Security.STARTTLS:
            if "starttls" not in connection.features:
                raise NotOffered("the server does not offer STARTTLS", NO_STARTTLS)
            yield from connection.say("connect", "STARTTLS", 220)
            yield from connection.protect(self._context, wanted.host)
            yield from connection.greet()
        if wanted.username is not None and wanted.password is not None:
            yield from connection.log_in(reveal(wanted.username), wanted.password.reveal())

    @cached_property
    def _context(self) -> ssl.SSLContext:
        return tls(self.settings.ca_file)

    def _resolved(self) -> list[Any]:
        """The server's addresses. Asking for them blocks, as the system's resolver does; a minute's batches share the answer."""
        until, found = self._addresses
        if time.monotonic() > until:
            found = socket.getaddrinfo(self.settings.host, self.settings.tcp_port, type=socket.SOCK_STREAM)
            self._addresses = (time.monotonic() + RESOLVED_SECONDS, found)
        return found
