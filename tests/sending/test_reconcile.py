"""Messages in doubt, looked up: what arrived is accepted, what never arrived is handed over again, and nothing twice."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from engine.clock import SteppedClock
from engine.ledger import look_ups
from engine.ledger.cancel import cancel
from engine.ledger.settle import Retry
from engine.model import Reason, State, SuppressionReason
from engine.provider import Accepted, Ambiguous, Finding, NotFound, Outgoing, Rejected
from engine.store import Database, tables
from tests.sending.shop import Scripted, Shop

SETTLE = timedelta(minutes=15)


class Asked(Scripted):
    """A vendor that answers nobody and can be asked. `has` are the keys that it took; `asked` who was asked about."""

    def __init__(self, took: Callable[[Outgoing], bool] = lambda outgoing: True) -> None:
        super().__init__(self._take, settle_time=SETTLE)
        self.took, self.has, self.asked = took, Counter[str](), list[Outgoing]()
        self.finding: Callable[[Outgoing], Finding] = self._truth

    def _take(self, outgoing: Outgoing) -> Ambiguous:
        self.has.update([outgoing.key] if self.took(outgoing) else [])
        return Ambiguous(code="timeout")

    def _truth(self, outgoing: Outgoing) -> Finding:
        return Accepted(provider_message_id=f"id-{outgoing.key}") if self.has[outgoing.key] else NotFound()

    def look_up(self, outgoing: Outgoing, *, deadline: float) -> Finding:
        with self._lock:
            self.asked.append(outgoing)
        return self.finding(outgoing)


@pytest.fixture
def shop(tmp_path: Path, database: Database, now: datetime) -> Shop:
    shop = Shop(tmp_path, database, SteppedClock(now))
    shop.provider = Asked()
    shop.launch()
    return shop


def asked_of(shop: Shop) -> Asked:
    assert isinstance(shop.provider, Asked)
    return shop.provider


def let_pass(shop: Shop, times: int = 1, **span: float) -> None:
    for _ in range(times):
        shop.pass_time(**span)
        shop.sender().drain()


def test_what_the_vendor_has_is_accepted_with_its_id(shop: Shop) -> None:
    """Nobody answered; the vendor's list has all nine: accepted, each handed over once, nothing left in doubt."""
    shop.sender().drain()
    let_pass(shop, seconds=1)
    assert shop.states() == [State.ACCEPTED] * 9
    rows = shop.rows()
    assert [row.provider_message_id for row in rows] == [f"id-{shop.database.message_key(row.id)}" for row in rows]
    assert {row.doubt_since for row in rows} == {None}
    assert len(shop.provider.taken) == 9


def test_what_is_looked_up_is_what_was_handed_over(shop: Shop) -> None:
    """Equal in every field, although the template and the customer's address changed meanwhile."""
    shop.sender().drain()
    (shop.folder / "templates/news/email.txt").write_text("Something else {{ links.unsubscribe }}", encoding="utf-8")
    with shop.database.writing() as connection:
        connection.execute(tables.contact_points.update().values(address="moved@customers.example"))
    let_pass(shop, minutes=5)
    handed_over = {one.key: one for one in shop.provider.taken}
    assert {one.key: one for one in asked_of(shop).asked} == handed_over


def test_what_the_vendor_never_had_is_handed_over_again_after_two_looks(shop: Shop) -> None:
    """Missing at once proves nothing; missing when the list is complete, and once more a settle time later, does."""
    vendor = asked_of(shop)
    vendor.took = lambda outgoing: outgoing.to != "c1@customers.example"
    shop.sender().drain()
    let_pass(shop, minutes=1)  # the look that proves nothing yet
    let_pass(shop, minutes=15)  # the first that counts
    assert shop.states() == [State.IN_DOUBT, *[State.ACCEPTED] * 8]
    let_pass(shop, minutes=14)
    assert shop.states()[0] is State.IN_DOUBT
    let_pass(shop, minutes=2)  # the second that counts
    assert (shop.rows()[0].state, shop.rows()[0].held_by) == (State.PENDING, Reason.NEVER_ARRIVED)
    vendor.answer = lambda outgoing: Accepted()
    let_pass(shop, minutes=1)
    assert shop.states() == [State.ACCEPTED] * 9
    assert Counter(one.to for one in vendor.taken)["c1@customers.example"] == 2
    assert not shop.rows()[0].possible_duplicate


def test_a_list_that_is_late_doubles_nothing(shop: Shop) -> None:
    """The vendor took it, and shows it only after the first look that counts: one look is not enough, and the second finds it."""
    vendor = asked_of(shop)
    vendor.finding = lambda outgoing: NotFound()
    shop.sender().drain()
    let_pass(shop, minutes=16)
    vendor.finding = vendor._truth
    let_pass(shop, minutes=16)
    assert shop.states() == [State.ACCEPTED] * 9
    assert len(vendor.taken) == 9


def test_a_vendor_that_does_not_answer_is_asked_ever_more_rarely_and_proves_nothing(shop: Shop) -> None:
    """An hour of errors: ten looks a message, after that one an hour; after three days unknown, and no hand-over."""
    vendor = asked_of(shop)
    vendor.finding = lambda outgoing: Ambiguous(code="503")
    shop.sender().drain()
    let_pass(shop, times=60, minutes=1)
    assert len(vendor.asked) == 9 * 10
    let_pass(shop, times=3, hours=23)
    assert shop.states() == [State.IN_DOUBT] * 9
    let_pass(shop, hours=3)
    assert shop.states() == [State.UNKNOWN] * 9
    assert len(vendor.taken) == 9


def test_a_look_up_that_raises_costs_nothing_but_time(shop: Shop) -> None:
    """A broken plugin: the doubt stays, the sender goes on, and a later look settles it."""

    def broken(outgoing: Outgoing) -> Finding:
        raise RuntimeError("a broken plugin")

    vendor = asked_of(shop)
    vendor.finding = broken
    shop.sender().drain()
    let_pass(shop, seconds=1)
    assert shop.states() == [State.IN_DOUBT] * 9
    vendor.finding = vendor._truth
    let_pass(shop, minutes=1)
    assert shop.states() == [State.ACCEPTED] * 9


def test_what_the_vendor_refused_is_rejected_and_its_address_suppressed(shop: Shop) -> None:
    """The list says that the vendor took the request and dropped the message."""
    vendor = asked_of(shop)
    vendor.finding = lambda outgoing: Rejected(code="bounced", suppress=SuppressionReason.BOUNCED)
    shop.sender().drain()
    let_pass(shop, seconds=1)
    assert shop.states() == [State.REJECTED] * 9
    with shop.database.reading() as connection:
        assert len(connection.execute(select(tables.suppressions)).all()) == 9


def test_a_drop_that_is_found_denies_no_other_hand_over(shop: Shop) -> None:
    """Receipts were handed over once more, marked: that the list shows one as dropped says nothing of the other."""
    vendor = asked_of(shop)
    vendor.finding = lambda outgoing: Rejected(code="dropped")
    shop.sender().drain()
    with shop.database.writing() as connection:
        connection.execute(tables.messages.update().values(possible_duplicate=True))
    let_pass(shop, times=30, minutes=1)
    assert shop.states() == [State.IN_DOUBT] * 9
    assert len(vendor.asked) == 9, "and it is not asked every minute"


def test_several_askers_never_ask_about_the_same_message_at_once(shop: Shop) -> None:
    """Eight at once, from one barrier: each message has one asker, until a lease is over."""
    shop.sender().drain()
    questions: list[int] = []
    barrier, now = threading.Barrier(8), shop.clock.now()
    lease = timedelta(minutes=1)

    def ask() -> None:
        barrier.wait()
        for one in look_ups.take(shop.database, {"scripted": SETTLE}, limit=20, lease=lease, now=now):
            questions.append(one.message.id)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(questions) == [row.id for row in shop.rows()]
    assert len(look_ups.take(shop.database, {"scripted": SETTLE}, limit=20, lease=lease, now=now + lease)) == 9


def test_a_message_that_cannot_be_made_again_is_not_looked_up(shop: Shop) -> None:
    """The link in the footer leads elsewhere now: the bytes would differ, and a vendor that compares them find nothing."""
    shop.sender().drain()
    with shop.database.writing() as connection:
        connection.execute(tables.messages.update().values(content_hash="of other bytes"))
    let_pass(shop, times=3, minutes=30)
    assert (asked_of(shop).asked, shop.states()) == ([], [State.IN_DOUBT] * 9)


def test_a_cancelled_run_ends_when_its_doubts_do(shop: Shop) -> None:
    """The vendor never had them, and nobody wants them any more: cancelled, not handed over again."""
    vendor = asked_of(shop)
    vendor.took = lambda outgoing: False
    shop.sender().drain()
    cancel(shop.database, "news", now=shop.clock.now())
    let_pass(shop, times=3, minutes=16)
    let_pass(shop, minutes=5)
    assert shop.states() == [State.CANCELLED] * 9
    assert len(vendor.taken) == 9


def test_a_second_answer_about_a_later_hand_over_is_not_mixed_with_the_first(shop: Shop) -> None:
    """Found missing once, then handed over again by somebody: the old half of a proof is worth nothing."""
    now = shop.clock.now()
    shop.sender().drain()
    times = {"scripted": SETTLE}
    lease = timedelta(minutes=1)
    first = look_ups.take(shop.database, times, limit=1, lease=lease, now=now)[0]
    later = now + 3 * SETTLE
    again = Retry(wait=timedelta(), worthwhile=True)
    look_ups.found(shop.database, first, NotFound(), asked_at=later, retry=again, now=later)
    with shop.database.writing() as connection:
        which = tables.messages.c.id == first.message.id
        connection.execute(tables.messages.update().where(which).values(attempts=2, epoch=2))
        row = {"message_id": first.message.id, "number": 2, "provider": "scripted", "began_at": later}
        connection.execute(tables.attempts.insert().values(row))
    much_later = later + 3 * SETTLE
    look_ups.found(shop.database, first, NotFound(), asked_at=much_later, retry=again, now=much_later)
    assert shop.rows()[0].state == State.IN_DOUBT
    asked = look_ups.take(shop.database, times, limit=20, lease=lease, now=much_later)
    assert {one.missing_since for one in asked if one.message.id == first.message.id} == {None}
