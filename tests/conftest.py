"""Databases for the tests: every test that takes `database` runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.store import Database, open_database
from tests import memory
from tests.postgres import Server

if (_in_memory := memory.root()) is not None:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_in_memory))  # where pytest makes `tmp_path`

SECRET = "a secret for tests, long enough"
NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGULARS_SECRET", SECRET)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "template.db"
    open_database(f"sqlite:///{path}", secret=SECRET).close()
    return path


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    if Server.binaries() is None:
        message = "PostgreSQL is not installed: `apt-get install postgresql` (or `brew install postgresql`)"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    with Server() as server:
        open_database(server.create("template_regulars"), secret=SECRET).close()
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a fresh, migrated, empty database."""
    if request.param == "sqlite":
        path = tmp_path / "regulars.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite:///{path}"
    else:
        server: Server = request.getfixturevalue("postgres_server")
        name, url = server.copy("template_regulars")
        yield url
        server.drop(name)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = open_database(database_url, secret=SECRET)
    yield database
    database.close()
