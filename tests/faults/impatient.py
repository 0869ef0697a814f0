"""A negative control: somebody who sends again whatever was on its way when its sender died, as many engines do."""

from __future__ import annotations

import contextlib
import threading
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from sqlalchemy import update

from engine.errors import RegularsError
from engine.store import Database
from engine.store.tables import messages


class Impatient:
    """Every few milliseconds, what is `sending` under a lease that is over, or in doubt since, goes back to pending."""

    def __init__(self, database: Database) -> None:
        self._database, self._end = database, threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()

    def _work(self) -> None:
        m = messages.c
        fresh = {"owner": None, "lease_until": None, "doubt_since": None}
        while not self._end.wait(0.05):
            now = datetime.now(UTC)
            over = (m.state == "in_doubt") | ((m.state == "sending") & (m.lease_until <= now))
            again = update(messages).where(over).values(state="pending", due_at=now, epoch=m.epoch + 1, **fresh)
            with contextlib.suppress(RegularsError), self._database.writing() as connection:
                connection.execute(again)
