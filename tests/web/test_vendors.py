"""The vendors' own signatures, over the real door: what Twilio and SendGrid sign is what the provider gets to check."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from channels.facebook import Facebook
from channels.sendgrid import SendGrid
from channels.telegram import Telegram
from channels.twilio import Twilio
from channels.webhook import Hook
from engine.ledger.engagement import use_scanners
from engine.provider import Http, Provider, Webhook
from engine.settings import Tracking
from engine.store.tables import consents, contact_points, events, messages, metadata, suppressions
from engine.testing.vendors import graph_events
from engine.testing.vendors.sendgrid import OUR_KEY, SendGridVendor
from engine.testing.vendors.telegram import TelegramVendor
from engine.testing.vendors.twilio import TwilioVendor
from engine.testing.vendors.webhook import WebhookReceiver
from engine.web.app import create_app
from tests.web.conftest import PUBLIC, Shop, path_of

BROWSER = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0"


@pytest.fixture
def sendgrid() -> SendGridVendor:
    return SendGridVendor()


@pytest.fixture
def vendors(sendgrid: SendGridVendor, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, Provider]:
    for name, value in (("TWILIO_AUTH_TOKEN", "token-for-tests"), ("SENDGRID_API_KEY", "SG.for-tests")):
        monkeypatch.setenv(name, value)
    twilio = {"account_sid": "AC" + "0" * 32, "auth_token": "${env:TWILIO_AUTH_TOKEN}"}
    mail = {"api_key": "${env:SENDGRID_API_KEY}", "webhook_key": sendgrid.public_key}
    return {
        "texts": Twilio(Twilio.Settings.model_validate(twilio), http=Http()),
        "mail": SendGrid(SendGrid.Settings.model_validate(mail), http=Http()),
    }


@pytest.fixture
def door(shop: Shop, vendors: Mapping[str, Provider]) -> TestClient:
    return TestClient(create_app(replace(shop.door, providers=lambda: vendors)))


def deliver(door: TestClient, webhook: Webhook, *, body: bytes | None = None) -> Any:
    """As it arrives here: by way of the proxy, with another host and without TLS."""
    headers: Mapping[str, str] = {**webhook.headers, "Host": "10.0.0.7:8025"}
    return door.post(path_of(webhook.url), content=webhook.body if body is None else body, headers=dict(headers))


def test_twilios_callback_counts_behind_a_proxy(shop: Shop, door: TestClient) -> None:
    """The URL that the message carried is the one that was signed, its query included; a changed byte is refused."""
    message = shop.sent()
    url = f"{PUBLIC}/v1/webhooks/texts?message={shop.database.message_key(message)}"
    webhook = TwilioVendor().signed(url, {"MessageSid": "SM1", "MessageStatus": "delivered", "To": "+358401234567"})
    assert deliver(door, webhook, body=webhook.body + b"&x=1").status_code == 403
    assert shop.count(events) == 0
    assert deliver(door, webhook).status_code == 200
    assert shop.rows(messages)[0]["delivered_at"] == shop.clock.now()


def test_a_stop_is_obeyed_and_nothing_is_answered_to_the_person(shop: Shop, door: TestClient) -> None:
    """An inbound STOP suppresses the number before Twilio gets its empty answer."""
    answer = deliver(door, TwilioVendor().inbound(f"{PUBLIC}/v1/webhooks/texts", sender="+358401234567", text="Stop"))
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/xml; charset=utf-8")
    assert answer.text == '<?xml version="1.0" encoding="UTF-8"?><Response/>'
    assert [(row["channel"], row["reason"]) for row in shop.rows(suppressions)] == [("sms", "opted_out")]


def test_sendgrids_signature_stands_over_the_raw_body(shop: Shop, door: TestClient, sendgrid: SendGridVendor) -> None:
    """Its CR LF at the end included; the same events without it are forged."""
    event = {
        "email": "c1@mail.example",
        "event": "delivered",
        "timestamp": int(shop.clock.now().timestamp()),
        "sg_event_id": "e1",
        "sg_message_id": "m1.x",
        OUR_KEY: shop.database.message_key(shop.sent()),
    }
    webhook = sendgrid.webhook(f"{PUBLIC}/v1/webhooks/mail", [event], now=shop.clock.now())
    assert deliver(door, webhook, body=json.dumps([event]).encode()).status_code == 403
    assert shop.count(events) == 0
    assert deliver(door, webhook).status_code == 204
    assert shop.rows(messages)[0]["delivered_at"] == shop.clock.now()


@pytest.mark.parametrize("known", [(), ("192.0.2.0/24",)], ids=["none", "known"])
def test_a_scanner_is_known_by_the_address_that_sendgrid_tells(
    shop: Shop, vendors: Mapping[str, Provider], sendgrid: SendGridVendor, known: tuple[str, ...]
) -> None:
    """Where scanners are known a click keeps its address, and is judged by it; without them none is stored anywhere."""
    scanner, reader, server = "192.0.2.77", "198.51.100.9", "203.0.113.5"
    workspace, now = shop.door.workspace(), shop.clock.now()
    settings = workspace.settings.model_copy(update={"tracking": Tracking(scanners=known)})
    here = replace(shop.door, workspace=lambda: replace(workspace, settings=settings), providers=lambda: vendors)
    use_scanners(shop.database, known)
    about = {"sg_message_id": "m1.x", OUR_KEY: shop.database.message_key(shop.sent()), "useragent": BROWSER}
    told = [
        {**about, "event": word, "timestamp": int(now.timestamp()) + 60 * minute, "ip": address}
        for minute, (word, address) in enumerate((("delivered", server), ("click", scanner), ("click", reader)))
    ]
    webhook = sendgrid.webhook(f"{PUBLIC}/v1/webhooks/mail", told, now=now)
    assert deliver(TestClient(create_app(here)), webhook).status_code == 204
    clicks = [(click.get("from"), click.get("because")) for click in shop.engagements("clicked")]
    assert clicks == ([(scanner, "scanner_address"), (reader, None)] if known else [(None, None)] * 2)
    assert shop.rows(messages)[0]["clicked_at"] == now + timedelta(minutes=2 if known else 1)
    with shop.database.reading() as connection:
        stored = [str(row) for table in metadata.sorted_tables for row in connection.execute(select(table))]
    assert stored and not any(
        address in row for row in stored for address in (server, *(() if known else (scanner, reader)))
    )


def test_a_receiver_of_ones_own_reports_back(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report signed as Standard Webhooks has it stamps the message; it may come twice; an older word moves nothing back."""
    monkeypatch.setenv("T_REPORTS", f"whsec_{'cmVw' * 6}")
    receiver = WebhookReceiver(secrets=[], report_secret=f"whsec_{'cmVw' * 6}")
    given = {"url": "https://app.example/in", "signing_secrets": ["${env:T_REPORTS}"], "channel": "email"}
    hook = Hook(Hook.Settings.model_validate({**given, "report_secrets": ["${env:T_REPORTS}"]}), http=Http())
    door = TestClient(create_app(replace(shop.door, providers=lambda: {"app": hook})))
    told = {"key": shop.database.message_key(shop.sent())}
    for kind in ("delivered", "delivered", "accepted"):
        webhook = receiver.report(
            f"{PUBLIC}/v1/webhooks/app", f"message.{kind}", told, identity=kind, now=shop.clock.now()
        )
        assert deliver(door, webhook, body=webhook.body + b" ").status_code == 403
        assert deliver(door, webhook).status_code == 204
    assert (shop.count(events), shop.rows(messages)[0]["delivered_at"]) == (2, shop.clock.now())


def test_an_invitation_makes_its_reader_known_on_telegram(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the link in an email somebody starts the bot: their chat is theirs, with a yes to the mail's purpose. A later /stop
    stands, however often the start is told again; an invitation of nobody's makes nobody known.
    """
    monkeypatch.setenv("T_BOT", "110201543:token-for-tests")
    monkeypatch.setenv("T_SECRET", "secret-for-tests")
    given = {"bot_token": "${env:T_BOT}", "webhook_secret": "${env:T_SECRET}"}
    bot, vendor = Telegram(Telegram.Settings.model_validate(given), http=Http()), TelegramVendor()
    door = TestClient(create_app(replace(shop.door, providers=lambda: {"bot": bot})))
    url, now, message = f"{PUBLIC}/v1/webhooks/bot", shop.clock.now(), shop.sent()
    invitation = shop.door.links.invitation(message)
    forged = vendor.says(url, 666, f"/start {invitation[:-1]}!", at=now)
    start = vendor.says(url, 777, f"/start {invitation}", at=now)
    stop = vendor.says(url, 777, "/stop", at=now + timedelta(seconds=5))
    for webhook in (forged, start, stop, start):
        assert deliver(door, webhook).status_code == 204
    points = [(row["address"], row["id"]) for row in shop.rows(contact_points) if row["channel"] == "telegram"]
    assert [address for address, _ in points] == ["777"]
    agreed = [
        (row["purpose"], row["status"], row["source"])
        for row in shop.rows(consents)
        if row["contact_point_id"] == points[0][1]
    ]
    assert agreed == [("offers", "opted_in", "link")]
    assert [(row["channel"], row["reason"]) for row in shop.rows(suppressions)] == [("telegram", "opted_out")]
    (joined,) = shop.rows(events, events.c.name == "opted_in", events.c.message_id == message)
    assert joined["customer_id"] is not None


def test_meta_enters_a_webhook_and_tells_of_a_stop(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its question gets its own number back, a stranger's 403; a STOP by Messenger suppresses that number there, once."""
    for name in ("T_TOKEN", "T_SECRET", "T_VERIFY"):
        monkeypatch.setenv(name, f"{name}-for-tests")
    given = {"page_id": "105551234567890", "access_token": "${env:T_TOKEN}", "app_secret": "${env:T_SECRET}"}
    page = Facebook(Facebook.Settings.model_validate({**given, "verify_token": "${env:T_VERIFY}"}), http=Http())
    door = TestClient(create_app(replace(shop.door, providers=lambda: {"page": page})))
    asked = "/v1/webhooks/page?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token="
    answer = door.get(f"{asked}T_VERIFY-for-tests")
    assert (answer.status_code, answer.text) == (200, "1158201444")
    assert door.get(f"{asked}x").status_code == 403
    stop = graph_events.written("message", {"mid": "m_1", "text": "STOP"}, at=shop.clock.now())
    webhook = graph_events.signed(f"{PUBLIC}/v1/webhooks/page", stop, "T_SECRET-for-tests")
    for _ in range(2):
        assert deliver(door, webhook).status_code == 204
    assert deliver(door, webhook, body=webhook.body + b" ").status_code == 403
    assert [(row["channel"], row["reason"]) for row in shop.rows(suppressions)] == [("messenger", "opted_out")]
    assert shop.count(events) == 1
