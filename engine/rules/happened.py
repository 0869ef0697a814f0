"""What a customer did, and what became of messages to the customer, in SQL: which rows count, and what is measured over them.

Everything stands in subqueries correlated on customers.id, over events(customer_id, name, at) and messages(customer_id, …);
only a place among all (`among_best`) is taken over all customers at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, FromClause, and_, exists, func, literal, not_, select, true

from engine.model import AttributeType
from engine.rules.columns import Typed, in_json
from engine.rules.frame import Frame
from engine.rules.measures import MEASURES, Sample
from engine.rules.messages import REACHED
from engine.rules.syntax import Did, Got, Measured, Property, Since, Then, Window
from engine.store.expressions import later
from engine.store.tables import customers, events, messages

HAPPENED = Did | Got


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """The rows that count, of events or messages: whose and when, and the conditions they pass."""

    table: FromClause
    customer_id: ColumnElement[int]
    at: ColumnElement[Any]
    where: tuple[ColumnElement[bool], ...]


def happened(condition: HAPPENED, frame: Frame) -> ColumnElement[bool]:
    """Whether the rows that count satisfy the measure; without one, whether there are any."""
    measured = condition.measured
    if measured is None:
        rows = _rows(condition, frame)
        return exists(select(1).where(*rows.where, rows.customer_id == customers.c.id).correlate(customers))
    tests = frame.tests(measured.tests, MEASURES[measured.measure].type, amount(condition, measured, frame))
    return tests if measured.best is None else and_(tests, _among_best(condition, measured, frame))


def amount(condition: HAPPENED, measured: Measured, frame: Frame) -> Typed:
    """What is measured over one customer's rows that count."""
    rows = _rows(condition, frame)
    taken = _taken(condition, measured, rows, frame)
    mine = select(taken.column).where(*rows.where, rows.customer_id == customers.c.id).correlate(customers)
    return Typed(column=mine.scalar_subquery(), bind=taken.bind, dialect=frame.dialect)


def _among_best(condition: HAPPENED, measured: Measured, frame: Frame) -> ColumnElement[bool]:
    """Fewer than so many percent of those who have a measure have a higher one. Equal ones are in or out together."""
    assert measured.best is not None
    rows = _rows(condition, frame)
    value = _taken(condition, measured, rows, frame).column
    each = select(rows.customer_id.label("customer_id"), value.label("value"))
    each_one = each.where(*rows.where, rows.customer_id.is_not(None)).group_by(rows.customer_id).subquery()
    better = func.rank().over(order_by=each_one.c.value.desc()) - 1
    placed = select(each_one.c.customer_id, better.label("better"), func.count().over().label("everybody"))
    place = placed.where(each_one.c.value.is_not(None)).subquery()
    # in hundredths of thousandths, so that both databases count in whole numbers
    share = literal(int(measured.best * 1_000_000), BigInteger())
    best = select(place.c.customer_id).where(place.c.better * 100_000_000 < place.c.everybody * share)
    return customers.c.id.in_(best)


def _taken(condition: HAPPENED, measured: Measured, rows: Rows, frame: Frame) -> Typed:
    measure, of = MEASURES[measured.measure], None
    if measured.of is not None and isinstance(condition, Did):
        assert measured.type is not None
        of = _property(rows.table, measured.of, measured.type, frame)
    where = condition.where if isinstance(condition, Did) else ()
    window = condition.window
    sample = Sample(
        at=rows.at,
        of=of,
        passing=and_(true(), *_pass(where, rows.table, frame)) if measure.compares else None,
        middle=frame.now - window.within / 2 if window.within else None,
        now=frame.now,
        dialect=frame.dialect,
    )
    return measure.take(sample)


def _rows(condition: HAPPENED, frame: Frame) -> Rows:
    return _events(condition, frame) if isinstance(condition, Did) else _messages(condition, frame)


def _events(did: Did, frame: Frame) -> Rows:
    e = events.alias() if did.then else events
    where = [e.c.name == did.event, *_within(did.window, e.c.customer_id, e.c.at, frame)]
    if not (did.measured and MEASURES[did.measured.measure].compares):
        where += _pass(did.where, e, frame)
    where += [_followed(then, e, frame) for then in did.then]
    return Rows(table=e, customer_id=e.c.customer_id, at=e.c.at, where=tuple(where))


def _messages(got: Got, frame: Frame) -> Rows:
    at = REACHED[got.word].at
    where = list(_within(got.window, messages.c.customer_id, at, frame))
    if got.campaign is not None:
        where.append(messages.c.campaign == got.campaign)
    if got.channel is not None:
        where.append(messages.c.channel == got.channel.value)
    return Rows(table=messages, customer_id=messages.c.customer_id, at=at, where=tuple(where))


def _within(window: Window, owner: ColumnElement[int], at: ColumnElement[Any], frame: Frame) -> Iterator[Any]:
    """Not after `now`, whatever else: the same `now` gives the same audience whatever has been recorded since."""
    yield at <= frame.now
    if window.within is not None:
        yield at > frame.now - window.within
    if isinstance(window.since, Since):
        yield at > _edge(window.since, owner, frame)
    elif window.since is not None:
        yield at >= frame.instant(window.since)
    if window.before is not None:
        yield at < frame.instant(window.before)
    if window.between is not None:
        yield at >= frame.instant(window.between[0])
        yield at <= frame.instant(window.between[1])


def _edge(since: Since, owner: ColumnElement[int], frame: Frame) -> ColumnElement[Any]:
    other = events.alias()
    edge = func.max(other.c.at) if since.edge == "last" else func.min(other.c.at)
    mine = select(edge).where(other.c.customer_id == owner, other.c.name == since.event, other.c.at <= frame.now)
    return mine.correlate_except(other).scalar_subquery()


def _followed(then: Then, first: Any, frame: Frame) -> ColumnElement[bool]:
    """Whether another event followed, later than the first; or did not, though its time is over."""
    other = events.alias()
    where = [other.c.customer_id == first.c.customer_id, other.c.name == then.event]
    where += [other.c.at > first.c.at, other.c.at <= frame.now]
    if then.within is not None:
        where.append(other.c.at <= later(first.c.at, then.within, dialect=frame.dialect))
    for name, kind in then.same:
        where.append(_property(other, name, kind, frame).column == _property(first, name, kind, frame).column)
    where += _pass(then.where, other, frame)
    found = exists(select(1).where(*where).correlate_except(other))
    if then.happened:
        return found
    return not_(found) if then.within is None else and_(first.c.at <= frame.now - then.within, not_(found))


def _pass(where: tuple[Property, ...], table: Any, frame: Frame) -> list[ColumnElement[bool]]:
    return [frame.tests(part.tests, part.type, _property(table, part.name, part.type, frame)) for part in where]


def _property(table: Any, name: str, kind: AttributeType, frame: Frame) -> Typed:
    return in_json(table.c.properties, name, kind, frame.dialect)
