"""The way without anything to install: threads of this process look into the ledger, several times a second."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from sqlalchemy import Connection

from engine.clock import Clock
from engine.model import Lane
from engine.sending.dispatch.dispatcher import Dispatcher
from engine.sending.sender import Sender
from engine.store import Database

POLL_SECONDS = 0.2


class Threads(Dispatcher):
    """As many threads as `sending.threads` says, and one more for the triggered lane alone."""

    def __init__(self, sender: Sender, database: Database, clock: Clock) -> None:
        super().__init__(sender, database, clock)
        self._due = threading.Condition()
        self._threads: list[threading.Thread] = []

    def submit(self, connection: Connection, lane: Lane, owed: int) -> None:
        """Nothing to write: every process looks for itself."""

    def wake(self) -> None:
        with self._due:
            self._due.notify_all()

    def refill(self) -> None:
        """Nothing to do: every process looks for itself."""

    def _begin(self) -> None:
        lanes: list[tuple[Lane, ...]] = [(Lane.TRIGGERED,), *([tuple(Lane)] * self.sender.settings.threads)]
        self._threads = [
            threading.Thread(target=self._loop, args=(mine,), name=f"sender-{number}", daemon=True)
            for number, mine in enumerate(lanes)
        ]
        for thread in self._threads:
            thread.start()

    def _end(self) -> None:
        self.wake()
        for thread in self._threads:
            thread.join()

    def _loop(self, lanes: Sequence[Lane]) -> None:
        while not self.sender.stopping.is_set():
            if not self.sender.work(lanes):
                with self._due:
                    self._due.wait(self.sender.opens_within(POLL_SECONDS) or POLL_SECONDS)
