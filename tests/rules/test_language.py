"""The rules mean what they say: SQL on both databases against a plain reading of the same rule."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from sqlalchemy import select, update

from engine.rules.compile import matches
from engine.store import Database
from engine.store.tables import customers, events, metadata
from tests.rules import plainly, shop
from tests.rules.agreeing import AT_ONCE, WORKSPACE, Asked, answers, questions, read
from tests.rules.language import Rule, rules
from tests.rules.shop import NOW

PEOPLE = shop.people(150)


@pytest.fixture
def loaded(database: Database) -> Iterator[Database]:
    shop.load(database, PEOPLE)
    yield database


def chosen(database: Database, rule: Mapping[str, Any], now: datetime = NOW) -> set[str]:
    who = matches(WORKSPACE, read(rule), now=now, dialect=database.dialect)
    with database.reading() as connection:
        return set(connection.execute(select(customers.c.external_id).where(who)).scalars())


RULES = int(os.environ.get("REGULARS_RANDOM_RULES", "100"))
"""How many random rules each database answers here: few. `make rules` asks 20,000."""


@settings(max_examples=max(RULES // AT_ONCE, 1), deadline=None, suppress_health_check=list(HealthCheck))
@given(asked=questions())
def test_random_rules_choose_whom_a_plain_reading_chooses(loaded: Database, asked: Asked) -> None:
    """One evaluator, two databases, no drift: the same customers, whatever is missing, mistyped, awkward or on the edge.

    Several rules are asked in one query, one column each.
    """
    found = answers(loaded, asked, asked.read())
    for rule, chosen, plain in zip(asked.several, found, asked.plainly(PEOPLE), strict=True):
        assert chosen == plain, rule


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(rule={"not": {"country": "FI"}})
@example(rule={"country": {"is_like": "åLAND"}})
@example(rule={"country": {"contains_like": "SAY"}})
@example(rule={"birthday": {"anniversary_within": "92 days"}})
@example(rule={"country": {"contains": "%"}})
@example(rule={"lot": {"of": "spring", "at_least": "25", "less_than": "50 %"}})
@example(rule={"country": {"starts_with": "1_"}})
@example(rule={"did": "purchase", "sum": {"of": "amount", "is": "0.6"}})
@example(rule={"not": {"did": "purchase", "last": {"before": "7 days ago"}}})
@given(rule=rules())
def test_a_rule_chooses_whom_a_plain_reading_of_it_chooses(loaded: Database, rule: Rule) -> None:
    """The same in `WHERE`, where a database may go another way through the tables than in a column."""
    assert chosen(loaded, rule) == plainly.chosen(rule, PEOPLE, NOW)


SOME: tuple[Rule, ...] = (
    {"did": "purchase"},
    {"did": "purchase", "times": {"at_least": "2"}, "within": "90 days"},
    {"did": "purchase", "sum": {"of": "amount", "at_least": "3"}},
    {"did": "purchase", "last": {"before": "1 day ago"}},
    {"not": {"did": "visit"}},
    {"not": {"did": "purchase", "where": {"gift": "true"}, "within": "7 days"}},
)


@pytest.mark.parametrize("rule", SOME, ids=str)
def test_the_order_of_recording_and_later_events_change_nothing(database: Database, rule: Rule) -> None:
    """An audience as of an instant is a fact: events that come in late in another order, or lie after it, do not move it."""
    shop.load(database, PEOPLE)
    before = chosen(database, rule)
    assert before and len(before) < len(PEOPLE)
    with database.writing() as connection:
        for table in reversed(metadata.sorted_tables):
            if table.name != "facts":
                connection.execute(table.delete())
    later = [
        shop.Happened(name=name, at=NOW + timedelta(minutes=1), properties={"amount": 9, "gift": True})
        for name in ("purchase", "visit")
    ]
    shop.load(database, [replaced(one, later) for one in reversed(PEOPLE)], seed=4)
    assert chosen(database, rule) == before


def replaced(one: shop.Person, later: list[shop.Happened]) -> shop.Person:
    return shop.Person(
        id=one.id, locale=one.locale, created_at=one.created_at, attributes=one.attributes, events=[*one.events, *later]
    )


def test_one_customer_is_judged_by_the_same_expression_as_all(loaded: Database) -> None:
    """A customer asked for alone is in the audience exactly when the audience has that customer."""
    rule = {"all": [{"did": "purchase", "times": {"at_least": "2"}}, {"not": {"country": "FI"}}]}
    everybody = chosen(loaded, rule)
    who = matches(WORKSPACE, read(rule), now=NOW, dialect=loaded.dialect)
    with loaded.reading() as connection:
        for person in PEOPLE[:40]:
            asked = select(customers.c.id).where(who, customers.c.external_id == person.id)
            assert bool(connection.execute(asked).first()) == (person.id in everybody)


def test_the_edges_of_a_window(loaded: Database) -> None:
    """`within: 90 days` takes the event of this very instant, and not the one of exactly 90 days ago."""
    with loaded.writing() as connection:
        connection.execute(update(events).values(name="old"))
        ids = connection.execute(select(events.c.id, customers.c.external_id).join(customers).limit(3)).all()
        assert len({name for _, name in ids}) >= 1
        ages = (timedelta(0), timedelta(days=90), timedelta(days=90) - timedelta(microseconds=1))
        for (event_id, _), age in zip(ids, ages, strict=True):
            connection.execute(update(events).where(events.c.id == event_id).values(name="visit", at=NOW - age))
        kept = select(events.c.customer_id).where(events.c.name == "visit", events.c.id != ids[1][0])
        expected = set(connection.execute(select(customers.c.external_id).where(customers.c.id.in_(kept))).scalars())
    assert chosen(loaded, {"did": "visit", "within": "90 days"}) == expected


def test_very_large_and_very_deep_rules_run(loaded: Database) -> None:
    """What the weights allow, both databases take: 500 conditions, a thousand values, 20 levels, 100 times not."""
    leaf: Rule = {
        "did": "purchase",
        "where": {"amount": {"at_least": "2", "at_most": "3"}},
        "sum": {"of": "amount", "at_least": "2"},
    }
    wide: Rule = {"any": [{"all": [leaf] * 4}] * 41}
    assert chosen(loaded, wide) == plainly.chosen(wide, PEOPLE, NOW)
    listed: Rule = {"country": {"in": [f"x{number}" for number in range(999)] + ["FI"]}}
    assert chosen(loaded, listed) == plainly.chosen(listed, PEOPLE, NOW)
    deep: Rule = leaf
    for level in range(15):
        deep = {"not": {"all" if level % 2 else "any": [{"country": "FI"}, deep]}}
    assert chosen(loaded, deep) == plainly.chosen(deep, PEOPLE, NOW)
    refused: Rule = {"country": "FI"}
    for _ in range(40):
        refused = {"not": refused}
    assert chosen(loaded, refused) == plainly.chosen(refused, PEOPLE, NOW)


def somebody(database: Database, attributes: Mapping[str, Any], *amounts: float) -> None:
    """One customer, with a purchase of each amount."""
    bought = [
        shop.Happened(name="purchase", at=NOW - timedelta(days=1), properties={"amount": amount}) for amount in amounts
    ]
    shop.load(database, [shop.Person(id="somebody", locale=None, created_at=NOW, attributes=attributes, events=bought)])


def test_a_sum_of_money_is_exact(database: Database) -> None:
    """Ten times 0.10 is 1.00, though ten binary fractions of a tenth are a little less; the limit is reached, not missed."""
    somebody(database, {}, *[0.1] * 10)
    assert chosen(database, {"did": "purchase", "sum": {"of": "amount", "at_least": "1"}}) == {"somebody"}
    assert chosen(database, {"did": "purchase", "sum": {"of": "amount", "less_than": "1"}}) == set()


def test_the_sum_of_nothing_is_nothing_and_the_last_of_nothing_is_never(database: Database) -> None:
    """Who bought nothing has spent 0, and did not buy before or after any time."""
    somebody(database, {})
    assert chosen(database, {"did": "purchase", "sum": {"of": "amount", "at_most": "0"}}) == {"somebody"}
    assert chosen(database, {"did": "purchase", "last": {"before": "1 day ago"}}) == set()
    assert chosen(database, {"did": "purchase", "last": {"after": "1 day ago"}}) == set()


def test_a_gap_of_a_microsecond_is_a_gap(database: Database) -> None:
    """Two purchases a microsecond apart, a week ago: the time since is exactly so many such gaps, on both databases."""
    newest = NOW - timedelta(days=7)
    bought = [
        shop.Happened(name="purchase", at=at, properties={}) for at in (newest - timedelta(microseconds=1), newest)
    ]
    shop.load(database, [shop.Person(id="somebody", locale=None, created_at=NOW, attributes={}, events=bought)])
    assert chosen(database, {"did": "purchase", "overdue": {"is": "604800000000"}}) == {"somebody"}


LAST = (
    ("2026-03-02", "2026-03-02T23:59:59.999999+02:00"),
    ("2026-03-29", "2026-03-29T23:59:59.999999+03:00"),  # 23 hours
    ("2025-10-26", "2025-10-26T23:59:59.999999+02:00"),  # 25 hours
)
"""Days in Helsinki, each with its last instant."""


@pytest.mark.parametrize(("day", "last"), LAST)
def test_a_day_that_something_reaches_up_to_counts_whole(database: Database, day: str, last: str) -> None:
    """`between` includes both ends: its last day up to the next midnight, of events and of times; `after` a day begins there."""
    end = datetime.fromisoformat(last).astimezone(UTC)
    asked = end + timedelta(days=2)
    evening, next_day = (_at_once(name, at) for name, at in (("evening", end), ("next day", end + _TICK)))
    shop.load(database, [evening, next_day])
    span = ["2025-01-01", day]
    for rule in (
        {"did": "visit", "between": span},
        {"did": "visit", "between": [day, day]},
        {"did": "visit", "last": {"between": span}},
        {"did": "visit", "first": {"between": [day, day]}},
        {"created_at": {"between": span}},
        {"seen": {"between": span}},
        {"created_at": {"before": f"{date.fromisoformat(day) + timedelta(days=1)}"}},
    ):
        assert chosen(database, rule, asked) == plainly.chosen(rule, [evening, next_day], asked) == {"evening"}, rule
    for rule in ({"created_at": {"after": day}}, {"did": "visit", "last": {"after": day}}, {"seen": {"after": day}}):
        assert chosen(database, rule, asked) == plainly.chosen(rule, [evening, next_day], asked) == {"next day"}, rule
    both = {"did": "visit", "between": [day, f"{day}T00:00"]}
    assert chosen(database, both, asked) == plainly.chosen(both, [evening, next_day], asked) == set()


_TICK = timedelta(microseconds=1)


def _at_once(name: str, at: datetime) -> shop.Person:
    """Somebody who came, visited and was seen at one instant."""
    visit = shop.Happened(name="visit", at=at, properties={})
    return shop.Person(
        id=name, locale=None, created_at=at, attributes={"seen": at.isoformat(timespec="seconds")}, events=[visit]
    )


def test_today_is_the_day_in_the_workspaces_time_zone(database: Database) -> None:
    """At half past ten in the evening in Greenwich it is already tomorrow in Helsinki."""
    somebody(database, {"birthday": "2026-03-03"})
    evening = datetime(2026, 3, 2, 22, 30, tzinfo=UTC)
    assert chosen(database, {"birthday": "today"}, evening - timedelta(hours=1)) == set()
    assert chosen(database, {"birthday": "today"}, evening) == {"somebody"}
    assert chosen(database, {"birthday": {"before": "today"}}, evening + timedelta(days=1)) == {"somebody"}


COMES_ROUND: tuple[Rule, ...] = tuple(
    {**of, name: {operator: ahead}}
    for of, name in (({}, "seen"), ({}, "created_at"), ({"did": "visit"}, "first"), ({"did": "purchase"}, "last"))
    for operator in ("anniversary_in", "anniversary_within")
    for ahead in ("0 days", "92 days")
)


@pytest.mark.parametrize("zone", ["Europe/Helsinki", "America/New_York"])
def test_a_time_comes_round_on_the_day_that_it_has_in_the_shop(loaded: Database, zone: str) -> None:
    """A year a customer, two years since the first purchase: by the shop's zone, as it was then."""
    somebody_is_chosen = False
    midnight = NOW + timedelta(hours=10)
    for now in (NOW, midnight - _TICK, midnight, datetime(2028, 2, 28, 23, 30, tzinfo=UTC)):
        asked = Asked(several=list(COMES_ROUND), now=now, zone=zone)
        for rule, found, plain in zip(
            COMES_ROUND, answers(loaded, asked, asked.read()), asked.plainly(PEOPLE), strict=True
        ):
            assert found == plain, (rule, now)
            somebody_is_chosen |= bool(found)
    assert somebody_is_chosen


@pytest.mark.parametrize("of", [{"seen": {}}, {"created_at": {}}, {"birthday": {}}, {"did": "visit", "first": {}}])
def test_what_day_it_was_is_told_once_for_all_days_that_are_asked_about(database: Database, of: Rule) -> None:
    """To tell it is dear, in Python or by a regular expression: not for each of 92 days."""
    rule = {name: value if value else {"anniversary_within": "92 days"} for name, value in of.items()}
    who = matches(
        WORKSPACE, read(rule), now=NOW - timedelta(days=80), dialect=database.dialect
    )  # the days are of two years
    sql = str(select(customers.c.id).where(who).compile(database.pool))
    assert sql.count("substr(") - sql.count("LIKE") <= 8, sql


NO_TIMES = (
    "2025-02-30T00:00:00Z", "2025-03-32T00:00:00Z", "2025-13-02T00:00:00Z", "1900-02-29T00:00:00Z", "0000-03-02T00:00:00Z",
    "0001-03-02T00:00:00Z", "2025-03-02T24:00:00Z", "2025-03-02T10:60:00Z", "2025-03-02T10:00:60Z", "9999-12-31T23:59:59Z",
    "????-03-02T??:??:??Z",
)  # fmt: skip
TIMES = ("2000-02-29T00:00:00Z", "2024-02-29T23:59:59Z", "2025-04-30T12:00:00Z", "2019-12-31T20:59:59Z")


def seen_at(times: Iterable[str]) -> list[shop.Person]:
    return [shop.Person(id=seen, locale=None, created_at=NOW, attributes={"seen": seen}) for seen in times]


def test_what_is_no_time_never_comes_round(database: Database) -> None:
    """And stops no question, though a database cannot make a time of it."""
    shop.load(database, seen_at((*NO_TIMES, "2025-04-30T12:00:00Z")))
    found = [
        chosen(database, {"seen": {"anniversary_within": "92 days"}}, NOW + quarter * timedelta(days=92))
        for quarter in range(5)
    ]
    assert set().union(*found) == {"2025-04-30T12:00:00Z"}


def test_every_day_of_the_calendar_is_one(database: Database) -> None:
    people = seen_at(TIMES)
    shop.load(database, people)
    new_year, spring, may = (
        datetime.fromisoformat(day) for day in ("2027-01-01T12Z", "2027-03-01T12Z", "2027-05-01T12Z")
    )
    days = [near + timedelta(days=off) for near in (new_year, spring, may) for off in (-3, -2, -1, 0, 1)]
    rule = {"seen": {"anniversary_in": "0 days"}}
    found = {day: chosen(database, rule, day) for day in days}
    assert found == {day: plainly.chosen(rule, people, day) for day in days}
    assert sorted(one for some in found.values() for one in some) == sorted(TIMES)
