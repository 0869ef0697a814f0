"""Where two things meet: a cancellation and a retry, a doubt and a suppression, an address and its change, a late START."""

from __future__ import annotations

import errno
import shutil
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, event, insert, select
from sqlalchemy.exc import OperationalError

from engine.campaigns import launch as campaigns
from engine.campaigns.schedules import Occurrence
from engine.clock import SteppedClock
from engine.content.links import Links
from engine.content.render import content_hash
from engine.errors import StoreError
from engine.intake import take_customers
from engine.ledger import hand_over
from engine.ledger.balance import balance
from engine.ledger.cancel import cancel
from engine.ledger.consent import suppress_contact_point
from engine.ledger.judge import Judgement, judge
from engine.ledger.record import record_events
from engine.model import Channel, EventName, Lane, Reason, State, SuppressionReason
from engine.provider import Accepted, Ambiguous, Capabilities, NotSent, Outgoing, ProviderEvent, Rejected
from engine.rules.workspace import load_workspace
from engine.sending import hand_over as sending
from engine.sending.sender import Sender
from engine.sending.witness import Witness
from engine.store import Database
from engine.store.tables import attempts, messages, spending, suppressions
from tests.ledger import books
from tests.postgres import Server
from tests.sending.shop import CONFIG, POST, Scripted, Shop


@pytest.fixture
def shop(tmp_path: Path, database: Database, now: datetime) -> Shop:
    return Shop(tmp_path, database, SteppedClock(now))


def receipt(shop: Shop, now: datetime) -> None:
    with shop.database.writing() as connection:
        campaigns.trigger(
            shop.workspace,
            connection,
            shop.database,
            "receipt",
            customer="c1",
            data={"order": "1"},
            occurrence="x",
            now=now,
        )


def test_a_campaign_cancelled_during_a_hand_over_ends_cancelled(shop: Shop) -> None:
    """The provider refuses for now, and meanwhile the campaign was stopped: the retry does not happen, nor does it spin."""

    def answer(outgoing: Outgoing) -> NotSent:
        cancel(shop.database, "news", now=shop.clock.now())
        return NotSent(code="451")

    shop.launch()
    shop.provider.answer = answer
    shop.sender().drain()
    taken = len(shop.provider.taken)
    shop.pass_time(minutes=5)
    shop.sender().drain()
    assert set(shop.states()) == {State.CANCELLED}
    assert len(shop.provider.taken) == taken


def test_a_key_is_not_used_after_the_vendor_forgot_it(shop: Shop) -> None:
    """In doubt, handed over again in time, refused for three hours: then the key is old, and nobody may try again."""
    shop.provider = Scripted(lambda o: Ambiguous(code="timeout"), idempotency_window=timedelta(minutes=50))
    shop.launch()
    shop.sender().drain()
    shop.provider.answer = lambda o: NotSent(code="503", retry_after=timedelta(hours=1))
    shop.sender().drain()
    shop.provider.taken.clear()
    shop.pass_time(hours=3)
    shop.provider.answer = lambda o: Accepted()
    shop.sender().drain()
    assert shop.provider.taken == []
    assert set(shop.states()) == {State.IN_DOUBT}
    shop.pass_time(hours=100)
    shop.sender().drain()
    assert set(shop.states()) == {State.UNKNOWN}


def test_a_message_in_doubt_is_never_said_to_be_withheld(shop: Shop, now: datetime) -> None:
    """A receipt that may have arrived, and whose address is suppressed before its re-send: unknown, with the reason."""
    receipt(shop, now)
    shop.provider.answer = lambda o: Ambiguous(code="timeout")
    shop.sender().drain()
    with shop.database.writing() as connection:
        suppress_contact_point(
            connection,
            shop.database,
            Channel.EMAIL,
            "c1@customers.example",
            SuppressionReason.BOUNCED,
            at=now,
            source="x",
        )
    shop.pass_time(minutes=3)
    shop.sender().drain()
    assert (shop.rows()[0].state, shop.rows()[0].reason) == (State.UNKNOWN, Reason.SUPPRESSED)


def test_an_answer_survives_a_database_that_fails_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deadlock or an I/O error while the yes is written down: it is written a moment later, not forgotten."""
    failures, real = [1], sending.settle

    def failing(*arguments: object, **named: object) -> bool:
        if failures:
            failures.pop()
            raise OperationalError("UPDATE", {}, sqlite3.OperationalError("disk I/O error"))
        return real(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(sending, "settle", failing)
    shop.launch()
    shop.sender().drain()
    assert shop.states() == [State.ACCEPTED] * 9


def test_an_answer_is_kept_however_long_the_database_cannot_be_written(
    tmp_path: Path, database: Database, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Longer than a lease: what the vendor said yes to is not put in doubt, and nothing else leaves meanwhile."""
    shop = Shop(tmp_path, database, SteppedClock(now))
    (tmp_path / "config.yaml").write_text(
        CONFIG.replace("deadline: 2 seconds, lease: 60", "deadline: 1 seconds, lease: 2"), encoding="utf-8"
    )
    shop.workspace = load_workspace(tmp_path)
    writable, real, taken = time.monotonic() + 4, sending.settle, list[int]()

    def failing(*arguments: Any, **named: Any) -> int:
        if time.monotonic() < writable:
            taken.append(len(shop.provider.taken))
            raise StoreError("the database is locked")
        return real(*arguments, **named)

    monkeypatch.setattr(sending, "settle", failing)
    shop.trigger("c1", "1")
    shop.sender().drain()
    assert set(taken) == {1} and len(taken) > 4
    assert shop.states() == [State.ACCEPTED]


def test_a_sender_that_must_end_tries_some_time_more(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the lease decides: the vendor may have it, and that is said."""
    monkeypatch.setattr(sending, "LAST_SECONDS", 0.3)
    sender, tries = shop.sender(), list[float]()

    def failing(*_arguments: object, **_named: object) -> bool:
        tries.append(time.monotonic())
        sender.stopping.set()
        raise StoreError("the database is locked")

    monkeypatch.setattr(sending, "settle", failing)
    shop.trigger("c1", "1")
    with pytest.raises(StoreError):
        sender.drain()
    assert len(tries) > 2 and tries[-1] - tries[0] > 0.2
    assert shop.states() == [State.SENDING]


@pytest.mark.parametrize("remembers", [True, False])
def test_a_marked_message_is_another_one_only_where_nobody_knows_its_key(
    tmp_path: Path, database: Database, now: datetime, remembers: bool
) -> None:
    """The public URL was changed since: under a key that the vendor knows no other letter leaves; else the ledger has the hash of
    what left last.
    """
    shop = Shop(tmp_path, database, SteppedClock(now), customers=1)
    (tmp_path / "templates/news/email.html").write_text(
        '<p><a href="https://shop.example/x">See</a> <a href="{{ links.unsubscribe }}">leave</a> {{ postal_address }}</p>',
        "utf-8",
    )
    shop.workspace = load_workspace(tmp_path)
    shop.provider = Scripted(
        lambda outgoing: Ambiguous(code="timeout"), idempotency_window=timedelta(hours=24) if remembers else None
    )

    def sender(url: str) -> Sender:
        setup = replace(shop.setup(), links=Links("secret", url))
        return Sender(setup=lambda: setup, database=database, clock=shop.clock)

    shop.launch()
    sender("https://shop.example").work((Lane.BULK,))
    judge(database, [shop.rows()[0].id], Judgement.RESEND, by="Ana", why="it is not there", now=shop.clock.now())
    shop.provider.answer = lambda outgoing: Accepted()
    shop.pass_time(minutes=5)
    sender("https://other.example").drain()
    (row,) = shop.rows()
    last = content_hash(shop.provider.taken[-1].content)
    if remembers:
        assert (row.state, row.reason) == (State.IN_DOUBT, Reason.CONTENT_CHANGED) and len(shop.provider.taken) == 1
    else:
        assert (row.state, len(shop.provider.taken)) == (State.ACCEPTED, 2)
        assert content_hash(shop.provider.taken[0].content) != last
    assert row.content_hash == last


def test_answers_whose_commit_was_written_unheard_are_counted_once(
    tmp_path: Path, database: Database, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database takes the answers and its own is lost: what the vendor did not take is given back once, and fails once."""
    shop = Shop(tmp_path, database, SteppedClock(now))
    config = CONFIG.replace("batch: 4", "batch: 9") + "prices: {email: 1}\nguards: {spend: {a_day: 90}}\n"
    (tmp_path / "config.yaml").write_text(config, encoding="utf-8")
    shop.workspace = load_workspace(tmp_path)
    lost, real = [1], sending.settle

    def unheard(*arguments: Any, **named: Any) -> int:
        moved = real(*arguments, **named)
        if lost:
            lost.pop()
            with database.writing() as connection:  # of an earlier hand-over of theirs nobody heard the end
                older = [{"message_id": row.id, "number": 0, "provider": "x", "began_at": now} for row in shop.rows()]
                connection.execute(insert(attempts), older)
            raise StoreError("the server closed the connection")
        return moved

    monkeypatch.setattr(sending, "settle", unheard)
    shop.provider.answer = lambda outgoing: (
        Rejected(code="550") if outgoing.to == "c1@customers.example" else Accepted()
    )
    shop.launch()
    shop.sender().drain()
    assert Counter(shop.states()) == {State.ACCEPTED: 8, State.REJECTED: 1} and not lost
    with database.reading() as connection:
        assert connection.execute(select(spending.c.spent)).scalars().all() == [8_000_000]


def test_a_database_that_is_too_slow_costs_no_message_a_try(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The intents take as long as the lease: nothing leaves, the vendor is not blamed, and all leave when it is fast again."""
    real = hand_over.begin

    def slow(*arguments: Any, **named: Any) -> Any:
        refused = real(*arguments, **named)
        shop.pass_time(seconds=59)
        return refused

    shop.launch()
    sender = shop.sender()
    with monkeypatch.context() as at_fault:
        at_fault.setattr(hand_over, "begin", slow)
        for _ in range(12):
            sender.work((Lane.BULK,))
            shop.pass_time(minutes=1)
    assert not shop.provider.taken
    assert {row.state for row in shop.rows()} == {State.PENDING}
    assert {row.reason for row in shop.rows()} == {Reason.FAULT, Reason.SENDER_STOPPED}
    assert sum(row.attempts for row in shop.rows()) > 9
    shop.pass_time(hours=1)
    sender.drain()
    assert shop.states() == [State.ACCEPTED] * 9


def test_without_a_witness_nothing_leaves_and_nothing_is_in_doubt(shop: Shop, tmp_path: Path) -> None:
    """Its disk is full: what was begun goes back, surely unsent, and leaves when there is room."""
    witness = Full(tmp_path / "witness", "incarnation")
    setup = shop.setup()
    sender = Sender(setup=lambda: setup, database=shop.database, clock=shop.clock, witness=witness)
    shop.launch()
    sender.drain()
    assert not shop.provider.taken
    assert {(row.state, row.reason) for row in shop.rows()} == {(State.PENDING, Reason.FAULT)}
    witness.full = False
    shop.pass_time(minutes=1)
    sender.drain()
    assert shop.states() == [State.ACCEPTED] * 9


class Full(Witness):
    """A witness on a disk without room."""

    full = True

    def note(self, message: int, attempt: int) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        super().note(message, attempt)

    def sync(self) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        super().sync()


def test_after_a_sure_refusal_the_present_address_is_used(shop: Shop, now: datetime) -> None:
    """The old address complained and the customer has a new one: the retry goes to the new one."""
    shop.launch()
    shop.provider.answer = lambda o: NotSent(code="451")
    shop.sender().drain()
    with shop.database.writing() as connection:
        take_customers(
            connection,
            shop.database,
            shop.workspace.settings,
            [{"id": "c1", "email": "new@customers.example"}],
            now=now,
        )
        suppress_contact_point(
            connection,
            shop.database,
            Channel.EMAIL,
            "c1@customers.example",
            SuppressionReason.COMPLAINED,
            at=now,
            source="x",
        )
    shop.provider.answer = lambda o: Accepted()
    shop.provider.taken.clear()
    shop.pass_time(minutes=5)
    shop.sender().drain()
    addresses = [o.to for o in shop.provider.taken]
    assert "new@customers.example" in addresses and "c1@customers.example" not in addresses


def test_two_senders_cannot_both_leave_under_one_free_place_of_a_cap(database: Database, now: datetime) -> None:
    """Decided at once on the same facts by two threads: exactly one begins, however they interleave."""
    books.add_customers(database, 1, now)
    for occurrence in range(12):
        books.owe_all(database, now, occurrence=str(occurrence))
    decided = books.take(database, now)
    barrier, begun = threading.Barrier(len(decided)), list[dict[int, Reason]]()

    def leave(number: int) -> None:
        barrier.wait()
        begun.append(hand_over.begin(database, [books.intent(decided[number], bump=True)], now=now))

    threads = [threading.Thread(target=leave, args=(number,)) for number in range(len(decided))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert begun.count({}) == 1


def test_a_start_that_arrives_late_does_not_undo_a_newer_stop(shop: Shop, now: datetime) -> None:
    """START of noon, reported after the STOP of five past."""
    with shop.database.writing() as connection:
        take_customers(
            connection, shop.database, shop.workspace.settings, [{"id": "c1", "sms": "+358401234567"}], now=now
        )
    for words, at in (("STOP", now + timedelta(minutes=5)), ("START", now)):
        event = ProviderEvent(name=EventName.REPLIED, at=at, dedupe=words, address="+358401234567", text=words)
        later = now + timedelta(minutes=6)
        record_events(shop.database, [event], provider="texts", now=later, channel=Channel.SMS)
    with shop.database.reading() as connection:
        assert connection.execute(select(suppressions.c.reason)).scalars().all() == ["opted_out"]


def test_one_campaign_that_cannot_be_launched_does_not_stop_the_others(shop: Shop, now: datetime) -> None:
    """Its template is gone: it is reported and stays due; the other one is launched."""
    other = (
        (shop.folder / "rules/news.yaml")
        .read_text(encoding="utf-8")
        .replace("campaign: news", "campaign: another\ntemplate: gone")
    )
    (shop.folder / "rules/another.yaml").write_text(other, encoding="utf-8")
    shutil.copytree(shop.folder / "templates/news", shop.folder / "templates/gone")
    workspace = load_workspace(shop.folder)
    campaigns.launch_due(workspace, shop.database, now=now - timedelta(days=1))
    shutil.rmtree(shop.folder / "templates/gone")
    failed: list[str] = []
    launched = campaigns.launch_due(workspace, shop.database, now=now, failed=lambda name, error: failed.append(name))
    assert ([run.campaign for run in launched], failed) == (["news"], ["another"])


SCREEN = """channels:
  social: {commercial: {provider: screen, from: "@shop@social.example"}}
"""


def test_a_public_post_leaves_once_even_where_caps_apply(shop: Shop) -> None:
    """It has no customer whom a cap could count, and must not wait for one."""
    config = shop.folder / "config.yaml"
    text = config.read_text(encoding="utf-8").replace(
        "channels:\n", "  screen: {use: console, channel: social}\n" + SCREEN
    )
    config.write_text(text + "pressure: [{at_most: 1, within: 7 days}]\n", encoding="utf-8")
    (shop.folder / "rules/post.yaml").write_text(POST, encoding="utf-8")
    (shop.folder / "templates/post").mkdir()
    (shop.folder / "templates/post/social.txt").write_text("New records", encoding="utf-8")
    shop.workspace = load_workspace(shop.folder)
    now = shop.clock.now()
    campaigns.launch(
        shop.workspace, shop.database, shop.workspace.campaigns["post"], Occurrence(key="x", nominal_at=now), now=now
    )
    shop.provider.capabilities = Capabilities(channel=Channel.SOCIAL, posts=True)
    assert shop.sender(name="screen").drain() == {"accepted": 1}
    assert [o.to for o in shop.provider.taken] == [None]


def test_a_row_that_vanishes_shows_in_the_books(shop: Shop) -> None:
    """What was owed is written down apart from the messages, so the books can fail to balance."""
    shop.launch()
    assert balance(shop.database).holds
    with shop.database.writing() as connection:
        connection.execute(delete(messages).where(messages.c.id == shop.rows()[0].id))
    assert not balance(shop.database).holds


def test_a_database_that_takes_no_changes_sends_nothing_until_it_does_again(
    shop: Shop, database_url: str, postgres_server: Server
) -> None:
    """Read-only in the middle of a campaign (a standby's role, a full quota): not one message leaves without its intent."""
    shop.launch()
    sender = shop.sender()
    assert sender.work((Lane.BULK,))
    left = len(shop.provider.taken)
    with refusing_changes(shop, database_url, postgres_server):
        assert sender.work((Lane.BULK,)) == Counter()
        assert len(shop.provider.taken) == left
    sender.drain()
    assert Counter(one.to for one in shop.provider.taken) == Counter(
        {f"c{n}@customers.example": 1 for n in range(1, 10)}
    )


@contextmanager
def refusing_changes(shop: Shop, url: str, server: Server) -> Iterator[None]:
    """For the length of the block every connection is read-only."""

    def refuse(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA query_only = 1")

    with ExitStack() as stack:
        if url.startswith("sqlite"):
            event.listen(shop.database.pool, "connect", refuse)
            stack.callback(event.remove, shop.database.pool, "connect", refuse)
        else:
            stack.enter_context(server.set("default_transaction_read_only", "on"))
        shop.database.close()  # it counts for new connections
        yield
    shop.database.close()
