"""Who was seen to have left a campaign's audience: written down when the campaign starts, and never taken back."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, Select, literal

from engine.store import Database
from engine.store.tables import customers, departures


def note_departures(
    connection: Connection, database: Database, campaign: str, leavers: Select[tuple[int]], *, now: datetime
) -> None:
    """Write down that these customers are outside at `now`. `leavers` selects their ids."""
    columns = departures.c
    seen = leavers.with_only_columns(
        literal(campaign, columns.campaign.type), customers.c.id, literal(now, columns.at.type)
    )
    rows = database.insert(departures).from_select(["campaign", "customer_id", "at"], seen)
    connection.execute(rows.on_conflict_do_nothing())
