"""Where our click links lead: each address is written down once, and a click can only go to one that was."""

from __future__ import annotations

from sqlalchemy import select

from engine.store import Database
from engine.store.tables import links


def link_id(database: Database, url: str) -> int:
    """The number of an address, given at its first use."""
    known = select(links.c.id).where(links.c.url == url)
    with database.reading() as connection:
        found = connection.execute(known).scalar()
    if found is None:
        with database.writing() as connection:
            connection.execute(database.insert(links).values(url=url).on_conflict_do_nothing())
            found = connection.execute(known).scalar_one()
    return int(found)


def link_url(database: Database, number: int) -> str | None:
    """The address that a number stands for; None where there is none."""
    with database.reading() as connection:
        return connection.execute(select(links.c.url).where(links.c.id == number)).scalar()
