"""How connections to a database are made and kept: for each database the settings that the product needs of every connection."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from engine.errors import StoreError
from engine.store.alive import ask_the_idle
from engine.store.tables import EPOCH, MICROSECOND

LOCK_WAIT_SECONDS = 30


def make_pool(url: str, folder: Path | None) -> sa.Engine:
    """Connections to the database at `url`; none is made yet. Raises StoreError where the URL makes no sense."""
    try:
        target = make_url(url)
    except ArgumentError as error:
        raise StoreError(
            "the database URL cannot be read",
            where="config.yaml: database",
            remedy="Write sqlite:///regulars.db or postgresql://user@host/name.",
        ) from error
    if target.get_backend_name() == "sqlite":
        if folder and target.database and not Path(target.database).is_absolute():
            target = target.set(database=str(folder / target.database))
        pool = sa.create_engine(
            target,
            connect_args={"timeout": LOCK_WAIT_SECONDS, "check_same_thread": False},
            pool_size=32,
            hide_parameters=True,
        )
        event.listen(pool, "connect", _sqlite_connect)
        return pool
    if target.get_backend_name() == "postgresql":
        target = target.set(drivername="postgresql+psycopg")
        # jit: PostgreSQL compiles large rules for longer than it runs them (164 conditions: 19.9 s against 0.07 s)
        # work_mem: everybody's events are grouped in memory, instead of sorted on disk
        # cursor_tuple_fraction: what comes by in chunks is read to its end
        pool = sa.create_engine(
            target,
            pool_size=32,
            hide_parameters=True,
            connect_args={"options": "-c timezone=UTC -c jit=off -c work_mem=64MB -c cursor_tuple_fraction=1"},
        )
        ask_the_idle(pool)
        return pool
    raise StoreError(
        f"the database is {target.get_backend_name()}, not SQLite or PostgreSQL", where="config.yaml: database"
    )


def _sqlite_connect(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves: see _begin
    # cache_size: 16 MB for each of a daemon's connections. With 64 MB nothing was faster, and a daemon of a million messages had 295 MB
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-16000"):
        connection.execute(f"PRAGMA {pragma}")
    # SQLite's own lower() knows A to Z alone
    connection.create_function("unicode_lower", 1, _lower, deterministic=True)
    # …and of time zones it knows UTC
    connection.create_function("local_day", 2, _local_day, deterministic=True)


def _lower(text: object) -> object:
    return text.lower() if isinstance(text, str) else None


def _local_day(instant: object, zone: str) -> str | None:
    """The day that an instant (as a column keeps it, or as JSON does) is on in a zone; None where it is none."""
    try:
        at = EPOCH + instant * MICROSECOND if isinstance(instant, int) else _in_utc(instant)
        return at.astimezone(ZoneInfo(zone)).date().isoformat() if at.year > 1 else None
    except (ValueError, OverflowError):
        return None


def _in_utc(written: object) -> datetime:
    return datetime.fromisoformat(str(written)).replace(tzinfo=UTC)
