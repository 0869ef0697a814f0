"""What the invented people are called and where they live: common names and large cities, by country."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, kw_only=True, slots=True)
class Country:
    """A country of the demo: its share of the customers, its language, and each city with its time zone."""

    code: str
    weight: float
    locale: str
    first: tuple[str, ...]
    last: tuple[str, ...]
    cities: tuple[tuple[str, str], ...]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_ENGLISH_FIRST = _words("""
    James Mary Robert Patricia John Jennifer Michael Linda David Elizabeth William Barbara Richard Susan Joseph
    Jessica Thomas Sarah Charles Karen Christopher Lisa Daniel Nancy Matthew Betty Anthony Sandra Mark Margaret
    Steven Ashley Paul Emily Andrew Donna Joshua Michelle Kenneth Carol Kevin Amanda Brian Melissa George Deborah
""")
_AMERICAN_LAST = _words("""
    Smith Johnson Williams Brown Jones Garcia Miller Davis Rodriguez Martinez Hernandez Lopez Gonzalez Wilson
    Anderson Thomas Taylor Moore Jackson Martin Lee Perez Thompson White Harris Sanchez Clark Ramirez Lewis
    Robinson Walker Young Allen King Wright Scott Torres Nguyen Hill Flores
""")
_BRITISH_LAST = _words("""
    Smith Jones Taylor Brown Williams Wilson Johnson Davies Patel Robinson Wright Thompson Evans Walker White
    Roberts Green Hall Thomas Clarke Jackson Wood Harris Edwards Turner Martin Cooper Hill Ward Hughes Moore
""")
_FINNISH_FIRST = _words("""
    Maria Juhani Helena Johannes Anneli Olavi Johanna Antero Kaarina Tapani Marjatta Kalevi Aino Väinö Hanna Mikko
    Päivi Pekka Liisa Matti Sanna Jukka Tuula Timo
""")
_FINNISH_LAST = _words("""
    Korhonen Virtanen Mäkinen Nieminen Mäkelä Hämäläinen Laine Heikkinen Koskinen Järvinen Lehtonen Lehtinen
    Saarinen Salminen Heinonen Niemi Heikkilä Kinnunen Salonen Turunen
""")
_GERMAN_FIRST = _words("""
    Peter Ursula Michael Maria Thomas Monika Andreas Petra Wolfgang Elisabeth Claus Sabine Klaus Renate Jürgen
    Helga Günter Karin Stefan Brigitte Jörg Ingrid Uwe Käthe
""")
_GERMAN_LAST = _words("""
    Müller Schmidt Schneider Fischer Weber Meyer Wagner Becker Schulz Hoffmann Schäfer Koch Bauer Richter Klein
    Wolf Schröder Neumann Schwarz Zimmermann Braun Krüger Hofmann Weiß
""")

COUNTRIES = (
    Country(
        code="US",
        weight=0.66,
        locale="en-US",
        first=_ENGLISH_FIRST,
        last=_AMERICAN_LAST,
        cities=(
            ("New York", "America/New_York"),
            ("Philadelphia", "America/New_York"),
            ("Boston", "America/New_York"),
            ("Atlanta", "America/New_York"),
            ("Chicago", "America/Chicago"),
            ("Houston", "America/Chicago"),
            ("Denver", "America/Denver"),
            ("Phoenix", "America/Phoenix"),
            ("Los Angeles", "America/Los_Angeles"),
            ("Seattle", "America/Los_Angeles"),
        ),
    ),
    Country(
        code="CA",
        weight=0.06,
        locale="en-CA",
        first=_ENGLISH_FIRST,
        last=_AMERICAN_LAST,
        cities=(("Toronto", "America/Toronto"), ("Vancouver", "America/Vancouver")),
    ),
    Country(
        code="GB",
        weight=0.10,
        locale="en-GB",
        first=_ENGLISH_FIRST,
        last=_BRITISH_LAST,
        cities=(("London", "Europe/London"), ("Leeds", "Europe/London"), ("Glasgow", "Europe/London")),
    ),
    Country(
        code="DE",
        weight=0.08,
        locale="de-DE",
        first=_GERMAN_FIRST,
        last=_GERMAN_LAST,
        cities=(("Berlin", "Europe/Berlin"), ("Köln", "Europe/Berlin"), ("Leipzig", "Europe/Berlin")),
    ),
    Country(
        code="FI",
        weight=0.06,
        locale="fi-FI",
        first=_FINNISH_FIRST,
        last=_FINNISH_LAST,
        cities=(("Helsinki", "Europe/Helsinki"), ("Tampere", "Europe/Helsinki"), ("Oulu", "Europe/Helsinki")),
    ),
    Country(
        code="AU",
        weight=0.04,
        locale="en-AU",
        first=_ENGLISH_FIRST,
        last=_BRITISH_LAST,
        cities=(("Sydney", "Australia/Sydney"), ("Perth", "Australia/Perth")),
    ),
)

_AREA_CODES = _words("202 203 206 212 213 215 303 305 312 313 314 402 404 410 412 415 504 512 602 612 617 619 702 713")
_AUSTRALIA, _NORTH_AMERICA = "+6125550{0:04d}", tuple(f"+1{code}55501{{1:02d}}" for code in _AREA_CODES)

FICTION: Mapping[str, tuple[int, tuple[str, ...]]] = MappingProxyType(
    {
        "US": (100, _NORTH_AMERICA),
        "CA": (100, _NORTH_AMERICA),
        "GB": (1000, ("+447700900{1:03d}", "+442079460{1:03d}", "+441134960{1:03d}")),
        "DE": (1000, ("+493023125{1:03d}", "+496990009{1:03d}", "+494066969{1:03d}")),
        "AU": (10000, (_AUSTRALIA,)),
    }
)
"""Telephone numbers that regulators keep for films and books (NANPA 555-01xx, Ofcom, Bundesnetzagentur, ACMA): how many a
pattern holds, and the patterns, filled with the customer's number and its rest. Finland has none that we know of."""
