"""One thread, many connections: each goes on as far as its socket lets it, and none waits for another."""

from __future__ import annotations

import math
import select
import time
from dataclasses import dataclass

from channels.smtp.connection import READ, WRITE, Connection, Steps


@dataclass(slots=True, eq=False)
class Slot:
    """A place for one connection, which may be replaced on the way, and the steps that are taken on it."""

    connection: Connection | None = None
    steps: Steps[None] | None = None


@dataclass(slots=True, eq=False)
class _Watched:
    """A slot whose steps are not all taken, and what is looked for on which socket; -1 for none."""

    slot: Slot
    number: int = -1
    mask: int = 0


class Switch:
    """Start slots, then `turn` until `busy` is over. Whatever happens, `close` it.

    `poll` is asked itself: for as few sockets as these, `selectors` costs five times as much in Python as it saves.
    """

    def __init__(self) -> None:
        self._poll = select.poll()
        self._running: list[_Watched] = []
        self._by_number: dict[int, _Watched] = {}

    @property
    def busy(self) -> int:
        """How many slots have steps to take."""
        return len(self._running)

    def start(self, slot: Slot) -> None:
        """Take the first steps of a slot."""
        watched = _Watched(slot=slot)
        self._running.append(watched)
        self._go_on(watched, 0)

    def turn(self, most: float = math.inf) -> None:
        """Wait until a socket is ready or a time is over, at most so many seconds, and go on there.

        What came in time counts, however late it is looked at.
        """
        ends = min([watched.slot.connection.until for watched in self._running if watched.slot.connection])
        wait = max(0.0, min(most, ends - time.monotonic()))
        for number, ready in self._poll.poll(math.ceil(wait * 1000)):
            watched = self._by_number[number]
            self._go_on(watched, ready if ready & (READ | WRITE) else watched.mask)  # an error is found by trying
        now = time.monotonic()
        for watched in [one for one in self._running if one.slot.connection and one.slot.connection.until <= now]:
            self._go_on(watched, 0, over=True)

    def close(self) -> None:
        """Leave every connection that is still in the middle of something: nothing else may ever be said on it."""
        for watched in self._running:
            if watched.slot.connection is not None:
                watched.slot.connection.abandon()
        self._running.clear()

    def _go_on(self, watched: _Watched, ready: int, *, over: bool = False) -> None:
        steps = watched.slot.steps
        assert steps is not None
        try:
            mask = steps.throw(TimeoutError()) if over else steps.send(ready) if ready else next(steps)
        except StopIteration:
            self._running.remove(watched)
            mask = 0
        connection = watched.slot.connection
        number = connection.sock.fileno() if mask and connection and connection.sock else -1
        if number != watched.number or mask != watched.mask:
            self._watch(watched, number, mask)

    def _watch(self, watched: _Watched, number: int, mask: int) -> None:
        if watched.number >= 0:
            self._poll.unregister(watched.number)
            del self._by_number[watched.number]
        if number >= 0:
            self._poll.register(number, mask)
            self._by_number[number] = watched
        watched.number, watched.mask = number, mask
