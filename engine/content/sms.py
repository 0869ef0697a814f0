"""SMS as networks count it: the GSM-7 alphabet, UCS-2, and the segments that are billed (3GPP TS 23.038 and 23.040)."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
"""The basic table: one septet each."""

EXTENSION = frozenset("\f^{}\\[~]|€")
"""The extension table: an escape and a code, two septets that must stay in one part."""

GSM7_CHARACTERS = BASIC | EXTENSION


class Encoding(StrEnum):
    GSM7 = "GSM-7"
    UCS2 = "UCS-2"


@dataclass(frozen=True, kw_only=True, slots=True)
class Capacity:
    """How many units fit into a message that is alone, and into one part of several (whose header takes octets)."""

    alone: int
    part: int


CAPACITY = {
    (Encoding.GSM7, False): Capacity(alone=160, part=153),
    (Encoding.UCS2, False): Capacity(alone=70, part=67),
    (Encoding.GSM7, True): Capacity(alone=160, part=152),
    (Encoding.UCS2, True): Capacity(alone=70, part=66),
}
"""By encoding and toll-free: some North American toll-free routes use a header of 7 octets instead of 6."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Segments:
    """What a text costs. `units` are septets (GSM-7) or 16-bit units (UCS-2); `count` is what providers bill."""

    encoding: Encoding
    units: int
    count: int


def encoding(text: str) -> Encoding:
    """One character outside both GSM-7 tables turns the whole message into UCS-2."""
    return Encoding.GSM7 if GSM7_CHARACTERS.issuperset(text) else Encoding.UCS2


def segments(text: str, *, toll_free: bool = False) -> Segments:
    """Count a text as it stands; `tidy` it first. An empty text has no segments."""
    code = encoding(text)
    return Segments(
        encoding=code,
        units=sum(_units(text, code)),
        count=sum(1 for _ in _parts(text, code, CAPACITY[code, toll_free])),
    )


def split(text: str, *, toll_free: bool = False) -> tuple[str, ...]:
    """The text of each segment. An escape pair or a surrogate pair is never cut, so a part may stay one unit short."""
    code = encoding(text)
    return tuple(_parts(text, code, CAPACITY[code, toll_free]))


def _units(text: str, code: Encoding) -> Iterator[int]:
    if code is Encoding.GSM7:
        return (2 if character in EXTENSION else 1 for character in text)
    return (2 if character > "\uffff" else 1 for character in text)


def _parts(text: str, code: Encoding, capacity: Capacity) -> Iterator[str]:
    units = list(_units(text, code))
    if sum(units) <= capacity.alone:
        yield from [text] if text else []
        return
    start = used = 0
    for index, unit in enumerate(units):
        if used + unit > capacity.part:
            yield text[start:index]
            start, used = index, 0
        used += unit
    yield text[start:]


_TYPOGRAPHY = str.maketrans(
    {
        "’": "'",
        "‘": "'",
        "“": '"',
        "”": '"',
        "„": '"',
        "–": "-",
        "—": "-",
        "\u2212": "-",  # the minus of Finnish and Swedish amounts
        "…": "...",
        "\t": " ",
        "\u00a0": " ",  # the no-break spaces that amounts are formatted with
        "\u2009": " ",
        "\u202f": " ",
    }
)


def tidy(text: str) -> str:
    """The same words in cheaper characters: composed letters, plain quotes, dashes and spaces, LF alone at line ends.

    Letters stay as they are: č never becomes c.
    """
    plain = text.replace("\r\n", "\n").replace("\r", "\n")
    return unicodedata.normalize("NFC", plain).translate(_TYPOGRAPHY)
