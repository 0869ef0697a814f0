"""The lines of a file as text, one at a time, however long or broken: what is wrong with a line is noted, not raised."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import BinaryIO

MAX_LINE = 131_072
"""Bytes of a line, and characters of a record of several lines: as much as the csv module takes in one cell."""

SHOWN = 1_000
"""Characters of an unreadable line that are kept to show it."""


class Lines:
    """Line after line. `number` is the line that came last, counted from 1; `flaws` says what is wrong, by line."""

    def __init__(self, stream: BinaryIO) -> None:
        self._readline = stream.readline
        self.number = 0
        self.flaws: dict[int, str] = {}

    def __iter__(self) -> Iterator[str]:
        while raw := self._readline(MAX_LINE):
            self.number += 1
            if len(raw) == MAX_LINE and not raw.endswith(b"\n"):
                yield self._too_long(raw)
                continue
            if b"\0" in raw:
                self.flaws[self.number] = "a NUL character is in this row"
            try:
                text = raw.decode()
            except UnicodeDecodeError as error:
                text = self._not_utf8(raw, error.start)
            yield text

    def _not_utf8(self, raw: bytes, start: int) -> str:
        byte = f"byte 0x{raw[start]:02X} at {self.number}:{start + 1}"
        self.flaws[self.number] = f"this row is not UTF-8 ({byte}): save the file as UTF-8"
        return raw.decode(errors="backslashreplace")

    def _too_long(self, raw: bytes) -> str:
        """Pass over the rest of the line; its beginning, without quotes that would open a cell, stands for it."""
        shown = raw[:SHOWN].decode(errors="backslashreplace").replace('"', "'")
        while raw and not raw.endswith(b"\n"):
            raw = self._readline(MAX_LINE)
        self.flaws[self.number] = f"this row is longer than {MAX_LINE:,} bytes"
        return shown + "\n"


class Records:
    """Lines for a CSV reader, which takes several for a record with line breaks inside quotes.

    A quote that is never closed would swallow the rows after it. So the lines of the present record are kept, and
    `give_up` puts all but the first back, to be read on their own by a new reader.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._lines = Lines(stream)
        self._fresh = iter(self._lines)
        self._waiting: deque[str] = deque()
        self._record: list[str] = []
        self.flaws = self._lines.flaws
        self.put_back_until = 0
        """Up to this line, what comes may be the rest of a record that was given up."""

    def __iter__(self) -> Iterator[str]:
        """The lines to come; they end early within a record that does not end."""
        size = 0
        while line := self._waiting.popleft() if self._waiting else next(self._fresh, ""):
            if not self._record:
                size = 0
            elif size > MAX_LINE:
                self._waiting.appendleft(line)
                return
            size += len(line)
            self._record.append(line)
            yield line

    @property
    def number(self) -> int:
        """The line that came last, counted from 1."""
        return self._lines.number - len(self._waiting)

    @property
    def raw(self) -> str:
        """The present record as it stands in the file."""
        return "".join(self._record)

    def flaw(self) -> str:
        """What is wrong with a line of the present record; empty when nothing is."""
        last = self.number
        found = [self.flaws.pop(each) for each in range(last - len(self._record) + 1, last + 1) if each in self.flaws]
        return found[0] if found else ""

    def next_record(self) -> None:
        """The present record was read."""
        self._record.clear()

    def give_up(self) -> str:
        """The present record cannot be read: its first line, which is returned, is passed over; the others come again."""
        first, *others = self._record
        self.put_back_until = max(self.put_back_until, self.number)
        self._waiting.extendleft(reversed(others))
        self._record.clear()
        return first
