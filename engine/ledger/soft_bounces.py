"""An address to which message after message fails for reasons that should pass, or that nobody says: a mailbox that stays full, a
number that stays off, a server that says no in words alone.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, exists, func, select

from engine.model import EventName, State
from engine.settings import SoftBounces
from engine.store import Database
from engine.store.tables import events, messages, suppressions

SETTLED = timedelta(days=5)
"""So long mail servers try (RFC 5321 §4.5.4.1): a message of which nothing was heard until then has arrived."""
MOST_UNSETTLED = 100
FAILED = (EventName.BOUNCED.value, EventName.BOUNCED_SOFT.value)
_m = messages.c
ARRIVED = (_m.delivered_at, _m.opened_at, _m.clicked_at, _m.replied_at, _m.opted_out_at)
"""What tells that a message came to somebody."""


def in_a_row(
    connection: Connection, database: Database, message: Row[*tuple[Any, ...]], limit: SoftBounces, *, now: datetime
) -> bool:
    """Whether the newest messages to this message's address all bounced, as many as the limit says and within its time.

    Those that are on their way still are left out; one that arrived, was opened or clicked ends the row, and so does a
    suppression of the address that was lifted.
    """
    if not limit.in_a_row or message.customer_id is None or message.sent_to is None:
        return False
    m, e, s = messages.c, events.c, suppressions.c
    hashed = database.address_hash(message.sent_to)
    lifted = select(func.max(s.lifted_at)).where(s.channel == message.channel, s.address_hash == hashed)
    since = max(now - limit.within, connection.execute(lifted).scalar() or now - limit.within)
    policy = func.coalesce(e.properties["status"].as_string(), "").like("5.7.%")  # our doing, and not the address's
    failed = exists().where(e.message_id == m.id, e.name.in_(FAILED), ~policy)
    query = (
        select(m.first_sent_at, *ARRIVED, failed.label("failed"))
        .where(m.customer_id == message.customer_id, m.channel == message.channel, m.sent_to == message.sent_to)
        .where(m.state == State.ACCEPTED.value, m.first_sent_at > since)
        .order_by(m.first_sent_at.desc(), m.id.desc())
        .limit(limit.in_a_row + MOST_UNSETTLED)
    )
    row = 0
    for each in connection.execute(query):
        if any(each._mapping[time] for time in ARRIVED) or (not each.failed and each.first_sent_at <= now - SETTLED):
            return False
        row += each.failed
        if row == limit.in_a_row:
            return True
    return False
