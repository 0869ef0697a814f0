"""Whether an earlier message of the campaign keeps the customer out, and until when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from engine.model import State
from engine.rules.campaign import Campaign, ReentryAfter
from engine.rules.compile import audience
from engine.rules.workspace import Workspace
from engine.scalars import spoken
from engine.store.tables import customers, messages

ANYBODY = {"id": {"present": True}}
"""An audience that leaves only the re-entry rule to decide."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reentry:
    """The campaign's rule in words, and what it says now. last_*: of the newest message, whatever became of it.

    until: when it lets the customer in again; None where it does not keep out, or for ever.
    """

    rule: str
    keeps_out: bool
    last_owed_at: datetime | None
    last_state: State | None
    until: datetime | None

    @property
    def for_ever(self) -> bool:
        """Whether no later time lets the customer in."""
        return self.keeps_out and self.until is None


def reentry(
    workspace: Workspace, connection: Connection, campaign: Campaign, customer_id: int, *, now: datetime
) -> Reentry:
    """Asked by the audience's own SQL, with everybody in the segment."""
    last = connection.execute(
        select(messages.c.owed_at, messages.c.state)
        .where(messages.c.customer_id == customer_id, messages.c.campaign == campaign.campaign)
        .order_by(messages.c.owed_at.desc(), messages.c.id.desc())
        .limit(1)
    ).first()
    keeps_out = not lets_in(workspace, connection, campaign, customer_id, now=now)
    after = campaign.reentry.after if isinstance(campaign.reentry, ReentryAfter) else None
    return Reentry(
        rule=f"again after {spoken(after)}" if after is not None else str(campaign.reentry),
        keeps_out=keeps_out,
        last_owed_at=last.owed_at if last else None,
        last_state=State(last.state) if last else None,
        until=last.owed_at + after if last and keeps_out and after is not None else None,
    )


def lets_in(
    workspace: Workspace, connection: Connection, campaign: Campaign, customer_id: int, *, now: datetime
) -> bool:
    """Whether the re-entry rule alone lets the customer in."""
    open_to_all = campaign.model_copy(update={"audience": ANYBODY})
    chosen = audience(workspace, open_to_all, now=now, dialect=connection.dialect.name)
    return chosen is None or connection.execute(chosen.where(customers.c.id == customer_id)).first() is not None
