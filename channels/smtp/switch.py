"""One thread, one selector, many connections: each goes on as far as its socket lets it, and none waits for another."""

from __future__ import annotations

import math
import selectors
import time
from dataclasses import dataclass

from channels.smtp.connection import Connection, Steps


@dataclass(slots=True, eq=False)
class Slot:
    """A place for one connection, which may be replaced on the way, and the steps that are taken on it."""

    connection: Connection | None = None
    steps: Steps[None] | None = None


@dataclass(slots=True, eq=False)
class _Watched:
    """What the selector was told about a slot."""

    slot: Slot
    sock: object = None
    mask: int = 0


class Switch:
    """Start slots, then `turn` until `busy` is over. Whatever happens, `close` it."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._running: list[_Watched] = []

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
        for key, ready in self._selector.select(max(0.0, min(most, ends - time.monotonic()))):
            self._go_on(key.data, ready)
        now = time.monotonic()
        for watched in [one for one in self._running if one.slot.connection and one.slot.connection.until <= now]:
            self._go_on(watched, 0, over=True)

    def close(self) -> None:
        """Leave every connection that is still in the middle of something: nothing else may ever be said on it."""
        for watched in self._running:
            if watched.slot.connection is not None:
                watched.slot.connection.abandon()
        self._running.clear()
        self._selector.close()

    def _go_on(self, watched: _Watched, ready: int, *, over: bool = False) -> None:
        steps = watched.slot.steps
        assert steps is not None
        try:
            mask = steps.throw(TimeoutError()) if over else steps.send(ready) if ready else next(steps)
        except StopIteration:
            self._running.remove(watched)
            mask = 0
        sock = watched.slot.connection.sock if mask and watched.slot.connection else None
        if sock is not watched.sock or mask != watched.mask:
            self._watch(watched, sock, mask)

    def _watch(self, watched: _Watched, sock: object, mask: int) -> None:
        """The selector knows sockets by their number, and a number comes back: a closed one is forgotten at once."""
        if sock is watched.sock:
            self._selector.modify(sock, mask, watched)  # type: ignore[arg-type]
        else:
            if watched.sock is not None:
                self._selector.unregister(watched.sock)  # type: ignore[arg-type]
            if sock is not None:
                self._selector.register(sock, mask, watched)  # type: ignore[arg-type]
        watched.sock, watched.mask = sock, mask
