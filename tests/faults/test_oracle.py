"""The oracle under test: over sound evidence no check objects, and over each lie the right one does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from engine.measure.report import Line, Report
from engine.model import Channel, State
from tests.faults.oracle import CHECKS, Evidence, Ledger, OptOut, Reported, Sample, judge
from tests.faults.record import Taken

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)


def row(number: int, state: str, **changes: Any) -> Any:
    plain = {
        "id": number,
        "state": state,
        "customer_id": number,
        "message_class": "commercial",
        "reason": "",
        "detail": "",
    }
    stamps = dict.fromkeys(("delivered_at", "opened_at", "clicked_at", "bounced_at"))
    return SimpleNamespace(**{**plain, **stamps, "delivery": "at_most_once", "possible_duplicate": False, **changes})


def attempt(outcome: str | None) -> Any:
    ended = NOW if outcome else None
    return SimpleNamespace(began_at=NOW, ended_at=ended, outcome=outcome, cost=400, reserved_under="run 1\nall today")


def line(states: dict[State, int]) -> Line:
    numbers = dict.fromkeys(
        ("delivered", "bounced", "opened", "clicked", "opted_out", "complained", "possible_duplicates"), 0
    )
    words: dict[str, Any] = {name: {} for name in ("held", "withheld", "dead", "rejected")}
    owed = sum(states.values())
    return Line(
        campaign="news", channel=Channel.EMAIL, runs=1, owed=owed, states=states, afterwards=None, **numbers, **words
    )


def taken(key: str, seconds: float = 0) -> Taken:
    return Taken(key=key, to="reader@customers.example", at=NOW.timestamp() + seconds, content="c")


LEDGER = Ledger(
    rows={
        "k-1": row(1, "accepted", delivered_at=NOW),
        "k-2": row(2, "rejected"),
        "k-3": row(3, "unknown"),
        "k-4": row(4, "accepted", delivery="at_least_once", possible_duplicate=True),
    },
    attempts={
        "k-1": [attempt("accepted")],
        "k-2": [attempt("rejected")],
        "k-3": [attempt("ambiguous")],
        "k-4": [attempt(None), attempt("accepted")],
    },
    runs=[SimpleNamespace(campaign="news", occurrence="today")],
    events=[
        SimpleNamespace(message_id=1, name="delivered", at=NOW),
        SimpleNamespace(message_id=1, name="delivered", at=LATER),
    ],
    addresses=["reader@customers.example"],
    report=Report(as_of=NOW, lines=(line({State.ACCEPTED: 2, State.REJECTED: 1, State.UNKNOWN: 1}),)),
    looks={},
    spent={"run 1": 1600, "all today": 1600},
)
SOUND = Evidence(
    ledger=LEDGER,
    record=[taken("k-1"), taken("k-3"), taken("k-4"), taken("k-4", 3)],
    owed=4,
    fires=1,
    doubts=1,
    quiet=True,
    balances=[(0, 0), (4, 4)],
    opt_outs=[OptOut(message="k-1", at=NOW.timestamp() + 1)],
    answered=[Reported(message="k-1", name="delivered", at=LATER)],
    samples=[Sample(memory=90_000_000, files=20, threads=12)],
    healthy_first=True,
    rate=3,
    log="sent message=1",
    secrets=("a-secret",),
)


def test_sound_evidence_meets_no_objection() -> None:
    """Accepted once, refused, unknown, re-sent with its mark, reported twice: all of that is allowed."""
    assert [str(verdict) for verdict in judge(SOUND) if not verdict.holds] == []


def ledger(**changes: Any) -> Evidence:
    return replace(SOUND, ledger=replace(LEDGER, **changes))


def moved(key: str, **changes: Any) -> Evidence:
    """The same, with one message's row changed."""
    return ledger(rows={**LEDGER.rows, key: SimpleNamespace(**{**vars(LEDGER.rows[key]), **changes})})


LIES: dict[str, tuple[str, Callable[[], Evidence]]] = {
    "accepted, and the vendor has nothing": ("I1", lambda: replace(SOUND, record=SOUND.record[1:])),
    "a row has vanished": ("I1", lambda: replace(SOUND, owed=5)),
    "refused, and the vendor has it": ("I2", lambda: replace(SOUND, record=[*SOUND.record, taken("k-2")])),
    "the vendor has what nobody owes": ("I2", lambda: replace(SOUND, record=[*SOUND.record, taken("k-9")])),
    "twice": ("I3", lambda: replace(SOUND, record=[*SOUND.record, taken("k-1")])),
    "twice without the mark": ("I3", lambda: moved("k-4", possible_duplicate=False)),
    "three times with the mark": ("I3", lambda: replace(SOUND, record=[*SOUND.record, taken("k-4")])),
    "another letter the second time": ("I3", lambda: replace(SOUND, changed=["k-4"])),
    "out of balance for a moment": ("I4", lambda: replace(SOUND, balances=[(4, 3), (4, 4)])),
    "the report says otherwise": (
        "I4",
        lambda: ledger(report=Report(as_of=NOW, lines=(line({State.ACCEPTED: 4}),))),
    ),
    "decided after the opt-out": ("I5", lambda: replace(SOUND, opt_outs=[OptOut(message="k-1", at=0.0)])),
    "before Retry-After was over": ("I6", lambda: replace(SOUND, hasty=["k-1"])),
    "faster than allowed": ("I6", lambda: replace(SOUND, rate=2)),
    "an occurrence ran twice": ("I7", lambda: ledger(runs=[*LEDGER.runs, *LEDGER.runs])),
    "an occurrence did not run": ("I7", lambda: replace(SOUND, fires=2)),
    "a report was lost": ("I8", lambda: ledger(events=LEDGER.events[:1])),
    "a report counted twice": ("I8", lambda: ledger(events=[*LEDGER.events, LEDGER.events[0]])),
    "the later report's time": ("I8", lambda: moved("k-1", delivered_at=LATER)),
    "memory without end": ("I9", lambda: replace(SOUND, samples=[Sample(memory=10**10, files=1, threads=1)])),
    "files without end": ("I9", lambda: replace(SOUND, samples=[Sample(memory=1, files=5000, threads=1)])),
    "the sick one first": ("I10", lambda: replace(SOUND, healthy_first=False)),
    "an address in the log": ("I11", lambda: replace(SOUND, log="to Reader@customers.example")),
    "a secret in the log": ("I11", lambda: replace(SOUND, log="key=a-secret")),
    "it never rests": ("I12", lambda: replace(SOUND, quiet=False)),
    "something is open": ("I12", lambda: moved("k-3", state="in_doubt")),
    "more doubt than there were faults": ("G3", lambda: replace(SOUND, doubts=0)),
    "a doubt that could be settled": ("G2", lambda: replace(SOUND, settles=True)),
    "money that was given back twice": ("I13", lambda: ledger(spent={"run 1": 1600, "all today": 1200})),
    "money that was not given back": ("I13", lambda: ledger(spent={"run 1": 2000, "all today": 1600})),
    "money under a name that nothing was spent under": ("I13", lambda: ledger(spent={**LEDGER.spent, "run 2": 400})),
    "left in flight": ("F4", lambda: replace(SOUND, left_behind=["k-1"])),
}


@pytest.mark.parametrize("lie", LIES)
def test_each_lie_meets_its_objection(lie: str) -> None:
    """The check that is meant for it objects; others may, too, where one lie is several."""
    name, told = LIES[lie]
    assert name in {verdict.name for verdict in judge(told()) if not verdict.holds}


def test_every_check_is_lied_to() -> None:
    """There is no check that was never seen to object."""
    assert {name for name, _ in LIES.values()} == set(CHECKS)
