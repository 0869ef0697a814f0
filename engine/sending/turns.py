"""Whose turn it is: bulk runs are served in rotation, so that a small campaign does not wait for a large one to end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from engine.ledger.claim import waiting_runs
from engine.sending.limits import Expected
from engine.store import Database


class Turns:
    """The bulk runs that wait, in rotation over all senders of this process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._last = 0

    def next(self, now: datetime, expect: Callable[[int], Expected | None]) -> Iterator[Expected]:
        """The runs with something due, beginning after the one that was served last; each with the places that it may
        take, and without those that may take none. Whoever is yielded is being served.
        """
        due = [run.run_id for run in waiting_runs(self._database) if run.due_at <= now]
        last = self._last
        for run_id in sorted(due, key=lambda one: (one <= last, one)):
            expected = expect(run_id)
            if expected is not None:
                self._last = run_id
                yield expected
