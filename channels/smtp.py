"""Email through any SMTP server: kept connections, one deadline a message, and a clear line at the final dot.

Until the final dot has left, a message surely was not taken; a reply code to the dot says what became of it; silence or
a closed connection after it says nothing (RFC 5321 §4.2.5, §4.5.3.2). `smtplib` raises the same error on both sides.
"""

from __future__ import annotations

import io
import ipaddress
import re
import smtplib
import ssl
import threading
import time
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, model_validator

from channels import mime
from engine.errors import ContentError, RegularsError
from engine.model import Channel, SuppressionReason
from engine.provider import (
    Accepted,
    Ambiguous,
    Capabilities,
    DeadlineReader,
    NotSent,
    Outcome,
    Outgoing,
    Provider,
    ProviderSettings,
    Rejected,
    SecretRef,
    TextOrSecret,
    reveal,
    time_left,
)

BAD_ADDRESS = frozenset({"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1"})
"""Enhanced codes that blame the recipient's address itself (RFC 3463 §3.2, RFC 7505); policy codes (5.7.x) never do."""

_ENHANCED = re.compile(r"^\s*([245]\.\d{1,3}\.\d{1,3})\b")


class Security(StrEnum):
    """How the connection is protected. `starttls` never falls back to plain text."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


_PORTS = {Security.STARTTLS: 587, Security.TLS: 465, Security.NONE: 25}


class SmtpSettings(ProviderSettings):
    """host, and what the server asks for. `ca_file` holds the certificate authority of a server of one's own.

    return_path: the envelope's sender, where bounces go; the From address where it is left out.
    """

    host: str = Field(min_length=1, pattern=r"^[^\s/@]+$")
    port: int | None = Field(default=None, ge=1, le=65535)
    security: Security = Security.STARTTLS
    username: TextOrSecret | None = None
    password: SecretRef | None = None
    ca_file: Path | None = None
    return_path: str | None = Field(default=None, pattern=r"^[^\s@<>]+@[^\s@<>]+$")
    messages_per_connection: int = Field(default=100, ge=1)

    @model_validator(mode="after")
    def _no_password_in_clear(self) -> SmtpSettings:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password are given together or not at all")
        if self.security is Security.NONE and self.password is not None and not _loopback(self.host):
            raise ValueError("a password is not sent without TLS: use security: starttls or security: tls")
        return self


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Refusal(Exception):
    """The server answered a step before the dot with a code that ends the hand-over."""

    def __init__(self, step: str, code: int, reply: bytes) -> None:
        super().__init__(step)
        self.step, self.code, self.reply = step, code, reply.decode("utf-8", "replace")


class _Connection(smtplib.SMTP):
    """An SMTP connection whose every read and write stands under one deadline, and that knows when the dot has left."""

    def __init__(self, settings: SmtpSettings, context: ssl.SSLContext | None, deadline: float) -> None:
        self.deadline, self.context = deadline, context
        self.implicit_tls = settings.security is Security.TLS
        self.dot_left, self.lost, self.messages, self.used_at = False, False, 0, time.monotonic()
        port = settings.port or _PORTS[settings.security]
        super().__init__(settings.host, port, local_hostname="localhost", timeout=time_left(deadline))
        assert self.sock is not None
        own = ipaddress.ip_address(self.sock.getsockname()[0].partition("%")[0])
        self.local_hostname = f"[{own}]" if own.version == 4 else f"[IPv6:{own}]"

    def _get_socket(self, host: str, port: int, timeout: float) -> Any:
        sock = super()._get_socket(host, port, timeout)  # type: ignore[misc]
        if self.implicit_tls and self.context:
            sock.settimeout(time_left(self.deadline))
            return self.context.wrap_socket(sock, server_hostname=host)
        return sock

    def getreply(self) -> tuple[int, bytes]:
        if self.file is None and self.sock is not None:
            self.file = io.BufferedReader(DeadlineReader(self.sock, lambda: self.deadline))
        return super().getreply()

    def send(self, s: Any) -> None:
        data = s.encode(self.command_encoding) if isinstance(s, str) else bytes(s)
        for start in range(0, len(data), 16384):
            if self.sock is not None:
                self.sock.settimeout(time_left(self.deadline))
            super().send(data[start : start + 16384])

    def step(self, name: str, reply: tuple[int, bytes], *good: int) -> None:
        if reply[0] not in good:
            raise _Refusal(name, *reply)

    def begin(self, settings: SmtpSettings) -> None:
        """Greet, protect, log in."""
        self.step("EHLO", self.ehlo(), 250)
        if settings.security is Security.STARTTLS:
            self.starttls(context=self.context)
            self.step("EHLO", self.ehlo(), 250)
        if settings.username is not None and settings.password is not None:
            self.log_in(reveal(settings.username), settings.password.reveal())

    def log_in(self, user: str, password: str) -> None:
        """One mechanism, tried once: `smtplib.login` tries them all, and a wrong password then counts several times."""
        offered = str(self.esmtp_features.get("auth", "")).upper().split()
        mechanisms: dict[str, Any] = {
            "PLAIN": self.auth_plain,
            "LOGIN": self.auth_login,
            "CRAM-MD5": self.auth_cram_md5,
        }
        chosen = next((name for name in mechanisms if name in offered), None)
        if chosen is None:
            raise smtplib.SMTPNotSupportedError("the server offers no way to log in that is known here")
        self.user, self.password = user, password
        self.auth(chosen, mechanisms[chosen])

    def transfer(self, origin: str, to: str, message: bytes) -> tuple[int, bytes]:
        """The whole transaction. Returns the reply to the final dot; `dot_left` tells on which side of it an error fell."""
        self.dot_left, self.messages = False, self.messages + 1
        options = [f"SIZE={len(message)}"] if self.has_extn("size") else []
        if not (origin + to).isascii():
            if not self.has_extn("smtputf8"):
                raise smtplib.SMTPNotSupportedError
            self.command_encoding = "utf-8"
            options += ["SMTPUTF8", "BODY=8BITMIME"]
        self.step("MAIL", self.docmd("MAIL", " ".join([f"FROM:<{origin}>", *options])), 250)
        self.step("RCPT", self.docmd("RCPT", f"TO:<{to}>"), 250, 251)
        self.step("DATA", self.docmd("DATA"), 354)
        self.send(re.sub(rb"(?m)^\.", b"..", message) + b".\r\n")
        self.dot_left = True  # before this line not all of it had left, and without its end nothing is taken
        return self.getreply()

    def abandon(self) -> None:
        """Close a connection that broke or that cannot be trusted any more."""
        self.lost = True
        self.close()

    def alive(self, deadline: float, *, quiet: float, stale: float) -> bool:
        """Whether the next message may be risked on it; it is not asked for long."""
        self.deadline = min(deadline, time.monotonic() + 2)
        idle = time.monotonic() - self.used_at
        alive = idle < quiet or (idle < stale and self.noop()[0] == 250)
        self.deadline = deadline
        return alive


class Smtp(Provider):
    """https://www.rfc-editor.org/rfc/rfc5321

    A connection that lay idle for `quiet_seconds` is asked with NOOP before it is trusted; after `stale_seconds` it is not
    asked any more.
    """

    Settings = SmtpSettings
    settings: SmtpSettings
    capabilities = Capabilities(channel=Channel.EMAIL, html=True, headers=True)
    connection_class: ClassVar[type[_Connection]] = _Connection
    quiet_seconds = 5.0
    stale_seconds = 60.0

    def __init__(self, settings: SmtpSettings, *, http: Any) -> None:
        super().__init__(settings, http=http)
        self._idle: list[_Connection] = []  # the last used one at the end; each carries one message at a time
        self._lock = threading.Lock()

    def send(self, outgoing: Outgoing, *, deadline: float) -> Outcome:
        try:
            message = mime.build(outgoing)
            to = mime.address(outgoing.to or "")
            origin = self.settings.return_path or mime.sender(outgoing.sender).address
        except ContentError as error:
            return Rejected(code="unsendable", detail=error.what)
        kept = self._kept(deadline)
        if kept is not None:
            outcome = self._transfer(kept, origin, to, message, outgoing)
            if not (isinstance(outcome, NotSent) and kept.lost):
                return outcome
        try:
            fresh = self._connect(deadline)
        except RegularsError as error:
            return NotSent(code="set_up", detail=error.what)
        except _Refusal as error:
            return NotSent(code=f"{error.step.lower()}_{error.code}", detail=self.words(error.reply, outgoing))
        except smtplib.SMTPResponseException as error:
            return NotSent(code=f"connect_{error.smtp_code}", detail=self.words(_told(error), outgoing))
        except smtplib.SMTPNotSupportedError as error:
            return NotSent(code="set_up", detail=str(error))
        except (smtplib.SMTPException, OSError, ValueError) as error:
            return NotSent(code="not_connected", detail=type(error).__name__)
        return self._transfer(fresh, origin, to, message, outgoing)

    def close(self) -> None:
        with self._lock:
            connections, self._idle = self._idle, []
        for connection in connections:
            _hang_up(connection)

    @cached_property
    def _context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.settings.ca_file)

    def _kept(self, deadline: float) -> _Connection | None:
        """An idle connection that is fit for one more message."""
        while True:
            with self._lock:
                if not self._idle:
                    return None
                connection = self._idle.pop()
            try:
                if connection.alive(deadline, quiet=self.quiet_seconds, stale=self.stale_seconds):
                    return connection
            except (smtplib.SMTPException, OSError):
                pass
            connection.close()

    def _keep(self, connection: _Connection) -> None:
        """Put a connection back, unless it is closed or has carried its share."""
        if connection.sock is None:
            return
        if connection.messages >= self.settings.messages_per_connection:
            _hang_up(connection)
            return
        connection.used_at = time.monotonic()
        with self._lock:
            self._idle.append(connection)

    def _connect(self, deadline: float) -> _Connection:
        context = None if self.settings.security is Security.NONE else self._context
        connection = self.connection_class(self.settings, context, deadline)
        try:
            connection.begin(self.settings)
        except BaseException:
            connection.close()
            raise
        return connection

    def _transfer(self, connection: _Connection, origin: str, to: str, message: bytes, outgoing: Outgoing) -> Outcome:
        try:
            code, reply = connection.transfer(origin, to, message)
            outcome = self._after_the_dot(connection, code, reply.decode("utf-8", "replace"), outgoing)
        except _Refusal as refusal:
            outcome = self._before_the_dot(connection, refusal, outgoing)
        except smtplib.SMTPNotSupportedError:
            outcome = Rejected(code="smtputf8", detail="the server cannot take an address that is not ASCII")
        except (smtplib.SMTPException, OSError, ValueError) as error:
            connection.abandon()
            if connection.dot_left:
                return Ambiguous(code="no_answer", detail=f"{type(error).__name__} after the final dot")
            return NotSent(code="disconnected", detail=f"{type(error).__name__} before the final dot")
        except BaseException:
            connection.abandon()  # in the middle of a message: nothing else may ever be said on it
            raise
        self._keep(connection)
        return outcome

    def _before_the_dot(self, connection: _Connection, refusal: _Refusal, outgoing: Outgoing) -> Outcome:
        """A 5xx at MAIL blames our set-up (but for the message's size), at RCPT and DATA the message."""
        if refusal.code == 421 or refusal.code < 400:
            connection.abandon()
        else:
            self._reset(connection)
        code, detail = _code(refusal.code, refusal.reply), self.words(refusal.reply, outgoing)
        final = 500 <= refusal.code < 600 and (refusal.step != "MAIL" or refusal.code == 552)
        if not final:
            return NotSent(code=code, detail=detail)
        bad = refusal.step == "RCPT" and code in BAD_ADDRESS
        return Rejected(code=code, detail=detail, suppress=SuppressionReason.BOUNCED if bad else None)

    def _after_the_dot(self, connection: _Connection, code: int, reply: str, outgoing: Outgoing) -> Outcome:
        """The reply to the dot decides; 421 only says that the server is leaving."""
        detail = self.words(reply, outgoing)
        if 200 <= code < 300:
            return Accepted(detail=detail)
        if code == 421 or not 400 <= code < 600:
            connection.abandon()
            return Ambiguous(code=_code(code, ""), detail=detail)
        word = _code(code, reply)
        if code < 500:
            return NotSent(code=word, detail=detail)
        bad = SuppressionReason.BOUNCED if word in BAD_ADDRESS else None
        return Rejected(code=word, detail=detail, suppress=bad)

    def _reset(self, connection: _Connection) -> None:
        try:
            connection.step("RSET", connection.rset(), 250)
        except (_Refusal, smtplib.SMTPException, OSError):
            connection.abandon()


def _hang_up(connection: _Connection) -> None:
    """Say goodbye if the server listens; a second is enough."""
    try:
        connection.deadline = time.monotonic() + 1
        if connection.sock is not None:
            connection.docmd("QUIT")
    except (smtplib.SMTPException, OSError):
        pass
    finally:
        connection.close()


def _code(code: int, reply: str) -> str:
    """The enhanced code where the server gave one (RFC 2034), else the plain one."""
    match = _ENHANCED.match(reply)
    return match[1] if match else str(code) if code > 0 else "garbled"


def _told(error: smtplib.SMTPResponseException) -> str:
    told = error.smtp_error
    return told.decode("utf-8", "replace") if isinstance(told, bytes) else str(told)
