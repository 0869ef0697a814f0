"""Who was seen to have left a campaign's audience: written down when the campaign starts, and never taken back."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, Select, literal

from engine.store import Database
from engine.store.expressions import chosen_first
from engine.store.tables import departures


def note_departures(
    connection: Connection, database: Database, campaign: str, leavers: Select[tuple[int]], *, now: datetime
) -> None:
    """Write down that these customers are outside at `now`. `leavers` selects their ids."""
    columns = departures.c
    seen = chosen_first(leavers, dialect=database.dialect).add_columns(
        literal(campaign, columns.campaign.type), literal(now, columns.at.type)
    )
    rows = database.insert(departures).from_select(["customer_id", "campaign", "at"], seen)
    connection.execute(rows.on_conflict_do_nothing())
