"""Statements for many rows write what each row says, whatever is the same in all of them; and PostgreSQL finds the rows at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select, text, update

from engine.ledger import moves
from engine.store import Database
from engine.store.prepared import PreparedMany, inserting
from engine.store.tables import customers, events, messages, runs, template_versions

AT = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
NAMES = ("external_id", "name", "at", "properties", "customer_id", "received_at")
CHANGED = ("name", "at", "properties", "customer_id")
VALUES = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["purchase", "visit", "", "it's %s"]),
        "at": st.sampled_from([AT, AT + timedelta(microseconds=1)]),
        "properties": st.sampled_from([{"x": 1}, {"x": True}, {"x": 1.0}, {"x": None}, {}, {"ä": "%"}]),
        "customer_id": st.sampled_from([None, 1]),
    }
)
CHANGING = PreparedMany(
    lambda given: (
        update(events).where(events.c.id == given["mine"]).values({name: given[f"new_{name}"] for name in CHANGED})
    ),
    {"mine": events.c.id.type, **{f"new_{name}": events.c[name].type for name in CHANGED}},
    found_by=("mine", events.c.id),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=st.lists(VALUES, min_size=1, max_size=5), data=st.data())
def test_each_row_has_its_own_values(database: Database, first: list[dict[str, Any]], data: st.DataObject) -> None:
    """Inserted and changed; 1, 1.0 and True are not the same in a JSON column, and None is none."""
    then = data.draw(st.lists(VALUES, min_size=len(first), max_size=len(first)))
    with database.writing() as connection:
        connection.execute(delete(events))
        if connection.execute(select(customers.c.id)).first() is None:
            connection.execute(insert(customers).values(id=1, external_id="c1", created_at=AT))
        rows = [{"external_id": f"e{n}", "received_at": AT, **row} for n, row in enumerate(first)]
        assert inserting(events, NAMES).run(connection, rows) == len(rows)
        ids = connection.execute(select(events.c.id).order_by(events.c.external_id)).scalars().all()
        assert _stored(connection) == _typed(first)
        changes = [
            {"mine": one, **{f"new_{name}": row[name] for name in CHANGED}} for one, row in zip(ids, then, strict=True)
        ]
        assert CHANGING.run(connection, changes) == len(changes)
        assert _stored(connection) == _typed(then)


def _stored(connection: Any) -> list[tuple[Any, ...]]:
    query = select(*(events.c[name] for name in CHANGED)).order_by(events.c.external_id)
    return _typed([row._mapping for row in connection.execute(query)])


def _typed(rows: Any) -> list[tuple[Any, ...]]:
    """With the type beside what JSON holds; a whole number may come back as one."""
    return [
        tuple((type(row[name].get("x")) is bool, row[name]) if name == "properties" else row[name] for name in CHANGED)
        for row in rows
    ]


def test_postgresql_compares_no_message_with_each_other(database: Database) -> None:
    """The rows of a group are found by their ids and joined by a hash, though the statistics know of no claimed message."""
    if database.dialect != "postgresql":
        return
    version = {"hash": "h", "name": "news", "sources": {}, "first_used_at": AT}
    run = {
        "id": 1, "campaign": "news", "occurrence": "o", "nominal_at": AT, "launched_at": AT, "definition": {},
        "definition_hash": "h", "template_hash": "h", "channel": "email", "data": {},
    }  # fmt: skip
    owed = {
        "run_id": 1, "campaign": "news", "channel": "email", "message_class": "commercial", "delivery": "at_most_once",
        "lane": 1, "state": "pending", "owed_at": AT, "due_at": AT, "changed_at": AT,
    }  # fmt: skip
    with database.writing() as connection:
        connection.execute(insert(template_versions).values(version))
        connection.execute(insert(runs).values(run))
        connection.execute(insert(messages), [{**owed, "step": f"s{n}"} for n in range(15_000)])
        connection.execute(text("ANALYZE messages"))
        ids = connection.execute(select(messages.c.id).order_by(messages.c.id).limit(100)).scalars().all()
        claimed = {"state": "claimed", "epoch": 1, "lease_until": AT + timedelta(minutes=1)}
        connection.execute(update(messages).where(messages.c.id.in_(ids)).values(claimed))
        words = (
            "provider",
            "reason",
            "detail",
            "sent_to",
            "template_path",
            "content_hash",
            "provider_message_id",
            "owner",
        )
        for transition, leased in (("begin", True), ("accept", False)):
            plan = _plan(connection, moves._claimed(transition, leased, words), ids, words)
            assert "Hash Join" in plan and "Index Scan using pk_messages" in plan, plan
            assert "Nested Loop" not in plan and "Seq Scan" not in plan, plan


def _plan(connection: Any, many: PreparedMany, ids: Any, names: tuple[str, ...]) -> str:
    rows = [
        {"mine": one, "mine_epoch": 1, "moment": AT, **{f"new_{name}": f"{name} {one}" for name in names}}
        for one in ids
    ]
    driver, said = connection.connection.dbapi_connection, list[str]()

    class Explaining(psycopg.Cursor[Any]):
        """Asks how a statement would be done."""

        def execute(self, query: Any, *given: Any, **more: Any) -> Any:
            done = super().execute(f"EXPLAIN {query}", *given, **more)
            said.extend(row[0] for row in self.fetchall())
            return done

    usual, driver.cursor_factory = driver.cursor_factory, Explaining
    many.run(connection, rows)
    driver.cursor_factory = usual
    return "\n".join(said)
