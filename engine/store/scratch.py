"""Databases that nobody will miss: in a temporary folder, quick because they need not survive a crash."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import event

from engine.store.database import Database, open_database


class Blank:
    """An empty database with all its tables, made once in `folder` and copied for each use."""

    def __init__(self, folder: Path, *, secret: str) -> None:
        self._folder, self._secret, self._count = folder, secret, 0
        self._blank = folder / "blank.db"
        open_database(f"sqlite:///{self._blank}", secret=secret).close()

    @contextmanager
    def database(self) -> Iterator[Database]:
        """A fresh one; gone when the block ends."""
        self._count += 1
        path = self._folder / f"scratch-{self._count}.db"
        shutil.copy(self._blank, path)
        database = open_scratch(path, secret=self._secret)
        try:
            yield database
        finally:
            database.close()
            path.unlink()


def open_scratch(path: Path, *, secret: str) -> Database:
    """Open a SQLite file of ours without waiting for the disk. Raises StoreError where its secret is another one."""
    database = open_database(f"sqlite:///{path}", secret=secret)
    database.pool.dispose()  # the next connections are the careless ones
    event.listen(database.pool, "connect", _carelessly)
    return database


def _carelessly(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA synchronous=OFF")
