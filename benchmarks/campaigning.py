"""What a message costs while a campaign grows, and how much memory its sender takes: everybody is sent one, to a vendor that is free.

    python benchmarks/campaigning.py [--customers 10000 100000 1000000] [--databases sqlite]

A personalised email of about 7 KB goes through the whole path, and is accepted at once: there is no network. The sender is a
process of its own, as a worker is; the launch is another's. Prints JSON lines: the machine; one line for each size. Processor
time is the sender's, with its chores; memory the most that it ever held.
"""

from __future__ import annotations

import argparse
import multiprocessing
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.ground import mailing, server
from benchmarks.ground.machine import machine, peak_megabytes, say
from engine.clock import WallClock
from engine.daemon import for_long_work
from engine.ledger.balance import balance
from engine.model import Channel, State
from engine.provider import Capabilities
from engine.sending.dispatch import Kind, dispatcher_for
from engine.sending.stand_in import StandIn

LOOK_SECONDS = 0.5


def _free() -> StandIn:
    return StandIn(Capabilities(channel=Channel.EMAIL, html=True, headers=True))


def _work(folder: Path, pipe: Connection) -> None:
    sending = mailing.Mailing(folder, _free())
    for_long_work()
    began = time.process_time()
    dispatcher = dispatcher_for(sending.sender, sending.database, WallClock())
    dispatcher.start(Kind.WORKER)
    pipe.recv()
    dispatcher.stop()
    sending.close()
    pipe.send((time.process_time() - began, peak_megabytes()))


def measure(folder: Path, url: str, kind: str, customers: int) -> None:
    folder.mkdir()
    mailing.workspace(folder, {"use": "file", "folder": "outbox"}, database=url, sending={"threads": 1, "batch": 500})
    mailing.fill(folder, customers)
    main = mailing.Mailing(folder, _free())
    try:
        began = time.perf_counter()
        main.launch("whole")
        launched = time.perf_counter()
        ours, theirs = multiprocessing.Pipe()
        multiprocessing.get_context("spawn").Process(target=_work, args=(folder, theirs), daemon=True).start()
        while balance(main.database).open:
            time.sleep(LOOK_SECONDS if customers < 200_000 else 10 * LOOK_SECONDS)  # a look counts all messages
        seconds = time.perf_counter() - launched
        ours.send("stop")
        cpu, peak = ours.recv()
        books = balance(main.database)
        assert books.holds and books.by_state == {State.ACCEPTED: customers}, books
    finally:
        main.close()
        shutil.rmtree(folder)
    say(
        database=kind,
        customers=customers,
        launch_seconds=round(launched - began, 1),
        messages_a_second=round(customers / seconds),
        cpu_microseconds_a_message=round(cpu / customers * 1e6),
        peak_megabytes_of_the_sender=round(peak),
        peak_megabytes_of_the_launch=round(peak_megabytes()),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--databases", nargs="+", default=["sqlite"])
    asked = parser.parse_args()
    say(**machine())
    root = Path(tempfile.mkdtemp(prefix="regulars-campaigning-"))
    root.chmod(0o755)  # PostgreSQL's own user works in it, too
    try:
        for kind in asked.databases:
            with server.running(root) if kind == "postgresql" else nullcontext("") as first:
                for customers in asked.customers:
                    url: Callable[[], str] = (lambda: server.fresh(first)) if first else lambda: "sqlite:///regulars.db"
                    measure(root / f"{kind}-{customers}", url(), kind, customers)
    finally:
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
