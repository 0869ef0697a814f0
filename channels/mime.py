"""One email as bytes: headers that nothing in the data can break out of, a text and an HTML part, CRLF only.

Built by hand, because `EmailMessage` takes 2.3 ms a message. The same Outgoing always gives the same headers and the same
content; how a part is encoded depends on its own text and on one thing more, whether the server takes 8-bit text. So a
second hand-over to the same server is byte for byte the first, and to any server it has the same Message-ID and Date.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from dataclasses import dataclass
from email.utils import format_datetime
from functools import lru_cache

from channels.mailbox import Mailbox, address, sender
from engine.errors import ContentError
from engine.provider import EmailContent, Outgoing, safe_header

MAX_LINE = 900  # RFC 5322 §2.1.1 allows 998 octets a line; some relays break earlier
_FOLD = re.compile(r"(.{1,60}\S) (?=\S)")
_PLAIN_NAME = re.compile(r"^[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]*\Z")
_HEADER_NAME = re.compile(r"^[A-Za-z][A-Za-z0-9-]{0,60}\Z")
_KEY = re.compile(r"^[A-Za-z0-9._-]{1,200}\Z")
_OURS = frozenset(
    {"from", "to", "cc", "bcc", "sender", "reply-to", "subject", "date", "message-id", "mime-version", "received"}
    | {"return-path", "dkim-signature", "x-sg-id", "x-sg-eid", "x-regulars-message"}
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Letter:
    """A checked email; only the encoding of its parts is still open. `head` is every header down to MIME-Version."""

    origin: str
    to: str
    head: bytes
    boundary: str
    text: str
    html: str | None

    def wire(self, *, eight_bit: bool = False) -> bytes:
        """The whole message. `eight_bit`: the server said 8BITMIME (RFC 6152)."""
        mark = self.boundary.encode()
        text = _part("text/plain", self.text, mark, eight_bit=eight_bit)
        if self.html is None:
            return self.head + text
        html = _part("text/html", self.html, mark, eight_bit=eight_bit)
        opening = b'Content-Type: multipart/alternative; boundary="' + mark + b'"\r\n\r\n--' + mark + b"\r\n"
        return b"".join((self.head, opening, text, b"\r\n--", mark, b"\r\n", html, b"\r\n--", mark, b"--\r\n"))


def build(outgoing: Outgoing, *, eight_bit: bool = False) -> bytes:
    """The whole message, for any server. Raises ContentError where a header or an address cannot be written safely."""
    return compose(outgoing).wire(eight_bit=eight_bit)


def compose(outgoing: Outgoing) -> Letter:
    """The message with everything about it checked. Raises ContentError."""
    content = outgoing.content
    if not isinstance(content, EmailContent):
        raise ContentError("an email needs a subject and a text")
    if not _KEY.match(outgoing.sealed_key):
        raise ContentError("the message's key has characters that a Message-ID cannot have")
    origin, to = sender(outgoing.sender), address(outgoing.to or "")
    custom = "".join([f"{name}: {value}\r\n" for name, value in custom_headers(content).items()])
    head = (
        f"From: {_mailbox(origin)}\r\n"
        f"To: {to}\r\n"
        f"Subject: {_text(content.subject)}\r\n"
        f"Date: {_date(outgoing.at.replace(microsecond=0))}\r\n"
        f"Message-ID: <{outgoing.sealed_key}@{origin.domain}>\r\n"
        f"X-Regulars-Message: {outgoing.key}\r\n"
        f"{custom}MIME-Version: 1.0\r\n"
    )
    return Letter(
        origin=origin.address,
        to=to,
        head=head.encode(),
        boundary=_boundary(outgoing.key),
        text=content.text,
        html=content.html,
    )


def custom_headers(content: EmailContent) -> dict[str, str]:
    """Our own headers, such as List-Unsubscribe, as they may be sent. Their values are structured: nothing is repaired.

    Raises ContentError for a name that is another's, and for a value that is not one short line of ASCII.
    """
    checked = {}
    for name, value in content.headers.items():
        clean = safe_header(value)
        if not _ours_to_set(name):
            raise ContentError(f"the header {safe_header(name)[:60]} cannot be set")
        if clean != value.strip() or not clean.isascii() or len(clean) > MAX_LINE:
            raise ContentError(f"the header {name} has a value that cannot be sent")
        checked[name] = clean
    return checked


@lru_cache(maxsize=64)
def _ours_to_set(name: str) -> bool:
    return bool(_HEADER_NAME.match(name)) and name.lower() not in _OURS and not name.lower().startswith("content-")


_date = lru_cache(maxsize=64)(format_datetime)  # a second's messages have one date


def _boundary(key: str) -> str:
    """`=_` occurs neither in base64 nor in quoted-printable; a part that is sent as it is gets searched for it."""
    return "=_" + hashlib.sha256(key.encode()).hexdigest()[:32]


def _part(kind: str, text: str, mark: bytes, *, eight_bit: bool) -> bytes:
    """A part with its headers: as it is where it may be, else mostly ASCII stays readable and other scripts stay small."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    data = text.encode("utf-8", "replace")
    foreign = len(data) - len(text)
    if (eight_bit or not foreign) and _goes_as_it_is(data, mark):
        coding, body = "8bit" if foreign else "7bit", data.replace(b"\n", b"\r\n")
    elif foreign > len(text) // 6:
        coding, body = "base64", _base64(data.replace(b"\n", b"\r\n"))
    else:
        coding, body = "quoted-printable", binascii.b2a_qp(data).replace(b"\n", b"\r\n")
    return _part_head(kind, coding) + body + (b"" if body.endswith(b"\r\n") else b"\r\n")


@lru_cache(maxsize=16)
def _part_head(kind: str, coding: str) -> bytes:
    return f"Content-Type: {kind}; charset=utf-8\r\nContent-Transfer-Encoding: {coding}\r\n\r\n".encode()


def _goes_as_it_is(data: bytes, mark: bytes) -> bool:
    """RFC 2045 §2.7, §2.8: no NUL, no long line, and here no boundary either."""
    start, last = 0, len(data) - MAX_LINE
    while start < last:  # in every so many octets a line must end
        end = data.rfind(b"\n", start, start + MAX_LINE + 1)
        if end < 0:
            return False
        start = end + 1
    return b"\0" not in data and mark not in data


def _base64(data: bytes) -> bytes:
    line = binascii.b2a_base64(data, newline=False)
    return b"\r\n".join([line[start : start + 76] for start in range(0, len(line), 76)])


@lru_cache(maxsize=64)
def _mailbox(box: Mailbox) -> str:
    if not box.name:
        return box.address
    if _PLAIN_NAME.match(box.name):
        return f"{box.name} <{box.address}>"
    if box.name.isascii():
        quoted = re.sub(r'([\\"])', r"\\\1", box.name)
        return f'"{quoted}" <{box.address}>'
    return f"{_encoded(box.name)} <{box.address}>"


def _text(value: str) -> str:
    """A header of free text: ASCII folded at its spaces, anything else in encoded words of our own (RFC 2047)."""
    value = safe_header(value)
    if len(value) <= 60 and value.isascii():
        return value
    folded = _FOLD.sub("\\1\r\n ", value)
    fits = value.isascii() and max(map(len, folded.split("\r\n"))) < MAX_LINE
    return folded if fits else _encoded(value)


def _encoded(value: str) -> str:
    words, chunk = [], b""
    for character in value:
        data = character.encode("utf-8", "replace")
        if len(chunk) + len(data) > 45:
            words.append(chunk)
            chunk = b""
        chunk += data
    words.append(chunk)
    return "\r\n ".join(f"=?utf-8?b?{binascii.b2a_base64(word, newline=False).decode()}?=" for word in words)


__all__ = ["Letter", "Mailbox", "address", "build", "compose", "custom_headers", "sender"]
