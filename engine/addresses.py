"""Addresses in their one normal form, so that the same mailbox or number is always the same text."""

from __future__ import annotations

import re

import idna
import phonenumbers

from engine.model import Channel

_EMAIL = re.compile(r"^[^\s@<>(),;:\\\"\x00-\x1f\x7f]+@([^\s@.\x00-\x1f]+(?:\.[^\s@.\x00-\x1f]+)+)$")
_HANDLE = re.compile(r"^@?[\w.-]+(?:@[\w-]+(?:\.[\w-]+)+)?$")

_PAGE_SCOPED = re.compile(r"^\d{5,30}\Z", re.ASCII)


def normalise(channel: Channel, address: str) -> str:
    """The address as it is stored and compared. Raises ValueError, saying what is wrong, where it cannot be one."""
    return _FORMS[channel](address.strip())


def _email(address: str) -> str:
    match = _EMAIL.match(address)
    if match is None or len(address) > 254:
        raise ValueError("this is not an email address")
    local, _, domain = address.rpartition("@")
    try:
        domain = domain if domain.isascii() else idna.encode(domain, uts46=True).decode("ascii")
    except UnicodeError as error:
        raise ValueError("the domain of this email address is not valid") from error
    return f"{local}@{domain.lower()}"


def _phone(address: str) -> str:
    try:
        number = phonenumbers.parse(address, None)
    except phonenumbers.NumberParseException as error:
        raise ValueError("a phone number begins with + and its country code") from error
    if not phonenumbers.is_possible_number(number):
        raise ValueError("this phone number has too many or too few digits")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _handle(address: str) -> str:
    if not _HANDLE.match(address):
        raise ValueError('a social handle is written "@name@server"')
    return "@" + address.removeprefix("@").lower()


def _page_scoped(address: str) -> str:
    if not _PAGE_SCOPED.match(address):
        raise ValueError("a Messenger address is the number by which the page knows the person")
    return address


_FORMS = {
    Channel.EMAIL: _email,
    Channel.SMS: _phone,
    Channel.WHATSAPP: _phone,
    Channel.MESSENGER: _page_scoped,
    Channel.SOCIAL: _handle,
}
