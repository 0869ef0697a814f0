"""How the mailboxes go that reports are fetched from, for people to look at. Nothing depends on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from engine.store import Database
from engine.store.tables import inboxes


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """A look into one mailbox of a provider. problem: why it failed, empty where it did not.

    taken: mails that were taken out. aside: mails that say nothing that can be believed, as they lie there now.
    """

    provider: str
    name: str
    looked_at: datetime
    problem: str
    taken: int
    aside: int


def looked(database: Database, look: Look) -> None:
    """Write down how a look went. `taken` adds up."""
    row = {**asdict(look), "problem": look.problem or None}
    here = database.insert(inboxes).values(row)
    changes = {**row, "taken": inboxes.c.taken + look.taken}
    with database.writing(durable=False) as connection:
        connection.execute(here.on_conflict_do_update(index_elements=["provider", "name"], set_=changes))


def last_looks(connection: Connection) -> Sequence[Look]:
    """The last look into each mailbox."""
    query = select(inboxes).order_by(inboxes.c.provider, inboxes.c.name)
    return [Look(**{**row._mapping, "problem": row.problem or ""}) for row in connection.execute(query)]
