"""A campaign's audience: its segment or its own condition, less those whom its re-entry rule keeps out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.dialects.sqlite.base import SQLiteDialect

from engine.errors import UnknownName, WorkspaceError
from engine.model import State
from engine.questions.audience import all_sizes
from engine.questions.audience import audience as ask
from engine.rules.campaign import Campaign
from engine.rules.compile import audience
from engine.store import Database
from engine.store.tables import customers, messages, runs, template_versions
from tests.rules import plainly, shop
from tests.rules.shop import NOW

WORKSPACE = shop.workspace()
PEOPLE = shop.people(40)


def campaign(**keys: Any) -> Campaign:
    return Campaign.model_validate(
        {
            "campaign": "win-back",
            "audience": "finns",
            "schedule": {"cron": "0 10 * * mon", "time_zone": "Europe/Helsinki"},
            "channel": "email",
            "class": "commercial",
            "purpose": "offers",
            **keys,
        }
    )


def goes_to(database: Database, one: Campaign) -> set[str]:
    chosen = audience(WORKSPACE, one, now=NOW, dialect=database.dialect)
    assert chosen is not None
    with database.reading() as connection:
        return set(connection.execute(chosen.with_only_columns(customers.c.external_id)).scalars())


def message(
    database: Database, to: str, *, campaign: str = "win-back", age: timedelta, state: State = State.SKIPPED
) -> None:
    """One message in the ledger, owed so long ago."""
    at = NOW - age
    with database.writing() as connection:
        template = {"hash": "h", "name": "t", "sources": {}, "first_used_at": at}
        connection.execute(database.insert(template_versions).values(template).on_conflict_do_nothing())
        run = {
            "campaign": campaign,
            "occurrence": f"{to} {age}",
            "nominal_at": at,
            "launched_at": at,
            "definition": {},
            "definition_hash": "",
            "template_hash": "h",
            "channel": "email",
        }
        run_id = connection.execute(insert(runs).values(run).returning(runs.c.id)).scalar_one()
        row = {
            "run_id": run_id,
            "campaign": campaign,
            "step": "main",
            "customer_id": connection.execute(select(customers.c.id).where(customers.c.external_id == to)).scalar_one(),
            "channel": "email",
            "message_class": "commercial",
            "delivery": "at_most_once",
            "lane": 1,
            "state": state.value,
            "owed_at": at,
            "due_at": at,
            "changed_at": at,
        }
        connection.execute(insert(messages).values(row))


@pytest.fixture
def finns(database: Database) -> list[str]:
    shop.load(database, PEOPLE)
    found = sorted(plainly.chosen({"segment": "finns"}, PEOPLE, NOW))
    assert len(found) >= 3
    return found


@pytest.mark.parametrize("state", [State.SKIPPED, State.ACCEPTED, State.PENDING, State.UNKNOWN])
def test_never_means_one_message_whatever_became_of_it(database: Database, finns: list[str], state: State) -> None:
    """Who has had a message of this campaign owed, sent or not, is not in its audience again; another campaign's is nothing."""
    message(database, finns[0], age=timedelta(days=900), state=state)
    message(database, finns[1], campaign="another", age=timedelta(days=1))
    assert goes_to(database, campaign()) == set(finns[1:])


def test_always_means_everybody(database: Database, finns: list[str]) -> None:
    """With reentry: always the ledger is not asked."""
    message(database, finns[0], age=timedelta(minutes=1))
    assert goes_to(database, campaign(reentry="always")) == set(finns)


def test_after_a_span_a_customer_may_get_it_again(database: Database, finns: list[str]) -> None:
    """{after: 180 days} keeps out until exactly 180 days have passed since the newest message was owed."""
    message(database, finns[0], age=timedelta(days=180))
    message(database, finns[1], age=timedelta(days=180) - timedelta(microseconds=1))
    message(database, finns[2], age=timedelta(days=900))
    message(database, finns[2], age=timedelta(days=3))
    assert goes_to(database, campaign(reentry={"after": "180 days"})) == set(finns) - {finns[1], finns[2]}


def test_an_inline_condition_is_an_audience(database: Database, finns: list[str]) -> None:
    """A condition in the campaign's own file chooses whom the same condition in a segment would."""
    rule = {"all": [{"segment": "finns"}, {"not": {"did": "visit"}}]}
    assert goes_to(database, campaign(audience=rule)) == plainly.chosen(rule, PEOPLE, NOW)


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_a_campaign_without_customers_of_its_own_has_no_query(dialect: str) -> None:
    """A public post goes to everybody and a triggered campaign to whom the call names: there is nothing to select."""
    public = campaign(audience="public", channel="social")
    triggered = campaign(audience=None, schedule=None, trigger={})
    assert audience(WORKSPACE, public, now=NOW, dialect=dialect) is None
    assert audience(WORKSPACE, triggered, now=NOW, dialect=dialect) is None


def test_an_old_campaign_that_no_longer_fits_says_so() -> None:
    """A campaign read back from a run may name what the workspace has no more: an error with its name, not an empty audience."""
    with pytest.raises(UnknownName, match='no segment "gone"'):
        audience(WORKSPACE, campaign(audience="gone"), now=NOW, dialect="sqlite")
    with pytest.raises(WorkspaceError, match='no attribute "shoe_size"'):
        audience(WORKSPACE, campaign(audience={"shoe_size": "43"}), now=NOW, dialect="sqlite")


def test_the_statement_can_be_shown_with_its_values_in_it() -> None:
    """`regulars audience` shows SQL that can be pasted into a database's own terminal."""
    rule = {
        "all": [{"did": "purchase", "sum": {"of": "amount", "at_least": "2.5"}, "within": "7 days"}, {"vip": "true"}]
    }
    chosen = audience(WORKSPACE, campaign(audience=rule), now=NOW, dialect="sqlite")
    assert chosen is not None
    shown = str(chosen.compile(dialect=SQLiteDialect(), compile_kwargs={"literal_binds": True}))
    assert "'purchase'" in shown and "2.5" in shown and "?" not in shown
    chosen = audience(WORKSPACE, campaign(audience=rule), now=NOW, dialect="postgresql")
    assert chosen is not None
    shown = str(chosen.compile(dialect=PGDialect(), compile_kwargs={"literal_binds": True}))  # type: ignore[no-untyped-call]
    assert "'2026-03-02 12:00:00+00:00'" in shown and "%(" not in shown


def test_the_question_shows_the_databases_own_plan(database: Database) -> None:
    """Beside count, sample and SQL: where a rule is slow, the plan says what the database reads."""
    shop.load(database, shop.people(20))
    told = ask(WORKSPACE, database, "quiet", now=NOW)
    assert 0 < told.count < told.customers == 20 and len(told.sample) == min(told.count, 10)
    assert any("events" in line and ("Index" in line or "INDEX" in line) for line in told.query_plan), told.query_plan
    assert told.query_plan[0][0] != " "


def test_the_index_serves_an_event_condition(database: Database) -> None:
    """Each customer's events of one name are looked up in the index, not read through."""
    if database.dialect != "sqlite":
        pytest.skip("PostgreSQL chooses by the sizes of its tables")
    chosen = audience(WORKSPACE, campaign(audience="quiet"), now=NOW, dialect="sqlite", everybody=False)
    assert chosen is not None
    with database.reading() as connection:
        sql = str(chosen.compile(dialect=SQLiteDialect(), compile_kwargs={"literal_binds": True}))
        plan = " ".join(str(row) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}"))
    index = "COVERING INDEX ix_events_named (name=? AND customer_id=? AND at>? AND at<?)"
    assert f"SEARCH events USING {index}" in plan


def test_all_segments_at_once_are_as_large_as_each(database: Database) -> None:
    """What `regulars audience` tells of all is what it tells of one."""
    shop.load(database, PEOPLE)
    found = all_sizes(WORKSPACE, database, now=NOW)
    assert found.customers == len(PEOPLE)
    assert {one.name: one.count for one in found.segments} == {
        name: ask(WORKSPACE, database, name, now=NOW).count for name in WORKSPACE.segments
    }
