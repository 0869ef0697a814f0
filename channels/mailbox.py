"""Email addresses and display names as they may be written into an envelope or a header."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import idna

from engine.errors import ContentError
from engine.provider import safe_header

LONGEST = 254  # octets, RFC 5321 §4.5.3.1.3 without the angle brackets
_ODD = r"\s@<>()\[\],;:\\\"\x00-\x1f\x7f-\x9f\ud800-\udfff"
_ADDRESS = re.compile(rf"^([^{_ODD}]+)@([^{_ODD}]+)\Z")
_ASCII_DOMAIN = re.compile(r"^[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?\Z")
_NAME_AND_ADDRESS = re.compile(r"^\s*(?P<name>.*?)\s*<(?P<address>[^<>]*)>\s*$", re.DOTALL)


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
    match = _ADDRESS.match(value) if len(value) <= LONGEST else None
    if match is None:
        raise ContentError("this is not an email address")
    local, domain = match[1], _domain(match[2])
    if len(local.encode()) + 1 + len(domain) > LONGEST:
        raise ContentError("this is not an email address")
    return f"{local}@{domain}"


def _domain(name: str) -> str:
    """A domain in ASCII: an international one is mapped as UTS 46 says and checked as RFC 5891 says (so ß stays ß)."""
    if name.isascii():
        if not _ASCII_DOMAIN.match(name):
            raise ContentError("this is not an email address")
        return name
    try:
        return idna.encode(name, uts46=True).decode("ascii")
    except UnicodeError as error:
        raise ContentError("the domain of this email address is not valid") from error
