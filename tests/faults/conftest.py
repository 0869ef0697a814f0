"""What the trials share in one test process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.fleet import Launcher
from tests.faults.shop import ENVIRONMENT
from tests.faults.trial import Ground, prepared
from tests.postgres import Server


@pytest.fixture(scope="session")
def launcher() -> Iterator[Launcher]:
    with Launcher() as launcher:
        yield launcher


@pytest.fixture(scope="session")
def ground(launcher: Launcher) -> Iterator[Ground]:
    """For trials on SQLite."""
    with prepared(launcher, server=False) as ground:
        yield ground


@pytest.fixture(scope="session")
def fragile(launcher: Launcher, postgres_server: Server) -> Iterator[Ground]:
    """For trials on PostgreSQL: a server of their own, which may be crashed. (Asks for the tests' other server, to skip where there can be none.)"""
    with prepared(launcher, server=True) as ground:
        yield ground


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process looks into the same workspace as the daemons."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
