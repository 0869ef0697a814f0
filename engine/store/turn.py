"""Whose turn it is to write: SQLite has one writer, so the threads of a process queue here, and some go ahead of the others.

Among processes a lock on a file beside the database's says whose turn it is. SQLite itself lets them sleep, ever longer, and
look again, so that each spends more time asleep than the other one writes.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOOK_AGAIN_SECONDS = 0.0002
PATIENCE_SECONDS = 20.0


class Turn:
    """One at a time. Whoever asks to go `ahead` waits for the one who writes now, and for nobody who came before. `file`: what
    the processes lock in turn; a courtesy: SQLite lets no two write, and who cannot have the lock in time goes on without.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file, self._number = file, -1
        self._changed = threading.Condition()
        self._writing, self._ahead = False, 0

    @contextmanager
    def taken(self, *, ahead: bool) -> Iterator[None]:
        with self._changed:
            self._ahead += ahead
            while self._writing or (self._ahead and not ahead):
                self._changed.wait()
            self._ahead -= ahead
            self._writing = True
        try:
            with self._among_processes():
                yield
        finally:
            with self._changed:
                self._writing = False
                self._changed.notify_all()

    @contextmanager
    def _among_processes(self) -> Iterator[None]:
        if not self._lock():
            yield
            return
        try:
            yield
        finally:
            fcntl.flock(self._number, fcntl.LOCK_UN)

    def _lock(self) -> bool:
        if self._file is None:
            return False
        last = time.monotonic() + PATIENCE_SECONDS
        try:
            if self._number < 0:
                self._number = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            while not self._locked_at_once():
                if time.monotonic() > last:
                    return False
                time.sleep(LOOK_AGAIN_SECONDS)
        except OSError:  # a file system without locks
            self._file = None
            return False
        return True

    def _locked_at_once(self) -> bool:
        try:
            fcntl.flock(self._number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        if self._number >= 0:
            os.close(self._number)
            self._number = -1
