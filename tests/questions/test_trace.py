"""The trace of a rule says for one customer what the audience says for all, in every part."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from sqlalchemy import select

from engine import shipped
from engine.demo.purchases import event_rows, read_purchases
from engine.errors import UnknownName
from engine.intake.customers import take_customers
from engine.intake.events import take_events
from engine.questions.trace import Node, trace
from engine.rules.campaign import Campaign
from engine.rules.compile import audience_condition, matches
from engine.rules.syntax import Condition
from engine.rules.workspace import Workspace, load_workspace
from engine.store import Database
from engine.store.tables import customers
from tests.rules import shop
from tests.rules.rules import Rule, rules

SHOP = shop.workspace()
PEOPLE = shop.people(40)
STARTER = shipped.starter()
MOMENTS = [datetime(1997, 3, 1, 15, tzinfo=UTC) + timedelta(days=60 * step) for step in range(8)]


def condition(rule: Rule) -> Condition:
    """A rule of the tests' shop, read as a campaign's own audience is."""
    campaign = Campaign.model_validate(
        {"campaign": "asked", "audience": rule, "channel": "email", "class": "transactional", "purpose": "offers"}
    )
    return audience_condition(SHOP, campaign)


def members(database: Database, workspace: Workspace, who: Condition, now: datetime) -> set[int]:
    chosen = select(customers.c.id).where(matches(workspace, who, now=now, dialect=database.dialect))
    with database.reading() as connection:
        return set(connection.execute(chosen).scalars())


def ids(database: Database) -> dict[str, int]:
    with database.reading() as connection:
        named = connection.execute(select(customers.c.external_id, customers.c.id))
        return {row.external_id: row.id for row in named}


def follows(node: Node) -> bool:
    """Whether every verdict follows from those below it."""
    below = [child.verdict for child in node.children]
    expected = {
        "all of these": all(below),
        "at least one of these": any(below),
        "none of these": not any(below),
        "not": not all(below),
    }
    own = not node.children or node.verdict is expected.get(node.sentence, all(below))
    return own and all(follows(child) for child in node.children)


@given(rule=rules())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_verdict_is_the_audiences_own_and_follows_from_its_parts(loaded: Database, rule: Rule) -> None:
    """For random rules and a random customer: the root is membership; groups agree with what stands below them."""
    who = condition(rule)
    chosen = members(loaded, SHOP, who, shop.NOW)
    for number in random.Random(str(rule)).sample(sorted(ids(loaded).values()), 3):
        node = trace(SHOP, loaded, who, number, now=shop.NOW)
        assert node.verdict is (number in chosen)
        assert follows(node)


@pytest.fixture
def loaded(database: Database) -> Database:
    shop.load(database, PEOPLE)
    return database


@pytest.fixture
def records(database: Database, monkeypatch: pytest.MonkeyPatch) -> tuple[Database, Workspace]:
    """The starter workspace with 300 customers of CDNOW and all that they bought."""
    monkeypatch.setenv("REGULARS_API_KEYS", "a key for tests, long enough")
    workspace = load_workspace(STARTER)
    bought = [one for one in read_purchases(shipped.cdnow() / "CDNOW_sample.txt") if one.customer % 8 == 0]
    with database.writing() as connection:
        everybody = [{"id": str(number)} for number in sorted({one.customer for one in bought})]
        take_customers(connection, database, workspace.settings, everybody, now=MOMENTS[0])
        take_events(connection, database, workspace.settings, list(event_rows(bought)), now=MOMENTS[0])
    return database, workspace


def test_on_real_purchases_the_root_is_membership(records: tuple[Database, Workspace]) -> None:
    """Random customers of CDNOW, every segment of the starter, over a year: in the segment exactly where the root says so."""
    database, workspace = records
    chance, everybody = random.Random(1998), sorted(ids(database).values())
    seen = set()
    for now in MOMENTS:
        for segment in workspace.segments.values():
            chosen = members(database, workspace, segment.who, now)
            for number in chance.sample(everybody, 5):
                root = trace(workspace, database, segment.who, number, now=now)
                assert root.verdict is (number in chosen), (segment.name, now, number)
                seen.add(root.verdict)
    assert seen == {True, False}


def one(database: Database, **known: Any) -> int:
    """A customer who bought for 20 sixty days ago and for 21.50 a hundred days ago."""
    bought = [
        shop.Happened(name="purchase", at=shop.NOW - timedelta(days=days), properties={"amount": amount})
        for days, amount in ((60, 20), (100, 21.5))
    ]
    shop.load(database, [shop.Person(id="ana", locale="fi", created_at=shop.NOW, attributes=known, events=bought)])
    return ids(database)["ana"]


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ({"country": "FI"}, "FI"),
        ({"vip": "true"}, "missing"),
        ({"age": {"at_least": "3"}}, "41.5"),
        ({"birthday": {"before": "today"}}, "1990-02-28"),
        ({"tags": {"contains": "a"}}, "a, b"),
        ({"seen": {"before": "1 day ago"}}, "2026-03-02 12:00 (2 hours ago)"),
        ({"created_at": {"before": "1 day ago"}}, "2026-03-02 14:00 (now)"),
        ({"did": "purchase"}, "2, the last on 2026-01-01 (60 days ago)"),
        ({"did": "purchase", "within": "90 days"}, "1, the last on 2026-01-01 (60 days ago)"),
        ({"did": "purchase", "within": "30 days"}, "none; the last of all on 2026-01-01 (60 days ago)"),
        ({"did": "visit"}, "none"),
        ({"did": "purchase", "times": {"at_least": "3"}}, "2, the last on 2026-01-01 (60 days ago)"),
        ({"did": "purchase", "last": {"before": "90 days ago"}}, "2026-01-01 (60 days ago), of 2"),
        (
            {"did": "purchase", "sum": {"of": "amount", "at_least": "50"}},
            "41.5 over 2, the last on 2026-01-01 (60 days ago)",
        ),
    ],
)
def test_the_value_looked_at_stands_beside_the_verdict(database: Database, rule: Rule, value: str) -> None:
    """Attributes of every type, and every measure, read as the rule reads them; times by the shop's clock."""
    known = {
        "country": "FI",
        "age": 41.50,
        "birthday": "1990-02-28",
        "tags": ["a", "b"],
        "seen": "2026-03-02T10:00:00+00:00",
    }
    number = one(database, **known)
    assert trace(SHOP, database, condition(rule), number, now=shop.NOW).value == value


def test_a_segment_shows_what_it_stands_for(database: Database) -> None:
    """A mention is followed into the segment, through mentions in it; inside a connection as well."""
    number = one(database, country="FI")
    with database.reading() as connection:
        node = trace(SHOP, connection, condition({"segment": "buyers"}), number, now=shop.NOW)
    assert (node.sentence, node.at) == ('in the segment "buyers"', "segments.yaml:1")
    (either,) = node.children
    assert [child.sentence for child in either.children][1] == 'in the segment "finns"'
    assert either.children[1].children[0].value == "FI"


def test_nobody_is_no_customer(database: Database) -> None:
    """An id without a row is an error, not a customer for whom nothing holds."""
    with pytest.raises(UnknownName):
        trace(SHOP, database, condition({"country": "FI"}), 4711, now=shop.NOW)
