"""The process that makes daemons: it imports everything once, then forks one daemon for each line it is given.

A daemon made so is the product's own, with its own database, on which alone something is changed from outside: the process
kills or stops itself at a commit, its clock is wrong, or, as a negative control, one protection is taken away. Spoken to
over standard input in JSON lines; see `fleet`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, event

from engine.cli.app import log_to_stderr
from engine.cli.run import door_of
from engine.daemon import Daemon, Installation, open_workspace_database, set_up
from engine.sending.dispatch import Kind, tickets
from engine.sending.prepare import Setup
from engine.settings import load_environment
from engine.store import Database, prepared
from engine.web.app import create_app
from engine.web.server import Background
from tests.faults import naive


@dataclass(kw_only=True, slots=True)
class Strike:
    """What befalls the process at its `commit`-th transaction, of those that say `touching` in some statement: `signal`,
    before the transaction begins ("begin"; only where any transaction counts), before its COMMIT, or after it.
    """

    commit: int
    moment: str
    signal: str
    touching: str = ""
    seen: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def is_meant(self) -> bool:
        """Whether this transaction, one more, is the one. Other threads have theirs at the same time."""
        with self.lock:
            self.seen += 1
            return self.seen == self.commit

    def fall(self, moment: str) -> None:
        if self.moment == moment:
            os.kill(os.getpid(), getattr(signal, f"SIG{self.signal}"))


LONG_PAUSE = 1.0
"""Seconds without a beat after which a process must have stood still."""


@dataclass(frozen=True, kw_only=True)
class StruckDatabase(Database):
    """A database whose n-th transaction is this process's last."""

    strike: Strike

    @contextmanager
    def writing(self, *, durable: bool = True, by_index: bool = False) -> Iterator[Connection]:
        strike = self.strike
        mine = not strike.touching and strike.is_meant()
        if mine:
            strike.fall("begin")
        with super().writing(durable=durable, by_index=by_index) as connection:
            said = _statements(connection) if strike.touching else []
            yield connection
            if strike.touching and any(strike.touching in statement for statement in said):
                mine = strike.is_meant()
            if mine:
                strike.fall("before")
        if mine:
            strike.fall("after")


def _statements(connection: Connection) -> list[str]:
    """The statements of this transaction, as they come: SQLAlchemy's, and those that the driver is given as they are."""
    said: list[str] = []
    connection.info[_SAID] = said

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        said.append(statement)

    event.listen(connection, "before_cursor_execute", note)
    return said


_SAID = "statements of this transaction"
_cursor = prepared._cursor


@contextmanager
def _overheard(connection: Connection, written: prepared._Written) -> Iterator[Any]:
    connection.info.get(_SAID, []).append(written.text)
    with _cursor(connection, written) as cursor:
        yield cursor


prepared._cursor = _overheard


class WrongClock:
    """The machine's clock, wrong by as many seconds as a file says at the moment, and by the pauses it does not see."""

    def __init__(self, file: Path, pauses: Pauses | None) -> None:
        self._file, self._pauses = file, pauses

    def now(self) -> datetime:
        unseen = self._pauses.lost if self._pauses else 0.0
        try:
            return datetime.now(UTC) + timedelta(seconds=float(self._file.read_text() or 0) - unseen)
        except (OSError, ValueError):
            return datetime.now(UTC)


class Pauses:
    """A negative control: no clock of this process sees the time in which it stood still."""

    def __init__(self) -> None:
        self.lost = 0.0
        self._true, self._lock = time.monotonic, threading.Lock()
        self._last = self._true()
        time.monotonic = self.monotonic
        threading.Thread(target=self._beat, daemon=True).start()

    def monotonic(self) -> float:
        with self._lock:
            now = self._true()
            if now - self._last > LONG_PAUSE:
                self.lost += now - self._last
            self._last = now
            return now - self.lost

    def _beat(self) -> None:
        while True:
            self.monotonic()
            time.sleep(LONG_PAUSE / 20)


def database_of(setup: Setup, spec: dict[str, Any]) -> Database:
    """The workspace's database as the daemon opens it, with what the trial does to it."""
    database = open_workspace_database(setup.workspace)
    if spec["relaxed"]:  # after the start-up assertion, for every connection from now on
        event.listen(database.pool, "connect", _relax)
        database.pool.dispose()
    if spec.get("strike"):
        given = {each.name: getattr(database, each.name) for each in fields(database)}
        return StruckDatabase(**given, strike=Strike(**spec["strike"]))
    return database


def _relax(connection: Any, _record: Any) -> None:
    connection.autocommit = True
    connection.execute("SET synchronous_commit = off")
    connection.autocommit = False


LOADED = (tickets,)
"""Loaded before the first fork, so that no daemon has to: it takes a while."""


def work(spec: dict[str, Any]) -> None:
    """One daemon, from its start to its end. Does what `regulars run --serve` does."""
    folder = Path(spec["folder"])
    log = os.open(spec["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.environ.update(spec["environment"])
    load_environment(folder)
    log_to_stderr()
    if spec["policy"]:
        naive.work(folder, naive.Policy(spec["policy"]))
        return
    pauses = Pauses() if spec["forgetful"] else None
    clock, setup = WrongClock(Path(spec["clock"]), pauses), set_up(folder)
    installation = Installation(folder, clock, setup=setup, database=database_of(setup, spec))
    daemon = Daemon(installation, kind=Kind(spec.get("kind", Kind.DAEMON)))
    door = Background(create_app(door_of(daemon.installation)), "127.0.0.1", spec["door"]) if spec["door"] else None
    if door:
        door.start()
    try:
        daemon.run()
    finally:
        if door:
            door.stop()


def start(spec: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        os.setsid()
        work(spec)
        status = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def ended(pid: int, known: dict[int, int]) -> int | None:
    """How the process ended (minus the signal's number where one ended it); None while it lives."""
    if pid not in known:
        done, status = os.waitpid(pid, os.WNOHANG)
        if not done:
            return None
        known[pid] = os.waitstatus_to_exitcode(status)
    return known[pid]


def main() -> None:
    """Answer each line of standard input with one of standard output; when there is no more, end every daemon left."""
    made, known = list[int](), dict[int, int]()
    for line in sys.stdin:
        asked = json.loads(line)
        if "start" in asked:
            answer: int | None = start(asked["start"])
            made.append(answer or 0)
        else:
            answer = ended(asked["ended"], known)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    for pid in made:
        if ended(pid, known) is None:
            os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
