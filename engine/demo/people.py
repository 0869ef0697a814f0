"""The people of the demo. All invented from the customer's number: names, cities, addresses, consents; nobody is meant."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from engine.demo.chance import one_of, share, weighted
from engine.demo.names import COUNTRIES, FICTION, Country

MAIL_DOMAINS = ("mail.example", "post.example", "letters.example")
GONE_DOMAIN = "gone.example"
"""Mailboxes there exist no more: the mail server of the demo refuses them."""

WANTS_OFFERS = 0.85
"""The share who said yes to offers by email."""

HAS_PHONE, WANTS_SMS = 0.60, 0.72
"""The share with a telephone number, and the share of those who said yes to text messages: four in ten of all, or so."""

WAS_ASKED = 0.4
"""Of those without a yes, the share who said no; the others were never asked, which is no yes either."""

HAS_MOVED = 0.025
"""The share whose email address has ceased to be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """An invented customer. `phone` is None for those who gave none."""

    number: int
    first_name: str
    last_name: str
    country: str
    city: str
    locale: str
    time_zone: str
    email: str
    phone: str | None
    wants_offers: bool
    wants_sms: bool


def person(number: int) -> Person:
    """The person who stands behind a customer's number, always the same one."""
    country = weighted([(country.weight, country) for country in COUNTRIES], number, "country")
    first, last = one_of(country.first, number, "first name"), one_of(country.last, number, "last name")
    city, time_zone = one_of(country.cities, number, "city")
    moved = share(number, "moved") < HAS_MOVED
    phone = _phone(number, country) if share(number, "phone") < HAS_PHONE else None
    return Person(
        number=number,
        first_name=first,
        last_name=last,
        country=country.code,
        city=city,
        locale=country.locale,
        time_zone=time_zone,
        email=f"{_plain(first)}.{_plain(last)}.{number}@{GONE_DOMAIN if moved else one_of(MAIL_DOMAINS, number, 'mail')}",
        phone=phone,
        wants_offers=share(number, "wants offers") < WANTS_OFFERS,
        wants_sms=phone is not None and share(number, "wants sms") < WANTS_SMS,
    )


def number_of(email: str) -> int:
    """The customer an invented address belongs to."""
    return int(email.partition("@")[0].rpartition(".")[2])


def people(numbers: Iterable[int]) -> tuple[Person, ...]:
    return tuple(person(number) for number in sorted(set(numbers)))


def _plain(name: str) -> str:
    """A name in the letters of an address: Väinö → vaino."""
    letters = unicodedata.normalize("NFKD", name.lower().replace("ß", "ss"))
    return "".join(letter for letter in letters if letter.isascii() and letter.isalpha())


def _phone(number: int, country: Country) -> str | None:
    if country.code not in FICTION:
        return None
    size, patterns = FICTION[country.code]
    block, rest = divmod(number, size)
    return patterns[block % len(patterns)].format(number, rest)


def customer_rows(everybody: Iterable[Person], since: Mapping[int, datetime]) -> Iterator[dict[str, object]]:
    """The people as `regulars import customers` takes them; `since`: when each became a customer."""
    for one in everybody:
        yield {
            "id": one.number,
            "created_at": since[one.number].isoformat(),
            "first_name": one.first_name,
            "city": one.city,
            "country": one.country,
            "locale": one.locale,
            "time_zone": one.time_zone,
            "email": one.email,
            "sms": one.phone or "",
            "consent.email.offers": _answer(one.number, "offers", one.wants_offers),
            "consent.sms.loyalty": _answer(one.number, "loyalty", one.wants_sms) if one.phone else "",
            "consent_proof": "invented for the demo",
        }


def _answer(number: int, purpose: str, wants: bool) -> str:
    """What stands in the file: a yes, a no, or nothing where the person was never asked."""
    return "yes" if wants else "no" if share(number, purpose, "was asked") < WAS_ASKED else ""
