"""The one way a message's state changes: a guarded UPDATE from the table of transitions.

The statements that run once a message are built once and kept: building one costs more than running it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, String, Update, case, cast, func, literal_column, select, update

from engine.model import TRANSITIONS, Claim, State, Transition
from engine.store.prepared import PreparedMany
from engine.store.tables import messages


def in_state(*states: State) -> ColumnElement[bool]:
    """Messages in these states. Written as literals, so that the partial indexes on states are used."""
    written: list[ColumnElement[str]] = [literal_column(f"'{state.value}'") for state in sorted(states)]
    return messages.c.state == written[0] if len(written) == 1 else messages.c.state.in_(written)


def stands_in(*states: State, beside: ColumnElement[Any] | None = None) -> ColumnElement[bool]:
    """The same for messages that are found by their ids: the indexes on states are kept out of it. They are full of messages
    that went on since, and PostgreSQL takes them for small. `beside`: a value of what they are joined with. PostgreSQL then asks
    for the state after the join; before it, it expects hardly any message to be left, and compares each with each.
    """
    state = func.coalesce(messages.c.state, cast(beside, String) if beside is not None else "")
    return state.in_([literal_column(f"'{one.value}'") for one in sorted(states)])


def _target(step: Transition, doubt: ColumnElement[Any] = messages.c.doubt_since) -> ColumnElement[str] | str:
    """Where the step leads; `unknown`, where it would deny an earlier hand-over that is still in doubt."""
    if not step.denies:
        return step.target.value
    return case((doubt.is_not(None), State.UNKNOWN.value), else_=step.target.value)


def move(connection: Connection, transition: str, *which: ColumnElement[bool], now: datetime, **values: Any) -> int:
    """Make a transition for all messages that `which` picks and that stand where it begins. Returns how many moved."""
    step = TRANSITIONS[transition]
    changes = {"state": _target(step), "changed_at": now, **values}
    return connection.execute(update(messages).where(*which, in_state(*step.origins)).values(changes)).rowcount


def lock(connection: Connection, *which: ColumnElement[bool]) -> None:
    """Lock these messages in the order of their ids, as everybody does who locks several: nobody waits in a circle. The same
    lock as an UPDATE's, which lets others refer to the messages. SQLite has one writer, and nothing to lock.
    """
    if connection.dialect.name == "postgresql":
        mine = select(messages.c.id).where(*which).order_by(messages.c.id).with_for_update(key_share=True).subquery()
        connection.execute(select(func.count()).select_from(mine))


def move_all(connection: Connection, transition: str, *which: ColumnElement[bool], now: datetime, **values: Any) -> int:
    """The same for any number of messages while senders work: PostgreSQL changes them in the order in which it finds them."""
    lock(connection, *which, in_state(*TRANSITIONS[transition].origins))
    return move(connection, transition, *which, now=now, **values)


def move_claimed(
    connection: Connection,
    transition: str,
    *moves: tuple[Claim, Mapping[str, Any]],
    now: datetime,
    leased: bool = False,
) -> int:
    """Make a transition for messages that are still their claims' own, each with its new values (the same names in all).

    One that somebody else has moved since stays as it is. leased: only while the lease lasts. Returns how many moved.
    """
    if not moves:
        return 0
    changed = tuple(moves[0][1])
    rows = [
        {
            "mine": claim.message_id,
            "mine_epoch": claim.epoch,
            "moment": now,
            **{f"new_{name}": value for name, value in values.items()},
        }
        for claim, values in moves
    ]
    return _claimed(transition, leased, changed).run(connection, rows)


@cache
def _claimed(transition: str, leased: bool, changed: tuple[str, ...]) -> PreparedMany:
    step, m = TRANSITIONS[transition], messages.c

    def written(given: Mapping[str, ColumnElement[Any]]) -> Update:
        mine = (m.id == given["mine"], m.epoch == given["mine_epoch"], stands_in(*step.origins, beside=given["mine"]))
        lasting = (m.lease_until > given["moment"],) if leased else ()
        values = {name: given[f"new_{name}"] for name in changed}
        target = _target(step, values.get("doubt_since", m.doubt_since))
        return update(messages).where(*mine, *lasting).values(state=target, changed_at=given["moment"], **values)

    columns = {
        "mine": m.id,
        "mine_epoch": m.epoch,
        "moment": m.changed_at,
        **{f"new_{name}": m[name] for name in changed},
    }
    return PreparedMany(
        written,
        {name: column.type for name, column in columns.items()},
        found_by=("mine", m.id),
        held_against=("mine_epoch", "moment") if leased else ("mine_epoch",),
    )
