"""A server that restarts between two uses of a connection is nobody's trouble."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from engine.errors import StoreError
from engine.store import Database, alive

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


def _kill_all(database: Database) -> None:
    """As a restart does: every connection of the pool is gone, and the pool does not know."""
    with database.pool.connect() as first, database.pool.connect() as second:
        first.exec_driver_sql("SELECT 1")
        second.exec_driver_sql("SELECT 1")
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    admin = sa.create_engine(database.pool.url, poolclass=sa.NullPool)
    with admin.connect() as connection:
        connection.exec_driver_sql(others)


def _one(database: Database) -> int:
    with database.reading() as connection:
        return int(connection.exec_driver_sql("SELECT 1").scalar_one())


def test_an_idle_connection_that_died_is_replaced(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alive, "IDLE_SECONDS", -1.0)
    _kill_all(database)
    assert [_one(database) for _ in range(3)] == [1, 1, 1]


def test_with_an_idle_connection_that_died_the_others_of_its_time_are_replaced(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One dead connection stands for all of them: the second is not even asked."""
    monkeypatch.setattr(alive, "IDLE_SECONDS", -1.0)
    _kill_all(database)
    assert _one(database) == 1
    monkeypatch.setattr(alive, "IDLE_SECONDS", 60.0)
    assert _one(database) == 1


def test_one_that_died_right_after_its_use_is_told_clearly_and_replaced(database: Database) -> None:
    """Each dead one fails at most once."""
    _kill_all(database)
    failed = 0
    for _ in range(4):
        try:
            assert _one(database) == 1
        except StoreError:
            failed += 1
    assert failed <= 2
    assert _one(database) == 1


def test_one_just_used_is_not_asked(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second use at once costs no round trip more; later it does."""
    asked: list[object] = []
    monkeypatch.setattr(database.pool.dialect, "do_ping", lambda connection: asked.append(connection) or True)
    _one(database)
    _one(database)
    assert not asked
    monkeypatch.setattr(alive, "IDLE_SECONDS", -1.0)
    _one(database)
    assert len(asked) == 1
