"""How fast the ledger alone turns: messages claimed, their intents written, their answers settled, by many workers at once.

    python benchmarks/ledger.py [--messages 100000] [--workers 1 8] [--group 500] [--databases postgresql sqlite]

Messages are claimed from their run, as the sender does. Nothing is decided, rendered or sent: each message gets the values and the hash that a personalised email has, and is accepted
as soon as its intent is on disk. Each worker is a process. On PostgreSQL the server writes down who waits for a lock for
longer than 50 ms. Prints JSON lines: the machine; one line for each database and number of workers.
"""

from __future__ import annotations

import argparse
import multiprocessing
import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from dataclasses import replace

from benchmarks.ground import mailing, server
from benchmarks.ground.machine import machine, say
from engine.ledger.balance import balance
from engine.ledger.claim import claim, waiting_runs
from engine.ledger.hand_over import Intent, begin
from engine.ledger.settle import Ended, Retry, settle
from engine.model import Lane, Message, State
from engine.provider import Accepted
from engine.store import Database, open_database

LEASE = timedelta(minutes=5)
NO_RETRY = Retry(wait=timedelta(), worthwhile=False)
LOCK_WAITS = "-c log_lock_waits=on -c deadlock_timeout=50ms"


def _intent(message: Message, now: datetime) -> Intent:
    customer = {
        "id": f"C{message.customer_id}",
        "first_name": "Ana",
        "city": "Turku",
        "locale": None,
        "time_zone": None,
    }
    return Intent(
        message=message,
        provider="relay",
        at=now,
        sent_to=f"c{message.customer_id}@customers.example",
        contact_point_id=message.customer_id,
        values={"customer": customer, "links": {"unsubscribe": "https://shop.example/u/" + "x" * 30}, "data": {}},
        template_path="news",
        content_hash="0" * 64,
        revision=0,
        bump=False,
    )


def _accepted(intent: Intent) -> Ended:
    sent = replace(intent.message, attempts=1, sent_to=intent.sent_to, provider=intent.provider)
    return Ended(message=sent, outcome=Accepted(provider_message_id=f"vendor-{sent.id}"), retry=NO_RETRY)


def turn(database: Database, owner: str, run_id: int, group: int) -> int:
    """One batch of a run through all its states; how many messages it had."""
    now = datetime.now(UTC)
    batch = claim(database, Lane.BULK, owner=owner, limit=500, lease=LEASE, now=now, run_id=run_id)
    for first in range(0, len(batch), group):
        intents = [_intent(message, now) for message in batch[first : first + group]]
        assert not begin(database, intents, now=datetime.now(UTC))
        settle(database, [_accepted(intent) for intent in intents], now=datetime.now(UTC))
    return len(batch)


def _work(url: str, number: int, group: int, pipe: Connection) -> None:
    database = open_database(url, secret=mailing.SECRET)
    pipe.send("ready")
    pipe.recv()
    began = time.process_time()
    (run,) = waiting_runs(database)
    while turn(database, f"worker {number}", run.run_id, group):
        pass
    pipe.send(time.process_time() - began)
    database.close()


def measure(folder: Path, url: str, kind: str, workers: int, asked: argparse.Namespace) -> None:
    folder.mkdir()
    nowhere = {"use": "file", "folder": "outbox"}
    mailing.workspace(folder, nowhere, database=url, sending={})
    mailing.fill(folder, asked.messages)
    main = mailing.Mailing(folder, None)  # type: ignore[arg-type]
    try:
        main.launch("a")
        pipes = [_worker(url, number, asked.group) for number in range(workers)]
        for pipe in pipes:
            pipe.recv()
        log = folder.parent / "postgresql" / "log"
        waits_before = _waits(log)
        began = time.perf_counter()
        for pipe in pipes:
            pipe.send("go")
        cpu = sum(pipe.recv() for pipe in pipes)
        seconds = time.perf_counter() - began
        books = balance(main.database)
        assert books.holds and books.by_state == {State.ACCEPTED: asked.messages}, books
    finally:
        main.close()
    waits = {"lock_waits_over_50_ms": _waits(log) - waits_before} if kind == "postgresql" else {}
    say(
        database=kind,
        workers=workers,
        group=asked.group,
        messages_a_second=round(asked.messages / seconds),
        cpu_microseconds_a_message=round(cpu / asked.messages * 1e6),
        **waits,
    )


def _waits(log: Path) -> int:
    return log.read_text(errors="replace").count("still waiting for") if log.exists() else 0


def _worker(url: str, number: int, group: int) -> Connection:
    ours, theirs = multiprocessing.Pipe()
    work = (url, number, group, theirs)
    multiprocessing.get_context("spawn").Process(target=_work, args=work, daemon=True).start()
    return ours


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--group", type=int, default=500)
    parser.add_argument("--databases", nargs="+", default=["postgresql", "sqlite"])
    asked = parser.parse_args()
    say(**machine())
    root = Path(tempfile.mkdtemp(prefix="regulars-ledger-"))
    root.chmod(0o755)  # PostgreSQL's own user works in it, too
    try:
        for workers in asked.workers:
            if "sqlite" in asked.databases:
                measure(root / f"sqlite-{workers}", f"sqlite:///{root}/{workers}.db", "sqlite", workers, asked)
        if "postgresql" in asked.databases:
            with server.running(root, options=LOCK_WAITS) as first:
                for workers in asked.workers:
                    measure(root / f"postgresql-{workers}", server.fresh(first), "postgresql", workers, asked)
    finally:
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
