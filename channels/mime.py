"""One email as bytes: headers that nothing in the data can break out of, a text and an HTML part, CRLF only.

Built by hand, because `EmailMessage` takes 2.3 ms a message; the same Outgoing always gives the same bytes, so a second
hand-over can be recognised by its Message-ID and Date.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from dataclasses import dataclass
from email.utils import format_datetime
from functools import lru_cache

from engine.errors import ContentError
from engine.provider import EmailContent, Outgoing, safe_header

MAX_HEADER = 900  # RFC 5322 §2.1.1 allows 998 octets a line
_ADDRESS = re.compile(r"^([^\s@<>()\[\],;:\\\"\x00-\x1f\x7f-\x9f\ud800-\udfff]+)@([\w](?:[\w.-]*[\w])?)\Z")
_NAME_AND_ADDRESS = re.compile(r"^\s*(?P<name>.*?)\s*<(?P<address>[^<>]*)>\s*$", re.DOTALL)
_FOLD = re.compile(r"(.{1,60}\S) (?=\S)")
_PLAIN_NAME = re.compile(r"^[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]*\Z")
_HEADER_NAME = re.compile(r"^[A-Za-z][A-Za-z0-9-]{0,60}\Z")
_OURS = frozenset(
    {"from", "to", "cc", "bcc", "sender", "reply-to", "subject", "date", "message-id", "mime-version", "received"}
    | {"return-path", "dkim-signature", "x-sg-id", "x-sg-eid", "x-regulars-message"}
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Mailbox:
    """A display name, which may be empty, and an address."""

    name: str
    address: str

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]


@lru_cache(maxsize=64)
def sender(written: str) -> Mailbox:
    """`Shop <news@shop.example>` or a bare address. Raises ContentError where there is no address in it."""
    match = _NAME_AND_ADDRESS.match(written)
    name, found = (match["name"], match["address"]) if match else ("", written)
    if len(name) > 1 and name[0] == name[-1] == '"':
        name = re.sub(r"\\(.)", r"\1", name[1:-1])
    return Mailbox(name=safe_header(name), address=address(found.strip()))


def address(value: str) -> str:
    """The value, if it is one email address and nothing else, its domain in ASCII. Raises ContentError, not repeating it."""
    match = _ADDRESS.match(value)
    if len(value) > 254 or match is None:
        raise ContentError("this is not an email address")
    if match[2].isascii():
        return value
    try:
        return f"{match[1]}@{match[2].encode('idna').decode('ascii')}"
    except UnicodeError as error:
        raise ContentError("the domain of this email address is not valid") from error


def custom_headers(content: EmailContent) -> dict[str, str]:
    """Our own headers, such as List-Unsubscribe, as they may be sent. Their values are structured: nothing is repaired.

    Raises ContentError for a name that is another's, and for a value that is not one short line of ASCII.
    """
    checked = {}
    for name, value in content.headers.items():
        clean = safe_header(value)
        if not _HEADER_NAME.match(name) or name.lower() in _OURS or name.lower().startswith("content-"):
            raise ContentError(f"the header {safe_header(name)[:60]} cannot be set")
        if clean != value.strip() or not clean.isascii() or len(clean) > MAX_HEADER:
            raise ContentError(f"the header {name} has a value that cannot be sent")
        checked[name] = clean
    return checked


def build(outgoing: Outgoing) -> bytes:
    """The whole message for the wire. Raises ContentError where a header or an address cannot be written safely."""
    content = outgoing.content
    if not isinstance(content, EmailContent):
        raise ContentError("an email needs a subject and a text")
    origin, boundary = sender(outgoing.sender), _boundary(outgoing.key)
    head = [
        f"From: {_mailbox(origin)}",
        f"To: {address(outgoing.to or '')}",
        f"Subject: {_text(content.subject)}",
        f"Date: {format_datetime(outgoing.at)}",
        f"Message-ID: <{_token(outgoing.key)}@{origin.domain}>",
        f"X-Regulars-Message: {_token(outgoing.key)}",
        *(f"{name}: {value}" for name, value in custom_headers(content).items()),
        "MIME-Version: 1.0",
    ]
    text = _part("text/plain", content.text)
    if content.html is None:
        return "\r\n".join(head).encode() + b"\r\n" + text
    return b"".join(
        (
            "\r\n".join(head).encode(),
            f'\r\nContent-Type: multipart/alternative; boundary="{boundary}"\r\n\r\n--{boundary}\r\n'.encode(),
            text,
            f"\r\n--{boundary}\r\n".encode(),
            _part("text/html", content.html),
            f"\r\n--{boundary}--\r\n".encode(),
        )
    )


def _boundary(key: str) -> str:
    """`=_` occurs neither in base64 nor in quoted-printable, so no part can contain it."""
    return "=_" + hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()[:32]


def _token(key: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,200}", key):
        raise ContentError("the message's key has characters that a Message-ID cannot have")
    return key


def _part(kind: str, text: str) -> bytes:
    """A part with its headers. Mostly ASCII stays readable (quoted-printable), other scripts stay small (base64)."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    data = text.encode("utf-8", "replace")
    if len(data) - len(text) > len(text) // 6:
        coding, body = "base64", _base64(data.replace(b"\n", b"\r\n"))
    else:
        coding, body = "quoted-printable", binascii.b2a_qp(data).replace(b"\n", b"\r\n")
    head = f"Content-Type: {kind}; charset=utf-8\r\nContent-Transfer-Encoding: {coding}\r\n\r\n"
    return head.encode() + body + (b"" if body.endswith(b"\r\n") else b"\r\n")


def _base64(data: bytes) -> bytes:
    line = binascii.b2a_base64(data, newline=False)
    return b"\r\n".join([line[start : start + 76] for start in range(0, len(line), 76)])


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
    folded = _FOLD.sub("\\1\r\n ", value)
    fits = value.isascii() and max(map(len, folded.split("\r\n"))) < MAX_HEADER
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
