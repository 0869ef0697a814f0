"""A shop that Telegram cannot call: what people write to its bot is fetched, takes effect, and is answered."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from engine.clock import SteppedClock
from engine.content.links import Links
from engine.daemon import once
from engine.rules.workspace import load_workspace
from engine.store import Database
from engine.store.tables import consents, contact_points, messages, suppressions
from engine.testing.vendors.telegram import TelegramVendor
from tests.sending.shop import CONFIG, Shop

ANA, URL = 777, "https://shop.example/v1/webhooks/bot"
MORE = """  bot: {use: telegram, bot_token: "${env:T_BOT}", poll: true, base_url: %s}
channels:
  telegram: {transactional: {provider: bot, from: "@examplerecords"}}
"""


def test_an_invitation_is_taken_up_and_a_stop_confirmed(
    tmp_path: Path, database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who starts the bot by the link of a mail is that mail's reader, and agrees; their /stop is obeyed, and told so once."""
    monkeypatch.setenv("T_BOT", "110201543:token-for-tests")
    now = datetime.now(UTC)
    shop = Shop(tmp_path, database, SteppedClock(now), customers=1)
    shop.launch()
    shop.sender().drain()
    with TelegramVendor() as vendor:
        config = CONFIG.replace("channels:\n", MORE % vendor.url) + f"database: {database_url}\n"
        config += 'answers: {stop: {en: "No more from us."}}\n'
        (tmp_path / "config.yaml").write_text(config, encoding="utf-8")
        links = Links(load_workspace(tmp_path).settings.secret.reveal(), "")
        with database.reading() as connection:
            mail = connection.execute(select(messages.c.id)).scalar_one()
        vendor.says(URL, ANA, f"/start {links.invitation(mail)}", at=now)
        once(tmp_path, now=now)
        vendor.says(URL, ANA, "/stop", at=now)
        for _ in range(2):
            once(tmp_path, now=now)
    with database.reading() as connection:
        point = connection.execute(
            select(contact_points.c.id).where(contact_points.c.channel == "telegram")
        ).scalar_one()
        agreed = connection.execute(
            select(consents.c.purpose, consents.c.status).where(consents.c.contact_point_id == point)
        )
        assert [tuple(row) for row in agreed] == [("offers", "opted_in")]
        stopped = connection.execute(select(suppressions.c.channel, suppressions.c.reason)).all()
    assert [tuple(row) for row in stopped] == [("telegram", "opted_out")]
    assert [(taken.to, taken.text) for taken in vendor.accepted] == [(str(ANA), "No more from us.")]
