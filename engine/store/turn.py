"""Whose turn it is to write: SQLite has one writer, so the threads of a process queue here, and some go ahead of the others."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turn:
    """One at a time. Whoever asks to go `ahead` waits for the one who writes now, and for nobody who came before."""

    def __init__(self) -> None:
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
            yield
        finally:
            with self._changed:
                self._writing = False
                self._changed.notify_all()
