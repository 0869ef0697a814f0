"""Whether an earlier message of the campaign keeps the customer out, and until when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from engine.model import State
from engine.rules.campaign import Campaign, ReentryAfter
from engine.rules.compile import audience
from engine.rules.workspace import Workspace
from engine.scalars import spoken
from engine.store.tables import customers, departures, messages

ANYBODY = {"id": {"present": True}}
"""An audience that leaves only the re-entry rule to decide."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reentry:
    """The campaign's rule in words, and what it says now. last_*: of the newest message, whatever became of it.

    until: when it lets the customer in again. lasts: how long it keeps out where no time alone ends that, in words.
    left_at: when a start of the campaign last saw the customer outside its audience, where its rule goes by that.
    """

    rule: str
    keeps_out: bool
    last_owed_at: datetime | None
    last_state: State | None
    until: datetime | None
    lasts: str = ""
    left_at: datetime | None = None

    @property
    def for_ever(self) -> bool:
        """Whether no later time by itself lets the customer in."""
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
    left_at = _left(connection, campaign, customer_id, now)
    open_yet = bool(last and left_at and left_at > last.owed_at)
    return Reentry(
        rule=f"again after {spoken(after)}" if after is not None else _RULES.get(str(campaign.reentry), ""),
        keeps_out=keeps_out,
        last_owed_at=last.owed_at if last else None,
        last_state=State(last.state) if last else None,
        until=last.owed_at + after if last and keeps_out and after is not None else None,
        lasts=_LASTS.get("waits" if open_yet else str(campaign.reentry), "") if keeps_out else "",
        left_at=left_at,
    )


_RULES = {"never": "never", "always": "always", "on_rematch": "again after leaving the audience and coming back"}
_LASTS = {
    "never": "for good (reentry: never)",
    "on_rematch": "until a start of the campaign sees the customer outside the audience (reentry: on_rematch)",
    "waits": "while that message has not ended (reentry: on_rematch)",
}


def _left(connection: Connection, campaign: Campaign, customer_id: int, now: datetime) -> datetime | None:
    if campaign.reentry != "on_rematch":
        return None
    seen = departures.c
    newest = select(func.max(seen.at)).where(seen.campaign == campaign.campaign, seen.customer_id == customer_id)
    return connection.execute(newest.where(seen.at <= now)).scalar()


def lets_in(
    workspace: Workspace, connection: Connection, campaign: Campaign, customer_id: int, *, now: datetime
) -> bool:
    """Whether the re-entry rule alone lets the customer in."""
    open_to_all = campaign.model_copy(update={"audience": ANYBODY})
    chosen = audience(workspace, open_to_all, now=now, dialect=connection.dialect.name, everybody=False)
    return chosen is None or connection.execute(chosen.where(customers.c.id == customer_id)).first() is not None
