"""SMS are counted as networks bill them: every published vector, and the properties that hold for any text."""

from __future__ import annotations

import math
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.content.sms import BASIC, EXTENSION, Encoding, encoding, segments, split, tidy

G, U = Encoding.GSM7, Encoding.UCS2
FAMILY, FLAG, THUMB = "👨\u200d👩\u200d👧\u200d👦", "🇸🇮", "👍🏽"

VECTORS = [
    ("A" * 160, G, 160, 1),
    ("A" * 161, G, 161, 2),
    ("A" * 306, G, 306, 2),
    ("A" * 307, G, 307, 3),
    ("A" * 459, G, 459, 3),
    ("A" * 460, G, 460, 4),
    ("A" * 612, G, 612, 4),
    ("A" * 613, G, 613, 5),
    ("A" * 1600, G, 1600, 11),
    ("A" * 158 + "€", G, 160, 1),
    ("A" * 159 + "€", G, 161, 2),
    ("A" * 152 + "€" + "A" * 7, G, 161, 2),
    ("A" * 152 + "€" + "A" * 152, G, 306, 3),
    ("A" * 153 + "€" + "A" * 151, G, 306, 2),
    ("€" * 153, G, 306, 3),
    ("€" * 152, G, 304, 2),
    ("€" * 80, G, 160, 1),
    ("€" * 81, G, 162, 2),
    ("я" * 66 + "😀" + "я" * 66, U, 134, 3),
    ("я" * 70, U, 70, 1),
    ("я" * 71, U, 71, 2),
    ("я" * 134, U, 134, 2),
    ("я" * 135, U, 135, 3),
    ("я" * 201, U, 201, 3),
    ("я" * 202, U, 202, 4),
    ("я" * 268, U, 268, 4),
    ("я" * 269, U, 269, 5),
    ("я" * 1600, U, 1600, 24),
    ("😀" * 35, U, 70, 1),
    ("😀" * 36, U, 72, 2),
    ("я" * 66 + "😀" + "я" * 5, U, 73, 2),
    ("č" * 70, U, 70, 1),
    ("äÄöÖ" * 40, G, 160, 1),
    ("A" * 159 + "’", U, 160, 3),
    ("A" * 133 + "…", U, 134, 2),
    ("don't", G, 5, 1),
    ("don’t", U, 5, 1),
    ("[code] {x}", G, 14, 1),
    ("Prix : 10 €", G, 12, 1),
    ("e\u0301", U, 2, 1),
    (unicodedata.normalize("NFC", "e\u0301"), G, 1, 1),
    (FAMILY, U, 11, 1),
    (FLAG, U, 4, 1),
    (THUMB, U, 4, 1),
    ("\r\n", G, 2, 1),
    ("A" * 140 + "Ana", G, 143, 1),
    ("A" * 140 + "Žiga", U, 144, 3),
    ("Hei Väinö, tilauksesi on matkalla!", G, 34, 1),
    ("Zażółć gęślą jaźń", U, 17, 1),
    ("Pozdravljen, Žiga! Tvoj popust velja do petka.", U, 46, 1),
]


@pytest.mark.parametrize(("text", "code", "units", "count"), VECTORS)
def test_a_text_counts_as_networks_bill_it(text: str, code: Encoding, units: int, count: int) -> None:
    """The vectors of 3GPP's rules, those included where dividing the units by a part's size is wrong."""
    counted = segments(text)
    assert (counted.encoding, counted.units, counted.count) == (code, units, count)


def test_an_empty_text_has_no_segments() -> None:
    """Nothing is nothing, and costs nothing."""
    assert (segments("").units, segments("").count, split("")) == (0, 0, ())


@pytest.mark.parametrize(
    ("text", "count"),
    [("A" * 304, 2), ("A" * 305, 3), ("A" * 306, 3), ("я" * 132, 2), ("я" * 133, 3), ("я" * 134, 3)],
)
def test_toll_free_parts_are_shorter(text: str, count: int) -> None:
    """A header of seven octets leaves 152 septets or 66 units."""
    assert segments(text, toll_free=True).count == count


def test_the_alphabets_are_those_of_the_standard() -> None:
    """A mistyped look-alike (the ohm sign for omega) changes the sums."""
    assert (len(BASIC), sum(map(ord, BASIC))) == (127, 22_004)
    assert (len(EXTENSION), sum(map(ord, EXTENSION))) == (10, 9_244)


@pytest.mark.parametrize("character", ["`", "\t", "\u00a0", "’", "“", "–", "ç", "Ω".replace("Ω", "\u2126"), "á", "Α"])
def test_a_character_outside_the_tables_turns_the_message_into_ucs2(character: str) -> None:
    """One look-alike is enough."""
    assert encoding(f"Good morning {character}") is U


SOME = st.text(alphabet=st.sampled_from("Aa€[ž я😀\n’é"), max_size=400)


@settings(max_examples=200)
@given(SOME, st.booleans())
def test_parts_join_to_the_text_and_cut_no_pair(text: str, toll_free: bool) -> None:
    """Nothing is lost at a boundary, every part fits, and there are as many as are counted."""
    counted, parts = segments(text, toll_free=toll_free), split(text, toll_free=toll_free)
    assert "".join(parts) == text
    assert len(parts) == counted.count
    if counted.count > 1:
        part = {(G, False): 153, (G, True): 152, (U, False): 67, (U, True): 66}[counted.encoding, toll_free]
        sizes = [_units(piece, counted.encoding) for piece in parts]
        assert max(sizes) <= part
        assert counted.count >= math.ceil(counted.units / part)
        assert sum(sizes) == counted.units


def _units(text: str, code: Encoding) -> int:
    return len(text.encode("utf-16-le")) // 2 if code is U else len(text) + sum(c in EXTENSION for c in text)


@settings(max_examples=100)
@given(st.text(alphabet="Ab€[", max_size=500), st.text(alphabet="Ab€[", max_size=50))
def test_more_text_never_costs_less(text: str, more: str) -> None:
    """Within one alphabet the count only grows."""
    assert segments(text + more).count >= segments(text).count


def test_tidying_brings_a_typographic_text_back_to_one_segment() -> None:
    """The curly apostrophe of a word processor triples the price of 160 characters; tidied, it is one segment."""
    counted = segments(tidy("A" * 159 + "’"))
    assert (counted.encoding, counted.units, counted.count) == (G, 160, 1)


def test_tidying_keeps_the_words() -> None:
    """Letters with their accents stay; only quotes, dashes, spaces, line ends and composition change."""
    assert tidy("„Žiga“ – “č” …\r\nd\u00a0e\u202f€\tf\u2212e\u0301") == '"Žiga" - "č" ...\nd e € f-é'


@settings(max_examples=100)
@given(st.text(max_size=200))
def test_tidying_twice_is_tidying_once(text: str) -> None:
    """A text that was tidied at rendering may be tidied again without a change."""
    assert tidy(tidy(text)) == tidy(text)
