"""The ledger against a model: whatever is killed, lost or late, in any order, no message is lost or doubled."""

from __future__ import annotations

import shutil
import tempfile
from datetime import timedelta
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import select

from engine.ledger.balance import balance
from engine.ledger.claim import cancel, expire, recover
from engine.ledger.doubts import DoubtRules, resolve
from engine.ledger.record import record_events
from engine.model import DeliveryClass, EventName, Message, State
from engine.provider import Accepted, Ambiguous, NotSent, Outcome, ProviderEvent, Rejected
from engine.store import open_database
from engine.store.tables import messages
from tests.conftest import NOW, SECRET
from tests.ledger.books import add_customers, begin, end, owe_all, take

TAKEN_AND_TOLD = "taken, and its yes arrives"
TAKEN_AND_LOST = "taken, and its answer is lost"
NOT_TAKEN_AND_LOST = "not taken, and that answer is lost too"
REFUSED = "refused for good"
UNREACHABLE = "surely not taken"
ENDS = st.sampled_from([TAKEN_AND_TOLD, TAKEN_AND_LOST, NOT_TAKEN_AND_LOST, REFUSED, UNREACHABLE])
ANSWERS: dict[str, Outcome] = {
    TAKEN_AND_TOLD: Accepted(),
    TAKEN_AND_LOST: Ambiguous(code="timeout"),
    NOT_TAKEN_AND_LOST: Ambiguous(code="timeout"),
    REFUSED: Rejected(code="550"),
    UNREACHABLE: NotSent(code="not_connected"),
}
NEVER_TAKEN = {State.REJECTED, State.SKIPPED, State.EXPIRED, State.DEAD, State.CANCELLED}
RULES = DoubtRules(idempotency=lambda name: None, patience=timedelta(minutes=2), resolve_window=timedelta(hours=2))


class Ledger(RuleBasedStateMachine):
    """The model is the vendor's own record: which message it truly took, how often."""

    @initialize(delivery=st.sampled_from(DeliveryClass))
    def open_books(self, delivery: DeliveryClass) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.database = open_database(f"sqlite:///{self.folder}/books.db", secret=SECRET)
        self.now, self.delivery = NOW, delivery
        self.claimed: list[Message] = []
        self.sending: list[Message] = []
        self.taken: dict[int, int] = {}
        add_customers(self.database, 3, self.now)
        owe_all(self.database, self.now, delivery=delivery, not_after=self.now + timedelta(hours=6))

    @rule(limit=st.integers(1, 3))
    def claim_some(self, limit: int) -> None:
        self.claimed += take(self.database, self.now, limit=limit)

    @rule(which=st.integers(0, 9))
    def begin_one(self, which: int) -> None:
        if self.claimed:
            begun = begin(self.database, self.claimed.pop(which % len(self.claimed)), self.now)
            self.sending += [begun] if begun else []

    @rule(which=st.integers(0, 9), how=ENDS, dies=st.booleans())
    def hand_over_one(self, which: int, how: str, dies: bool) -> None:
        """The vendor's call; with `dies`, the sender is killed before it can write the answer down."""
        if not self.sending:
            return
        message = self.sending.pop(which % len(self.sending))
        if how in (TAKEN_AND_TOLD, TAKEN_AND_LOST):
            self.taken[message.id] = self.taken.get(message.id, 0) + 1
        if not dies:
            end(self.database, message, ANSWERS[how], self.now)

    @rule()
    def kill_the_senders(self) -> None:
        """Whatever they held in memory is gone; what they began may or may not have left: here it never did."""
        self.claimed, self.sending = [], []

    @rule(minutes=st.sampled_from([1, 3, 90]))
    def time_passes(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    @rule()
    def tidy(self) -> None:
        recover(self.database, now=self.now)
        expire(self.database, now=self.now)
        resolve(self.database, RULES, now=self.now)

    @rule(which=st.integers(0, 9))
    def a_webhook_comes(self, which: int) -> None:
        if self.taken:
            message_id = sorted(self.taken)[which % len(self.taken)]
            event = ProviderEvent(
                name=EventName.DELIVERED,
                at=self.now,
                dedupe=f"{message_id}",
                message_key=self.database.message_key(message_id),
            )
            record_events(self.database, [event], provider="relay", now=self.now)

    @rule()
    def an_operator_cancels(self) -> None:
        cancel(self.database, "news", now=self.now)

    @rule()
    def the_campaign_is_launched_again(self) -> None:
        assert owe_all(self.database, self.now, delivery=self.delivery) == 0

    @invariant()
    def the_books_balance(self) -> None:
        books = balance(self.database)
        assert books.holds and books.audience == 3

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        with self.database.reading() as connection:
            rows = connection.execute(select(messages.c.id, messages.c.state, messages.c.possible_duplicate)).all()
        for row in rows:
            taken = self.taken.get(row.id, 0)
            assert taken <= 1 + row.possible_duplicate, "handed over twice without saying so"
            assert not row.possible_duplicate or self.delivery is DeliveryClass.AT_LEAST_ONCE
            if taken and not row.possible_duplicate:
                assert row.state not in NEVER_TAKEN, "the vendor has it and the books deny it"
            if row.state == State.ACCEPTED:
                assert taken, "the books claim what the vendor never had"

    def teardown(self) -> None:
        if hasattr(self, "database"):
            self.database.close()
            shutil.rmtree(self.folder)


Ledger.TestCase.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestLedger = Ledger.TestCase
