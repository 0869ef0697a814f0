"""What a file of any format gives, row by row, and what takes the rows that were rejected."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TextIO

from engine.errors import IntakeError
from engine.intake.lines import SHOWN
from engine.model import Plain

LINE, REASON, TEXT = "reject.line", "reject.reason", "reject.text"
"""Columns of a rejects file beside the row's own; passed over when it is corrected and imported."""

Row = Mapping[str, Plain]


@dataclass(frozen=True, kw_only=True, slots=True)
class Flaw:
    """A row that cannot be read: why, and what can be shown of it: its cells, or its text where there are no cells."""

    reason: str
    cells: tuple[str, ...] = ()
    text: str = ""


class Rejects(ABC):
    """A file of rejected rows, made when the first one comes."""

    encoding: str = "utf-8"
    newline: ClassVar[str | None] = None

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: TextIO | None = None

    def write(self, line: int, reason: str, row: Row | Flaw) -> None:
        """Add a row. Raises IntakeError where the file cannot be written."""
        try:
            if self._file is None:
                self._file = self.path.open("w", encoding=self.encoding, newline=self.newline)
                self._begin(self._file)
            self._add(self._file, line, reason, row)
        except OSError as error:
            raise IntakeError(
                f"the rejected rows cannot be written: {error.strerror}",
                where=str(self.path),
                remedy="Say where they may go (--rejects), then import again: nothing is taken twice.",
            ) from error

    def close(self) -> Path | None:
        """The file, or None where no row was rejected."""
        if self._file is None:
            return None
        self._file.close()
        return self.path

    @abstractmethod
    def _begin(self, file: TextIO) -> None: ...

    @abstractmethod
    def _add(self, file: TextIO, line: int, reason: str, row: Row | Flaw) -> None: ...


class Source(ABC):
    """An open file. `columns`: the header's names; of a format without header (`fixed` False), the first row's."""

    suffix: ClassVar[str]
    fixed: ClassVar[bool]
    columns: tuple[str, ...]

    @abstractmethod
    def rows(self) -> Iterator[tuple[int, Row | Flaw]]:
        """Every row with its line, the first of several. Blank lines are passed over."""

    @abstractmethod
    def rejects(self, path: Path) -> Rejects:
        """A rejects file of the same format and columns."""


def shown(text: str) -> str:
    """The beginning of an unreadable row, fit to be written down."""
    return text[:SHOWN].rstrip("\r\n").replace("\0", "\\0")


def distinct(columns: Sequence[str], where: str) -> None:
    """Raises IntakeError where a header names a column twice, or one not at all."""
    for number, column in enumerate(columns, start=1):
        if not column:
            raise IntakeError(
                f"column {number} has no name", where=where, remedy="Name it in the first line, or remove it."
            )
        if column in columns[: number - 1]:
            raise IntakeError(
                f'the column "{shown(column)}" is there twice', where=where, remedy="Keep one of the two."
            )
