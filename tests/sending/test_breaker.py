"""A provider that is down costs a few messages some time, not all of them their attempts; and another may step in."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from engine.model import Reason, State
from engine.provider import Accepted, Ambiguous, NotSent, Outcome, Outgoing, Rejected
from engine.sending.breaker import FIRST_PAUSE, IN_A_ROW, LONGEST_PAUSE, LOOKED_AT, PROBE_PATIENCE, WITHIN, Breakers
from engine.store import Database
from engine.store.tables import spending
from tests.sending.test_limits import Slow, World

DOWN = NotSent(code="not_connected", detail="ConnectionRefusedError")
TWO = (
    (
        "  scripted: {use: file, folder: outbox}",
        "  scripted: {use: file, folder: outbox}\n  spare: {use: file, folder: spare}",
    ),
    ("commercial: {provider: scripted,", "commercial: {providers: [scripted, spare],"),
)


def opened(now: datetime) -> Breakers:
    breakers = Breakers()
    breakers.heard("relay", [DOWN] * IN_A_ROW, now)
    return breakers


# ---------------------------------------------------------------- the breaker alone


@pytest.mark.parametrize(
    ("ends", "opens"),
    [
        ([DOWN] * IN_A_ROW, True),
        ([DOWN] * (IN_A_ROW - 1) + [Accepted(), DOWN], False),
        ([NotSent(code="set_up")] * IN_A_ROW, True),
        ([Ambiguous(code="no_answer"), Ambiguous(code="no_answer"), Accepted()] * 7, True),
        ([Ambiguous(code="no_answer"), Accepted()] * LOOKED_AT, False),
        ([Ambiguous(code="no_answer")] * (LOOKED_AT - 1), False),
        ([Rejected(code="550")] * 100, False),
        ([NotSent(code="http_429", retry_after=timedelta(seconds=9))] * 100, False),
        ([NotSent(code="image_http_404", alone=True)] * 100, False),
    ],
)
def test_it_opens_when_most_hand_overs_fail_and_not_because_of_single_messages(
    ends: list[Outcome], opens: bool, now: datetime
) -> None:
    """Five in a row that could not begin, or more than half of the last twenty. Neither a refused
    message, nor a wish to wait, nor what is the message's own matter is a fault.
    """
    breakers = Breakers()
    for end in ends:
        breakers.heard("relay", [end], now)
    assert (breakers.waits_until("relay", now) is not None) is opens
    assert breakers.waits_until("other", now) is None


def test_failures_that_are_long_past_do_not_count(now: datetime) -> None:
    """Twenty failures in an hour are a bad day, not an outage."""
    breakers = Breakers()
    for number in range(60):
        breakers.heard("relay", [Ambiguous(code="no_answer")], now + number * WITHIN / 10)
    assert breakers.waits_until("relay", now + 6 * WITHIN) is None


def test_after_a_pause_one_message_tries_and_a_yes_lets_all_through(now: datetime) -> None:
    """Of fifty that come when the pause is over one leaves; the others wait for its end."""
    breakers, later = opened(now), now + FIRST_PAUSE
    assert breakers.waits_until("relay", now) == later
    assert breakers.admit("relay", 50, now) == 0
    assert breakers.admit("relay", 50, later) == 1
    assert breakers.admit("relay", 50, later) == 0
    assert breakers.waits_until("relay", later) is not None
    breakers.heard("relay", [Accepted()], later)
    assert breakers.admit("relay", 50, later) == 50


def test_each_trial_that_fails_makes_the_pause_longer_up_to_a_limit(now: datetime) -> None:
    """Five seconds, ten, twenty… never more than five minutes."""
    breakers, moment, pauses = opened(now), now, list[timedelta]()
    for _ in range(9):
        until = breakers.waits_until("relay", moment)
        assert until is not None
        pauses.append(until - moment)
        moment = until
        assert breakers.admit("relay", 1, moment) == 1
        breakers.heard("relay", [DOWN], moment)
    assert pauses[:3] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert pauses[-1] == LONGEST_PAUSE


def test_a_trial_that_nobody_hears_of_is_followed_by_another_one(now: datetime) -> None:
    """Its sender died: a minute later the next message tries."""
    a_moment = timedelta(milliseconds=5)
    breakers, later = opened(now), now + FIRST_PAUSE + a_moment
    assert breakers.admit("relay", 1, later) == 1
    assert breakers.waits_until("relay", later) is not None
    assert breakers.admit("relay", 1, later - a_moment) == 0  # another thread, which looked at the clock before
    assert breakers.waits_until("relay", later + PROBE_PATIENCE) is None
    assert breakers.admit("relay", 1, later + PROBE_PATIENCE) == 1


def test_a_trial_that_did_not_leave_is_followed_by_another_one_at_once(now: datetime) -> None:
    """Its message was cancelled, say, or its money is spent."""
    breakers, later = opened(now), now + FIRST_PAUSE
    assert breakers.admit("relay", 9, later) == 1
    breakers.not_tried("relay", now)
    assert breakers.waits_until("relay", later) is not None  # that was another one
    breakers.not_tried("relay", later)
    assert breakers.waits_until("relay", later) is None and breakers.admit("relay", 9, later) == 1


def test_a_clock_that_is_put_right_ends_a_pause_that_began_ahead(now: datetime) -> None:
    """It opened, and somebody tried, while the clock was two hours ahead."""
    assert opened(now).waits_until("relay", now - timedelta(milliseconds=5)) is not None  # another thread's look at it
    ahead = now + timedelta(hours=2)
    breakers = opened(ahead)
    assert breakers.waits_until("relay", now) is None
    assert breakers.admit("relay", 1, ahead + FIRST_PAUSE) == 1
    assert breakers.waits_until("relay", now) is None and breakers.admit("relay", 1, now) == 1


def test_a_trial_that_is_told_to_wait_was_no_failure(now: datetime) -> None:
    """The vendor answers: what it asks for is its limit's matter, and the next message tries."""
    breakers, later = opened(now), now + FIRST_PAUSE
    assert breakers.admit("relay", 1, later) == 1
    breakers.heard("relay", [NotSent(code="http_429", retry_after=timedelta(seconds=9))], later)
    assert breakers.admit("relay", 1, later) == 1


# ---------------------------------------------------------------- at work


def test_what_is_a_messages_own_matter_ends_no_outage_and_prolongs_none(now: datetime) -> None:
    """A trial whose image could not be fetched leaves the pause as it was; the next message tries in its stead."""
    breakers, later = opened(now), now + FIRST_PAUSE
    assert breakers.admit("relay", 9, later) == 1
    breakers.heard("relay", [NotSent(code="image_no_answer", alone=True)], later)
    assert breakers.tries("relay") and breakers.waits_until("relay", later) is None
    assert breakers.admit("relay", 9, later) == 1
    breakers.heard("relay", [Accepted()], later)
    assert not breakers.tries("relay")


@pytest.fixture
def world(tmp_path: Path, database: Database, now: datetime) -> World:
    return World(tmp_path, database, now, customers=100)


def test_an_outage_costs_few_attempts_and_afterwards_all_is_sent(world: World, now: datetime) -> None:
    """For an hour nobody answers: a few messages try now and then, the others are left alone, and nothing is dead."""
    world.provider.answer = lambda outgoing: DOWN
    world.launch("news")
    sender = world.sender()
    world.run(sender, timedelta(hours=1))
    assert len(world.provider.taken) < 2 * 50 + 30
    world.provider.answer = world.provider._take
    world.run(sender)
    assert set(world.shop.states()) == {State.ACCEPTED}


def test_without_answers_only_a_few_messages_are_left_in_doubt(world: World) -> None:
    """Whoever went on handing over would put all of them in doubt."""
    world.provider.answer = lambda outgoing: Ambiguous(code="no_answer")
    world.launch("news")
    world.run(world.sender(), timedelta(minutes=1))
    assert world.shop.states().count(State.IN_DOUBT) == len(world.provider.taken) < 60


@pytest.mark.parametrize(
    ("ended", "reason"),
    [(DOWN, Reason.PROVIDER_DOWN), (NotSent(code="http_401", no_access=True), Reason.NO_ACCESS)],
)
def test_a_receipt_that_finds_its_provider_down_says_so(
    world: World, now: datetime, ended: NotSent, reason: Reason
) -> None:
    """Pending, provider_down or no_access, and a time at which it is tried again."""
    world.provider.answer = lambda outgoing: ended
    for number in range(20):
        world.trigger(str(number))
    sender = world.sender()
    sender.drain()
    held = [row for row in world.shop.rows() if not row.attempts]
    assert {(row.state, row.reason, row.held_by) for row in held} <= {(State.PENDING, reason, reason)}
    sender.drain()
    world.trigger("one more")
    sender.drain()
    assert world.shop.rows()[-1].reason == reason
    assert world.shop.rows()[-1].due_at > now
    assert {row.reason for row in world.shop.rows()} == {reason}


def test_what_one_provider_surely_did_not_take_another_one_carries(world: World) -> None:
    """The first of the route cannot be reached: everything goes through the second, each message once."""
    world.configure(*TWO)
    spare = Slow(world.clock)
    world.providers["spare"] = spare
    world.provider.answer = lambda outgoing: DOWN
    world.launch("news")
    world.run(world.sender(), timedelta(minutes=1))
    assert set(world.shop.states()) == {State.ACCEPTED}
    assert len({outgoing.key for _, outgoing in spare.sent}) == len(spare.sent) == 100
    assert {row.provider for row in world.shop.rows()} == {"spare"}


def test_a_message_in_doubt_never_changes_its_provider(world: World) -> None:
    """Nobody knows whether the first one has it: not even a provider that works, and that is free, gets it."""
    world.configure(*TWO)
    spare = Slow(world.clock)
    world.providers["spare"] = spare
    world.provider.answer = lambda outgoing: Ambiguous(code="no_answer")
    world.launch("news")
    world.run(world.sender(), timedelta(days=10))
    doubted = {outgoing.key for outgoing in world.provider.taken}
    assert doubted and doubted.isdisjoint(outgoing.key for _, outgoing in spare.sent)
    assert len(doubted) + len(spare.sent) == 100
    assert world.shop.states().count(State.UNKNOWN) == len(doubted)


def test_a_message_in_doubt_that_may_be_repeated_waits_for_its_own_provider(world: World) -> None:
    """That one knows the key; while its breaker is open the message waits, though the other provider works."""
    world.configure(*TWO)
    world.provider = Slow(world.clock)
    world.provider.capabilities = type(world.provider.capabilities)(
        channel=world.provider.capabilities.channel, html=True, headers=True, idempotency_window=timedelta(hours=1)
    )
    spare = Slow(world.clock)
    world.providers |= {"scripted": world.provider, "spare": spare}
    world.provider.answer = lambda outgoing: Ambiguous(code="no_answer")
    world.launch("news")
    sender = world.sender()
    world.run(sender, timedelta(seconds=4))
    doubted = {outgoing.key for outgoing in world.provider.taken}
    world.provider.answer = world.provider._take
    world.run(sender, timedelta(minutes=5))
    assert set(world.shop.states()) == {State.ACCEPTED}
    assert {outgoing.key for _, outgoing in world.provider.sent} >= doubted
    assert doubted.isdisjoint(outgoing.key for _, outgoing in spare.sent)


# ---------------------------------------------------------------- a vendor that refuses us


SHORT = ("max_attempts: 3", "max_attempts: 3, retry_for: 1 hour")
REFUSED = NotSent(code="http_401", detail="the token has expired", no_access=True)


@pytest.mark.parametrize("refusal", [REFUSED, NotSent(code="set_up", detail="the environment variable X is not set")])
def test_a_token_that_ended_kills_no_message(
    tmp_path: Path, database: Database, now: datetime, refusal: NotSent
) -> None:
    """Longer than the time and the attempts that a failed message has: all wait, saying why, and leave with the new token."""
    world = World(tmp_path, database, now, customers=12)
    world.configure(SHORT)
    world.provider.answer = lambda outgoing: refusal
    world.launch("news")
    world.trigger("order")
    sender = world.sender()
    world.run(sender, timedelta(hours=3))
    waiting = world.shop.rows()
    assert {(row.state, row.reason) for row in waiting} == {(State.PENDING, Reason.NO_ACCESS)}
    assert refusal.detail in {row.detail.partition(" ")[2] for row in waiting if row.detail}
    assert len(world.provider.taken) < 3 * 12 + 30  # one in five minutes tries
    world.provider.answer = world.provider._take
    world.run(sender)
    assert set(world.shop.states()) == {State.ACCEPTED}


def test_one_post_waits_alone_for_its_token(tmp_path: Path, database: Database, now: datetime) -> None:
    """Nobody else is there to open a breaker: its attempts do not count either, and it is tried once an hour at least."""
    world = World(tmp_path, database, now, customers=1)
    world.configure(SHORT)
    world.provider.answer = lambda outgoing: REFUSED
    world.launch("news")
    sender = world.sender()
    world.run(sender, timedelta(hours=12))
    (row,) = world.shop.rows()
    assert (row.state, row.reason) == (State.PENDING, Reason.NO_ACCESS) and row.attempts > 12
    world.provider.answer = world.provider._take
    world.run(sender, timedelta(hours=1))
    assert world.shop.states() == [State.ACCEPTED]


def test_what_is_of_no_use_any_more_does_not_wait_for_a_token(
    tmp_path: Path, database: Database, now: datetime
) -> None:
    """`not_later_than` ends it, as it ends whatever waits."""
    world = World(tmp_path, database, now, customers=2)
    world.configure(news="not_later_than: 2 hours\n")
    world.provider.answer = lambda outgoing: REFUSED
    world.launch("news")
    world.run(world.sender(), timedelta(hours=5))
    assert set(world.shop.states()) <= {State.EXPIRED, State.DEAD}


def test_one_bad_image_holds_up_its_own_campaign_alone(world: World, now: datetime) -> None:
    """A hundred messages whose image is gone fail together: a receipt by the same provider leaves at once, and they end by themselves."""
    gone = NotSent(code="image_http_404", detail="the image cannot be fetched", alone=True)
    world.provider.answer = lambda one: gone if one.campaign == "news" else world.provider._take(one)
    world.launch("news")
    sender = world.sender()
    sender.drain()
    world.trigger("order")
    sender.drain()
    assert [at for at, _ in world.provider.sent] == [now]
    assert {row.reason for row in world.shop.rows() if row.state == State.PENDING} == {Reason.NOT_READY}
    world.run(sender)
    assert set(world.shop.states()) == {State.DEAD, State.ACCEPTED}


def test_who_is_let_in_elsewhere_carries_the_messages(world: World) -> None:
    """Of two providers one refuses us: the other one has everything, each message once."""
    world.configure(*TWO)
    spare = Slow(world.clock)
    world.providers["spare"] = spare
    world.provider.answer = lambda outgoing: REFUSED
    world.launch("news")
    world.run(world.sender(), timedelta(minutes=1))
    assert set(world.shop.states()) == {State.ACCEPTED} and len(spare.sent) == 100


def test_the_breaker_says_what_its_messages_wait_for(now: datetime) -> None:
    """A refusal of our credentials, until the vendor fails in another way, or works."""
    breakers = Breakers()
    breakers.heard("relay", [REFUSED] * IN_A_ROW, now)
    assert breakers.reason("relay") is Reason.NO_ACCESS
    assert breakers.reason("other") is Reason.PROVIDER_DOWN
    breakers.admit("relay", 1, now + FIRST_PAUSE)
    breakers.heard("relay", [DOWN], now + FIRST_PAUSE)
    assert breakers.reason("relay") is Reason.PROVIDER_DOWN


def test_a_trial_whose_money_is_spent_holds_up_nobody(tmp_path: Path, database: Database, now: datetime) -> None:
    """The day's cap is reached while the vendor is down: a receipt tries in its stead, and leaves."""
    world = World(tmp_path, database, now, customers=40)
    world.configure(more="prices: {email: 1}\nguards: {spend: {a_day: 30}}\n")
    world.provider.answer = lambda outgoing: DOWN
    world.launch("news")
    sender = world.sender()
    world.run(sender, timedelta(seconds=4))
    with database.writing() as connection:
        connection.execute(update(spending).values(spent=30_000_000))
    world.provider.answer = world.provider._take
    world.run(sender, timedelta(minutes=2))
    world.trigger("1")
    world.run(sender, timedelta(minutes=2))
    assert [outgoing.campaign for _, outgoing in world.provider.sent] == ["receipt"]


def test_who_waits_for_a_breaker_takes_no_place_of_a_warm_up(tmp_path: Path, database: Database, now: datetime) -> None:
    """A vendor that is down for its first seconds: of the day's hundred a few tried in vain, and the others leave."""
    world = World(tmp_path, database, now, customers=300)
    world.configure(more="senders: {news@shop.example: {warm_up: {from: 2026-03-02, days: [100, 200]}}}\n")
    tried = list[Outgoing]()

    def answer(outgoing: Outgoing) -> Outcome:
        tried.append(outgoing)
        return DOWN if world.clock.now() < now + timedelta(seconds=4) else world.provider._take(outgoing)

    world.provider.answer = answer
    world.launch("news")
    world.run(world.sender(), timedelta(hours=9))
    failed = len(tried) - len(world.provider.sent)
    assert len(tried) == 100 and len(world.provider.sent) == 100 - failed
