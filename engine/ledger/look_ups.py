"""Messages in doubt at vendors that can be asked: whose turn it is to be looked up, and what is proved by what was found.

A vendor's list that has the message proves that it arrived, whenever it is asked. That the list has not got it proves
something only once the list is complete, and then twice, a settle time apart: then the message surely never arrived, and
is owed as if it had not been handed over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, assert_never

from sqlalchemy import Connection, Row, and_, case, func, or_, select, update

from engine.ledger.claim import message_of
from engine.ledger.consent import suppress_contact_point
from engine.ledger.moves import in_state, move
from engine.ledger.proofs import DROPPED, NEVER_ARRIVED, dropped, end_open
from engine.ledger.settle import Retry
from engine.model import Message, Reason, State
from engine.provider import Accepted, Ambiguous, Finding, NotFound, Rejected
from engine.store import Database
from engine.store.tables import attempts, look_ups, messages

FIRST_WAIT = timedelta(seconds=5)
LONGEST_WAIT = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """One message in doubt that is to be looked up now. Times are UTC.

    complete_at: from when on a list without it counts. settle_time: the vendor's. missing_since: the first look that
    counted and did not find it. restored: it is in doubt because the database was restored: by whom and when it was handed
    over, if it was, is not known for sure. failures: how often in a row the vendor did not answer plainly.
    """

    message: Message
    complete_at: datetime
    settle_time: timedelta
    missing_since: datetime | None
    failures: int
    restored: bool = False


def take(
    database: Database, settle_times: Mapping[str, timedelta], *, limit: int, lease: timedelta, now: datetime
) -> list[Question]:
    """The messages whose turn it is, of the providers in `settle_times`; nobody else gets them before the lease is over."""
    with database.reading() as connection:
        rows = connection.execute(_due(list(settle_times), limit, now)).all() if settle_times else ()
    if not rows:
        return []
    mine = {row.id: row for row in rows}
    with database.writing() as connection:
        taken = connection.execute(_taking(database, list(mine.values()), lease, now)).all()
    return [_question(mine[row.message_id], row, settle_times, lease) for row in taken]


def _due(providers: Sequence[str], limit: int, now: datetime) -> Any:
    m, u = messages.c, look_ups.c
    asked = and_(u.message_id == m.id, u.attempt == m.attempts)
    last = and_(attempts.c.message_id == m.id, attempts.c.number == m.attempts)
    return (
        select(messages, attempts.c.began_at)
        .outerjoin(look_ups, asked)
        .join(attempts, last)
        .where(in_state(State.IN_DOUBT), m.provider.in_(providers), or_(u.look_at.is_(None), u.look_at <= now))
        .order_by(func.coalesce(u.look_at, m.changed_at), m.id)
        .limit(limit)
    )


def _taking(database: Database, rows: Sequence[Row[Any]], lease: timedelta, now: datetime) -> Any:
    """The rows that are this asker's own: where two ask at once, the second finds the time put off."""
    new = [
        {"message_id": row.id, "attempt": row.attempts, "look_at": now + lease}
        for row in sorted(rows, key=lambda row: row.id)
    ]
    statement = database.insert(look_ups).values(new)
    same = look_ups.c.attempt == statement.excluded.attempt
    changes = {
        "attempt": statement.excluded.attempt,
        "look_at": statement.excluded.look_at,
        "missing_since": case((same, look_ups.c.missing_since), else_=None),
        "failures": case((same, look_ups.c.failures), else_=0),
    }
    free = or_(~same, look_ups.c.look_at <= now)
    return statement.on_conflict_do_update(index_elements=["message_id"], set_=changes, where=free).returning(look_ups)


def _question(row: Row[Any], asked: Row[Any], settle_times: Mapping[str, timedelta], lease: timedelta) -> Question:
    settle_time = settle_times[row.provider]
    return Question(
        message=message_of(row),
        complete_at=complete_at(row.changed_at, row.began_at, settle_time=settle_time, lease=lease),
        settle_time=settle_time,
        missing_since=asked.missing_since,
        failures=asked.failures,
        restored=row.reason == Reason.RESTORED.value,
    )


def complete_at(doubted_at: datetime, began_at: datetime, *, settle_time: timedelta, lease: timedelta) -> datetime:
    """When the vendor's list surely shows a hand-over that it took: its call is over, and its lease, and the list settled."""
    return max(doubted_at, began_at + lease) + settle_time


def found(
    database: Database, question: Question, finding: Finding, *, asked_at: datetime, retry: Retry, now: datetime
) -> str:
    """Write down what a look-up found, and what it proves. Returns a word for it.

    `asked_at`: just before the vendor was asked. `retry`: when the message is owed again if it surely never arrived.
    """
    with database.writing() as connection:
        _note(connection, question, finding, now)
        match finding:
            case Accepted():
                return _arrived(connection, question, finding, now)
            case Rejected():
                return _refused(connection, database, question, finding, now)
            case NotFound():
                return _missing(connection, question, asked_at, retry, now)
            case Ambiguous():
                wait = min(FIRST_WAIT * 2 ** min(question.failures, 20), LONGEST_WAIT)
                return _again(connection, question, "unanswered", look_at=now + wait, failures=question.failures + 1)
            case _:
                assert_never(finding)


def _note(connection: Connection, question: Question, finding: Finding, now: datetime) -> None:
    values = {"looked_at": now, "finding": type(finding).__name__.lower(), "detail": finding.detail or None}
    connection.execute(update(look_ups).where(*_mine(question)).values(**values, looks=look_ups.c.looks + 1))


def _mine(question: Question) -> tuple[Any, ...]:
    return look_ups.c.message_id == question.message.id, look_ups.c.attempt == question.message.attempts


def _again(connection: Connection, question: Question, word: str, **values: Any) -> str:
    connection.execute(update(look_ups).where(*_mine(question)).values(values))
    return word


def _arrived(connection: Connection, question: Question, finding: Accepted, now: datetime) -> str:
    message = question.message
    values: dict[str, Any] = {"accepted_at": message.first_sent_at, "reason": None, "detail": None, "doubt_since": None}
    if finding.provider_message_id:
        values["provider_message_id"] = finding.provider_message_id
    mine = (messages.c.id == message.id, messages.c.attempts > 0)
    move(connection, "prove_accepted", *mine, now=now, owner=None, lease_until=None, **values)
    return "arrived"


def _refused(connection: Connection, database: Database, question: Question, finding: Rejected, now: datetime) -> str:
    message = question.message
    told = f"{finding.code} {finding.detail}".strip()
    settled = dropped(connection, message.id, now=now, detail=told)
    if finding.suppress and message.sent_to:
        suppress_contact_point(
            connection, database, message.channel, message.sent_to, finding.suppress, at=now, source="provider"
        )
    if not settled:
        return _again(connection, question, "one of several refused", look_at=now + LONGEST_WAIT)
    end_open(connection, [message.id], DROPPED)
    return "refused"


def _missing(connection: Connection, question: Question, asked_at: datetime, retry: Retry, now: datetime) -> str:
    if asked_at < question.complete_at:
        return _again(connection, question, "missing so far", look_at=question.complete_at, failures=0)
    since = question.missing_since
    if since is None:
        look_at = now + question.settle_time
        return _again(connection, question, "missing once", look_at=look_at, missing_since=now, failures=0)
    if asked_at < since + question.settle_time:
        return _again(connection, question, "missing so far", look_at=since + question.settle_time, failures=0)
    return _never_arrived(connection, question, retry, now)


def _never_arrived(connection: Connection, question: Question, retry: Retry, now: datetime) -> str:
    """The doubt is gone: nobody has the message. It is owed again, all made anew, or dead where its time is over."""
    message = question.message
    mine = (messages.c.id == message.id, messages.c.epoch == message.claim.epoch, in_state(State.IN_DOUBT))
    sure = update(messages).where(*mine).values(doubt_since=None, possible_duplicate=False)
    if not connection.execute(sure).rowcount:
        return "too late"
    if retry.worthwhile:
        again = {
            "due_at": now + retry.wait,
            "reason": Reason.NEVER_ARRIVED.value,
            "held_by": Reason.NEVER_ARRIVED.value,
        }
        move(connection, "retry", *mine, now=now, **again)
    else:
        move(connection, "die", *mine, now=now, reason=Reason.NEVER_ARRIVED.value)
    end_open(connection, [message.id], NEVER_ARRIVED)
    return "never arrived"


def next_look(connection: Connection, providers: Sequence[str]) -> datetime | None:
    """When somebody should look next (UTC); None where nothing of these providers is in doubt."""
    m, u = messages.c, look_ups.c
    asked = and_(u.message_id == m.id, u.attempt == m.attempts)
    query = select(func.min(func.coalesce(u.look_at, m.changed_at))).select_from(messages.outerjoin(look_ups, asked))
    return connection.execute(query.where(in_state(State.IN_DOUBT), m.provider.in_(providers))).scalar()
