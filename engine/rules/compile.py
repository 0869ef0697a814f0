"""A condition as one SQL expression over customers: the only evaluator there is.

Whoever is tested alone is tested by the same expression, with `AND customers.id = :id`.
- A comparison with something missing is NULL, which is no match. `not` turns what is not a match into one: `coalesce`
  stands where something is negated and nowhere else, because on a comparison it would hide the index (2 ms against 151 ms).
- For one customer, event conditions are subqueries correlated on customers.id, over the index events(name, customer_id, at).
  For everybody they are passes over all events of a name, except behind a condition on the customer's own row: that leaves
  few to look up.
- Events after `now` never count, so the same `now` gives the same audience whatever has been recorded since.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, assert_never

from sqlalchemy import ColumnElement, Exists, Select, and_, false, func, not_, or_, select

from engine.document import node
from engine.errors import Position, UnknownName, WorkspaceError
from engine.model import AttributeType
from engine.rules.campaign import Campaign
from engine.rules.columns import POSTGRESQL, attribute
from engine.rules.effort import ROW, effort
from engine.rules.frame import Frame, Group
from engine.rules.happened import amount, counts_different, different, grouped, happened
from engine.rules.lots import lot_of_customer
from engine.rules.read import Reading, read_condition
from engine.rules.reentry import keeps_out, leavers
from engine.rules.rfm import rfm, scores
from engine.rules.sources import by_source, counted_alike, leaves, of_nothing, source
from engine.rules.standing import consented, on_list, reachable
from engine.rules.syntax import (
    All,
    AnyOf,
    Attribute,
    Condition,
    Consented,
    Did,
    Got,
    InSegment,
    Lot,
    Measured,
    Not,
    OnList,
    Reachable,
    Rfm,
    Segment,
)
from engine.rules.together import Shared, Together
from engine.rules.vocabulary import Vocabulary
from engine.rules.workspace import Workspace
from engine.store.tables import customers


def matches(
    workspace: Workspace, condition: Condition, *, now: datetime, dialect: str, everybody: bool = False
) -> ColumnElement[bool]:
    """True for the rows of `customers` that the condition holds for; false or NULL for the others.

    `everybody`: quick for a statement over all customers; else for one that looks at few. Both choose the same.
    `dialect` is "sqlite" or "postgresql". Raises UnknownName where a segment is not in the workspace.
    """
    frame = _frame(workspace, now, dialect)
    if not everybody:
        return _sql(condition, frame)
    together = Together(dialect=dialect)
    return together.whole(_sql(condition, replace(frame, together=together)))


def all_together(
    workspace: Workspace, conditions: Sequence[Condition], *, now: datetime, dialect: str
) -> tuple[Shared, list[ColumnElement[bool]]]:
    """Many conditions asked of everybody in one statement: the passes that are to be laid aside before, and whether each condition
    holds for one of `Shared.everybody`: true, or false or NULL. They choose whom `matches` chooses.
    """
    frame = _frame(workspace, now, dialect)
    tried = Shared(dialect=dialect)
    for condition in conditions:
        _sql(condition, replace(frame, together=tried))
    shared = Shared(dialect=dialect, made=frozenset(tried.sources))
    return shared, [_sql(condition, replace(frame, together=shared)) for condition in conditions]


def looked_at(workspace: Workspace, condition: Condition, *, now: datetime, dialect: str) -> ColumnElement[Any] | None:
    """The value that a single condition tests, in SQL: the attribute, or the measure over the events that count (how many,
    where none is named). None for conditions that look at no value of their own.
    """
    match condition:
        case Attribute():
            return attribute(condition.name, condition.type, dialect).column
        case Did() | Got():
            measured = condition.measured or Measured(measure="times", of=None, tests=())
            return amount(condition, measured, _frame(workspace, now, dialect)).column
        case Lot():
            return lot_of_customer(condition.of, dialect).column
        case Rfm():
            return scores(condition, _frame(workspace, now, dialect))
        case _:
            return None


def audience(
    workspace: Workspace, campaign: Campaign, *, now: datetime, dialect: str, everybody: bool = True
) -> Select[tuple[int]] | None:
    """The ids of the customers a campaign goes to at `now`: its audience, less those whom its re-entry rule keeps out.
    With `everybody` false it is quick where it is narrowed to one customer.

    None for a campaign without customers of its own: a public post, or one that is triggered.
    Raises UnknownName or WorkspaceError where an old campaign no longer fits to the workspace.
    """
    if campaign.audience is None or campaign.is_public:
        return None
    condition = audience_condition(workspace, campaign)
    who = matches(workspace, condition, now=now, dialect=dialect, everybody=everybody)
    return let_in(campaign, who, now=now)


def let_in(campaign: Campaign, who: ColumnElement[bool], *, now: datetime) -> Select[tuple[int]]:
    """The ids of those whom the audience's condition fits (`who`), less those whom the re-entry rule keeps out."""
    chosen = select(customers.c.id).where(who)
    kept_out = keeps_out(campaign, now.astimezone(UTC))
    return chosen if kept_out is None else chosen.where(not_(kept_out))


def leaving(workspace: Workspace, campaign: Campaign, *, now: datetime, dialect: str) -> Select[tuple[int]] | None:
    """The ids of the customers who had this campaign and are outside its audience at `now`, not seen there since.

    None where nothing rests on it: only with `reentry: on_rematch` a customer who left may come back.
    """
    if campaign.reentry != "on_rematch" or campaign.audience is None or campaign.is_public:
        return None
    return leavers(campaign, matches(workspace, audience_condition(workspace, campaign), now=now, dialect=dialect))


def audience_condition(workspace: Workspace, campaign: Campaign) -> Condition:
    """The condition of a campaign's audience: its segment's, or its own. Raises WorkspaceError where it has no meaning here.

    Its own has its places in the file, unless it is an older one, of a run.
    """
    at = Position(file=f"campaign {campaign.campaign}")
    if isinstance(campaign.audience, str):
        return InSegment(segment=campaign.audience, at=at)
    written = workspace.campaigns.get(campaign.campaign)
    if written is not None and written.audience == campaign.audience and campaign.campaign in workspace.audiences:
        return workspace.audiences[campaign.campaign]
    reading = Reading(
        vocabulary=Vocabulary.of(workspace.settings, frozenset(workspace.segments), lists=workspace.lists)
    )
    condition = read_condition(reading, node(campaign.audience, at))
    if condition is None:
        raise WorkspaceError(reading.problems)
    return condition


def _frame(workspace: Workspace, now: datetime, dialect: str) -> Frame:
    return Frame(
        segments=workspace.segments,
        lists=workspace.lists,
        zone=workspace.settings.time_zone,
        now=now.astimezone(UTC),
        dialect=dialect,
    )


def _sql(condition: Condition, frame: Frame, *, negated: bool = False) -> ColumnElement[bool]:
    """`not` is carried down to the single conditions (not all = any not), so that nesting stays shallow for the database."""
    if frame.together is not None and _in_a_pass(condition, frame):
        return _together(condition, frame, frame.together, negated)
    match condition:
        case All() | AnyOf():
            narrows = isinstance(condition, All) is not negated
            cheap_first = sorted(condition.of, key=lambda part: effort(part, frame.segments))
            if narrows and frame.together is not None and effort(cheap_first[0], frame.segments) is ROW:
                frame = replace(frame, together=frame.together.narrowed)
            if frame.together is not None:
                cheap_first = list(by_source(type(condition), tuple(cheap_first), frame.segments, frame.together.takes))
            if frame.shared is not None:  # what a pass says is there already: nothing is cheaper
                cheap_first.sort(key=lambda part: not _in_a_pass(part, frame))
            join = and_ if narrows else or_
            return join(*(_sql(part, frame, negated=negated) for part in cheap_first))
        case Not():
            return _sql(condition.of, frame, negated=not negated)
        case InSegment():
            return _sql(_segment(condition, frame).who, frame, negated=negated)
        case _:
            holds = _leaf(condition, frame)
            if isinstance(condition, Did | Got) and frame.looks_up and frame.dialect == POSTGRESQL:
                holds = func.coalesce(
                    holds, false()
                )  # bare, EXISTS becomes a join, and that comes after all dearer looks
            if isinstance(holds, Exists):  # never NULL, and bare it can become an anti-join
                return not_(holds) if negated else holds
            return not_(func.coalesce(holds, false())) if negated else holds


def _in_a_pass(condition: Condition, frame: Frame) -> bool:
    """Whether one pass tells it."""
    rows = source(condition, frame.segments)
    return frame.together is not None and rows is not None and frame.together.takes(rows)


def _together(condition: Condition, frame: Frame, together: Together, negated: bool) -> ColumnElement[bool]:
    """One pass over the rows that the condition is about. Where it holds for those without rows, it finds the others."""
    if of_nothing(condition, frame.segments) is not negated:
        return not_(_together_found(condition, frame, together, not negated))
    return _together_found(condition, frame, together, negated)


def _together_found(condition: Condition, frame: Frame, together: Together, negated: bool) -> ColumnElement[bool]:
    if (condition, negated) not in together.passes:
        together.passes[condition, negated] = _passed(condition, frame, together, negated)
    return together.passes[condition, negated]


def _passed(condition: Condition, frame: Frame, together: Together, negated: bool) -> ColumnElement[bool]:
    rows_of_it, parts = source(condition, frame.segments), list(leaves(condition, frame.segments))
    if frame.dialect == POSTGRESQL and (apart := counts_different(parts)):
        rows_of_it = condition  # or all of the pass would have to be sorted for it
        if condition is parts[0]:
            rows, holds = different(apart, frame)
            return together.found(condition, rows, not_(holds) if negated else holds)
    mixed = together.mixed(counted_alike(condition, frame.segments))
    inside = replace(frame, together=None, group=Group.MIXED if mixed else Group.ALL)
    rows = grouped(parts[0], inside)
    return together.found(rows_of_it, rows, _sql(condition, inside, negated=negated))


def _leaf(
    condition: Attribute | Did | Got | Consented | Reachable | OnList | Lot | Rfm, frame: Frame
) -> ColumnElement[bool]:
    match condition:
        case Attribute():
            typed = attribute(condition.name, condition.type, frame.dialect)
            return frame.tests(condition.tests, condition.type, typed)
        case Did() | Got():
            return happened(condition, frame)
        case Lot():
            return frame.tests(condition.tests, AttributeType.NUMBER, lot_of_customer(condition.of, frame.dialect))
        case Rfm():
            return rfm(condition, frame)
        case Consented():
            return consented(condition, frame)
        case Reachable():
            return reachable(condition, frame)
        case OnList():
            return on_list(condition, frame)
        case _:
            assert_never(condition)


def _segment(member: InSegment, frame: Frame) -> Segment:
    found = frame.segments.get(member.segment)
    if found is None:
        raise UnknownName(f'there is no segment "{member.segment}"', where=str(member.at))
    return found
