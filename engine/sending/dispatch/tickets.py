"""The way over many machines: Procrastinate on the ledger's own PostgreSQL. All that is asynchronous stays in this file.

A ticket only says "come and drain". It is written in the transaction that owes the messages, and is good for about 500 of
them, or 30 seconds of work; whoever took it writes the next one while more is due. A ticket that is lost, taken twice or
left by a dead worker costs nothing: the sweeper writes new ones while due messages wait.

https://procrastinate.readthedocs.io/en/stable/
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from hashlib import sha256
from typing import Any

import structlog
from procrastinate import App, PsycopgConnector
from procrastinate.exceptions import ProcrastinateException
from procrastinate.schema import SchemaManager
from procrastinate.worker import Worker
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import DatabaseError, ProgrammingError

from engine.clock import Clock
from engine.errors import StoreError
from engine.ledger.claim import count_due
from engine.model import Lane
from engine.sending.dispatch.dispatcher import Dispatcher
from engine.sending.sender import BACK_OFF_SECONDS, Sender
from engine.store import Database

log = structlog.get_logger()

SHARE = 500
"""So many messages a ticket stands for."""
SECONDS = 30.0
"""So long its bearer works at most; both, so that a worker ends soon when it is asked to."""
MOST = 64
"""So many tickets of a lane wait at once: more would call nobody who does not come anyway."""
GRACE_SECONDS = 5
LOOK_SECONDS = 0.1
LIMITED_SECONDS = 1.0
LOCK = 0x5469636B
"""Our number among PostgreSQL's advisory locks."""

SCHEMA = f"tickets_{sha256(SchemaManager.get_schema().encode()).hexdigest()[:8]}"
"""Named after Procrastinate's own tables: another release of it that changes them has its own, beside these, so that
workers of both may run at once. Nothing has to be migrated, as a ticket holds nothing.
"""

_COME = """
CREATE OR REPLACE FUNCTION come(lane text, wanted integer, most integer) RETURNS void LANGUAGE sql
SET search_path = {schema} AS $$
    SELECT procrastinate_defer_jobs_v1(
        array_agg(ROW(lane, 'come', 0, NULL, NULL, jsonb_build_object('lane', lane), NULL)::procrastinate_job_to_defer_v1)
    )
    FROM generate_series(1, LEAST(
        wanted, most - (SELECT count(*) FROM procrastinate_jobs WHERE queue_name = lane AND status = 'todo')
    ))
$$
"""
"""Writes tickets of a lane until `most` wait, through Procrastinate's own function, on whatever connection calls it."""


class Tickets(Dispatcher):
    """Workers that wait for tickets: as many at once as `sending.threads` says, and one more for the triggered lane alone."""

    def __init__(self, sender: Sender, database: Database, clock: Clock) -> None:
        super().__init__(sender, database, clock)
        self._thread = threading.Thread(target=self._run, name="tickets", daemon=True)
        prepare(database)

    def submit(self, connection: Connection, lane: Lane, owed: int) -> None:
        self._write(connection, lane, -(-owed // SHARE), MOST)

    def wake(self) -> None:
        """Nothing to do: PostgreSQL's own NOTIFY tells the workers, wherever they are."""

    def refill(self) -> None:
        for lane in Lane:
            busy = 1 if lane is Lane.TRIGGERED else 2 * self.sender.settings.threads
            due = count_due(self.database, now=self.clock.now(), most=busy * SHARE, lanes=(lane,))
            if due:
                wanted = -(-due // SHARE)
                with self.database.writing() as connection:
                    self._write(connection, lane, wanted, wanted)

    def _write(self, connection: Connection, lane: Lane, wanted: int, most: int) -> None:
        """A ticket that cannot be written stops nothing that is owed: the sweeper tries again."""
        if wanted < 1:
            return
        try:
            with connection.begin_nested():
                connection.execute(select(getattr(func, SCHEMA).come(lane.value, wanted, most)))
        except DatabaseError as error:
            log.error("no ticket could be written", error=str(error.orig).splitlines()[0])

    # ------------------------------------------------------------ the work that a ticket calls for

    def come(self, lane: str) -> None:
        """Hand over what is due, for one ticket."""
        lanes = (Lane.TRIGGERED,) if lane == Lane.TRIGGERED else tuple(Lane)
        handed, until = 0, time.monotonic() + SECONDS
        while not self.sender.stopping.is_set() and ((done := self.sender.work(lanes)) or self._opens_soon(lanes)):
            handed += done.total()
            if handed >= SHARE or time.monotonic() > until:
                self._guarded("the next ticket", lambda: self._next(Lane(lane)))
                return

    def _opens_soon(self, lanes: Sequence[Lane]) -> bool:
        """Wait for a bulk run that its limits hold up for less than a second: another ticket would not come sooner."""
        soon = self.sender.opens_within(LIMITED_SECONDS) if Lane.BULK in lanes else None
        if soon is not None:
            self.sender.stopping.wait(soon)
        return soon is not None

    def _next(self, lane: Lane) -> None:
        with self.database.writing() as connection:
            self._write(connection, lane, 1, MOST)

    # ------------------------------------------------------------ Procrastinate's workers, on an event loop of their own

    def _begin(self) -> None:
        self._thread.start()

    def _end(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        while not self.sender.stopping.is_set():
            try:
                prepare(self.database)
                asyncio.run(self._work())
            except (StoreError, ProcrastinateException) as error:
                log.error("no tickets can be taken", error=_first_words(error))
                self.sender.stopping.wait(BACK_OFF_SECONDS)
            except Exception:
                log.exception("taking tickets failed")
                self.sender.stopping.wait(BACK_OFF_SECONDS)

    async def _work(self) -> None:
        """Both workers, until one of them ends or the sender is asked to stop; then both end after the tickets they have."""
        threads = self.sender.settings.threads
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(threads + 1, thread_name_prefix="sender"))
        async with self._app().open_async() as app:
            workers = [self._worker(app, 1, [Lane.TRIGGERED.value]), self._worker(app, threads, None)]
            tasks = [asyncio.create_task(worker.run()) for worker in workers]
            running = set(tasks)
            while running:
                ended, running = await asyncio.wait(running, timeout=LOOK_SECONDS)
                if ended or self.sender.stopping.is_set():
                    for worker in workers:  # asked, not cancelled: asyncio may lose a cancellation that comes early
                        worker.stop()
            for task in tasks:
                task.result()

    def _worker(self, app: App, tickets_at_once: int, lanes: list[str] | None) -> Worker:
        return Worker(
            app,
            queues=lanes,
            name=self.sender.name,
            concurrency=tickets_at_once,
            delete_jobs="always",
            install_signal_handlers=False,
            shutdown_graceful_timeout=self.sender.settings.deadline.total_seconds() + GRACE_SECONDS,
        )

    def _app(self) -> App:
        url = self.database.pool.url.set(drivername="postgresql")
        connector = PsycopgConnector(
            conninfo=url.render_as_string(hide_password=False),
            kwargs={"options": f"-c search_path={SCHEMA}"},
            min_size=1,
            max_size=4,
        )
        app = App(connector=connector)
        app.task(name="come")(self.come)
        app.periodic(cron="* * * * *")(app.task(name="retry stalled")(_retry_stalled(app)))
        return app


def _retry_stalled(app: App) -> Callable[[int], Coroutine[Any, Any, None]]:
    """Procrastinate does not do it by itself: the tickets of workers that gave no sign of life go back."""

    async def retry_stalled(timestamp: int) -> None:
        for job in await app.job_manager.get_stalled_jobs():
            with suppress(ProcrastinateException):  # its worker lives after all, and has just ended it
                await app.job_manager.retry_job(job)

    return retry_stalled


def prepare(database: Database) -> None:
    """Make Procrastinate's tables, in a schema of their own, where they are not there yet. Of several processes that start
    at once one makes them, and the others wait. Raises StoreError.
    """
    try:
        with database.writing() as connection:
            connection.execute(select(func.pg_advisory_xact_lock(LOCK)))
            there = connection.execute(select(func.to_regprocedure(f"{SCHEMA}.come(text, integer, integer)"))).scalar()
            if there is None:
                for statement in (
                    f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}",
                    f"SET LOCAL search_path = {SCHEMA}",
                    SchemaManager.get_schema(),
                    _COME.format(schema=SCHEMA),
                ):
                    connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
    except ProgrammingError as error:
        raise StoreError(
            f"the tables for tickets cannot be made: {_first_words(error)}",
            where="config.yaml: sending.dispatch",
            remedy="Let this role make a schema (GRANT CREATE ON DATABASE), or write `dispatch: threads`.",
        ) from error


def _first_words(error: BaseException) -> str:
    told = getattr(error, "orig", None) or error.__cause__ or error
    return (str(told) or type(told).__name__).splitlines()[0]
