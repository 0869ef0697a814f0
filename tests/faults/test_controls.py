"""Negative controls: with one protection taken away the oracle objects. A harness that never objects proves nothing."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.faults.courier import Kind
from tests.faults.naive import Policy
from tests.faults.plan import POINTS, Blow, Missing, Store, only
from tests.faults.trial import IN_FLIGHT, Ground, Result, Trial, run

KILLS = (Blow.KILL,) * 5


def objections(result: Result) -> set[str]:
    return {verdict.name for verdict in result.objections}


def test_a_yes_before_the_vendor_was_asked_is_a_loss(ground: Ground) -> None:
    """A provider that says yes first: what the ledger calls accepted the vendor lacks, and I1 says so."""
    plan = only(Store.SQLITE, Kind.BLIND, 1, *KILLS, missing=Missing.HONEST_ACCEPTANCE)
    result = run(plan, ground)
    assert "I1" in objections(result) and result.lost < result.messages / 2


def test_sending_again_what_was_on_its_way_doubles(ground: Ground) -> None:
    """Without the state `in_doubt` a message whose answer was lost is sent twice, and I3 says so."""
    plan = only(Store.SQLITE, Kind.BLIND, 1, *KILLS, missing=Missing.DOUBT)
    assert "I3" in objections(run(plan, ground))


@pytest.mark.parametrize("store", Store)
@pytest.mark.parametrize("point", POINTS)
def test_every_point_of_the_ledger_is_struck(fragile: Ground, tmp_path: Path, store: Store, point: str) -> None:
    """A daemon with its end at one of the ledger's commits comes to it. A point that nobody hears would prove nothing, in silence."""
    trial = Trial(only(store, Kind.BLIND, 1, share=0.0, customers=600), fragile, tmp_path)
    with trial.begun():
        doomed = trial.strike(random.Random(1), signal="KILL", moment="after", touching=POINTS[point], commit=1)
        assert not doomed.alive()


def asleep(ground: Ground, folder: Path, missing: Missing | None) -> set[str]:
    """What the oracle objects to where a process stops right after its intents are on disk, and sleeps until another one
    has proved that nothing arrived, and has sent it all again.
    """
    plan = only(Store.SQLITE, Kind.RECONCILABLE, 1, share=0.0, missing=missing)
    trial = Trial(plan, ground, folder)
    with trial.begun():
        sleeper = trial.strike(random.Random(1), signal="STOP", moment="after", touching=POINTS["intent"])
        assert sleeper.stands_still()
        trial.shaken += IN_FLIGHT
        trial.outlive(sleeper, 14)
        return objections(trial.ended())


def test_a_sleeper_that_does_not_know_how_long_it_slept_doubles(ground: Ground, tmp_path: Path) -> None:
    """Where none of its clocks saw the time pass it sends on waking, and I3 says so. One that knows sends nothing."""
    assert "I3" in asleep(ground, tmp_path, Missing.GUARD)
    (tmp_path / "again").mkdir()
    assert asleep(ground, tmp_path / "again", None) == set()


def test_a_commit_that_is_not_on_disk_doubles(fragile: Ground) -> None:
    """With synchronous_commit off a crash of PostgreSQL forgets intents whose messages have left, and I3 says so."""
    plan = only(Store.POSTGRESQL, Kind.BLIND, 1, *[Blow.CRASH] * 6, missing=Missing.DURABILITY)
    assert "I3" in objections(run(plan, fragile))


@pytest.mark.parametrize("policy", Policy)
def test_the_naive_policies_lose_or_double(ground: Ground, policy: Policy) -> None:
    """The same blows towards the same vendor: the one loses silently, the other doubles."""
    result = run(only(Store.SQLITE, Kind.BLIND, 1, *KILLS, policy=policy), ground)
    assert (result.lost > 0, result.doubled > 0) == NAIVE[policy]


NAIVE: dict[Policy, Sequence[bool]] = {Policy.CHECKPOINT_FIRST: (True, False), Policy.SEND_AGAIN: (False, True)}
