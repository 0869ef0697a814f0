"""Doubts are decided about a few at a time, and by the database as far as it can tell: with what each rule alone would say."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

import pytest
from sqlalchemy import true, update

from engine.ledger import doubts
from engine.ledger.doubts import DoubtRules, next_decision, resolve
from engine.model import Channel, DeliveryClass, Reason, State
from engine.provider import Ambiguous, Capabilities
from engine.store import Database
from engine.store.tables import messages
from tests.ledger.books import LEASE, add_customers, begin, end, owe_all, states, take

HOUR = timedelta(hours=1)
EMAIL = Channel.EMAIL
PROMISES = {
    "blind": Capabilities(channel=EMAIL),
    "asked": Capabilities(channel=EMAIL, settle_time=HOUR / 4),
    "keyed": Capabilities(channel=EMAIL, idempotency_window=24 * HOUR),
    "keyed and asked": Capabilities(channel=EMAIL, idempotency_window=HOUR, settle_time=HOUR / 4, key_suffices=True),
}
RULES = DoubtRules(promises=PROMISES.get, patience=LEASE, resolve_window=72 * HOUR)


def in_doubt(database: Database, now: datetime, count: int) -> None:
    add_customers(database, count, now)
    owe_all(database, now)
    for message in take(database, now, limit=count):
        begun = begin(database, message, now)
        assert begun is not None
        end(database, begun, Ambiguous(code="timeout"), now)


def of_all_kinds(database: Database, now: datetime, seed: int) -> None:
    """Sixty doubts, each of its own age, class, provider and reason."""
    in_doubt(database, now, 60)
    draw = random.Random(seed)
    with database.writing() as connection:
        for number in range(1, 61):
            sent = now - draw.choice([timedelta(), LEASE, HOUR / 2, 12 * HOUR, 48 * HOUR])
            since = sent + draw.choice([timedelta(), LEASE])
            values = {
                "provider": draw.choice([*PROMISES, "not open any more"]),
                "delivery": draw.choice(list(DeliveryClass)).value,
                "reason": draw.choice([Reason.NO_ANSWER, Reason.CONTENT_CHANGED, Reason.RESTORED]).value,
                "possible_duplicate": draw.random() < 0.3,
                "first_sent_at": sent,
                "doubt_since": since,
                "changed_at": since + draw.choice([timedelta(), HOUR]),
                "not_after": draw.choice([None, sent + HOUR, now + 90 * HOUR]),
            }
            connection.execute(update(messages).where(messages.c.id == number).values(values))


@pytest.mark.parametrize("later", [timedelta(), LEASE, HOUR / 2, HOUR, 30 * HOUR, 72 * HOUR, 80 * HOUR])
def test_the_database_finds_those_about_which_there_is_something_to_decide(
    database: Database, now: datetime, later: timedelta
) -> None:
    """Those and no others are handed over again or given up, and the next decision is when the next of them is due."""
    of_all_kinds(database, now, seed=int(later.total_seconds()))
    moment = now + later
    every = list(doubts._doubts(database, true()))
    decided = {one.message_id: doubts._decide(one, RULES, moment)[0] for one in every}
    ends = {"resend": State.PENDING, "give_up": State.UNKNOWN, None: State.IN_DOUBT}
    assert len(every) == 60 and set(decided.values()) > {"resend"}
    if any(decided.values()):
        assert next_decision(database, RULES, after=moment) == moment
    resolve(database, RULES, now=moment)
    assert states(database) == [ends[decided[number]] for number in range(1, 61)]
    left = [doubts._patient_until(one, RULES) for one in every if decided[one.message_id] is None]
    ahead = min((when for when in left if when is not None), default=None)
    told = next_decision(database, RULES, after=moment)
    looked_up = {one.provider for one in every if decided[one.message_id] is None} & {"asked", "keyed and asked"}
    assert told == (moment if looked_up else ahead), "a look-up may be due at any time"


def test_a_pass_ends_some_of_them_in_few_commits_the_oldest_first(
    database: Database, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nine doubts, two in a commit and two commits in a pass: what else is to be done does not wait for all of them."""
    monkeypatch.setattr(doubts, "BATCH", 2)
    monkeypatch.setattr(doubts, "BATCHES", 2)
    in_doubt(database, now, 9)
    over = now + 73 * HOUR
    rules = DoubtRules(promises=lambda name: None, patience=LEASE, resolve_window=72 * HOUR)
    passes = []
    while given_up := resolve(database, rules, now=over).given_up:
        passes.append(given_up)
        assert states(database) == [State.UNKNOWN] * sum(passes) + [State.IN_DOUBT] * (9 - sum(passes))
        assert next_decision(database, rules, after=over) == (over if sum(passes) < 9 else None)
    assert passes == [4, 4, 1]


def test_one_that_is_not_due_hides_no_other(database: Database, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest wait for a person, and for evidence: those behind them are decided about all the same."""
    monkeypatch.setattr(doubts, "BATCH", 2)
    in_doubt(database, now, 9)
    with database.writing() as connection:
        waits = update(messages).where(messages.c.id <= 6)
        connection.execute(waits.values(delivery=DeliveryClass.AT_LEAST_ONCE.value, provider="asked"))
    assert resolve(database, RULES, now=now + 5 * LEASE).resent == 0
    with database.writing() as connection:
        connection.execute(update(messages).where(messages.c.id > 6).values(provider="keyed"))
    assert resolve(database, RULES, now=now + 5 * LEASE).resent == 3
    assert states(database) == [State.IN_DOUBT] * 6 + [State.PENDING] * 3
