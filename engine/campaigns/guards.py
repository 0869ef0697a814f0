"""Launches that nobody meant: an audience too large, or grown too much. Held, written down, and let go by a person."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, select

from engine.errors import HeldBack
from engine.guards import Canary
from engine.ledger import canaries, restores
from engine.rules.campaign import Campaign
from engine.scalars import clock_time
from engine.settings import Settings
from engine.store.tables import runs


def refuse_runaway(connection: Connection, settings: Settings, campaign: Campaign, *, run_id: int, owed: int) -> None:
    """Raises HeldBack where this run owes so much that a person should look first."""
    guards = settings.guards.of(campaign.guards)
    if guards.audience_at_most is not None and owed > guards.audience_at_most:
        what = f"it would go to {owed:,}; guards.audience_at_most is {guards.audience_at_most:,}"
        raise HeldBack(what, remedy=_remedy(campaign))
    before = last_owed(connection, campaign.campaign, besides=run_id)
    if before and owed >= guards.jump_from and owed > before * (1 + guards.audience_jump):
        what = f"it went to {before:,} the last time and would go to {owed:,}; guards.audience_jump is {guards.audience_jump:.0%}"
        raise HeldBack(what, remedy=_remedy(campaign))


def refuse_lost(connection: Connection, campaign: Campaign, nominal_at: datetime, *, zone: ZoneInfo) -> None:
    """Raises HeldBack, with times by the clocks of `zone`, where a restored database cannot know whether this was launched before."""
    lost = restores.newest(connection)
    if lost is not None and lost.since is not None and nominal_at <= lost.until:
        what = (
            f"it was due before the database was restored, and may have been launched between "
            f"{clock_time(lost.since, zone)} and {clock_time(lost.until, zone)}"
        )
        remedy = f"Look at the provider's own list; `regulars launch {campaign.campaign} --confirm` launches it now."
        raise HeldBack(what, remedy=remedy)


def _remedy(campaign: Campaign) -> str:
    return f"Look at `regulars plan {campaign.campaign}`; `regulars launch {campaign.campaign} --confirm` lets it go."


def begin_canary(
    connection: Connection, canary: Canary, run_id: int, campaign: str, *, owed: int, now: datetime
) -> None:
    """A run that is large enough is watched from here on; a small one leaves as one after all."""
    if owed < canary.smallest:
        canaries.all_due(connection, run_id, now=now)
    else:
        canaries.opened(connection, run_id, campaign, canary.model_dump(mode="json"), now=now)


def last_owed(connection: Connection, campaign: str, *, besides: int | None = None) -> int:
    """How many the newest run of a campaign owed something: one that was undone is no measure, nor is one to nobody."""
    r = runs.c
    query = select(r.owed).where(r.campaign == campaign, r.cancelled_at.is_(None), r.owed > 0, r.id != (besides or 0))
    return int(connection.execute(query.order_by(r.nominal_at.desc()).limit(1)).scalar() or 0)
