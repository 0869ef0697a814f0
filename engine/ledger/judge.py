"""What a person decides about messages whose end nobody knows, with who and why; never without a trace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, Row, Select, insert, select

from engine.ledger.moves import move
from engine.ledger.proofs import DROPPED, end_open
from engine.model import Reason, State
from engine.store import Database
from engine.store.tables import judgements, messages, runs


class Judgement(StrEnum):
    """It arrived; it was refused; or hand it over once more, whether it arrived or not."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    RESEND = "resend"


_TRANSITION: Mapping[Judgement, str] = MappingProxyType(
    {
        Judgement.ACCEPTED: "judge_accepted",
        Judgement.REJECTED: "judge_rejected",
        Judgement.RESEND: "judge_resend",
    }
)


_NOBODY_KNOWS = (State.IN_DOUBT, State.UNKNOWN)


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """One message that a person settled, or may not: `refused` says why nothing was changed."""

    message: int
    before: State | None
    after: State | None
    refused: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settled:
    """One line of the record: who settled which message, when (UTC), as what, and why."""

    message: int
    at: datetime
    by: str
    why: str
    judgement: Judgement
    before: State
    after: State


def judge(
    database: Database, message_ids: Sequence[int], judgement: Judgement, *, by: str, why: str, now: datetime
) -> tuple[Judged, ...]:
    """Settle messages that are in doubt or unknown, each with its line in the record, all in one transaction."""
    with database.writing() as connection:
        judged = tuple(
            _judge(connection, message_id, judgement, by, why, now) for message_id in sorted(set(message_ids))
        )
        refused = [one.message for one in judged if one.after is State.REJECTED and one.before in _NOBODY_KNOWS]
        end_open(connection, refused, DROPPED)
        return judged


def _judge(connection: Connection, message_id: int, judgement: Judgement, by: str, why: str, now: datetime) -> Judged:
    m = messages.c
    query: Select[Any] = select(m.state, m.reason, m.not_after, m.first_sent_at, runs.c.cancelled_at).join(
        runs, runs.c.id == m.run_id
    )
    row = connection.execute(query.where(m.id == message_id).with_for_update(of=messages)).first()
    before = State(row.state) if row is not None else None
    if row is None or before is None:
        return Judged(message=message_id, before=None, after=None, refused="there is no such message")
    if refused := _objection(row, before, judgement, now):
        return Judged(message=message_id, before=before, after=before, refused=refused)
    values = _values(row, judgement, now)
    move(connection, _TRANSITION[judgement], m.id == message_id, now=now, owner=None, lease_until=None, **values)
    after = State(connection.execute(select(m.state).where(m.id == message_id)).scalar_one())
    record = {
        "message_id": message_id,
        "at": now,
        "by": by,
        "why": why,
        "judgement": judgement.value,
        "before": before.value,
        "before_reason": row.reason,
        "after": after.value,
    }
    connection.execute(insert(judgements).values(record))
    return Judged(message=message_id, before=before, after=after)


def _objection(row: Row[Any], state: State, judgement: Judgement, now: datetime) -> str:
    if state not in _NOBODY_KNOWS:
        return f"it is {state.value.replace('_', ' ')}, and that is certain"
    if judgement is not Judgement.RESEND:
        return ""
    if row.cancelled_at is not None:
        return "its run was cancelled"
    if row.not_after is not None and row.not_after <= now:
        return "it is too late to be of use"
    return ""


def _values(row: Row[Any], judgement: Judgement, now: datetime) -> dict[str, Any]:
    by_hand = {"reason": Reason.SETTLED_BY_HAND.value}
    match judgement:
        case Judgement.ACCEPTED:
            return {**by_hand, "accepted_at": row.first_sent_at, "doubt_since": None}
        case Judgement.REJECTED:
            return {**by_hand, "doubt_since": None}
        case Judgement.RESEND:  # it may have arrived: the same bytes to the same address, and marked
            return {**by_hand, "due_at": now, "possible_duplicate": True}


def settled(database: Database, *, limit: int) -> tuple[Settled, ...]:
    """The newest lines of the record, the newest first."""
    j = judgements.c
    with database.reading() as connection:
        rows = connection.execute(select(judgements).order_by(j.at.desc(), j.id.desc()).limit(limit)).all()
    return tuple(
        Settled(
            message=row.message_id,
            at=row.at,
            by=row.by,
            why=row.why,
            judgement=Judgement(row.judgement),
            before=State(row.before),
            after=State(row.after),
        )
        for row in rows
    )
