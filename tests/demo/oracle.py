"""The demo's campaigns reckoned a second time, in plain Python over the text file: nothing of the engine is used here.

Times are instants (UTC); purchases are at noon and campaigns at 9, 10 or 11 by the shop's clock. Spans are half-open.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

SHOP = ZoneInfo("America/New_York")

FIRST, LAST = date(1997, 1, 1), date(1998, 6, 30)
"""The days that the demo plays, both included."""

JUNE = date(1998, 6, 1)
"""From this day on every order has its receipt."""

Bought = tuple[datetime, Decimal]
History = Sequence[Bought]


def histories(path: Path) -> Mapping[int, History]:
    """Customer → purchases (when, dollars), oldest first."""
    found: defaultdict[int, list[Bought]] = defaultdict(list)
    for line in path.read_text(encoding="ascii").splitlines():
        _, customer, day, _cds, dollars = line.split()
        noon = shop_time(date(int(day[:4]), int(day[4:6]), int(day[6:])), 12)
        found[int(customer)].append((noon, Decimal(dollars)))
    return {customer: sorted(bought) for customer, bought in found.items()}


def shop_time(day: date, hour: int) -> datetime:
    """An hour of the shop's day, as an instant."""
    return datetime.combine(day, time(hour), tzinfo=SHOP).astimezone(UTC)


def bought_once(history: History, now: datetime) -> bool:
    """Exactly one purchase, more than 30 days ago."""
    return len(history) == 1 and history[0][0] < now - timedelta(days=30)


def lapsing(history: History, now: datetime) -> bool:
    """Two purchases or more, none within 90 days."""
    return len(history) >= 2 and history[-1][0] < now - timedelta(days=90)


def best(history: History, now: datetime) -> bool:
    """Three purchases or more, and at least 150 dollars within 365 days."""
    year = sum((dollars for at, dollars in history if at > now - timedelta(days=365)), Decimal())
    return len(history) >= 3 and year >= 150


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A campaign: whom, on which days at which hour, when again, and how long purchases are counted afterwards."""

    whom: Callable[[History, datetime], bool]
    on: Callable[[date], bool]
    hour: int
    again_after: timedelta | None
    counted_for: timedelta


RULES: Mapping[str, Rule] = {
    "second-purchase": Rule(
        whom=bought_once, on=lambda day: True, hour=10, again_after=None, counted_for=timedelta(days=14)
    ),
    "win-back": Rule(
        whom=lapsing,
        on=lambda day: day.isoweekday() == 1,
        hour=10,
        again_after=timedelta(days=180),
        counted_for=timedelta(days=30),
    ),
    "thank-the-best": Rule(
        whom=best, on=lambda day: day.day == 1, hour=11, again_after=None, counted_for=timedelta(days=30)
    ),
    "christmas": Rule(
        whom=lambda history, now: bool(history),
        on=lambda day: day == date(1997, 12, 1),
        hour=9,
        again_after=None,
        counted_for=timedelta(days=24),
    ),
}

POSTS = sum(1 for day in range((LAST - FIRST).days + 1) if (FIRST + timedelta(days=day)).day == 5)
"""New releases: a public post on the fifth of each month."""


def owed(
    rule: Rule, customers: Mapping[int, History], *, first: date = FIRST, last: date = LAST
) -> set[tuple[int, datetime]]:
    """Who was owed the campaign, and when, over the days from `first` to `last`."""
    found: set[tuple[int, datetime]] = set()
    before: dict[int, datetime] = {}
    for now in _occurrences(rule, first, last):
        for customer, history in customers.items():
            known = [bought for bought in history if bought[0] <= now]
            if rule.whom(known, now) and _may_again(rule, before.get(customer), now):
                found.add((customer, now))
                before[customer] = now
    return found


def _occurrences(rule: Rule, first: date, last: date) -> Iterator[datetime]:
    for days in range((last - first).days + 1):
        day = first + timedelta(days=days)
        if rule.on(day):
            yield shop_time(day, rule.hour)


def _may_again(rule: Rule, before: datetime | None, now: datetime) -> bool:
    return before is None or (rule.again_after is not None and before <= now - rule.again_after)


def afterwards(
    rule: Rule, customers: Mapping[int, History], sent: Iterable[tuple[int, datetime]]
) -> tuple[int, Decimal]:
    """Purchases that followed a sent message within the campaign's span, each counted once, and their dollars."""
    counted = {
        (customer, index)
        for customer, when in sent
        for index, (at, _) in enumerate(customers[customer])
        if when <= at < when + rule.counted_for
    }
    return len(counted), sum((customers[customer][index][1] for customer, index in counted), Decimal())


NIGHT_ENDS, NIGHT_BEGINS = time(9), time(21)
"""No text message comes between 21:00 and 9:00 by the recipient's own clock."""


def not_at_night(when: datetime, zone: ZoneInfo) -> datetime:
    """The instant itself, or the end of the night that it falls into."""
    local = when.astimezone(zone)
    if NIGHT_ENDS <= local.time() < NIGHT_BEGINS:
        return when
    morning = local.date() + timedelta(days=1 if local.time() >= NIGHT_BEGINS else 0)
    return datetime.combine(morning, NIGHT_ENDS, tzinfo=zone).astimezone(UTC)
