"""Segments that would contain themselves, or that grow too large once the segments they mention are put in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from graphlib import CycleError, TopologicalSorter

from engine.errors import Position, Problem
from engine.rules.syntax import (
    All,
    AnyOf,
    Attribute,
    Condition,
    Did,
    Got,
    InSegment,
    Lot,
    Rfm,
    Segment,
    Test,
    members,
    parts,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Weight:
    """What an audience comes to: single conditions, values compared with, levels of `all` and `any` in each other (depth),
    and levels of whatever, mentions of segments included.
    """

    conditions: int = 0
    values: int = 0
    depth: int = 0
    levels: int = 0


MOST = Weight(conditions=500, values=20_000, depth=20, levels=100)
"""What both databases take in one statement, with room to spare."""


def rings(segments: Mapping[str, Segment]) -> list[Problem]:
    """Each ring of segments, at the mention that closes it, with its whole path."""
    graph = {name: {member.segment for member in members(segment.who)} for name, segment in segments.items()}
    problems = []
    while ring := _ring(graph):
        first = min(range(len(ring)), key=lambda index: list(segments).index(ring[index]))
        path = [*ring[first:], *ring[:first]]
        closing = next(member for member in members(segments[path[-1]].who) if member.segment == path[0])
        what = f'the segment "{path[0]}" would contain itself: {" → ".join((*path, path[0]))}.'
        problems.append(Problem(at=closing.at, what=what, remedy="Take one of these mentions out."))
        graph[path[-1]].discard(path[0])
    return problems


def _ring(graph: Mapping[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))[:-1]
    return []


def weights(segments: Mapping[str, Segment]) -> dict[str, Weight]:
    """The weight of each segment, those it mentions included. One in a ring, or that leads to one, has none."""
    graph = {name: {member.segment for member in members(segment.who)} for name, segment in segments.items()}
    order = TopologicalSorter(graph)
    with suppress(CycleError):  # it still gives what stands before its rings
        order.prepare()
    found: dict[str, Weight] = {}
    while ready := order.get_ready():
        found |= {name: weigh(segments[name].who, found) for name in ready if name in segments}
        order.done(*ready)
    return found


def weigh(condition: Condition, segments: Mapping[str, Weight]) -> Weight:
    """The weight of a condition, given those of the segments."""
    if isinstance(condition, InSegment):
        mentioned = segments.get(condition.segment, Weight(conditions=1))
        return replace(mentioned, levels=mentioned.levels + 1)
    inner = [weigh(part, segments) for part in parts(condition)]
    tests = tuple(_tests(condition))
    return Weight(
        conditions=max(len(tests), 0 if inner else 1) + sum(weight.conditions for weight in inner),
        values=sum(_values(test) for test in tests) + sum(weight.values for weight in inner),
        depth=isinstance(condition, All | AnyOf) + max((weight.depth for weight in inner), default=0),
        levels=1 + max((weight.levels for weight in inner), default=0),
    )


def _tests(condition: Condition) -> Iterator[Test]:
    match condition:
        case Attribute() | Lot():
            yield from condition.tests
        case Did():
            for part in (*condition.where, *(part for then in condition.then for part in then.where)):
                yield from part.tests
            if condition.measured:
                yield from condition.measured.tests
        case Got():
            if condition.measured:
                yield from condition.measured.tests
        case Rfm():
            for scored in condition.scores:
                yield from scored.tests


def _values(test: Test) -> int:
    """How many values the database is given: of an anniversary within 7 days, each day and its year."""
    return sum(2 * (value.days + 2) if isinstance(value, timedelta) else 1 for value in test.values)


def too_heavy(subject: str, at: Position, weight: Weight) -> list[Problem]:
    """What is too much of a segment or audience, called `subject` in the message."""
    told = (
        (weight.conditions, MOST.conditions, "conditions"),
        (weight.values, MOST.values, "values"),
        (weight.depth, MOST.depth, "levels of `all` and `any` in each other"),
        (weight.levels, MOST.levels, "levels of nesting"),
    )
    return [
        Problem(
            at=at,
            what=f"{subject} comes to {amount:,} {unit}, with those of the segments in it.",
            remedy=f"At most {most:,} are possible: ask for less, or give customers an attribute that says it.",
        )
        for amount, most, unit in told
        if amount > most
    ]
