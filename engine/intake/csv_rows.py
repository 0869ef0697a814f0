"""CSV: reading it strictly, with right line numbers, and writing rejects that a spreadsheet opens without harm."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, ClassVar, TextIO

from engine.errors import IntakeError
from engine.intake.lines import Records
from engine.intake.rows import LINE, REASON, Flaw, Rejects, Row, Source, distinct, shown

DELIMITERS = ",;\t"
_FORMULA = "=+-@|%"


def escaped(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula: an apostrophe goes before it. https://owasp.org/www-community/attacks/CSV_Injection"""
    first = cell.lstrip()[:1]
    return f"'{cell}" if cell[:1] in ("'", "\t", "\r") or (first and first in _FORMULA) else cell


def unescaped(cell: str) -> str:
    """What `escaped` was given."""
    return cell.removeprefix("'")


class CsvRows(Source):
    """A CSV file: its first line names the columns, and tells the delimiter by what there is most of."""

    suffix = ".csv"
    fixed = True

    def __init__(self, stream: BinaryIO, where: str) -> None:
        self._lines = Records(stream)
        self.marked, self._delimiter, self._header = _header(self._lines, where)
        self.columns = tuple(column for column in self._header if column not in (LINE, REASON))
        distinct(self._header, f"{where}:1")
        self._sound = _sound(self._delimiter)

    def rows(self) -> Iterator[tuple[int, Row | Flaw]]:
        lines, columns, width = self._lines, self._header, len(self._header)
        again = LINE in columns or REASON in columns
        reader = csv.reader(lines, delimiter=self._delimiter, strict=True)
        while True:
            first = lines.number + 1
            try:
                cells = next(reader, None)
            except csv.Error:
                yield first, self._unreadable()
                reader = csv.reader(lines, delimiter=self._delimiter, strict=True)
                continue
            if cells is None:
                return
            if (lines.flaws or first <= lines.put_back_until) and (reason := self._flaw()):
                yield first, Flaw(reason=reason, text=shown(lines.raw))
            elif len(cells) == width:
                yield first, _corrected(columns, cells) if again else dict(zip(columns, cells))  # noqa: B905
            elif cells:
                reason = f"this row has {len(cells)} cells, the header has {width}"
                yield first, Flaw(reason=reason, cells=tuple(cells))
            lines.next_record()

    def _unreadable(self) -> Flaw:
        lines = self._lines
        reason = lines.flaw()
        text = lines.give_up()
        quotes = 'a cell in quotes is not closed, or has a quote inside that is not doubled ("")'
        return Flaw(
            reason=reason or (quotes if '"' in text else "a line break stands outside quotes"), text=shown(text)
        )

    def _flaw(self) -> str:
        """What is wrong with a record that could be read. One that was put back may be the rest of a broken cell."""
        lines = self._lines
        if reason := lines.flaw():
            return reason
        if lines.number <= lines.put_back_until and '"' in lines.raw and not self._sound.fullmatch(lines.raw):
            return "a quote stands inside a cell that is not in quotes, after a row whose quotes are not closed"
        return ""

    def rejects(self, path: Path) -> Rejects:
        return CsvRejects(path, self.columns, self._delimiter, marked=self.marked)


def _header(lines: Records, where: str) -> tuple[bool, str, list[str]]:
    """Whether there is a byte order mark, the delimiter, and the names of the columns. Raises IntakeError."""
    text = next(iter(lines), "")
    if not text:
        raise IntakeError("the file is empty", where=where)
    if lines.flaws:
        raise IntakeError(lines.flaws[1], where=f"{where}:1", remedy="Save the file as CSV in UTF-8.")
    marked, text = text.startswith("\ufeff"), text.removeprefix("\ufeff").rstrip("\r\n")
    if "\r" in text:
        raise IntakeError("the lines end in CR alone", where=f"{where}:1", remedy="Save the file with LF or CRLF.")
    outside = re.sub('"[^"]*"', "", text)
    delimiter = max(DELIMITERS, key=outside.count)
    try:
        names = [name.strip() for name in next(csv.reader([text], delimiter=delimiter, strict=True), [])]
    except csv.Error as error:
        raise IntakeError("the header has a quote that is not closed", where=f"{where}:1") from error
    if not any(names):
        raise IntakeError("there is no header", where=f"{where}:1", remedy="Name the columns in the first line.")
    lines.next_record()
    return marked, delimiter, names


def _sound(delimiter: str) -> re.Pattern[str]:
    """A line with each quote in its place (RFC 4180 §2)."""
    cell = rf'(?:[^"{delimiter}]*|"(?:[^"]|"")*")'
    return re.compile(rf"{cell}(?:{delimiter}{cell})*\r?\n?")


def _corrected(columns: list[str], cells: list[str]) -> Row:
    """A row of a rejects file, without what we had put into it."""
    pairs = zip(columns, cells, strict=True)
    return {column: unescaped(cell) for column, cell in pairs if column not in (LINE, REASON)}


class CsvRejects(Rejects):
    """Rejected rows as CSV, every cell quoted and none a formula; with a byte order mark where the file had one."""

    newline: ClassVar[str | None] = ""

    def __init__(self, path: Path, columns: tuple[str, ...], delimiter: str, *, marked: bool) -> None:
        super().__init__(path)
        self.encoding = "utf-8-sig" if marked else "utf-8"
        self._columns, self._delimiter = columns, delimiter

    def _put(self, file: TextIO, cells: list[str]) -> None:
        csv.writer(file, delimiter=self._delimiter, quoting=csv.QUOTE_ALL).writerow(map(escaped, cells))

    def _begin(self, file: TextIO) -> None:
        self._put(file, [LINE, REASON, *self._columns])

    def _add(self, file: TextIO, line: int, reason: str, row: Row | Flaw) -> None:
        match row:
            case Flaw(cells=()):  # one cell more than an id, so that it is rejected again unless it is corrected
                own = ["", row.text]
            case Flaw():
                own = list(row.cells)
            case _:
                own = [str(cell) for cell in row.values()]
        self._put(file, [str(line), reason, *own])
