"""A no that comes beside the answer: the vendor tells that it dropped a message, or asked twice, that it never had it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, exists, or_, select, update

from engine.ledger.moves import in_state, move
from engine.ledger.spending import give_back_reserved
from engine.model import Reason, State
from engine.store.tables import attempts, messages

PROVED = NEVER_ARRIVED, DROPPED = "never_arrived", "dropped"
"""How a hand-over ended after all that had no answer; as in `attempts.outcome`."""


def dropped(connection: Connection, message_id: int, *, now: datetime, **values: Any) -> bool:
    """The vendor tells that it dropped this message: rejected, where that can only be about the one hand-over that there was.

    False where it settles nothing: another one is on its way, or may have been taken, and nobody knows which of them is meant.
    """
    nobodys = {"doubt_since": None, "owner": None, "lease_until": None}
    values = {"reason": Reason.REFUSED.value, **nobodys, **values}
    mine = (messages.c.id == message_id, messages.c.attempts > 0, _means_all())
    return move(connection, "prove_rejected", *mine, now=now, **values) == 1


def _means_all() -> ColumnElement[bool]:
    """Messages whose hand-overs the vendor takes for one: there was one only, or all had the same key. A marked one, and one
    that was made because the former never arrived, stands beside the former.
    """
    m, a = messages.c, attempts.c
    made_anew = exists().where(a.message_id == m.id, a.number < m.attempts, a.outcome == NEVER_ARRIVED)
    in_flight = in_state(State.SENDING)
    return or_(m.attempts == 1, ~in_flight) & m.possible_duplicate.is_(False) & ~made_anew


def end_open(connection: Connection, message_ids: Collection[int], outcome: str) -> None:
    """The hand-overs of these messages that had no plain answer ended so, and what was reserved for them is given back: of each
    once, as it has an end then. If its sender only slept, it finds that when its own answer comes.

    Call it last, after all other locks: senders lock the money last, too.
    """
    if not message_ids:
        return
    a, mine = attempts.c, attempts.c.message_id.in_(sorted(message_ids))
    unclear = (mine, or_(a.outcome.is_(None), a.outcome == "ambiguous"))
    locked = select(a.cost, a.reserved_under).where(*unclear).order_by(a.message_id, a.number).with_for_update()
    reserved = connection.execute(locked).all()
    connection.execute(update(attempts).where(*unclear).values(outcome=outcome))
    give_back_reserved(connection, ((row.cost, row.reserved_under) for row in reserved if row.reserved_under))
