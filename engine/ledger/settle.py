"""The provider's answer, made a state: accepted, rejected, again later, dead, or in doubt."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, assert_never

from sqlalchemy import Connection, Update, bindparam, update

from engine.ledger.consent import suppress_contact_point
from engine.ledger.moves import move_claimed
from engine.model import Message, Reason
from engine.provider import Accepted, Ambiguous, NotSent, Outcome, Rejected
from engine.store import Database
from engine.store.tables import attempts


@dataclass(frozen=True, kw_only=True, slots=True)
class Retry:
    """How long a message that was surely not taken is tried again: the next wait, and whether it is worth it at all."""

    wait: timedelta
    worthwhile: bool


def settle(database: Database, message: Message, outcome: Outcome, retry: Retry, *, now: datetime) -> bool:
    """Write down how a hand-over ended. False where the message has moved on meanwhile (its provider's event was faster)."""
    with database.writing() as connection:
        # The message before its customer: everybody who locks both does so in this order.
        transition, values = _transition(message, outcome, retry, now)
        moved = move_claimed(connection, transition, message.claim, now=now, owner=None, lease_until=None, **values)
        _close_attempt(connection, message, outcome, now)
        if isinstance(outcome, Rejected) and outcome.suppress and message.sent_to:
            suppress_contact_point(
                connection, database, message.channel, message.sent_to, outcome.suppress, at=now, source="provider"
            )
        return moved


def _close_attempt(connection: Connection, message: Message, outcome: Outcome, now: datetime) -> None:
    word = _WORDS[type(outcome)]
    code = outcome.provider_message_id if isinstance(outcome, Accepted) else outcome.code
    ended = {"ended": now, "end": word, "end_code": code, "end_detail": outcome.detail or None}
    connection.execute(_closing(), {"message": message.id, "attempt": message.attempts, **ended})


@cache
def _closing() -> Update:
    c = attempts.c
    values = {
        c.ended_at: bindparam("ended", type_=c.ended_at.type),
        c.outcome: bindparam("end"),
        c.code: bindparam("end_code"),
        c.detail: bindparam("end_detail"),
    }
    return update(attempts).where(c.message_id == bindparam("message"), c.number == bindparam("attempt")).values(values)


_WORDS = {Accepted: "accepted", Rejected: "rejected", NotSent: "not_sent", Ambiguous: "ambiguous"}


def _transition(message: Message, outcome: Outcome, retry: Retry, now: datetime) -> tuple[str, dict[str, Any]]:
    match outcome:
        case Accepted(provider_message_id=name):
            return "accept", {"accepted_at": now, "provider_message_id": name, "reason": None, "doubt_since": None}
        case Rejected(code=code, detail=detail):
            return "reject", {"reason": Reason.REFUSED.value, "detail": f"{code} {detail}".strip()}
        case NotSent(code=code, detail=detail) if retry.worthwhile:
            reason = Reason.RATE_LIMITED if outcome.retry_after else Reason.PROVIDER_DOWN
            return "retry", {
                "due_at": now + retry.wait,
                "reason": reason.value,
                "held_by": reason.value,
                "detail": f"{code} {detail}".strip(),
            }
        case NotSent(code=code, detail=detail):
            return "die", {"reason": Reason.ATTEMPTS_EXHAUSTED.value, "detail": f"{code} {detail}".strip()}
        case Ambiguous(code=code, detail=detail):
            since = message.doubt_since or now
            return "doubt", {
                "reason": Reason.NO_ANSWER.value,
                "detail": f"{code} {detail}".strip(),
                "doubt_since": since,
            }
        case _:
            assert_never(outcome)
