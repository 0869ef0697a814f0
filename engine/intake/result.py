"""What became of one row."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Fate(StrEnum):
    """What a row did to the database."""

    ADDED = "added"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    REJECTED = "rejected"


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """The end of one row. `reason` says what is wrong with a rejected one.

    kept_out: the row says yes for a customer who said no in another way; the no stands.
    """

    fate: Fate
    reason: str = ""
    kept_out: bool = False


ADDED = Taken(fate=Fate.ADDED)
CHANGED = Taken(fate=Fate.CHANGED)
UNCHANGED = Taken(fate=Fate.UNCHANGED)


def rejected(reason: object) -> Taken:
    return Taken(fate=Fate.REJECTED, reason=str(reason))
