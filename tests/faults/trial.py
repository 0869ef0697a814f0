"""One trial: a campaign under blows, from the first daemon to the verdicts."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import sqlite3
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.ledger import restores
from engine.sending.restored import suspicion
from tests.faults import record, shop
from tests.faults.courier import Kind
from tests.faults.fleet import Fleet, Launcher, Process
from tests.faults.impatient import Impatient
from tests.faults.oracle import Evidence, Verdict, judge, read_ledger
from tests.faults.plan import POINTS, Act, Blow, Missing, Plan, Store
from tests.faults.proxy import Proxy, Strike
from tests.faults.readers import Readers
from tests.faults.shop import BATCH, CONNECTIONS, LEASE, THREADS, Address
from tests.faults.vendor import API_KEY, CourierVendor
from tests.faults.watch import Watch
from tests.postgres import Server

PATIENCE = float(os.environ.get("FAULTS_PATIENCE", "120"))
"""Seconds until all should be quiet; more, where the trials have little of the machine."""
IN_FLIGHT = max(CONNECTIONS, THREADS + 1)
"""How many messages one sender has on their way at once, and so how many a fault can leave in doubt."""


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What trials share: the process that makes daemons, an empty SQLite file with all tables, and for trials on
    PostgreSQL a server of their own with an empty database, named `EMPTY`.
    """

    launcher: Launcher
    empty: Path
    server: Server | None = None


EMPTY = "template_of_trials"


@contextmanager
def prepared(launcher: Launcher, *, server: bool) -> Iterator[Ground]:
    """The ground for trials, on PostgreSQL too where a server is wanted."""
    with ExitStack() as stack:
        empty = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="regulars-empty-"))) / "empty.db"
        shop.open_books(f"sqlite:///{empty}").close()
        postgres = stack.enter_context(Server()) if server else None
        if postgres:
            shop.open_books(postgres.create(EMPTY)).close()
        yield Ground(launcher=launcher, empty=empty, server=postgres)


@dataclass(frozen=True, kw_only=True)
class Result:
    """What came of a trial. Everything but the verdicts is for the scoreboard; `seconds` is from the last fault to quiet."""

    name: str
    baseline: bool
    verdicts: Sequence[Verdict]
    blows: Mapping[str, int]
    messages: int
    states: Mapping[str, int]
    lost: int
    doubled: int
    in_doubt: int
    resolved: int
    seconds: float
    folder: Path = field(default=Path())

    @property
    def objections(self) -> list[Verdict]:
        return [verdict for verdict in self.verdicts if not verdict.holds]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


@contextmanager
def database_of(plan: Plan, ground: Ground, disk: Path) -> Iterator[str]:
    """The URL of an empty database that is gone after the trial."""
    if plan.store is Store.SQLITE:
        shutil.copy(ground.empty, disk / "regulars.db")
        yield f"sqlite:///{disk / 'regulars.db'}"
        return
    assert ground.server is not None, "a trial on PostgreSQL needs a server"
    name, url = ground.server.copy(EMPTY)
    try:
        yield url
    finally:
        ground.server.drop(name)


def run(plan: Plan, ground: Ground, *, keep: bool = False) -> Result:
    """Run the plan, and judge. With `keep` the folder stays, with the log and the record."""
    folder = Path(tempfile.mkdtemp(prefix=f"regulars-{plan.name}-"))
    trial = Trial(plan, ground, folder)
    try:
        with trial.begun():
            for act in plan.acts:
                trial.act(act)
            return trial.ended()
    finally:
        if not keep:
            shop.forget(folder)


class Trial:
    """The pieces of one trial while it runs: `begun`, then any number of blows, then `ended`.

    disk: where a SQLite file lies, if not in the trial's folder. other: the URL of a vendor for the marketing letters alone.
    """

    def __init__(self, plan: Plan, ground: Ground, folder: Path, *, disk: Path | None = None, other: str = "") -> None:
        self.plan, self.ground, self.folder, self.disk, self.other = plan, ground, folder, disk or folder, other
        self.healthy_first: bool | None = None
        self.blows: Counter[Blow] = Counter()
        self.shaken = 0
        self.left_behind: list[str] = []
        self.doors = [free_port() if plan.door else None for _ in range(plan.daemons + 1)]

    @contextmanager
    def begun(self) -> Iterator[None]:
        """The vendor, the workspace and the first daemons; all gone after the block."""
        plan, taken = self.plan, self.folder / "record.jsonl"
        with ExitStack() as stack:
            self.url = stack.enter_context(database_of(plan, self.ground, self.disk))
            self.vendor = stack.enter_context(CourierVendor(plan.kind, taken, seed=plan.seed, share=plan.share))
            self.proxy = stack.enter_context(Proxy(("127.0.0.1", int(self.vendor.url.rpartition(":")[2]))))
            self._write_workspace()
            self.database = shop.open_books(self.url)
            stack.callback(self.database.close)
            self.owed = shop.welcome(self.folder, self.database, plan.customers) + plan.orders
            if plan.policy:
                shop.launch(self.folder, self.database)
            if plan.missing is Missing.DOUBT:
                stack.enter_context(Impatient(self.database))
            self.fleet = stack.enter_context(Fleet(self.ground.launcher, self.folder))
            self.watch = stack.enter_context(Watch(self.database, self.fleet.living, self.owed))
            self.readers = stack.enter_context(Readers(plan, self.vendor, [door for door in self.doors if door]))
            self.places: list[Process] = [self.start(place) for place in range(plan.daemons)]
            yield

    def _write_workspace(self) -> None:
        address = Address(
            database=self.url,
            vendor=f"http://127.0.0.1:{self.proxy.port}",
            public_url=f"http://127.0.0.1:{self.doors[0] or 8025}",
            other=self.other,
            dispatch=self.plan.dispatch,
        )
        more = {"ack_early": True} if self.plan.missing is Missing.HONEST_ACCEPTANCE else {}
        shop.write(self.folder, self.plan.kind, address, webhooks=self.plan.webhooks, **more)

    def ended(self) -> Result:
        """No more blows: it comes to rest, the daemons end, and the oracle judges."""
        return self._judged(self._come_to_rest())

    # ------------------------------------------------------------ daemons

    def start(self, place: int, **changes: Any) -> Process:
        """A daemon; in every second place a worker, which launches nothing."""
        missing = {"relaxed": self.plan.missing is Missing.DURABILITY, "forgetful": self.plan.missing is Missing.GUARD}
        if self.plan.skew:
            changes["clock"] = self.folder / f"clock-{place}"
            changes["clock"].write_text(str((0, 5, -5, 3)[place] * LEASE), encoding="ascii")
        if place % 2:
            changes["kind"] = "worker"
        return self.fleet.start(door=self.doors[place], policy=self.plan.policy, **missing, **changes)

    def replace(self, place: int, **changes: Any) -> Process:
        """Another daemon in this place; the former one is surely gone."""
        self.places[place].kill()
        self.places[place] = self.start(place, **changes)
        return self.places[place]

    def revive(self) -> None:
        """Whoever died by itself gets a successor, as a service manager would have it."""
        for place, process in enumerate(self.places):
            if not process.alive():
                self.replace(place)

    # ------------------------------------------------------------ blows

    def act(self, act: Act) -> None:
        """Wait for the moment, then strike."""
        self.until(lambda: self.vendor.requests >= act.requests or self.watch.at_rest, idle=3.0)
        self.blows[act.blow] += 1
        if act.blow not in (Blow.OUTAGE, Blow.TERM, Blow.LOCK):  # none of these kills, and answers are kept
            self.shaken += IN_FLIGHT * (self.plan.daemons if act.blow in _ALL_FEEL else 1)
        _BLOWS[act.blow](self, act.chance)
        self.revive()

    def until(self, holds: Callable[[], bool], *, idle: float = PATIENCE) -> bool:
        """Whether it came to hold before the vendor had been idle for so long."""
        seen, since = self.vendor.requests, time.monotonic()
        while not holds():
            if self.vendor.requests != seen:
                seen, since = self.vendor.requests, time.monotonic()
            if time.monotonic() - since > idle:
                return False
            time.sleep(0.003)
        return True

    def kill(self, chance: random.Random) -> None:
        time.sleep(chance.random() * 0.02)
        self.replace(chance.randrange(self.plan.daemons))

    def commit(self, chance: random.Random) -> None:
        point = chance.choice(("", *POINTS))
        moment = chance.choice(("before", "after") if point else ("begin", "before", "after"))
        doomed = self.strike(chance, signal="KILL", moment=moment, touching=POINTS.get(point, ""))
        doomed.kill()  # where it never came to that transaction, it shall not die of it later

    def strike(self, chance: random.Random, *, touching: str, **how: object) -> Process:
        """A daemon that has its end in it, at one of its first transactions; when it has come to that, or to nothing."""
        commit = chance.randrange(1, 5) if touching else chance.randrange(1, 30)
        strike = {"commit": commit, "touching": touching, **how}
        doomed = self.replace(chance.randrange(self.plan.daemons), strike=strike)
        self.until(lambda: not doomed.alive() or doomed.stands_still() or self.watch.at_rest, idle=8.0)
        return doomed

    def byte(self, chance: random.Random) -> None:
        died = threading.Event()

        def strike(port: int) -> None:
            self.fleet.kill_caller(port)
            died.set()

        answer = chance.random() < 0.5
        byte = chance.choice((0, 1, chance.randrange(2, 200 if answer else 1200), 100_000))
        self.proxy.arm(Strike(exchange=chance.randrange(1, 8), answer=answer, byte=byte, act=strike))
        self.until(lambda: died.is_set() or self.watch.at_rest, idle=4.0)
        self.proxy.arm(None)

    def pause(self, chance: random.Random) -> None:
        sleeper = self.places[chance.randrange(self.plan.daemons)]
        sleeper.send(signal.SIGSTOP)
        self.outlive(sleeper, LEASE * (1.2 + 1.8 * chance.random()))

    def freeze(self, chance: random.Random) -> None:
        touching = POINTS.get(chance.choice(("intent", "claim", "")), "")
        sleeper = self.strike(chance, signal="STOP", moment="after", touching=touching)
        self.outlive(sleeper, LEASE * (1.2 + 1.8 * chance.random()))

    def outlive(self, sleeper: Process, seconds: float) -> None:
        """Somebody else works while the sleeper's lease runs out; then it wakes."""
        if not sleeper.stands_still():
            sleeper.kill()
            return
        rival = self.start(self.plan.daemons)
        time.sleep(seconds)
        sleeper.send(signal.SIGCONT)
        time.sleep(0.3)
        rival.stop()

    def term(self, chance: random.Random) -> None:
        place = chance.randrange(self.plan.daemons)
        self.end(self.places[place])

    def end(self, process: Process) -> None:
        """SIGTERM. A daemon that had not begun yet dies of it; every other ends with status 0, and holds nothing any more. One
        that could not begin, because its server was down, is no matter of SIGTERM.
        """
        if not process.alive():
            return
        status = process.stop()
        assert status in (0, -signal.SIGTERM), f"the daemon ended with {status} on SIGTERM: {self.log()[-2000:]}"
        self.left_behind += self.watch.held_by(process.pid)

    def outage(self, chance: random.Random) -> None:
        self.proxy.down()
        time.sleep(0.2 + chance.random())
        self.proxy.up()

    def crash(self, _chance: random.Random) -> None:
        assert self.ground.server is not None
        self.ground.server.crash()

    def restore(self, chance: random.Random) -> None:
        """A backup is made; some time later it is put back. No daemon starts on it before somebody has decided."""
        self.until(lambda: self.vendor.requests > 0 or self.watch.at_rest)
        more, path = self.vendor.requests + chance.randrange(5, 40), self.url.removeprefix("sqlite:///")
        with closing(sqlite3.connect(path)) as live, closing(sqlite3.connect(self.folder / "backup.db")) as backup:
            live.backup(backup)
            left = len(self.vendor.accepted)
            self.until(lambda: self.vendor.requests >= more or self.watch.at_rest, idle=3.0)
            for place in self.places:
                place.kill()
            backup.backup(live, sleep=0.01)
        why = suspicion(self.database, self.url, self.folder)
        assert why or len(self.vendor.accepted) == left, f"{len(self.vendor.accepted) - left} letters were forgotten"
        if why:
            self.start(0).wait()
            assert "Quarantined" in self.log(), self.log()[-2000:]
            restores.go_on(self.database, since=None, nothing_lost=False, by="operator", why="", now=datetime.now(UTC))
        # what may have left is put in doubt by whole batches, and its sender may die of the next blow
        self.shaken += (2 * IN_FLIGHT + THREADS * BATCH) * self.plan.daemons

    def lock(self, chance: random.Random) -> None:
        path = self.url.removeprefix("sqlite:///")
        with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            time.sleep(LEASE * (0.2 + 1.5 * chance.random()))
            connection.execute("ROLLBACK")

    def clock(self, chance: random.Random) -> None:
        self.fleet.clock.write_text(str(chance.choice((-5, -3, 3, 5, 8)) * LEASE), encoding="ascii")
        time.sleep(1 + chance.random())
        self.fleet.clock.write_text("0", encoding="ascii")

    # ------------------------------------------------------------ the end

    def _come_to_rest(self) -> float:
        """Seconds from the last fault until all is final; beyond `PATIENCE` where it never is."""
        began = time.monotonic()
        while time.monotonic() - began < PATIENCE:
            self.revive()
            if self.readers.done() and self.watch.owed() == self.owed and self.watch.open() == 0:
                break
            time.sleep(0.05)
        seconds = time.monotonic() - began
        for process in self.places:
            self.end(process)
        return seconds

    def log(self) -> str:
        return self.fleet.log.read_text(encoding="utf-8", errors="replace")

    def _judged(self, seconds: float) -> Result:
        ledger = read_ledger(self.database, now=datetime.now(UTC))
        seen = Evidence(
            ledger=ledger,
            record=list(record.read(self.folder / "record.jsonl")),
            owed=self.owed,
            fires=len(shop.CAMPAIGNS) + self.plan.orders,
            doubts=self.shaken,
            quiet=seconds < PATIENCE,
            restored=self.blows[Blow.RESTORE] > 0,
            balances=self.watch.balances,
            hasty=() if self.blows[Blow.CLOCK] else self.vendor.hasty,  # waits are as early as a clock is wrong
            changed=self.vendor.changed,
            opt_outs=self.readers.opt_outs,
            answered=self.readers.answered,
            settles=self.plan.kind is not Kind.BLIND,
            refused=self.vendor.refused,
            left_behind=self.left_behind,
            healthy_first=self.healthy_first,
            samples=self.watch.samples,
            deadline=LEASE,
            log=self.log(),
            secrets=(shop.SECRET, shop.CALLER, API_KEY),
        )
        return summed_up(self.plan, seen, judge(seen), self.blows, seconds, self.folder)


def summed_up(
    plan: Plan, seen: Evidence, verdicts: Sequence[Verdict], blows: Counter[Blow], seconds: float, folder: Path
) -> Result:
    """The trial in numbers."""
    states = Counter(str(row.state) for row in seen.ledger.rows.values())
    counts = seen.counts
    unclear = ("ambiguous", "dropped", "never_arrived")
    doubted = {
        key
        for key, tried in seen.ledger.attempts.items()
        if any(one.ended_at is None or one.outcome in unclear for one in tried)
    }
    unknown = {key for key, row in seen.ledger.rows.items() if row.state == "unknown"}
    marked = {key for key, row in seen.ledger.rows.items() if row.possible_duplicate}
    return Result(
        name=plan.name,
        baseline=plan.policy is not None,
        verdicts=verdicts,
        blows={blow.value: count for blow, count in blows.items()},
        messages=len(seen.ledger.rows),
        states=dict(states),
        lost=sum(row.state == "accepted" and not counts[key] for key, row in seen.ledger.rows.items()),
        doubled=sum(count > 1 and key not in marked for key, count in counts.items()),
        in_doubt=len(doubted | unknown),
        resolved=len(doubted - unknown),
        seconds=round(seconds, 2),
        folder=folder,
    )


_ALL_FEEL = frozenset({Blow.CRASH, Blow.CLOCK})
_BLOWS: Mapping[Blow, Callable[[Trial, random.Random], None]] = {
    Blow.KILL: Trial.kill,
    Blow.COMMIT: Trial.commit,
    Blow.BYTE: Trial.byte,
    Blow.PAUSE: Trial.pause,
    Blow.FREEZE: Trial.freeze,
    Blow.TERM: Trial.term,
    Blow.OUTAGE: Trial.outage,
    Blow.CRASH: Trial.crash,
    Blow.LOCK: Trial.lock,
    Blow.CLOCK: Trial.clock,
    Blow.RESTORE: Trial.restore,
}
