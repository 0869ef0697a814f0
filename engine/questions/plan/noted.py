"""Customers of whom gates know more than contact and consent, laid aside once for all campaigns on a channel: nobody else of a
large audience is looked up.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, FromClause, TableClause, column, table

from engine.model import Channel, MessageClass
from engine.policy.facts import Terms, noted
from engine.settings import Settings
from engine.store.aside import forget, lay_aside
from engine.store.tables import Id

MANY = 20_000
"""Of fewer each is looked up sooner."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Noted:
    """`now`: UTC; no campaign is asked about an earlier instant."""

    connection: Connection
    settings: Settings
    now: datetime
    _laid: dict[tuple[Channel, MessageClass], TableClause] = field(default_factory=dict)

    def among(self, people: int, terms: Terms) -> FromClause | None:
        """The ids (customer_id), for an audience of so many; None where each is to be looked up."""
        if people < MANY:
            return None
        key = terms.channel, terms.message_class
        if key not in self._laid:
            self._laid[key] = table("_".join(("noted", *key)), column("customer_id", Id))
            lay_aside(self.connection, self._laid[key].name, noted(terms, self.settings, now=self.now))
        return self._laid[key]

    def forget(self) -> None:
        for each in self._laid.values():
            forget(self.connection, each.name)
        self._laid.clear()


@contextmanager
def noting(connection: Connection, settings: Settings, *, now: datetime) -> Iterator[Noted]:
    """For the length of the block."""
    known = Noted(connection=connection, settings=settings, now=now)
    yield known
    known.forget()
