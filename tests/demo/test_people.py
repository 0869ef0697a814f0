"""The demo's people are invented, the same every time, and nobody else's; its purchases are the file's."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

from engine import shipped
from engine.addresses import normalise
from engine.demo import habits
from engine.demo.chance import share, weighted
from engine.demo.people import number_of, people, person
from engine.demo.purchases import event_rows, read_purchases
from engine.model import Channel

FILE: Path = shipped.cdnow() / "CDNOW_sample.txt"
EVERYBODY = people(range(1, 2358))


def test_every_row_of_the_file_is_a_purchase_of_its_own() -> None:
    """6,919 rows, 244,091.94 dollars (the figures published with the data); equal rows keep ids of their own."""
    purchases = read_purchases(FILE)
    assert len(purchases) == len({row["id"] for row in event_rows(purchases)}) == 6919
    assert sum(Decimal(str(purchase.amount)) for purchase in purchases) == Decimal("244091.94")
    assert len({purchase.customer for purchase in purchases}) == 2357


def test_nobody_s_address_or_number_could_be_a_real_person_s() -> None:
    """Addresses are at domains that cannot exist (RFC 2606), numbers in ranges kept for fiction; both in normal form."""
    for one in EVERYBODY:
        assert normalise(Channel.EMAIL, one.email) == one.email
        assert one.email.endswith(".example")
        if one.phone is not None:
            assert normalise(Channel.SMS, one.phone) == one.phone
            assert any(part in one.phone for part in FICTION), one.phone


FICTION = ("55501", "+447700900", "+442079460", "+441134960", "+493023125", "+496990009", "+494066969", "+6125550")


def test_an_address_or_number_leads_back_to_its_one_person() -> None:
    """The vendors' records can be held against the customers."""
    assert all(number_of(one.email) == one.number for one in EVERYBODY)
    phones = [one.phone for one in EVERYBODY if one.phone]
    assert len(set(phones)) == len(phones) > 1000


def test_the_same_number_is_the_same_person_on_every_machine() -> None:
    """No seed, no set order, no hash of this process: this very person."""
    assert person(2).email == "thomas.jackson.2@mail.example"
    assert (person(2).phone, person(2).time_zone) == ("+12025550102", "America/Denver")


def test_shares_are_about_what_they_are_said_to_be() -> None:
    """85 in a hundred want offers, four in ten can be sent a text with their consent, a few addresses are dead."""
    count = len(EVERYBODY)
    assert 0.82 < sum(one.wants_offers for one in EVERYBODY) / count < 0.88
    assert 0.36 < sum(one.wants_sms for one in EVERYBODY) / count < 0.46
    assert 0.01 < sum(one.email.endswith("@gone.example") for one in EVERYBODY) / count < 0.05
    assert len({one.time_zone for one in EVERYBODY}) > 8


def test_chance_is_even() -> None:
    """A tenth of the numbers falls into each tenth, and weights are kept."""
    tenths = [int(share(number, "x") * 10) for number in range(10_000)]
    assert all(900 < tenths.count(tenth) < 1100 for tenth in range(10))
    drawn = [weighted([(0.2, "a"), (0.8, "b")], number) for number in range(10_000)]
    assert 0.18 < drawn.count("a") / 10_000 < 0.22


def test_nobody_clicks_what_they_did_not_open() -> None:
    """A click or an unsubscription comes with its opening, at the same time."""
    for number in range(1, 2358):
        deeds = habits.on_offer(number, date(1997, 12, 1))
        assert set(deeds.values()) <= {deeds.get(habits.Deed.OPEN)}
