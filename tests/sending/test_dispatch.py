"""Whoever calls the senders, the ledger is the queue: what a dispatcher forgets, doubles or loses costs nothing."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from engine.campaigns.launch import launch, trigger
from engine.campaigns.schedules import Occurrence
from engine.clock import WallClock
from engine.errors import StoreError
from engine.ledger.claim import claim
from engine.model import Lane, State
from engine.provider import Accepted, Outgoing
from engine.sending.dispatch import Dispatcher, Kind
from engine.sending.dispatch.threads import Threads
from engine.sending.dispatch.tickets import MOST, SCHEMA, SHARE, Tickets, _retry_stalled, prepare
from engine.sending.sender import Sender
from engine.store import Database, open_database
from tests.conftest import SECRET
from tests.sending.shop import Shop

PATIENCE = 60
EVERY_WAY = pytest.mark.parametrize(
    ("database_url", "way"),
    [("sqlite", Threads), ("postgresql", Threads), ("postgresql", Tickets)],
    indirect=["database_url"],
)
TICKETS = pytest.mark.parametrize(("database_url", "way"), [("postgresql", Tickets)], indirect=["database_url"])

Way = type[Threads] | type[Tickets]


class Live:
    """The shop on the running clock, with a dispatcher."""

    def __init__(self, folder: Path, database: Database, way: Way, customers: int) -> None:
        self.clock = WallClock()
        self.shop = Shop(folder, database, self.clock, customers=customers)  # type: ignore[arg-type]
        self.sender: Sender = self.shop.sender()
        self.dispatcher: Dispatcher = way(self.sender, database, self.clock)

    def launch(self) -> None:
        campaign, now = self.shop.workspace.campaigns["news"], self.clock.now()
        occurrence = Occurrence(key="today", nominal_at=now)
        launch(self.shop.workspace, self.shop.database, campaign, occurrence, now=now, submit=self.dispatcher.submit)
        self.dispatcher.wake()

    def trigger(self) -> None:
        with self.shop.database.writing() as connection:
            trigger(
                self.shop.workspace,
                connection,
                self.shop.database,
                "receipt",
                customer="c1",
                data={"order": "4711"},
                occurrence="o1",
                now=self.clock.now(),
                submit=self.dispatcher.submit,
            )
        self.dispatcher.wake()

    def accepted(self) -> int:
        return self.shop.states().count(State.ACCEPTED)

    def keys(self) -> list[str]:
        return [outgoing.key for outgoing in self.shop.provider.taken]


@contextmanager
def at_work(live: Live) -> Iterator[Live]:
    live.dispatcher.start(Kind.WORKER)
    try:
        yield live
    finally:
        live.dispatcher.stop()


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, f"not within {PATIENCE} s"
        time.sleep(0.02)


def waiting(database: Database) -> int:
    with database.reading() as connection:
        return connection.execute(
            text(f"SELECT count(*) FROM {SCHEMA}.procrastinate_jobs WHERE status = 'todo'")
        ).scalar_one()


def forget_everything(database: Database) -> None:
    """Procrastinate's tables, emptied under its feet."""
    tables = ("workers", "jobs", "periodic_defers", "events")
    with database.writing() as connection:
        connection.execute(text("TRUNCATE " + ", ".join(f"{SCHEMA}.procrastinate_{name}" for name in tables)))


@EVERY_WAY
def test_what_is_launched_leaves_once(tmp_path: Path, database: Database, way: Way) -> None:
    """Each customer of the run gets one message, and a receipt in between gets its own."""
    live = Live(tmp_path, database, way, customers=40)
    with at_work(live):
        live.launch()
        live.trigger()
        wait_until(lambda: live.accepted() == 41)
    assert len(live.keys()) == len(set(live.keys())) == 41


@EVERY_WAY
def test_a_live_sender_stops_cleanly_and_gives_back_what_it_claimed(
    tmp_path: Path, database: Database, way: Way
) -> None:
    """After stop: in flight settled, nothing left claimed or sending, the rest pending for the next start."""
    live = Live(tmp_path, database, way, customers=40)
    begun = threading.Event()

    def slow(outgoing: Outgoing) -> Accepted:
        begun.set()
        time.sleep(0.2)
        return Accepted()

    live.shop.provider.answer = slow
    with at_work(live):
        live.launch()
        assert begun.wait(PATIENCE)
    states = live.shop.states()
    assert set(states) <= {State.ACCEPTED, State.PENDING}
    assert states.count(State.ACCEPTED) == len(live.keys()) < 40


@EVERY_WAY
def test_a_receipt_does_not_wait_for_senders_that_are_all_busy_with_bulk(
    tmp_path: Path, database: Database, way: Way
) -> None:
    """While every bulk sender hangs in the vendor's call, the triggered message is accepted."""
    live = Live(tmp_path, database, way, customers=40)
    hanging, go_on = threading.Event(), threading.Event()

    def hang(outgoing: Outgoing) -> Accepted:
        if outgoing.campaign == "news":
            hanging.set()
            assert go_on.wait(PATIENCE)
        return Accepted()

    live.shop.provider.answer = hang
    with at_work(live):
        live.launch()
        assert hanging.wait(PATIENCE)
        try:
            live.trigger()
            wait_until(lambda: live.accepted() == 1)
        finally:
            go_on.set()


@EVERY_WAY
def test_who_is_at_work_is_seen_and_who_has_left_is_not(tmp_path: Path, database: Database, way: Way) -> None:
    """The heartbeat names the process by the owner of its claims."""
    live = Live(tmp_path, database, way, customers=1)
    with at_work(live):
        wait_until(lambda: bool(live.dispatcher.health()))
        (me,) = live.dispatcher.health()
        assert (me.name, me.kind) == (live.sender.name, Kind.WORKER)
    assert not live.dispatcher.health()


@TICKETS
def test_a_ticket_is_there_with_what_is_owed_or_not_at_all(tmp_path: Path, database: Database, way: Way) -> None:
    """It is written on the ledger's own connection: rolled back with it, committed with it."""
    live = Live(tmp_path, database, way, customers=1)
    with pytest.raises(RuntimeError), database.writing() as connection:
        live.dispatcher.submit(connection, Lane.BULK, 1)
        raise RuntimeError
    assert waiting(database) == 0
    with database.writing() as connection:
        live.dispatcher.submit(connection, Lane.BULK, 3 * SHARE)
        assert waiting(database) == 0, "seen before its commit"
    assert waiting(database) == 3


@TICKETS
def test_tickets_do_not_pile_up(tmp_path: Path, database: Database, way: Way) -> None:
    """However much is owed while no worker is there, no more wait than could be of use."""
    live = Live(tmp_path, database, way, customers=1)
    for _ in range(3):
        with database.writing() as connection:
            live.dispatcher.submit(connection, Lane.BULK, 1_000_000)
    assert waiting(database) == MOST


@TICKETS
def test_messages_whose_tickets_were_lost_are_sent(tmp_path: Path, database: Database, way: Way) -> None:
    """Owed without any ticket, as by a process that has never heard of them: the sweeper writes one."""
    live = Live(tmp_path, database, way, customers=20)
    live.shop.launch()
    assert waiting(database) == 0
    with at_work(live):
        wait_until(lambda: live.accepted() == 20)
    assert len(set(live.keys())) == len(live.keys()) == 20


@TICKETS
def test_tables_emptied_while_it_works_cost_no_message(tmp_path: Path, database: Database, way: Way) -> None:
    """Procrastinate forgets its workers and its tickets, twice, mid-run: all leaves, once, and then what comes after."""
    live = Live(tmp_path, database, way, customers=60)

    def slow(outgoing: Outgoing) -> Accepted:
        time.sleep(0.05)
        return Accepted()

    live.shop.provider.answer = slow
    with at_work(live):
        live.launch()
        for count in (5, 30):
            wait_until(lambda count=count: len(live.keys()) >= count)  # type: ignore[misc]
            forget_everything(database)
        wait_until(lambda: live.accepted() == 60)
        forget_everything(database)
        live.trigger()
        wait_until(lambda: live.accepted() == 61)
    assert len(set(live.keys())) == len(live.keys()) == 61


@TICKETS
def test_what_is_owed_is_owed_even_where_no_ticket_can_be_written(tmp_path: Path, database: Database, way: Way) -> None:
    """The schema is gone; the receipt is taken all the same, and sent once a worker has made the tables anew."""
    live = Live(tmp_path, database, way, customers=1)
    with database.writing() as connection:
        connection.execute(text(f"DROP SCHEMA {SCHEMA} CASCADE"))
    live.trigger()
    assert live.shop.states() == [State.PENDING]
    with at_work(live):
        wait_until(lambda: live.accepted() == 1)


@TICKETS
def test_the_ticket_of_a_dead_worker_goes_back(tmp_path: Path, database: Database, way: Way) -> None:
    """Taken by a worker that gave no sign of life since: it waits again."""
    live = Live(tmp_path, database, way, customers=1)
    assert isinstance(live.dispatcher, Tickets)
    with database.writing() as connection:
        live.dispatcher.submit(connection, Lane.BULK, 1)
        connection.execute(text(f"SET LOCAL search_path = {SCHEMA}"))
        connection.execute(text("UPDATE procrastinate_jobs SET status = 'doing'"))
    app = live.dispatcher._app()

    async def once() -> None:
        async with app.open_async():
            await _retry_stalled(app)(0)

    asyncio.run(once())
    assert waiting(database) == 1


@TICKETS
def test_processes_that_start_at_once_make_the_tables_once(database: Database, way: Way) -> None:
    """None of them fails, and none makes what another has made."""
    with ThreadPoolExecutor(6) as starting:
        for done in [starting.submit(prepare, database) for _ in range(6)]:
            done.result()
    assert waiting(database) == 0


@TICKETS
def test_a_role_that_may_not_make_a_schema_is_told_what_to_do(database: Database, database_url: str, way: Way) -> None:
    """The operator reads which right is missing and what else to write, not a stack of calls."""
    with database.writing() as connection:
        connection.execute(text("DROP ROLE IF EXISTS meek"))
        connection.execute(text("CREATE ROLE meek LOGIN"))
        connection.execute(text("GRANT ALL ON ALL TABLES IN SCHEMA public TO meek"))
    meek = open_database(database_url.replace("regulars@", "meek@"), secret=SECRET)
    try:
        with pytest.raises(StoreError, match="GRANT CREATE ON DATABASE"):
            prepare(meek)
    finally:
        meek.close()


@EVERY_WAY
def test_what_a_sender_claimed_without_knowing_goes_back_when_it_ends(
    tmp_path: Path, database: Database, way: Way
) -> None:
    """The server committed a claim and died before it said so: nobody hands those messages over, and a clean end leaves them to others."""
    live = Live(tmp_path, database, way, customers=20)
    live.launch()
    lost, others = (
        claim(database, Lane.BULK, owner=owner, limit=5, lease=timedelta(minutes=5), now=live.clock.now())
        for owner in (live.sender.name, "another")
    )
    with at_work(live):
        wait_until(lambda: live.accepted() == 10)
    states = {row.id: row.state for row in live.shop.rows()}
    assert {states[message.id] for message in lost} == {State.PENDING}
    assert {states[message.id] for message in others} == {State.CLAIMED}
