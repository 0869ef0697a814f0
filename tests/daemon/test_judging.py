"""Whoever runs the daemon need not think of it: a new rule, or other addresses of scanners, and all is judged anew."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, select, update

from engine.clock import SteppedClock
from engine.daemon import once
from engine.store import Database
from engine.store.tables import events, messages
from tests.sending.shop import CONFIG, Shop


@pytest.mark.parametrize(
    ("tracking", "judged"),
    [("", True), ("tracking: {scanners: [192.0.2.0/24]}\n", False), ("tracking: {scanners: [192.0.3.0/24]}\n", True)],
)
def test_the_daemon_judges_by_the_present_rule_and_addresses(
    tmp_path: Path, database: Database, database_url: str, now: datetime, tracking: str, judged: bool
) -> None:
    """Of a click that an older rule took for a machine's: whether it is a person's now."""
    shop = Shop(tmp_path, database, SteppedClock(now), customers=1)
    shop.launch()
    shop.sender().drain()
    at = now + timedelta(hours=1)
    old = {"rule": 2, "machine": True, "because": "robot", "agent": "Mozilla/5.0 Firefox/128.0", "from": "192.0.2.7"}
    click = {"external_id": "1", "name": "clicked", "at": at, "properties": old, "message_id": 1, "received_at": at}
    with database.writing() as connection:
        connection.execute(insert(events).values(click))
        connection.execute(update(messages).values(clicked_at=None))
    (tmp_path / "config.yaml").write_text(CONFIG + f"database: {database_url}\n{tracking}", encoding="utf-8")
    once(tmp_path, now=at + timedelta(hours=1))
    with database.reading() as connection:
        assert connection.execute(select(messages.c.clicked_at)).scalars().first() == (at if judged else None)
