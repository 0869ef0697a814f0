"""What the trials share in one test process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.fleet import Launcher
from tests.faults.shop import ENVIRONMENT
from tests.faults.trial import Ground
from tests.postgres import Server


@pytest.fixture(scope="session")
def launcher() -> Iterator[Launcher]:
    with Launcher() as launcher:
        yield launcher


@pytest.fixture(scope="session")
def ground(launcher: Launcher) -> Ground:
    """For trials on SQLite."""
    return Ground(launcher=launcher)


@pytest.fixture(scope="session")
def fragile(launcher: Launcher, postgres_server: Server) -> Iterator[Ground]:
    """For trials on PostgreSQL: a server of their own, which may be crashed."""
    with Server() as server:
        yield Ground(launcher=launcher, server=server)


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process looks into the same workspace as the daemons."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
