"""One writer at a time, and who is waited for goes first."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from engine.store.turn import Turn


def test_who_goes_ahead_waits_for_the_present_writer_alone() -> None:
    """Five in the queue, then one who is waited for: he writes next, and each of the others writes once."""
    turn, order, queued = Turn(), list[str](), threading.Barrier(7)

    def write(name: str, ahead: bool) -> None:
        queued.wait()
        if ahead:
            time.sleep(0.05)  # the others stand in the queue already
        with turn.taken(ahead=ahead):
            order.append(name)

    writers = [threading.Thread(target=write, args=(f"bulk {n}", False)) for n in range(5)]
    writers.append(threading.Thread(target=write, args=("receipt", True)))
    for writer in writers:
        writer.start()
    with turn.taken(ahead=False):
        queued.wait()
        time.sleep(1)
    for writer in writers:
        writer.join()
    assert order[0] == "receipt"
    assert sorted(order[1:]) == [f"bulk {n}" for n in range(5)]


def test_two_never_write_at_once_and_a_failure_lets_the_next_one_in() -> None:
    """Eight threads, each failing now and then while it writes: never two inside, nobody left waiting."""
    turn, inside, most = Turn(), [0], [0]

    def write(ahead: bool) -> None:
        for number in range(50):
            try:
                with turn.taken(ahead=ahead):
                    inside[0] += 1
                    most[0] = max(most[0], inside[0])
                    time.sleep(0)
                    inside[0] -= 1
                    if number % 7 == 0:
                        raise RuntimeError
            except RuntimeError:
                pass

    writers = [threading.Thread(target=write, args=(n % 2 == 0,)) for n in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(30)
    assert most == [1]


def test_processes_write_in_turn_and_one_that_hangs_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two turns on one file, as two processes have: the second waits for the first, and goes on without when it takes too long."""
    first, second, order = Turn(tmp_path / "turn"), Turn(tmp_path / "turn"), list[str]()

    def write() -> None:
        with second.taken(ahead=False):
            order.append("second")

    with first.taken(ahead=False):
        waiting = threading.Thread(target=write)
        waiting.start()
        time.sleep(0.02)
        order.append("first")
    waiting.join()
    assert order == ["first", "second"]
    monkeypatch.setattr("engine.store.turn.PATIENCE_SECONDS", 0.01)
    with first.taken(ahead=False), second.taken(ahead=False):
        pass
