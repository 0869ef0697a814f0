"""Many messages through one provider: as many at once as there are connections, each told as it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from engine.model import Channel
from engine.provider import Accepted, Ambiguous, Capabilities, Http, Outcome, Outgoing, Provider, ProviderSettings
from tests.channels.messages import SMS, soon


class Slow(Provider):
    """Takes each message when its gate opens, and counts how many wait at once."""

    capabilities = Capabilities(channel=Channel.SMS)

    def __init__(self, *, connections: int, gate: Callable[[Outgoing], Any]) -> None:
        super().__init__(ProviderSettings(connections=connections), http=Http())
        self.gate, self.lock = gate, threading.Lock()
        self.begun: list[str] = []
        self.waiting = self.most = 0

    def send(self, outgoing: Outgoing, *, deadline: float) -> Outcome:
        with self.lock:
            self.begun.append(outgoing.key)
            self.waiting += 1
            self.most = max(self.most, self.waiting)
        self.gate(outgoing)
        with self.lock:
            self.waiting -= 1
        return Accepted(provider_message_id=outgoing.key)


def batch(count: int) -> list[Outgoing]:
    return [replace(SMS, key=f"0a1b2c3d-{number}") for number in range(count)]


def ended(calls: Iterator[tuple[Outgoing, Outcome] | None]) -> list[str]:
    return [each[0].key for each in calls if each is not None]


def test_each_ends_once_and_no_more_at_once_than_connections() -> None:
    """Two batches on two threads share one provider's connections; every message is told once."""
    barrier = threading.Barrier(4, timeout=20)
    slow, found = Slow(connections=4, gate=lambda _: barrier.wait()), []
    threads = [
        threading.Thread(target=lambda: found.append(ended(slow.send_many(batch(8), deadline=soon())))) for _ in "12"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert [sorted(keys) for keys in found] == [[one.key for one in batch(8)]] * 2
    assert slow.most == 4  # and never fewer: the barrier needs four
    slow.close()


def test_whoever_ended_does_not_wait_for_the_slowest() -> None:
    """What has ended is told while another still runs, and the wait for that one is told too."""
    held = threading.Event()
    slow = Slow(connections=2, gate=lambda one: held.wait(20) if one.key.endswith("-0") else None)
    calls = slow.send_many(batch(3), deadline=soon())
    told = [next(calls), next(calls)]
    assert sorted(each[0].key for each in told if each) == ["0a1b2c3d-1", "0a1b2c3d-2"]
    assert next(calls) is None
    held.set()
    assert ended(calls) == ["0a1b2c3d-0"]
    slow.close()


def test_what_nobody_waits_for_does_not_begin() -> None:
    """Whoever stops listening stops the messages that have not begun; those on their way go on."""
    held, met = threading.Event(), threading.Event()

    def gate(_: Outgoing) -> None:
        met.set()
        held.wait(20)

    slow = Slow(connections=1, gate=gate)
    calls = slow.send_many(batch(5), deadline=soon())
    assert next(calls) is None and met.wait(20)
    calls.close()  # type: ignore[attr-defined]
    held.set()
    assert ended(slow.send_many(batch(2)[1:], deadline=soon())) == ["0a1b2c3d-1"]
    assert slow.begun == ["0a1b2c3d-0", "0a1b2c3d-1"]
    slow.close()


def test_a_fault_costs_its_own_message() -> None:
    """A provider that raises, against its promise, leaves that one message in doubt, and the others go on."""

    def gate(one: Outgoing) -> None:
        if one.key.endswith("-1"):
            raise RuntimeError("broken")

    slow = Slow(connections=1, gate=gate)
    told = [each for each in slow.send_many(batch(3), deadline=soon()) if each is not None]
    doubted = Ambiguous(code="provider_error", detail="RuntimeError")
    assert [outcome == doubted for _, outcome in sorted(told, key=lambda each: each[0].key)] == [False, True, False]
    slow.close()


def test_other_calls_fail_aloud() -> None:
    """What `at_once` is given and raises is heard."""

    def call(number: int) -> int:
        if number == 1:
            raise RuntimeError("broken")
        return number

    slow = Slow(connections=1, gate=lambda _: None)
    with pytest.raises(RuntimeError, match="broken"):
        list(slow.at_once([partial(call, number) for number in range(3)]))
    slow.close()


def test_a_closed_provider_opens_again() -> None:
    """Whoever still holds a provider that was closed meanwhile, after a reload, can send what it has in hand."""
    slow = Slow(connections=2, gate=lambda _: None)
    assert len(ended(slow.send_many(batch(3), deadline=soon()))) == 3
    slow.close()
    assert len(ended(slow.send_many(batch(3), deadline=soon()))) == 3
    slow.close()
