"""One thing that was looked at, and how it was found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """`skipped`: it could not be looked at, or there was no need to."""

    GOOD = "good"
    WARNING = "warning"
    WRONG = "wrong"
    SKIPPED = "skipped"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """`area` groups what belongs together; `remedy` says what to do, empty where there is nothing to do."""

    area: str
    what: str
    verdict: Verdict
    remedy: str = ""


def good(area: str, what: str) -> Finding:
    return Finding(area=area, what=what, verdict=Verdict.GOOD)


def warning(area: str, what: str, remedy: str = "") -> Finding:
    return Finding(area=area, what=what, verdict=Verdict.WARNING, remedy=remedy)


def wrong(area: str, what: str, remedy: str = "") -> Finding:
    return Finding(area=area, what=what, verdict=Verdict.WRONG, remedy=remedy)


def skipped(area: str, what: str) -> Finding:
    return Finding(area=area, what=what, verdict=Verdict.SKIPPED)
