"""SMTP against Postfix's own test server, which nobody here wrote: smtp-sink."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from channels import mime
from engine.provider import Accepted, Ambiguous, NotSent, Outcome, Rejected
from tests.channels.messages import EMAIL, letter, soon
from tests.channels.test_smtp import opened

Sink = Callable[..., int]


def binary() -> str | None:
    return shutil.which("smtp-sink") or shutil.which("/usr/sbin/smtp-sink")


@pytest.fixture
def sink() -> Iterator[Sink]:
    """Start smtp-sink with these options; gives its port."""
    program = binary()
    if program is None:
        message = "smtp-sink is not installed: `apt-get install postfix`"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    running: list[subprocess.Popen[bytes]] = []

    def start(*options: str) -> int:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port: int = free.getsockname()[1]
        user = ["-u", "root"] if os.geteuid() == 0 else []  # asked for when it is started by root, as in a container
        running.append(
            subprocess.Popen([program, *user, *options, f"127.0.0.1:{port}", "100"], stderr=subprocess.DEVNULL)
        )
        ends = time.monotonic() + 10
        while time.monotonic() < ends:
            try:
                socket.create_connection(("127.0.0.1", port), 0.2).close()
                return port
            except OSError:
                time.sleep(0.02)
        raise AssertionError("smtp-sink did not start")

    yield start
    for process in running:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ([], Accepted),
        (["-q", "CONNECT"], NotSent),
        (["-q", "EHLO"], NotSent),
        (["-q", "MAIL"], NotSent),
        (["-q", "RCPT"], NotSent),
        (["-q", "DATA"], NotSent),
        (["-q", "."], Ambiguous),
        (["-Q", "RCPT"], NotSent),
        (["-Q", "."], Ambiguous),
        (["-r", "RCPT"], NotSent),
        (["-r", "."], NotSent),
        (["-f", "RCPT"], Rejected),
        (["-f", "."], Rejected),
        (["-f", "MAIL"], NotSent),
        (["-w", "3"], NotSent),
        (["-W", ".:3"], Ambiguous),
        (["-Q", "CONNECT"], NotSent),
        (["-Q", "MAIL"], NotSent),
        (["-Q", "DATA"], NotSent),
        (["-r", "MAIL"], NotSent),
        (["-r", "DATA"], NotSent),
        (["-f", "DATA"], Rejected),
        (["-p", "-W", "RCPT:3"], NotSent),
        (["-H", "3"], Ambiguous),
        (["-A", "0"], Rejected),
        (["-p", "-q", "RCPT"], NotSent),
        (["-p", "-q", "."], Ambiguous),
        (["-p", "-8"], Accepted),
    ],
    ids=str,
)
def test_each_step_of_postfix(sink: Sink, options: list[str], kind: type[Outcome]) -> None:
    """Closing, 421, 4xx, 5xx and waiting at each step: only after the final dot is a message in doubt, alone or in a batch."""
    port = sink(*options)
    with opened(port) as provider:
        assert isinstance(provider.send(EMAIL, deadline=soon(1.0)), kind)
    with opened(port, connections=4) as provider:
        batch = [replace(EMAIL, key=f"0a1b2c3d-{number}") for number in range(12)]
        told = provider.send_many(batch, deadline=soon(2.0))
        ended = {outgoing.key: outcome for outgoing, outcome in filter(None, told)}
        assert len(ended) == 12
        held = kind is Ambiguous and options[0] in ("-W", "-H")  # the rest of the batch had no connection to leave on
        assert Counter(map(type, ended.values())) == (
            Counter({Ambiguous: 4, NotSent: 8}) if held else Counter({kind: 12})
        )


def test_postfix_gets_what_was_built(sink: Sink, tmp_path: Path) -> None:
    """Any text goes through as one message, byte for byte what was built, line ends aside: none is split in two."""
    port = sink("-d", str(tmp_path / "message."))

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(pieces=st.lists(st.sampled_from([*"a.=\r\n\0 -", "\r\n.\r\n", "\n.", "ä"]), max_size=40))
    @example(pieces=[".a\n..b\n...\n.\n.. c\n"])
    def one(pieces: list[str]) -> None:
        text = "".join(pieces)
        for old in tmp_path.glob("message.*"):
            old.unlink()
        outgoing = letter(text=text, html=text, subject=text)
        assert isinstance(provider.send(outgoing, deadline=soon()), Accepted)
        (dump,) = tmp_path.glob("message.*")
        assert mime.build(outgoing, eight_bit=True).replace(b"\r\n", b"\n") in dump.read_bytes()

    with opened(port) as provider:
        one()
