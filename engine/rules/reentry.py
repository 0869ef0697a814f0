"""Re-entry: which messages of a campaign keep their customer out of its audience, and who was seen to have left it.

A customer enters an audience when the rule holds at a start of the campaign, and leaves it when it does not hold at a later one.
Between two starts nobody looks, so whoever leaves and comes back between them never left.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import assert_never

from sqlalchemy import ColumnElement, Select, exists, false, func, not_, or_, select

from engine.model import OPEN
from engine.rules.campaign import Campaign, ReentryAfter
from engine.store.tables import customers, departures, messages, runs


def keeping(campaign: Campaign, now: datetime) -> Sequence[ColumnElement[bool]] | None:
    """What a message of the campaign must be to keep its customer out at `now` (UTC); None where none does.

    With `on_rematch` a message that has not ended yet does, too: nobody waits for two of one campaign.
    """
    match campaign.reentry:
        case "always":
            return None
        case "never":
            return ()
        case ReentryAfter(after=after):
            return (messages.c.owed_at > now - after,)
        case "on_rematch":
            return (or_(messages.c.state.in_(sorted(state.value for state in OPEN)), not_(_left_since(campaign))),)
        case _:
            assert_never(campaign.reentry)


def keeps_out(campaign: Campaign, now: datetime) -> ColumnElement[bool] | None:
    """Whether the ledger holds such a message to the customer, whatever became of it; None where nobody is kept out."""
    those = keeping(campaign, now)
    if those is None:
        return None
    mine = (messages.c.customer_id == customers.c.id, messages.c.campaign == campaign.campaign)
    return exists(select(1).where(*mine, *those).correlate(customers))


def had_it(campaign: Campaign, *those: ColumnElement[bool]) -> Select[tuple[int]]:
    """The customers with such a message of this campaign. Asked from its runs on: they are fewer than all customers."""
    m = messages.c
    its = m.run_id.in_(select(runs.c.id).where(runs.c.campaign == campaign.campaign))
    return select(m.customer_id).where(its, m.customer_id.is_not(None), *those)


def leavers(campaign: Campaign, fits: ColumnElement[bool]) -> Select[tuple[int]]:
    """Whom the rule does not fit now, of those who had this campaign and were not seen to leave since."""
    there = had_it(campaign, not_(_left_since(campaign)))
    return select(customers.c.id).where(customers.c.id.in_(there), not_(func.coalesce(fits, false())))


def _left_since(campaign: Campaign) -> ColumnElement[bool]:
    """Whether the customer of a message was seen outside the campaign's audience after it was owed."""
    seen = (departures.c.campaign == campaign.campaign, departures.c.customer_id == messages.c.customer_id)
    return exists(select(1).where(*seen, departures.c.at > messages.c.owed_at).correlate(messages))
