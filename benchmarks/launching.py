"""How long a launch takes: everybody is owed a message, beside the bare INSERT … SELECT of as many rows into the same table.

    python benchmarks/launching.py [--customers 1000000] [--rounds 3] [--databases sqlite postgresql]

Prints JSON lines: the machine; one line a round; then the ratio of the medians.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from sqlalchemy import delete, insert, literal, select

from benchmarks.ground import mailing, server
from benchmarks.ground.machine import machine, peak_megabytes, say
from engine.store.tables import customers, departures, messages


def bare(main: mailing.Mailing, run_id: int) -> float:
    """Seconds for the same rows, from a SELECT that asks nothing."""
    now = datetime.now(UTC)
    row = {
        "run_id": run_id, "campaign": "news", "step": "bare", "channel": "email", "message_class": "commercial", "delivery": "at_most_once",
        "lane": 1, "state": "pending", "owed_at": now, "due_at": now, "changed_at": now,
    }  # fmt: skip
    values = [literal(value, messages.c[name].type) for name, value in row.items()]
    began = time.perf_counter()
    with main.database.writing() as connection:
        rows = insert(messages).from_select([*row, "customer_id"], select(*values, customers.c.id))
        connection.execute(rows)
    return time.perf_counter() - began


def measure(folder: Path, url: str, kind: str, asked: argparse.Namespace) -> None:
    folder.mkdir()
    mailing.workspace(folder, {"use": "file", "folder": "outbox"}, database=url, sending={})
    mailing.fill(folder, asked.customers)
    main = mailing.Mailing(folder, None)  # type: ignore[arg-type]
    launches, baselines = list[float](), list[float]()
    try:
        for number in range(asked.rounds):
            began = time.perf_counter()
            launched = main.launch(f"round {number}")
            launches.append(time.perf_counter() - began)
            assert launched.owed == asked.customers
            _clear(main)
            baselines.append(bare(main, launched.run_id))
            _clear(main)
            say(database=kind, launch_seconds=round(launches[-1], 2), bare_seconds=round(baselines[-1], 2))
    finally:
        main.close()
    ratio = statistics.median(launches) / statistics.median(baselines)
    say(database=kind, customers=asked.customers, ratio=round(ratio, 2), peak_megabytes=round(peak_megabytes()))


def _clear(main: mailing.Mailing) -> None:
    with main.database.writing() as connection:
        for table in (messages, departures):
            connection.execute(delete(table))
    word = "VACUUM ANALYZE messages" if main.database.dialect == "postgresql" else "PRAGMA wal_checkpoint(TRUNCATE)"
    with main.database.pool.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(word)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--databases", nargs="+", default=["sqlite", "postgresql"])
    asked = parser.parse_args()
    say(**machine())
    root = Path(tempfile.mkdtemp(prefix="regulars-launching-"))
    root.chmod(0o755)  # PostgreSQL's own user works in it, too
    try:
        for kind in asked.databases:
            running = server.running(root) if kind == "postgresql" else nullcontext(f"sqlite:///{root}/shop.db")
            with running as url:
                measure(root / f"shop-{kind}", url, kind, asked)
    finally:
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
