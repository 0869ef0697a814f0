"""The one way a message's state changes: a guarded UPDATE from the table of transitions.

The statements that run once a message are built once and kept: building one costs more than running it.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Update, bindparam, case, exists, literal, select, update

from engine.model import TRANSITIONS, Claim, State, Transition
from engine.store.tables import customers, messages, runs


def in_state(*states: State) -> ColumnElement[bool]:
    """Messages in these states. Written as literals, so that the partial indexes on states are used."""
    written = [literal(state.value, literal_execute=True) for state in sorted(states)]
    return messages.c.state == written[0] if len(written) == 1 else messages.c.state.in_(written)


def _target(step: Transition) -> ColumnElement[str] | str:
    """Where the step leads; `unknown`, where it would deny an earlier hand-over that is still in doubt."""
    if not step.denies:
        return step.target.value
    return case((messages.c.doubt_since.is_not(None), State.UNKNOWN.value), else_=step.target.value)


def move(connection: Connection, transition: str, *which: ColumnElement[bool], now: datetime, **values: Any) -> int:
    """Make a transition for all messages that `which` picks and that stand where it begins. Returns how many moved."""
    step = TRANSITIONS[transition]
    changes = {"state": _target(step), "changed_at": now, **values}
    return connection.execute(update(messages).where(*which, in_state(*step.origins)).values(changes)).rowcount


def move_claimed(
    connection: Connection,
    transition: str,
    claim: Claim,
    *guards: str,
    now: datetime,
    revision: int | None = None,
    **values: Any,
) -> bool:
    """Make a transition for one message that is still this claim's own. False where somebody else has moved it since.

    guards: what else must hold at that instant, by the names of `_guard`. revision: the customer's, for `same_revision`.
    """
    given = {f"new_{name}": value for name, value in values.items()}
    if "same_revision" in guards:
        given["decided_revision"] = revision
    mine = {"mine": claim.message_id, "mine_epoch": claim.epoch, "moment": now}
    return connection.execute(_claimed(transition, guards, tuple(values)), {**mine, **given}).rowcount == 1


@cache
def _claimed(transition: str, guards: tuple[str, ...], changed: tuple[str, ...]) -> Update:
    step, m = TRANSITIONS[transition], messages.c
    mine = (m.id == bindparam("mine"), m.epoch == bindparam("mine_epoch"), in_state(*step.origins))
    values = {name: bindparam(f"new_{name}", type_=m[name].type) for name in changed}
    moment = bindparam("moment", type_=m.changed_at.type)
    return update(messages).where(*mine, *map(_guard, guards)).values(state=_target(step), changed_at=moment, **values)


def _guard(name: str) -> ColumnElement[bool]:
    """leased: the lease is not over. run_live: nobody cancelled the run. same_revision: what we may send the customer is
    as it was when the decision was made.
    """
    match name:
        case "leased":
            return messages.c.lease_until > bindparam("moment", type_=messages.c.lease_until.type)
        case "run_live":
            return exists(select(runs.c.id).where(runs.c.id == messages.c.run_id, runs.c.cancelled_at.is_(None)))
        case "same_revision":
            revision = customers.c.revision == bindparam("decided_revision")
            return exists(select(customers.c.id).where(customers.c.id == messages.c.customer_id, revision))
        case _:
            raise KeyError(name)
