"""What one message costs, and which caps it is under: its run's, its campaign's of the day, the workspace's of the day."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from engine.addresses import country_of
from engine.content import sms
from engine.guards import Spend
from engine.ledger.spending import Cap, Cost, millionths
from engine.model import Channel, MessageClass, Reason
from engine.provider import Outgoing, TextContent
from engine.rules.campaign import Campaign
from engine.scalars import first_instant
from engine.settings import Settings


def price_of(settings: Settings, outgoing: Outgoing) -> int:
    """In millionths of the currency; 0 where config.yaml has no price for it."""
    prices = settings.prices
    price = None
    if outgoing.channel is Channel.EMAIL:
        price = prices.email
    elif outgoing.channel is Channel.SMS and prices.sms and isinstance(outgoing.content, TextContent):
        price = prices.of_text(country_of(outgoing.to or ""), sms.segments(outgoing.content.text).count)
    return millionths(price) if price else 0


def cost_of(settings: Settings, campaign: Campaign, run_id: int, outgoing: Outgoing, *, now: datetime) -> Cost:
    """A transactional message counts for the workspace's day and is held by its own campaign's caps alone: a receipt does
    not wait because a newsletter was dear.
    """
    amount = price_of(settings, outgoing)
    if not amount:
        return Cost()
    day, ends = _today(settings.time_zone, now)
    everybody, own = settings.guards.spend or Spend(), campaign.guards.spend or Spend()
    held = campaign.message_class is MessageClass.COMMERCIAL
    caps, counted = [], []
    for key, most, reason, over, holds in (
        (f"run {run_id}", own.a_run or (everybody.a_run if held else None), Reason.RUN_SPENT, None, True),
        (f"campaign {campaign.campaign} {day}", own.a_day, Reason.DAY_SPENT, ends, True),
        (f"all {day}", everybody.a_day, Reason.DAY_SPENT, ends, held),
    ):
        if most is None:
            continue
        if holds:
            caps.append(Cap(key=key, most=millionths(most), reason=reason, ends=over))
        else:
            counted.append(key)
    return Cost(amount=amount, caps=tuple(caps), counted=tuple(counted))


def day_of(settings: Settings, now: datetime) -> str:
    """The name of the day's spending of the whole workspace."""
    return f"all {_today(settings.time_zone, now)[0]}"


def _today(zone: ZoneInfo, now: datetime) -> tuple[str, datetime]:
    today = now.astimezone(zone).date()
    return today.isoformat(), _end_of(today.toordinal(), zone)


@lru_cache(maxsize=16)
def _end_of(day: int, zone: ZoneInfo) -> datetime:
    tomorrow = datetime.fromordinal(day) + timedelta(days=1)
    return first_instant(datetime.combine(tomorrow.date(), time()), zone)
