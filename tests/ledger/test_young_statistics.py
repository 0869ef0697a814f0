"""PostgreSQL knows little of a table that has just grown: what runs all the time must not read all of it for that."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import Connection

from engine.ledger import claim, settle
from engine.provider import Accepted
from engine.store import Database
from tests.ledger.books import add_customers, begin, end, owe_all, take

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)

MANY = 3_000
_COPIED = (
    "run_id, campaign, channel, message_class, delivery, lane, state, owed_at, due_at, changed_at, epoch, attempts"
)


def test_who_waits_is_found_without_a_look_at_each_message(database: Database, now: datetime) -> None:
    """A run was launched this second; its messages are thousands."""
    add_customers(database, 1, now)
    owe_all(database, now)
    with database.writing() as connection:
        connection.exec_driver_sql("ANALYZE messages")
        connection.exec_driver_sql(
            f"INSERT INTO messages (step, {_COPIED}) SELECT 'step ' || n, {_COPIED}"
            f" FROM messages CROSS JOIN generate_series(1, {MANY}) AS n"
        )
    with database.reading() as connection:
        assert max(_read(connection, claim._runs_that_wait())) < 10
    assert len(claim.waiting_runs(database)) == 1


def test_settling_finds_attempts_by_their_index(
    database: Database, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The statistics are those of a table with one attempt: whoever believes them reads all of it."""
    add_customers(database, 1, now)
    owe_all(database, now)
    (taken,) = take(database, now)
    begun = begin(database, taken, now)
    assert begun is not None
    plans: list[str] = []
    monkeypatch.setattr(settle, "correct", lambda connection, **_costs: plans.append(_plan(connection)))
    with database.writing() as connection:
        connection.exec_driver_sql("ANALYZE attempts")
        assert "Seq Scan" in _plan(connection)
    assert end(database, begun, Accepted(), now)
    assert len(plans) == 1 and "Seq Scan" not in plans[0]
    with database.writing() as connection:
        assert "Seq Scan" in _plan(connection)


def _plan(connection: Connection) -> str:
    """How PostgreSQL would find an attempt in this transaction."""
    return "".join(connection.exec_driver_sql("EXPLAIN SELECT 1 FROM attempts WHERE message_id = 1").scalars())


def _read(connection: Connection, statement: Any) -> Iterator[float]:
    """How many rows each step of the plan gave, all its loops together."""
    words = str(statement.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True}))
    explained = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {words}").scalar_one()
    todo = [explained[0]["Plan"]]
    while todo:
        step = todo.pop()
        todo += step.get("Plans", [])
        yield step["Actual Rows"] * step["Actual Loops"]
