"""Where our click links lead: each address is written down once, and a click can only go to one that was."""

from __future__ import annotations

from sqlalchemy import select

from engine.store import Database
from engine.store.tables import links

REMEMBERED = 10_000


class LinkNumbers:
    """The numbers of addresses, given at their first use; the common ones are remembered, so that a bulk run asks once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, int] = {}

    def __call__(self, url: str) -> int:
        """The number of an address."""
        if url not in self._known:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[url] = link_id(self._database, url)
        return self._known[url]


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
