"""Whether this is the database that sent last: restored from a backup or failed over, it would send again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from engine.ledger import restores
from engine.questions.doctor.finding import Finding, good, skipped, wrong
from engine.sending.restored import REMEDY, RESTORED, suspicion
from engine.sending.witness import place as witness_place
from engine.sending.witness import testimonies
from engine.settings import AfterPromotion, Settings
from engine.store import Database
from engine.store.identity import server

AREA = "database"


def place(database: Database, settings: Settings, folder: Path) -> Iterator[Finding]:
    """The quarantine, and what would lead to one."""
    url, asks = settings.database, settings.sending.promoted is AfterPromotion.ASK
    with database.reading() as connection:
        quarantine, there = restores.quarantined(connection), server(connection)
    if quarantine:
        why = f"{quarantine.why}; nothing is sent"
    elif why := suspicion(database, url, folder, promotions=asks):
        why = f"{RESTORED}: {why}; the next start will send nothing"
    if why:
        yield wrong(AREA, why, REMEDY)
        return
    witnesses = len(set(testimonies(witness_place(url, folder, database.ledger))))
    if witnesses:
        yield good(AREA, f"it knows of what left last, by {witnesses} witness{'es' if witnesses > 1 else ''}")
    elif there is None:
        yield skipped(AREA, "nothing was sent from here yet: whether it was restored from a backup cannot be told")
    else:
        yield good(AREA, "it stands on the server, timeline and database that sent last")
