"""What a customer did, and what became of messages to the customer, in SQL: which rows count, and what is measured over them.

For one customer it stands in subqueries correlated on customers.id, over the indexes of events and messages; for everybody in
passes over all rows of a kind, grouped by customer. A place among all (`among_best`) is always taken over everybody.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Select,
    and_,
    case,
    exists,
    func,
    literal,
    not_,
    select,
    true,
)

from engine.model import AttributeType
from engine.rules.columns import Typed, in_json, numbers
from engine.rules.frame import Frame, Group
from engine.rules.measures import DISTINCT, MEASURES, Sample
from engine.rules.messages import REACHED
from engine.rules.sources import rows_of
from engine.rules.syntax import Did, Got, Measured, Property, Since, Then, Window
from engine.store.expressions import later
from engine.store.tables import customers, events, messages

HAPPENED = Did | Got
FIRST = events.alias("first_event")
"""Events that others must have followed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """The rows that count, of events or messages: whose and when, `of` which kind, and what `counts` of them."""

    table: FromClause
    customer_id: ColumnElement[int]
    at: ColumnElement[Any]
    of: tuple[ColumnElement[bool], ...]
    counts: tuple[ColumnElement[bool], ...]

    @property
    def where(self) -> tuple[ColumnElement[bool], ...]:
        return self.of + self.counts


def happened(condition: HAPPENED, frame: Frame) -> ColumnElement[bool]:
    """Whether the rows that count satisfy the measure; without one, whether there are any."""
    measured = condition.measured
    if frame.group is not None:
        return _in_group(condition, frame)
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


def grouped(condition: HAPPENED, frame: Frame) -> Select[Any]:
    """Every customer who has rows of this kind; or, where all conditions of a group count alike, rows that count."""
    rows = _rows(condition, frame)
    where = rows.where if frame.group is Group.ALL else rows.of
    mine = select(rows.customer_id.label("customer_id"))
    return mine.where(rows.customer_id.is_not(None), *where).group_by(rows.customer_id)


def counts_different(of: Sequence[HAPPENED]) -> Did | None:
    """The first that counts how many different values there are."""
    return next(
        (each for each in of if isinstance(each, Did) and each.measured and each.measured.measure == DISTINCT), None
    )


def different(condition: Did, frame: Frame) -> tuple[Select[Any], ColumnElement[bool]]:
    """Every customer with events that count and have a value, and whether there are as many different values as asked: customers
    with a value are grouped, then customers, for PostgreSQL sorts all events to count what is different in one grouping.
    """
    measured, rows = condition.measured, _rows(condition, frame)
    assert measured is not None and measured.of is not None and measured.type is not None
    value = _property(rows.table, measured.of, measured.type, frame).column
    each = select(rows.customer_id.label("customer_id"), value.label("value"))
    each = each.where(*rows.where, rows.customer_id.is_not(None)).group_by(rows.customer_id, value)
    known = each.subquery("different")
    counted = numbers(func.count(known.c.value), frame.dialect)
    mine = select(known.c.customer_id).group_by(known.c.customer_id)
    return mine, frame.tests(measured.tests, AttributeType.NUMBER, counted)


def _in_group(condition: HAPPENED, frame: Frame) -> ColumnElement[bool]:
    measured = condition.measured
    rows = _rows(condition, frame)
    if measured is None and (frame.group is Group.ALL or not rows.counts):
        return true()
    if measured is None:
        return func.count(case((and_(*rows.counts), 1))) > 0
    only = and_(*rows.counts) if frame.group is Group.MIXED and rows.counts else None
    taken = _taken(condition, measured, rows, frame, only)
    return frame.tests(measured.tests, MEASURES[measured.measure].type, taken)


def _among_best(condition: HAPPENED, measured: Measured, frame: Frame) -> ColumnElement[bool]:
    """Fewer than so many percent of those who have a measure have a higher one. Equal ones are in or out together.

    That is: were all in a row, the best first, nobody below the value of the last who is let in.
    """
    assert measured.best is not None
    rows, source = _rows(condition, frame), rows_of(condition)
    if frame.shared is not None and frame.shared.takes(source):
        only = and_(true(), *rows.counts)
        taken = _taken(condition, measured, rows, frame, only).column
        mixed = grouped(condition, replace(frame, group=Group.MIXED))
        mine = frame.shared.over(source, mixed).ask(case((func.count(case((only, 1))) > 0, taken)))
        return mine >= _least(mine.table.alias().c[mine.name], measured.best)
    value = _taken(condition, measured, rows, frame).column
    each = select(rows.customer_id.label("customer_id"), value.label("value"))
    measurable = each.where(*rows.where, rows.customer_id.is_not(None)).group_by(rows.customer_id)
    row = measurable.having(value.is_not(None)).cte()
    return customers.c.id.in_(select(row.c.customer_id).where(row.c.value >= _least(row.c.value, measured.best)))


def _least(value: ColumnElement[Any], best: Decimal) -> ColumnElement[Any]:
    """The value of the last who is among the best so many percent."""
    # in hundredths of thousandths, so that both databases count in whole numbers
    share = literal(int(best * 1_000_000), BigInteger())
    ahead = select((func.count(value) * share - 1) // literal(100_000_000, BigInteger())).scalar_subquery()
    least = select(value).where(value.is_not(None)).order_by(value.desc()).limit(1).offset(ahead)
    return least.scalar_subquery()


def _taken(
    condition: HAPPENED, measured: Measured, rows: Rows, frame: Frame, only: ColumnElement[bool] | None = None
) -> Typed:
    measure, of = MEASURES[measured.measure], None
    if measured.of is not None and isinstance(condition, Did):
        assert measured.type is not None
        of = _property(rows.table, measured.of, measured.type, frame)
    where = condition.where if isinstance(condition, Did) else ()
    window = condition.window
    sample = Sample(
        at=rows.at if only is None else case((only, rows.at)),
        of=of if of is None or only is None else replace(of, column=case((only, of.column)), among=None),
        count=func.count() if only is None else func.count(case((only, 1))),
        passing=and_(only if only is not None else true(), *_pass(where, rows.table, frame))
        if measure.compares
        else None,
        middle=frame.now - window.within / 2 if window.within else None,
        now=frame.now,
        dialect=frame.dialect,
    )
    return measure.take(sample)


def _rows(condition: HAPPENED, frame: Frame) -> Rows:
    return _events(condition, frame) if isinstance(condition, Did) else _messages(condition, frame)


def _events(did: Did, frame: Frame) -> Rows:
    e = FIRST if did.then else events
    counts = list(_within(did.window, e.c.customer_id, e.c.at, frame))
    if not (did.measured and MEASURES[did.measured.measure].compares):
        counts += _pass(did.where, e, frame)
    counts += [_followed(then, e, frame) for then in did.then]
    of = (e.c.name == did.event, e.c.at <= frame.now)
    return Rows(table=e, customer_id=e.c.customer_id, at=e.c.at, of=of, counts=tuple(counts))


def _messages(got: Got, frame: Frame) -> Rows:
    at = REACHED[got.word].at
    counts = [at <= frame.now, *_within(got.window, messages.c.customer_id, at, frame)]
    if got.campaign is not None:
        counts.append(messages.c.campaign == got.campaign)
    if got.channel is not None:
        counts.append(messages.c.channel == got.channel.value)
    return Rows(table=messages, customer_id=messages.c.customer_id, at=at, of=(), counts=tuple(counts))


def _within(window: Window, owner: ColumnElement[int], at: ColumnElement[Any], frame: Frame) -> Iterator[Any]:
    """What a window asks beside that nothing is after `now`: the same `now` gives the same audience whatever came since."""
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
