"""WhatsApp and Messenger: free text only within a day of somebody's own words; an approved template reaches everybody."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from engine.clock import SteppedClock
from engine.ledger.record import record_events
from engine.model import Channel, EventName, Lane, Reason, State
from engine.provider import Accepted, Ambiguous, Capabilities, ProviderEvent
from engine.questions.check import check
from engine.rules.workspace import load_workspace
from engine.store import Database
from tests.sending.shop import CONFIG, NEWS, Scripted, Shop

DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
WROTE = {"c1": DAY - SECOND, "c2": DAY, "c3": timedelta(hours=1)}
"""How long ago customers wrote; the third as a text message, the fourth never did."""
CHAT = """
  whatsapp: {commercial: {provider: chat, from: "+15005550006"}}
"""
APPROVED = "HX12\n1: {{ customer.first_name }}\n"


@pytest.fixture
def shop(tmp_path: Path, database: Database, now: datetime) -> Shop:
    people = [
        {"id": f"c{n}", "whatsapp": f"+35840123456{n}", "sms": f"+35840123456{n}", "first_name": f"Customer {n}", "consent.whatsapp.offers": "yes"}
        for n in range(1, 5)
    ]  # fmt: skip
    shop = Shop(tmp_path, database, SteppedClock(now), rows=people)
    twilio = 'chat: {use: twilio, medium: whatsapp, account_sid: ACa0b1c2d3e4f5a6b7c8d9e0f1a2b3c4d5, auth_token: "${env:REGULARS_SECRET}"}'
    config = CONFIG.replace("channels:", f"  {twilio}\nchannels:{CHAT.rstrip()}")
    (tmp_path / "config.yaml").write_text(config, "utf-8")
    (tmp_path / "rules/news.yaml").write_text(NEWS.replace("channel: email", "channel: whatsapp"), "utf-8")
    (tmp_path / "templates/news/whatsapp.txt").write_text(
        "News, {{ customer.first_name }}. Reply STOP to end this.", "utf-8"
    )
    shop.workspace = load_workspace(tmp_path)
    shop.provider = Scripted(lambda outgoing: Accepted())
    shop.provider.capabilities = Capabilities(channel=Channel.WHATSAPP, templates=True, reply_window=DAY)
    for id, ago in WROTE.items():
        channel = Channel.SMS if id == "c3" else Channel.WHATSAPP
        wrote = ProviderEvent(
            name=EventName.REPLIED, at=now - ago, dedupe=id, address=f"+35840123456{id[1]}", text="hello there"
        )
        record_events(database, [wrote], provider="chat", now=now, channel=channel)
    return shop


def test_free_text_reaches_only_who_wrote_within_a_day(shop: Shop) -> None:
    """To the second, and on this channel; nothing else reaches the vendor."""
    shop.launch()
    shop.sender("chat").drain()
    assert [one.to for one in shop.provider.taken] == ["+358401234561"]
    assert [(row.state, row.reason) for row in shop.rows()] == [
        (State.ACCEPTED, None), *[(State.SKIPPED, Reason.OUTSIDE_WINDOW)] * 3,
    ]  # fmt: skip
    said = [str(problem) for problem in check(shop.folder)]
    assert any("takes free text only within 1 day of a customer's own words" in one for one in said)


def test_an_approved_template_reaches_everybody(shop: Shop) -> None:
    (shop.folder / "templates/news/whatsapp.template.txt").write_text(APPROVED, "utf-8")
    shop.workspace = load_workspace(shop.folder)
    shop.launch()
    shop.sender("chat").drain()
    assert shop.states() == [State.ACCEPTED] * 4
    assert not any("takes free text" in str(problem) for problem in check(shop.folder))


def test_what_was_handed_over_within_it_may_be_repeated_after_it(shop: Shop, now: datetime) -> None:
    """The vendor knows the key: it is the same message still."""
    shop.provider.capabilities = Capabilities(
        channel=Channel.WHATSAPP, reply_window=DAY, idempotency_window=timedelta(hours=24)
    )
    shop.provider.answer = lambda outgoing: Ambiguous(code="timeout")
    shop.launch()
    shop.sender("chat").work((Lane.BULK,))
    shop.provider.answer = lambda outgoing: Accepted()
    shop.pass_time(minutes=5)
    shop.sender("chat").drain()
    assert len(shop.provider.taken) == 2 and shop.states()[0] is State.ACCEPTED
