"""Whether the clocks can be trusted: leases, schedules and the order of what happened rest on them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, func, select

from engine.questions.doctor.finding import Finding, good, warning, wrong
from engine.scalars import clock_time
from engine.store.tables import messages, runs

AREA = "clock"
BUILT = datetime(2026, 1, 1, tzinfo=UTC)
"""No machine that runs this version has an earlier date."""

SLIGHT, LARGE = timedelta(seconds=2), timedelta(seconds=30)
SET = "Let the machine's clock be set by NTP (chrony, systemd-timesyncd)."


def clocks(connection: Connection, *, now: datetime, zone: ZoneInfo) -> Iterator[Finding]:
    """`now`: this machine's clock, read just before; it is told as the clocks of `zone` show it."""
    if now < BUILT:
        yield wrong(AREA, f"this machine says that it is {now:%Y-%m-%d}", SET)
    newest = [
        connection.execute(select(func.max(column))).scalar() for column in (messages.c.changed_at, runs.c.launched_at)
    ]
    ahead = max((moment - now for moment in newest if moment is not None), default=timedelta())
    if ahead > LARGE:
        what = (
            f"the ledger was written {ahead.total_seconds():,.0f} seconds in the future: a clock was wrong, or is now"
        )
        yield wrong(AREA, what, SET)
    if connection.dialect.name == "postgresql":
        there = connection.execute(select(func.clock_timestamp())).scalar_one()
        yield _compared(abs(there.astimezone(UTC) - now))
    elif now >= BUILT and ahead <= LARGE:
        yield good(AREA, f"this machine says {clock_time(now, zone)} ({zone.key}), and nothing was written later")


def _compared(apart: timedelta) -> Finding:
    what = f"this machine and the database's are {apart.total_seconds():.1f} seconds apart"
    if apart <= SLIGHT:
        return good(AREA, what)
    return warning(AREA, what, SET) if apart <= LARGE else wrong(AREA, what, SET)
