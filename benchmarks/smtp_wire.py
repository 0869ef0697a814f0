"""How fast rendered messages go into Postfix's smtp-sink, beside Postfix's own smtp-source: equal sessions, equal size.

Run `python benchmarks/smtp_wire.py [MESSAGES [SESSIONS]]`; it prints JSON lines: the machine first, then a line a
measurement. Only the wire part is measured: the messages, personalised and of about 7 KB, are rendered before the clock
runs; building their bytes is part of it. The ways take turns, round by round, and medians are given. smtp-source keeps its
connections too (`-d`). `as the sender` hands over as many at a time as there are sessions, `in one go` all of them.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from channels import mime
from channels.smtp import Smtp, SmtpSettings
from engine.model import Channel, MessageClass
from engine.provider import Accepted, EmailContent, Http, Outgoing

ROUNDS = 7
AT = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
_STYLE = "font-family:Helvetica,Arial,sans-serif;font-size:16px;line-height:24px;color:#1f2933"
_ROW = f'<tr><td style="{_STYLE};padding:12px 24px"><h3>%s</h3>\n<p style="{_STYLE}">%s: dried slowly, packed by hand.</p>\n'
_ROW += '<a href="https://shop.example/c/%s" style="display:inline-block;padding:10px 20px">See it</a></td></tr>\n'


def main() -> None:
    count, sessions = (int(given) for given in (*sys.argv[1:], *("4000", "20")[len(sys.argv) - 1 :]))
    messages = [letter(number) for number in range(count)]
    size = len(mime.build(messages[0], eight_bit=True))
    _say(machine=platform.machine(), system=platform.system(), cpus=os.cpu_count(), python=platform.python_version())
    with _sink() as port:
        provider = Smtp(
            SmtpSettings.model_validate(
                {
                    "host": "127.0.0.1",
                    "port": port,
                    "security": "none",
                    "connections": sessions,
                    "messages_per_connection": 10**9,
                }
            ),
            http=Http(),
        )
        ways: dict[str, Callable[[], None]] = {
            "smtp-source": lambda: _source(port, count=count, sessions=sessions, size=size),
            "as the sender": lambda: _ours(provider, messages, at_once=sessions),
            "in one go": lambda: _ours(provider, messages, at_once=count),
        }
        ran: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for _ in range(ROUNDS):
            for name, way in ways.items():
                began, cpu = time.perf_counter(), time.process_time()
                way()
                ran[name].append((time.perf_counter() - began, time.process_time() - cpu))
        provider.close()
    for name, rounds in ran.items():
        ratios = [source[0] / way[0] for source, way in zip(ran["smtp-source"], rounds, strict=True)]
        _say(
            way=name,
            messages=count,
            sessions=sessions,
            bytes=size,
            per_second=round(count / statistics.median(way[0] for way in rounds)),
            of_smtp_source=round(statistics.median(ratios), 2),
            our_cpu_microseconds=round(statistics.median(way[1] for way in rounds) / count * 1e6, 1),
        )


def letter(number: int) -> Outgoing:
    """One customer's message: nothing in it is quite like in another's."""
    name = f"Customer {number}"
    lines = [
        (f"Tea number {number * 7 + row}", f"For {name}, {row} of 12", f"{number:08x}{row:02x}") for row in range(12)
    ]
    html = f"<!doctype html>\n<html><body><h1>Good morning, {name}</h1><table>\n{''.join(_ROW % line for line in lines)}</table></body></html>\n"
    text = f"Good morning, {name}\n\n" + "".join(f"{tea}, {4 + row}.50 EUR\n" for row, (tea, _, _) in enumerate(lines))
    headers = {
        "List-Unsubscribe": f"<https://shop.example/u/{number:032x}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }
    return Outgoing(
        key=f"0a1b2c3d-{number}",
        channel=Channel.EMAIL,
        message_class=MessageClass.COMMERCIAL,
        campaign="win-back",
        to=f"customer{number}@customer.example",
        sender="Example Records <hello@shop.example>",
        content=EmailContent(subject=f"{name}, twelve things you may like", text=text, html=html, headers=headers),
        at=AT,
    )


def _ours(provider: Smtp, messages: list[Outgoing], *, at_once: int) -> None:
    for start in range(0, len(messages), at_once):
        batch = messages[start : start + at_once]
        told = list(filter(None, provider.send_many(batch, deadline=time.monotonic() + 600)))
        assert len(told) == len(batch) and all(isinstance(outcome, Accepted) for _, outcome in told)


def _source(port: int, *, count: int, sessions: int, size: int) -> None:
    options = ["-d", "-s", str(sessions), "-m", str(count), "-l", str(size)]
    subprocess.run([_program("smtp-source"), *options, f"127.0.0.1:{port}"], check=True)


@contextmanager
def _sink() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    user = ["-u", "root"] if os.geteuid() == 0 else []
    running = subprocess.Popen([_program("smtp-sink"), *user, f"127.0.0.1:{port}", "1000"])
    try:
        while socket.socket().connect_ex(("127.0.0.1", port)):
            time.sleep(0.02)
        yield port
    finally:
        running.kill()
        running.wait()


def _program(name: str) -> str:
    found = shutil.which(name) or shutil.which(f"/usr/sbin/{name}")
    if found is None:
        sys.exit(f"{name} is not installed: `apt-get install postfix`")
    return found


def _say(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    main()
