"""Every word of the language in a trace: its value beside the verdict, and the instant at which time alone turns it."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from engine.questions.shown import number
from engine.questions.trace import Node, trace
from engine.questions.why.ahead import INSTANT, first_moment
from engine.rules.campaign import Campaign
from engine.rules.compile import audience_condition, matches
from engine.rules.lots import lot
from engine.rules.syntax import Condition
from engine.store import Database
from engine.store.tables import customers
from tests.rules import shop
from tests.rules.rules import Rule

SHOP = shop.workspace()
DAY = timedelta(days=1)


def condition(rule: Rule) -> Condition:
    """A rule of the tests' shop, read as a campaign's own audience is."""
    campaign = Campaign.model_validate(
        {"campaign": "asked", "audience": rule, "channel": "email", "class": "transactional", "purpose": "offers"}
    )
    return audience_condition(SHOP, campaign)


@pytest.fixture
def ana(database: Database) -> int:
    """Bought for 20 sixty days ago and for 21.50 a hundred days ago, looked an hour ago, has her birthday next week."""
    happened = [
        shop.Happened(name="purchase", at=shop.NOW - 60 * DAY, properties={"amount": 20}),
        shop.Happened(name="purchase", at=shop.NOW - 100 * DAY, properties={"amount": 21.5}),
        shop.Happened(name="visit", at=shop.NOW - timedelta(hours=1), properties={}),
    ]
    known = {"birthday": "1990-03-09"}
    shop.load(database, [shop.Person(id="ana", locale=None, created_at=shop.NOW, attributes=known, events=happened)])
    with database.reading() as connection:
        return connection.execute(select(customers.c.id)).scalar_one()


def traced(database: Database, rule: Rule, who: int) -> Node:
    return trace(SHOP, database, condition(rule), who, now=shop.NOW)


NEWEST = "2026-01-01 (60 days ago)"


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ({"did": "purchase", "avg": {"of": "amount", "at_least": "20"}}, f"20.75 over 2, the last on {NEWEST}"),
        ({"did": "purchase", "first": {"before": "90 days ago"}}, "2025-11-22 (100 days ago), of 2"),
        ({"did": "purchase", "days_since_last": {"at_least": "90"}}, f"60 over 2, the last on {NEWEST}"),
        ({"did": "purchase", "gap": {"at_most": "50"}}, f"40 over 2, the last on {NEWEST}"),
        ({"did": "purchase", "before": "90 days ago"}, "1, the last on 2025-11-22 (100 days ago)"),
        ({"did": "purchase", "since": "50 days ago"}, f"none; the last of all on {NEWEST}"),
        ({"opened": "any"}, "none"),
        ({"rfm": "purchase", "recency": {"at_least": "4"}}, "missing"),
        ({"reachable_by": "email"}, ""),
    ],
)
def test_its_value(database: Database, ana: int, rule: Rule, value: str) -> None:
    """Every measure with its amount, how many count, and the newest; scores and lots as numbers."""
    assert traced(database, rule, ana).value == value


def test_a_lot_is_shown_as_drawn(database: Database, ana: int) -> None:
    """The number that Python draws, too."""
    assert traced(database, {"lot": {"of": "spring", "less_than": "50"}}, ana).value == number(lot(ana, "spring"))


def test_scores_are_shown_among_everybody(database: Database) -> None:
    """With enough customers everybody who bought has scores, and they are what the rule compares."""
    people = [
        shop.Person(
            id=f"p{days}",
            locale=None,
            created_at=shop.NOW,
            attributes={},
            events=[shop.Happened(name="purchase", at=shop.NOW - days * DAY, properties={"amount": days})],
        )
        for days in (1, 2, 3, 4, 5)
    ]
    shop.load(database, people)
    with database.reading() as connection:
        best = connection.execute(select(customers.c.id).where(customers.c.external_id == "p1")).scalar_one()
    rule = {"rfm": "purchase", "money": "amount", "recency": {"is": "5"}}
    node = traced(database, rule, best)
    assert (node.verdict, node.value) == (True, "recency 5, frequency 3, monetary 1")


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"did": "purchase", "days_since_last": {"at_least": "90"}}, shop.NOW + 30 * DAY),
        ({"did": "purchase", "overdue": {"at_least": "2"}}, shop.NOW + 20 * DAY),
        ({"birthday": {"anniversary_in": "3 days"}}, datetime.fromisoformat("2026-03-06T00:00+02:00")),
        ({"birthday": {"anniversary_within": "7 days"}}, datetime.fromisoformat("2026-03-02T00:00+02:00")),
        (
            {"did": "purchase", "first": {"anniversary_within": "92 days"}},
            datetime.fromisoformat("2026-08-22T00:00+03:00"),
        ),
        ({"did": "visit", "then_not": {"did": "purchase", "within": "2 hours"}}, shop.NOW + timedelta(hours=1)),
        ({"not": {"did": "purchase", "since": "90 days ago"}}, shop.NOW + 30 * DAY + INSTANT),
        ({"rfm": "purchase", "recency": {"is": "5"}}, None),
        ({"opened": "any"}, None),
    ],
)
def test_when_it_turns(database: Database, ana: int, rule: Rule, expected: datetime | None) -> None:
    """By days, by gaps, on an anniversary, when the time to follow is over; never, where everybody is ranked."""
    who = condition(rule)

    def holds(at: datetime) -> bool:
        chosen = select(customers.c.id).where(matches(SHOP, who, now=at, dialect=database.dialect))
        with database.reading() as connection:
            return connection.execute(chosen).first() is not None

    if expected is not None and expected <= shop.NOW:
        assert holds(shop.NOW)
        return
    with database.reading() as connection:
        told = first_moment(holds, SHOP, connection, [who], ana, now=shop.NOW)
    assert told == expected or (
        told and expected and abs(told - expected) < timedelta(seconds=10)
    )  # fractions are rounded
