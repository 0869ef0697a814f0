"""Groups, turns, slots and the brake: many messages on their way at once, and no promise weaker for it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from engine.campaigns.launch import launch
from engine.campaigns.schedules import Occurrence
from engine.clock import SteppedClock
from engine.ledger import brakes
from engine.ledger.balance import balance
from engine.ledger.hand_over import begin
from engine.model import Reason, State
from engine.provider import Accepted, Ambiguous, Outcome, Outgoing, Rejected
from engine.rules.workspace import load_workspace
from engine.store import Database
from engine.store.tables import attempts, runs
from tests.ledger import books
from tests.sending.shop import NEWS, Scripted, Shop


class Watched(Scripted):
    """Remembers how many messages each call carried, and the most that were on their way at once."""

    def __init__(self, *, connections: int, pause: float = 0.0) -> None:
        super().__init__(lambda outgoing: Accepted(), connections=connections)
        self.groups, self.most, self._now, self.pause = list[int](), 0, 0, pause

    def send_many(self, batch: Sequence[Outgoing], *, deadline: float) -> Iterator[tuple[Outgoing, Outcome] | None]:
        with self._lock:
            self.groups.append(len(batch))
            self._now += len(batch)
            self.most = max(self.most, self._now)
            self.taken.extend(batch)
        time.sleep(self.pause)
        with self._lock:
            self._now -= len(batch)
        for outgoing in batch:
            yield outgoing, Accepted()


@pytest.fixture
def shop(tmp_path: Path, database: Database, now: datetime) -> Shop:
    return Shop(tmp_path, database, SteppedClock(now), customers=40)


def test_never_more_are_on_their_way_than_the_provider_has_connections(shop: Shop) -> None:
    """So many a crash can leave in doubt: three senders, ten connections, forty messages, and one place kept for receipts."""
    provider = Watched(connections=10, pause=0.01)
    shop.provider = provider
    shop.launch()
    shop.sender().drain()
    assert shop.states() == [State.ACCEPTED] * 40
    assert 1 < max(provider.groups) <= 5
    assert provider.most <= 9


def test_a_burst_of_receipts_leaves_as_many_at_once_as_there_are_connections(shop: Shop) -> None:
    """Each is a run of its own: forty of them over ten connections, not one after the other."""
    provider = Watched(connections=10, pause=0.01)
    shop.provider = provider
    for number in range(40):
        shop.trigger("c1", str(number))
    shop.sender().drain()
    assert shop.states() == [State.ACCEPTED] * 40
    assert max(provider.groups) > 1 and provider.most <= 10


def test_a_run_that_cannot_be_read_holds_up_no_other_of_its_batch(shop: Shop) -> None:
    """Of three receipts claimed together one has a definition that nobody can read: it waits, and the others leave."""
    for number in range(3):
        shop.trigger("c1", str(number))
    with shop.database.writing() as connection:
        broken = select(func.min(runs.c.id)).scalar_subquery()
        connection.execute(update(runs).where(runs.c.id == broken).values(definition={}, definition_hash="broken"))
    done = shop.sender().drain()
    assert Counter((row.state, row.reason) for row in shop.rows()) == {
        (State.ACCEPTED, None): 2, (State.PENDING, Reason.FAULT): 1,
    }  # fmt: skip
    assert done == {"accepted": 2, "held": 1}


class Alone(Watched):
    one_caller = True


def test_a_provider_that_one_thread_drives_is_called_by_one_at_a_time(shop: Shop) -> None:
    """Three senders, and places for all of them: a second caller would only make it slower. Nothing is left waiting."""
    provider = Alone(connections=20, pause=0.01)
    shop.provider = provider
    shop.launch()
    shop.sender().drain()
    assert shop.states() == [State.ACCEPTED] * 40
    assert provider.most == max(provider.groups) == 4  # a batch


def test_each_of_a_group_has_its_own_end(shop: Shop) -> None:
    """One commit holds many ends; a refusal, a doubt and a yes do not rub off on each other."""
    ends = {
        "c1@customers.example": Rejected(code="550"),
        "c2@customers.example": Ambiguous(code="timeout"),
        "c3@customers.example": Accepted(provider_message_id="p3"),
    }
    shop.provider = Scripted(lambda outgoing: ends.get(str(outgoing.to), Accepted()), connections=20)
    shop.launch()
    shop.sender().drain()
    rows = {row.sent_to: row for row in shop.rows()}
    expected = {State.REJECTED: "rejected", State.IN_DOUBT: "ambiguous", State.ACCEPTED: "accepted"}
    assert [rows[address].state for address in ends] == list(expected)
    assert rows["c3@customers.example"].provider_message_id == "p3"
    assert shop.states().count(State.ACCEPTED) == 38
    with shop.database.reading() as connection:
        told = dict(connection.execute(select(attempts.c.message_id, attempts.c.outcome)).all())
    assert all(told[row.id] == expected[row.state] for row in rows.values())


def test_one_that_may_not_leave_holds_up_nobody_of_its_group(database: Database, now: datetime) -> None:
    """Of three intents in one commit one was decided on facts that changed: the other two begin."""
    books.add_customers(database, 3, now)
    books.owe_all(database, now)
    taken = books.take(database, now)
    intents = [books.intent(message, revision=7 if number == 1 else 0) for number, message in enumerate(taken)]
    assert begin(database, intents, now=now) == {taken[1].id: Reason.CONTACT_CHANGED}
    assert books.states(database) == [State.SENDING, State.CLAIMED, State.SENDING]


def test_a_small_campaign_does_not_wait_for_a_large_one_to_end(shop: Shop) -> None:
    """Runs take turns, a batch each: the second campaign's messages leave among the first's, not after them."""
    (shop.folder / "rules/tips.yaml").write_text(NEWS.replace("campaign: news", "campaign: tips\ntemplate: news"))
    shop.workspace = load_workspace(shop.folder)
    shop.provider = Watched(connections=2)
    shop.launch("large")
    now = shop.clock.now()
    small = shop.workspace.campaigns["tips"].model_copy(update={"audience": {"id": "c7"}})
    launch(shop.workspace, shop.database, small, Occurrence(key="x", nominal_at=now), now=now)
    shop.sender().drain()
    campaigns = [outgoing.campaign for outgoing in shop.provider.taken]
    assert campaigns.count("tips") == 1
    assert campaigns.index("tips") <= 12


def test_a_paused_campaign_hands_nothing_over_and_goes_on_where_it_was(shop: Shop) -> None:
    """Paused and resumed fifty times while it is sent: each person gets it exactly once."""
    shop.provider = Watched(connections=4)
    shop.launch()
    for _ in range(50):
        assert brakes.pause(shop.database, "news", why="the price is wrong", now=shop.clock.now())
        before = len(shop.provider.taken)
        shop.sender().drain()
        assert len(shop.provider.taken) == before
        assert brakes.resume(shop.database, "news")
        sender = shop.sender()
        sender.work(tuple(books.Lane))
        sender.stop()
    shop.sender().drain()
    addresses = [outgoing.to for outgoing in shop.provider.taken]
    assert sorted(set(addresses)) == sorted(addresses) and len(addresses) == 40
    assert balance(shop.database).holds


@pytest.mark.parametrize("name", ["news", brakes.ALL])
def test_the_brake_stops_what_is_claimed_already(shop: Shop, name: str) -> None:
    """Pulled while the first group is on its way: that group is settled, the rest goes back unsent."""
    pulled = threading.Event()

    def answer(outgoing: Outgoing) -> Accepted:
        if not pulled.is_set():
            pulled.set()
            brakes.pause(shop.database, name, why="stop", now=shop.clock.now())
        return Accepted()

    shop.provider = Scripted(answer, connections=2)
    shop.launch()
    sender = shop.sender()
    sender.work(tuple(books.Lane))
    sender.stop()
    assert len(shop.provider.taken) == 1
    assert shop.states().count(State.ACCEPTED) == 1
    assert set(shop.states()) == {State.ACCEPTED, State.PENDING}
    assert Reason.PAUSED in {row.reason for row in shop.rows()}
