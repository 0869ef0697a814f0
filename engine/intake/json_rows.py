"""JSON Lines: one object a line, read and written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO, TextIO

from engine.errors import IntakeError
from engine.intake.lines import Lines
from engine.intake.rows import LINE, REASON, TEXT, Flaw, Rejects, Row, Source, shown


class JsonRows(Source):
    """A file of JSON objects, one a line. The names in its first row stand for a header."""

    suffix = ".jsonl"
    fixed = False

    def __init__(self, stream: BinaryIO, where: str) -> None:
        self._rest = _rows(Lines(stream))
        self._first = next(self._rest, None)
        if self._first is None:
            raise IntakeError("the file is empty", where=where)
        row = self._first[1]
        self.columns = () if isinstance(row, Flaw) else tuple(row)

    def rows(self) -> Iterator[tuple[int, Row | Flaw]]:
        return chain([self._first] if self._first else [], self._rest)

    def rejects(self, path: Path) -> Rejects:
        return JsonRejects(path)


def _rows(lines: Lines) -> Iterator[tuple[int, Row | Flaw]]:
    for text in lines:
        if text.isspace():
            continue
        flaw = lines.flaws.pop(lines.number, "")
        yield lines.number, Flaw(reason=flaw, text=shown(text)) if flaw else _row(text)


def _row(text: str) -> Row | Flaw:
    try:
        found = json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return Flaw(reason="this row is not JSON", text=shown(text))
    if not isinstance(found, dict):
        return Flaw(reason='this row is not a JSON object, {"id": …}', text=shown(text))
    for name in (LINE, REASON, TEXT):
        found.pop(name, None)
    return found


class JsonRejects(Rejects):
    """Rejected rows as JSON Lines: the row's own values, and why it was rejected."""

    def _begin(self, file: TextIO) -> None:
        """JSON Lines have no header."""

    def _add(self, file: TextIO, line: int, reason: str, row: Row | Flaw) -> None:
        own = {TEXT: row.text} if isinstance(row, Flaw) else row
        file.write(json.dumps({LINE: line, REASON: reason, **own}) + "\n")
