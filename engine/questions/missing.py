"""Whom a `not` over an attribute takes in: those for whom the attribute differs, and those for whom it is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import ColumnElement, and_, not_

from engine.errors import Position
from engine.rules.columns import attribute
from engine.rules.compile import matches
from engine.rules.syntax import All, AnyOf, Attribute, Condition, InSegment, Not, Segment
from engine.rules.workspace import Workspace

PRESENT = "present"


@dataclass(frozen=True, kw_only=True, slots=True)
class Missing:
    """A `not` over an attribute, at its place: for how many of an audience it holds because the value differs, and because there is none."""

    at: Position
    attribute: str
    differs: int
    missing: int

    def __str__(self) -> str:
        return (
            f'{self.at}: the `not` over "{self.attribute}" holds for {self.differs:,} because it differs, for {self.missing:,} '
            f"because it is missing. Add `{self.attribute}: {{{PRESENT}: true}}` beside the `not` to leave those out, or "
            f"`{PRESENT}: true` under it if they are meant."
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Negations:
    """Those of a condition. `flags`: two questions about a customer of its audience for each, by a name of their own."""

    of: tuple[Attribute, ...] = ()
    flags: Mapping[str, ColumnElement[bool]] = field(default_factory=dict)

    def told(self, counted: Callable[[str], int]) -> tuple[Missing, ...]:
        """Those that take somebody in for want of a value. `counted`: for how many a flag was answered with yes."""
        every = (
            Missing(at=one.at, attribute=one.name, differs=counted(_differs(place)), missing=counted(_missing(place)))
            for place, one in enumerate(self.of)
        )
        return tuple(one for one in every if one.missing)


def negations(workspace: Workspace, condition: Condition, *, now: datetime, dialect: str) -> Negations:
    """The attributes that stand under a `not`, and may be missing: those that are asked to be `present` may not."""
    of = tuple(dict.fromkeys(_negated(condition, workspace.segments)))
    flags: dict[str, ColumnElement[bool]] = {}
    for place, one in enumerate(of):
        known = attribute(one.name, one.type, dialect).column.is_not(None)
        flags[_differs(place)] = and_(known, not_(matches(workspace, one, now=now, dialect=dialect)))
        flags[_missing(place)] = not_(known)
    return Negations(of=of, flags=flags)


def _differs(place: int) -> str:
    return f"differs_{place}"


def _missing(place: int) -> str:
    return f"missing_{place}"


def _negated(condition: Condition, segments: Mapping[str, Segment], *, negated: bool = False) -> Iterator[Attribute]:
    """As the compiler does it, `not` is carried down to the single conditions."""
    match condition:
        case All() | AnyOf():
            for part in condition.of:
                yield from _negated(part, segments, negated=negated)
        case Not():
            yield from _negated(condition.of, segments, negated=not negated)
        case InSegment() if condition.segment in segments:
            yield from _negated(segments[condition.segment].who, segments, negated=negated)
        case Attribute() if negated and all(test.operator != PRESENT for test in condition.tests):
            yield condition
