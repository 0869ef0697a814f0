"""A mail server of one's own (aiosmtpd): takes messages, refuses addresses, and fails after the final dot on demand."""

from __future__ import annotations

import asyncio
import email
import re
import socket
import ssl
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.header import decode_header, make_header
from email.message import Message
from types import TracebackType
from typing import Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from engine.testing.vendors.server import Received, Reset, Silence


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """A reply code to the final dot, such as `451 4.3.0 try later`."""

    reply: str
    taken: bool = False


DotFault = Refusal | Silence | Reset


class SmtpVendor:
    """Start it with `with`. `accepted` is the append-only record of what was truly taken.

    refuse: the reply to RCPT for an address (`550 5.1.1 no such user`), or None. misbehave, fail_next: what happens
    after the final dot. users: name → password; with any, AUTH is demanded. tls: offered as STARTTLS, and demanded;
    with `implicit_tls` from the first byte.
    """

    def __init__(
        self,
        *,
        refuse: Callable[[str], str | None] | None = None,
        misbehave: Callable[[Received], DotFault | None] | None = None,
        users: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
        implicit_tls: bool = False,
        smtputf8: bool = True,
    ) -> None:
        self.accepted: list[Received] = []
        self.connections = 0
        self._refuse, self._misbehave, self._users = refuse, misbehave, dict(users or {})
        self._script: deque[DotFault] = deque()
        self._tls, self._implicit_tls, self._smtputf8 = tls, implicit_tls, smtputf8

    def fail_next(self, *faults: DotFault) -> None:
        """The next messages fail so, one each."""
        self._script.extend(faults)

    @property
    def host(self) -> str:
        return "127.0.0.1"

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    def __enter__(self) -> Self:
        self._listener = socket.create_server((self.host, 0), backlog=128)
        starttls = {"tls_context": self._tls, "require_starttls": True} if self._tls and not self._implicit_tls else {}
        self._controller = _Controller(
            self,
            self._listener,
            hostname=self.host,
            port=self.port,
            ssl_context=self._tls if self._implicit_tls else None,
            enable_SMTPUTF8=self._smtputf8,
            auth_required=bool(self._users),
            auth_require_tls=bool(starttls),
            authenticator=self._authenticate,
            **starttls,
        )
        self._controller.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._controller.stop()
        self._listener.close()

    def _authenticate(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        known = isinstance(data, LoginPassword) and self._users.get(data.login.decode()) == data.password.decode()
        return AuthResult(success=known, handled=False)

    async def handle_EHLO(  # noqa: N802
        self, _server: SMTP, session: Session, _envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        self.connections += 1
        return responses

    async def handle_RCPT(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        reply = self._refuse(address) if self._refuse else None
        if reply is not None:
            return reply
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        received = _parsed(envelope, len(self.accepted))
        fault = self._script.popleft() if self._script else self._misbehave(received) if self._misbehave else None
        if fault is None or fault.taken:
            self.accepted.append(received)
        match fault:
            case None:
                return f"250 2.0.0 OK: queued as {received.provider_message_id}"
            case Refusal(reply=reply):
                return reply
            case Silence():
                await asyncio.sleep(3600)  # ended by the caller's hanging up
            case Reset():
                _transport(server).abort()
        return "250 2.0.0 OK"


class _Controller(Controller):
    """Listens on a socket that is bound already, so that its port is known and nobody else takes it."""

    def __init__(self, handler: Any, listener: socket.socket, **options: Any) -> None:
        super().__init__(handler, **options)
        self._listener = listener

    def _create_server(self) -> Any:
        return self.loop.create_server(self._factory_invoker, sock=self._listener, ssl=self.ssl_context)


def _transport(server: SMTP) -> asyncio.WriteTransport:
    assert isinstance(server.transport, asyncio.WriteTransport)
    return server.transport


def _parsed(envelope: Envelope, number: int) -> Received:
    raw = envelope.content if isinstance(envelope.content, bytes) else bytes(envelope.content or "", "utf-8")
    message = email.message_from_bytes(raw)  # the old policy: the new one takes twenty times as long, and a demo waits
    headers = {name: _header(value) for name, value in message.items()}
    parts = {part.get_content_type(): _text(part) for part in message.walk() if not part.is_multipart()}
    return Received(
        key=headers.get("X-Regulars-Message"),
        to=envelope.rcpt_tos[0] if len(envelope.rcpt_tos) == 1 else ", ".join(envelope.rcpt_tos),
        sender=headers.get("From", ""),
        subject=headers.get("Subject", ""),
        text=parts.get("text/plain", ""),
        html=parts.get("text/html"),
        headers={"Return-Path": envelope.mail_from or "", **headers},
        provider_message_id=f"Q{number}",
        raw=raw,
    )


def _header(value: Any) -> str:
    """A header's value on one line, its encoded words read (RFC 5322 §2.2.3, RFC 2047)."""
    line = re.sub(r"\r?\n(?=[ \t])", "", str(value))
    return str(make_header(decode_header(line))) if "=?" in line else line


def _text(part: Message) -> str:
    data = part.get_payload(decode=True)
    return data.decode(part.get_content_charset("utf-8"), "replace") if isinstance(data, bytes) else ""
