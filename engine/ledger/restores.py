"""A database restored from a backup, or a standby promoted without the last commits: it does not know of all that was sent.

It is quarantined: a brake that `resume` does not lift. Whoever lets it go on says since when it knows nothing; whatever may
have left in that time is no longer simply owed but suspect, and goes through doubt: look-ups, webhooks, the class's rule.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, func, literal, null, or_, select, update

from engine.ledger.brakes import RESTORED, Brake, on
from engine.ledger.canaries import WAITS
from engine.ledger.moves import in_state, move
from engine.ledger.numbers import skip
from engine.model import DeliveryClass, Reason, State
from engine.store import Database
from engine.store.identity import difference, server
from engine.store.tables import attempts, brakes, events, facts, messages, restores, runs

SLACK = timedelta(minutes=1)
"""What dead senders had claimed may have become due again so long after the quarantine began."""
_SERVER, _WITNESSED = "server", "witnessed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Restore:
    """One restore that a person settled. since, until: the time of which the ledger knows nothing (UTC); `since` is None
    where nothing was lost. suspected: how many messages may have left in it.
    """

    at: datetime
    by: str
    why: str
    seen: str
    since: datetime | None
    until: datetime
    suspected: int
    incarnation: str


# ---------------------------------------------------------------- is it the same database still?


def incarnations(connection: Connection) -> tuple[str, ...]:
    """The ledger's names towards witnesses, the one in force last: a new one after each restore."""
    first = connection.execute(select(facts.c.value).where(facts.c.name == "ledger")).scalar_one()
    return (first, *connection.execute(select(restores.c.incarnation).order_by(restores.c.id)).scalars())


def another_server(connection: Connection, *, promotions: bool) -> str:
    """How the server differs from the one that sent last, in words; empty where it is the same or cannot be told.
    `promotions`: whether another timeline alone is a difference.
    """
    former = connection.execute(select(facts.c.value).where(facts.c.name == _SERVER)).scalar()
    present = server(connection)
    return difference(former, present, promotions=promotions) if former and present else ""


def knows(connection: Connection, message: int, attempt: int) -> bool:
    """Whether the ledger has this hand-over."""
    mine = (attempts.c.message_id == message, attempts.c.number == attempt)
    return connection.execute(select(attempts.c.id).where(*mine)).first() is not None


def newest_hand_over(connection: Connection) -> tuple[int, int] | None:
    """The message and the number of the newest attempt; None where nothing was ever handed over."""
    newest = select(attempts.c.message_id, attempts.c.number).order_by(attempts.c.id.desc()).limit(1)
    row = connection.execute(newest).first()
    return (row.message_id, row.number) if row else None


def witnessed(connection: Connection) -> bool:
    """Whether something beside the database has seen what left of it."""
    return connection.execute(select(facts.c.value).where(facts.c.name == _WITNESSED)).first() is not None


def note_place(database: Database, *, beside: bool) -> None:
    """Write down where the ledger stands: on which server, and whether a witness lies `beside` it."""
    with database.writing() as connection:
        known = {_SERVER: server(connection), _WITNESSED: "yes" if beside else None}
        for name, value in known.items():
            if value is not None:
                statement = database.insert(facts).values(name=name, value=value)
                connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"value": value}))


# ---------------------------------------------------------------- the quarantine


def quarantined(connection: Connection) -> Brake | None:
    """The quarantine, where the database is in one."""
    return next((brake for brake in on(connection) if brake.campaign == RESTORED), None)


def newest(connection: Connection) -> Restore | None:
    """The restore that was settled last."""
    row = connection.execute(select(restores).order_by(restores.c.id.desc()).limit(1)).first()
    if row is None:
        return None
    told = {name: value for name, value in row._mapping.items() if name != "id"}
    return Restore(**told)


def go_on(
    database: Database, *, since: datetime | None, nothing_lost: bool, by: str, why: str, now: datetime
) -> Restore:
    """Lift the quarantine. `since`: when the backup was made; left out, it is the last sign of life in the ledger.

    nothing_lost: nothing was handed over after the backup, so nothing is suspect.
    """
    with database.writing() as connection:
        quarantine = quarantined(connection)
        until = quarantine.since if quarantine else now
        unknown_since = None if nothing_lost else (since or last_sign(connection) or until)
        suspected = _suspect(connection, unknown_since, until, now) if unknown_since else 0
        incarnation = secrets.token_hex(4)
        if unknown_since:
            skip(connection, incarnation)
        restore = Restore(
            at=now, by=by, why=why, seen=quarantine.why if quarantine else "", since=unknown_since, until=until,
            suspected=suspected, incarnation=incarnation,
        )  # fmt: skip
        connection.execute(restores.insert().values({name: getattr(restore, name) for name in Restore.__slots__}))
        connection.execute(delete(facts).where(facts.c.name.in_([_SERVER, _WITNESSED])))
        connection.execute(delete(brakes).where(brakes.c.campaign == RESTORED))
    return restore


def last_sign(connection: Connection) -> datetime | None:
    """The newest time that the ledger itself wrote down (UTC): it was backed up after it."""
    newest_of = (
        select(attempts.c.began_at).order_by(attempts.c.id.desc()),
        select(events.c.received_at).order_by(events.c.id.desc()),
        select(runs.c.launched_at).order_by(runs.c.id.desc()),
        select(func.max(messages.c.changed_at)),
    )
    found = [connection.execute(query.limit(1)).scalar() for query in newest_of]
    return max((moment for moment in found if moment is not None), default=None)


def _suspect(connection: Connection, since: datetime, until: datetime, now: datetime) -> int:
    """Everything that may have been handed over meanwhile is suspect; what was on its way is in doubt. Returns how many."""
    m = messages.c
    waited = in_state(State.PENDING, State.CLAIMED)
    due = or_(m.due_at <= until + SLACK, m.due_at == WAITS, in_state(State.CLAIMED))
    mine = (waited, due, m.owed_at <= until)
    made_anew: dict[str, Any] = {"values": null(), "content_hash": None, "sent_to": None, "first_sent_at": None}
    fresh = update(messages).where(*mine, m.doubt_since.is_(None)).values(doubt_since=since, **made_anew)
    suspected = connection.execute(fresh).rowcount
    # the one marked re-send may have been made already; by a key that the vendor knows any number may be
    marked = update(messages).where(*mine, m.possible_duplicate, m.first_sent_at.is_not(None))
    suspected += connection.execute(marked.values(first_sent_at=None)).rowcount
    move(connection, "release", now=now, due_at=now, owner=None, lease_until=None)
    doubted = {"reason": Reason.RESTORED.value, "owner": None, "lease_until": None}
    on_its_way = func.coalesce(m.doubt_since, literal(since, m.doubt_since.type))
    suspected += move(connection, "doubt", now=now, doubt_since=on_its_way, **doubted)
    once = (in_state(State.IN_DOUBT), m.delivery == DeliveryClass.AT_LEAST_ONCE.value)
    connection.execute(update(messages).where(*once).values(possible_duplicate=True))  # it may have been made already
    return suspected
