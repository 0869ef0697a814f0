"""Not yet: the instant that is told is the first at which the rule holds, for any rule and anybody."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from sqlalchemy import select

from engine.questions.trace import trace
from engine.questions.why.ahead import INSTANT, changes, first_moment
from engine.rules.campaign import Campaign
from engine.rules.compile import audience_condition, matches
from engine.rules.syntax import Condition
from engine.store import Database
from engine.store.tables import customers
from tests.rules import shop
from tests.rules.rules import Rule, rules

SHOP = shop.workspace()
PEOPLE = shop.people(30, seed=7)
DAY = timedelta(days=1)
NOT_TO_THE_INSTANT = ("rfm", "best", "gap", "overdue", "share", "trend", "days_since", "anniversary")
"""Words that rank customers, which cannot be foretold, or that are looked at from midnight to midnight."""


@pytest.fixture
def loaded(database: Database) -> Database:
    shop.load(database, PEOPLE)
    return database


def condition(rule: Rule) -> Condition:
    """A rule of the tests' shop, read as a campaign's own audience is."""
    campaign = Campaign.model_validate(
        {"campaign": "asked", "audience": rule, "channel": "email", "class": "transactional", "purpose": "offers"}
    )
    return audience_condition(SHOP, campaign)


def asked(database: Database, who: Condition, name: str) -> tuple[Callable[[datetime], bool], Callable[[], Any]]:
    """Whether a rule holds for a customer at an instant, and the first instant at which it will."""

    def holds(at: datetime) -> bool:
        chosen = select(customers.c.id).where(matches(SHOP, who, now=at, dialect=database.dialect))
        with database.reading() as connection:
            return connection.execute(chosen.where(customers.c.external_id == name)).first() is not None

    def first() -> datetime | None:
        with database.reading() as connection:
            number = connection.execute(select(customers.c.id).where(customers.c.external_id == name)).scalar_one()
            return first_moment(holds, SHOP, connection, [who], number, now=shop.NOW)

    return holds, first


@given(rule=rules())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_instant_before_the_one_told_is_one(loaded: Database, rule: Rule) -> None:
    """Random rules and people: it holds at the instant told and not right before, nor at random instants between, nor ever
    where none is told.
    """
    chance = random.Random(str(rule))
    who, name = condition(rule), chance.choice(PEOPLE).id
    holds, first = asked(loaded, who, name)
    if holds(shop.NOW) or any(word in str(rule) for word in NOT_TO_THE_INSTANT):
        return
    told = first()
    if told is not None:
        assert told > shop.NOW and holds(told) and not holds(told - INSTANT)
    before = (told or shop.NOW + 1200 * DAY) - INSTANT - shop.NOW
    for _ in range(12):
        assert not holds(shop.NOW + before * chance.random())


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"not": {"did": "purchase", "within": "90 days"}}, shop.NOW + 30 * DAY),
        ({"did": "purchase", "last": {"before": "90 days ago"}}, shop.NOW + 30 * DAY + INSTANT),
        ({"did": "purchase", "last": {"between": ["100 days ago", "61 days ago"]}}, shop.NOW + DAY),
        ({"birthday": "today"}, datetime.fromisoformat("2026-03-08T00:00+02:00")),
        ({"birthday": {"before": "7 days ago"}}, datetime.fromisoformat("2026-03-16T00:00+02:00")),
        ({"birthday": {"before": "560 days ago"}}, datetime.fromisoformat("2027-09-20T00:00+03:00")),
        ({"seen": {"before": "2 days ago"}}, shop.NOW + DAY + timedelta(seconds=1)),
        ({"seen": {"anniversary_in": "7 days"}}, datetime.fromisoformat("2027-02-22T00:00+02:00")),
        ({"created_at": {"anniversary_in": "0 days"}}, datetime.fromisoformat("2027-01-21T00:00+02:00")),
        ({"did": "purchase", "where": {"shipped": {"anniversary_within": "1 day"}}}, datetime.fromisoformat("2027-01-05T00:00+02:00")),
        ({"created_at": {"before": "50 days ago"}}, shop.NOW + 10 * DAY + INSTANT),
        ({"did": "purchase", "where": {"shipped": {"before": "80 days ago"}}}, shop.NOW + 25 * DAY + timedelta(seconds=1)),
        ({"all": [{"not": {"did": "purchase", "within": "90 days"}}, {"birthday": {"before": "today"}}]}, shop.NOW + 30 * DAY),
        ({"country": "FI"}, None),
        ({"did": "visit"}, None),
        ({"all": [{"birthday": "today"}, {"not": {"did": "purchase", "within": "90 days"}}]}, None),
    ],
)  # fmt: skip
def test_each_kind_of_time(database: Database, rule: Rule, expected: datetime | None) -> None:
    """Windows, the time of the last event, dates by the shop's midnights, times to the second, and what never comes."""
    known = {"birthday": "2026-03-08", "seen": (shop.NOW - DAY).isoformat(timespec="seconds")}
    shipped = (shop.NOW - 55 * DAY).isoformat(timespec="seconds")
    bought = shop.Happened(name="purchase", at=shop.NOW - 60 * DAY, properties={"shipped": shipped})
    ana = shop.Person(id="ana", locale=None, created_at=shop.NOW - 40 * DAY, attributes=known, events=[bought])
    shop.load(database, [ana])
    assert asked(database, condition(rule), "ana")[1]() == expected


def test_what_changes_by_then_is_told_once_and_by_its_single_conditions(database: Database) -> None:
    """Of two conditions, the one that turns; a `not` above it is not a change of its own."""
    bought = shop.Happened(name="purchase", at=shop.NOW - 60 * DAY, properties={})
    shop.load(database, [shop.Person(id="ana", locale=None, created_at=shop.NOW, attributes={}, events=[bought])])
    window = {"did": "purchase", "within": "90 days"}
    who = condition({"all": [{"did": "purchase"}, {"not": window}, {"not": window}]})
    now, then = (trace(SHOP, database, who, 1, now=at) for at in (shop.NOW, shop.NOW + 31 * DAY))
    (change,) = changes(now, then)
    assert change.verdict is False and "90 days" in change.sentence
