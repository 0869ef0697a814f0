"""The sender: each due message is decided, rendered, handed over once, and its end written down."""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from engine.clock import SteppedClock
from engine.errors import StoreError
from engine.ledger.consent import opt_out
from engine.ledger.record import record_events
from engine.model import EventName, Reason, State
from engine.provider import Accepted, Ambiguous, EmailContent, NotSent, Outgoing, ProviderEvent, Rejected
from engine.store import Database, open_database
from tests.conftest import SECRET
from tests.sending.shop import Scripted, Shop, TickingClock

HOUR = timedelta(hours=1)


@pytest.fixture
def shop(tmp_path: Path, database: Database, now: datetime) -> Shop:
    return Shop(tmp_path, database, SteppedClock(now))


def test_every_owed_message_leaves_exactly_once(shop: Shop) -> None:
    """Three threads and batches of four: nine customers, nine hand-overs, nine addresses."""
    assert shop.launch() == 9
    shop.sender().drain()
    shop.sender().drain()
    assert sorted(o.to for o in shop.provider.taken if o.to) == sorted(f"c{n}@customers.example" for n in range(1, 10))
    assert shop.states() == [State.ACCEPTED] * 9


def test_a_commercial_email_carries_the_one_click_headers_and_a_receipt_does_not(shop: Shop) -> None:
    """RFC 8058: both headers on commercial mail; the link in the text is the one in the header."""
    shop.launch()
    shop.sender().drain()
    content = shop.provider.taken[0].content
    assert isinstance(content, EmailContent)
    assert content.headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert content.headers["List-Unsubscribe"].strip("<>") in content.text


def test_what_a_message_said_can_be_told_afterwards(shop: Shop) -> None:
    """The values used, the address, the template's path and the content's hash are on the row."""
    shop.launch()
    shop.sender().drain()
    row = shop.rows()[0]
    assert row.values["customer"]["first_name"] == "Customer 1"
    assert (row.sent_to, row.template_path, len(row.content_hash), row.attempts) == (
        "c1@customers.example",
        "news",
        64,
        1,
    )


def test_a_message_without_a_value_is_withheld_and_the_others_go_on(
    tmp_path: Path, database: Database, now: datetime
) -> None:
    """One poor row costs one message, with the template's file and line in the reason."""
    rows = [
        {
            "id": f"c{n}",
            "email": f"c{n}@customers.example",
            "first_name": "" if n == 2 else "Ann",
            "consent.email.offers": "yes",
        }
        for n in (1, 2, 3)
    ]
    shop = Shop(tmp_path, database, SteppedClock(now), rows=rows)
    shop.launch()
    shop.sender().drain()
    assert shop.states() == [State.ACCEPTED, State.SKIPPED, State.ACCEPTED]
    assert shop.rows()[1].reason == Reason.TEMPLATE_ERROR
    assert "templates/news/email.txt:1" in shop.rows()[1].detail


def test_no_answer_is_a_doubt_that_is_never_sent_again_and_ends_unknown(shop: Shop) -> None:
    """The provider may have it: one hand-over each, in doubt, and after the window said to be unknown."""
    shop.provider.answer = lambda outgoing: Ambiguous(code="timeout")
    shop.launch()
    for _ in range(5):
        shop.sender().drain()
        shop.pass_time(hours=10)
    assert shop.states() == [State.IN_DOUBT] * 9
    shop.pass_time(hours=73)
    shop.sender().drain()
    assert shop.states() == [State.UNKNOWN] * 9
    assert len(shop.provider.taken) == 9


def test_the_providers_own_report_ends_a_doubt(shop: Shop) -> None:
    """Delivered is proof, found by the key that we passed."""
    shop.provider.answer = lambda outgoing: Ambiguous(code="timeout")
    shop.launch()
    shop.sender().drain()
    told = [
        ProviderEvent(name=EventName.DELIVERED, at=shop.clock.now(), dedupe=o.key, message_key=o.key)
        for o in shop.provider.taken
    ]
    assert record_events(shop.database, told, provider="scripted", now=shop.clock.now()).unmatched == 0
    assert shop.states() == [State.ACCEPTED] * 9


def test_a_provider_that_knows_our_key_gets_an_equal_message_again(shop: Shop) -> None:
    """Same key, same bytes, same time: even where the customer's data and the template changed meanwhile."""
    shop.clock, silent = TickingClock(shop.clock.now()), [True]
    shop.provider = Scripted(
        lambda outgoing: Ambiguous(code="timeout") if silent[0] else Accepted(), idempotency_window=HOUR
    )
    shop.launch()
    shop.sender().drain()
    first = {o.key: o for o in shop.provider.taken}
    shop.provider.taken.clear()
    (shop.folder / "templates/news/email.txt").write_text("Something else {{ links.unsubscribe }}", encoding="utf-8")
    silent[0] = False
    shop.pass_time(minutes=10)
    shop.sender().drain()
    assert {o.key: o for o in shop.provider.taken} == first
    assert shop.states() == [State.ACCEPTED] * 9


def test_what_surely_was_not_taken_is_tried_again_and_at_last_dead(shop: Shop) -> None:
    """Back-off, at most `max_attempts`, then a final state of its own."""
    shop.provider.answer = lambda outgoing: NotSent(code="refused")
    shop.launch()
    for _ in range(12):
        shop.sender().drain()
        shop.pass_time(hours=1)
    assert shop.states() == [State.DEAD] * 9
    assert len(shop.provider.taken) == 9 * 3


def test_a_vendor_that_asks_to_wait_is_obeyed(shop: Shop) -> None:
    """Retry-After is the next hand-over's time, to the second; until then nobody is handed over, whoever was not yet."""
    shop.provider.answer = lambda outgoing: NotSent(code="429", retry_after=timedelta(seconds=90))
    shop.launch()
    shop.sender().drain()
    refused = [row for row in shop.rows() if row.attempts]
    assert {row.due_at for row in refused} == {shop.clock.now() + timedelta(seconds=90)}
    assert {row.reason for row in refused} == {Reason.RATE_LIMITED.value}
    shop.provider.answer = lambda outgoing: Accepted()
    shop.pass_time(seconds=89)
    shop.sender().drain()
    assert len(shop.provider.taken) == len(refused)
    shop.pass_time(seconds=1)
    shop.sender().drain()
    assert shop.states() == [State.ACCEPTED] * 9


def test_an_opt_out_during_the_run_stops_the_message_still_to_come(
    tmp_path: Path, database: Database, now: datetime
) -> None:
    """All three are decided in one batch; while the first is handed over, the third opts out, and gets nothing."""
    shop = Shop(tmp_path, database, SteppedClock(now), customers=3)
    shop.provider = Scripted(lambda outgoing: Accepted(), connections=1)
    shop.launch()
    shop.sender().drain()
    third = shop.rows()[2]

    def answer(outgoing: Outgoing) -> Accepted:
        opt_out(shop.database, third.id, at=shop.clock.now(), source="link", proof="button")
        return Accepted()

    shop.provider.answer = answer
    shop.provider.taken.clear()
    shop.pass_time(days=1)
    shop.launch("tomorrow")
    shop.sender().drain()
    assert [o.to for o in shop.provider.taken] == ["c1@customers.example", "c2@customers.example"]
    assert (shop.rows()[5].state, shop.rows()[5].reason) == (State.SKIPPED, Reason.OPTED_OUT)


def test_a_provider_that_raises_leaves_a_doubt_and_the_others_go_on(shop: Shop) -> None:
    """Against its contract it raised: nobody knows what it did, so nothing is sent again."""

    def answer(outgoing: Outgoing) -> Accepted:
        if outgoing.to == "c2@customers.example":
            raise RuntimeError("a broken plugin")
        return Accepted()

    shop.provider.answer = answer
    shop.launch()
    shop.sender().drain()
    assert shop.states().count(State.ACCEPTED) == 8
    assert shop.states()[1] is State.IN_DOUBT


def test_a_refusal_is_final(shop: Shop) -> None:
    """The provider said no for good: once, and never again."""
    shop.provider.answer = lambda outgoing: Rejected(code="550 5.7.1")
    shop.launch()
    shop.sender().drain()
    shop.pass_time(days=9)
    shop.sender().drain()
    assert shop.states() == [State.REJECTED] * 9
    assert len(shop.provider.taken) == 9


def test_nothing_is_handed_over_when_the_intent_cannot_be_written(
    tmp_path: Path, now: datetime, sqlite_template: Path
) -> None:
    """A full disk stops the sending before the provider's call; with space again, everything leaves, once."""
    shutil.copy(sqlite_template, tmp_path / "books.db")
    database = open_database(f"sqlite:///{tmp_path}/books.db", secret=SECRET)
    shop = Shop(tmp_path, database, SteppedClock(now), customers=400)
    shop.launch()
    full = [True]

    def limit(connection: Any, _record: object, _proxy: object) -> None:
        """SQLite's own way of having no more space."""
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages if full[0] else 10**6}")

    event.listen(database.pool, "checkout", limit)
    sender = shop.sender()
    with pytest.raises(StoreError, match="disk is full"):
        sender.drain()
    sender.stop()  # its other threads may have found some space still
    assert len(shop.provider.taken) == sum(row.attempts for row in shop.rows()) < 400
    full[0] = False
    for _ in range(3):
        shop.pass_time(minutes=5)
        shop.sender().drain()
    keys = [o.key for o in shop.provider.taken]
    assert len(keys) == len(set(keys))
    assert set(shop.states()) <= {State.ACCEPTED, State.IN_DOUBT}
    database.close()
