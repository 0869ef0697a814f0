"""One import, whatever is in the file: in chunks, each its own transaction, so that memory stays flat and a kill harmless."""

from __future__ import annotations

import gzip
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, cast

from sqlalchemy import Connection

from engine.errors import IntakeError
from engine.intake.csv_rows import CsvRows
from engine.intake.imported import Imported
from engine.intake.json_rows import JsonRows
from engine.intake.result import Fate, Taken, rejected
from engine.intake.rows import Flaw, Rejects, Row, Source
from engine.store import Database

CHUNK = 5_000
"""Rows of a transaction: enough that its cost is spread thin, few enough that others get their turn."""

FORMATS: Mapping[str, Callable[[BinaryIO, str], Source]] = MappingProxyType(
    {".csv": CsvRows, ".jsonl": JsonRows, ".ndjson": JsonRows}
)

Progress = Callable[[int, int], None]
"""Told after each chunk: bytes of the file (as it is on disk) that are done, and rows."""

Take = Callable[[Connection, Sequence[Row]], list[Taken]]
"""Takes the rows of a chunk in an open transaction; gives the end of each, in their order."""


_Chunk = list[tuple[int, Row | Flaw]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Intake:
    """A file that is open and whose columns are known."""

    path: Path
    stream: BinaryIO
    source: Source


@contextmanager
def opened(path: Path) -> Iterator[Intake]:
    """Open a file by its suffix. Raises IntakeError where it cannot be read or is of no known format."""
    name = path.name.lower()
    form = FORMATS.get(Path(name.removesuffix(".gz")).suffix)
    if form is None:
        known = ", ".join(FORMATS)
        raise IntakeError(
            "the format is told by the file's suffix, and this one is not known",
            where=str(path),
            remedy=f"Known: {known}, and each with .gz.",
        )
    with _clear_errors(path):
        stream = path.open("rb")
    with stream:
        with _clear_errors(path):
            plain = cast(BinaryIO, gzip.GzipFile(fileobj=stream)) if name.endswith(".gz") else stream
            source = form(plain, str(path))
        yield Intake(path=path, stream=stream, source=source)


@contextmanager
def _clear_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise IntakeError("there is no such file", where=str(path)) from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise IntakeError(
            "the compressed file is damaged or cut off",
            where=str(path),
            remedy="Make it anew, then import it again: nothing is taken twice.",
        ) from error
    except OSError as error:
        raise IntakeError(f"the file cannot be read: {error.strerror}", where=str(path)) from error


def take_all(
    intake: Intake, take: Take, *, database: Database, rejects: Path | None, progress: Progress | None, chunk: int
) -> Imported:
    """Take every row of the file, `chunk` rows a transaction. What is rejected or cannot be read goes into `rejects`."""
    began = time.monotonic()
    writer = _rejects(intake, rejects)
    counts: Counter[Fate] = Counter()
    kept_out = 0
    try:
        for rows in _chunks(intake, chunk):
            ends = _take(rows, take, database)
            fates = [end.fate for end in ends]
            counts.update({fate: fates.count(fate) for fate in Fate})
            kept_out += sum(end.kept_out for end in ends)
            for (line, row), end in zip(rows, ends, strict=True):
                if end.fate is Fate.REJECTED:
                    writer.write(line, end.reason, row)
            if progress is not None:
                progress(intake.stream.tell(), counts.total())
    finally:
        path = writer.close()
    return Imported(
        read=counts.total(),
        added=counts[Fate.ADDED],
        changed=counts[Fate.CHANGED],
        unchanged=counts[Fate.UNCHANGED],
        rejected=counts[Fate.REJECTED],
        rejects=path,
        seconds=time.monotonic() - began,
        kept_out=kept_out,
    )


def _rejects(intake: Intake, path: Path | None) -> Rejects:
    chosen = path or intake.path.with_name(f"{intake.path.name}.rejects{intake.source.suffix}")
    if chosen.resolve() == intake.path.resolve():
        raise IntakeError("the rejected rows would overwrite the file itself", where=str(chosen))
    return intake.source.rejects(chosen)


def _chunks(intake: Intake, size: int) -> Iterator[_Chunk]:
    with _clear_errors(intake.path):
        rows = intake.source.rows()
        while chunk := list(islice(rows, size)):
            yield chunk


def _take(chunk: _Chunk, take: Take, database: Database) -> list[Taken]:
    with database.writing() as connection:
        taken = iter(take(connection, [row for _, row in chunk if not isinstance(row, Flaw)]))
    return [rejected(row.reason) if isinstance(row, Flaw) else next(taken) for _, row in chunk]
