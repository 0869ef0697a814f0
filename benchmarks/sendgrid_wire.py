"""How fast personalised emails leave through SendGrid's protocol, beside one request a message, in the same run.

    python benchmarks/sendgrid_wire.py [--messages 20000] [--seconds 4]

The wire alone: messages already rendered (8.7 KB of HTML and a text, each person's own name, links and code), no ledger.
The stand-in of engine/testing runs in a process of its own, reads every request, writes each message out and counts it.
Prints JSON lines: the machine; `build`, the making of requests alone; for each way messages a second, the bytes that left
for one, and the processor time that it took here and at the vendor; then the ratio.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.ground.counting import vendor
from benchmarks.ground.machine import machine, say
from channels.sendgrid import SendGrid, SendGridSettings, letters
from engine.model import Channel, MessageClass
from engine.provider import Accepted, EmailContent, Http, Outgoing
from engine.testing.vendors.sendgrid import SendGridVendor

STYLE = "font-family:Helvetica,Arial,sans-serif;font-size:16px;line-height:24px;color:#1f2933;padding:12px 24px"
ITEMS = [
    f'<tr><td style="{STYLE}">Tea number {number}, dried slowly &amp; packed by hand</td></tr>' for number in range(40)
]


def message(number: int) -> Outgoing:
    """A letter as the engine renders one, of which a few lines are this person's own."""
    code = f"{number * 104_729 % 2**40:010x}"
    links = [f"https://shop.example/c/{code}{place:02}" for place in range(8)]
    html = [
        "<!doctype html>",
        "<html><body><table>",
        f"<h1>Good morning, Customer {number}</h1>",
        f"<p>You have {number % 500} points.</p>",
        *ITEMS,
        *(f'<a href="{link}" style="{STYLE}">See it</a>' for link in links),
        f'<p><a href="https://shop.example/u/{code}">Unsubscribe</a></p>',
        f'<img src="https://shop.example/o/{code}">',
        "</table></body></html>",
    ]
    text = [f"Good morning, Customer {number}.", *links, f"Unsubscribe: https://shop.example/u/{code}"]
    return Outgoing(
        key=f"0a1b2c3d-{number}",
        channel=Channel.EMAIL,
        message_class=MessageClass.COMMERCIAL,
        campaign="win-back",
        to=f"customer{number}@customer.example",
        sender="Example Records <hello@shop.example>",
        content=EmailContent(
            subject=f"Customer {number}, forty teas for you",
            text="\n".join(text),
            html="\n".join(html),
            headers={
                "List-Unsubscribe": f"<https://shop.example/u/{code}>",
                "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
            },
        ),
        at=datetime(2026, 3, 2, 12, 0, tzinfo=UTC),
    )


def timed(provider: SendGrid, batches: Sequence[Sequence[Outgoing]], *, threads: int, seconds: float) -> float:
    """Messages a second, by so many sender threads, until all is sent or the time is over."""
    waiting, sent, began = iter(batches), [0] * threads, time.perf_counter()
    lock = threading.Lock()

    def work(thread: int) -> None:
        while time.perf_counter() < began + seconds:
            with lock:
                batch = next(waiting, None)
            if batch is None:
                return
            for ended in provider.send_many(batch, deadline=time.monotonic() + 20):
                if ended is not None:
                    assert isinstance(ended[1], Accepted), ended
                    sent[thread] += 1

    crew = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()
    return sum(sent) / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=4.0)
    asked = parser.parse_args()
    os.environ["BENCH_SENDGRID_KEY"] = "SG.for-tests"
    say(**machine())
    messages = [message(number) for number in range(asked.messages)]
    say(what="one message", html_bytes=len((messages[0].content.html or "").encode()))  # type: ignore[union-attr]
    say(what="build", messages_a_second=round(building(messages[:2000])))
    rates = {size: measured(messages, size, asked.seconds) for size in (1, 20, 100, 500)}
    say(what="100 in a request against one", ratio=round(rates[100] / rates[1], 1))


def building(messages: Sequence[Outgoing]) -> float:
    """Messages a second of processor time made into requests of a hundred: the best of three."""
    best = 0.0
    for _ in range(3):
        began = time.process_time()
        for start in range(0, len(messages), 100):
            alike = [letters.letter(outgoing) for outgoing in messages[start : start + 100]]
            letters.bundle(alike).body(tracking=False, sandbox=False)
        best = max(best, len(messages) / (time.process_time() - began))
    return best


def measured(messages: Sequence[Outgoing], size: int, seconds: float) -> float:
    """So many in a request, one request a thread."""
    with vendor(SendGridVendor) as (url, taken):
        settings = {"api_key": "${env:BENCH_SENDGRID_KEY}", "base_url": url, "messages_per_request": size}
        provider = SendGrid(SendGridSettings.model_validate(settings), http=Http())
        batches = [messages[start : start + size] for start in range(0, len(messages), size)]
        before, used = taken(), time.process_time()
        rate = timed(provider, batches, threads=2, seconds=seconds)
        used, told = time.process_time() - used, taken()
        provider.close()
        say(
            what=f"{size} in a request",
            messages_a_second=round(rate),
            bytes_a_message=round(told.size / told.messages),
            processor_us=round(used / told.messages * 1e6),
            vendors_processor_us=round((told.processor - before.processor) / told.messages * 1e6),
        )
    return rate


if __name__ == "__main__":
    main()
