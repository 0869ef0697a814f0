"""The provider's answer, made a state: accepted, rejected, again later, dead, or in doubt."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, assert_never

from sqlalchemy import ColumnElement, Connection, Update, case, or_, select, update

from engine.ledger.consent import suppress_contact_point
from engine.ledger.moves import move_claimed
from engine.ledger.outages import DOWN, LATER, REFUSED
from engine.ledger.proofs import PROVED
from engine.ledger.spending import FREE, Cost, correct
from engine.ledger.tallies import note
from engine.model import Claim, Message, Reason
from engine.provider import Accepted, Ambiguous, NotSent, Outcome, Rejected
from engine.store import Database
from engine.store.prepared import PreparedMany
from engine.store.tables import attempts


@dataclass(frozen=True, kw_only=True, slots=True)
class Retry:
    """How long a message that was surely not taken is tried again: the next wait, and whether it is worth it at all."""

    wait: timedelta
    worthwhile: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """How one hand-over ended. `message` as it was sent: with its attempt's number and the address it went to. `cost`: what was
    reserved for it, given back where the vendor surely did not take it.
    """

    message: Message
    outcome: Outcome
    retry: Retry
    cost: Cost = FREE


def settle(database: Database, ended: Sequence[Ended], *, now: datetime, again: bool = False) -> int:
    """Write down how hand-overs ended, all in one commit. Returns how many moved: some may have moved on meanwhile
    (a provider's event was faster). `again`: an earlier call failed, and may have been written all the same.
    """
    with database.writing(by_index=True) as connection:
        if again and not (ended := _open(connection, ended)):
            return 0
        # Messages before their customers, each in the order of their ids, and money after both: as everybody does who locks them.
        ended = sorted(ended, key=lambda one: one.message.id)
        moved = sum(
            move_claimed(connection, transition, *moves, now=now) for transition, moves in _by_transition(ended, now)
        )
        proved = _proved(connection, ended)
        _CLOSING.run(connection, [_closed(one, now) for one in ended])
        for one in ended:
            if isinstance(one.outcome, Rejected) and one.outcome.suppress and one.message.sent_to:
                suppress_contact_point(
                    connection,
                    database,
                    one.message.channel,
                    one.message.sent_to,
                    one.outcome.suppress,
                    at=now,
                    source="provider",
                )
        correct(
            connection,
            not_taken=(one.cost for one in ended if isinstance(one.outcome, NotSent | Rejected) and one not in proved),
            taken=(one.cost for one in proved if isinstance(one.outcome, Accepted)),
        )
        note(connection, "errors", (_run(one.message) for one in ended if _bad(one)), at=now)
        return moved


def _open(connection: Connection, ended: Sequence[Ended]) -> list[Ended]:
    """Those whose end is not written down yet: what a lost answer hid is not counted, nor paid back, twice."""
    c = attempts.c
    theirs = c.message_id.in_([one.message.id for one in ended])
    still = {
        tuple(row) for row in connection.execute(select(c.message_id, c.number).where(theirs, c.ended_at.is_(None)))
    }
    return [one for one in ended if (one.message.id, one.message.attempts) in still]


def _proved(connection: Connection, ended: Sequence[Ended]) -> list[Ended]:
    """Those of whom it was proved before their answer came that the vendor did not take them: their money was given back."""
    dear = {(one.message.id, one.message.attempts): one for one in ended if one.cost.keys}
    if not dear:
        return []
    c = attempts.c
    theirs = select(c.message_id, c.number, c.outcome).where(c.message_id.in_(sorted(number for number, _ in dear)))
    locked = connection.execute(theirs.order_by(c.message_id, c.number).with_for_update())
    found = [dear.get((row.message_id, row.number)) for row in locked if row.outcome in PROVED]
    return [one for one in found if one is not None]


def _bad(one: Ended) -> bool:
    if isinstance(one.outcome, Ambiguous):
        return one.outcome.code not in _OWN_DOUBTS
    return isinstance(one.outcome, Rejected) or (isinstance(one.outcome, NotSent) and not one.retry.worthwhile)


def _run(message: Message) -> tuple[str, int]:
    return message.campaign, message.run_id


Moves = list[tuple[Claim, dict[str, Any]]]


def _by_transition(ended: Sequence[Ended], now: datetime) -> Iterable[tuple[str, Moves]]:
    moves: dict[str, Moves] = defaultdict(list)
    for one in ended:
        transition, values = _transition(one.message, one.outcome, one.retry, now)
        moves[transition].append((one.message.claim, {**values, "owner": None, "lease_until": None}))
    return moves.items()


def _closed(one: Ended, now: datetime) -> dict[str, Any]:
    outcome = one.outcome
    code = outcome.provider_message_id if isinstance(outcome, Accepted) else outcome.code
    return {
        "message": one.message.id,
        "attempt": one.message.attempts,
        "ended": now,
        "end": _end(outcome),
        "end_code": code,
        "end_detail": outcome.detail or None,
    }


def _end(outcome: Outcome) -> str:
    if isinstance(outcome, NotSent) and not outcome.begun:
        return REFUSED if outcome.no_access else DOWN
    if isinstance(outcome, NotSent) and outcome.retry_after is not None:
        return LATER
    return _WORDS[type(outcome)]


def _closing(given: Mapping[str, ColumnElement[Any]]) -> Update:
    """What was proved meanwhile no doubt takes back."""
    c = attempts.c
    proved = or_(*(c.outcome == end for end in PROVED))
    values = {
        c.ended_at: given["ended"],
        c.outcome: case((proved & (given["end"] == _WORDS[Ambiguous]), c.outcome), else_=given["end"]),
        c.code: given["end_code"],
        c.detail: given["end_detail"],
    }
    return update(attempts).where(c.message_id == given["message"], c.number == given["attempt"]).values(values)


_CLOSING = PreparedMany(
    _closing,
    {
        "message": attempts.c.message_id.type,
        "attempt": attempts.c.number.type,
        "ended": attempts.c.ended_at.type,
        "end": attempts.c.outcome.type,
        "end_code": attempts.c.code.type,
        "end_detail": attempts.c.detail.type,
    },
    found_by=("message", attempts.c.message_id),
    held_against=("attempt",),
)


OWN_FAULT = "own_fault"
"""The code of what could not leave for a fault of ours."""
_OWN_DOUBTS = {Reason.RESTORED.value: Reason.RESTORED}
"""Doubts that are no vendor's doing, by their code."""
_WORDS = {Accepted: "accepted", Rejected: "rejected", NotSent: "not_sent", Ambiguous: "ambiguous"}


def _waits_for(outcome: NotSent) -> Reason:
    if outcome.code == OWN_FAULT:
        return Reason.FAULT
    if outcome.alone:
        return Reason.NOT_READY
    if outcome.retry_after is not None:
        return Reason.RATE_LIMITED
    return Reason.NO_ACCESS if outcome.no_access else Reason.PROVIDER_DOWN


def _transition(message: Message, outcome: Outcome, retry: Retry, now: datetime) -> tuple[str, dict[str, Any]]:
    """A plain no ends the doubt about this hand-over, which a reaper may have raised meanwhile; not that about an earlier one."""
    earlier = {"doubt_since": message.doubt_since}
    match outcome:
        case Accepted(provider_message_id=name):
            return "accept", {"accepted_at": now, "provider_message_id": name, "reason": None, "doubt_since": None}
        case Rejected(code=code, detail=detail):
            return "reject", {**earlier, "reason": Reason.REFUSED.value, "detail": f"{code} {detail}".strip()}
        case NotSent(code=code, detail=detail) if retry.worthwhile:
            reason = _waits_for(outcome)
            return "retry", {
                **earlier,
                "due_at": now + retry.wait,
                "reason": reason.value,
                "held_by": reason.value,
                "detail": f"{code} {detail}".strip(),
            }
        case NotSent(code=code, detail=detail):
            return "die", {**earlier, "reason": Reason.ATTEMPTS_EXHAUSTED.value, "detail": f"{code} {detail}".strip()}
        case Ambiguous(code=code, detail=detail):
            since = message.doubt_since or now
            return "doubt", {
                "reason": _OWN_DOUBTS.get(code, Reason.NO_ANSWER).value,
                "detail": f"{code} {detail}".strip(),
                "doubt_since": since,
            }
        case _:
            assert_never(outcome)
