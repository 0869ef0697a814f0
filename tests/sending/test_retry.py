"""Trying again: ever later and never at the same moment as everybody else, or when the vendor says, within limits."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.ledger.outages import Spared
from engine.ledger.settle import Retry
from engine.model import Message
from engine.provider import NotSent
from engine.sending.breaker import LONGEST_PAUSE
from engine.sending.retry import FIRST_WAIT, LONGEST_WAIT, retry
from engine.settings import Sending
from tests.conftest import NOW
from tests.sending.test_routes import message

SENDING = Sending()


def told(one: Message, asked: timedelta | None = None, *, now: datetime = NOW, seed: int = 1) -> Retry:
    outcome = NotSent(code="http_429" if asked is not None else "4.7.1", retry_after=asked)
    return retry(one, outcome, SENDING, now=now, jitter=random.Random(seed))


@given(st.integers(1, 1000), st.integers())
def test_the_wait_is_anywhere_below_a_ceiling_that_doubles(attempts: int, seed: int) -> None:
    """Full jitter: from nothing to two seconds times two for each attempt, an hour at most."""
    wait = told(message(now=NOW, attempts=attempts), seed=seed).wait
    assert timedelta() <= wait <= min(FIRST_WAIT * 2 ** min(attempts, 20), LONGEST_WAIT)


def test_a_thousand_messages_that_failed_together_do_not_come_back_together() -> None:
    """After the third attempt they are spread over sixteen seconds, about as many in each."""
    waits = [told(message(now=NOW, attempts=3), seed=n).wait.total_seconds() for n in range(1000)]
    shares = [sum(second <= wait < second + 4 for wait in waits) for second in (0, 4, 8, 12)]
    assert all(200 < share < 300 for share in shares)


@pytest.mark.parametrize(
    ("asked", "wait"),
    [
        (timedelta(seconds=90), timedelta(seconds=90)),
        (timedelta(days=400), LONGEST_WAIT),
        (timedelta.max, LONGEST_WAIT),
    ],
)
def test_a_vendor_is_obeyed_up_to_an_hour(asked: timedelta, wait: timedelta) -> None:
    """To the second; who asks for a year is asked again in an hour."""
    assert told(message(now=NOW, attempts=1), asked).wait == wait


@pytest.mark.parametrize("asked", [timedelta(), timedelta(days=-3)])
def test_a_vendor_that_says_at_once_is_not_hammered(asked: timedelta) -> None:
    """Waits grow all the same."""
    waits = [told(message(now=NOW, attempts=10), asked, seed=n).wait for n in range(100)]
    assert min(waits) >= timedelta() and max(waits) > timedelta(minutes=20)


def test_a_vendor_that_is_not_there_uses_up_no_attempts() -> None:
    """It is looked for again and again, as often as its breaker lets somebody try, until the message's time is over."""
    nobody = NotSent(code="not_connected", detail="ConnectionRefusedError")
    waits = [
        retry(message(now=NOW, attempts=500), nobody, SENDING, now=NOW, jitter=random.Random(n)) for n in range(100)
    ]
    assert all(wait.worthwhile for wait in waits)
    assert LONGEST_PAUSE * 0.9 < max(wait.wait for wait in waits) <= LONGEST_PAUSE
    later = NOW + SENDING.retry_for
    assert not retry(message(now=NOW, attempts=9), nobody, SENDING, now=later, jitter=random.Random(1)).worthwhile


def test_a_vendor_that_refuses_us_kills_nothing_that_is_of_use() -> None:
    """Not even what waited for something else for days, and is refused at its first try."""
    refused, later = NotSent(code="http_401", no_access=True), NOW + 2 * SENDING.retry_for
    waits = message(now=NOW, attempts=1)
    assert retry(waits, refused, SENDING, now=later, jitter=random.Random(1)).worthwhile
    too_late = replace(waits, not_after=later)
    assert not retry(too_late, refused, SENDING, now=later, jitter=random.Random(1)).worthwhile


def test_what_was_spared_makes_no_later_wait_longer() -> None:
    """A dozen attempts of an outage before it: a vendor that says two seconds is asked again within seconds."""
    spared = Spared(attempts={message(now=NOW).id: 12})
    asked = NotSent(code="20429", retry_after=timedelta(seconds=2))
    for seed in range(50):
        found = retry(message(now=NOW, attempts=13), asked, SENDING, now=NOW, jitter=random.Random(seed), spared=spared)
        assert found.wait <= FIRST_WAIT * 2


def test_being_told_to_wait_uses_up_time_and_no_attempts() -> None:
    """However often: until `retry_for` is over, or the message would come too late."""
    often = message(now=NOW, attempts=500)
    assert told(often, timedelta(minutes=5)).worthwhile
    assert not told(often).worthwhile
    late = NOW + SENDING.retry_for - timedelta(minutes=4)
    assert not told(often, timedelta(minutes=5), now=late).worthwhile
    assert not told(replace(often, not_after=NOW + timedelta(minutes=4)), timedelta(minutes=5)).worthwhile
