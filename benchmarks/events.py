"""How fast what a vendor reports is taken in: SendGrid's signed event webhooks, over HTTP, into the ledger.

    python benchmarks/events.py [--messages 20000] [--batch 1000] [--rounds 3] [--databases sqlite postgresql]

Each letter was accepted an hour ago. It is processed and delivered; four of ten are opened, one of ten is clicked, one of a
hundred bounces. The events come in batches, each signed by ECDSA as SendGrid signs, posted by two clients to `regulars serve` in a process of
its own. Taken means stored durably, its message found and stamped, opens and clicks judged, bad addresses suppressed. The
baseline, in the same run and against the same kind of database: verify, `json.loads`, `executemany` of an INSERT, no HTTP.
Prints JSON lines: the machine; for each round events a second of both; then the medians and their ratio.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import requests
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key
from sqlalchemy import String, cast, func, insert, literal, select, update

from benchmarks.ground import mailing, server
from benchmarks.ground.machine import machine, say
from channels.sendgrid.letters import OUR_KEY
from engine.provider import Http, Webhook
from engine.sending.providers import open_provider
from engine.store import Database
from engine.store.tables import events, messages
from engine.testing.vendors import Received
from engine.testing.vendors.sendgrid import SendGridVendor

AGENT = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148"
PATH = "/v1/webhooks/relay"


@dataclass(frozen=True, kw_only=True)
class Ground:
    """A workspace whose letters were all accepted an hour ago, and the vendor that has them."""

    folder: Path
    main: mailing.Mailing
    vendor: SendGridVendor

    @property
    def database(self) -> Database:
        return self.main.database


@contextmanager
def ground(root: Path, url: str, count: int) -> Iterator[Ground]:
    vendor = SendGridVendor()
    folder = Path(tempfile.mkdtemp(dir=root))
    relay = {"use": "sendgrid", "api_key": "${env:BENCH_SENDGRID_KEY}", "webhook_key": vendor.public_key}
    mailing.workspace(folder, relay, database=url, sending={})
    mailing.fill(folder, count)
    main = mailing.Mailing(folder, open_provider("relay", relay, Http(), folder))
    main.launch("all")
    then = datetime.now(UTC) - timedelta(hours=1)
    m = messages.c
    address = literal("c") + cast(m.customer_id, String) + "@customers.example"
    taken = {m.state: "accepted", m.attempts: 1, m.provider: "relay", m.first_sent_at: then, m.accepted_at: then}
    with main.database.writing() as connection:
        connection.execute(update(messages).values({**taken, m.sent_to: address}))
    try:
        yield Ground(folder=folder, main=main, vendor=vendor)
    finally:
        main.close()


def told(ground: Ground, count: int) -> Iterator[dict[str, Any]]:
    """What SendGrid tells about these letters, in the order in which it happens."""
    at = datetime.now(UTC) - timedelta(minutes=50)
    for word, share, more in (
        ("processed", 1, {}),
        ("delivered", 1, {"response": "250 2.0.0 OK 1772452801 d2e1a72fcca58-7a1b2 - gsmtp", "ip": "192.0.2.7"}),
        ("bounce", 100, {"status": "5.1.1", "type": "bounce", "reason": "550 5.1.1 The email account does not exist"}),
        ("open", 2.5, {"useragent": AGENT, "ip": "192.0.2.8", "sg_machine_open": False}),
        ("click", 10, {"useragent": AGENT, "ip": "192.0.2.8", "url": "https://shop.example/records/7"}),
    ):
        for number in range(1, count + 1):
            if int(number % share) == 0:
                letter = Received(
                    key=ground.database.message_key(number),
                    to=f"c{number}@customers.example",
                    provider_message_id=f"LRzXl_NHStOGhQ4kofSm_A{number}",
                )
                yield ground.vendor.event(
                    letter, word, at=at + timedelta(seconds=number % 600), category="news", **more
                )


def batches(ground: Ground, count: int, size: int) -> list[Sequence[Mapping[str, Any]]]:
    everything = list(told(ground, count))
    return [everything[start : start + size] for start in range(0, len(everything), size)]


def signed(ground: Ground, batch: Sequence[Mapping[str, Any]]) -> Webhook:
    return ground.vendor.webhook(f"https://shop.example{PATH}", batch, now=datetime.now(UTC))


# ---------------------------------------------------------------- ours


@contextmanager
def door(folder: Path) -> Iterator[str]:
    """`regulars serve` in a process of its own, and where it listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    command = [sys.executable, "-m", "engine.cli", "serve", "--workspace", str(folder), "--listen", address]
    process = subprocess.Popen(command, stderr=(folder / "log").open("w"), cwd=Path(__file__).parents[1])
    try:
        for _ in range(1000):
            if process.poll() is not None:
                raise RuntimeError((folder / "log").read_text())
            try:
                requests.get(f"http://{address}/openapi.json", timeout=60)
                break
            except requests.RequestException:
                time.sleep(0.1)
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(60)


def posted(url: str, webhooks: Sequence[Webhook], clients: int) -> float:
    """Seconds until the last of them is answered."""
    waiting, lock = iter(webhooks), threading.Lock()
    failed: list[str] = []

    def work() -> None:
        with requests.Session() as session:
            while True:
                with lock:
                    webhook = next(waiting, None)
                if webhook is None:
                    return
                answer = session.post(url + PATH, data=webhook.body, headers=dict(webhook.headers), timeout=60)
                if answer.status_code != 204:
                    failed.append(answer.text)

    crew = [threading.Thread(target=work) for _ in range(clients)]
    began = time.perf_counter()
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()
    assert not failed, failed[0]
    return time.perf_counter() - began


def ours(root: Path, url: str, asked: argparse.Namespace) -> float:
    """Events a second through the door."""
    with ground(root, url, asked.messages) as made:
        parts = batches(made, asked.messages, asked.batch)
        with door(made.folder) as address:
            posted(address, [signed(made, parts[0][:1])], 1)  # everything is loaded now
            webhooks = [signed(made, part) for part in parts]
            seconds = posted(address, webhooks, asked.clients)
        total = sum(map(len, parts))
        with made.database.reading() as connection:
            stored = connection.execute(select(func.count()).select_from(events)).scalar_one()
            delivered = connection.execute(
                select(func.count()).where(messages.c.delivered_at.is_not(None))
            ).scalar_one()
        assert (stored, delivered) == (total, asked.messages), (stored, delivered, total)
    return total / seconds


# ---------------------------------------------------------------- bare


def bare(root: Path, url: str, asked: argparse.Namespace) -> float:
    """Events a second by who verifies, reads and inserts, and does nothing else."""
    with ground(root, url, asked.messages) as made:
        parts = batches(made, asked.messages, asked.batch)
        webhooks = [signed(made, part) for part in parts]
        key = load_der_public_key(base64.b64decode(made.vendor.public_key))
        assert isinstance(key, ec.EllipticCurvePublicKey)
        now, began = datetime.now(UTC), time.perf_counter()
        for webhook in webhooks:
            stamp = webhook.headers["x-twilio-email-event-webhook-timestamp"].encode()
            signature = base64.b64decode(webhook.headers["x-twilio-email-event-webhook-signature"])
            key.verify(signature, stamp + webhook.body, ec.ECDSA(hashes.SHA256()))
            rows = [
                {
                    "external_id": f"{item['sg_event_id']} {item[OUR_KEY]}",
                    "name": item["event"],
                    "at": datetime.fromtimestamp(item["timestamp"], UTC),
                    "properties": item,
                    "received_at": now,
                }
                for item in json.loads(webhook.body)
            ]
            with made.database.writing() as connection:
                connection.execute(insert(events), rows)
        return sum(map(len, parts)) / (time.perf_counter() - began)


# ---------------------------------------------------------------- the run


def compared(kind: str, root: Path, url_of: Callable[[], str], asked: argparse.Namespace) -> None:
    rates: dict[str, list[float]] = {"ours": [], "bare": []}
    for number in range(asked.rounds):
        for name, way in (("bare", bare), ("ours", ours)):
            rates[name].append(way(root, url_of(), asked))
        say(database=kind, round=number + 1, **{name: round(each[-1]) for name, each in rates.items()})
    medians = {name: statistics.median(each) for name, each in rates.items()}
    say(
        database=kind,
        events_a_second=round(medians["ours"]),
        bare_events_a_second=round(medians["bare"]),
        ratio=round(medians["ours"] / medians["bare"], 2),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--batch", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--databases", nargs="+", default=["sqlite", "postgresql"])
    asked = parser.parse_args()
    os.environ["BENCH_SENDGRID_KEY"] = "SG.for-tests"
    os.environ["REGULARS_API_KEYS"] = "key-of-the-benchmark"
    say(**machine())
    root = Path(tempfile.mkdtemp(prefix="regulars-events-"))
    root.chmod(0o755)  # the PostgreSQL server has a user of its own
    try:
        for kind in asked.databases:
            if kind == "sqlite":
                compared(kind, root, lambda: "sqlite:///regulars.db", asked)
            else:
                with server.running(root) as first:
                    compared(kind, root, lambda: server.fresh(first), asked)
    finally:
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
