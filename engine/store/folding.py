"""Hashes of addresses that were kept letter by letter become those that know no capitals, once in a database's life.

Names in front of an @ are the same in whatever letters they are written: no mailbox that matters tells them apart (RFC 5321
§2.4), and vendors report them in small ones. The hashes need the secret, so no migration of the tables can make them.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import ColumnElement, Connection, Table, Update, bindparam, exists, select, update

from engine.store.tables import contact_points, messages, replies, suppressions

FOLDED = "addresses_folded"
"""The fact that says so."""


def fold_addresses(connection: Connection, *, was: Callable[[str], bytes], now: Callable[[str], bytes]) -> None:
    """Give contact points, suppressions and replies the hashes of `now` in place of those of `was`, under every spelling that a
    customer has or that a message went to.
    """
    c, m = contact_points.c, messages.c
    known = select(c.channel, c.address).where(c.address.like("%@%"))
    written = select(m.channel, m.sent_to).where(m.sent_to.like("%@%"))
    rows = [
        {"on": channel, "old": was(address), "new": now(address)}
        for channel, address in connection.execute(known.union(written))
        if address != address.lower()  # SQLite's own lower() knows ASCII alone
    ]
    if rows:
        connection.execute(_renaming(contact_points), rows)
        connection.execute(_renaming(replies), rows)
        connection.execute(_renaming(suppressions).where(~_told_already()), rows)


def _renaming(table: Table) -> Update:
    mine = (table.c.channel == bindparam("on"), table.c.address_hash == bindparam("old"))
    return update(table).where(*mine).values(address_hash=bindparam("new"))


def _told_already() -> ColumnElement[bool]:
    """Whether the same reason stands under the new hash."""
    other, s = suppressions.alias(), suppressions.c
    same = (other.c.channel == s.channel, other.c.reason == s.reason, other.c.address_hash == bindparam("new"))
    return exists().where(*same, other.c.lifted_at.is_(None)) & s.lifted_at.is_(None)
