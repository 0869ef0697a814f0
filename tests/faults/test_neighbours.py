"""Campaigns beside each other: a sick one holds up no healthy one, and one that is cancelled stops at once."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from engine.ledger.brakes import pause, resume
from engine.ledger.cancel import cancel
from engine.model import State
from engine.store.tables import attempts, messages
from engine.testing.vendors import Silence
from engine.testing.vendors.server import Fault, Request
from tests.faults.courier import Kind
from tests.faults.plan import Store, only
from tests.faults.trial import IN_FLIGHT, Ground, Trial
from tests.faults.vendor import CourierVendor


class SickVendor(CourierVendor):
    """Never answers, until it is well again."""

    sick = True

    def _misbehave_by_chance(self, request: Request) -> Fault | None:
        return Silence() if self.sick else None


def test_a_sick_vendor_holds_up_no_other(ground: Ground, tmp_path: Path) -> None:
    """While the marketing letters' vendor never answers, the receipts of another one all arrive; later the letters do, too."""
    plan = only(Store.SQLITE, Kind.IDEMPOTENT, 1, share=0.0)
    with SickVendor(plan.kind, tmp_path / "record.jsonl", seed=1) as sick:
        trial = Trial(plan, ground, tmp_path, other=sick.url)
        with trial.begun():
            receipts = plan.customers // 5
            trial.healthy_first = trial.until(lambda: len(trial.vendor.accepted) >= receipts, idle=60.0)
            assert sick.requests > 0 and not sick.accepted
            sick.sick = False
            result = trial.ended()
    assert not result.objections, "\n".join(map(str, result.objections))
    assert len(sick.accepted) == 2 * plan.customers


@pytest.mark.parametrize("seed", range(3))
def test_a_cancelled_campaign_stops_at_once(ground: Ground, tmp_path: Path, seed: int) -> None:
    """Whenever it is cancelled: from then on no letter of it leaves, what had left stays as it is, the books balance."""
    trial, chance = Trial(only(Store.SQLITE, Kind.BLIND, seed), ground, tmp_path), random.Random(seed)
    with trial.begun():
        requests = chance.randrange(20, 150)
        trial.until(lambda: trial.vendor.requests >= requests)
        time.sleep(chance.random() * 0.1)
        cancel(trial.database, "news", now=datetime.now(UTC))
        since = datetime.now(UTC)
        result = trial.ended()
        query = select(attempts.c.id).join(messages).where(messages.c.campaign == "news", attempts.c.began_at > since)
        with trial.database.reading() as connection:
            assert connection.execute(query).all() == []
    assert not result.objections, "\n".join(map(str, result.objections))
    assert result.states.get(State.CANCELLED, 0) > 0


def test_paused_and_let_go_thirty_times(ground: Ground, tmp_path: Path) -> None:
    """The brake on and off in the middle of it, and a kill now and then: every customer gets each letter once."""
    trial, chance = Trial(only(Store.SQLITE, Kind.IDEMPOTENT, 1), ground, tmp_path), random.Random(1)
    with trial.begun():
        for number in range(30):
            trial.until(lambda number=number: trial.vendor.requests >= 6 * number, idle=0.5)  # type: ignore[misc]
            pause(trial.database, "news", why="for the trial", now=datetime.now(UTC))
            if number % 10 == 5:
                trial.shaken += IN_FLIGHT
                trial.kill(chance)
            time.sleep(0.02)
            resume(trial.database, "news")
        result = trial.ended()
    assert not result.objections, "\n".join(map(str, result.objections))
