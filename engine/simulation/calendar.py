"""What came of a simulation: the calendar of what went out, what was withheld and why, and the pressure on customers."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from heapq import nlargest
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import func, or_, select

from engine.model import OPEN, Channel, State
from engine.store import Database
from engine.store.tables import customers, messages

WINDOW = timedelta(days=7)
MOST_SHOWN = 10
CHUNK = 5_000

_m = messages.c


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One campaign and channel: owed = sent + the withheld + open. `held` counts those that waited at some time, by reason."""

    campaign: str
    channel: Channel
    runs: int
    owed: int
    sent: int
    withheld: Mapping[str, int]
    held: Mapping[str, int]
    open: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Day:
    """What a campaign sent on one day of the shop's calendar."""

    day: date
    campaign: str
    channel: Channel
    sent: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Pressed:
    """One customer, by external id: all messages, and the most within any 7 days."""

    customer: str
    messages: int
    most_in_7_days: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Pressure:
    """How often customers were written to. `by_most`: the most messages within any 7 days → how many customers."""

    customers: int
    written_to: int
    by_most: Mapping[int, int]
    most_written_to: tuple[Pressed, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Simulation:
    """The answer. `start` and `end` in UTC; `days` by the shop's calendar, in `time_zone`; `not_simulated`: campaigns that wait
    for a call.
    """

    start: datetime
    end: datetime
    time_zone: str
    lines: tuple[Line, ...]
    days: tuple[Day, ...]
    pressure: Pressure
    not_simulated: tuple[str, ...]


def read(
    database: Database, *, start: datetime, end: datetime, zone: ZoneInfo, not_simulated: tuple[str, ...] = ()
) -> Simulation:
    """Read it from the ledger that the simulation wrote. `zone`: where a day begins and ends."""
    sent = _Sent(zone)
    with database.reading() as connection:
        lines = tuple(_lines(connection, start))
        query = (
            select(_m.campaign, _m.channel, _m.first_sent_at, customers.c.external_id)
            .select_from(messages.outerjoin(customers, _m.customer_id == customers.c.id))
            .where(*_in_simulation(start), _m.state == State.ACCEPTED.value)
            .order_by(_m.customer_id, _m.first_sent_at, _m.id)
        )
        for row in connection.execute(query.execution_options(yield_per=CHUNK)):
            sent.take(row)
        count = connection.execute(select(func.count()).select_from(customers)).scalar_one()
    return Simulation(
        time_zone=zone.key,
        start=start,
        end=end,
        lines=lines,
        days=sent.days(),
        pressure=sent.pressure(count),
        not_simulated=not_simulated,
    )


def _in_simulation(start: datetime) -> tuple[Any, ...]:
    return _m.changed_at >= start, or_(_m.first_sent_at.is_(None), _m.first_sent_at >= start)


def _lines(connection: Any, start: datetime) -> Iterator[Line]:
    query = (
        select(_m.campaign, _m.channel, _m.state, _m.reason, _m.held_by, func.count().label("count"))
        .where(*_in_simulation(start))
        .group_by(_m.campaign, _m.channel, _m.state, _m.reason, _m.held_by)
    )
    found: defaultdict[tuple[str, str], list[Any]] = defaultdict(list)
    for row in connection.execute(query):
        found[row.campaign, row.channel].append(row)
    counting = select(_m.campaign, func.count(_m.run_id.distinct())).where(*_in_simulation(start)).group_by(_m.campaign)
    runs = dict(connection.execute(counting).all())
    for (campaign, channel), rows in sorted(found.items()):
        states, withheld, held = Counter[State](), Counter[str](), Counter[str]()
        for row in rows:
            state = State(row.state)
            states[state] += row.count
            if state not in OPEN and state is not State.ACCEPTED:
                withheld[row.reason or state.value] += row.count
            if row.held_by:
                held[row.held_by] += row.count
        yield Line(
            campaign=campaign,
            channel=Channel(channel),
            runs=runs[campaign],
            owed=states.total(),
            sent=states[State.ACCEPTED],
            withheld=dict(withheld.most_common()),
            held=dict(held.most_common()),
            open=sum(states[state] for state in OPEN),
        )


@dataclass(kw_only=True)
class _Customer:
    """One customer's messages, in their order: those of the last 7 days, and what was counted so far."""

    name: str
    count: int = 0
    most: int = 0
    recent: deque[datetime] = field(default_factory=deque)

    def take(self, at: datetime) -> None:
        self.recent.append(at)
        while self.recent[0] <= at - WINDOW:
            self.recent.popleft()
        self.count += 1
        self.most = max(self.most, len(self.recent))


class _Sent:
    """Counts messages that come customer by customer, each customer's in the order of time."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._days: Counter[tuple[date, str, str]] = Counter()
        self._by_most: Counter[int] = Counter()
        self._top: list[Pressed] = []
        self._one: _Customer | None = None

    def take(self, row: Any) -> None:
        self._days[row.first_sent_at.astimezone(self._zone).date(), row.campaign, row.channel] += 1
        if row.external_id is None:  # a public post presses nobody
            return
        if self._one is None or self._one.name != row.external_id:
            self._close()
            self._one = _Customer(name=row.external_id)
        self._one.take(row.first_sent_at)

    def _close(self) -> None:
        if self._one is None:
            return
        one, self._one = self._one, None
        self._by_most[one.most] += 1
        pressed = Pressed(customer=one.name, messages=one.count, most_in_7_days=one.most)
        if len(self._top) < MOST_SHOWN or _weight(pressed) > _weight(self._top[-1]):
            self._top = nlargest(MOST_SHOWN, [*self._top, pressed], key=_weight)

    def days(self) -> tuple[Day, ...]:
        return tuple(
            Day(day=day, campaign=campaign, channel=Channel(channel), sent=count)
            for (day, campaign, channel), count in sorted(self._days.items())
        )

    def pressure(self, everybody: int) -> Pressure:
        self._close()
        return Pressure(
            customers=everybody,
            written_to=self._by_most.total(),
            by_most=dict(sorted(self._by_most.items())),
            most_written_to=tuple(self._top),
        )


def _weight(one: Pressed) -> tuple[int, int]:
    return one.messages, one.most_in_7_days
