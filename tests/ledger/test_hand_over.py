"""From owed to settled: nothing is owed twice, claimed twice, or handed over where it may not be."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

import pytest

from engine.ledger.balance import balance
from engine.ledger.cancel import cancel
from engine.ledger.claim import expire, recover
from engine.ledger.consent import opt_out
from engine.ledger.hand_over import begin as begin_with
from engine.model import Lane, Reason, State, SuppressionReason
from engine.provider import Accepted, Ambiguous, NotSent, Rejected
from engine.store import Database
from engine.store.tables import messages, suppressions
from tests.ledger.books import LEASE, RETRY, add_customers, begin, end, intent, owe_all, state_of, states, take

MINUTE = timedelta(minutes=1)


def test_launching_the_same_occurrence_again_owes_nothing_more(database: Database, now: datetime) -> None:
    """The intent is unique: a second launch, by whomever, finds every row there already."""
    add_customers(database, 3, now)
    assert owe_all(database, now) == 3
    assert owe_all(database, now + MINUTE) == 0
    assert owe_all(database, now, occurrence="another") == 3


def test_two_senders_never_hold_the_same_message(database: Database, now: datetime) -> None:
    """Eight threads claiming at once get disjoint batches that together are all."""
    add_customers(database, 60, now)
    owe_all(database, now)
    taken: list[int] = []

    def work(owner: str) -> None:
        while batch := take(database, now, limit=7, owner=owner):
            taken.extend(message.id for message in batch)

    threads = [threading.Thread(target=work, args=(f"sender {n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len(set(taken)) == 60


def test_a_triggered_message_has_its_own_lane(database: Database, now: datetime) -> None:
    """Asking the triggered lane never returns bulk messages, however many wait."""
    add_customers(database, 5, now)
    owe_all(database, now)
    assert take(database, now, lane=Lane.TRIGGERED) == []
    owe_all(database, now, occurrence="receipt", lane=Lane.TRIGGERED)
    assert len(take(database, now, lane=Lane.TRIGGERED)) == 5


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Accepted(provider_message_id="p1"), State.ACCEPTED),
        (Rejected(code="550"), State.REJECTED),
        (NotSent(code="refused"), State.PENDING),
        (Ambiguous(code="timeout"), State.IN_DOUBT),
    ],
)
def test_each_way_a_hand_over_ends_has_its_state(
    database: Database, now: datetime, outcome: Accepted | Rejected | NotSent | Ambiguous, state: State
) -> None:
    """Four outcomes, four states; the doubt is never folded into sent or failed."""
    add_customers(database, 1, now)
    owe_all(database, now)
    sent = begin(database, take(database, now)[0], now)
    assert sent is not None
    assert end(database, sent, outcome, now)
    assert states(database) == [state]
    assert balance(database).holds


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (NotSent(code="503"), Reason.PROVIDER_DOWN),
        (NotSent(code="unpaid", no_access=True), Reason.NO_ACCESS),
        (NotSent(code="http_429", retry_after=timedelta(minutes=1)), Reason.RATE_LIMITED),
        (NotSent(code="http_429", retry_after=timedelta()), Reason.RATE_LIMITED),
        (NotSent(code="not_ready", retry_after=timedelta(), alone=True), Reason.NOT_READY),
    ],
)
def test_what_is_tried_again_says_what_it_waits_for(
    database: Database, now: datetime, outcome: NotSent, reason: Reason
) -> None:
    """A vendor that asks to wait for no time at all has asked to wait."""
    add_customers(database, 1, now)
    owe_all(database, now)
    sent = begin(database, take(database, now)[0], now)
    assert sent is not None and end(database, sent, outcome, now)
    with database.reading() as connection:
        assert connection.execute(messages.select()).one().reason == reason


def test_a_refusal_that_names_the_address_suppresses_it(database: Database, now: datetime) -> None:
    """A mailbox that does not exist is not written to again, by any campaign."""
    add_customers(database, 1, now)
    owe_all(database, now)
    sent = begin(database, take(database, now)[0], now)
    assert sent is not None
    end(database, sent, Rejected(code="5.1.1", suppress=SuppressionReason.BOUNCED), now)
    with database.reading() as connection:
        assert connection.execute(suppressions.select()).one().reason == "bounced"


def test_without_attempts_left_a_message_is_dead_not_lost(database: Database, now: datetime) -> None:
    """Surely not taken, and not worth another try: a final state of its own."""
    add_customers(database, 1, now)
    owe_all(database, now)
    sent = begin(database, take(database, now)[0], now)
    assert sent is not None
    end(database, sent, NotSent(code="refused"), now, retry=type(RETRY)(wait=MINUTE, worthwhile=False))
    assert states(database) == [State.DEAD]


def test_nothing_leaves_after_the_lease(database: Database, now: datetime) -> None:
    """A sender that slept through its lease cannot begin: somebody else may have the message."""
    add_customers(database, 1, now)
    owe_all(database, now)
    message = take(database, now)[0]
    assert begin(database, message, now + LEASE) is None


def test_nothing_leaves_under_a_claim_that_was_taken_back(database: Database, now: datetime) -> None:
    """The epoch fences: the first owner's begin fails once a second has claimed, even with its lease pretended valid."""
    add_customers(database, 1, now)
    owe_all(database, now)
    first = take(database, now)[0]
    assert recover(database, now=now + LEASE) == (1, 0)
    second = take(database, now + LEASE, owner="two")[0]
    assert begin(database, first, now + LEASE) is None
    assert begin(database, second, now + LEASE) is not None


def test_nothing_leaves_after_an_opt_out_that_came_between_decision_and_hand_over(
    database: Database, now: datetime
) -> None:
    """The decision was made on a revision of the customer; an opt-out is a new revision, so the message is decided again."""
    add_customers(database, 1, now)
    owe_all(database, now)
    sent = begin(database, take(database, now)[0], now)
    assert sent is not None
    end(database, sent, Accepted(), now)
    owe_all(database, now, occurrence="second")
    decided = take(database, now)[0]
    assert opt_out(database, sent.id, at=now, source="link", proof="button")
    assert begin(database, decided, now) is None
    assert begin(database, decided, now, revision=1) is not None


def test_a_hand_over_under_a_cap_makes_other_decisions_about_the_customer_void(
    database: Database, now: datetime
) -> None:
    """Two messages decided at once under the same cap: only one leaves on that decision."""
    add_customers(database, 1, now)
    owe_all(database, now)
    owe_all(database, now, occurrence="second")
    first, second = take(database, now)
    assert begin_with(database, [intent(first, bump=True)], now=now) == {}
    assert begin_with(database, [intent(second, bump=True)], now=now) == {second.id: Reason.CONTACT_CHANGED}


def test_a_cancelled_campaign_hands_nothing_more_over(database: Database, now: datetime) -> None:
    """The brake works on what is claimed too; what is in flight is settled as always."""
    add_customers(database, 3, now)
    owe_all(database, now)
    in_flight, claimed = take(database, now, limit=2)
    sent = begin(database, in_flight, now)
    assert sent is not None
    assert cancel(database, "news", now=now) == 2
    assert begin(database, claimed, now) is None
    assert end(database, sent, Accepted(), now)
    assert states(database) == [State.ACCEPTED, State.CANCELLED, State.CANCELLED]


def test_a_dead_sender_leaves_unsent_messages_pending_and_those_in_flight_in_doubt(
    database: Database, now: datetime
) -> None:
    """Claimed is surely unsent; sending may have arrived, so it is never simply sent again."""
    add_customers(database, 3, now)
    owe_all(database, now)
    first, *_ = take(database, now)
    assert begin(database, first, now) is not None
    assert recover(database, now=now + MINUTE) == (0, 0)
    assert recover(database, now=now + LEASE) == (2, 1)
    assert states(database) == [State.IN_DOUBT, State.PENDING, State.PENDING]
    assert take(database, now + LEASE, limit=9)[0].id != first.id


def test_an_answer_that_comes_after_the_reaper_still_settles(database: Database, now: datetime) -> None:
    """The sender was slow, not dead: its yes is evidence, and ends the doubt."""
    add_customers(database, 1, now)
    owe_all(database, now)
    sent = begin(database, take(database, now)[0], now)
    assert sent is not None
    recover(database, now=now + LEASE)
    assert end(database, sent, Accepted(), now + LEASE)
    assert state_of(database, sent.id) is State.ACCEPTED


@pytest.mark.parametrize(
    ("outcome", "state"), [(Rejected(code="550"), State.REJECTED), (NotSent(code="451"), State.PENDING)]
)
def test_a_plain_no_that_comes_after_the_reaper_leaves_no_doubt(
    database: Database, now: datetime, outcome: Rejected | NotSent, state: State
) -> None:
    """The reaper doubted this hand-over alone; its sender's answer says that nobody has the message."""
    add_customers(database, 1, now)
    owe_all(database, now)
    sent = begin(database, take(database, now)[0], now)
    assert sent is not None
    recover(database, now=now + LEASE)
    assert end(database, sent, outcome, now + LEASE)
    assert state_of(database, sent.id) is state
    assert all(message.doubt_since is None for message in take(database, now + LEASE + MINUTE))


def test_a_message_past_its_time_expires(database: Database, now: datetime) -> None:
    """Too late is an end of its own, with its reason; nothing is sent late."""
    add_customers(database, 2, now)
    owe_all(database, now, not_after=now + MINUTE)
    assert expire(database, now=now + MINUTE) == 0
    assert expire(database, now=now + 2 * MINUTE) == 2
    assert states(database) == [State.EXPIRED, State.EXPIRED]
