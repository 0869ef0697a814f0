"""Hashes of addresses that were kept letter by letter become those that know no capitals, once in a database's life.

Names in front of an @ are the same in whatever letters they are written: no mailbox that matters tells them apart (RFC 5321
§2.4), and vendors report them in small ones. The hashes need the secret, so no migration of the tables can make them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, Table, bindparam, exists, select, update

from engine.store.tables import contact_points, replies, suppressions

FOLDED = "addresses_folded"
"""The fact that says so."""


def fold_addresses(connection: Connection, *, was: Callable[[str], bytes], now: Callable[[str], bytes]) -> None:
    """Give contact points, suppressions and replies the hashes of `now` in place of those of `was`."""
    c = contact_points.c
    rows = [
        {"this": row.id, "old": was(row.address), "new": now(row.address)}
        for row in connection.execute(select(c.id, c.address).where(c.address.like("%@%")))
        if row.address != row.address.lower()  # SQLite's own lower() knows ASCII alone
    ]
    if rows:
        mine = update(contact_points).where(c.id == bindparam("this")).values(address_hash=bindparam("new"))
        connection.execute(mine, [{"this": row["this"], "new": row["new"]} for row in rows])
        renamed = [{"old": row["old"], "new": row["new"]} for row in rows]
        connection.execute(_renaming(replies), renamed)
        connection.execute(_renaming(suppressions).where(~_told_already()), renamed)


def _renaming(table: Table) -> Any:
    return update(table).where(table.c.address_hash == bindparam("old")).values(address_hash=bindparam("new"))


def _told_already() -> Any:
    """Whether the same reason stands under the new hash."""
    other, s = suppressions.alias(), suppressions.c
    same = (other.c.channel == s.channel, other.c.reason == s.reason, other.c.address_hash == bindparam("new"))
    return exists().where(*same, other.c.lifted_at.is_(None)) & s.lifted_at.is_(None)
