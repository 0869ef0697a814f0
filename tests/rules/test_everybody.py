"""Asked of everybody at once, a rule chooses the same customers as asked of each."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import case, select

from engine.rules.compile import all_together, matches
from engine.rules.everybody import MOST_AT_ONCE, fitting, sizes
from engine.rules.together import MOST_PASSES
from engine.store import Database
from engine.store.tables import customers
from tests.rules import plainly, shop
from tests.rules.language import Rule, rules
from tests.rules.shop import NOW
from tests.rules.test_language import PEOPLE, WORKSPACE, read

RULES = int(os.environ.get("REGULARS_RANDOM_RULES", "100"))
AT_ONCE = 5


@pytest.fixture
def loaded(database: Database) -> Iterator[Database]:
    shop.load(database, PEOPLE)
    yield database


def everybody(database: Database, rule: Rule) -> set[str]:
    who = matches(WORKSPACE, read(rule), now=NOW, dialect=database.dialect, everybody=True)
    with database.reading() as connection:
        return set(connection.execute(select(customers.c.external_id).where(who)).scalars())


def sensible(rule: Rule) -> bool:
    """Not one of those that are refused because they can never hold."""
    try:
        return read(rule) is not None
    except AssertionError:
        return False


@settings(max_examples=max(RULES // AT_ONCE, 1), deadline=None, suppress_health_check=list(HealthCheck))
@given(several=st.lists(rules().filter(sensible), min_size=AT_ONCE, max_size=AT_ONCE))
def test_random_rules_asked_of_everybody_choose_whom_a_plain_reading_chooses(
    loaded: Database, several: list[Rule]
) -> None:
    """In passes over all events, grouped and merged, as in looks for each customer: the same customers."""
    asked = [matches(WORKSPACE, read(rule), now=NOW, dialect=loaded.dialect, everybody=True) for rule in several]
    columns = [case((who, 1), else_=0).label(f"rule_{number}") for number, who in enumerate(asked)]
    with loaded.reading() as connection:
        rows = connection.execute(select(customers.c.external_id, *columns)).all()
    for number, rule in enumerate(several):
        found = {row[0] for row in rows if row[number + 1]}
        assert found == plainly.chosen(rule, PEOPLE, NOW), rule


@settings(max_examples=max(RULES // AT_ONCE, 1), deadline=None, suppress_health_check=list(HealthCheck))
@given(several=st.lists(rules().filter(sensible), min_size=AT_ONCE, max_size=AT_ONCE))
def test_rules_that_share_their_passes_choose_whom_a_plain_reading_chooses(
    loaded: Database, several: list[Rule]
) -> None:
    """Asked all in one go: how many each chooses, and who, laid aside."""
    conditions = [read(rule) for rule in several]
    with loaded.reading() as connection:
        counted = sizes(WORKSPACE, connection, conditions, now=NOW)
        found = [
            set(connection.execute(select(customers.c.external_id).where(each)).scalars())
            for each in fitting(WORKSPACE, connection, conditions, now=NOW)
        ]
    for rule, chosen, count in zip(several, found, counted, strict=True):
        assert chosen == plainly.chosen(rule, PEOPLE, NOW), rule
        assert count == len(chosen)


SHARING: tuple[Rule, ...] = (
    {"all": [{"did": "purchase"}, {"not": {"did": "purchase", "within": "7 days"}}]},
    {"all": [{"did": "purchase", "times": {"at_most": "1"}}, {"did": "purchase", "sum": {"of": "amount", "less_than": "5"}}]},
    {"any": [{"did": "visit", "times": {"is": "0"}}, {"did": "purchase", "times": {"at_most": "2"}}]},
    {"none": [{"did": "purchase", "where": {"gift": "true"}}, {"did": "purchase", "times": {"multiple_of": "2"}}]},
    {"not": {"all": [{"was_sent": "any", "times": {"at_most": "1"}}, {"not": {"opened": "any"}}]}},
    {"all": [{"segment": "buyers"}, {"not": {"segment": "quiet"}}, {"did": "visit"}]},
    {"all": [{"not": {"tags": {"contains": "100"}}}, {"did": "purchase"}, {"not": {"did": "purchase", "within": "7 days"}}]},
)  # fmt: skip


@pytest.mark.parametrize("rule", SHARING, ids=str)
def test_conditions_that_share_a_pass(loaded: Database, rule: Rule) -> None:
    """Of one event's or of all messages: what holds for those without any is asked of the others."""
    chosen = plainly.chosen(rule, PEOPLE, NOW)
    assert everybody(loaded, rule) == chosen
    with loaded.reading() as connection:
        assert sizes(WORKSPACE, connection, [read(rule)], now=NOW) == [len(chosen)]


def test_more_kinds_of_rows_than_passes(loaded: Database) -> None:
    """Each looks at rows of its own kind: after the most passes of a statement the rest is looked up."""
    each: list[Rule] = [
        {"did": "purchase", "then_not": {"did": "visit", "within": f"{hours} hours"}}
        for hours in range(1, MOST_PASSES + 4)
    ]
    assert everybody(loaded, {"any": each}) == plainly.chosen({"any": each}, PEOPLE, NOW)
    with loaded.reading() as connection:
        counted = sizes(WORKSPACE, connection, [read(rule) for rule in each], now=NOW)
    assert counted == [len(plainly.chosen(rule, PEOPLE, NOW)) for rule in each]


def test_more_rules_than_are_asked_in_one_go(loaded: Database) -> None:
    """A workspace may have any number of segments: each is counted, in their order."""
    each: list[Rule] = [
        {"did": "purchase", "times": {"at_least": str(number)}} for number in range(1, 2 * MOST_AT_ONCE + 2)
    ]
    with loaded.reading() as connection:
        counted = sizes(WORKSPACE, connection, [read(rule) for rule in each], now=NOW)
        assert sizes(WORKSPACE, connection, [], now=NOW) == []
    assert counted == [len(plainly.chosen(rule, PEOPLE, NOW)) for rule in each]


@pytest.mark.parametrize("join", ["all", "any"])
@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_what_a_pass_says_is_asked_before_the_customers_own_row(join: str, dialect: str) -> None:
    """In whatever order the file has them: the answer is laid aside already, and JSON has to be read anew for each."""
    own: Rule = {"country": "FI"}
    rules: list[Rule] = [{"did": "purchase"}, {join: [own, {"did": "purchase"}]}]
    shared, holds = all_together(WORKSPACE, [read(rule) for rule in rules], now=NOW, dialect=dialect)
    (laid,) = shared.sources.values()
    words = str(holds[1])
    assert words.index(f"{laid.laid.name}.asked_") < words.index("customers.attributes")
