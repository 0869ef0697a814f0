"""The one tree of errors: each says where, what, and what to do; never a secret, never a customer's address."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Self


@dataclass(frozen=True, kw_only=True, slots=True)
class Position:
    """A place in a file the marketer wrote. Line and column count from 1, as editors do."""

    file: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing wrong in a workspace: where it is, what it is, and the remedy (empty when there is none to give)."""

    at: Position
    what: str
    remedy: str = ""
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        remedy = f" {self.remedy}" if self.remedy else ""
        return f"{self.at}: {self.severity}: {self.what}{remedy}"


class RegularsError(Exception):
    """Anything Regulars refuses or cannot do. `where` and `remedy` are shown beside the message."""

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        super().__init__(what)
        self.what, self.where, self.remedy = what, where, remedy

    def __str__(self) -> str:
        head = f"{self.where}: " if self.where else ""
        tail = f". {self.remedy}" if self.remedy else ""
        return f"{head}{self.what}{tail}"


class WorkspaceError(RegularsError):
    """Files of the workspace are wrong; every problem found is in `problems`, in the order of the files.

    folder: what their names are relative to, where that is known.
    """

    def __init__(self, problems: Sequence[Problem], *, folder: Path | None = None) -> None:
        self.problems, self.folder = tuple(problems), folder
        super().__init__("\n".join(str(problem) for problem in self.problems))

    @classmethod
    def single(cls, at: Position, what: str, remedy: str = "") -> Self:
        return cls([Problem(at=at, what=what, remedy=remedy)])


class SecretMissing(RegularsError):
    """An environment variable that the configuration refers to is not set."""

    def __init__(self, variable: str, *, where: str = "") -> None:
        super().__init__(
            f"the environment variable {variable} is not set",
            where=where,
            remedy=f"Set {variable}, or put it into .env beside config.yaml.",
        )
        self.variable = variable


class StoreError(RegularsError):
    """The database cannot be opened, read or written; nothing was half done."""


class Deadlocked(StoreError):
    """Two transactions waited for each other and this one gave way; the same again will do."""


class AnotherDatabase(StoreError):
    """Where the database was there is another now: a copy was put in its place, or its server failed over."""


class Quarantined(RegularsError):
    """The database may not know of everything that was sent; nothing is handed over until a person has decided."""


class IntakeError(RegularsError):
    """A file or request to take in is unusable as a whole (single bad rows are reported, not raised)."""


class UnknownName(RegularsError):
    """A campaign, segment or customer that was asked for does not exist."""


class HeldBack(RegularsError):
    """A guard holds a launch until somebody has looked; it stays due."""


class ContentError(RegularsError):
    """A template cannot be rendered for this message; the message is withheld, the others go on."""


class ProviderError(RegularsError):
    """A provider cannot be used: a setting is wrong, a promise it does not make was asked of it, or it breaks its contract."""


class NoPlainAnswer(RegularsError):
    """A vendor that was asked what it has did not say so plainly: nothing is proved. `what` is a code, like http_503."""


class ForgedWebhook(RegularsError):
    """A webhook's signature is absent, wrong or too old; nothing of it was stored."""
