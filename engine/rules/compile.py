"""A condition as one SQL expression over customers: the only evaluator there is.

Whoever is tested alone is tested by the same expression, with `AND customers.id = :id`.
- A comparison with something missing is NULL, which is no match. `not` turns what is not a match into one: `coalesce`
  stands where something is negated and nowhere else, because on a comparison it would hide the index (2 ms against 151 ms).
- Event conditions are subqueries correlated on customers.id, over the index events(customer_id, name, at).
- Events after `now` never count, so the same `now` gives the same audience whatever has been recorded since.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, assert_never
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Exists, Select, and_, exists, false, func, not_, or_, select

from engine.document import node
from engine.errors import Position, UnknownName, WorkspaceError
from engine.model import AttributeType
from engine.rules.campaign import Campaign, ReentryAfter
from engine.rules.columns import Typed, attribute, in_json
from engine.rules.effort import effort
from engine.rules.measures import MEASURES
from engine.rules.operators import OPERATORS, Takes
from engine.rules.read import Reading, read_condition
from engine.rules.syntax import (
    Ago,
    All,
    AnyOf,
    Attribute,
    Condition,
    Did,
    InSegment,
    Measured,
    Not,
    Segment,
    Test,
    Value,
)
from engine.rules.vocabulary import Vocabulary
from engine.rules.workspace import Workspace
from engine.store.tables import customers, events, messages


def matches(workspace: Workspace, condition: Condition, *, now: datetime, dialect: str) -> ColumnElement[bool]:
    """True for the rows of `customers` that the condition holds for; false or NULL for the others.

    `dialect` is "sqlite" or "postgresql". Raises UnknownName where a segment is not in the workspace.
    """
    at = now.astimezone(UTC)
    return _sql(
        condition, _Frame(segments=workspace.segments, zone=workspace.settings.time_zone, now=at, dialect=dialect)
    )


def looked_at(workspace: Workspace, condition: Condition, *, now: datetime, dialect: str) -> ColumnElement[Any] | None:
    """The value that a single condition tests, in SQL: the attribute, or the measure over the events that count (how many,
    where none is named). None for conditions that look at no value of their own.
    """
    at = now.astimezone(UTC)
    frame = _Frame(segments=workspace.segments, zone=workspace.settings.time_zone, now=at, dialect=dialect)
    match condition:
        case Attribute():
            return attribute(condition.name, condition.type, dialect).column
        case Did():
            measured = condition.measured or Measured(measure="times", of=None, tests=())
            return _amount(condition, measured, frame).column
        case _:
            return None


def audience(workspace: Workspace, campaign: Campaign, *, now: datetime, dialect: str) -> Select[tuple[int]] | None:
    """The ids of the customers a campaign goes to at `now`: its audience, less those whom its re-entry rule keeps out.

    None for a campaign without customers of its own: a public post, or one that is triggered.
    Raises UnknownName or WorkspaceError where an old campaign no longer fits to the workspace.
    """
    if campaign.audience is None or campaign.is_public:
        return None
    who = matches(workspace, audience_condition(workspace, campaign), now=now, dialect=dialect)
    chosen = select(customers.c.id).where(who)
    blocked = _blocked(campaign, now.astimezone(UTC))
    return chosen if blocked is None else chosen.where(not_(blocked))


def audience_condition(workspace: Workspace, campaign: Campaign) -> Condition:
    """The condition of a campaign's audience: its segment's, or its own. Raises WorkspaceError where it has no meaning here."""
    at = Position(file=f"campaign {campaign.campaign}")
    if isinstance(campaign.audience, str):
        return InSegment(segment=campaign.audience, at=at)
    reading = Reading(vocabulary=Vocabulary.of(workspace.settings, frozenset(workspace.segments)))
    condition = read_condition(reading, node(campaign.audience, at))
    if condition is None:
        raise WorkspaceError(reading.problems)
    return condition


def _blocked(campaign: Campaign, now: datetime) -> ColumnElement[bool] | None:
    """Whether the ledger holds a message of this campaign to this customer, whatever became of it."""
    if campaign.reentry == "always":
        return None
    earlier = select(1).where(messages.c.customer_id == customers.c.id, messages.c.campaign == campaign.campaign)
    if isinstance(campaign.reentry, ReentryAfter):
        earlier = earlier.where(messages.c.owed_at > now - campaign.reentry.after)
    return exists(earlier.correlate(customers))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Frame:
    """What an evaluation stands on. `now` is in UTC; `zone` is the workspace's, in which today is today."""

    segments: Mapping[str, Segment]
    zone: ZoneInfo
    now: datetime
    dialect: str


def _sql(condition: Condition, frame: _Frame, *, negated: bool = False) -> ColumnElement[bool]:
    """`not` is carried down to the single conditions (not all = any not), so that nesting stays shallow for the database."""
    match condition:
        case All() | AnyOf():
            join = and_ if isinstance(condition, All) is not negated else or_
            cheap_first = sorted(condition.of, key=lambda part: effort(part, frame.segments))
            return join(*(_sql(part, frame, negated=negated) for part in cheap_first))
        case Not():
            return _sql(condition.of, frame, negated=not negated)
        case InSegment():
            return _sql(_segment(condition, frame).who, frame, negated=negated)
        case Attribute() | Did():
            holds = _attribute(condition, frame) if isinstance(condition, Attribute) else _did(condition, frame)
            if isinstance(holds, Exists):  # never NULL, and bare it can become an anti-join
                return not_(holds) if negated else holds
            return not_(func.coalesce(holds, false())) if negated else holds
        case _:
            assert_never(condition)


def _attribute(condition: Attribute, frame: _Frame) -> ColumnElement[bool]:
    typed = attribute(condition.name, condition.type, frame.dialect)
    return _tests(condition.tests, condition.type, typed, frame)


def _segment(member: InSegment, frame: _Frame) -> Segment:
    found = frame.segments.get(member.segment)
    if found is None:
        raise UnknownName(f'there is no segment "{member.segment}"', where=str(member.at))
    return found


def _did(did: Did, frame: _Frame) -> ColumnElement[bool]:
    if did.measured is None:
        return exists(select(1).where(*_counted(did, frame)).correlate(customers))
    amount = _amount(did, did.measured, frame)
    return _tests(did.measured.tests, MEASURES[did.measured.measure].type, amount, frame)


def _counted(did: Did, frame: _Frame) -> list[ColumnElement[bool]]:
    """Which events count."""
    counted = [events.c.customer_id == customers.c.id, events.c.name == did.event, events.c.at <= frame.now]
    if did.within is not None:
        counted.append(events.c.at > frame.now - did.within)
    for part in did.where:
        counted.append(_tests(part.tests, part.type, _property(part.name, part.type, frame), frame))
    return counted


def _amount(did: Did, measured: Measured, frame: _Frame) -> Typed:
    """What is measured over the events that count."""
    measure, of = MEASURES[measured.measure], measured.of
    taken = measure.take(_property(of, measure.of, frame) if of and measure.of else None, frame.dialect)
    amount = select(taken.column).where(*_counted(did, frame)).correlate(customers).scalar_subquery()
    return Typed(column=amount, bind=taken.bind, dialect=frame.dialect)


def _property(name: str, kind: AttributeType, frame: _Frame) -> Typed:
    return in_json(events.c.properties, name, kind, frame.dialect)


def _tests(tests: tuple[Test, ...], kind: AttributeType, typed: Typed, frame: _Frame) -> ColumnElement[bool]:
    return and_(*(_test(test, kind, typed, frame) for test in tests))


def _test(test: Test, kind: AttributeType, typed: Typed, frame: _Frame) -> ColumnElement[bool]:
    operator = OPERATORS[test.operator, kind]
    if operator.takes is Takes.YES_NO:
        holds = operator.test(typed, ())
        return holds if test.values == (True,) else not_(holds)
    return operator.test(typed, [typed.bind(_resolve(value, kind, frame)) for value in test.values])


def _resolve(value: Value, kind: AttributeType, frame: _Frame) -> Value:
    """`90 days ago` as the instant, or for a date the day, that it is at this `now`."""
    if not isinstance(value, Ago):
        return value
    if kind is AttributeType.DATE:
        return frame.now.astimezone(frame.zone).date() - timedelta(days=value.span.days)
    return frame.now - value.span
