"""Reports in a mailbox of an IMAP server. https://www.rfc-editor.org/rfc/rfc3501"""

from __future__ import annotations

import imaplib
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from channels.reports.reading import read
from channels.reports.settings import ASIDE, MOST_OCTETS, TAKEN, ImapSettings
from channels.security import Security, tls
from engine.errors import ProviderError
from engine.provider import Fetched, Inbox, KeyOf, reveal

PATIENCE_SECONDS = 30.0
"""For one answer of the server."""

_NAMESPACE = re.compile(rb'^\(\("([^"]*)"')
_COUNT = re.compile(rb"MESSAGES (\d+)")


class Imap(Inbox):
    def __init__(self, settings: ImapSettings) -> None:
        self.settings = settings
        self.name = f"imap {settings.imap}:{settings.tcp_port} {settings.folder}"

    def fetch(self, key_of: KeyOf, *, now: datetime) -> Iterator[Fetched]:
        account = reveal(self.settings.username), self.settings.password.reveal()
        step = "connect"
        try:
            server = self._connected()
            try:
                step = "log in"
                server.login(*account)
                able = _able(server)
                step = "open the folder"
                taken, aside = (_folder(server, able, name) for name in (TAKEN, ASIDE))
                _ok(server.select(f'"{self.settings.folder}"'))
                step = "read"
                for uid in _uids(server):
                    raw = _mail(server, uid)
                    if raw is None:  # another daemon was quicker
                        continue
                    told = read(raw, key_of, now=now)
                    yield told
                    _move(server, able, uid, aside if told.problem else taken)
                self.aside = _count(server, aside)
            finally:
                _leave(server)
        except (OSError, ValueError, imaplib.IMAP4.error) as error:  # whose words may hold the account's name
            raise ProviderError(
                f"the IMAP server cannot be used: it failed to {step} ({type(error).__name__})",
                remedy="Check host, port, security, username, password and folder.",
            ) from error

    def _connected(self) -> imaplib.IMAP4:
        host, port, context = self.settings.imap, self.settings.tcp_port, tls(self.settings.ca_file)
        if self.settings.security is Security.TLS:
            return imaplib.IMAP4_SSL(host, port, ssl_context=context, timeout=PATIENCE_SECONDS)
        server = imaplib.IMAP4(host, port, timeout=PATIENCE_SECONDS)
        if self.settings.security is Security.STARTTLS:
            try:
                server.starttls(context)
            except (OSError, imaplib.IMAP4.error):
                server.shutdown()
                raise
        return server


def _ok(answer: tuple[str, list[Any]]) -> list[Any]:
    """The data of a good answer. Raises IMAP4.error."""
    if answer[0] != "OK":
        raise imaplib.IMAP4.error(answer[0])
    return answer[1]


def _able(server: imaplib.IMAP4) -> frozenset[str]:
    """What the server can do; many say so only to whom they know, and imaplib asks before that."""
    return frozenset((_ok(server.capability())[-1] or b"").decode("ascii", "replace").upper().split())


def _folder(server: imaplib.IMAP4, able: frozenset[str], name: str) -> str:
    """A folder beside the inbox, made where it is missing; some servers want all of them under INBOX (RFC 2342)."""
    prefix = b""
    if "NAMESPACE" in able:
        match = _NAMESPACE.match(_ok(server.namespace())[0] or b"")
        prefix = match[1] if match else b""
    full = f'"{prefix.decode("ascii", "replace")}{name}"'
    server.create(full)  # refused where it is there already
    _ok(server.status(full, "(MESSAGES)"))
    return full


def _uids(server: imaplib.IMAP4) -> list[str]:
    found = _ok(server.uid("SEARCH", "UNDELETED"))[0] or b""
    return [uid.decode("ascii") for uid in found.split()]


def _mail(server: imaplib.IMAP4, uid: str) -> bytes | None:
    """As much of a mail as is read; it does not become seen by that."""
    for part in _ok(server.uid("FETCH", uid, f"(BODY.PEEK[]<0.{MOST_OCTETS}>)")):
        if isinstance(part, tuple):
            raw: bytes = part[1]
            return raw
    return None


def _move(server: imaplib.IMAP4, able: frozenset[str], uid: str, folder: str) -> None:
    if "MOVE" in able:  # RFC 6851
        _ok(server.uid("MOVE", uid, folder))
        return
    _ok(server.uid("COPY", uid, folder))
    _ok(server.uid("STORE", uid, "+FLAGS.SILENT", r"(\Deleted)"))
    _ok(server.uid("EXPUNGE", uid) if "UIDPLUS" in able else server.expunge())


def _count(server: imaplib.IMAP4, folder: str) -> int:
    match = _COUNT.search(_ok(server.status(folder, "(MESSAGES)"))[0] or b"")
    return int(match[1]) if match else 0


def _leave(server: imaplib.IMAP4) -> None:
    try:
        server.logout()
    except (OSError, imaplib.IMAP4.error):
        server.shutdown()
