"""How many messages may be on their way to each provider at once, counted over all senders of this process."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from engine.provider import Provider

LOOK_AGAIN_SECONDS = 0.2


class Slots:
    """So many as a provider has slots, so many a crash can leave in doubt. Bulk leaves one free: a receipt never waits for it."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()
        self._changed = threading.Condition()

    @staticmethod
    def open_to(provider: Provider, *, bulk: bool) -> int:
        """How many of a provider's slots this kind of message may have, all senders together."""
        limit = provider.in_flight_limit
        return limit - 1 if bulk and limit > 1 else limit

    @contextmanager
    def of(
        self, name: str, provider: Provider, *, most: int, bulk: bool, stopping: Callable[[], bool]
    ) -> Iterator[int]:
        """Take up to `most` slots, waiting until there is one; none where the sender is to end. Given back after the block."""
        free_for_me = self.open_to(provider, bulk=bulk)
        with self._changed:
            while (free := free_for_me - self._taken[name]) <= 0 and not stopping():
                self._changed.wait(LOOK_AGAIN_SECONDS)
            mine = max(0, min(free, most))
            self._taken[name] += mine
        try:
            yield mine
        finally:
            with self._changed:
                self._taken[name] -= mine
                self._changed.notify_all()
