"""Before anything is sent: does this database know of everything that left? If not, it is quarantined."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import structlog

from engine.errors import Quarantined
from engine.ledger import brakes, restores
from engine.scalars import clock_time
from engine.sending.witness import Witness, place, testimonies
from engine.settings import AfterPromotion, Settings
from engine.store import Database

log = structlog.get_logger()

RESTORED = "the database may not know of everything that was sent"
REMEDY = (
    "`regulars resume --after-restore` goes on: what may have left since the backup is then in doubt, and looked up; with "
    "`--nothing-lost` where nothing was sent since. `regulars serve` may run before that, to take the vendors' reports."
)


def suspicion(database: Database, url: str, folder: Path, *, promotions: bool = True) -> str:
    """Why this database may not know of all that was sent; empty where nothing says so. `promotions`: whether a new timeline
    of PostgreSQL says so.
    """
    where = place(url, folder, database.ledger)
    told = list(testimonies(where))
    with database.reading() as connection:
        if other := restores.another_server(connection, promotions=promotions):
            return f"it is {other}"
        known = restores.incarnations(connection)
        if restores.witnessed(connection) and not where.is_dir() and restores.newest_hand_over(connection):
            return f"the witness of what was sent ({where.parent.name}) is not beside it"
        if any(one.incarnation not in known for one in told):
            return "it knows nothing of a restore that was settled already"
        lost = [
            one
            for one in told
            if one.incarnation == known[-1] and not restores.knows(connection, one.message, one.attempt)
        ]
    return f"it does not know of message {lost[0].message}, which was handed over" if lost else ""


def refuse_quarantined(database: Database, zone: ZoneInfo) -> None:
    """Raises Quarantined where the database is in quarantine; its time is told by the clocks of `zone`."""
    with database.reading() as connection:
        quarantine = restores.quarantined(connection)
    if quarantine is not None:
        what = f"{quarantine.why} (seen on {clock_time(quarantine.since, zone)}); nothing is sent"
        raise Quarantined(what, where="config.yaml: database", remedy=REMEDY)


def begin_watched(database: Database, url: str, folder: Path, settings: Settings, *, now: datetime) -> Witness | None:
    """Look whether the database is the one that sent last, and begin a witness of what leaves from now on; None where none
    can be written. Raises Quarantined.
    """
    refuse_quarantined(database, settings.time_zone)
    promotions = settings.sending.promoted is AfterPromotion.ASK
    if why := suspicion(database, url, folder, promotions=promotions):
        brakes.pause(database, brakes.RESTORED, why=f"{RESTORED}: {why}", now=now)
        refuse_quarantined(database, settings.time_zone)
    with database.reading() as connection:
        incarnation, newest = restores.incarnations(connection)[-1], restores.newest_hand_over(connection)
    where = place(url, folder, database.ledger)
    try:
        witness = Witness(where, incarnation)
    except OSError as error:  # a read-only image, say: the server itself is watched all the same
        log.warning("no witness of what is sent can be written", folder=str(where), why=error.strerror)
        witness = None
    if witness and newest:
        witness.note(*newest)
    restores.note_place(database, beside=witness is not None and database.dialect == "sqlite")
    if witness:
        witness.relieve()
    return witness
