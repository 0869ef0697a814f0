"""What would happen if this were live: for each campaign its audience now, a sample of it, and when it sends next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from engine.campaigns.launch import campaign_of
from engine.campaigns.schedules import next_occurrence
from engine.model import Channel, MessageClass
from engine.questions.audience import count_of, sample_of
from engine.rules.campaign import Campaign
from engine.rules.compile import audience
from engine.rules.workspace import Workspace
from engine.store import Database
from engine.store.tables import runs


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """One campaign. audience: None for a public post or a triggered campaign. next_at, last_at: UTC; None where there is none.

    audience is who would be owed a message now: the segment, less those that re-entry leaves out. Consent, caps and
    quiet hours are decided for each message immediately before it is sent.
    """

    campaign: str
    description: str
    channel: Channel
    message_class: MessageClass
    started_by: str
    audience: int | None
    sample: tuple[str, ...]
    next_at: datetime | None
    last_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """All campaigns as of an instant, the next to send first."""

    as_of: datetime
    campaigns: tuple[Planned, ...]


def plan(workspace: Workspace, database: Database, *, now: datetime, campaign: str | None = None) -> Plan:
    """Ask for all campaigns or for one. Raises UnknownName with the nearest one that exists."""
    asked = [campaign_of(workspace, campaign)] if campaign else list(workspace.campaigns.values())
    planned = [_planned(workspace, database, one, now) for one in asked]
    planned.sort(key=lambda one: (one.next_at is None, one.next_at or now, one.campaign))
    return Plan(as_of=now, campaigns=tuple(planned))


def _planned(workspace: Workspace, database: Database, campaign: Campaign, now: datetime) -> Planned:
    chosen = audience(workspace, campaign, now=now, dialect=database.dialect) if campaign.trigger is None else None
    following = next_occurrence(campaign.schedule, after=now) if campaign.schedule else None
    with database.reading() as connection:
        last = connection.execute(
            select(func.max(runs.c.launched_at)).where(runs.c.campaign == campaign.campaign)
        ).scalar()
        return Planned(
            campaign=campaign.campaign,
            description=campaign.description,
            channel=campaign.channel,
            message_class=campaign.message_class,
            started_by="schedule" if campaign.schedule else "trigger",
            audience=count_of(connection, chosen) if chosen is not None else None,
            sample=sample_of(connection, chosen) if chosen is not None else (),
            next_at=following.nominal_at if following else None,
            last_at=last,
        )
