"""What somebody should look at before it is sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from engine.guards import Spend
from engine.ledger.holds import Hold
from engine.model import Channel, Reason
from engine.questions.plan.change import Change
from engine.questions.plan.cost import Cost
from engine.questions.plan.gates import Outlook
from engine.rules.campaign import Campaign
from engine.scalars import clock_time
from engine.settings import Settings


def warnings_of(
    campaign: Campaign,
    settings: Settings,
    seen: Outlook,
    *,
    since_run: Change | None,
    since_head: Change | None,
    cost: Cost,
    held: Sequence[Hold] = (),
) -> Iterator[str]:
    """In plain sentences, the weightiest first."""
    for one in held:
        yield f"Held since {clock_time(one.since, settings.time_zone)}: {one.why}"
    yield from _of_size(campaign, settings, seen.tally.count, since_run, since_head)
    yield from _of_withheld(campaign, seen)
    yield from _of_money(campaign, settings, cost)


def _of_size(
    campaign: Campaign, settings: Settings, size: int, since_run: Change | None, since_head: Change | None
) -> Iterator[str]:
    guards = settings.guards.of(campaign.guards)
    share = guards.audience_jump
    if guards.audience_at_most is not None and size > guards.audience_at_most:
        yield f"The launch would be held: {size:,} people, and guards.audience_at_most is {guards.audience_at_most:,}."
    if since_run is not None and _jumped(size, since_run.before, share, down=campaign.reentry == "always"):
        yield f"The audience went from {since_run.before:,} in the last run to {size:,}: guards.audience_jump is {share:.0%}."
    if since_head is not None and _jumped(size, since_head.before, share, down=True):
        yield (
            f"The changed rules take the audience from {since_head.before:,} to {size:,}: "
            f"guards.audience_jump is {share:.0%}."
        )


def _of_withheld(campaign: Campaign, seen: Outlook) -> Iterator[str]:
    if unwritten := seen.withheld[Reason.TEMPLATE_ERROR]:
        yield f"{unwritten:,} cannot be written: see the sample."
    refused = [post for post in seen.posts if post.refusal]
    for post in refused:
        yield f"{post.provider} will not publish it: {post.refusal}."
    if seen.withheld[Reason.REFUSED] and not refused:
        yield no_way(campaign)
    if seen.tally.count and seen.withheld.total() == seen.tally.count:
        yield "Everybody is withheld: nothing would be sent."


def _of_money(campaign: Campaign, settings: Settings, cost: Cost) -> Iterator[str]:
    own, everybody = campaign.guards.spend or Spend(), settings.guards.spend or Spend()
    caps = (
        ("a_run", own.a_run or everybody.a_run, "the campaign would be paused"),
        ("a_day", own.a_day or everybody.a_day, "the rest would wait for the next day"),
    )
    for name, most, then in caps:
        if most is not None and cost.amount is not None and cost.amount > most:
            yield (
                f"It would cost {cost.amount:,.2f} {settings.currency}, and guards.spend.{name} is {most:,.2f}: "
                f"after about {int(cost.messages * most / cost.amount):,} messages {then}."
            )
    if campaign.channel is Channel.SMS and settings.prices.sms and cost.unpriced:
        yield f"{cost.unpriced:,} SMS go to countries without a price: add `default` to prices.sms in config.yaml."


def no_way(campaign: Campaign) -> str:
    """Where config.yaml has no route for its messages."""
    return f"No provider carries {campaign.message_class} {campaign.channel}: see channels in config.yaml."


def _jumped(now: int, before: int, share: Decimal, *, down: bool) -> bool:
    """Whether the audience grew by more than the share, or `down`, shrank by it. After nobody, anybody is no jump."""
    if not before:
        return False
    by = Decimal(now - before) / before
    return by > share or (down and -by > share)
