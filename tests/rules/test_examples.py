"""The example segments of a shop, on planted customers: for each, one who is in and one who misses it by a little."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from sqlalchemy import select

from engine import document
from engine.cli.explain import explain, explained
from engine.errors import UnknownName
from engine.questions.check import check
from engine.rules.campaign import Reentry, ReentryAfter
from engine.rules.compile import matches
from engine.rules.explain import again, sentence
from engine.rules.lots import lot
from engine.rules.schema import rules_schema
from engine.rules.workspace import load_workspace
from engine.shipped import starter
from engine.store import Database
from engine.store.tables import customers
from tests.rules.shop import NOW, Address, Happened, Letter, Person, load

FOLDER = Path(__file__).parents[2] / "examples" / "segments"
WORKSPACE = load_workspace(FOLDER)
OLD = NOW - timedelta(days=900)


def event(days: float, name: str = "purchase", **properties: Any) -> Happened:
    """Something that happened so many days ago."""
    return Happened(name=name, at=NOW - timedelta(days=days), properties=properties)


def bought(*days: float, **properties: Any) -> list[Happened]:
    return [event(age, **{"amount": 10, **properties}) for age in days]


def letters(count: int, opened: int = 0) -> list[Letter]:
    at = NOW - timedelta(days=10)
    return [
        Letter(
            campaign="any", channel="email", reached={"accepted_at": at, **({"opened_at": at} if n < opened else {})}
        )
        for n in range(count)
    ]


def said(*words: str, suppressed: bool = False) -> list[Address]:
    history = tuple(("offers", word, NOW - timedelta(days=9 - n)) for n, word in enumerate(words))
    return [Address(channel="sms", suppressed_at=OLD if suppressed else None, said=history)]


def half_discounted(discounted: int) -> list[Happened]:
    return [event(n + 1, amount=5, discount=2 if n < discounted else 0) for n in range(5)]


PLANTED: Mapping[str, tuple[Any, Any]] = {
    "newcomers": ({"created_at": NOW - timedelta(days=2)}, {}),
    "first-purchase": (bought(3), bought(3, 40)),
    "one-time-buyers": (bought(31), bought(29)),
    "lapsing": (bought(91, 200), bought(89, 200)),
    "at-risk": (bought(21, 31, 41), bought(19, 29, 39)),
    "lost": (bought(365), bought(364)),
    "won-back": (bought(5, 200), bought(5, 100, 200)),
    "regular-rhythm": (bought(1, 31, 61), bought(1, 51, 101)),
    "long-standing": (bought(10, 730), bought(10, 729)),
    "membership-expiring": ({"member_until": "2026-04-01"}, {"member_until": "2026-04-02"}),
    "best-five-percent": (bought(20, amount=90_000), bought(20, amount=1)),
    "champions": (bought(0.1, *range(2, 30)), bought(300)),
    "must-not-lose": (bought(*range(500, 560), amount=500), bought(*range(1, 60), amount=500)),
    "every-fifth-purchase": (bought(0.5, 70, 80, 90, 95), bought(0.5, 70, 80, 90)),
    "big-baskets": (bought(8, amount=79) + bought(9, amount=81), bought(8, amount=79) + bought(9, amount=80)),
    "explorers": ([event(5, category=c) for c in "abc"], [event(5, category=c) for c in "aab"]),
    "spending-more": (bought(10, amount=150) + bought(100, amount=100), bought(10, amount=149) + bought(100, amount=100)),
    "spending-less": (bought(10, amount=49) + bought(100, amount=100), bought(10, amount=50) + bought(100, amount=100)),
    "price-sensitive": (half_discounted(3), half_discounted(2)),
    "promo-only": (bought(5, 6, code="SPRING"), bought(5, code="SPRING") + bought(6)),
    "birthday-next-week": ({"birthday": "1990-03-09"}, {"birthday": "1990-03-10"}),
    "years-a-customer": (bought(10, 365), bought(364, 365, 366)),
    "coffee-refill": (bought(30.5, product="Coffee"), bought(30.5, 2, product="Coffee")),
    "left-a-basket": ([event(0.2, "cart_left", basket="a"), event(0.19, basket="b")], [event(0.2, "cart_left", basket="a"), event(0.19, basket="a")]),
    "looked-and-left": (bought(6) + [event(n, "visit", page="/product/1") for n in (1, 2, 3)], bought(1.5) + [event(n, "visit", page="/product/1") for n in (1, 2, 3)]),
    "first-complaint": ([event(1, "complaint")], [event(1, "complaint"), event(50, "complaint")]),
    "open-incident": ([event(9, "incident_opened", incident="1"), event(8, "incident_closed", incident="2")], [event(9, "incident_opened", incident="1"), event(8, "incident_closed", incident="1")]),
    "unanswered-detractors": ([event(3, "survey_answered", score=6), event(1.9, "ticket_answered")], [event(3, "survey_answered", score=6), event(2.5, "ticket_answered")]),
    "engaged-readers": (letters(3, opened=2), letters(3, opened=1)),
    "never-opens": (letters(3), letters(3, opened=1)),
    "text-message-offers": (said("opted_out", "opted_in"), said("opted_in", "opted_out")),
    "nordic-vinyl": ({"country": "IS", "interests": ["jazz"]}, {"country": "DE", "interests": ["jazz"]}),
    "worth-a-call": (bought(100, 200, amount=100), [*bought(100, 200, amount=100), event(5, "incident_opened", incident="3")]),
}  # fmt: skip


def person(id: str, given: Any) -> Person:
    one = Person(id=id, locale=None, created_at=OLD, attributes={})
    match given:
        case {"created_at": at}:
            one.created_at = at
        case dict():
            one.attributes = given
        case [Happened(), *_]:
            one.events = given
        case [Letter(), *_]:
            one.letters = given
        case [Address(), *_]:
            one.addresses = given
    return one


def people() -> list[Person]:
    planted = [
        person(f"{name} {side}", given[side == "out"]) for name, given in PLANTED.items() for side in ("in", "out")
    ]
    return [*planted, person("on-the-list", {}), person("suppressed", said("opted_in", suppressed=True))]


def in_segment(database: Database, name: str) -> set[str]:
    who = matches(WORKSPACE, WORKSPACE.segments[name].who, now=NOW, dialect=database.dialect)
    with database.reading() as connection:
        return set(connection.execute(select(customers.c.external_id).where(who)).scalars())


def test_every_example_finds_the_planted_and_leaves_the_near_miss(database: Database) -> None:
    """Each segment means what its description says, on both databases."""
    load(database, people())
    found = {name: in_segment(database, name) for name in WORKSPACE.segments}
    wrong = [name for name in PLANTED if f"{name} in" not in found[name] or f"{name} out" in found[name]]
    assert wrong == []
    assert "on-the-list" in found["nordic-vinyl"] and "suppressed" not in found["text-message-offers"]


def test_there_are_thirty_and_each_is_planted() -> None:
    """No example without its answer; the pilot's is its lot, tested below."""
    assert len(WORKSPACE.segments) >= 30
    assert set(PLANTED) | {"pilot"} == set(WORKSPACE.segments)


def test_the_pilot_is_who_drew_so(database: Database) -> None:
    """The lot that SQL draws is the one of the description, for each customer."""
    everybody = people()
    load(database, everybody)
    assert in_segment(database, "pilot") == {one.id for one in everybody if lot(one.row, "spring-pilot") < 10}


def test_check_finds_nothing_in_them_and_so_does_the_schema() -> None:
    """No error, no warning, nothing underlined."""
    assert check(FOLDER) == []
    validator = Draft202012Validator(rules_schema(WORKSPACE.settings))
    for path in sorted((FOLDER / "rules").glob("*.yaml")):
        assert list(validator.iter_errors(document.plain(document.load(path)))) == [], path


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("lapsing", "Customers whose number of purchase events is at least 2, but not those who did purchase within the last 90 days."),
        ("left-a-basket", "Customers who did cart_left within the last day and then did not do purchase with the same basket within 2 hours (once that time is over)."),
        ("text-message-offers", "Customers who agreed to offers by sms, and who can be reached by sms."),
        ("best-five-percent", "Customers whose sum of amount over purchase events within the last 365 days is among the best 5 %."),
        ("must-not-lose", "Customers who are among the at risk or cannot lose and whose monetary score is at least 4 by purchase with its amount as money."),
        ("explorers", "Customers whose number of different values of category among purchase events is at least 3."),
        ("birthday-next-week", "Customers whose birthday comes round in exactly 7 days."),
        ("years-a-customer", "Customers whose first purchase comes round in exactly 0 days."),
    ],
)  # fmt: skip
def test_a_segment_reads_as_a_sentence(name: str, told: str) -> None:
    """The sentence says what the rule says, no more and no less."""
    assert sentence(WORKSPACE.segments[name].who) == told


@pytest.mark.parametrize(
    ("reentry", "told"),
    [
        ("never", "Each of them gets it once."),
        ("on_rematch", "Whoever got it gets it again after being seen outside this audience at one of its starts, and coming back."),
        ("always", "They get it at each of its starts."),
        (ReentryAfter(after=timedelta(days=180)), "Whoever got it gets it again 180 days later at the earliest."),
    ],
)  # fmt: skip
def test_a_campaign_reads_as_two_sentences(reentry: Reentry, told: str) -> None:
    """To whom it goes, and whether again."""
    assert again(reentry) == told
    workspace = load_workspace(starter())
    assert explained(workspace, "second-purchase").endswith("the segment bought-once. Each of them gets it once.")


def test_lots_are_even_and_steady() -> None:
    """Each tenth of the lots has about a tenth of 20,000 customers, whatever the draw; two draws have nothing to do with each other."""
    for of in ("spring-pilot", "holdout", "ü"):
        tenths = [0] * 10
        for row in range(1, 20_001):
            tenths[int(lot(row, of) // 10)] += 1
        assert sum((count - 2000) ** 2 / 2000 for count in tenths) < 27.9  # χ² with 9 degrees of freedom, p = 0.001
    both = sum(lot(row, "a") < 50 and lot(row, "b") < 50 for row in range(1, 20_001))
    assert 4750 < both < 5250


def test_the_command_reads_a_segment_or_all_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    """`regulars explain`: by name, all where none is given, as JSON; an unknown name is told the nearest."""
    explain("lost", folder=FOLDER)
    assert "lost  Customers whose number of days since the last purchase is at least 365." in capsys.readouterr().out
    explain(None, folder=FOLDER, as_json=True)
    assert set(json.loads(capsys.readouterr().out)) == set(WORKSPACE.segments)
    with pytest.raises(UnknownName, match='Did you mean "lost"'):
        explain("lots", folder=FOLDER)
