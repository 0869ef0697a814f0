"""Not yet: the next instant at which time alone lets the customer in, and what has changed by then.

The instants worth asking about come from the customer's own records and the rule's own spans: an event leaves a window of
90 days 90 days after it happened. Each is tried with the audience's own SQL at that `now`, so that what is said here is
what will happen, as long as the customer does nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, select

from engine.model import AttributeType
from engine.questions.trace import Node
from engine.rules.operators import OPERATORS, Takes
from engine.rules.syntax import Ago, Attribute, Condition, Did, Got, InSegment, Measured, Rfm, Test, parts
from engine.rules.workspace import Workspace
from engine.scalars import first_instant, instant
from engine.store.tables import consents, contact_points, customers, events, messages

DAYS_AHEAD = 400
"""How many midnights are tried where a rule speaks of days: more than a year, so that a birthday comes round."""

MOST_RECORDS, MOST_INSTANTS = 300, 2000
"""The newest records that are looked at, and the instants that are tried at most."""

BY_RECORDS = frozenset({"times", "sum", "avg", "min", "max", "distinct", "first", "last"})
"""Measures that change only when an event enters or leaves the window, or reaches an age that the rule names."""

COME_ROUND = frozenset(operator.name for operator in OPERATORS.values() if operator.takes is Takes.DAYS)
"""What a test of these says may change at any midnight."""

INSTANT, SECOND = timedelta(microseconds=1), timedelta(seconds=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A single condition whose verdict is another one by then."""

    sentence: str
    verdict: bool


def first_moment(
    holds: Callable[[datetime], bool],
    workspace: Workspace,
    connection: Connection,
    conditions: Iterable[Condition],
    customer_id: int,
    *,
    spans: Iterable[timedelta] = (),
    now: datetime,
) -> datetime | None:
    """The first instant after `now` at which `holds`; None where time alone does not bring it about,
    or where that cannot be told, because customers are ranked among each other.

    conditions: what `holds` depends on, segments included. spans: further lengths of time that it depends on.
    """
    leaves = [leaf for condition in conditions for leaf in _leaves(workspace, condition)]
    lengths = {timedelta(), *spans, *(span for leaf in leaves for span in _spans(leaf))}
    if any(map(_ranks, leaves)):
        return None
    tried = sorted(set(_instants(workspace, connection, customer_id, leaves, lengths, now)))[:MOST_INSTANTS]
    before = now
    for at in tried:
        if holds(at):
            return _earliest(holds, before, at)
        before = at
    return None


def changes(now: Node, then: Node) -> tuple[Change, ...]:
    """The single conditions whose verdict differs between two traces of one rule, each once, in the order of the rule."""
    return tuple(dict.fromkeys(_changes(now, then)))


def _changes(now: Node, then: Node) -> Iterator[Change]:
    if not now.children and now.verdict is not then.verdict:
        yield Change(sentence=then.sentence, verdict=then.verdict)
    for before, after in zip(now.children, then.children, strict=True):
        yield from _changes(before, after)


def _earliest(holds: Callable[[datetime], bool], before: datetime, at: datetime) -> datetime:
    """The instant between the two at which it begins to hold; `at` itself most often, else found by halving."""
    if at - before <= INSTANT or not holds(at - INSTANT):
        return at
    while at - before > INSTANT:
        middle = before + (at - before) / 2
        before, at = (before, middle) if holds(middle) else (middle, at)
    return at


def _leaves(workspace: Workspace, condition: Condition) -> Iterator[Condition]:
    """The single conditions, those of the segments mentioned included."""
    inner = parts(condition)
    if isinstance(condition, InSegment) and condition.segment in workspace.segments:
        inner = (workspace.segments[condition.segment].who,)
    if not inner:
        yield condition
    for part in inner:
        yield from _leaves(workspace, part)


def _spans(said: object) -> Iterator[timedelta]:
    """Every length of time that a condition names, wherever it stands in it."""
    for part in _within(said):
        if isinstance(part, Ago | timedelta):
            yield part.span if isinstance(part, Ago) else part


def _events(said: object) -> Iterator[str]:
    """Every event that a condition names."""
    for part in _within(said):
        name = getattr(part, "event", None)
        if isinstance(name, str):
            yield name


def _within(said: object) -> Iterator[object]:
    """A part of a condition, and whatever it is made of."""
    yield said
    inner: Iterable[object] = ()
    if isinstance(said, tuple):
        inner = said
    elif dataclasses.is_dataclass(said):
        inner = [getattr(said, field.name) for field in dataclasses.fields(said)]
    for part in inner:
        yield from _within(part)


def _instants(
    workspace: Workspace,
    connection: Connection,
    customer_id: int,
    leaves: Sequence[Condition],
    lengths: Iterable[timedelta],
    now: datetime,
) -> Iterator[datetime]:
    """Every instant after `now` at which one of the conditions may change."""
    zone, lengths = workspace.settings.time_zone, sorted(lengths)
    for recorded in set(_records(workspace, connection, customer_id, leaves)):
        for length in lengths:
            yield from (at for at in _turns(recorded, length, zone) if at > now)
    if any(map(_changes_by_day, leaves)):
        today = now.astimezone(zone).date()
        yield from (_midnight(today + timedelta(days=days), zone) for days in range(1, DAYS_AHEAD + 1))


def _ranks(leaf: Condition) -> bool:
    """Whether it depends on what everybody does: then nothing can be foretold, and asking often would take long."""
    return isinstance(leaf, Rfm) or (
        isinstance(leaf, Did | Got) and leaf.measured is not None and leaf.measured.best is not None
    )


def _changes_by_day(leaf: Condition) -> bool:
    """Whether a condition may change between the instants that its records and spans make: then each midnight is tried, too."""
    if any(isinstance(part, Test) and part.operator in COME_ROUND for part in _within(leaf)):
        return True
    match leaf:
        case Attribute(type=AttributeType.DATE):
            return any(True for _ in _spans(leaf))
        case Did(measured=Measured(measure=measure)) | Got(measured=Measured(measure=measure)):
            return measure not in BY_RECORDS
        case _:
            return False


def _turns(recorded: datetime | date, length: timedelta, zone: ZoneInfo) -> Iterator[datetime]:
    """When something recorded is so old, and right after it. A time among attributes counts to the second, a date by days."""
    try:
        if isinstance(recorded, datetime):
            yield from (recorded + length, recorded + length + INSTANT, recorded + length + SECOND)
        else:
            reached = recorded + timedelta(days=length.days)
            yield from (_midnight(reached, zone), _midnight(reached + timedelta(days=1), zone))
    except OverflowError:  # the calendar ends before
        return


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return first_instant(datetime.combine(day, time()), zone)


def _records(
    workspace: Workspace, connection: Connection, customer_id: int, leaves: Sequence[Condition]
) -> Iterator[datetime | date]:
    """Every time and date that is recorded about a customer: what they did, were sent and said, and what is known of them."""
    customer = connection.execute(select(customers).where(customers.c.id == customer_id)).one()
    yield customer.created_at
    yield from _times(customer.attributes, workspace.settings.attributes)
    mine = select(events.c.name, events.c.at, events.c.properties).where(events.c.customer_id == customer_id)
    mine = mine.where(events.c.name.in_({name for leaf in leaves for name in _events(leaf)}))
    for event in connection.execute(mine.order_by(events.c.at.desc()).limit(MOST_RECORDS)):
        yield event.at
        yield from _times(event.properties, workspace.settings.happenings.get(event.name, {}))
    m = messages.c
    stamps = (m.owed_at, m.first_sent_at, m.accepted_at, m.delivered_at, m.opened_at, m.clicked_at, m.replied_at)
    sent = select(*stamps).where(m.customer_id == customer_id).order_by(m.owed_at.desc()).limit(MOST_RECORDS)
    for row in connection.execute(sent):
        yield from (stamp for stamp in row if stamp is not None)
    said = select(consents.c.at).join(contact_points, contact_points.c.id == consents.c.contact_point_id)
    yield from connection.execute(said.where(contact_points.c.customer_id == customer_id)).scalars()


def _times(known: Mapping[str, object], declared: Mapping[str, AttributeType]) -> Iterator[datetime | date]:
    """The times and dates among attributes or properties; what is not one, as its declaration says, is left out."""
    for name, kind in declared.items():
        value = known.get(name)
        if isinstance(value, str) and kind in _READ:
            try:
                yield _READ[kind](value)
            except ValueError:
                continue


_READ: Mapping[AttributeType, Callable[[str], datetime | date]] = {
    AttributeType.TIME: instant,
    AttributeType.DATE: date.fromisoformat,
}
