"""How fast a whole run leaves: owed, decided, rendered, handed over and settled in a durable ledger, beside a bare tool that only sends.

    python benchmarks/sending.py [--messages 50000] [--rounds 3] [--sessions 20] [--processes 1 2]
                                 [--vendors smtp sendgrid twilio] [--databases sqlite postgresql] [--latency 0.05]

A personalised email of about 7 KB (HTML and text, every link tracked) or a short text goes to each customer. `smtp` goes
into Postfix's smtp-sink, beside Postfix's smtp-source with as many sessions and messages of the same size, in turns: as it
comes, where each message has a session of its own, and with kept ones (`-d`), as ours are.
`sendgrid` and `twilio` go to the stand-ins of engine/testing, in a process of their own; Twilio's baseline is a bare loop of
pooled `requests` on as many threads. With `--latency` every answer comes so many seconds late, each process has all of the
sessions, and there is no baseline: it asks what a second process brings. Prints JSON lines: the machine; one line a round; then medians and ratios.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import requests
from sqlalchemy import func, select

from benchmarks.ground import mailing, server
from benchmarks.ground.far_mail import far_mail
from benchmarks.ground.machine import machine, peak_megabytes, say
from engine.clock import WallClock
from engine.daemon import for_long_work
from engine.ledger.balance import balance
from engine.ledger.claim import count_due
from engine.model import State
from engine.provider import Http
from engine.sending.dispatch import Kind, dispatcher_for
from engine.sending.providers import open_provider
from engine.store.tables import attempts
from engine.testing.vendors.sendgrid import SendGridVendor
from engine.testing.vendors.server import HttpVendor, Received, Reply, Request
from engine.testing.vendors.twilio import ACCOUNT, TwilioVendor

Taken = Callable[[], int | None]
TWILIO = {"account_sid": ACCOUNT, "auth_token": "${env:BENCH_TOKEN}"}
KEYS = {"BENCH_KEY": "SG.for-tests", "BENCH_TOKEN": "token-for-tests"}


# ---------------------------------------------------------------- vendors


@contextmanager
def smtp_sink(sessions: int) -> Iterator[tuple[dict[str, Any], Taken]]:
    """Postfix's smtp-sink on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    sink = subprocess.Popen([_postfix("smtp-sink"), *user, f"127.0.0.1:{port}", "1000"])
    try:
        _await_port(port)
        yield _relay(port, sessions), lambda: None
    finally:
        sink.kill()
        sink.wait()


def _relay(port: int, sessions: int) -> dict[str, Any]:
    return {
        "use": "smtp", "host": "127.0.0.1", "port": port, "security": "none", "connections": sessions,
        "messages_per_connection": 1_000_000,
    }  # fmt: skip


def _postfix(program: str) -> str:
    found = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        raise SystemExit(f"{program} is missing: apt-get install postfix (or brew install postfix)")
    return found


def _await_port(port: int) -> None:
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit("the sink did not start")


class _Counting:
    """Counts what it takes and keeps none of it. `latency`: seconds from a request to its answer."""

    taken, latency = 0, 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Late(Reply):
    """An answer that takes its time, while the vendor takes other requests."""

    seconds: float

    def wire(self) -> bytes:
        time.sleep(self.seconds)
        return Reply.wire(self)


def _late(reply: Reply, seconds: float) -> Reply:
    return Late(status=reply.status, body=reply.body, headers=reply.headers, seconds=seconds)


class Mail(_Counting, SendGridVendor):
    def take(self, request: Request) -> tuple[Reply, Any]:
        reply, received = super().take(request)
        self.taken += len(received)
        return _late(reply, self.latency), []


class Texts(_Counting, TwilioVendor):
    def take(self, request: Request) -> tuple[Reply, Received | None]:
        reply, received = super().take(request)
        self.taken += received is not None
        return _late(reply, self.latency), None


def _serve(kind: type[Any], latency: float, pipe: Connection) -> None:
    with kind() as vendor:
        assert isinstance(vendor, HttpVendor)
        vendor.latency = latency
        pipe.send(vendor.url)
        while pipe.recv():
            pipe.send(vendor.taken)


@contextmanager
def stand_in(kind: type[Any], settings: Mapping[str, Any], latency: float) -> Iterator[tuple[dict[str, Any], Taken]]:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(kind, latency, theirs), daemon=True)
    process.start()

    def taken() -> int:
        ours.send(True)
        return int(ours.recv())

    try:
        yield {**settings, "base_url": ours.recv()}, taken
    finally:
        ours.send(False)
        process.join(10)


@contextmanager
def vendor_of(name: str, sessions: int, latency: float = 0.0) -> Iterator[tuple[dict[str, Any], Taken]]:
    """The vendor, as a provider of config.yaml, and how many messages it took (None where it does not tell)."""
    os.environ.update(KEYS)
    match name:
        case "smtp" if latency:
            with far_mail(latency) as port:
                yield _relay(port, sessions), lambda: None
        case "smtp":
            with smtp_sink(sessions) as running:
                yield running
        case "sendgrid":
            with stand_in(Mail, {"use": "sendgrid", "api_key": "${env:BENCH_KEY}"}, latency) as running:
                yield running
        case _:
            with stand_in(Texts, {"use": "twilio", **TWILIO, "connections": sessions}, latency) as running:
                yield running


# ---------------------------------------------------------------- the whole path


def _work(folder: Path, pipe: Connection) -> None:
    """One daemon's sender, in a process of its own."""
    definition = json.loads((folder / "config.yaml").read_text())["providers"]["relay"]
    sending = mailing.Mailing(folder, open_provider("relay", definition, Http(), folder))
    for_long_work()
    pipe.send("ready")
    pipe.recv()
    loaded = time.process_time()
    dispatcher = dispatcher_for(sending.sender, sending.database, WallClock())
    dispatcher.start(Kind.WORKER)
    pipe.recv()
    dispatcher.stop()
    sending.close()
    pipe.send((time.process_time() - loaded, peak_megabytes()))


def whole_path(folder: Path, url: str, name: str, asked: argparse.Namespace, processes: int) -> dict[str, Any]:
    """Messages a second from the senders' start until everything is settled."""
    sessions = asked.sessions if asked.latency else max(2, asked.sessions // processes)
    with vendor_of(name, sessions, asked.latency) as (provider, taken):
        sending = {"threads": asked.threads, "batch": 500}
        mailing.workspace(
            folder, provider, database=url, sending=sending, channel="sms" if name == "twilio" else "email"
        )
        main = mailing.Mailing(folder, open_provider("relay", provider, Http(), folder))
        try:
            main.launch(f"{time.time_ns()}")
            pipes = [_worker(folder) for _ in range(processes)]
            for pipe in pipes:
                pipe.recv()
            began = time.perf_counter()
            for pipe in pipes:
                pipe.send("go")
            _until_settled(main)
            seconds = time.perf_counter() - began
            for pipe in pipes:
                pipe.send("stop")
            used = [pipe.recv() for pipe in pipes]
            _assert_whole(main, taken(), asked.messages)
        finally:
            main.close()
    return {
        "messages_a_second": round(asked.messages / seconds),
        "cpu_microseconds_a_message": round(sum(cpu for cpu, _ in used) / asked.messages * 1e6),
        "peak_megabytes": round(max(peak for _, peak in used)),
    }


def _worker(folder: Path) -> Connection:
    ours, theirs = multiprocessing.Pipe()
    multiprocessing.get_context("spawn").Process(target=_work, args=(folder, theirs), daemon=True).start()
    return ours


def _until_settled(main: mailing.Mailing) -> None:
    while count_due(main.database, now=WallClock().now(), most=1):  # a look at everything costs what is measured
        time.sleep(0.1)
    while balance(main.database).open:
        time.sleep(0.05)


def _assert_whole(main: mailing.Mailing, taken: int | None, messages: int) -> None:
    """A figure counts only where everything was accepted, once, and by the vendor's own count too."""
    books = balance(main.database)
    assert books.holds and books.by_state.get(State.ACCEPTED) == messages, books
    with main.database.reading() as connection:
        assert connection.execute(select(func.count()).select_from(attempts)).scalar() == messages
    assert taken in (None, messages), taken


# ---------------------------------------------------------------- baselines


def smtp_source(asked: argparse.Namespace, *options: str) -> float:
    """Messages a second by Postfix's own generator, so many sessions at a time."""
    with smtp_sink(asked.sessions) as (provider, _):
        command = [
            _postfix("smtp-source"),
            *options,
            "-s",
            str(asked.sessions),
            "-l",
            str(asked.bytes),
            "-m",
            str(asked.messages),
        ]
        began = time.perf_counter()
        subprocess.run([*command, f"127.0.0.1:{provider['port']}"], check=True)
        return asked.messages / (time.perf_counter() - began)


def bare_requests(asked: argparse.Namespace) -> float:
    """Messages a second by threads that post the same form with a pooled session each, and do nothing else."""
    with vendor_of("twilio", asked.sessions) as (provider, taken):
        url = f"{provider['base_url']}/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
        waiting, lock = iter(range(asked.messages)), threading.Lock()

        def work() -> None:
            with requests.Session() as session:
                while True:
                    with lock:
                        number = next(waiting, None)
                    if number is None:
                        return
                    form = {"To": f"+3584{number:08}", "From": "+15005550006", "Body": mailing.TEXT, "StatusCallback": "https://shop.example/v1/webhooks/relay?message=0a1b2c3d-1"}  # fmt: skip
                    answer = session.post(url, data=form, auth=(ACCOUNT, KEYS["BENCH_TOKEN"]), timeout=20)
                    assert answer.status_code == 201, answer.text

        crew = [threading.Thread(target=work) for _ in range(asked.sessions)]
        began = time.perf_counter()
        for thread in crew:
            thread.start()
        for thread in crew:
            thread.join()
        seconds = time.perf_counter() - began
        assert taken() == asked.messages
        return asked.messages / seconds


BASELINES: Mapping[str, Mapping[str, Callable[[argparse.Namespace], float]]] = {
    "smtp": {"smtp-source": smtp_source, "smtp-source -d": lambda asked: smtp_source(asked, "-d")},
    "twilio": {"bare pooled requests": bare_requests},
}


# ---------------------------------------------------------------- rounds


def compare(name: str, kind: str, root: Path, url_of: Callable[[], str], asked: argparse.Namespace) -> None:
    ours: dict[int, list[float]] = {processes: [] for processes in asked.processes}
    baselines = {} if asked.latency else BASELINES.get(name, {})
    bare: dict[str, list[float]] = {label: [] for label in baselines}
    for number in range(asked.rounds):
        for label, baseline in baselines.items():
            bare[label].append(baseline(asked))
            say(vendor=name, what=label, messages_a_second=round(bare[label][-1]))
        for processes in asked.processes:
            folder = root / f"{name}-{kind}-{number}-{processes}"
            folder.mkdir()
            url = url_of()
            prepared = mailing.workspace(folder, {"use": "file", "folder": "outbox"}, database=url, sending={})
            mailing.fill(prepared, asked.messages)
            measured = whole_path(folder, url, name, asked, processes)
            say(vendor=name, database=kind, processes=processes, **measured)
            ours[processes].append(measured["messages_a_second"])
            shutil.rmtree(folder)
    for processes, rates in ours.items():
        median = statistics.median(rates)
        ratios = {f"of {label}": round(median / statistics.median(each), 2) for label, each in bare.items()}
        say(vendor=name, database=kind, processes=processes, median_messages_a_second=round(median), **ratios)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--threads", type=int, default=3, help="sender threads of a process")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds that each answer is late")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--vendors", nargs="+", default=["smtp", "sendgrid", "twilio"])
    parser.add_argument("--databases", nargs="+", default=["sqlite", "postgresql"])
    parser.add_argument(
        "--bytes", type=int, default=9500, help="size of smtp-source's messages; ours have as many on the wire"
    )
    asked = parser.parse_args()
    say(**machine())
    root = Path(tempfile.mkdtemp(prefix="regulars-sending-"))
    root.chmod(0o755)  # PostgreSQL's own user works in it, too
    try:
        for kind in asked.databases:
            if kind == "sqlite":
                for name in asked.vendors:
                    compare(name, kind, root, lambda: "sqlite:///regulars.db", asked)
                continue
            with server.running(root) as first:
                for name in asked.vendors:
                    compare(name, kind, root, lambda: server.fresh(first), asked)
    finally:
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
