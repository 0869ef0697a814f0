"""What is taken to be so at once: what each value may still be, and how often things happened; and where that breaks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from engine.rules.never.atoms import Atom, Valued, Way, possible
from engine.rules.never.lines import HIGH, LOW, Cut, Line, below
from engine.rules.never.rows import Rows, Span
from engine.rules.never.values import Domain

Choice = tuple[Way, ...]
"""At least one of these is so."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Clash:
    """What cannot be beside others, all of them at once; or cannot be at all, where there are none."""

    atom: Atom
    others: tuple[Atom, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Times:
    """How many of some rows there are, at least and at most (None: any number), and what says so."""

    rows: Rows
    least: int
    most: int | None
    because: Atom


@dataclass(kw_only=True)
class Facts:
    """What is taken to be so, by the numbers of the values. Taking more in never widens anything.

    open: choices of which more than one way is left. measured: something measured came in since `settle`.
    """

    domains: dict[int, Domain] = field(default_factory=dict)
    atoms: dict[int, tuple[Atom, ...]] = field(default_factory=dict)
    measured: bool = False
    open: tuple[Choice, ...] = ()

    def copy(self) -> Facts:
        return replace(self, domains=dict(self.domains), atoms=dict(self.atoms))

    def become(self, other: Facts) -> None:
        self.domains, self.atoms, self.measured = other.domains, other.atoms, other.measured

    def take(self, atom: Atom) -> Clash | None:
        """One more thing that is so; or with what it clashes."""
        before = self.atoms.get(atom.number, ())
        left = self.domains.get(atom.number) or possible(atom.key)
        met = left.meet(atom.domain)
        if met.empty:
            return Clash(atom=atom, others=_culprits(atom, before))
        self.domains[atom.number] = met
        self.atoms[atom.number] = (*before, atom)
        self.measured = self.measured or isinstance(atom.key, Valued)
        return None

    def settle(self) -> Clash | None:
        """Whether how often things happened, and when, agrees with itself."""
        if not self.measured:
            return None
        self.measured = False
        counted = list(self._times())
        limited = [(times, times.most) for times in counted if times.most is not None]
        for some in (times for times in counted if times.least > 0 and limited):
            for others, most in limited:
                if some.least > most and some.rows.within(others.rows):
                    return _clash(some.because, others.because)
        return self._out_of_order()

    def _out_of_order(self) -> Clash | None:
        """Smallest ≤ average ≤ largest."""
        known = {key: (domain, newest) for key, domain, newest in self._measures() if key.measure in _IN_ORDER}
        for key, (domain, newest) in known.items():
            for larger in _IN_ORDER[_IN_ORDER.index(key.measure) + 1 :]:
                there, other = known.get(replace(key, measure=larger), (None, newest))
                if there and not domain.missing and not there.missing and _ends(domain)[0] >= _ends(there)[1]:
                    return _clash(newest, other)
        return None

    def _measures(self) -> Iterator[tuple[Valued, Domain, Atom]]:
        """Each measure, its domain, and what last narrowed it."""
        for number, atoms in self.atoms.items():
            if isinstance(key := atoms[-1].key, Valued):
                yield key, self.domains[number], atoms[-1]

    def _times(self) -> Iterator[Times]:
        for key, domain, because in self._measures():
            for times in _told(key, domain, because):
                yield times
                yield from _brought(times)


_IN_ORDER = ("min", "avg", "max")
_AT_LEAST = {"gap": 2, "overdue": 2}


def _clash(one: Atom, other: Atom) -> Clash:
    return Clash(atom=one, others=() if one == other else (other,))


def _culprits(atom: Atom, before: tuple[Atom, ...]) -> tuple[Atom, ...]:
    """The first that it cannot be beside; nothing where it cannot be alone; all where only several exclude it."""
    alone = possible(atom.key).meet(atom.domain)
    if alone.empty:
        return ()
    return next(((other,) for other in before if alone.meet(other.domain).empty), before)


def _ends(domain: Domain) -> tuple[Cut, Cut]:
    if isinstance(domain.body, Line):
        return domain.body.fixed[0][0], domain.body.fixed[-1][1]
    return LOW, HIGH


def _told(key: Valued, domain: Domain, because: Atom) -> Iterator[Times]:
    """What a measure's value says of how many rows there are."""
    if key.measure in ("times", "distinct"):
        low, high = _ends(domain)
        most = None if high == HIGH or key.measure == "distinct" else high[1] - 1
        yield Times(rows=key.rows, least=0 if low == LOW else low[1], most=most, because=because)
    elif key.measure == "sum":
        nothing = Domain(body=Line(fixed=((below(0), (0, 0, 1)),)))
        yield Times(rows=key.rows, least=int(domain.meet(nothing).empty), most=None, because=because)
    elif not domain.missing:
        yield Times(rows=key.rows, least=_AT_LEAST.get(key.measure, 1), most=None, because=because)
        if key.measure in ("first", "last") and isinstance(domain.body, Line):
            yield from _edge(key, domain.body, because)


def _edge(key: Valued, line: Line, because: Atom) -> Iterator[Times]:
    """The last is there and then; later there is none. The first likewise, with none earlier."""
    relative, fixed = ((ends[0][0], ends[-1][1]) for ends in (line.relative, line.fixed))
    span = key.rows.span
    yield Times(rows=replace(key.rows, span=span.cut(relative, fixed)), least=1, most=None, because=because)
    last = key.measure == "last"
    for beyond in (
        span.cut(relative=(relative[1], HIGH) if last else (LOW, relative[0])),
        span.cut(fixed=(fixed[1], HIGH) if last else (LOW, fixed[0])),
    ):
        if not beyond.empty:
            yield Times(rows=replace(key.rows, span=beyond), least=0, most=0, because=because)


def _brought(times: Times) -> Iterator[Times]:
    """What else must have happened: the event since which these count, and what followed."""
    if times.least < 1 or times.rows.of[0] != "did":
        return
    for edge in times.rows.span.edges:
        yield replace(times, rows=Rows(of=("did", edge.event)), least=1, most=None)
    for then in times.rows.then:
        if then.happened:
            later = Span().cut((times.rows.span.relative[0], HIGH), (times.rows.span.fixed[0], HIGH))
            rows = Rows(of=("did", then.event), span=later, where=frozenset(then.where))
            yield replace(times, rows=rows, least=1, most=None)
