"""A witness beside the database: a small file that says which hand-over left last. A database that does not know of it is older.

Each process has a file of its own, each of its threads a line in it, written after the intent is on disk and before the
provider is called. It outlives a crash of the process at once; it is made safe against a power cut once a second.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import make_url

WIDTH = 64
"""Bytes of a line: it lies within one sector, so that it is written whole or not at all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Testimony:
    """The last hand-over of one thread. incarnation: the ledger's name towards witnesses at that time."""

    incarnation: str
    message: int
    attempt: int


def place(url: str, folder: Path, ledger: str) -> Path:
    """Where the witnesses of a ledger lie: beside the SQLite file; for PostgreSQL in the workspace."""
    target = make_url(url)
    if target.get_backend_name() == "sqlite":
        file = folder / (target.database or "")
        return file.with_name(f"{file.name}-witness") / ledger
    return folder / ".regulars" / ledger


class Witness:
    """This process's file. The lock on it tells that the process lives; a dead one's is removed by the next that begins."""

    def __init__(self, folder: Path, incarnation: str) -> None:
        """Raises OSError where nothing can be written there."""
        folder.mkdir(parents=True, exist_ok=True)
        self._incarnation, self._folder = incarnation, folder
        self.path = folder / uuid.uuid4().hex[:12]
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self._mine, self._next = threading.local(), itertools.count()

    def note(self, message: int, attempt: int) -> None:
        """This thread is about to hand this message over."""
        line = getattr(self._mine, "line", None)
        if line is None:
            line = self._mine.line = next(self._next)
        told = f"{self._incarnation} {message} {attempt}".ljust(WIDTH - 1) + "\n"
        os.pwrite(self._file, told.encode("ascii"), line * WIDTH)

    def sync(self) -> None:
        """On disk."""
        os.fsync(self._file)

    def relieve(self) -> None:
        """Remove the files of the dead: what they saw, the database knows of, and this one has seen it too."""
        self.sync()
        for path in self._folder.iterdir():
            if path != self.path and not _alive(path):
                path.unlink(missing_ok=True)

    def close(self) -> None:
        self.sync()
        os.close(self._file)


def _alive(path: Path) -> bool:
    try:
        file = os.open(path, os.O_WRONLY)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(file)


def testimonies(folder: Path) -> Iterator[Testimony]:
    """What all witnesses there say, living and dead. A line that cannot be read says nothing."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        for line in path.read_bytes().decode("ascii", "replace").splitlines():
            match line.split():
                case [incarnation, message, attempt] if message.isdigit() and attempt.isdigit():
                    yield Testimony(incarnation=incarnation, message=int(message), attempt=int(attempt))
