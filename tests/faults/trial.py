"""One trial: a campaign under blows, from the first daemon to the verdicts."""

from __future__ import annotations

import os
import random
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

from tests.faults import record, shop
from tests.faults.fleet import Fleet, Launcher, Process
from tests.faults.oracle import Evidence, Verdict, judge, read_ledger
from tests.faults.plan import Act, Blow, Plan, Store
from tests.faults.proxy import Proxy, Strike
from tests.faults.readers import Readers
from tests.faults.shop import CONNECTIONS, DEADLINE, LEASE, THREADS, Address
from tests.faults.vendor import API_KEY, CourierVendor
from tests.faults.watch import Watch
from tests.postgres import Server

PATIENCE = 60.0
IN_FLIGHT = max(CONNECTIONS, THREADS + 1)
"""How many messages one sender has on their way at once, and so how many a fault can leave in doubt."""


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What trials share: the process that makes daemons, and for trials on PostgreSQL a server of their own."""

    launcher: Launcher
    server: Server | None = None


@dataclass(frozen=True, kw_only=True)
class Result:
    """What came of a trial. Everything but the verdicts is for the scoreboard; `seconds` is from the last fault to quiet."""

    name: str
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
def database_of(plan: Plan, ground: Ground, folder: Path) -> Iterator[str]:
    """The URL of an empty database that is gone after the trial."""
    if plan.store is Store.SQLITE:
        yield f"sqlite:///{folder / 'regulars.db'}"
        return
    assert ground.server is not None, "a trial on PostgreSQL needs a server"
    name = f"trial_{os.getpid()}_{time.monotonic_ns()}"
    try:
        yield ground.server.create(name)
    finally:
        ground.server.drop(name)


def run(plan: Plan, ground: Ground, *, keep: bool = False) -> Result:
    """Run the plan, and judge. With `keep` the folder stays, with the log and the record."""
    folder = Path(tempfile.mkdtemp(prefix=f"regulars-{plan.name}-"))
    try:
        with database_of(plan, ground, folder) as url:
            return Trial(plan, ground, folder, url).run()
    finally:
        if not keep:
            shop.forget(folder)


class Trial:
    """The pieces of one trial while it runs."""

    def __init__(self, plan: Plan, ground: Ground, folder: Path, url: str) -> None:
        self.plan, self.ground, self.folder, self.url = plan, ground, folder, url
        self.blows: Counter[Blow] = Counter()
        self.shaken = 0
        self.chance = random.Random(f"trial {plan.name}")

    def run(self) -> Result:
        plan = self.plan
        with ExitStack() as stack:
            self.vendor = stack.enter_context(
                CourierVendor(plan.kind, self.folder / "record.jsonl", seed=plan.seed, share=plan.share)
            )
            target = self.vendor.url.rpartition(":")[2]
            self.proxy = stack.enter_context(Proxy(("127.0.0.1", int(target))))
            self.doors = [free_port() if plan.door else None for _ in range(plan.daemons + 1)]
            address = Address(
                database=self.url,
                vendor=f"http://127.0.0.1:{self.proxy.port}",
                public_url=f"http://127.0.0.1:{self.doors[0] or 8025}",
            )
            shop.write(self.folder, plan.kind, address, webhooks=plan.webhooks, **dict(plan.controls or {}))
            self.database = shop.open_books(self.url)
            stack.callback(self.database.close)
            self.owed = shop.welcome(self.folder, self.database, plan.customers)
            self.fleet = stack.enter_context(Fleet(self.ground.launcher, self.folder))
            self.watch = stack.enter_context(Watch(self.database, self.fleet.living))
            self.readers = stack.enter_context(Readers(plan, self.vendor, [door for door in self.doors if door]))
            self.places: list[Process] = [self.start(place) for place in range(plan.daemons)]
            for act in plan.acts:
                self.act(act)
            seconds = self.come_to_rest()
            return self.judged(seconds)

    # ------------------------------------------------------------ daemons

    def start(self, place: int, **changes: Any) -> Process:
        return self.fleet.start(door=self.doors[place], **changes)

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
        self.until(lambda: self.vendor.requests >= act.requests, idle=0.6)
        self.blows[act.blow] += 1
        if act.blow not in (Blow.OUTAGE, Blow.TERM):
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
        self._struck(chance, "KILL", chance.choice(("begin", "before", "after")))

    def _struck(self, chance: random.Random, name: str, moment: str) -> Process:
        """A daemon that has its end in it, at one of its first transactions."""
        strike = {"commit": chance.randrange(1, 30), "moment": moment, "signal": name}
        doomed = self.replace(chance.randrange(self.plan.daemons), strike=strike)
        self.until(lambda: not doomed.alive() or doomed.stands_still(), idle=2.0)
        return doomed

    def byte(self, chance: random.Random) -> None:
        died = threading.Event()

        def strike(port: int) -> None:
            self.fleet.kill_caller(port)
            died.set()

        answer = chance.random() < 0.5
        byte = chance.choice((0, 1, chance.randrange(2, 200 if answer else 1200), 100_000))
        self.proxy.arm(Strike(exchange=chance.randrange(1, 8), answer=answer, byte=byte, act=strike))
        self.until(died.is_set, idle=2.0)
        self.proxy.arm(None)

    def pause(self, chance: random.Random) -> None:
        place = chance.randrange(self.plan.daemons)
        self.places[place].send(signal.SIGSTOP)
        self._outlive(self.places[place], chance)

    def freeze(self, chance: random.Random) -> None:
        self._outlive(self._struck(chance, "STOP", "after"), chance)

    def _outlive(self, sleeper: Process, chance: random.Random) -> None:
        """Somebody else works while the sleeper's lease runs out; then it wakes."""
        rival = self.start(self.plan.daemons)
        time.sleep(LEASE * (1.2 + 1.8 * chance.random()))
        sleeper.send(signal.SIGCONT)
        time.sleep(0.3)
        rival.stop()

    def term(self, chance: random.Random) -> None:
        place = chance.randrange(self.plan.daemons)
        self.end(self.places[place])

    def end(self, process: Process) -> None:
        """SIGTERM. A daemon that had not begun yet dies of it; every other ends with status 0."""
        status = process.stop()
        assert status in (0, -signal.SIGTERM), f"the daemon ended with {status} on SIGTERM: {self.log()[-2000:]}"

    def outage(self, chance: random.Random) -> None:
        self.proxy.down()
        time.sleep(0.2 + chance.random())
        self.proxy.up()

    def crash(self, _chance: random.Random) -> None:
        assert self.ground.server is not None
        self.ground.server.crash()

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

    def come_to_rest(self) -> float:
        """Seconds from the last fault until all is final; beyond `PATIENCE` where it never is."""
        began = time.monotonic()
        while time.monotonic() - began < PATIENCE:
            self.revive()
            if self.watch.owed() == self.owed and self.watch.open() == 0:
                break
            time.sleep(0.05)
        seconds = time.monotonic() - began
        self.readers.finish()
        for process in self.places:
            self.end(process)
        return seconds

    def log(self) -> str:
        return self.fleet.log.read_text(encoding="utf-8", errors="replace")

    def judged(self, seconds: float) -> Result:
        ledger = read_ledger(self.database, now=datetime.now(UTC))
        seen = Evidence(
            ledger=ledger,
            record=list(record.read(self.folder / "record.jsonl")),
            owed=self.owed,
            fires=len(shop.CAMPAIGNS),
            doubts=self.vendor.doubts + self.shaken,
            quiet=seconds < PATIENCE,
            balances=self.watch.balances,
            hasty=self.vendor.hasty,
            changed=self.vendor.changed,
            opt_outs=self.readers.opt_outs,
            answered=self.readers.answered,
            samples=self.watch.samples,
            deadline=DEADLINE,
            log=self.log(),
            secrets=(shop.SECRET, API_KEY),
        )
        return summed_up(self.plan, seen, judge(seen), self.blows, seconds, self.folder)


def summed_up(
    plan: Plan, seen: Evidence, verdicts: Sequence[Verdict], blows: Counter[Blow], seconds: float, folder: Path
) -> Result:
    """The trial in numbers."""
    states = Counter(str(row.state) for row in seen.ledger.rows.values())
    counts = seen.counts
    doubted = {
        key for key, tried in seen.ledger.attempts.items() if any(one.outcome in (None, "ambiguous") for one in tried)
    }
    unknown = {key for key, row in seen.ledger.rows.items() if row.state == "unknown"}
    marked = {key for key, row in seen.ledger.rows.items() if row.possible_duplicate}
    return Result(
        name=plan.name,
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


_ALL_FEEL = frozenset({Blow.CRASH, Blow.LOCK, Blow.CLOCK})
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
}
