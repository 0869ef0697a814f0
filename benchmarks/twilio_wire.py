"""How fast text messages leave through Twilio's protocol, beside a bare loop of pooled `requests`, in the same run.

    python benchmarks/twilio_wire.py [--messages 2000] [--at-once 8] [--rounds 5]

The wire alone: messages ready to go, no ledger. The bare loop posts the same form from as many threads, each with a
connection that stays, and reads the JSON. The stand-in of engine/testing runs in a process of its own. The two take turns;
medians are compared, in messages a second and in processor time, which other work on the machine disturbs less. Prints
JSON lines.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import requests
from requests.adapters import HTTPAdapter

from benchmarks.ground.counting import vendor
from benchmarks.ground.machine import machine
from channels.twilio import Twilio, TwilioSettings
from engine.model import Channel, MessageClass
from engine.provider import Accepted, Http, Outgoing, TextContent
from engine.testing.vendors.twilio import ACCOUNT, TwilioVendor

TOKEN = "token-for-tests"
CALLBACK = "https://shop.example/v1/webhooks/twilio"


def message(number: int) -> Outgoing:
    return Outgoing(
        key=f"0a1b2c3d-{number}",
        channel=Channel.SMS,
        message_class=MessageClass.COMMERCIAL,
        campaign="win-back",
        to=f"+35840{number:07}",
        sender="+15005550006",
        content=TextContent(text=f"Customer {number}, your records are here: https://shop.example/c/{number:x}"),
        at=datetime(2026, 3, 2, 12, 0, tzinfo=UTC),
        callback_url=CALLBACK,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """Messages a second, and microseconds of processor time a message."""

    rate: float
    processor: float


def paced(count: int, work: Callable[[], None]) -> Pace:
    began, used = time.perf_counter(), time.process_time()
    work()
    return Pace(rate=count / (time.perf_counter() - began), processor=(time.process_time() - used) / count * 1_000_000)


def shared(items: Sequence[Sequence[Outgoing]], threads: int, act: Callable[[Sequence[Outgoing]], None]) -> None:
    """So many threads take the items one by one."""
    waiting: Iterator[Sequence[Outgoing]] = iter(items)
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                item = next(waiting, None)
            if item is None:
                return
            act(item)

    crew = [threading.Thread(target=work) for _ in range(threads)]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()


def bare(url: str, messages: Sequence[Outgoing], at_once: int) -> None:
    session = requests.Session()
    session.mount("http://", HTTPAdapter(pool_maxsize=at_once))
    target = f"{url}/2010-04-01/Accounts/{ACCOUNT}/Messages.json"

    def post(batch: Sequence[Outgoing]) -> None:
        (one,) = batch
        form = {
            "To": one.to,
            "From": one.sender,
            "Body": one.content.text,
            "StatusCallback": f"{CALLBACK}?message={one.key}",
        }
        answer = session.post(target, data=form, auth=(ACCOUNT, TOKEN), timeout=20)
        assert answer.status_code == 201 and answer.json()["sid"]

    shared([[one] for one in messages], at_once, post)


def ours(provider: Twilio, messages: Sequence[Outgoing], at_once: int) -> None:
    """Two sender threads share the provider's connections."""

    def send(batch: Sequence[Outgoing]) -> None:
        for ended in provider.send_many(batch, deadline=time.monotonic() + 20):
            assert ended is None or isinstance(ended[1], Accepted), ended

    shared([messages[start : start + at_once] for start in range(0, len(messages), at_once)], 2, send)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--at-once", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    os.environ["BENCH_TWILIO_TOKEN"] = TOKEN
    print(json.dumps(machine()), flush=True)
    messages = [message(number) for number in range(asked.messages)]
    paces: dict[str, list[Pace]] = {"bare requests": [], "regulars": []}
    with vendor(TwilioVendor) as (url, taken):
        settings = {
            "account_sid": ACCOUNT,
            "auth_token": "${env:BENCH_TWILIO_TOKEN}",
            "base_url": url,
            "connections": asked.at_once,
        }
        provider = Twilio(TwilioSettings.model_validate(settings), http=Http())
        for _ in range(asked.rounds):
            paces["bare requests"].append(paced(asked.messages, lambda: bare(url, messages, asked.at_once)))
            paces["regulars"].append(paced(asked.messages, lambda: ours(provider, messages, asked.at_once)))
        provider.close()
        assert taken().messages == asked.messages * asked.rounds * 2
    report(paces)


def report(paces: dict[str, list[Pace]]) -> None:
    rates = {name: statistics.median(pace.rate for pace in found) for name, found in paces.items()}
    used = {name: statistics.median(pace.processor for pace in found) for name, found in paces.items()}
    for name in paces:
        print(json.dumps({"what": name, "messages_a_second": round(rates[name]), "processor_us": round(used[name])}))
    ratio = rates["regulars"] / rates["bare requests"]
    processor = used["bare requests"] / used["regulars"]
    print(json.dumps({"what": "ratio", "of_rates": round(ratio, 2), "of_processor_time": round(processor, 2)}))


if __name__ == "__main__":
    main()
