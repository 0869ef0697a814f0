"""Conditions that can never hold, and such as always do, each at its place, with what it clashes with and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from graphlib import TopologicalSorter
from types import MappingProxyType

from engine.errors import Position, Problem, Severity
from engine.rules.never.atoms import Atom, Claim, Valued, may_be_missing
from engine.rules.never.facts import Clash, Facts
from engine.rules.never.inside import inside
from engine.rules.never.suppose import MOST_STEPS, TooLong, World, suppose
from engine.rules.never.words import says
from engine.rules.syntax import All, AnyOf, Condition, Did, Got, Lot, Not, Segment, members, parts

MOST_NAMED = 3
"""So many other places one message names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One problem, and what it rests on: that all of `never` hold at once is impossible. Of what always holds, that it does not."""

    problem: Problem
    never: tuple[Condition, ...]


def findings(segments: Mapping[str, Segment], audiences: Iterable[Condition]) -> Iterator[Finding]:
    """All of them, of segments and of campaigns' own conditions. There must be no rings of segments.

    A segment with such a mistake is not followed into those that mention it: one mistake is told once.
    """
    sound: dict[str, Segment] = {}
    graph = {name: {member.segment for member in members(segment.who)} for name, segment in segments.items()}
    for name in TopologicalSorter(graph).static_order():
        if name in segments:
            found = of_condition(segments[name].who, sound)
            yield from found
            if not any(one.problem.severity is Severity.ERROR for one in found):
                sound[name] = segments[name]
    for condition in audiences:
        yield from of_condition(condition, sound)


def of_condition(
    condition: Condition, segments: Mapping[str, Segment], *, steps: int = MOST_STEPS
) -> tuple[Finding, ...]:
    """What is wrong in one condition, given the segments that are right; as far as it can be told in so many steps."""
    world = World(segments=segments, steps=steps)
    for question in (_errors, _always):
        found: dict[str, Finding] = {}
        with suppress(TooLong):
            found.update((str(finding.problem), finding) for finding in question(condition, world))
        if found:
            return tuple(found.values())
    return ()


def _errors(condition: Condition, world: World) -> Iterator[Finding]:
    """Most conditions are right, and that is quickly told; where one is not, each part is looked at by itself."""
    if _right(condition, world):
        return
    alone = tuple(_alone(condition, world))
    yield from alone or _lines(condition, world)


def _right(condition: Condition, world: World) -> bool:
    """Whether all of it can hold: together, each line of `any` beside the others, and what must not hold by itself."""
    return (
        not any(inside(leaf) for leaf in _leaves(condition))
        and not _clash(condition, world)
        and not any(_lines(condition, world))
        and all(_right(part, world) for part in _negated(condition))
    )


def _leaves(condition: Condition) -> Iterator[Condition]:
    inner = parts(condition)
    return (leaf for part in inner for leaf in _leaves(part)) if inner else iter((condition,))


def _negated(condition: Condition) -> Iterator[Condition]:
    """What stands under the outermost `not`."""
    if isinstance(condition, Not):
        yield condition.of
    else:
        yield from (one for part in parts(condition) for one in _negated(part))


def _clash(condition: Condition, world: World, *, holds: bool = True) -> Clash | None:
    """What a condition, or that it does not hold, clashes with in itself."""
    return _supposed(condition, world, holds=holds)[0]


def _supposed(condition: Condition, world: World, *, holds: bool = True) -> tuple[Clash | None, Facts]:
    while isinstance(condition, Not):
        condition, holds = condition.of, not holds
    key = id(condition), holds
    if key not in world.tried:
        facts = Facts()
        world.tried[key] = condition, (suppose(Claim(condition, holds), facts, world), facts)
    return world.tried[key][1]


def _alone(condition: Condition, world: World) -> Iterator[Finding]:
    """What can never hold whatever stands around it; the innermost."""
    within = [finding for part in parts(condition) for finding in _alone(part, world)]
    if not parts(condition):
        within = [Finding(problem=problem, never=claims) for problem, claims in inside(condition)]
    if within:
        yield from within
    elif clash := _clash(condition, world):
        yield Finding(problem=_told(clash), never=(condition,))


def _lines(condition: Condition, world: World) -> Iterator[Finding]:
    """Lines of `any` that cannot hold beside what must hold around them."""
    return _beside(condition, (condition,), _supposed(condition, world)[1], world)


def _beside(condition: Condition, around: tuple[Condition, ...], facts: Facts, world: World) -> Iterator[Finding]:
    """`facts`: that it holds, and what is around it."""
    match condition:
        case All():
            for part in condition.of:
                yield from _beside(part, around, facts, world)
        case AnyOf():
            for part in condition.of:
                trial = facts.copy()
                if clash := suppose(Claim(part), trial, world):
                    yield Finding(problem=_told(clash), never=(*around, part))
                else:
                    yield from _beside(part, (*around, part), trial, world)
        case Not(of=Not(of=inner)):
            yield from _beside(inner, around, facts, world)
        case Not(of=AnyOf(of=unwanted)):
            for part in unwanted:
                yield from _beside(Not(of=part), around, facts, world)
        case Not(of=All(of=(only,))):
            yield from _beside(Not(of=only), around, facts, world)


def _always(condition: Condition, world: World) -> Iterator[Finding]:
    """What holds for everybody; the innermost. Of `all`, then each part does; of `not`, its part never holds; of a segment,
    it is told there.
    """
    within = [finding for part in parts(condition) for finding in _always(part, world)]
    if within:
        yield from within
    elif _may_always(condition) and _clash(condition, world, holds=False):
        what, remedy = "this always holds: it leaves nobody out.", "Change it, or take it out."
        problem = Problem(at=condition.at, what=what, remedy=remedy, severity=Severity.WARNING)
        yield Finding(problem=problem, never=(Not(of=condition),))


def _may_always(condition: Condition) -> bool:
    """Whether it is worth asking: where a value may be missing, no test of it always holds."""
    match condition:
        case AnyOf():
            return len(condition.of) > 1
        case Did() | Got():
            return condition.measured is not None and not may_be_missing(condition.measured.measure)
    return isinstance(condition, Lot)


_OTHERWISE = "Change one of them, or put them under `any:` if either will do."
_RANGES: Mapping[str, str] = MappingProxyType(
    {
        "times": "There are 0 or more.",
        "distinct": "There are 0 or more.",
        "first": "Nothing counts that lies outside the window, or after now.",
        "last": "Nothing counts that lies outside the window, or after now.",
        "gap": "It is 0 or more.",
        "overdue": "It is 0 or more.",
        "share": "It lies between 0 and 100.",
        "lot": "Lots lie between 0 and 99.99.",
        "rfm": "Scores are 1 to 5, and their total is 3 to 15.",
        "always": "Every customer has one.",
    }
)


def _told(clash: Clash) -> Problem:
    """The clash, at the last of its places."""
    first, *more = sorted((clash.atom, *clash.others), key=_at)
    if not more:
        what, kind = (
            f"{_says(first)} can never hold.",
            first.key.measure if isinstance(first.key, Valued) else first.key[0],
        )
        return Problem(at=first.seen_at, what=what, remedy=_RANGES.get(kind, "Change it, or take it out."))
    *earlier, last = (first, *more)
    others = " and ".join(f"{_says(other)} ({_where(other.seen_at, last.seen_at)})" for other in earlier[:MOST_NAMED])
    return Problem(at=last.seen_at, what=f"{_says(last)} can never hold together with {others}.", remedy=_OTHERWISE)


def _at(atom: Atom) -> tuple[str, int, int]:
    return atom.seen_at.file, atom.seen_at.line, atom.seen_at.column


def _says(atom: Atom) -> str:
    if atom.through is None:
        return f"`{says(atom)}`"
    return f"`segment: {atom.through[0]}`, which asks for `{says(atom)}` at {atom.at},"


def _where(place: Position, seen_from: Position) -> str:
    return f"line {place.line}, column {place.column}" if place.file == seen_from.file else str(place)
