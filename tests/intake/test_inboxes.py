"""Reports by mail, from the mailbox into the ledger: each once, states forward only, nothing on a stranger's word."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from channels.smtp import Smtp, SmtpSettings
from engine.clock import SteppedClock
from engine.daemon import once
from engine.intake.inboxes import collect
from engine.ledger.inboxes import last_looks
from engine.model import State, SuppressionReason
from engine.provider import Accepted, Ambiguous, Http
from engine.questions.doctor.inboxes import inboxes
from engine.store import Database
from engine.store.tables import events, messages, suppressions
from tests.channels.messages import EMAIL
from tests.channels.test_reports import maildir, sample
from tests.ledger.books import add_customers, begin, end, owe_all, state_of, take
from tests.sending.shop import CONFIG, Shop


@pytest.fixture
def box(tmp_path: Path) -> Path:
    return maildir(tmp_path / "bounces")


@pytest.fixture
def relay(box: Path) -> Smtp:
    settings = SmtpSettings.model_validate({"host": "mail.shop.example", "reports": [{"maildir": str(box)}]})
    return Smtp(settings, http=Http())


def handed_over(database: Database, now: datetime, *, doubt: bool = False) -> tuple[int, str]:
    """A message that the relay has (or may have), and its sealed key."""
    add_customers(database, 1, now)
    owe_all(database, now)
    sent = begin(database, take(database, now)[0], now)
    assert sent is not None
    end(database, sent, Ambiguous(code="timeout") if doubt else Accepted(), now)
    key = database.message_key(sent.id)
    return sent.id, f"{key}-{database.seal(key)}"


def drop(box: Path, name: str, sealed: str, *, file: str = "1.mx") -> None:
    (box / "new" / file).write_bytes(sample(name, sealed))


def suppressed(database: Database) -> list[str]:
    with database.reading() as connection:
        return list(connection.execute(select(suppressions.c.reason)).scalars())


def test_a_bounce_settles_a_doubt_and_suppresses_and_a_later_delivery_moves_nothing_back(
    database: Database, now: datetime, box: Path, relay: Smtp
) -> None:
    """The bounce proves that the relay had the message; delivered, told afterwards, stands beside it."""
    message, sealed = handed_over(database, now, doubt=True)
    drop(box, "postfix_failed", sealed)
    (look,) = collect(database, {"relay": relay}, SteppedClock(now))
    assert (look.taken, look.aside, look.problem) == (1, 0, "")
    drop(box, "postfix_delivered", sealed)
    collect(database, {"relay": relay}, SteppedClock(now + timedelta(hours=1)))
    with database.reading() as connection:
        row = connection.execute(select(messages).where(messages.c.id == message)).one()
    assert (State(row.state), row.bounced_at is None, row.delivered_at is None) == (State.ACCEPTED, False, False)
    assert suppressed(database) == [SuppressionReason.BOUNCED]


def test_a_mail_is_stored_once_whenever_everything_stops(
    database: Database, now: datetime, box: Path, relay: Smtp
) -> None:
    """Stopped after the commit and before the move, it is read again and known."""
    _, sealed = handed_over(database, now)
    drop(box, "arf_abuse", sealed)
    collect(database, {"relay": relay}, SteppedClock(now), stopping=lambda: True)
    assert list((box / "new").iterdir())
    collect(database, {"relay": relay}, SteppedClock(now))
    assert not list((box / "new").iterdir())
    with database.reading() as connection:
        assert connection.execute(select(func.count()).select_from(events)).scalar_one() == 1
    assert suppressed(database) == [SuppressionReason.COMPLAINED]


def test_a_forged_bounce_suppresses_nobody(database: Database, now: datetime, box: Path, relay: Smtp) -> None:
    """Whoever guesses the key of somebody else's message lacks its seal: the mail lies aside, and the doctor tells."""
    message, sealed = handed_over(database, now)
    drop(box, "postfix_failed", f"{database.message_key(message)}-{database.seal('another')}")
    drop(box, "postfix_failed", sealed.replace(f"-{message}-", f"-{message + 1}-"), file="2.mx")
    collect(database, {"relay": relay}, SteppedClock(now))
    assert (suppressed(database), state_of(database, message)) == ([], State.ACCEPTED)
    with database.reading() as connection:
        (finding,) = inboxes(connection, {"relay": relay}, now=now)
        (late,) = inboxes(connection, {"relay": relay}, now=now + timedelta(hours=1))
    assert "2 mails" in finding.what and "not looked into" in late.what


def test_an_answer_by_mail_is_an_event_and_a_no_in_it_is_obeyed(
    database: Database, now: datetime, box: Path, relay: Smtp
) -> None:
    """It is the message's, the customer's, and suppresses as a STOP by text does; a question suppresses nothing."""
    message, sealed = handed_over(database, now)
    drop(box, "reply_html", sealed)
    collect(database, {"relay": relay}, SteppedClock(now))
    assert suppressed(database) == []
    drop(box, "reply_gmail", sealed)
    collect(database, {"relay": relay}, SteppedClock(now))
    assert suppressed(database) == [SuppressionReason.OPTED_OUT]
    with database.reading() as connection:
        row = connection.execute(select(messages).where(messages.c.id == message)).one()
        told = connection.execute(select(events).order_by(events.c.id)).all()
    assert row.replied_at is not None and row.opted_out_at is not None
    assert [(each.customer_id, each.message_id, each.name, each.properties["text"]) for each in told] == [
        (row.customer_id, message, "replied", "When do you open?"),
        (row.customer_id, message, "opted_out", "STOP"),
    ]


def test_a_mailbox_that_cannot_be_read_keeps_no_other_waiting(
    database: Database, now: datetime, box: Path, relay: Smtp, tmp_path: Path
) -> None:
    """Its look tells why, for the doctor; the next one is read."""
    _, sealed = handed_over(database, now)
    drop(box, "postfix_failed", sealed)
    missing = SmtpSettings.model_validate({"host": "x.example", "reports": [{"maildir": str(tmp_path / "no")}]})
    broken = Smtp(missing, http=Http())
    first, second = collect(database, {"broken": broken, "relay": relay}, SteppedClock(now))
    assert "maildir" in first.problem and second.taken == 1
    with database.reading() as connection:
        found = [finding.verdict for finding in inboxes(connection, {"broken": broken, "relay": relay}, now=now)]
        assert [look.problem == "" for look in last_looks(connection)] == [False, True]
    assert found == ["wrong", "good"]


def test_what_leaves_carries_its_seal(tmp_path: Path, database: Database) -> None:
    """The sender seals each message; the seal stands in the Message-ID and proves right, in capitals too."""
    shop = Shop(tmp_path, database, SteppedClock(datetime.now(UTC)), customers=1)
    shop.launch()
    shop.sender().drain()
    (outgoing,) = shop.provider.taken
    assert database.key_of(outgoing.sealed_key) == outgoing.key
    assert database.key_of(outgoing.sealed_key.upper()) == outgoing.key
    for forged in (outgoing.key, f"{outgoing.key}-", f"{outgoing.key}-{database.seal('x')}", "", "²-²-²", EMAIL.key):
        assert database.key_of(forged) is None


def test_one_pass_reads_the_mailboxes(tmp_path: Path, database: Database, database_url: str, box: Path) -> None:
    """`regulars run --once` takes the bounces before it launches, so that nobody who bounced is written to."""
    Shop(tmp_path, database, SteppedClock(datetime.now(UTC)), customers=1)
    relay = f"  scripted: {{use: smtp, host: 127.0.0.1, port: 1, security: none, reports: [{{maildir: {box}}}]}}"
    config = CONFIG.replace("  scripted: {use: file, folder: outbox}", relay) + f"database: {database_url}\n"
    (tmp_path / "config.yaml").write_text(config, encoding="utf-8")
    drop(box, "postfix_failed", "0a1b2c3d-7-00112233aabb")
    once(tmp_path, now=datetime.now(UTC))
    assert len(list((box / ".regulars-aside" / "cur").iterdir())) == 1
