"""Which rows a condition looks at: conditions over the same rows can be asked in one pass over them, a group for each customer.

Who has no such rows stands in no group; what a condition says of nothing is known without asking (`of_nothing`).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from decimal import Decimal

from engine.rules.measures import MEASURES
from engine.rules.syntax import All, AnyOf, Condition, Did, Got, InSegment, Measured, Not, Segment, Since, Test, parts

Segments = Mapping[str, Segment]


def source(condition: Condition, segments: Segments) -> Hashable:
    """The same for all conditions that one pass can answer; None where one pass does not do."""
    match condition:
        case Did() | Got() if condition.measured and condition.measured.best is not None:
            return None
        case Did() | Got():
            return rows_of(condition)
        case InSegment() if condition.segment in segments:
            return source(segments[condition.segment].who, segments)
        case All() | AnyOf() | Not():
            sources = {source(part, segments) for part in parts(condition)}
            return sources.pop() if len(sources) == 1 else None
        case _:
            return None


def rows_of(condition: Did | Got) -> Hashable:
    """The rows that a single condition chooses from; those that it alone can tell, where it looks further than at each."""
    if isinstance(condition, Got):
        return condition if isinstance(condition.window.since, Since) else Got
    return condition if condition.then or isinstance(condition.since, Since) else events_named(condition.event)


def events_named(name: str) -> Hashable:
    """All events of a name."""
    return Did, name


def leaves(condition: Condition, segments: Segments) -> Iterator[Did | Got]:
    """The single conditions of one that has a source."""
    match condition:
        case Did() | Got():
            yield condition
        case InSegment():
            yield from leaves(segments[condition.segment].who, segments)
        case _:
            for part in parts(condition):
                yield from leaves(part, segments)


def counted_alike(condition: Condition, segments: Segments) -> bool:
    """Whether the single conditions of one that has a source count the same rows."""
    return len({_counted(leaf) for leaf in leaves(condition, segments)}) == 1


def _counted(leaf: Did | Got) -> Hashable:
    if isinstance(leaf, Got):
        return leaf.word, leaf.campaign, leaf.channel, leaf.window
    compares = leaf.measured is not None and MEASURES[leaf.measured.measure].compares
    return leaf.window, () if compares else leaf.where, leaf.then


def by_source(
    join: type[All | AnyOf], of: tuple[Condition, ...], segments: Segments, takes: Callable[[Hashable], bool]
) -> Iterator[Condition]:
    """The parts of an `all` or `any`, those of one source put together, where a pass `takes` it."""
    sharing: dict[Hashable, list[Condition]] = {}
    for number, part in enumerate(of):
        rows = source(part, segments)
        sharing.setdefault(number if rows is None or not takes(rows) else rows, []).append(part)
    for shared in sharing.values():
        yield shared[0] if len(shared) == 1 else join(of=tuple(shared))


# ---------------------------------------------------------------- nothing


def of_nothing(condition: Condition, segments: Segments) -> bool:
    """Whether a condition that has a source holds for a customer without any rows."""
    match condition:
        case All():
            return all(of_nothing(part, segments) for part in condition.of)
        case AnyOf():
            return any(of_nothing(part, segments) for part in condition.of)
        case Not():
            return not of_nothing(condition.of, segments)
        case InSegment():
            return of_nothing(segments[condition.segment].who, segments)
        case Did(measured=Measured() as measured) | Got(measured=Measured() as measured):
            return MEASURES[measured.measure].zero and all(_zero_passes(test) for test in measured.tests)
        case _:
            return False


def _zero_passes(test: Test) -> bool:
    return _OF_ZERO[test.operator](*(value for value in test.values if isinstance(value, Decimal)))


_OF_ZERO: Mapping[str, Callable[..., bool]] = {
    "is": lambda value: value == 0,
    "is_not": lambda value: value != 0,
    "in": lambda *values: 0 in values,
    "not_in": lambda *values: 0 not in values,
    "at_least": lambda value: value <= 0,
    "at_most": lambda value: value >= 0,
    "more_than": lambda value: value < 0,
    "less_than": lambda value: value > 0,
    "between": lambda low, high: low <= 0 <= high,
    "multiple_of": lambda _: False,
}
"""What the operators of a measured number say of 0."""
