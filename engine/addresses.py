"""Addresses in their one normal form, so that the same mailbox or number is always the same text."""

from __future__ import annotations

import re

import idna
import phonenumbers

from engine.model import Channel

_EMAIL = re.compile(r"^[^\s@<>(),;:\\\"\x00-\x1f\x7f]+@([^\s@.\x00-\x1f]+(?:\.[^\s@.\x00-\x1f]+)+)$")
_CODES = phonenumbers.COUNTRY_CODE_TO_REGION_CODE
UNKNOWN = "?"
_HANDLE = re.compile(r"^@?[\w.-]+(?:@[\w-]+(?:\.[\w-]+)+)?$")

_MEXICAN = re.compile(r"^\+\s*52\D*1(?=(?:\D*\d){10}\D*\Z)")
"""How a Mexican mobile began until 2019; WhatsApp and carriers still write the 1."""
_BRAZILIAN = re.compile(r"\+55(\d\d)(9?)([6-9]\d{7})", re.ASCII)
"""A Brazilian mobile that once had eight digits: the area, the 9 that came before them until 2016, and those."""

_CHAT = re.compile(r"^[1-9]\d{0,18}\Z", re.ASCII)
LONGEST_OPAQUE = 500
_PAGE_SCOPED = re.compile(r"^\d{5,30}\Z", re.ASCII)


def normalise(channel: Channel, address: str) -> str:
    """The address as it is stored and compared. Raises ValueError, saying what is wrong, where it cannot be one."""
    return _FORMS[channel](address.strip())


def also_written(channel: Channel, address: str) -> tuple[str, ...]:
    """The other forms in which a channel may tell us an address in normal form, for finding who wrote: WhatsApp knows many Brazilian
    mobiles without their 9. Messages go to the form that the shop has.
    """
    mobile = _BRAZILIAN.fullmatch(address) if channel is Channel.WHATSAPP else None
    if mobile is None:
        return ()
    area, nine, number = mobile.groups()
    return (f"+55{area}{'' if nine else '9'}{number}",)


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
        number = phonenumbers.parse(_MEXICAN.sub("+52", address), None)
    except phonenumbers.NumberParseException as error:
        raise ValueError("a phone number begins with + and its country code") from error
    if not phonenumbers.is_possible_number(number):
        raise ValueError("this phone number has too many or too few digits")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _handle(address: str) -> str:
    if not _HANDLE.match(address):
        raise ValueError('a social handle is written "@name@server"')
    return "@" + address.removeprefix("@").lower()


def _chat(address: str) -> str:
    if not _CHAT.match(address):
        raise ValueError("a Telegram address is the number of the person's chat with the bot")
    return address


def _opaque(address: str) -> str:
    if not 0 < len(address) <= LONGEST_OPAQUE or not address.isprintable():
        raise ValueError(
            f"a webhook's address is one line of at most {LONGEST_OPAQUE} characters, as its receiver reads it"
        )
    return address


def _page_scoped(address: str) -> str:
    if not _PAGE_SCOPED.match(address):
        raise ValueError("a Messenger address is the number by which the page knows the person")
    return address


_FORMS = {
    Channel.EMAIL: _email,
    Channel.SMS: _phone,
    Channel.WHATSAPP: _phone,
    Channel.MESSENGER: _page_scoped,
    Channel.TELEGRAM: _chat,
    Channel.SOCIAL: _handle,
    Channel.WEBHOOK: _opaque,
}


def domain_of(address: str) -> str:
    """What stands after the @ of an email address, in lower case."""
    return address.rpartition("@")[2].lower()


def country_of(number: str) -> str:
    """The country (ISO 3166) that an E.164 number belongs to; `?` where it belongs to none."""
    for digits in (1, 2, 3):
        regions = _CODES.get(int(number[1 : 1 + digits]), ()) if number[1 : 1 + digits].isdigit() else ()
        if len(regions) == 1:
            return regions[0] if regions[0].isalpha() else UNKNOWN
        if regions:  # several countries share the code: only the number itself tells
            try:
                found = phonenumbers.region_code_for_number(phonenumbers.parse(number, None))
            except phonenumbers.NumberParseException:
                return UNKNOWN
            return str(found or regions[0])
    return UNKNOWN
