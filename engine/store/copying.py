"""A database copied into a SQLite file: as it is at one moment, and without a trace on the original.

A SQLite file is opened read-only and copied by SQLite's own backup, which takes in what is still in the write-ahead log.
From PostgreSQL all rows that decide something are read in one read-only snapshot.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, Select, select
from sqlalchemy.engine import make_url

from engine.errors import StoreError
from engine.store.database import clear_errors
from engine.store.pool import make_pool
from engine.store.scratch import open_scratch
from engine.store.tables import events, facts, metadata

CHUNK = 5_000
NOT_COPIED = frozenset(("idempotency", "links"))
"""Tables that no decision rests on."""


def copy_database(url: str, folder: Path, target: Path, *, secret: str, until: datetime) -> None:
    """Copy the database at `url` (a relative path lies in `folder`) into the new file `target`.

    From PostgreSQL events later than `until` are left out. Raises StoreError where the database cannot be read.
    """
    if make_url(url).get_backend_name() == "sqlite":
        named = make_url(url).database or ""
        _backup(folder / named, target)
    else:
        pool = make_pool(url, folder)
        try:
            with clear_errors():
                _rows(pool, target, secret, until)
        finally:
            pool.dispose()


def _backup(source: Path, target: Path) -> None:
    if not source.is_file():
        raise StoreError(f"there is no database at {source.name} yet", remedy="Import customers and events first.")
    try:
        with (
            closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as original,
            closing(sqlite3.connect(target)) as copy,
        ):
            original.backup(copy)
    except sqlite3.Error as error:
        raise StoreError(
            f"the database cannot be copied: {error}", remedy="Check the path and the free space."
        ) from error


def _rows(source: Engine, target: Path, secret: str, until: datetime) -> None:
    copy = open_scratch(target, secret=secret)
    options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True, "stream_results": True}
    try:
        with source.connect().execution_options(**options) as reading, copy.writing() as writing:
            _require_same_tables(reading, writing)
            writing.execute(sa.delete(facts))  # the copy has the ledger's name and the secret of the original
            for table in metadata.sorted_tables:
                if table.name not in NOT_COPIED:
                    _copy(reading, writing, table, until)
    finally:
        copy.close()


def _require_same_tables(reading: Connection, writing: Connection) -> None:
    theirs, ours = (MigrationContext.configure(each).get_current_revision() for each in (reading, writing))
    if theirs != ours:
        raise StoreError(
            "the database's tables are of another version than this program",
            remedy="Run `regulars plan` once: it brings them up to date.",
        )


def _copy(reading: Connection, writing: Connection, table: sa.Table, until: datetime) -> None:
    rows: Select[tuple[object, ...]] = select(table)
    if table is events:
        rows = rows.where(events.c.at <= until)
    found = reading.execute(rows.execution_options(yield_per=CHUNK))
    for chunk in found.mappings().partitions():
        writing.execute(sa.insert(table), [dict(row) for row in chunk])
