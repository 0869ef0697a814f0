"""The daemon as an operator has it: its own process, on a real clock, with real signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from engine.clock import SteppedClock
from engine.model import State
from engine.store import Database
from engine.store.tables import messages, runs
from tests.conftest import SECRET
from tests.sending.shop import CONFIG, NEWS, Shop

PATIENCE = 40


@pytest.fixture
def shop(tmp_path: Path, database: Database, database_url: str, now: datetime) -> Shop:
    shop = Shop(tmp_path, database, SteppedClock(now), customers=30)
    (tmp_path / "config.yaml").write_text(CONFIG + f"database: {database_url}\n", encoding="utf-8")
    return shop


def schedule(shop: Shop, name: str, *, seconds: int, template: str = "news") -> None:
    """A campaign that starts once, in so many seconds."""
    at = (datetime.now(UTC) + timedelta(seconds=seconds)).replace(tzinfo=None).isoformat(timespec="seconds")
    text = NEWS.replace("campaign: news", f"campaign: {name}\ntemplate: {template}").replace(
        '{cron: "0 12 * * *"}', f"{{at: {at}, time_zone: UTC}}"
    )
    (shop.folder / "rules" / f"{name}.yaml").write_text(text, encoding="utf-8")


@contextmanager
def daemon(shop: Shop) -> Iterator[subprocess.Popen[bytes]]:
    """`regulars run`, killed at the end if it still runs."""
    environment = {**os.environ, "REGULARS_SECRET": SECRET, "PYTHONPATH": str(Path(__file__).parents[2])}
    with (shop.folder / "daemon.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "engine.cli", "run", "-w", str(shop.folder)], stderr=log, env=environment
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def wait_for(shop: Shop, what: str, holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, f"{what}: not within {PATIENCE} s; the log says\n{log(shop)}"
        time.sleep(0.1)


def log(shop: Shop) -> str:
    return (shop.folder / "daemon.log").read_text(encoding="utf-8")


def count(shop: Shop, state: State, campaign: str) -> int:
    with shop.database.reading() as connection:
        which = (messages.c.campaign == campaign, messages.c.state == state.value)
        return connection.execute(select(func.count()).select_from(messages).where(*which)).scalar_one()


def test_two_daemons_fire_a_schedule_once_and_stop_on_sigterm(shop: Shop) -> None:
    """Both wake at the campaign's time; one row makes one run, and each customer gets one message. Both end with status 0."""
    schedule(shop, "launch", seconds=8)
    with daemon(shop) as one, daemon(shop) as two:
        wait_for(shop, "both run", lambda: log(shop).count("event='running'") == 2)
        wait_for(shop, "all accepted", lambda: count(shop, State.ACCEPTED, "launch") == 30)
        for process in (one, two):
            process.send_signal(signal.SIGTERM)
        assert [one.wait(PATIENCE), two.wait(PATIENCE)] == [0, 0]
    with shop.database.reading() as connection:
        assert (
            connection.execute(select(func.count()).select_from(runs).where(runs.c.campaign == "launch")).scalar() == 1
        )
    assert len(list((shop.folder / "outbox").iterdir())) == 30
    assert "@" not in log(shop), "an address in the log"


def test_changed_rules_are_taken_over_while_running_and_wrong_ones_are_not(shop: Shop) -> None:
    """A campaign added to the folder runs; a broken file is reported and stops nothing; mended, it runs too."""
    with daemon(shop) as process:
        wait_for(shop, "it runs", lambda: "running" in log(shop))
        broken = shop.folder / "rules" / "broken.yaml"
        broken.write_text("campaign: broken\naudience: nobody-knows\n", encoding="utf-8")
        wait_for(shop, "the broken file is reported", lambda: "not taken over" in log(shop))
        broken.unlink()
        schedule(shop, "added", seconds=6)
        wait_for(shop, "the added campaign is sent", lambda: count(shop, State.ACCEPTED, "added") == 30)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


def test_a_campaign_that_fell_due_while_nothing_ran_is_caught_up_once(shop: Shop) -> None:
    """Known before, due while the daemon was dead: launched at the next start, and not again at the one after."""
    with daemon(shop) as process:
        wait_for(shop, "it runs", lambda: "running" in log(shop))
        schedule(shop, "missed", seconds=12)
        wait_for(shop, "it knows the campaign", lambda: "rules reloaded" in log(shop))
        process.send_signal(signal.SIGKILL)
        process.wait()
    time.sleep(12)
    for start in (2, 3):
        with daemon(shop) as process:
            wait_for(shop, "it runs again", lambda start=start: log(shop).count("event='running'") == start)  # type: ignore[misc]
            wait_for(shop, "caught up", lambda: count(shop, State.ACCEPTED, "missed") == 30)
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
    assert len(list((shop.folder / "outbox").iterdir())) == 30
