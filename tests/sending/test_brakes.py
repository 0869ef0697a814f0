"""The brakes: pause, resume, cancel and undo, while senders are at work; each person gets a message once or not at all."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from engine.campaigns.launch import launch_due
from engine.clock import SteppedClock, WallClock
from engine.errors import UnknownName
from engine.ledger import brakes
from engine.ledger.balance import balance
from engine.ledger.cancel import cancel_run, newest_runs
from engine.model import FINAL, State
from engine.provider import Accepted, Ambiguous, Outgoing
from engine.rules.workspace import load_workspace
from engine.sending.dispatch import Kind, dispatcher_for
from engine.store import Database, open_database
from tests.conftest import NOW, SECRET
from tests.sending.shop import Scripted, Shop

PEOPLE, IN_FLIGHT = 120, 4
PATIENCE = 60


class Slow(Scripted):
    """Takes a few milliseconds a message, and is used by few at once."""

    def __init__(self) -> None:
        super().__init__(self._take, connections=IN_FLIGHT)

    def _take(self, outgoing: Outgoing) -> Accepted:
        time.sleep(0.02)
        return Accepted()


@pytest.fixture
def live(tmp_path: Path, database: Database) -> Shop:
    shop = Shop(tmp_path, database, WallClock(), customers=PEOPLE)  # type: ignore[arg-type]
    shop.provider = Slow()
    return shop


@contextmanager
def at_work(shop: Shop) -> Iterator[None]:
    dispatcher = dispatcher_for(shop.sender(), shop.database, shop.clock)
    dispatcher.start(Kind.DAEMON)
    try:
        yield
    finally:
        dispatcher.stop()


def wait_for(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.005)


def test_the_kill_switch_stops_a_running_sender_after_what_is_in_flight(live: Shop, database_url: str) -> None:
    """Somebody else pauses everything: from then on at most what was in flight leaves, and nothing in the second after."""
    other = open_database(database_url, secret=SECRET)
    taken = live.provider.taken
    live.launch()
    with at_work(live):
        wait_for(lambda: len(taken) > 10)
        assert brakes.pause(other, brakes.ALL, why="the wrong price", now=NOW)
        stopped_at = len(taken)
        time.sleep(1)
        assert len(taken) <= stopped_at + IN_FLIGHT < PEOPLE
        assert balance(live.database).holds
        assert brakes.resume(other, brakes.ALL)
        wait_for(lambda: set(live.states()) == {State.ACCEPTED})
    other.close()
    assert Counter(one.to for one in taken) == Counter(f"c{n}@customers.example" for n in range(1, PEOPLE + 1))


def test_edited_paused_resumed_and_launched_again_fifty_times_each_person_has_one_message(live: Shop) -> None:
    """Whatever is done to a campaign while it is sent, the run's rows are the truth: nobody twice, nobody forgotten."""
    chance, template = random.Random(4), live.folder / "templates/news/email.subject.txt"
    live.launch()
    with at_work(live):
        for number in range(50):
            brakes.pause(live.database, "news", why="look again", now=NOW)
            template.write_text(f"News, version {number}", encoding="utf-8")
            live.workspace = load_workspace(live.folder)
            assert live.launch() == 0
            time.sleep(chance.random() * 0.01)
            assert brakes.resume(live.database, "news")
            time.sleep(chance.random() * 0.02)
        wait_for(lambda: set(live.states()) == {State.ACCEPTED})
    assert Counter(one.to for one in live.provider.taken) == Counter(
        f"c{n}@customers.example" for n in range(1, PEOPLE + 1)
    )


def test_a_run_undone_at_any_instant_stops_with_what_is_in_flight(live: Shop) -> None:
    """Ten runs, each undone at another moment: what is told as having left is what the vendor has, and the rest is cancelled."""
    chance, taken = random.Random(7), live.provider.taken
    with at_work(live):
        for number in range(10):
            taken.clear()
            live.launch(f"run {number}")
            many = chance.randrange(PEOPLE // 2)
            wait_for(lambda many=many: len(taken) >= many)  # type: ignore[misc]
            undone = cancel_run(live.database, newest_runs(live.database)[0].run, now=live.clock.now())
            stopped_at = len(taken)
            wait_for(lambda: all(state in FINAL for state in newest_runs(live.database)[0].states))
            assert stopped_at <= len(taken) <= stopped_at + IN_FLIGHT
            assert undone.run.left >= stopped_at
            states = newest_runs(live.database)[0].states
            assert states.get(State.ACCEPTED, 0) == len(taken) == PEOPLE - states.get(State.CANCELLED, 0)
            assert undone.cancelled + undone.run.left == PEOPLE
    assert balance(live.database).holds


@pytest.fixture
def shop(tmp_path: Path, database: Database) -> Shop:
    return Shop(tmp_path, database, SteppedClock(NOW))


def test_undoing_one_run_leaves_the_others_alone(shop: Shop) -> None:
    """Today's run is undone, yesterday's goes on; undone again, nothing more happens; a run that never was is a mistake."""
    shop.launch("yesterday")
    shop.launch("today")
    today = newest_runs(shop.database, "news")[0]
    assert (today.occurrence, today.left, today.waiting) == ("today", 0, 9)
    assert cancel_run(shop.database, today.run, now=shop.clock.now()).cancelled == 9
    assert cancel_run(shop.database, today.run, now=shop.clock.now()).cancelled == 0
    shop.sender().drain()
    assert Counter(shop.states()) == {State.ACCEPTED: 9, State.CANCELLED: 9}
    with pytest.raises(UnknownName, match="there is no run 99"):
        cancel_run(shop.database, 99, now=shop.clock.now())


def test_what_is_in_doubt_when_a_run_is_undone_is_told_as_having_left(shop: Shop) -> None:
    """Nobody knows whether it arrived: it is not among the cancelled, then or later."""
    shop.provider = Scripted(
        lambda o: Ambiguous(code="timeout") if o.to == "c1@customers.example" else Accepted(), connections=1
    )
    shop.launch()
    shop.sender().drain()
    undone = cancel_run(shop.database, newest_runs(shop.database)[0].run, now=shop.clock.now())
    assert (undone.cancelled, undone.run.left, undone.run.states[State.IN_DOUBT]) == (0, 9, 1)
    shop.pass_time(hours=73)
    shop.sender().drain()
    assert Counter(shop.states()) == {State.ACCEPTED: 8, State.UNKNOWN: 1}


def test_a_paused_campaign_is_not_launched_and_is_caught_up_on_as_it_says(shop: Shop) -> None:
    """Paused over three noons: nobody is owed three messages; resumed, the newest one is made up for, and only while it is young."""

    def due() -> list[str]:
        shop.pass_time(days=1)
        now = shop.clock.now()
        return [run.occurrence for run in launch_due(shop.workspace, shop.database, now=now)]

    assert len(due()) <= 1
    brakes.pause(shop.database, "news", why="holidays", now=NOW)
    assert (due(), due(), due()) == ([], [], [])
    brakes.resume(shop.database, "news")
    now = shop.clock.now()
    assert len(launch_due(shop.workspace, shop.database, now=now)) == 1
    brakes.pause(shop.database, brakes.ALL, why="holidays", now=NOW)
    shop.pass_time(days=1, hours=7)
    brakes.resume(shop.database, brakes.ALL)
    assert launch_due(shop.workspace, shop.database, now=shop.clock.now()) == []
    assert timedelta(hours=6) == shop.workspace.campaigns["news"].max_lateness
