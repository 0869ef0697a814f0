"""How a campaign's arms fared beside each other: its holdout and all others, and its variants.

A holdout is held against all others by what was intended, not by what came of it: whom another gate kept from the message stays
with the others, for the holdout has such people, too. Each customer is watched once, since the first message they were owed while so
many were held out. A variant is held against another by those who may have read it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Subquery, and_, case, func, or_, select

from engine.measure.goals import Goal, Wording, span_of, value_of
from engine.measure.lift import ALARM, Lift, chance_of, lift
from engine.model import MAY_HAVE_BEEN_SENT, Reason, State
from engine.rules.arms import HOLDOUT
from engine.store import Database
from engine.store.expressions import later
from engine.store.tables import events, messages, runs

OTHERS = "all others"
"""Whom a holdout is held against. A variant's name has no space."""

UNDECIDED = (State.PENDING, State.CLAIMED, State.EXPIRED, State.CANCELLED)
"""Where a message may stand of which no gate has spoken."""

BEFORE_GATES = (Reason.CANARY, Reason.FAULT)
"""What a message may wait for before its first gate is asked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """One arm: `holdout`, `all others`, or a variant's name. sent, opened, clicked: messages, by people. reached: customers who
    reached the goal since they were first owed a message, and `revenue` what they brought by it; None where the campaign has no
    goal, or it no value.
    """

    name: str
    customers: int
    sent: int
    opened: int
    clicked: int
    reached: int | None = None
    revenue: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Arms:
    """A campaign's arms on one channel. holdout: it and all others, over the runs that held out the newest share, `share`.

    chance: how likely a size as far from the share is. alarming: whether that is so unlikely that something else than the lot
    has chosen. lift: of all others over the holdout; None where alarming, without a goal, and with nobody in one of them.
    """

    holdout: tuple[Arm, ...] = ()
    variants: tuple[Arm, ...] = ()
    share: Decimal | None = None
    chance: float | None = None
    alarming: bool = False
    lift: Lift | None = None


def arms(
    connection: Connection,
    database: Database,
    which: ColumnElement[bool],
    launched: Sequence[Wording],
    *,
    now: datetime,
) -> Arms | None:
    """The arms of the messages `which` picks, of a campaign `launched` as these words say, the newest first; None where there are
    none.
    """
    goal, planned = launched[0].goal, next((one.holdout for one in launched if one.holdout), None)
    both: tuple[Arm, ...] = ()
    if planned is not None:
        alike = [one.hash for one in launched if one.holdout == planned]
        found = _fared(connection, database, _drawn(which, alike), goal, now)
        both = (found[HOLDOUT], found.get(OTHERS, _empty(OTHERS, goal))) if HOLDOUT in found else ()
    names = dict.fromkeys(name for one in launched for name in one.variants)
    read = _fared(connection, database, _read(which), goal, now) if names else {}
    if not (both or read):
        return None
    return _weighed(both, tuple(read[name] for name in names if name in read), planned)


def _weighed(both: tuple[Arm, ...], variants: tuple[Arm, ...], planned: Decimal | None) -> Arms:
    if not both or planned is None:
        return Arms(variants=variants)
    held, others = both
    chance = chance_of(held.customers, held.customers + others.customers, float(planned))
    alarming = chance < ALARM
    return Arms(
        holdout=both,
        variants=variants,
        share=planned,
        chance=chance,
        alarming=alarming,
        lift=None if alarming else _lift(held, others),
    )


def _lift(held: Arm, others: Arm) -> Lift | None:
    if held.reached is None or others.reached is None or not (held.customers and others.customers):
        return None
    return lift(others.reached, others.customers, held.reached, held.customers)


# ---------------------------------------------------------------- whom an arm has


def _drawn(which: ColumnElement[bool], alike: Sequence[str]) -> Subquery:
    """Each customer of whom a gate has spoken in these runs, held out or not."""
    m, r = messages.c, runs.c
    mine = m.run_id.in_(select(r.id).where(r.definition_hash.in_(alike)))
    out = func.max(case((func.coalesce(m.reason, "") == Reason.HOLDOUT.value, 1), else_=0))
    arm = case((out == 1, HOLDOUT), else_=OTHERS)
    return _watched(arm).where(which, mine, _decided()).group_by(m.customer_id).subquery()


def _decided() -> ColumnElement[bool]:
    """A canary's rest, what expires before its turn and a run that cannot be prepared may be anybody's."""
    m = messages.c
    waited = and_(m.held_by.is_not(None), m.held_by.not_in([reason.value for reason in BEFORE_GATES]))
    return or_(m.state.not_in([state.value for state in UNDECIDED]), waited)


def _read(which: ColumnElement[bool]) -> Subquery:
    """Each customer that may have read a variant."""
    m = messages.c
    variant = m["values"]["variant"].as_string()
    there = m.state.in_([state.value for state in MAY_HAVE_BEEN_SENT])
    return _watched(variant).where(which, there, variant.is_not(None)).group_by(m.customer_id, variant).subquery()


def _watched(arm: ColumnElement[str]) -> Select[Any]:
    m = messages.c
    stamps = (func.count(m[f"{name}_at"]).label(name) for name in ("accepted", "opened", "clicked"))
    return select(m.customer_id, arm.label("arm"), func.min(m.owed_at).label("since"), *stamps)


# ---------------------------------------------------------------- how they fared


def _empty(name: str, goal: Goal | None) -> Arm:
    value = 0.0 if goal and goal.get("value") else None
    return Arm(name=name, customers=0, sent=0, opened=0, clicked=0, reached=0 if goal else None, revenue=value)


def _fared(
    connection: Connection, database: Database, watched: Subquery, goal: Goal | None, now: datetime
) -> dict[str, Arm]:
    """By arm."""
    w = watched.c
    sums = (func.sum(w[name]) for name in ("accepted", "opened", "clicked"))
    counted = connection.execute(select(w.arm, func.count(), *sums).group_by(w.arm)).all()
    then = _reached(connection, database, watched, goal, now) if goal else {}
    found = {}
    for arm, customers, sent, opened, clicked in counted:
        nothing = _empty(arm, goal)
        reached, revenue = then.get(arm, (nothing.reached, nothing.revenue))
        found[arm] = Arm(
            name=arm,
            customers=customers,
            sent=int(sent),
            opened=int(opened),
            clicked=int(clicked),
            reached=reached,
            revenue=revenue,
        )
    return found


def _reached(
    connection: Connection, database: Database, watched: Subquery, goal: Goal, now: datetime
) -> Mapping[str, tuple[int, float | None]]:
    """By arm, how many customers reached the goal in time, and what they brought by it."""
    w, e = watched.c, events.c
    in_time = and_(
        e.customer_id == w.customer_id,
        e.name == goal["event"],
        e.at <= now,
        w.since <= e.at,
        e.at < later(w.since, span_of(goal), dialect=database.dialect),
    )
    value = value_of(goal, dialect=database.dialect)
    query = select(w.arm, func.count(e.customer_id.distinct()), *([func.sum(value)] if value is not None else []))
    rows = connection.execute(query.select_from(watched.join(events, in_time)).group_by(w.arm))
    return {row[0]: (row[1], float(row[2] or 0) if value is not None else None) for row in rows}
