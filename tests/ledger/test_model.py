"""The ledger against a model: whatever is killed, lost or late, in any order, no message is lost or doubled."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings
from sqlalchemy import select

from engine.ledger import look_ups as look_ups_of
from engine.ledger.balance import balance
from engine.ledger.cancel import cancel
from engine.ledger.claim import expire, recover
from engine.ledger.doubts import DoubtRules, resolve
from engine.ledger.record import record_events
from engine.model import Channel, DeliveryClass, EventName, Message, State
from engine.provider import (
    Accepted,
    Ambiguous,
    Capabilities,
    Finding,
    NotFound,
    NotSent,
    Outcome,
    ProviderEvent,
    Rejected,
)
from engine.store import Database
from engine.store.tables import attempts, events, look_ups, messages, runs
from tests.conftest import NOW
from tests.ledger.books import LEASE, RETRY, add_customers, begin, end, owe_all, take

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
SETTLE, LAG = timedelta(minutes=3), timedelta(minutes=2)
BLIND = Capabilities(channel=Channel.EMAIL)
ASKED = Capabilities(channel=Channel.EMAIL, settle_time=SETTLE)


Step = tuple[str, Any]
WORK = st.tuples(st.just("work"), st.tuples(st.integers(1, 2), ENDS, STOPS))
WAKE = st.tuples(st.just("wake"), ENDS)
TIDY = st.tuples(st.just("tidy"), st.sampled_from([0, 3, 3, 150]))
LOOK = st.tuples(st.just("look"), st.tuples(st.sampled_from([0, 1, 3]), st.sampled_from([True, True, False])))
REST = st.tuples(st.sampled_from(["webhook", "drop", "drop", "launch", "cancel"]), st.integers(0, 9))
LOSE = st.tuples(
    st.just("work"),
    st.tuples(
        st.just(3),
        st.sampled_from([TAKEN_AND_LOST, TAKEN_AND_LOST, NOT_TAKEN_AND_LOST]),
        st.sampled_from([None, AFTER_CALL]),
    ),
)
ASK = st.tuples(st.just("look"), st.tuples(st.sampled_from([0, 1, 3]), st.just(True)))
ROUND = st.tuples(LOSE, st.tuples(st.just("tidy"), st.sampled_from([0, 0, 3])), ASK, ASK)
LOSING = st.lists(ROUND, min_size=3, max_size=4)
STEPS = st.lists(st.one_of(WORK, WORK, TIDY, TIDY, LOOK, LOOK, WAKE, REST), min_size=8, max_size=14)


class Model:
    """The vendor's own record beside the books: which message it truly took, how often, and when first."""

    def __init__(self, database: Database, delivery: DeliveryClass, vendor: Capabilities) -> None:
        self.database, self.delivery, self.vendor, self.now = database, delivery, vendor, NOW
        self.asleep: list[Message] = []
        self.taken: Counter[int] = Counter()
        self.taken_at: dict[int, datetime] = {}
        self.lost: list[tuple[int, int]] = []
        self.rules = DoubtRules(
            promises=lambda name: vendor, patience=timedelta(minutes=2), resolve_window=timedelta(hours=2)
        )
        with database.writing() as connection:
            for table in (look_ups, events, attempts, messages, runs):
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
            self.taken_at.setdefault(message.id, self.now)
        if how == NOT_TAKEN_AND_LOST:
            self.lost.append((begun.id, begun.attempts))
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
        resolve(self.database, self.rules, now=self.now)

    def look(self, detail: tuple[int, bool]) -> None:
        """The vendor is asked about what is in doubt. Its list is true, and late by less than its settle time."""
        minutes, answers = detail
        self.now += timedelta(minutes=minutes)
        known = {"relay": self.vendor.settle_time} if self.vendor.settle_time else {}
        for question in look_ups_of.take(self.database, known, limit=9, lease=LEASE, now=self.now):
            taken_at = self.taken_at.get(question.message.id)
            listed = taken_at is not None and taken_at <= self.now - LAG
            finding: Finding = (Accepted() if listed else NotFound()) if answers else Ambiguous(code="503")
            look_ups_of.found(
                self.database, question, finding, asked_at=self.now, retry=RETRY, now=self.now + timedelta(seconds=1)
            )

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

    def drop(self, which: int) -> None:
        """The vendor reports, late, that it dropped a hand-over of whose end nobody heard; it says the message, not which hand-over."""
        if self.lost:
            message_id, attempt = self.lost[which % len(self.lost)]
            told = ProviderEvent(
                name=EventName.REJECTED,
                at=self.now,
                dedupe=f"{message_id} {attempt}",
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


LOSE_AGAIN = st.tuples(
    st.just("work"),
    st.tuples(
        st.just(3),
        st.sampled_from([TAKEN_AND_TOLD, TAKEN_AND_LOST, NOT_TAKEN_AND_LOST]),
        st.sampled_from([None, AFTER_CALL]),
    ),
)
DROPPING = st.tuples(st.just("drop"), st.integers(0, 5))
TWICE = st.lists(
    st.tuples(LOSE, st.tuples(st.just("tidy"), st.just(3)), ASK, ASK, LOSE_AGAIN, DROPPING, DROPPING),
    min_size=2,
    max_size=3,
)
CLASSES = st.sampled_from([DeliveryClass.AT_LEAST_ONCE, DeliveryClass.AT_LEAST_ONCE, DeliveryClass.AT_MOST_ONCE])


@pytest.fixture
def books(database: Database) -> Database:
    add_customers(database, CUSTOMERS, NOW)
    return database


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(delivery=st.sampled_from(DeliveryClass), vendor=st.sampled_from([BLIND, ASKED]), steps=STEPS)
def test_whatever_happens_in_whatever_order_nothing_is_lost_or_doubled(
    books: Database, delivery: DeliveryClass, vendor: Capabilities, steps: list[Step]
) -> None:
    """Kills, sleepers, lost answers, look-ups, late reports, relaunches, cancellations: the books agree with the vendor's record."""
    model = Model(books, delivery, vendor)
    for name, detail in steps:
        model.do(name, detail)
        model.check()


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(delivery=st.sampled_from(DeliveryClass), rounds=LOSING)
def test_looking_up_never_doubles_while_the_list_is_true(
    books: Database, delivery: DeliveryClass, rounds: list[tuple[Step, ...]]
) -> None:
    """Every answer is lost, and the list shows late what was taken: whoever is handed over again surely had nothing."""
    model = Model(books, delivery, ASKED)
    for name, detail in chain.from_iterable(rounds):
        model.do(name, detail)
        model.check()


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(delivery=CLASSES, vendor=st.sampled_from([BLIND, ASKED]), rounds=TWICE)
def test_a_drop_that_is_reported_denies_no_other_hand_over(
    books: Database, delivery: DeliveryClass, vendor: Capabilities, rounds: list[tuple[Step, ...]]
) -> None:
    """It comes while a second hand-over is owed, on its way, or in doubt itself: what the vendor took is never denied."""
    model = Model(books, delivery, vendor)
    for name, detail in chain.from_iterable(rounds):
        model.do(name, detail)
        model.check()
