"""The ledger against a model: whatever is killed, lost or late, in any order, no message is lost or doubled."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings
from sqlalchemy import select

from engine.ledger.balance import balance
from engine.ledger.claim import cancel, expire, recover
from engine.ledger.doubts import DoubtRules, resolve
from engine.ledger.record import record_events
from engine.model import DeliveryClass, EventName, Message, State
from engine.provider import Accepted, Ambiguous, NotSent, Outcome, ProviderEvent, Rejected
from engine.store import Database
from engine.store.tables import attempts, events, messages, runs
from tests.conftest import NOW
from tests.ledger.books import add_customers, begin, end, owe_all, take

CUSTOMERS = 3
TAKEN_AND_TOLD = "taken, and its yes arrives"
TAKEN_AND_LOST = "taken, and its answer is lost"
NOT_TAKEN_AND_LOST = "not taken, and that answer is lost too"
REFUSED = "refused for good"
UNREACHABLE = "surely not taken"
ENDS = st.sampled_from([TAKEN_AND_TOLD, TAKEN_AND_LOST, NOT_TAKEN_AND_LOST, REFUSED, UNREACHABLE])
AFTER_CLAIM, AFTER_BEGIN, AFTER_CALL = "after its claim", "after its intent", "after the call"
STOPS = st.sampled_from([None, None, AFTER_CLAIM, AFTER_BEGIN, AFTER_CALL])
ANSWERS: dict[str, Outcome] = {
    TAKEN_AND_TOLD: Accepted(),
    TAKEN_AND_LOST: Ambiguous(code="timeout"),
    NOT_TAKEN_AND_LOST: Ambiguous(code="timeout"),
    REFUSED: Rejected(code="550"),
    UNREACHABLE: NotSent(code="not_connected"),
}
NEVER_TAKEN = {State.REJECTED, State.SKIPPED, State.EXPIRED, State.DEAD, State.CANCELLED}
RULES = DoubtRules(idempotency=lambda name: None, patience=timedelta(minutes=2), resolve_window=timedelta(hours=2))


Step = tuple[str, Any]
WORK = st.tuples(st.just("work"), st.tuples(st.integers(1, 2), ENDS, STOPS))
WAKE = st.tuples(st.just("wake"), ENDS)
TIDY = st.tuples(st.just("tidy"), st.sampled_from([0, 3, 3, 150]))
REST = st.tuples(st.sampled_from(["webhook", "launch", "cancel"]), st.integers(0, 9))
STEPS = st.lists(st.one_of(WORK, WORK, TIDY, TIDY, WAKE, REST), min_size=8, max_size=14)


class Model:
    """The vendor's own record beside the books: which message it truly took, and how often."""

    def __init__(self, database: Database, delivery: DeliveryClass) -> None:
        self.database, self.delivery, self.now = database, delivery, NOW
        self.asleep: list[Message] = []
        self.taken: Counter[int] = Counter()
        with database.writing() as connection:
            for table in (events, attempts, messages, runs):
                connection.execute(table.delete())
        owe_all(database, self.now, delivery=delivery, not_after=self.now + timedelta(hours=60))

    def do(self, name: str, detail: Any) -> None:
        getattr(self, name)(detail)

    def work(self, detail: tuple[int, str, str | None]) -> None:
        """A sender claims a batch and hands it over; it may be killed, or fall asleep, at any of three points."""
        limit, how, stops = detail
        for message in take(self.database, self.now, limit=limit):
            if stops == AFTER_CLAIM:
                self.asleep.append(message)
            else:
                self._begin(message, how, stops)

    def _begin(self, message: Message, how: str, stops: str | None) -> None:
        begun = begin(self.database, message, self.now)
        if begun is None or stops == AFTER_BEGIN:
            return  # refused, or killed between the intent and the call: it never left
        if how in (TAKEN_AND_TOLD, TAKEN_AND_LOST):
            self.taken[message.id] += 1
        if stops is None:
            end(self.database, begun, ANSWERS[how], self.now)

    def wake(self, how: str) -> None:
        """A sender that slept after its claim goes on as if no time had passed."""
        if self.asleep:
            self._begin(self.asleep.pop(0), how, None)

    def tidy(self, minutes: int) -> None:
        """Time passes, and somebody takes back what is over."""
        self.now += timedelta(minutes=minutes)
        recover(self.database, now=self.now)
        expire(self.database, now=self.now)
        resolve(self.database, RULES, now=self.now)

    def webhook(self, which: int) -> None:
        """The vendor reports, late, on something it took."""
        if self.taken:
            message_id = sorted(self.taken)[which % len(self.taken)]
            told = ProviderEvent(
                name=EventName.DELIVERED,
                at=self.now,
                dedupe=str(message_id),
                message_key=self.database.message_key(message_id),
            )
            record_events(self.database, [told], provider="relay", now=self.now)

    def launch(self, _: int) -> None:
        assert owe_all(self.database, self.now, delivery=self.delivery) == 0

    def cancel(self, which: int) -> None:
        if which == 0:
            cancel(self.database, "news", now=self.now)

    def check(self) -> None:
        books = balance(self.database)
        assert books.holds and books.audience == CUSTOMERS
        with self.database.reading() as connection:
            rows = connection.execute(select(messages.c.id, messages.c.state, messages.c.possible_duplicate)).all()
        for row in rows:
            taken = self.taken[row.id]
            assert taken <= 1 + row.possible_duplicate, "handed over twice without saying so"
            assert not row.possible_duplicate or self.delivery is DeliveryClass.AT_LEAST_ONCE
            if taken:
                assert row.state not in NEVER_TAKEN, "the vendor has it and the books deny it"
            if row.state == State.ACCEPTED:
                assert taken, "the books claim what the vendor never had"


@pytest.fixture
def books(database: Database) -> Database:
    add_customers(database, CUSTOMERS, NOW)
    return database


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(delivery=st.sampled_from(DeliveryClass), steps=STEPS)
def test_whatever_happens_in_whatever_order_nothing_is_lost_or_doubled(
    books: Database, delivery: DeliveryClass, steps: list[Step]
) -> None:
    """Kills, sleepers, lost answers, late reports, relaunches, cancellations: the books agree with the vendor's record."""
    model = Model(books, delivery)
    for name, detail in steps:
        model.do(name, detail)
        model.check()
