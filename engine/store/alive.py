"""Whether a kept connection is still there: asked where it was idle for a moment, as asking at each use is a round trip more.

A server that restarts takes longer than that; one that went away meanwhile is told by the first statement, as one that
goes away during a statement is.
"""

from __future__ import annotations

import time
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import InvalidatePoolError

IDLE_SECONDS = 0.2
_USED = "used_at"


def ask_the_idle(pool: sa.Engine) -> None:
    """From now on. A dead connection is replaced, and the others of its time with it; whoever takes one out notices nothing."""

    @event.listens_for(pool, "checkin")
    def _note(_connection: Any, record: Any) -> None:
        record.info[_USED] = time.monotonic()

    @event.listens_for(pool, "checkout")
    def _look(connection: Any, record: Any, _proxy: Any) -> None:
        used = record.info.get(_USED)
        if used is not None and time.monotonic() - used > IDLE_SECONDS and not _answers(pool, connection):
            raise InvalidatePoolError("the server closed this connection")


def _answers(pool: sa.Engine, connection: Any) -> bool:
    dialect = pool.dialect
    assert dialect.dbapi is not None
    try:
        return bool(dialect.do_ping(connection))
    except dialect.dbapi.Error:
        return False
