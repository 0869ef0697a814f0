"""The time of an outage counts against no message: what is let in afterwards has its time and its tries before it."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from engine.ledger import outages, rates
from engine.ledger.outages import Spared
from engine.model import Reason, State
from engine.provider import Ambiguous, NotFound, NotSent, Outcome, Outgoing
from engine.sending.breaker import IN_A_ROW, LONGEST_PAUSE
from engine.sending.retry import FIRST_WAIT, LONGEST_WAIT, retry, spared
from engine.settings import Sending
from engine.store import Database
from engine.store.tables import EPOCH, attempts
from tests.conftest import NOW
from tests.sending.test_breaker import DOWN, REFUSED
from tests.sending.test_limits import World
from tests.sending.test_reconcile import Asked
from tests.sending.test_routes import message

HOUR = timedelta(hours=1)
SHORT = ("max_attempts: 3", "max_attempts: 3, retry_for: 1 hour")
PATIENT = ("max_attempts: 3", "max_attempts: 90, retry_for: 1 hour")
ONE_OF_THEM = NotSent(code="http_403", detail="not now")


def once(world: World, refusal: NotSent = ONE_OF_THEM) -> Callable[[Outgoing], Outcome]:
    """Every message fails once more, each by itself, and then is taken."""
    failed: set[str] = set()

    def answer(outgoing: Outgoing) -> Outcome:
        if outgoing.key in failed:
            return world.provider._take(outgoing)
        failed.add(outgoing.key)
        return refusal

    return answer


class Broken:
    """Capabilities of a plugin with a fault: of what it promises it can be asked nothing but this."""

    settle_time, engagement = None, False


@pytest.fixture
def world(tmp_path: Path, database: Database, now: datetime) -> World:
    world = World(tmp_path, database, now, customers=12)
    world.configure(PATIENT)
    world.launch("news")
    return world


@pytest.mark.parametrize("down", [DOWN, REFUSED])
@pytest.mark.parametrize("same", [True, False])
def test_who_fails_once_after_a_long_outage_is_tried_again(world: World, down: NotSent, same: bool) -> None:
    """Thrice as long as a failed message has: all are taken in the end, whichever worker lets them in."""
    world.provider.answer = lambda outgoing: down
    sender = world.sender()
    world.run(sender, 3 * HOUR)
    assert set(world.shop.states()) == {State.PENDING}
    world.provider.answer = once(world)
    world.run(sender if same else world.sender())
    assert set(world.shop.states()) == {State.ACCEPTED}


@pytest.mark.parametrize("another", [True, False])
def test_an_outage_gives_a_message_no_more_than_its_time(world: World, another: bool) -> None:
    """Who fails on and on ends: an hour after all who were refused have tried again, which takes an hour itself."""
    world.provider.answer = lambda outgoing: REFUSED
    sender = world.sender()
    world.run(sender, 3 * HOUR)
    wait = NotSent(code="http_429", retry_after=timedelta(minutes=10), alone=True)
    world.provider.answer = lambda outgoing: wait
    sender = world.sender() if another else sender
    world.run(sender, 0.4 * HOUR)
    assert set(world.shop.states()) == {State.PENDING}
    world.run(sender, 2 * HOUR)
    assert set(world.shop.states()) == {State.DEAD}


def test_without_an_outage_time_counts_from_when_it_was_owed(world: World) -> None:
    """As ever: a message that is only asked to wait is dead after an hour."""
    wait = NotSent(code="http_429", retry_after=timedelta(minutes=10), alone=True)
    world.provider.answer = lambda outgoing: wait
    world.run(world.sender(), 1.2 * HOUR)
    assert set(world.shop.states()) == {State.DEAD}


WAIT = NotSent(code="http_429", retry_after=timedelta(minutes=2))


@pytest.mark.parametrize(
    ("down", "end", "hours"), [(REFUSED, "no_access", 12), (DOWN, "down", 4), (WAIT, "later", 0.3)]
)
def test_attempts_without_a_try_do_not_count(
    tmp_path: Path, database: Database, now: datetime, down: NotSent, end: str, hours: float
) -> None:
    """One message alone, refused, not connected or told to wait a dozen times: afterwards it has all its attempts, and no more than those."""
    world = World(tmp_path, database, now, customers=1)
    world.configure(SHORT)
    world.launch("news")
    world.provider.answer = lambda outgoing: down
    sender = world.sender()
    world.run(sender, hours * HOUR)
    (refused,) = world.shop.rows()
    assert refused.attempts > 3
    world.provider.answer = lambda outgoing: ONE_OF_THEM
    world.run(sender)
    (row,) = world.shop.rows()
    assert (row.state, row.reason) == (State.DEAD, Reason.ATTEMPTS_EXHAUSTED)
    assert row.attempts == refused.attempts + 3
    with database.reading() as connection:
        ends = [*connection.execute(select(attempts.c.outcome).order_by(attempts.c.number)).scalars()]
    assert ends == [end] * refused.attempts + ["not_sent"] * 3


def test_a_receipt_leaves_within_minutes_after_hours_without_the_relay(
    tmp_path: Path, database: Database, now: datetime
) -> None:
    """Alone, and with two attempts: the relay is down for four hours, and takes it when it is back."""
    world = World(tmp_path, database, now, customers=1)
    world.configure(("max_attempts: 3", "max_attempts: 2"))
    world.trigger("1")
    world.provider.answer = lambda outgoing: DOWN
    sender = world.sender()
    world.run(sender, 4 * HOUR)
    back = world.clock.now()
    world.provider.answer = world.provider._take
    world.run(sender, HOUR)
    (receipt,) = world.shop.rows()
    assert receipt.state == State.ACCEPTED and receipt.accepted_at - back < 2 * LONGEST_PAUSE


def test_what_comes_too_late_still_ends(tmp_path: Path, database: Database, now: datetime) -> None:
    """`not_later_than` is the message's own: no outage moves it."""
    world = World(tmp_path, database, now, customers=12)
    world.configure(PATIENT, news="not_later_than: 2 hours\n")
    world.launch("news")
    world.provider.answer = lambda outgoing: DOWN
    sender = world.sender()
    world.run(sender, 1.9 * HOUR)
    assert set(world.shop.states()) == {State.PENDING}
    world.provider.answer = lambda outgoing: ONE_OF_THEM
    world.run(sender)
    assert set(world.shop.states()) <= {State.EXPIRED, State.DEAD}
    assert world.clock.now() <= now + 2 * HOUR + timedelta(minutes=1)


def test_a_fault_of_ours_after_an_outage_costs_some_time_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be prepared at the first try after it is held, and leaves when the fault is put right."""
    world.provider.answer = lambda outgoing: DOWN
    world.run(world.sender(), 3 * HOUR)
    world.provider.answer = world.provider._take
    world.clock.set(world.clock.now() + timedelta(minutes=10))
    with monkeypatch.context() as at_fault:
        at_fault.setattr(world.provider, "capabilities", Broken())
        world.sender().drain()
    assert {(row.state, row.reason) for row in world.shop.rows()} == {(State.PENDING, Reason.FAULT)}
    world.run(world.sender())
    assert set(world.shop.states()) == {State.ACCEPTED}


def test_what_never_arrived_is_owed_again_after_an_outage(tmp_path: Path, database: Database, now: datetime) -> None:
    """In doubt for longer than it may be tried, as the vendor could not be asked: it is handed over all the same."""
    world = World(tmp_path, database, now, customers=IN_A_ROW)
    world.configure(PATIENT, ("deadline: 2 seconds", "deadline: 2 seconds, resolve_window: 2 days"))
    vendor = Asked(took=lambda outgoing: False)
    world.providers["scripted"] = vendor
    world.launch("news")
    sender = world.sender()
    sender.drain()
    assert set(world.shop.states()) == {State.IN_DOUBT}
    vendor.finding, vendor.answer = (lambda outgoing: Ambiguous(code="not_connected")), (lambda outgoing: DOWN)
    for n in range(12 * 4):
        world.trigger(f"order {n}")
        world.clock.set(world.clock.now() + timedelta(minutes=5))
        sender.drain()
    vendor.finding, vendor.answer = (lambda outgoing: NotFound()), world.provider._take
    world.run(world.sender())
    assert set(world.shop.states()) == {State.ACCEPTED}


def test_an_outages_end_is_kept_once_the_latest(database: Database, now: datetime) -> None:
    """An earlier one changes nothing; others' do not count; it is forgotten when it is old, with the bucket."""
    outages.note(database, "provider a", until=now)
    outages.note(database, "provider a", until=now - HOUR)
    rates.close(database, "provider a", until=now - 2 * HOUR)
    outages.note(database, "provider b", until=now + HOUR)
    assert outages.spared(database, ["provider a"], []).until == now
    assert outages.spared(database, ["provider a", "provider b"], []).until == now + HOUR
    assert outages.spared(database, ["provider c"], []).until == EPOCH
    assert rates.forget(database, before=now) == 0
    assert rates.forget(database, before=now + timedelta(minutes=1)) == 1


def test_time_is_spared_up_to_the_outages_end() -> None:
    """To the instant: `retry_for` begins when the outage ended, or when the message was owed, whichever was later."""
    sending, wait = Sending(retry_for=HOUR), NotSent(code="http_429", retry_after=timedelta(minutes=1))
    for until, end in ((NOW + 5 * HOUR, NOW + 6 * HOUR), (NOW - 5 * HOUR, NOW + HOUR)):
        for at, worth in ((end - timedelta(minutes=2), True), (end, False)):
            plan = retry(
                message(now=NOW, attempts=1), wait, sending, now=at, jitter=random.Random(1), spared=Spared(until=until)
            )
            assert plan.worthwhile is worth


def test_the_wait_doubles_with_each_try_that_counts() -> None:
    """Who was refused a dozen times and then fails once waits as after a first try: else an hour would have no room for all of them."""
    one, own = message(now=NOW, attempts=13), Spared(until=NOW, attempts={1: 12})
    for seed in range(50):
        plan = retry(one, ONE_OF_THEM, Sending(), now=NOW, jitter=random.Random(seed), spared=own)
        assert plan.worthwhile and plan.wait <= FIRST_WAIT * 2
    assert max(retry(one, REFUSED, Sending(), now=NOW, jitter=random.Random(n)).wait for n in range(50)) > HOUR / 2


def test_an_outage_is_known_when_a_slow_answer_comes(database: Database) -> None:
    """Asked for before the hand-over: the vendor's wish to wait, an hour long, is just too long for the message's own time by then."""
    outages.note(database, "provider relay", until=NOW)
    one, sending = message(now=NOW + LONGEST_WAIT + timedelta(seconds=1) - 5 * HOUR), Sending(retry_for=5 * HOUR)
    own = spared(database, ["relay"], [one], sending, now=NOW)
    wait, answered = NotSent(code="http_429", retry_after=LONGEST_WAIT), NOW + sending.deadline
    assert retry(one, wait, sending, now=answered, jitter=random.Random(1), spared=own).worthwhile
