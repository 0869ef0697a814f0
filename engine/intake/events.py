"""Events in: what customers did, from a file or a request, each stored once by its id."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection

from engine.document import suggestion
from engine.errors import IntakeError
from engine.intake import cells
from engine.intake.columns import quoted, refuse_unknown, require
from engine.intake.imported import Imported
from engine.intake.importing import CHUNK, Progress, opened, take_all
from engine.intake.result import ADDED, CHANGED, UNCHANGED, Taken, rejected
from engine.intake.rows import Row
from engine.settings import Settings
from engine.store import Database, bulk
from engine.store.bulk import EventRow

OWN_COLUMNS = ("id", "customer", "at", "name")
PREFIX = "event:"
"""Goes before the shop's id in the database, where reports of providers have other prefixes."""


def import_events(
    path: Path,
    *,
    settings: Settings,
    database: Database,
    now: datetime,
    name: str | None = None,
    rejects: Path | None = None,
    progress: Progress | None = None,
    chunk: int = CHUNK,
) -> Imported:
    """Take a file of events. `name` says which event a row is that does not say so itself.

    Raises IntakeError, with nothing taken, where the file cannot be read or has an unknown column. Importing a file
    again, or again after a kill, changes nothing that it did before. `chunk`: rows of a transaction.
    """
    if name is not None and name not in settings.events:
        raise IntakeError(f'there is no event "{name}" in config.yaml', remedy=suggestion(name, settings.events))
    with opened(path) as intake:
        source, where = intake.source, f"{path}:1"
        known = known_columns(settings, name if "name" not in source.columns else None)
        if source.fixed:
            require(source.columns, ("id", "customer", "at", *(() if name else ("name",))), known, where)
        refuse_unknown(source.columns, known, where)
        return take_all(
            intake,
            lambda connection, rows: take_events(connection, database, settings, rows, now=now, name=name),
            database=database,
            rejects=rejects,
            progress=progress,
            chunk=chunk,
        )


def known_columns(settings: Settings, name: str | None) -> tuple[str, ...]:
    """The columns of a file of events: of one name, or with None of any."""
    names = [name] if name else list(settings.events)
    properties = dict.fromkeys(each for name in names for each in settings.events[name])
    return (*OWN_COLUMNS, *(each for each in properties if each not in OWN_COLUMNS))


def take_events(
    connection: Connection,
    _database: Database,
    settings: Settings,
    rows: Iterable[Row],
    *,
    now: datetime,
    name: str | None = None,
) -> list[Taken]:
    """Take events in an open transaction; gives the end of each, in their order.

    name: of a row that does not say its own. An event whose id is there already is unchanged, or, where its time or
    its properties are other ones, changed; an id that another customer's or another kind of event has is rejected.
    """
    reader = _Reader(settings, name)
    said = [reader.read(row) for row in rows]
    good = [each for each in said if isinstance(each, EventRow)]
    owners = bulk.customer_ids(connection, {each.customer for each in good})
    stored = bulk.stored_events(connection, [each.external_id for each in good])
    events = _Events(stored, owners)
    ends = [events.take(each) if isinstance(each, EventRow) else each for each in said]
    bulk.insert_events(connection, events.added.values(), owners, received_at=now)
    bulk.update_events(connection, events.changed.values())
    return ends


class _Reader:
    """Reads rows by what config.yaml declares. `columns`: for each event, how a column's cells are read."""

    def __init__(self, settings: Settings, name: str | None) -> None:
        self._name = name
        convert = cells.converters(settings.time_zone)
        own: dict[str, Callable[[object], object]] = {
            "id": cells.identity,
            "customer": cells.identity,
            "at": cells.moments(settings.time_zone),
            "name": cells.text,
        }
        self._columns = {
            event: {**{each: convert[kind] for each, kind in properties.items()}, **own}
            for event, properties in settings.events.items()
        }

    def read(self, row: Row) -> EventRow | Taken:
        """What the row says, or its end where it makes no sense."""
        try:
            name = self._event(row)
            values = cells.read(row, self._columns[name], name)
        except ValueError as error:
            return rejected(error)
        for column in ("id", "customer", "at"):
            if column not in values:
                return rejected(f"{column} is missing")
        values.pop("name", None)
        return EventRow(PREFIX + values.pop("id"), values.pop("customer"), name, values.pop("at"), values)

    def _event(self, row: Row) -> str:
        name = str(row.get("name") or "").strip() or self._name
        if name is None:
            raise ValueError("name is missing")
        if name not in self._columns:
            raise ValueError(f"there is no event {quoted(name)}. {suggestion(name[:60], self._columns)}")
        return name


class _Events:
    """The events that a chunk speaks of, as they are stored and as they will be."""

    def __init__(self, stored: dict[str, EventRow], owners: Collection[str]) -> None:
        self._now, self._owners = stored, owners
        self.added: dict[str, EventRow] = {}
        self.changed: dict[str, EventRow] = {}

    def take(self, said: EventRow) -> Taken:
        """What a row does."""
        if said.customer not in self._owners:
            return rejected("there is no customer with this id: import the customers first")
        key = said.external_id
        before = self._now.get(key)
        if before is None:
            self._now[key] = self.added[key] = said
            return ADDED
        if before == said:
            return UNCHANGED
        if (before.customer, before.name) != (said.customer, said.name):
            return rejected("this id belongs to another event already: another customer's, or one of another name")
        changes = self.added if key in self.added else self.changed
        self._now[key] = changes[key] = said
        return CHANGED
