"""Whether a condition can hold, given what else is so: what must be so is taken in, and each choice is tried.

`not` is carried down to the single conditions, as when they become SQL. A choice of which one way is left must go that way.
Nothing is called impossible that could be; where trying all choices would take too long, nothing is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from engine.errors import Position
from engine.rules.never.atoms import Atom, Claim, Key, Leaf, Way, claims
from engine.rules.never.facts import Choice, Clash, Facts
from engine.rules.syntax import All, AnyOf, Condition, InSegment, Not, Segment

MOST_STEPS = 10_000


class TooLong(Exception):
    """Too many choices to try."""


@dataclass(kw_only=True)
class World:
    """The segments that may be mentioned: those that can hold. `steps`: how many more things may be looked at.

    known, tried: what single conditions say, and whether a condition clashes with itself, by the condition as an object: both are
    asked again and again.
    """

    segments: Mapping[str, Segment]
    steps: int = MOST_STEPS
    known: dict[tuple[int, bool], tuple[Leaf, tuple[list[Atom], list[Atom]]]] = field(default_factory=dict)
    tried: dict[tuple[int, bool], tuple[Condition, tuple[Clash | None, Facts]]] = field(default_factory=dict)

    numbers: dict[Key, int] = field(default_factory=dict)

    def work(self, things: int) -> None:
        self.steps -= things
        if self.steps < 0:
            raise TooLong

    def claims(self, leaf: Leaf, *, holds: bool) -> tuple[list[Atom], list[Atom]]:
        found = self.known.get((id(leaf), holds))
        if found is None:
            atoms, some = (self._numbered(part) for part in claims(leaf, holds=holds))
            found = self.known[id(leaf), holds] = leaf, (atoms, some)
        return found[1]

    def _numbered(self, atoms: list[Atom]) -> list[Atom]:
        return [replace(atom, number=self.numbers.setdefault(atom.key, len(self.numbers))) for atom in atoms]


def suppose(way: Way, facts: Facts, world: World) -> Clash | None:
    """Take in that this is so, with all that follows. What it clashes with, if it does; `facts` are then of no more use."""
    atoms: list[Atom] = []
    choices: list[Choice] = []
    _spread(way, atoms, choices, world)
    world.work(len(atoms) + len(facts.atoms))
    for atom in atoms:
        if clash := facts.take(atom):
            return clash
    return facts.settle() or _choose([*facts.open, *choices], facts, world)


def _choose(choices: list[Choice], facts: Facts, world: World) -> Clash | None:
    """Try each choice until none is decided any more; those that are not stay open."""
    undecided = len(choices) + 1
    while len(choices) < undecided:
        undecided, waiting, choices = len(choices), choices, []
        for choice in waiting:
            possible, clash = _ways(choice, facts, world)
            if not possible:
                return clash
            if len(possible) == 1:
                facts.become(possible[0])
            else:
                choices.append(choice)
    facts.open = tuple(choices)
    return None


def _ways(choice: Choice, facts: Facts, world: World) -> tuple[list[Facts], Clash | None]:
    """The ways that are left of a choice, as soon as there are two; and what the last of the others clashed with."""
    possible: list[Facts] = []
    last = None
    for way in choice:
        trial = facts.copy()
        trial.open = ()
        if clash := suppose(way, trial, world):
            last = clash
        else:
            possible.append(trial)
        if len(possible) > 1:
            break
    return possible, last


def _spread(way: Way, atoms: list[Atom], choices: list[Choice], world: World) -> None:
    """What must be so, and which choices there are."""
    if isinstance(way, Atom):
        atoms.append(way)
        return
    condition, holds, through = way.condition, way.holds, way.through
    match condition:
        case All() | AnyOf():
            parts = tuple(Claim(part, holds, through) for part in condition.of)
            if isinstance(condition, All) is holds or len(parts) == 1:
                for part in parts:
                    _spread(part, atoms, choices, world)
            else:
                choices.append(parts)
        case Not():
            _spread(Claim(condition.of, not holds, through), atoms, choices, world)
        case InSegment():
            found = world.segments.get(condition.segment)
            if found is not None:
                _spread(Claim(found.who, holds, through or (condition.segment, condition.at)), atoms, choices, world)
        case leaf:
            each, some = world.claims(leaf, holds=holds)
            atoms.extend(_through(each, through))
            if some:
                choices.append(tuple(_through(some, through)))


def _through(atoms: list[Atom], through: tuple[str, Position] | None) -> Iterable[Atom]:
    return atoms if through is None else (replace(atom, through=through) for atom in atoms)
