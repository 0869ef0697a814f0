"""How long a receipt takes from the HTTP call to the mail server's socket while a bulk campaign is being sent.

    python benchmarks/triggering.py [--bulk 100000] [--triggers 400] [--a-second 20] [--databases sqlite postgresql]

`regulars run --serve` runs as its user would run it: one process, its bulk campaign going into Postfix's smtp-sink. A client
triggers receipts at a steady rate; a mail server of its own notes when the first byte of each message's transaction arrives.
The baseline is the same without a bulk campaign. Prints JSON lines: the machine, then percentiles in milliseconds.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import socketserver
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import requests
from sqlalchemy import func, select

from benchmarks.ground import mailing, server
from benchmarks.ground.machine import machine, say
from benchmarks.sending import smtp_sink
from engine.provider import Http
from engine.sending.providers import open_provider
from engine.store.tables import messages

API_KEY = "key-of-the-benchmark"


class Recorder(socketserver.ThreadingTCPServer):
    """A mail server that notes when the transaction of each order's receipt began."""

    allow_reuse_address = daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Conversation)
        self.began: dict[str, float] = {}
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Conversation(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True
    server: Recorder

    def handle(self) -> None:
        self.wfile.write(b"220 recorder ESMTP\r\n")
        began = 0.0
        for line in self.rfile:
            word = line[:4].upper()
            if word == b"MAIL":
                began = time.monotonic()
            if word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                self._message(began)
            self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 ok\r\n")

    def _message(self, began: float) -> None:
        for line in self.rfile:
            if line.startswith(b"Subject: Order "):
                self.server.began[line[15:].strip().decode()] = began
            if line == b".\r\n":
                return


@contextmanager
def daemon(folder: Path) -> Iterator[str]:
    """`regulars run --serve`, and the URL it listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    command = [sys.executable, "-m", "engine.cli", "run", "--workspace", str(folder), "--serve", address]
    process = subprocess.Popen(command, stderr=(folder / "log").open("w"), cwd=Path(__file__).parents[1])
    try:
        for _ in range(300):
            try:
                requests.get(f"http://{address}/openapi.json", timeout=20)
                break
            except requests.RequestException:
                time.sleep(0.1)
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(60)


def measured(root: Path, url: str, bulk: int, asked: argparse.Namespace) -> dict[str, Any]:
    folder, recorder = Path(tempfile.mkdtemp(dir=root)), Recorder()
    with smtp_sink(20) as (relay, _):
        receipts = {**relay, "port": recorder.port, "connections": 8}
        mailing.workspace(folder, relay, database=url, sending={}, receipts=receipts)
        mailing.fill(folder, max(bulk, 1000))
        main = mailing.Mailing(folder, open_provider("relay", relay, Http(), folder))
        if bulk:
            main.launch("bulk")
        with daemon(folder) as door:
            time.sleep(2)
            before = _open(main)
            taken = _trigger(door, asked)
            time.sleep(2)
            left = _open(main)
        main.close()
    if bulk:
        assert 0 < left < before, f"the bulk campaign was over too soon: {before} → {left}"
    waits = [1000 * (recorder.began[order] - at) for order, at in taken.items()]
    cuts = statistics.quantiles(waits, n=100)
    return {
        "receipts": len(waits),
        "bulk_sent_meanwhile": before - left,
        **{f"p{cut}_ms": round(cuts[cut - 1], 1) for cut in (50, 95, 99)},
        "worst_ms": round(max(waits), 1),
    }


def _open(main: mailing.Mailing) -> int:
    query = select(func.count()).where(messages.c.campaign == "news", messages.c.state.in_(("pending", "claimed")))
    with main.database.reading() as connection:
        return int(connection.execute(query).scalar_one())


def _trigger(door: str, asked: argparse.Namespace) -> dict[str, float]:
    """Each order's number, and when its call was begun."""
    taken: dict[str, float] = {}
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {API_KEY}"
        start = time.monotonic()
        for number in range(asked.triggers):
            time.sleep(max(0.0, start + number / asked.a_second - time.monotonic()))
            order = f"{number:06}"
            taken[order] = time.monotonic()
            body = {"customer": {"id": f"C{1 + number % 900}"}, "data": {"order": order}}
            answer = session.post(
                f"{door}/v1/trigger/receipt", json=body, headers={"Idempotency-Key": order}, timeout=30
            )
            assert answer.status_code == 202, answer.text
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bulk", type=int, default=100_000)
    parser.add_argument("--triggers", type=int, default=400)
    parser.add_argument("--a-second", type=float, default=20)
    parser.add_argument("--databases", nargs="+", default=["sqlite", "postgresql"])
    asked = parser.parse_args()
    os.environ["REGULARS_API_KEYS"] = API_KEY
    say(**machine())
    root = Path(tempfile.mkdtemp(prefix="regulars-triggering-"))
    root.chmod(0o755)  # PostgreSQL's own user works in it, too
    try:
        for kind in asked.databases:
            if kind == "sqlite":
                _both(kind, root, lambda: "sqlite:///regulars.db", asked)
            else:
                with server.running(root) as first:
                    _both(kind, root, lambda: server.fresh(first), asked)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _both(kind: str, root: Path, url_of: Callable[[], str], asked: argparse.Namespace) -> None:
    for bulk in (0, asked.bulk):
        say(database=kind, bulk=bulk, **measured(root, url_of(), bulk, asked))


if __name__ == "__main__":
    main()
