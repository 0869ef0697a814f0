"""The copy of a database as it was at the moment that a simulation begins with: what was sent later never happened."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, delete, exists, or_, select, update

from engine.intake.profiles import IMPORT
from engine.model import OPEN, State
from engine.store import Database
from engine.store.tables import attempts, consents, departures, events, messages, runs, schedules

_m = messages.c
_FORGOTTEN = (
    "reason", "held_by", "detail", "owner", "lease_until", "contact_point_id", "sent_to", "provider", "provider_message_id",
    "template_path", "values", "content_hash", "first_sent_at", "accepted_at", "delivered_at", "bounced_at", "opened_at",
    "clicked_at", "complained_at", "opted_out_at", "replied_at", "doubt_since",
)  # fmt: skip


def rewind(database: Database, to: datetime) -> None:
    """Take everything back that this ledger did at `to` or later. Customers, their events and their words stay.

    A message owed before, and sent or ended later, waits again. An import dates consents by its own day: where the first
    word on a purpose is an import's, it counts from the beginning. Addresses suppressed today are suppressed throughout.
    """
    with database.writing() as connection:
        _forget_later_runs(connection, to)
        _open_again(connection, to)
        _believe_imports(connection, to)


def _forget_later_runs(connection: Connection, to: datetime) -> None:
    later = select(_m.id).where(_m.owed_at >= to)
    connection.execute(delete(events).where(events.c.message_id.in_(later)))
    connection.execute(delete(attempts).where(attempts.c.message_id.in_(later)))
    connection.execute(delete(messages).where(_m.owed_at >= to))
    connection.execute(delete(runs).where(runs.c.launched_at >= to))
    connection.execute(delete(departures).where(departures.c.at >= to))
    connection.execute(delete(schedules).where(schedules.c.known_since >= to))


def _open_again(connection: Connection, to: datetime) -> None:
    states = [state.value for state in OPEN]
    unfinished = or_(_m.first_sent_at.is_(None), _m.first_sent_at >= to), or_(_m.state.in_(states), _m.changed_at >= to)
    these = select(_m.id).where(*unfinished)
    connection.execute(delete(attempts).where(attempts.c.message_id.in_(these)))
    waiting = {"state": State.PENDING.value, "due_at": to, "changed_at": to, "attempts": 0, "possible_duplicate": False}
    connection.execute(update(messages).where(*unfinished).values({**waiting, **dict.fromkeys(_FORGOTTEN)}))


def _believe_imports(connection: Connection, to: datetime) -> None:
    before = consents.alias()
    earlier = exists().where(
        before.c.contact_point_id == consents.c.contact_point_id,
        before.c.purpose == consents.c.purpose,
        or_(before.c.at < consents.c.at, (before.c.at == consents.c.at) & (before.c.id < consents.c.id)),
    )
    first = consents.c.at > to, consents.c.source == IMPORT, ~earlier
    connection.execute(update(consents).where(*first).values(at=to))
