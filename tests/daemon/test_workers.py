"""Many processes at one ledger: workers come, are killed and stand still; daemons die while schedules come round."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from engine.sending.dispatch.tickets import SCHEMA
from engine.store import Database
from tests.faults import record, shop
from tests.faults.courier import Kind
from tests.faults.fleet import Fleet, Launcher, Process
from tests.faults.oracle import Evidence, judge, read_ledger
from tests.faults.shop import Address
from tests.faults.vendor import CourierVendor
from tests.postgres import Server

PATIENCE = 120
LEASE = 4
"""Seconds: long enough that a busy machine does not lose it."""
PROMISES = {"I1", "I2", "I3", "I4", "I7", "I12"}
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def launcher() -> Iterator[Launcher]:
    with Launcher() as launcher:
        yield launcher


@pytest.fixture
def url(postgres_server: Server) -> Iterator[str]:
    """An empty database: whoever comes first makes the tables."""
    name = f"workers_{time.monotonic_ns()}"
    yield postgres_server.create(name)
    postgres_server.drop(name)


class Ground:
    """A workspace, its books and its vendor, who misbehaves in nothing."""

    def __init__(self, folder: Path, url: str, vendor: CourierVendor, dispatch: str) -> None:
        self.folder, self.url, self.vendor = folder, url, vendor
        shop.write(folder, Kind.BLIND, Address(database=url, vendor=vendor.url, public_url="http://127.0.0.1:8025"))
        self.change("config.yaml", "dispatch: threads", f"dispatch: {dispatch}")
        self.change("config.yaml", f"lease: {shop.LEASE} seconds", f"lease: {LEASE} seconds")
        self.books: Database = shop.open_books(url)

    def change(self, name: str, old: str, new: str) -> None:
        path = self.folder / name
        path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")

    def open(self) -> int:
        with self.books.reading() as connection:
            final = "('accepted', 'rejected', 'skipped', 'expired', 'dead', 'cancelled', 'unknown')"
            return connection.execute(text(f"SELECT count(*) FROM messages WHERE state NOT IN {final}")).scalar_one()

    def owed(self) -> int:
        with self.books.reading() as connection:
            return connection.execute(text("SELECT count(*) FROM messages")).scalar_one()

    def objections(self, *, owed: int, fires: int) -> list[str]:
        seen = Evidence(
            ledger=read_ledger(self.books, now=datetime.now(UTC)),
            record=list(record.read(self.folder / "record.jsonl")),
            owed=owed,
            fires=fires,
            doubts=0,
            quiet=True,
        )
        return [str(verdict) for verdict in judge(seen) if verdict.name in PROMISES and not verdict.holds]


@contextmanager
def ground(folder: Path, url: str, dispatch: str) -> Iterator[Ground]:
    with CourierVendor(Kind.BLIND, folder / "record.jsonl", seed=1, share=0) as vendor:
        made = Ground(folder, url, vendor, dispatch)
        try:
            yield made
        finally:
            made.books.close()


def wait_until(what: str, holds: Callable[[], bool], log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, f"{what}: not within {PATIENCE} s; the log says\n{log.read_text()[-4000:]}"
        time.sleep(0.01)


@contextmanager
def workers(count: int, workspace: Path, url: str, log: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """`regulars worker`, so many times, each as on a machine of its own: it knows the workspace and the database's URL."""
    plugin = shop.plugin(workspace / "plugin")
    environment = {
        **os.environ,
        **shop.ENVIRONMENT,
        "REGULARS_DATABASE": url,
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(plugin))),
    }
    command = [sys.executable, "-m", "engine.cli", "worker", "-w", str(workspace)]
    with log.open("ab") as told:
        made = [subprocess.Popen(command, stderr=told, env=environment) for _ in range(count)]
        try:
            yield made
        finally:
            for process in made:
                process.kill()
                process.wait()


@pytest.mark.parametrize("dispatch", ["threads", "procrastinate"])
def test_workers_join_die_and_stand_still_and_nobody_gets_a_letter_twice(
    tmp_path: Path, url: str, launcher: Launcher, dispatch: str
) -> None:
    """One daemon launches, and is killed; workers that know the URL and the workspace alone send the rest. One is killed in
    its midst, one stands still for longer than its lease and goes on; tickets are wiped away. Each letter leaves once.
    """
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    log = here / "daemon.log"
    with ground(here, url, dispatch) as shopfloor:
        owed = shop.welcome(here, shopfloor.books, 300)
        shutil.copytree(here, there)
        (there / "config.yaml").write_text(
            (here / "config.yaml").read_text(encoding="utf-8").replace(url, "postgresql://nobody@127.0.0.1:1/nothing"),
            encoding="utf-8",
        )
        with workers(3, there, url, log) as (killed, sleeper, last), Fleet(launcher, here) as fleet:
            wait_until("all workers run", lambda: log.read_text().count("event='running'") == 3, log)
            daemon = fleet.start()
            wait_until("the launch", lambda: shopfloor.owed() == owed, log)
            wait_until("some letters", lambda: shopfloor.vendor.requests > 40, log)
            daemon.kill()
            killed.kill()
            wait_until("more letters", lambda: shopfloor.vendor.requests > 100, log)
            sleeper.send_signal(signal.SIGSTOP)
            if dispatch == "procrastinate":
                with shopfloor.books.writing() as connection:
                    connection.execute(text(f"TRUNCATE {SCHEMA}.procrastinate_workers CASCADE"))
            time.sleep(2 * LEASE)
            sleeper.send_signal(signal.SIGCONT)
            wait_until("all is final", lambda: shopfloor.open() == 0, log)
            for process in (sleeper, last):
                process.send_signal(signal.SIGTERM)
            assert [sleeper.wait(PATIENCE), last.wait(PATIENCE)] == [0, 0]
        assert shopfloor.objections(owed=owed, fires=len(shop.CAMPAIGNS)) == []
        assert "@customers.example" not in log.read_text(), "an address in the log"


def test_workers_that_start_at_once_on_an_empty_database_make_the_tables_once(
    tmp_path: Path, postgres_server: Server
) -> None:
    """Four at a time, nobody there before them: none of them fails."""
    name = f"empty_{time.monotonic_ns()}"
    url, log = postgres_server.create(name), tmp_path / "worker.log"
    shop.write(
        tmp_path, Kind.BLIND, Address(database=url, vendor="http://127.0.0.1:1", public_url="http://127.0.0.1:1")
    )
    config = tmp_path / "config.yaml"
    config.write_text(config.read_text().replace("dispatch: threads", "dispatch: procrastinate"))
    with workers(4, tmp_path, url, log) as all_of_them:
        wait_until("all run", lambda: log.read_text().count("event='running'") == 4, log)
        for process in all_of_them:
            process.send_signal(signal.SIGTERM)
        assert [process.wait(PATIENCE) for process in all_of_them] == [0] * 4
    postgres_server.drop(name)


FIRES = 10


def test_each_schedule_fires_once_while_daemons_are_killed_at_random(
    tmp_path: Path, url: str, launcher: Launcher
) -> None:
    """Three daemons, no leader; one is killed at a random moment, again and again, and another takes its place. As many
    runs as occurrences, and one letter to each customer for each of them.
    """
    chance = random.Random(4711)
    log = tmp_path / "daemon.log"
    with ground(tmp_path, url, "threads") as shopfloor:
        shop.welcome(tmp_path, shopfloor.books, 10)
        for path in (tmp_path / "rules").glob("*.yaml"):
            path.unlink()
        begin = datetime.now(UTC) + timedelta(seconds=6)
        for number in range(FIRES):
            at = (begin + timedelta(seconds=1.5 * number)).isoformat(timespec="seconds")[:19]
            rule = shop.NEWS.replace("campaign: news", f"campaign: news-{number}\ntemplate: news").format(at=at)
            (tmp_path / "rules" / f"news-{number}.yaml").write_text(rule, encoding="utf-8")
        kills: Counter[int] = Counter()
        with Fleet(launcher, tmp_path) as fleet:
            daemons: list[Process] = [fleet.start() for _ in range(3)]
            while shopfloor.owed() < FIRES * 10:
                assert datetime.now(UTC) < begin + timedelta(seconds=PATIENCE), log.read_text()[-4000:]
                place = chance.randrange(3)
                time.sleep(chance.uniform(0.3, 1.2))
                kills[place] += 1
                daemons[place].kill()
                daemons[place] = fleet.start()
            wait_until("all is final", lambda: shopfloor.open() == 0, log)
        assert kills.total() >= 5
        assert shopfloor.objections(owed=FIRES * 10, fires=FIRES) == []
