"""What fell due while nothing ran is launched as `catch_up` says, once, by however many daemons come back at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from engine.campaigns.launch import launch_due
from engine.clock import SteppedClock
from engine.rules.workspace import load_workspace
from engine.store import Database
from engine.store.tables import runs
from tests.sending.shop import Shop


@pytest.mark.parametrize(
    ("words", "days_ago"),
    [
        ("catch_up: latest", [0]),
        ("catch_up: latest\nmax_lateness: 20 minutes", []),
        ("catch_up: all\nmax_lateness: 7 days", [2, 1, 0]),
        ("catch_up: all\nmax_lateness: 30 hours", [1, 0]),
        ("catch_up: none", []),
    ],
)
def test_an_outage_is_caught_up_as_the_campaign_says(
    tmp_path: Path, database: Database, now: datetime, words: str, days_ago: list[int]
) -> None:
    """Three noons passed; three daemons come back together. Each occurrence that is still wanted has one run."""
    start = now.replace(hour=11, minute=0)  # 13:00 in Helsinki, after the day's own noon there
    shop = Shop(tmp_path, database, SteppedClock(start), customers=4)
    rule = tmp_path / "rules" / "news.yaml"
    rule.write_text(rule.read_text(encoding="utf-8") + words + "\n", encoding="utf-8")
    workspace = load_workspace(tmp_path)
    assert launch_due(workspace, database, now=start) == []
    noon = start.replace(hour=10) + timedelta(days=3)
    back = noon + timedelta(minutes=30)
    with ThreadPoolExecutor(3) as daemons:
        for done in [daemons.submit(launch_due, workspace, database, now=back) for _ in range(3)]:
            done.result()
    with database.reading() as connection:
        launched = connection.execute(select(runs.c.nominal_at).order_by(runs.c.nominal_at)).scalars().all()
    assert launched == [noon - timedelta(days=days) for days in days_ago]
    assert len(shop.rows()) == 4 * len(days_ago)
