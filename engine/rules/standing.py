"""How a customer stands with us, in SQL: what was agreed to, where we can write to, and which lists the id is on."""

from __future__ import annotations

import json

from sqlalchemy import ColumnElement, String, cast, exists, func, literal, select
from sqlalchemy.dialects.postgresql import JSONB

from engine.errors import UnknownName
from engine.model import ConsentStatus
from engine.rules.columns import POSTGRESQL
from engine.rules.frame import Frame
from engine.rules.syntax import Consented, OnList, Reachable
from engine.store.tables import consents, contact_points, customers, suppressions


def consented(condition: Consented, frame: Frame) -> ColumnElement[bool]:
    """The newest word on the purpose, of one of the customer's contact points, is this yes or no."""
    newest = (
        select(consents.c.status)
        .where(consents.c.contact_point_id == contact_points.c.id, consents.c.purpose == condition.purpose)
        .where(consents.c.at <= frame.now)
        .order_by(consents.c.at.desc(), consents.c.id.desc())
        .limit(1)
        .correlate(contact_points)
        .scalar_subquery()
    )
    wanted = ConsentStatus.OPTED_IN if condition.agreed else ConsentStatus.OPTED_OUT
    mine = select(1).where(contact_points.c.customer_id == customers.c.id, newest == wanted.value)
    if condition.channel is not None:
        mine = mine.where(contact_points.c.channel == condition.channel.value)
    return exists(mine.correlate(customers))


def reachable(condition: Reachable, frame: Frame) -> ColumnElement[bool]:
    """The customer has a contact point on the channel, and it is not suppressed."""
    suppressed = (  # one looked for, and none found: of NOT EXISTS PostgreSQL makes a join with all suppressions of the channel
        select(suppressions.c.id)
        .where(suppressions.c.channel == contact_points.c.channel)
        .where(suppressions.c.address_hash == contact_points.c.address_hash, suppressions.c.at <= frame.now)
        .where(suppressions.c.lifted_at.is_(None))
        .limit(1)
        .correlate(contact_points)
        .scalar_subquery()
    )
    mine = select(1).where(contact_points.c.customer_id == customers.c.id, suppressed.is_(None))
    return exists(mine.where(contact_points.c.channel == condition.channel.value).correlate(customers))


def on_list(condition: OnList, frame: Frame) -> ColumnElement[bool]:
    """The customer's id is one of a file's. All ids go as one JSON value: a list may be longer than what a statement binds."""
    if condition.list not in frame.lists:
        raise UnknownName(f'there is no list "{condition.list}"', where=str(condition.at))
    ids = json.dumps(frame.lists[condition.list])
    if frame.dialect == POSTGRESQL:
        each = select(func.jsonb_array_elements_text(cast(literal(ids, String()), JSONB())))
        return customers.c.external_id.in_(each)
    listed = func.json_each(literal(ids, String())).table_valued("value")
    return customers.c.external_id.in_(select(listed.c.value))
