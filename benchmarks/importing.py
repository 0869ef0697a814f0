"""How long an import of events takes, against the same rows given bare to sqlite3, and how much memory it needs.

    python benchmarks/importing.py [--rows 1000000] [--customers 100000] [--repeat 3]

Prints the machine, then JSON lines: each import and each bare insert (a process of its own, so that its peak memory is its
own), and last the ratio of their medians. Bare means: tuples that are parsed already, `executemany` into the same table with
the same indexes, WAL, synchronous FULL, the same chunks; only the inserts and commits are timed.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import random
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from engine.intake.events import import_events
from engine.intake.importing import CHUNK
from engine.settings import Settings
from engine.store import Database, open_database
from engine.store.tables import customers, microseconds

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SETTINGS = Settings.model_validate(
    {
        "workspace": "benchmark",
        "time_zone": "UTC",
        "secret": "${env:REGULARS_SECRET}",
        "events": {"purchase": {"amount": "number", "items": "number", "category": "text"}},
    }
)
HEADER = ["id", "customer", "name", "at", "amount", "items", "category"]


def generate(path: Path, rows: int, people: int) -> None:
    """A year of purchases, in the order of time, by customers at random."""
    chance, step = random.Random(1997), timedelta(days=365) / rows
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        for number in range(rows):
            at = NOW - timedelta(days=365) + step * number
            amount = f"{chance.lognormvariate(3, 0.8):.2f}"
            what = chance.choice(("jazz", "rock", "classical", "folk"))
            who = f"customer-{chance.randrange(people)}"
            writer.writerow(
                [
                    f"order-{number}",
                    who,
                    "purchase",
                    at.isoformat(timespec="seconds"),
                    amount,
                    chance.randint(1, 5),
                    what,
                ]
            )


def prepare(folder: Path, people: int) -> Database:
    """A fresh database with its customers."""
    database = open_database(f"sqlite:///{folder / 'regulars.db'}", secret="benchmark")
    rows = ({"external_id": f"customer-{number}", "attributes": {}, "created_at": NOW} for number in range(people))
    with database.writing() as connection:
        while chunk := list(islice(rows, CHUNK)):
            connection.execute(customers.insert(), chunk)
    return database


def imported(path: Path, database: Database) -> tuple[int, float]:
    done = import_events(path, settings=SETTINGS, database=database, now=NOW)
    return done.added, done.seconds


def bare(path: Path, database: Database) -> tuple[int, float]:
    with database.reading() as connection:
        owners = {row.external_id: row.id for row in connection.execute(customers.select())}
    raw = sqlite3.connect(str(database.pool.url.database), isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "cache_size=-64000"):
        raw.execute(f"PRAGMA {pragma}")
    insert = (
        "INSERT INTO events (external_id, customer_id, name, at, properties, received_at) VALUES (?, ?, ?, ?, ?, ?)"
    )
    count, seconds, rows = 0, 0.0, parsed(path, owners)
    while chunk := list(islice(rows, CHUNK)):
        began = time.perf_counter()
        raw.execute("BEGIN IMMEDIATE")
        raw.executemany(insert, chunk)
        raw.execute("COMMIT")
        seconds += time.perf_counter() - began
        count += len(chunk)
    return count, seconds


def parsed(path: Path, owners: dict[str, int]) -> Iterator[tuple[Any, ...]]:
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            properties = {"amount": float(row["amount"]), "items": int(row["items"]), "category": row["category"]}
            at = microseconds(datetime.fromisoformat(row["at"]))
            yield (
                f"event:{row['id']}",
                owners[row["customer"]],
                row["name"],
                at,
                json.dumps(properties),
                microseconds(NOW),
            )


WAYS = {"import": imported, "bare": bare}


def peak_megabytes() -> float:
    """The most memory that this process ever held."""
    status = Path("/proc/self/status")
    if status.exists():  # what getrusage says includes the parent's, from before exec
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024
    unit = 1024**2 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def measure(way: str, path: Path, people: int) -> None:
    """One import or bare insert, in this process; prints its line."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        database = prepare(Path(folder), people)
        rows, seconds = WAYS[way](path, database)
        database.close()
    line = {"what": way, "rows": rows, "seconds": round(seconds, 2), "rows_per_second": round(rows / seconds)}
    print(json.dumps({**line, "peak_rss_mb": round(peak_megabytes(), 1)}), flush=True)


def in_its_own_process(way: str, path: Path, people: int) -> float:
    """Its seconds."""
    command = [sys.executable, __file__, "--way", way, "--file", str(path), "--customers", str(people)]
    root = str(Path(__file__).parents[1])
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": root}
    )
    print(done.stdout, end="", flush=True)
    return float(json.loads(done.stdout)["seconds"])


def machine() -> dict[str, object]:
    info = Path("/proc/cpuinfo")
    models = (
        [line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        if info.exists()
        else []
    )
    return {
        "machine": platform.platform(),
        "cpu": models[0] if models else platform.processor(),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
    }


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--rows", type=int, default=1_000_000)
    asked.add_argument("--customers", type=int, default=100_000)
    asked.add_argument("--repeat", type=int, default=3, help="how often the full size is measured, each way in turn")
    asked.add_argument("--folder", type=Path, help="where the files and databases go (default: the temporary folder)")
    asked.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    asked.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    given = asked.parse_args()
    if given.way:
        measure(given.way, given.file, given.customers)
        return
    print(json.dumps(machine()), flush=True)
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        small, large = Path(folder) / "small.csv", Path(folder) / "large.csv"
        generate(small, given.rows // 5, given.customers)
        generate(large, given.rows, given.customers)
        in_its_own_process("import", small, given.customers)
        seconds: dict[str, list[float]] = {way: [] for way in WAYS}
        for _ in range(given.repeat):
            for way in WAYS:
                seconds[way].append(in_its_own_process(way, large, given.customers))
        ratio = statistics.median(seconds["import"]) / statistics.median(seconds["bare"])
        print(json.dumps({"what": "ratio", "rows": given.rows, "ratio": round(ratio, 2), "allowed": 4}))


if __name__ == "__main__":
    main()
