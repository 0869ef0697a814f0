"""What the readers share: the names they may meet, the problems found so far, and how to advise on a wrong word."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from engine.document import Position, suggestion
from engine.errors import Problem, Severity
from engine.rules.vocabulary import Vocabulary


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """One file's worth of reading, or more. A reader that notes a problem returns None; its callers go on with the rest."""

    vocabulary: Vocabulary
    problems: list[Problem] = field(default_factory=list)

    def error(self, at: Position, what: str, remedy: str = "") -> None:
        self.problems.append(Problem(at=at, what=what, remedy=remedy))

    def warn(self, at: Position, what: str, remedy: str = "") -> None:
        self.problems.append(Problem(at=at, what=what, remedy=remedy, severity=Severity.WARNING))


def advice(word: str, known: Iterable[str], also_called: Mapping[str, str]) -> str:
    """What to write instead of an unknown word: the same thing's name here, or the nearest known word."""
    meant = also_called.get(word.lower())
    names = tuple(known)
    return f'Here it is called "{meant}".' if meant in names else suggestion(word, names)
