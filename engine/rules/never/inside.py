"""What is impossible inside one single condition: a window in which nothing can lie, properties and sequences that exclude
each other. Whatever is then counted, it is a mistake.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations

from engine.errors import Position, Problem
from engine.rules.explain import written
from engine.rules.never.allowed import allowed
from engine.rules.never.rows import contradict, impossible, span_of
from engine.rules.never.values import Domain
from engine.rules.syntax import Condition, Did, Got, Property, Since, Then, Window

Told = tuple[Problem, tuple[Condition, ...]]


def inside(condition: Condition) -> tuple[Told, ...]:
    """Each mistake, and the condition that it makes impossible."""
    return tuple(_inside(condition))


def _inside(condition: Condition) -> Iterator[Told]:
    if isinstance(condition, Did | Got):
        nothing = (replace(condition, measured=None),)
        yield from ((problem, nothing) for problem in _window(condition))
    if isinstance(condition, Did):
        for problem in (*_properties(condition.where), *_sequence(condition)):
            yield problem, (replace(condition, measured=None),)
        for then in condition.then:
            for problem in _properties(then.where):
                yield problem, (replace(condition, measured=None, then=(replace(then, happened=True),)),)


_PARTS = ("within", "since", "before", "between")


def _window(condition: Did | Got) -> Iterator[Problem]:
    if not impossible(condition):
        return
    last = condition.window.since
    if isinstance(last, Since) and isinstance(condition, Did) and last.edge == "last" and last.event == condition.event:
        what = f"`since: {{last: {last.event}}}` leaves no `did: {condition.event}`: none is later than the last."
        yield Problem(
            at=_part(condition, "since"), what=what, remedy="Write `since: {first: …}`, or name another event."
        )
        return
    used = [name for name in _PARTS if getattr(condition.window, name) is not None]
    over = [
        then for then in (condition.then if isinstance(condition, Did) else ()) if not then.happened and then.within
    ]
    if over and not span_of(condition.window).empty:
        what = "nothing can count here: before the time of `then_not` is over, what happened is too old for the window."
        yield Problem(at=over[0].at, what=what, remedy="Look further back, or make the time of `then_not` shorter.")
        return
    alone = next((name for name in used if _empty(condition, name)), None)
    if alone:
        what = f"nothing can have happened so late: `{alone}` begins after now."
        yield Problem(at=_part(condition, alone), what=what, remedy='Say how long ago, as in "30 days ago".')
        return
    first, second = next((pair for pair in combinations(used, 2) if _empty(condition, *pair)), used[:2])
    place = _part(condition, first)
    what = f"nothing can lie in both `{second}` and `{first}` (line {place.line}, column {place.column})."
    yield Problem(at=_part(condition, second), what=what, remedy="Change one of the two.")


def _empty(condition: Did | Got, *names: str) -> bool:
    """Whether these parts of a window alone leave nothing."""
    window = Window(**{name: getattr(condition.window, name) for name in names})
    return span_of(window).empty


def _part(condition: Did | Got, name: str) -> Position:
    return condition.places.get(name, condition.at)


def _properties(where: tuple[Property, ...]) -> Iterator[Problem]:
    """Tests of one property that no value passes."""
    for part in where:
        left = Domain(missing=True)
        for test in part.tests:
            domain = allowed(test, part.type) or Domain(missing=True)
            if domain.empty or left.meet(domain).empty:
                others = [written(other, part.type) for other in part.tests if other is not test]
                what = (
                    f"`{part.name}: {{{written(test, part.type)}}}` can never hold together with `{', '.join(others)}`."
                )
                yield Problem(at=test.at, what=what, remedy="Change one of the two.")
                break
            left = left.meet(domain)


def _sequence(condition: Did) -> Iterator[Problem]:
    for one, other in ((one, other) for one in condition.then for other in condition.then):
        if contradict(one, other):
            yield _both(max(one, other, key=_line), min(one, other, key=_line))


def _line(then: Then) -> tuple[int, int]:
    return then.at.line, then.at.column


def _both(last: Then, first: Then) -> Problem:
    words = {True: "then", False: "then_not"}
    what = f"`{words[last.happened]}` can never hold together with `{words[first.happened]}` (line {first.at.line}, column {first.at.column})."
    return Problem(at=last.at, what=what, remedy="Change one of the two.")
