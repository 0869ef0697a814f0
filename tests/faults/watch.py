"""Looking on while a trial runs: whether the books balance at every moment, and what the daemons use."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

import psutil
from sqlalchemy import func, select

from engine.errors import RegularsError
from engine.ledger.balance import balance
from engine.model import FINAL, State
from engine.store import Database
from engine.store.tables import messages
from tests.faults.fleet import Process
from tests.faults.oracle import Sample

EVERY_SECONDS = 0.1


class Watch:
    """Looks every tenth of a second. While the database cannot be read there is nothing to see.

    at_rest: whether all that is `owed` is in the ledger and final.
    """

    def __init__(self, database: Database, living: Callable[[], Sequence[Process]], owed: int) -> None:
        self.database, self._living, self._owed = database, living, owed
        self.balances: list[tuple[int, int]] = []
        self.samples: list[Sample] = []
        self.at_rest = False
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look_on, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()

    def _look_on(self) -> None:
        while not self._end.wait(EVERY_SECONDS):
            with contextlib.suppress(RegularsError):
                books = balance(self.database)
                self.balances.append((books.audience, sum(books.by_state.values())))
                self.at_rest = books.audience >= self._owed and books.open == 0
            for process in self._living():
                with contextlib.suppress(psutil.Error):
                    self.samples.append(_sample(psutil.Process(process.pid)))

    def open(self) -> int | None:
        """How many messages are not final yet; None where the database cannot be read just now."""
        final = [state.value for state in FINAL]
        query = select(func.count()).select_from(messages).where(messages.c.state.not_in(final))
        try:
            with self.database.reading() as connection:
                return int(connection.execute(query).scalar_one())
        except RegularsError:
            return None

    def owed(self) -> int:
        """How many messages are in the ledger."""
        try:
            return sum(balance(self.database).by_state.values())
        except RegularsError:
            return 0

    def held_by(self, pid: int) -> list[str]:
        """The messages that a process claimed or was sending, and did not give back."""
        held = messages.c.state.in_((State.CLAIMED.value, State.SENDING.value))
        with self.database.reading() as connection:
            found = connection.execute(select(messages.c.id).where(held, messages.c.owner.like(f"%:{pid}:%"))).scalars()
            return [self.database.message_key(number) for number in found]


def _sample(process: psutil.Process) -> Sample:
    return Sample(memory=process.memory_info().rss, files=process.num_fds(), threads=process.num_threads())
