"""What time it is. Only a door reads a clock; everything below is told `now`."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """The present instant, in UTC."""
        ...


class WallClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class SteppedClock:
    """A clock that stands still until it is set forward: a year of campaigns in a minute, with the same results each time."""

    def __init__(self, start: datetime) -> None:
        self._now = start.astimezone(UTC)
        self._lock = threading.Lock()

    def now(self) -> datetime:
        with self._lock:
            return self._now

    def set(self, instant: datetime) -> None:
        """Move forward to `instant`; a clock never goes back."""
        with self._lock:
            self._now = max(self._now, instant.astimezone(UTC))
