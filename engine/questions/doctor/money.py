"""Caps on what messages cost: how much of the day's is left."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection

from engine.ledger.spending import money, spent
from engine.questions.doctor.finding import Finding, good, warning
from engine.sending.cost import day_of
from engine.settings import Settings

NEARLY = Decimal("0.8")


def spending(connection: Connection, settings: Settings, *, now: datetime) -> Iterator[Finding]:
    """Nothing, where nothing is limited."""
    most = settings.guards.spend.a_day if settings.guards.spend else None
    if most is None:
        return
    key = day_of(settings, now)
    used = money(spent(connection, [key]).get(key, 0))
    what = f"{used:,.2f} of {most:,.2f} {settings.currency} are spent today ({used / most:.0%})"
    if used < most * NEARLY:
        yield good("sending", what)
    else:
        yield warning("sending", what, "What does not fit waits for tomorrow; see guards.spend.a_day.")
