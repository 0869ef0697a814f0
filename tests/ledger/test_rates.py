"""Limits kept by all senders together: never more than they allow, all that they allow, and nobody asked again in vain."""

from __future__ import annotations

import multiprocessing
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from engine.ledger import rates
from engine.ledger.buckets import Bucket, Daily, Free, Paced
from engine.ledger.rates import Appointment, Wanted
from engine.rate import Rate, rate
from engine.routing import WarmUp
from engine.store import Database, open_database, tables
from tests.conftest import SECRET

SECOND = timedelta(seconds=1)
RATE = rate("100/second, burst 20")
RELAY = Paced(key="provider relay", rate=RATE)


def ask(
    database: Database,
    buckets: Sequence[Bucket],
    count: int,
    now: datetime,
    *,
    first: int = 0,
    bulk: bool = False,
    queue: str = "q",
) -> dict[int, Appointment]:
    wanted = [Wanted(message_id=first + number, buckets=tuple(buckets)) for number in range(count)]
    return rates.take(database, wanted, queue=queue, bulk=bulk, now=now)


def assert_no_window_has_more(granted: Sequence[datetime], limit: Rate, margin: int = 0) -> None:
    """In any span as long as the rate's own there are at most its count and its burst."""
    first = 0
    for last, moment in enumerate(granted):
        while granted[first] <= moment - limit.per:
            first += 1
        assert last - first + 1 <= limit.count + limit.burst + margin


# ---------------------------------------------------------------- how a rate is written


def test_a_rate_is_written_as_one_says_it() -> None:
    """A count, a span, and where one likes how many may come at once."""
    assert rate("100/second") == Rate(count=100, per=SECOND, burst=25)
    assert rate("5000 / hour, burst 7") == Rate(count=5000, per=timedelta(hours=1), burst=7)
    assert rate("1/day").burst == 3
    assert str(rate("20/minute burst 4")) == "20/minute, burst 4"
    assert rate(str(rate("3/second"))) == rate("3/second")


@pytest.mark.parametrize(
    "wrong",
    ["", "100", "fast", "0/second", "-1/second", "1/fortnight", "1/second, burst 0", "9999999/second", "1.5/second"],
)
def test_what_is_no_rate_is_refused_in_words(wrong: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(ValueError, match=r"rate|burst"):
        rate(wrong)


@given(st.integers(1, 100_000), st.sampled_from(["second", "minute", "hour", "day"]))
def test_the_distance_is_never_too_short(count: int, span: str) -> None:
    """Rounded to microseconds, no more than the count fit into the span, and hardly fewer."""
    one = rate(f"{count}/{span}")
    assert one.interval * count >= one.per
    assert one.interval * count < one.per * 1.2


# ---------------------------------------------------------------- one bucket


def test_a_burst_leaves_at_once_and_the_others_one_by_one(database: Database, now: datetime) -> None:
    """Twenty of thirty, and each of the ten has a time of its own, a hundredth of a second apart."""
    told = ask(database, [RELAY], 30, now)
    assert list(told) == [*range(20, 30)]
    assert [told[number].at - now for number in told] == [timedelta(milliseconds=10 * n) for n in range(1, 11)]


def test_a_look_takes_nothing(database: Database, now: datetime) -> None:
    """Whoever looks ten times sees the same ten times."""
    ask(database, [RELAY], 5, now)
    seen = [rates.levels(database, ["provider relay"])["provider relay"] for _ in range(10)]
    assert {RELAY.room(level.taken, now=now, bulk=False) for level in seen} == {15}


def test_bulk_leaves_some_of_every_burst_to_receipts(database: Database, now: datetime) -> None:
    """A bulk run that takes all it gets leaves a fifth of the burst; a receipt leaves at once, and the run waits longer."""
    assert len(ask(database, [RELAY], 100, now, bulk=True)) == 84
    assert ask(database, [RELAY], 3, now) == {}
    later = now + timedelta(milliseconds=30)
    assert len(ask(database, [RELAY], 10, later, bulk=True)) == 10
    assert ask(database, [RELAY], 4, later) == {}


def test_a_message_takes_its_places_everywhere_or_nowhere(database: Database, now: datetime) -> None:
    """What one bucket refuses takes nothing from the others, so that nothing is wasted."""
    gmail = Paced(key="domain gmail.com", rate=rate("1/second, burst 2"))
    wanted = [Wanted(message_id=n, buckets=(gmail, RELAY) if n % 2 else (RELAY,)) for n in range(20)]
    told = rates.take(database, wanted, queue="q", bulk=False, now=now)
    assert {one.bucket for one in told.values()} == {"domain gmail.com"}
    assert [told[number].at - now for number in told] == [n * SECOND for n in range(1, 9)]
    assert len(ask(database, [RELAY], 20, now)) == 20 - (20 - 12)


def test_each_queue_has_its_own_places(database: Database, now: datetime) -> None:
    """A small run does not stand behind a large one: it is told to come as soon, and then the faster one has it."""
    ask(database, [RELAY], 1000, now, queue="run 1")
    told = ask(database, [RELAY], 2, now, queue="run 2")
    assert max(one.at for one in told.values()) <= now + timedelta(milliseconds=20)


def test_a_closed_bucket_lets_nobody_through_until_its_time(database: Database, now: datetime) -> None:
    """Not even one without a rate; the longer of two wishes counts; afterwards all is as before."""
    free, until = Free(key="provider twilio"), now + timedelta(seconds=90)
    rates.close(database, "provider twilio", until=until)
    rates.close(database, "provider twilio", until=now + SECOND)
    assert {one.at for one in ask(database, [free], 3, now + 2 * SECOND).values()} == {until}
    assert rates.closed(database, now=now) == {"provider twilio": until}
    assert ask(database, [free], 3, until) == {}
    assert rates.closed(database, now=until) == {}
    rates.close(database, "provider relay", until=until)
    assert [one.at - until for one in ask(database, [RELAY], 2, now).values()] == [
        timedelta(),
        timedelta(milliseconds=10),
    ]


def test_what_nobody_uses_any_more_is_forgotten(database: Database, now: datetime) -> None:
    """Buckets, their queues and what vendors asked for; what still counts stays."""
    ask(database, [RELAY], 50, now)
    rates.close(database, "provider twilio", until=now + SECOND)
    assert rates.forget(database, before=now) == 0
    assert rates.forget(database, before=now + timedelta(days=1)) == 3
    with database.reading() as connection:
        assert connection.execute(select(func.count()).select_from(tables.rates)).scalar() == 0
    assert len(ask(database, [RELAY], 30, now + timedelta(days=2))) == 10


# ---------------------------------------------------------------- warm-up

HELSINKI = ZoneInfo("Europe/Helsinki")
NEW = Daily(
    key="warm-up news", warm_up=WarmUp.model_validate({"from": "2026-03-02", "days": [5, 10, 20]}), zone=HELSINKI
)


def test_a_new_sender_sends_more_from_day_to_day(database: Database, now: datetime) -> None:
    """Five today, then ten, then twenty, then as many as there are; each who waits comes at this time of its day, once."""
    day = timedelta(days=1)
    told = ask(database, [NEW], 100, now, bulk=True)
    appointed = Counter(one.at for one in told.values())
    assert appointed == {now + day: 10, now + 2 * day: 20, now + 3 * day: 65}
    left = 5
    for at in sorted(appointed):
        due = [number for number, one in told.items() if one.at == at]
        again = rates.take(database, [Wanted(message_id=n, buckets=(NEW,)) for n in due], queue="q", bulk=True, now=at)
        assert again == {}
        left += len(due)
    assert left == 100


def test_receipts_of_a_new_sender_are_counted_and_never_wait(database: Database, now: datetime) -> None:
    """Four receipts leave one place for bulk; with six there is none, and the seventh receipt still leaves."""
    assert ask(database, [NEW], 4, now) == {}
    assert len(ask(database, [NEW], 2, now, bulk=True)) == 1
    assert ask(database, [NEW], 2, now) == {}


def test_a_warm_up_begins_anew_at_midnight_where_the_shop_is(database: Database) -> None:
    """Not at midnight in UTC; and a day of 23 hours has its full number."""
    spring = Daily(key="w", warm_up=WarmUp.model_validate({"from": "2026-03-28", "days": [3, 4, 5]}), zone=HELSINKI)
    evening = datetime(2026, 3, 28, 21, 59, tzinfo=UTC)
    assert len(ask(database, [spring], 10, evening, bulk=True)) == 7
    assert len(ask(database, [spring], 10, evening + timedelta(minutes=2), bulk=True)) == 6
    assert len(ask(database, [spring], 10, datetime(2026, 3, 29, 21, 0, tzinfo=UTC), bulk=True)) == 5


# ---------------------------------------------------------------- many at once


class Crowd:
    """Many who ask at the same moments, and when each of them got something."""

    def __init__(self, limit: Rate) -> None:
        self.limit, self.granted, self.of = limit, list[datetime](), Counter[int]()

    def note(self, who: int, got: int, now: datetime) -> None:
        self.granted += [now] * got
        self.of[who] += got


STEP, STEPS = timedelta(milliseconds=50), 200


def judge(crowd: Crowd, start: datetime, lost: int = 0) -> None:
    """No window has too many, and at least 95 of 100 places were used."""
    assert_no_window_has_more(crowd.granted, crowd.limit)
    possible = (STEP * (STEPS - 1)) // crowd.limit.interval + crowd.limit.burst
    assert possible * 0.95 - lost <= len(crowd.granted) <= possible


def test_four_threads_share_what_there_is(database: Database, now: datetime) -> None:
    """They ask at the same instants, each for more than there is: all of it is given out, and none more, and to all."""
    crowd, ready, turn = Crowd(rate("200/second, burst 20")), threading.Barrier(4), threading.Lock()
    bucket = Paced(key="provider relay", rate=crowd.limit)

    def work(who: int) -> None:
        for step in range(STEPS):
            ready.wait(60)
            moment = now + step * STEP
            told = ask(database, [bucket], 4, moment, queue=f"run {who}")
            with turn:
                crowd.note(who, 4 - len(told), moment)

    with ThreadPoolExecutor(4) as crew:
        list(crew.map(work, range(4)))
    judge(crowd, now)
    assert min(crowd.of.values()) > 0


def _process(url: str, pipe: Connection, who: int, limit: str) -> None:
    """Asks whenever it is told a time, and tells what it got."""
    database, bucket = open_database(url, secret=SECRET), Paced(key="provider relay", rate=rate(limit))
    pipe.send(None)
    while (moment := pipe.recv()) is not None:
        pipe.send(8 - len(ask(database, [bucket], 8, moment, queue=f"run {who}")))
    database.close()


def test_four_processes_share_what_there_is_though_two_are_killed(database_url: str, now: datetime) -> None:
    """Killed in the middle of asking: what they held is lost or never was taken, the limit holds, the others get the rest."""
    crowd, context = Crowd(rate("200/second, burst 20")), multiprocessing.get_context("spawn")
    pipes, crew = [], []
    for who in range(4):
        ours, theirs = context.Pipe()
        process = context.Process(target=_process, args=(database_url, theirs, who, str(crowd.limit)))
        process.start()
        pipes.append(ours)
        crew.append(process)
    try:
        for pipe in pipes:
            pipe.recv()
        alive, lost = {0, 1, 2, 3}, 0
        for step in range(STEPS):
            moment = now + step * STEP
            for who in alive:
                pipes[who].send(moment)
            for victim in {50: {1}, 120: {3}}.get(step, set[int]()):
                crew[victim].kill()
                alive.discard(victim)
                lost += 8
            for who in sorted(alive):
                assert pipes[who].poll(120)
                crowd.note(who, pipes[who].recv(), moment)
        judge(crowd, now, lost)
        assert min(crowd.of[who] for who in alive) > 0
    finally:
        for process in crew:
            process.kill()
            process.join()
