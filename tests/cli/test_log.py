"""What cannot be told about is done all the same: a log that nobody can write ends no thread."""

from __future__ import annotations

import errno
import io
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from engine.cli.app import log_to_stderr
from engine.clock import SteppedClock
from engine.errors import StoreError
from engine.sending.dispatch import dispatcher_for
from engine.store import Database
from tests.conftest import NOW
from tests.sending.shop import Shop


class Full(io.StringIO):
    """A file on a disk without room."""

    def write(self, text: str, /) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    def flush(self) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def logging() -> Iterator[None]:
    log_to_stderr()
    yield
    structlog.reset_defaults()


def test_a_full_disk_under_the_log_ends_no_sender_and_no_chore(
    tmp_path: Path, database: Database, logging: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database is down, which is said, and cannot be; when there is room again, it goes on."""
    shop = Shop(tmp_path, database, SteppedClock(NOW))
    sender = shop.sender()
    monkeypatch.setattr(sender.stopping, "wait", lambda *_: False)

    def down(*_: object, **__: object) -> object:
        raise StoreError("the database is locked")

    monkeypatch.setattr(sender, "_batch", down)
    with monkeypatch.context() as while_full:
        while_full.setattr(sys, "stderr", Full())
        structlog.get_logger().info("said to nobody")
        assert not sender.work(())
        dispatcher_for(sender, database, shop.clock)._guarded("tidying", down)


def test_a_log_that_was_closed_is_no_error(logging: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = (tmp_path / "log").open("w")
    closed.close()
    with monkeypatch.context() as while_closed:
        while_closed.setattr(sys, "stderr", closed)
        try:
            raise RuntimeError
        except RuntimeError:
            structlog.get_logger().exception("said to nobody")


def test_what_is_said_is_said(logging: None, capsys: pytest.CaptureFixture[str]) -> None:
    structlog.get_logger().error("the relay is down", provider="relay")
    assert "level='error' event='the relay is down' provider='relay'" in capsys.readouterr().err
