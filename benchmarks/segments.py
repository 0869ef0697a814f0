"""How fast segments are on a shop of a million customers and ten million events, beside SQL written by hand.

    python benchmarks/segments.py [--data DIR] [--customers 1000000] [--events 10000000] [--on sqlite] [--on postgresql]

The shop is made once and kept in --data. Prints JSON lines: the machine; for each database how the nested segment of
benchmarks/shop compares with the same question in SQL by hand, written in every way that we know (medians of warm runs in
turn; `ratio` is against the fastest); every segment of the workspaces given, one by one and all together; the membership of one
customer; peak memory.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TypeVar

sys.path.insert(0, str(Path(__file__).parents[1]))

from sqlalchemy import Connection, func, select

from benchmarks.ground import server
from benchmarks.ground.crowd import NOW, fill
from benchmarks.ground.machine import machine, peak_megabytes
from engine.questions.audience import all_sizes
from engine.rules.compile import matches
from engine.rules.effort import EVERYBODY, effort
from engine.rules.workspace import Workspace, load_workspace
from engine.store import Database, open_database
from engine.store.tables import customers, microseconds

T = TypeVar("T")
ROOT = Path(__file__).parents[1]
SHOP = ROOT / "benchmarks" / "shop"
ALLOWED = {"ratio": 1.2, "all_segments_seconds": 30.0, "membership_milliseconds": 2.0}

_RECENT = 90 * 86_400 * 1_000_000
_HEAD = "SELECT count(*) FROM customers c WHERE "
_SQLITE = {
    "now": str(microseconds(NOW)),
    "recent": str(microseconds(NOW) - _RECENT),
    "country": "c.attributes ->> '$.country' IN ('FI', 'SE')",
    "vip": "c.attributes ->> '$.vip'",
    "amount": "(e.properties ->> '$.amount')",
}
_POSTGRESQL = {
    "now": f"timestamptz '{NOW.isoformat()}'",
    "recent": f"(timestamptz '{NOW.isoformat()}' - interval '90 days')",
    "country": "c.attributes ->> 'country' IN ('FI', 'SE')",
    "vip": "(c.attributes -> 'vip') = 'true'",
    "amount": "(e.properties ->> 'amount')::numeric",
}
_PURCHASES = "FROM events e WHERE e.customer_id = c.id AND e.name = 'purchase' AND e.at <= {now}"
_ALL_PURCHASES = "FROM events e WHERE e.name = 'purchase' AND e.at <= {now}"
BY_HAND: Mapping[str, str] = {
    "correlated": _HEAD
    + f"{{country}} AND NOT EXISTS (SELECT 1 {_PURCHASES} AND e.at > {{recent}})"
    + f" AND (SELECT count(*) {_PURCHASES}) >= 2 AND ({{vip}} OR (SELECT round(sum({{amount}}), 6) {_PURCHASES}) >= 150)",
    "one aggregate": _HEAD
    + f"{{country}} AND NOT EXISTS (SELECT 1 {_PURCHASES} AND e.at > {{recent}})"
    + f" AND (SELECT count(*) >= 2 AND ({{vip}} OR round(sum({{amount}}), 6) >= 150) {_PURCHASES})",
    "grouped": _HEAD
    + "{country} AND EXISTS (SELECT 1 FROM (SELECT e.customer_id, count(*) AS times, round(sum({amount}), 6) AS spent,"
    + f" max(e.at) AS last {_ALL_PURCHASES} GROUP BY e.customer_id) g"
    + " WHERE g.customer_id = c.id AND g.times >= 2 AND g.last <= {recent} AND ({vip} OR g.spent >= 150))",
    "joined": "SELECT count(*) FROM (SELECT c.id FROM customers c JOIN events e ON e.customer_id = c.id"
    " WHERE {country} AND e.name = 'purchase' AND e.at <= {now} GROUP BY c.id"
    " HAVING count(*) >= 2 AND max(e.at) <= {recent} AND ({vip} OR round(sum({amount}), 6) >= 150)) found",
}
"""The nested segment of benchmarks/shop/rules/segments.yaml."""


# ---------------------------------------------------------------- what is measured


def compared(workspace: Workspace, database: Database, repeat: int) -> float:
    """The nested segment beside SQL by hand, each in turn; how many times the fastest it takes."""
    words = _POSTGRESQL if database.dialect == "postgresql" else _SQLITE
    by_hand = {name: sql.format(**words) for name, sql in BY_HAND.items()}
    ways: dict[str, Callable[[Connection], int]] = {
        "segment": lambda connection: count(workspace, database, connection, "nested"),
        **{name: _counted(sql) for name, sql in by_hand.items()},
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    with database.reading() as connection:
        first = {name: timed(lambda: way(connection)) for name, way in ways.items()}  # noqa: B023  (called at once)
        answers = {name: answer for name, (_, answer) in first.items()}
        assert len(set(answers.values())) == 1, answers
        slow = {
            name for name, (seconds, _) in first.items() if seconds > 5 * min(passed for passed, _ in first.values())
        }
        for _ in range(repeat):
            for name in ways.keys() - slow:
                taken[name].append(timed(lambda: ways[name](connection))[0])  # noqa: B023
    medians = {name: statistics.median(seconds) for name, seconds in taken.items() if seconds}
    best = min((name for name in medians if name != "segment"), key=medians.__getitem__)
    ratio = round(medians["segment"] / medians[best], 2)
    shown = {name: round(seconds, 3) for name, seconds in medians.items()}
    say(
        database,
        what="nested",
        customers=answers["segment"],
        seconds=shown,
        best=best,
        ratio=ratio,
        allowed=ALLOWED["ratio"],
    )
    return ratio


def _counted(sql: str) -> Callable[[Connection], int]:
    return lambda connection: int(connection.exec_driver_sql(sql.replace("%", "%%")).scalar_one())


def count(workspace: Workspace, database: Database, connection: Connection, name: str) -> int:
    """As `regulars audience` counts: from the rule on, the making of its SQL included."""
    who = matches(workspace, workspace.segments[name].who, now=NOW, dialect=database.dialect, everybody=True)
    return int(connection.execute(select(func.count()).select_from(customers).where(who)).scalar_one())


def everyone(workspaces: list[Workspace], database: Database, repeat: int) -> None:
    """Every segment, one after the other."""
    total = 0.0
    with database.reading() as connection:
        for workspace in workspaces:
            for name in workspace.segments:
                runs = [timed(lambda: count(workspace, database, connection, name)) for _ in range(repeat)]  # noqa: B023
                seconds = statistics.median(passed for passed, _ in runs)
                total += seconds
                say(
                    database,
                    what="segment",
                    name=name,
                    of=workspace.settings.workspace,
                    customers=runs[0][1],
                    seconds=round(seconds, 3),
                )
    number = sum(len(workspace.segments) for workspace in workspaces)
    say(database, what="segments one by one", number=number, seconds=round(total, 2))


def together(workspaces: list[Workspace], database: Database, repeat: int) -> None:
    """All segments of each workspace in one go, as `regulars audience` asks."""
    taken = []
    for workspace in workspaces:
        runs = [timed(partial(all_sizes, workspace, database, now=NOW)) for _ in range(repeat)]
        seconds = statistics.median(passed for passed, _ in runs)
        taken.append(seconds)
        number, of = len(workspace.segments), workspace.settings.workspace
        say(database, what="segments together", number=number, of=of, seconds=round(seconds, 2))
    number = sum(len(workspace.segments) for workspace in workspaces)
    allowed = ALLOWED["all_segments_seconds"]
    say(database, what="all segments", number=number, seconds=round(sum(taken), 2), allowed=allowed)


def membership(workspaces: list[Workspace], database: Database, people: int) -> None:
    """Whether one customer is in one segment, for customers and segments at random. Those that rank a customer among all
    (`among_best`, `rfm`) ask everybody, and take as long as for everybody: they are left out, and counted.
    """
    chance, taken = random.Random(7), []
    pairs = [(workspace, name) for workspace in workspaces for name in workspace.segments]
    looked_up = [(one, name) for one, name in pairs if effort(one.segments[name].who, one.segments) < EVERYBODY]
    with database.reading() as connection:
        for number in range(1_100):
            workspace, name = chance.choice(looked_up)
            who = chance.randint(1, people)
            seconds, _ = timed(lambda: belongs(workspace, database, connection, name, who))  # noqa: B023
            taken += [seconds * 1_000] if number >= 100 else []
    shown = {"median": round(statistics.median(taken), 3), "p95": round(statistics.quantiles(taken, n=20)[-1], 3)}
    allowed, ranked = ALLOWED["membership_milliseconds"], len(pairs) - len(looked_up)
    say(database, what="membership", milliseconds=shown, allowed=allowed, segments=len(looked_up), ranked=ranked)


def belongs(workspace: Workspace, database: Database, connection: Connection, name: str, who: int) -> bool:
    rule = matches(workspace, workspace.segments[name].who, now=NOW, dialect=database.dialect)
    return connection.execute(select(customers.c.id).where(customers.c.id == who, rule)).first() is not None


def timed(call: Callable[[], T]) -> tuple[float, T]:
    began = time.perf_counter()
    answer = call()
    return time.perf_counter() - began, answer


def say(database: Database, **facts: object) -> None:
    print(json.dumps({"on": database.dialect, **facts}), flush=True)


# ---------------------------------------------------------------- where it is measured


@contextmanager
def shop(kind: str, folder: Path, people: int, happened: int) -> Iterator[Database]:
    """The shop's database, made where it is not there yet."""
    place = folder / f"{people}x{happened}"
    place.mkdir(parents=True, exist_ok=True)
    with server.running(place) if kind == "postgresql" else nullcontext(f"sqlite:///{place / 'shop.db'}") as url:
        database = open_database(url, secret="benchmark")
        try:
            with database.reading() as connection:
                made = connection.execute(select(func.count()).select_from(customers)).scalar_one()
            if made < people:
                seconds, _ = timed(lambda: fill(database, people, happened))
                say(database, what="made", customers=people, events=happened, seconds=round(seconds, 1))
            yield database
        finally:
            database.close()


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--customers", type=int, default=1_000_000)
    asked.add_argument("--events", type=int, default=10_000_000)
    asked.add_argument("--data", type=Path, default=Path(tempfile.gettempdir()) / "regulars-benchmark")
    asked.add_argument("--on", choices=("sqlite", "postgresql"), action="append")
    asked.add_argument("--repeat", type=int, default=5)
    asked.add_argument("--together", action="store_true", help="measure only all segments in one go")
    asked.add_argument("--workspace", type=Path, action="append", default=[], help="more segments to measure")
    given = asked.parse_args()
    os.environ.setdefault("REGULARS_SECRET", "benchmark")
    print(json.dumps(machine()), flush=True)
    examples = [path.parent for path in sorted((ROOT / "examples").glob("*/config.yaml"))]
    nested = load_workspace(SHOP)
    workspaces = [load_workspace(folder) for folder in (ROOT, *examples, *given.workspace)]
    for kind in given.on or ("sqlite", "postgresql"):
        if kind == "postgresql" and server.binaries() is None:
            print(json.dumps({"on": kind, "what": "left out", "why": "no PostgreSQL server is installed"}))
            continue
        with shop(kind, given.data, given.customers, given.events) as database:
            if not given.together:
                compared(nested, database, given.repeat)
                everyone(workspaces, database, 2)
                membership(workspaces, database, given.customers)
            together(workspaces, database, 3)
    print(json.dumps({"what": "memory", "peak_rss_mb": round(peak_megabytes(), 1)}))


if __name__ == "__main__":
    main()
