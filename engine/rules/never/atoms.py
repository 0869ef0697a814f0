"""What a single condition says of values: which value, which of all possible ones it allows, and where it stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import product
from types import MappingProxyType
from typing import Any, NamedTuple, assert_never

from engine.errors import Position
from engine.model import AttributeType
from engine.rules.measures import MEASURES
from engine.rules.never.allowed import allowed
from engine.rules.never.lines import HIGH, LOW, Cut, Intervals, Line, above, below, whole
from engine.rules.never.rows import Rows, rows
from engine.rules.never.values import ANYTHING, Domain, Words
from engine.rules.rfm import BANDS, SCORES
from engine.rules.syntax import (
    Attribute,
    Condition,
    Consented,
    Did,
    Got,
    Lot,
    OnList,
    Reachable,
    Rfm,
    Test,
)

Leaf = Attribute | Did | Got | Consented | Reachable | OnList | Lot | Rfm
_NUMBER = AttributeType.NUMBER


@dataclass(frozen=True, kw_only=True, slots=True)
class Valued:
    """A measure over the rows that count. `of`: what else it depends on."""

    rows: Rows
    measure: str
    of: tuple[Any, ...] = ()


Key = Valued | tuple[Any, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Atom:
    """One value, and what it may be. `leaf` says so where it `holds`, or does not; of its tests `test`, if only one of them does.

    at: where that stands. through: the mention of a segment that it came by, if it did. number: the key's, in the world at hand.
    """

    key: Key
    domain: Domain
    leaf: Leaf
    holds: bool
    at: Position
    test: Test | None = None
    through: tuple[str, Position] | None = None
    number: int = 0

    @property
    def seen_at(self) -> Position:
        """Where it stands in the condition that is looked at."""
        return self.through[1] if self.through else self.at


class Claim(NamedTuple):
    """A condition that holds, or does not. `through`: the mention of a segment it came by."""

    condition: Condition
    holds: bool = True
    through: tuple[str, Position] | None = None


Way = Claim | Atom

# ---------------------------------------------------------------- what a value can be at all

_THERE = Domain()
_NEVER_BELOW_NOTHING = Line(fixed=((below(0), HIGH),))
_RANGES: Mapping[str, Domain] = MappingProxyType(
    {
        "times": Domain(body=_NEVER_BELOW_NOTHING),
        "distinct": Domain(body=_NEVER_BELOW_NOTHING),
        "sum": Domain(),
        "gap": Domain(missing=True, body=_NEVER_BELOW_NOTHING),
        "overdue": Domain(missing=True, body=_NEVER_BELOW_NOTHING),
        "share": Domain(missing=True, body=Line(fixed=((below(0), above(100)),))),
    }
)
_LOTS = 10_000
EDGES: Mapping[str, str] = MappingProxyType({"days_since_last": "last", "days_since_first": "first"})
"""Days since an event say when it was."""


def possible(key: Key) -> Domain:
    """What a value can be, whatever a rule says."""
    if isinstance(key, Valued):
        if key.measure in ("first", "last"):
            span = key.rows.span
            return Domain(missing=True, body=Line(relative=(span.relative,), fixed=(span.fixed,)))
        return _RANGES.get(key.measure, ANYTHING)
    return _KINDS.get(key[0], ANYTHING)


def may_be_missing(measure: str) -> bool:
    """Whether a measure has no value where no rows count."""
    return _RANGES.get(measure, ANYTHING).missing


_KINDS: Mapping[str, Domain] = MappingProxyType(
    {
        "said": Domain(body=Words(among=frozenset({True, False}))),
        "boolean": Domain(missing=True, body=Words(among=frozenset({True, False}))),
        "always": _THERE,
        "lot": Domain(body=Line(fixed=((below(0), below(_LOTS)),))),
    }
)
_ALWAYS_THERE = ("id", "created_at")

# ---------------------------------------------------------------- what a condition says of it


def claims(leaf: Leaf, *, holds: bool) -> tuple[list[Atom], list[Atom]]:
    """What must be so where a condition holds, or does not: each of the first, and at least one of the second, if there are any."""
    said = [_said(leaf, holds=holds)]
    match leaf:
        case Attribute():
            parts = [_tested(_attribute_key(leaf), leaf, test, leaf.type, holds=holds) for test in leaf.tests]
        case Lot():
            parts = [_tested(("lot", leaf.of), leaf, test, _NUMBER, holds=holds) for test in leaf.tests]
            parts = [[replace(atom, domain=_hundredths(atom.domain)) for atom in part] for part in parts]
        case Did() | Got():
            parts = list(_happened(leaf, holds=holds))
        case Rfm():
            return [*said, *_scored(leaf, holds=holds)], []
        case Consented():
            return [*said, *_consented(leaf, holds=holds)], []
        case Reachable() | OnList():
            return said, []
        case _:
            assert_never(leaf)
    if holds or len(parts) == 1:
        return [*said, *(atom for part in parts for atom in part)], []
    some = [part[0] for part in parts if part]
    return said, some if len(some) == len(parts) else []


def _said(leaf: Leaf, *, holds: bool) -> Atom:
    """The condition itself, which cannot hold and not hold."""
    domain = Domain(body=Words(among=frozenset({holds})))
    return Atom(key=("said", leaf), domain=domain, leaf=leaf, holds=holds, at=leaf.at)


def _attribute_key(leaf: Attribute) -> Key:
    if leaf.name in _ALWAYS_THERE:
        return ("always", leaf.name)
    return ("boolean" if leaf.type is AttributeType.BOOLEAN else "attribute", leaf.name)


def _tested(key: Key, leaf: Leaf, test: Test, kind: AttributeType, *, holds: bool) -> list[Atom]:
    """One test of a value; none where it says nothing that could be held against others."""
    domain = allowed(test, kind, holds=holds)
    return [Atom(key=key, domain=domain, leaf=leaf, test=test, holds=holds, at=test.at)] if domain else []


def _hundredths(domain: Domain) -> Domain:
    """A lot has two decimal places: as so many hundredths it is a whole number."""
    if not isinstance(domain.body, Line):
        return domain
    scaled = domain.body.moved(lambda cut: cut if len(cut) == 1 else (0, cut[1] * 100, cut[2])).moved(whole)
    return replace(domain, body=replace(scaled, steps=frozenset()))


def _happened(leaf: Did | Got, *, holds: bool) -> Iterator[list[Atom]]:
    counted = rows(leaf)
    measured = leaf.measured
    if measured is None:
        least = Domain(body=Line(fixed=((below(1), HIGH),) if holds else ((LOW, below(1)),)))
        key = Valued(rows=counted, measure="times")
        yield [Atom(key=key, domain=least, leaf=leaf, holds=holds, at=leaf.at)]
        return
    row = MEASURES[measured.measure]
    where = leaf.where if isinstance(leaf, Did) and row.compares else ()
    of = (measured.of, leaf.window.within if row.needs == "within" else None, where)
    key = Valued(rows=counted, measure=measured.measure, of=of)
    for test in measured.tests:
        yield [_of_measure(atom) for atom in _tested(key, leaf, test, row.type, holds=holds)]
    if measured.best is not None:
        said = _said(replace(leaf, measured=replace(measured, tests=())), holds=holds)
        yield [said, replace(said, key=key, domain=Domain())] if holds else [said]


def _of_measure(atom: Atom) -> Atom:
    """With whole numbers where the measure has no others; and of days since an event, when that was."""
    key, body = atom.key, atom.domain.body
    assert isinstance(key, Valued)
    if not MEASURES[key.measure].whole or not isinstance(body, Line):
        return atom
    body = body.moved(whole)
    if key.measure in EDGES:
        key, body = replace(key, measure=EDGES[key.measure]), Line(relative=_since(body.fixed))
    return replace(atom, key=key, domain=replace(atom.domain, body=body))


_LONG = 10**6


def _since(days: Intervals) -> Intervals:
    """Whole days passed, as when: from 2 to 3 of them, more than 4 days ago and at most 2."""

    def ago(cut: Cut, highest: Cut) -> Cut:
        if len(cut) == 1:
            return highest
        return above(-timedelta(days=min(cut[1], _LONG)))

    ends = [(LOW if high == HIGH or high[1] > _LONG else ago(high, LOW), ago(low, HIGH)) for low, high in days]
    return tuple((low, high) for low, high in reversed(ends) if low < high)


# ---------------------------------------------------------------- scores, and what was agreed to

_FIVE = range(1, 6)
_CELLS = frozenset(product(_FIVE, _FIVE, _FIVE))


def _scored(leaf: Rfm, *, holds: bool) -> Iterator[Atom]:
    """Recency, frequency and monetary value are a cell of 5 × 5 × 5; whoever has no scores is in none."""
    key = ("rfm", leaf.event, leaf.within)
    atom = replace(_said(leaf, holds=holds), key=(*key, leaf.money))
    if not holds:
        yield replace(atom, domain=Domain(missing=True, body=Words(among=_CELLS - _cells(leaf))))
        return
    for part in _parts(leaf):
        cells = _cells(part)
        at = next((scored.tests[0].at for scored in part.scores), leaf.at)
        plane = frozenset(cell for cell in _CELLS if any(cell[:2] == one[:2] for one in cells))
        for of, some in ((leaf.money, cells), (None, plane)):
            yield replace(atom, key=(*key, of), domain=Domain(body=Words(among=some)), leaf=part, at=at)


def _parts(leaf: Rfm) -> Iterator[Rfm]:
    """Each test of it alone, then its bands."""
    for scored in leaf.scores:
        for test in scored.tests:
            yield replace(leaf, scores=(replace(scored, tests=(test,)),), bands=())
    if leaf.bands:
        yield replace(leaf, scores=())


def _cells(leaf: Rfm) -> frozenset[tuple[int, int, int]]:
    return frozenset(cell for cell in _CELLS if _inside(leaf, cell))


def _inside(leaf: Rfm, cell: tuple[int, int, int]) -> bool:
    values = dict(zip(SCORES, (*cell, sum(cell)), strict=True))
    for scored in leaf.scores:
        line = Line(fixed=((below(values[scored.score]), above(values[scored.score])),))
        for test in scored.tests:
            domain = allowed(test, _NUMBER)
            if domain is None or domain.meet(Domain(body=line)).empty:
                return False
    bands = [BANDS[band] for band in leaf.bands]
    return not bands or any(
        band.recency[0] <= cell[0] <= band.recency[1] and band.frequency[0] <= cell[1] <= band.frequency[1]
        for band in bands
    )


def _consented(leaf: Consented, *, holds: bool) -> Iterator[Atom]:
    """A customer has one address on a channel, so one word on a purpose there. What is said on one is said on any."""
    if leaf.channel is None:
        return
    word = frozenset({leaf.agreed})
    body = Words(among=word) if holds else Words(without=word)
    said = replace(_said(leaf, holds=holds), key=("consent", leaf.purpose, leaf.channel))
    yield replace(said, domain=Domain(missing=not holds, body=body))
    if holds:
        yield replace(_said(replace(leaf, channel=None), holds=True), leaf=leaf)
