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
from engine.sending.prepare import Setup
from engine.settings import load_environment
from engine.store import Database
from engine.web.app import create_app
from engine.web.server import Background


@dataclass(kw_only=True, slots=True)
class Strike:
    """What befalls the process at its `commit`-th commit: `signal`, before the block, before its COMMIT, or after it."""

    commit: int
    moment: str
    signal: str
    seen: int = 0

    def here(self, moment: str) -> bool:
        return moment == self.moment and self.seen == self.commit

    def fall(self, moment: str) -> None:
        if self.here(moment):
            os.kill(os.getpid(), getattr(signal, f"SIG{self.signal}"))


MOMENTS = ("begin", "before", "after")


@dataclass(frozen=True, kw_only=True)
class StruckDatabase(Database):
    """A database whose n-th transaction is this process's last."""

    strike: Strike = field(default_factory=lambda: Strike(commit=0, moment="", signal="KILL"))

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        self.strike.seen += 1
        self.strike.fall("begin")
        mine = self.strike.here(self.strike.moment)
        with super().writing() as connection:
            yield connection
            if mine:
                self.strike.fall("before")
        if mine:
            self.strike.fall("after")


class WrongClock:
    """The machine's clock, wrong by as many seconds as a file says at the moment."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def now(self) -> datetime:
        try:
            return datetime.now(UTC) + timedelta(seconds=float(self._file.read_text() or 0))
        except (OSError, ValueError):
            return datetime.now(UTC)


def database_of(setup: Setup, spec: dict[str, Any]) -> Database:
    """The workspace's database as the daemon opens it, with what the trial does to it."""
    database = open_workspace_database(setup.workspace)
    if spec.get("relaxed"):  # after the start-up assertion, for every connection from now on
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


def forgetful(passed: dict[str, float]) -> None:
    """A negative control: this process's monotonic clock does not see the time in which it stood still."""
    true = time.monotonic
    time.monotonic = lambda: true() - passed["standing"]
    stopped_at = [0.0]

    def on_continue(*_: object) -> None:
        passed["standing"] += true() - stopped_at[0]

    signal.signal(signal.SIGCONT, on_continue)


def work(spec: dict[str, Any]) -> None:
    """One daemon, from its start to its end. Does what `regulars run --serve` does."""
    folder = Path(spec["folder"])
    log = os.open(spec["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.environ.update(spec["environment"])
    load_environment(folder)
    log_to_stderr()
    clock, setup = WrongClock(Path(spec["clock"])), set_up(folder)
    daemon = Daemon(Installation(folder, clock, setup=setup, database=database_of(setup, spec)))
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
    """Answer each line of standard input with one of standard output, until there is no more."""
    known: dict[int, int] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        answer = start(asked["start"]) if "start" in asked else ended(asked["ended"], known)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
