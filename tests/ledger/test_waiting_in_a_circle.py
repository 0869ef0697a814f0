"""What stops or takes back many messages at once goes through while senders lock some of them: nobody waits in a circle."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Connection, text, update

from engine.ledger.cancel import cancel, cancel_run
from engine.ledger.claim import expire, give_back, recover
from engine.store import Database
from engine.store.tables import messages
from tests.ledger.books import LEASE, add_customers, owe_all, take

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
Act = Callable[[Database, datetime], object]
LATER = timedelta(hours=1)
WAITING = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
HOLD = text("SELECT id FROM messages WHERE id = :id FOR UPDATE")
AT_ONCE = text("SELECT id FROM messages WHERE id = :id FOR UPDATE NOWAIT")

STOPPING: dict[str, tuple[Act, object]] = {
    "a campaign": (lambda database, now: cancel(database, "news", now=now), 2),
    "a run": (lambda database, now: cancel_run(database, 1, now=now).cancelled, 2),
}
TAKING_BACK: dict[str, tuple[Act, object]] = {
    "of a sender that ended": (lambda database, now: give_back(database, "one", now=now), 2),
    "of a dead sender": (lambda database, now: recover(database, now=now + LEASE), (2, 0)),
}
ENDING: dict[str, tuple[Act, object]] = {"too late": (lambda database, now: expire(database, now=now + 2 * LATER), 2)}


def until_somebody_waits(connection: Connection) -> None:
    while not connection.execute(WAITING).scalar():
        time.sleep(0.01)


@pytest.fixture
def two(database: Database, now: datetime) -> Database:
    """Two messages that PostgreSQL finds in the wrong order: the first was written again since."""
    add_customers(database, 2, now)
    owe_all(database, now, not_after=now + LATER)
    with database.writing() as connection:
        connection.execute(update(messages).where(messages.c.id == 1).values(detail="written again"))
    return database


@pytest.mark.parametrize("name", [*STOPPING, *TAKING_BACK, *ENDING])
def test_messages_are_locked_in_the_order_of_their_ids(two: Database, now: datetime, name: str) -> None:
    """A sender holds the first one: this waits for it with empty hands, and the sender gets the second one, too."""
    act, done = {**STOPPING, **TAKING_BACK, **ENDING}[name]
    if name in TAKING_BACK:
        take(two, now)
    with ThreadPoolExecutor(1) as others, two.pool.connect() as sender:
        sender.execute(HOLD, {"id": 1})
        acting = others.submit(act, two, now)
        until_somebody_waits(sender)
        sender.execute(AT_ONCE, {"id": 2})
        sender.rollback()
        assert acting.result() == done


@pytest.mark.parametrize("name", STOPPING)
def test_a_brake_that_gives_way_in_a_deadlock_stops_all_the_same(two: Database, now: datetime, name: str) -> None:
    """Somebody holds the second message and asks for the first: the brake gives way, and is on a moment later."""
    act, done = STOPPING[name]
    with ThreadPoolExecutor(1) as others, two.pool.connect() as other:
        other.execute(text("SET deadlock_timeout = '20s'"))  # it is the brake's turn to look for deadlocks
        other.execute(HOLD, {"id": 2})
        acting = others.submit(act, two, now)
        until_somebody_waits(other)
        other.execute(HOLD, {"id": 1})
        other.rollback()
        assert acting.result() == done
