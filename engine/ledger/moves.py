"""The one way a message's state changes: a guarded UPDATE from the table of transitions."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, literal, update

from engine.model import TRANSITIONS, Claim, State
from engine.store.tables import messages


def in_state(*states: State) -> ColumnElement[bool]:
    """Messages in these states. Written as literals, so that the partial indexes on states are used."""
    written = [literal(state.value, literal_execute=True) for state in sorted(states)]
    return messages.c.state == written[0] if len(written) == 1 else messages.c.state.in_(written)


def move(connection: Connection, transition: str, *which: ColumnElement[bool], now: datetime, **values: Any) -> int:
    """Make a transition for all messages that `which` picks and that stand where it begins. Returns how many moved."""
    step = TRANSITIONS[transition]
    changes = {"state": step.target.value, "changed_at": now, **values}
    return connection.execute(update(messages).where(*which, in_state(*step.origins)).values(changes)).rowcount


def move_claimed(
    connection: Connection, transition: str, claim: Claim, *which: ColumnElement[bool], now: datetime, **values: Any
) -> bool:
    """Make a transition for one message that is still this claim's own. False where somebody else has moved it since."""
    mine = (messages.c.id == claim.message_id, messages.c.epoch == claim.epoch)
    return move(connection, transition, *mine, *which, now=now, **values) == 1
