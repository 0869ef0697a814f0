"""One batch of messages over several connections to one server: who carries what, and what becomes of each.

A connection that becomes free takes the next message. One that stalls holds up its own message alone. A connection that
cannot be set up blames no message: the other connections carry what is left, and where there are none, nothing was sent.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from channels.smtp.connection import Connection, NotOffered, Refusal, Steps
from channels.smtp.evidence import Envelope, Words, hand_over, not_set_up
from channels.smtp.pool import Pool
from channels.smtp.switch import Slot, Switch
from engine.errors import ContentError, RegularsError
from engine.provider import HEARTBEAT_SECONDS, NotSent, Outcome, Outgoing, Rejected


class Batch:
    """`deadline` holds for each of the messages. `run` once."""

    def __init__(
        self,
        batch: Sequence[Outgoing],
        *,
        pool: Pool,
        compose: Callable[[Outgoing], Envelope],
        words: Words,
        deadline: float,
    ) -> None:
        self._waiting = deque(batch)
        self._pool, self._compose, self._words, self._deadline = pool, compose, words, deadline
        self._told: list[tuple[Outgoing, Outcome]] = []
        self._told_at = time.monotonic()
        self._failure: Exception | None = None
        self._switch = Switch()

    def run(self) -> Iterator[tuple[Outgoing, Outcome] | None]:
        """Each message once, with its outcome, as soon as that is known; None now and then while nothing is."""
        try:
            self._fill()
            while self._switch.busy:
                yield from self._news()
                self._switch.turn(HEARTBEAT_SECONDS)
                self._fill()
            yield from self._news()
            for outgoing in self._waiting:
                yield outgoing, self._not_sent(outgoing)
        finally:
            self._switch.close()

    def _news(self) -> Sequence[tuple[Outgoing, Outcome] | None]:
        """What has ended since it was asked last; None where nothing has for a while."""
        now = time.monotonic()
        if not self._told and now - self._told_at < HEARTBEAT_SECONDS:
            return ()
        told, self._told, self._told_at = self._told, [], now
        return told or (None,)

    def _not_sent(self, outgoing: Outgoing) -> Outcome:
        assert self._failure is not None
        return not_set_up(self._failure, self._words, outgoing)

    def _fill(self) -> None:
        """Put connections to work for what is waiting."""
        while self._waiting and self._switch.busy < self._pool.settings.connections and self._may_start():
            slot = Slot()
            slot.steps = self._work(slot)
            self._switch.start(slot)

    def _may_start(self) -> bool:
        """Until one log-in went well the others wait for it, or a wrong password would count as often as there are slots."""
        return bool(self._pool.idle) or (self._failure is None and (self._pool.proven or not self._switch.busy))

    def _work(self, slot: Slot) -> Steps[None]:
        """One connection's share of the batch, message after message."""
        while self._waiting:
            envelope = self._next()
            if envelope is None:
                continue
            connection = yield from self._connected(slot)
            if connection is None:
                self._waiting.appendleft(envelope.outgoing)
                return
            yield from self._carry(connection, envelope)
            yield from self._go_on(slot, connection)
        if slot.connection is not None:
            self._pool.keep(slot.connection)

    def _next(self) -> Envelope | None:
        """The next message that can be sent at all."""
        outgoing = self._waiting.popleft()
        try:
            return self._compose(outgoing)
        except ContentError as error:
            self._told.append((outgoing, Rejected(code="unsendable", detail=error.what)))
        except RegularsError as error:
            self._told.append((outgoing, NotSent(code="set_up", detail=error.what)))
        return None

    def _connected(self, slot: Slot) -> Steps[Connection | None]:
        """The slot's connection, or a kept one that still answers, or a new one."""
        if slot.connection is not None:
            return slot.connection
        while (kept := self._pool.take()) is not None:
            slot.connection, kept.deadline = kept, self._deadline
            if time.monotonic() - kept.used_at < self._pool.quiet_seconds or (yield from kept.alive()):
                return kept
            kept.abandon()
        slot.connection = fresh = Connection(self._deadline)
        try:
            yield from self._pool.open(fresh)
        except (Refusal, NotOffered, RegularsError, OSError, ValueError) as error:
            fresh.abandon()
            slot.connection, self._failure, self._pool.proven = None, error, False
            return None
        self._pool.proven = True
        return fresh

    def _carry(self, connection: Connection, envelope: Envelope) -> Steps[None]:
        """One message. Where a used connection turns out to be lost before the dot, a message gets another one."""
        used = connection.messages > 0
        connection.within()
        outcome = yield from hand_over(connection, envelope, self._words)
        lost = isinstance(outcome, NotSent) and connection.sock is None
        if lost and used and time.monotonic() < self._deadline:
            self._waiting.appendleft(envelope.outgoing)
        else:
            self._told.append((envelope.outgoing, outcome))

    def _go_on(self, slot: Slot, connection: Connection) -> Steps[None]:
        """What a connection needs before its next message, unless it is closed or has carried its share."""
        if connection.owed:
            yield from connection.recover()
        if connection.sock is not None and connection.messages >= self._pool.settings.messages_per_connection:
            yield from connection.quit()
        if connection.sock is None:
            slot.connection = None
